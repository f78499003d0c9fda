package keystore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// The times between two looks into the issuer's metadata for its endpoint.
const (
	placeLifetime = time.Hour
	// placePause is the least, while calls fail or the metadata can't be fetched.
	placePause = time.Minute
)

// endpoint is where and how an issuer is asked.
type endpoint struct {
	url *url.URL
	// post is whether the client authenticates itself in the form instead of with HTTP Basic.
	post bool
}

// place is what is known of the endpoint.
type place struct {
	turn chan struct{} // has the turn of the one call that looks for it

	mu       sync.Mutex
	found    *endpoint // nil if it is not known
	looked   time.Time // when it was last looked for
	looks    uint64
	err      error // of that look
	doubtful bool  // calls have failed since
}

// doubt lets the endpoint be looked for again soon: a call has failed.
func (p *place) doubt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubtful = true
}

// settled returns the endpoint, and whether there is no need to look for it now.
func (p *place) settled(now time.Time) (found *endpoint, looks uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lifetime := placeLifetime
	if p.doubtful || p.err != nil {
		lifetime = placePause
	}
	since := now.Sub(p.looked)
	return p.found, p.looks, p.found != nil && since >= 0 && since < lifetime
}

// endpoint returns where to ask, after looking it up in the metadata if that is necessary.
// Calls that need it wait for the one that looks; if there was one before, others go on with
// it, and also the one that looks if the metadata can't be fetched.
func (i *Introspection) endpoint(ctx context.Context) (endpoint, error) {
	if i.config.URL != "" {
		return *i.place.found, nil
	}
	p := &i.place
	found, before, ok := p.settled(i.client.Clock.Now())
	if ok {
		return *found, nil
	}
	if found != nil {
		select {
		case p.turn <- struct{}{}:
		default:
			return *found, nil
		}
	} else {
		select {
		case p.turn <- struct{}{}:
		case <-ctx.Done():
			return endpoint{}, context.Cause(ctx)
		}
	}
	defer func() { <-p.turn }()
	// Another may have looked meanwhile.
	found, looks, ok := p.settled(i.client.Clock.Now())
	if ok {
		return *found, nil
	}
	if looks == before {
		p.look(ctx, i.client)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		return endpoint{}, p.err
	}
	return *p.found, nil
}

// look looks for the endpoint in the metadata. The caller has the turn.
func (p *place) look(ctx context.Context, c *client) {
	found, err := discover(c, func(u *url.URL) (endpoint, error) {
		d, err := c.get(ctx, u, etag{}, shortHeaderTimeout)
		if err != nil {
			return endpoint{}, err
		}
		at, err := parseEndpoint(d.body, c)
		if err != nil {
			return endpoint{}, &fetchError{url: redact(u), err: err}
		}
		return at, nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked, p.err = c.Clock.Now(), err
	p.looks++
	if err == nil {
		p.found, p.doubtful = &found, false
	}
}

// parseEndpoint returns the introspection endpoint in an issuer's metadata (RFC 8414 section
// 2), and how a client authenticates itself there.
func parseEndpoint(body []byte, c *client) (endpoint, error) {
	const otherwise = "write the URL of the introspection endpoint after introspection"
	v, err := readMetadata(body, c.Issuer, otherwise)
	if err != nil {
		return endpoint{}, err
	}
	raw, ok, err := text(v, "introspection_endpoint")
	if err != nil || !ok {
		return endpoint{}, errors.New(`the metadata has no string "introspection_endpoint": the issuer offers no introspection, or does not say where; if it does, ` + otherwise)
	}
	u, err := parseURL(raw)
	if err == nil {
		err = c.allows(u)
	}
	if err != nil {
		return endpoint{}, fmt.Errorf("its introspection_endpoint %w", err)
	}
	at := endpoint{url: u}
	methods, ok := v.Member("introspection_endpoint_auth_methods_supported")
	if !ok {
		// The metadata need not say it (RFC 8414 section 2). It is mostly as for tokens.
		methods, _ = v.Member("token_endpoint_auth_methods_supported")
	}
	at.post = lists(methods, "client_secret_post") && !lists(methods, "client_secret_basic")
	return at, nil
}

// lists reports whether an array has a text.
func lists(array claims.Value, want string) bool {
	for n := range array.Len() {
		if text, ok := array.At(n).Text(); ok && text == want {
			return true
		}
	}
	return false
}
