package keystore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

var errTimeout = fmt.Errorf("there is no complete answer within %s", fetchTimeout)

// wanted is the input of a fetch.
type wanted struct {
	keysURL       *url.URL // of the key set, if known; else it is discovered
	have          etag     // of the set in hand
	headerTimeout time.Duration
}

// answer is a valid answer of a source.
type answer struct {
	set         *Set // nil with notModified
	notModified bool
	lifetime    time.Duration // how long it is fresh, if limited
	limited     bool
	etag        etag
	keysURL     *url.URL
}

// fetch gets and parses the key set, after looking up its URL in the metadata if
// necessary. Idle connections are closed afterwards: the next fetch is a
// minute or an hour away, when they would be dead.
func (c *client) fetch(ctx context.Context, want wanted) (answer, error) {
	defer c.closeIdle()
	u := want.keysURL
	if c.JWKSURL != "" {
		u = c.start
	}
	if u == nil {
		var err error
		if u, err = c.discover(ctx, want.headerTimeout); err != nil {
			return answer{}, err
		}
	}
	d, err := c.get(ctx, u, want.have, want.headerTimeout)
	if err != nil {
		return answer{}, err
	}
	a := answer{keysURL: u, notModified: d.notModified, etag: d.etag}
	a.lifetime, a.limited = lifetime(d.header, c.Clock.Now())
	if !d.notModified {
		if a.set, err = ParseJWKS(d.body, JWKSOptions{MaxKeys: c.MaxKeys}); err != nil {
			return answer{}, &fetchError{url: redact(u), err: err}
		}
	}
	return a, nil
}

// describe returns an error's text for operators, at most 500 characters.
func describe(err error) string {
	if err == nil || errors.Is(err, errClosed) {
		return ""
	}
	return cut(err.Error(), 500)
}
