package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	refusals "github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// maxWait is how long a request for refusals may wait for one.
const maxWait = time.Minute

// RefusalQuery selects refusals for Client.Refusals. The zero value is all that are kept.
type RefusalQuery struct {
	// After is Next of the answer before, 0 for all that are kept.
	After uint64
	// Wait is how long to wait for a refusal if there is none, at most a minute. The
	// answer comes earlier if the server's config is replaced.
	Wait time.Duration
	// Site and Reason select refusals by a host of their site and by their code; empty
	// for all.
	Site, Reason string
}

// RefusalPage is the answer of GET /jwt/refusals.
type RefusalPage struct {
	// Refusals are the oldest first.
	Refusals []refusals.Seen `json:"refusals"`
	// Next is the After of the next call.
	Next uint64 `json:"next"`
	// Missed is how many refusals behind After are no longer there, of all sites and
	// reasons.
	Missed uint64 `json:"missed"`
}

// Refusals returns the refusals behind a number, and waits for one if there is none.
func (c *Client) Refusals(ctx context.Context, q RefusalQuery) (p RefusalPage, err error) {
	values := query("site", q.Site, "reason", q.Reason)
	if q.After > 0 {
		values.Set("after", strconv.FormatUint(q.After, 10))
	}
	if q.Wait > 0 {
		values.Set("wait", q.Wait.String())
	}
	patient := *c
	if patient.Timeout == 0 {
		patient.Timeout = q.Wait + maxWait/2
	}
	return p, patient.do(ctx, http.MethodGet, "/jwt/refusals", values, nil, &p)
}

// listRefusals serves GET /jwt/refusals.
func (s *service) listRefusals(w http.ResponseWriter, r *http.Request) (any, error) {
	q, err := refusalQuery(r)
	if err != nil {
		return nil, err
	}
	replaced := s.running.changes()
	if s.running.current() == nil {
		return nil, errNotRunning
	}
	// The server's limit for reading a request would end the waiting, too: when it has
	// passed, the client counts as gone. A writer without deadlines has no such limit.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(q.Wait + maxWait))
	ctx, cancel := context.WithTimeout(r.Context(), q.Wait)
	defer cancel()
	// A reload waits for the requests at the endpoint that it replaces.
	stop := context.AfterFunc(s.shutdowns.of(r), cancel)
	defer stop()
	go func() {
		select {
		case <-replaced:
			cancel()
		case <-ctx.Done():
		}
	}()
	page := RefusalPage{Refusals: []refusals.Seen{}, Next: q.After}
	for {
		list, next, missed := s.refusals.After(ctx, page.Next)
		page.Next, page.Missed = next, page.Missed+missed
		for _, seen := range list {
			if q.selects(&seen) {
				seen.URI = WithoutCredentials(seen.URI)
				page.Refusals = append(page.Refusals, seen)
			}
		}
		if len(page.Refusals) > 0 || ctx.Err() != nil {
			return page, nil
		}
	}
}

// refusalQuery reads the parameters of a request for refusals.
func refusalQuery(r *http.Request) (q RefusalQuery, err error) {
	query, err := parameters(r, "after", "wait", "site", "reason")
	if err != nil {
		return q, err
	}
	if written, ok := query["after"]; ok {
		if q.After, err = strconv.ParseUint(written, 10, 64); err != nil {
			return q, bad("?after: %s is not valid; write the next of the answer before, or leave it out", quote(written))
		}
	}
	if written, ok := query["wait"]; ok {
		if q.Wait, err = duration(written); err != nil || q.Wait > maxWait {
			return q, bad("?wait: %s is not valid; write a duration up to 60s, such as 30s", quote(written))
		}
	}
	q.Site, q.Reason = query["site"], query["reason"]
	if _, ok := query["site"]; ok && (q.Site == "" || CheckPlain(q.Site) != nil) {
		return q, bad("?site: %s is not valid; write a host of the site, such as api.example.com", quote(q.Site))
	}
	if _, ok := query["reason"]; ok && !slices.Contains(reason.All, reason.Code(q.Reason)) {
		return q, bad("?reason: %s is not a reason; write one such as expired, as docs/reference/refusals.md lists them", quote(q.Reason))
	}
	return q, nil
}

// selects reports whether a refusal is asked for.
func (q *RefusalQuery) selects(seen *refusals.Seen) bool {
	return (q.Reason == "" || q.Reason == seen.Reason) && (q.Site == "" || IsSite(seen.Site, q.Site))
}

// IsSite reports whether a name is that of a site: all of it, or one of its hosts.
func IsSite(site, name string) bool {
	if strings.EqualFold(site, name) {
		return true
	}
	for host := range strings.SplitSeq(site, ", ") {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

// redacted stands where a credential was.
const redacted = "REDACTED"

// WithoutCredentials replaces the parts of a URI in which there is a token, or an API key of
// ours. Where the site reads credentials, there is none any more; this is for those that
// clients send elsewhere.
func WithoutCredentials(uri string) string {
	var out strings.Builder
	for len(uri) > 0 {
		n := strings.IndexAny(uri, "/?&;=#")
		if n < 0 {
			n = len(uri)
		}
		part := uri[:n]
		if HasCredential(part) {
			part = redacted
		}
		out.WriteString(part)
		if uri = uri[n:]; uri != "" {
			out.WriteByte(uri[0])
			uri = uri[1:]
		}
	}
	return out.String()
}

// HasCredential reports whether there is a token, or an API key of ours, in a text, even a
// percent-encoded one. A text that is encoded many times over is not read, and may have one.
func HasCredential(text string) bool {
	for range 4 {
		if CheckPlain(text) != nil {
			return true
		}
		decoded, err := url.PathUnescape(text)
		if err != nil || decoded == text {
			return false
		}
		text = decoded
	}
	return true
}

// shutdowns tells when the server of a request is shut down.
type shutdowns struct {
	mu      sync.Mutex
	servers map[*http.Server]context.Context
}

// of returns a context that is done when the server of a request begins to shut down. It is
// never done if the server is not known.
func (s *shutdowns) of(r *http.Request) context.Context {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return context.Background()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx, ok := s.servers[server]; ok {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	if s.servers == nil {
		s.servers = map[*http.Server]context.Context{}
	}
	s.servers[server] = ctx
	server.RegisterOnShutdown(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.servers, server)
		cancel(errors.New("the server is shut down"))
	})
	return ctx
}
