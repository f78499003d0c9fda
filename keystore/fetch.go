package keystore

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The limits on a fetch.
const (
	// fetchTimeout bounds a whole fetch: metadata, key set, redirects, DNS.
	fetchTimeout = 10 * time.Second
	// shortHeaderTimeout limits the wait for an answer's header while there is no
	// usable set, so that an attempt that hangs does not delay the next one, which
	// might succeed. See Remote.headerTimeout.
	shortHeaderTimeout = 4 * time.Second
	// maxRedirects is how many redirects are followed for one document.
	maxRedirects = 5
	// maxHeaderBytes bounds an answer's header.
	maxHeaderBytes = 64 << 10
	// maxETag bounds the validator kept for a source.
	maxETag = 256
)

// document is the result of one GET: the body of a 200, or notModified for a 304.
type document struct {
	body        []byte
	header      http.Header
	etag        etag
	notModified bool
}

// etag is an answer's validator (RFC 9110 section 8.8.3) and the URL that it
// belongs to. It is sent to no other.
type etag struct{ url, value string }

// fetchError is why a fetch failed. Its text may be logged: its URL has no query.
type fetchError struct {
	url        string
	status     int           // zero where there was no answer
	retryAfter time.Duration // of a 429 or 503
	err        error
}

func (e *fetchError) Error() string {
	if e.status != 0 {
		return fmt.Sprintf("%s answers with status %d instead of 200", e.url, e.status)
	}
	return e.url + ": " + e.err.Error()
}

func (e *fetchError) Unwrap() error { return e.err }

// newTransport makes the transport of a Remote. It does not unpack answers itself: a
// small one could become a large one before it is counted.
func newTransport(s *source) http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: shortHeaderTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    shortHeaderTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        fetchTimeout,
	}
}

// client gets documents for one source. It uses the transport itself: an
// http.Client would carry the bearer token along redirects to subdomains and
// other ports, and put whole URLs into its errors.
type client struct {
	source
	transport http.RoundTripper
}

func newClient(s source) *client {
	c := &client{source: s, transport: s.Transport}
	if c.transport == nil {
		c.transport = newTransport(&c.source)
	}
	return c
}

// closeIdle closes connections that nothing runs on.
func (c *client) closeIdle() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// get fetches one document. headerTimeout bounds the wait for each answer's
// header; ctx bounds everything. Redirects are followed to https only, even if
// the configured URL is http: otherwise anyone who can redirect could downgrade the
// connection.
func (c *client) get(ctx context.Context, u *url.URL, have etag, headerTimeout time.Duration) (document, error) {
	bearer := ""
	if c.BearerToken != nil && sameOrigin(u, c.start) {
		var err error
		if bearer, err = c.BearerToken(); err != nil {
			return document{}, &fetchError{url: redact(u), err: fmt.Errorf("the bearer token cannot be read: %w", err)}
		}
		bearer = strings.TrimSpace(bearer) // files end with a newline
	}
	for range maxRedirects + 1 {
		response, err := c.round(ctx, u, have, bearer, headerTimeout)
		if err != nil {
			return document{}, &fetchError{url: redact(u), err: err}
		}
		switch response.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			_ = response.Body.Close()
			next, err := redirect(u, response.Header.Get("Location"))
			if err != nil {
				return document{}, &fetchError{url: redact(u), err: err}
			}
			if !sameOrigin(next, u) {
				bearer = "" // for the rest of the redirects
			}
			u = next
		default:
			d, err := c.read(u, response, have)
			_ = response.Body.Close()
			return d, err
		}
	}
	return document{}, &fetchError{url: redact(u), err: fmt.Errorf("there are more than %d redirects", maxRedirects)}
}

// round sends one request and waits for its answer's header.
func (c *client) round(ctx context.Context, u *url.URL, have etag, bearer string, headerTimeout time.Duration) (*http.Response, error) {
	// The body is read under the same context, so it is cancelled with ctx
	// alone once the header is there.
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.Clock.AfterFunc(headerTimeout, func() {
		cancel(fmt.Errorf("there is no answer within %s", headerTimeout))
	})
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("User-Agent", "caddy-jwt")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	if have.value != "" && have.url == u.String() {
		request.Header.Set("If-None-Match", have.value)
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	response.Body = &boundBody{response.Body, ctx, cancel}
	return response, nil
}

// boundBody is a body that ends with its request's context, and cancels the context
// when it is closed.
type boundBody struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // it is the body's own
	cancel context.CancelCauseFunc
}

// Read returns the cause of the context's end rather than context.Canceled.
func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Close closes the body and ends the context.
func (b *boundBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// read reads an answer, or returns why it is not valid.
func (c *client) read(u *url.URL, response *http.Response, have etag) (document, error) {
	switch {
	case response.StatusCode == http.StatusNotModified && have.value != "" && have.url == u.String():
		return document{header: response.Header, etag: have, notModified: true}, nil
	case response.StatusCode != http.StatusOK:
		e := &fetchError{url: redact(u), status: response.StatusCode}
		if e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable {
			e.retryAfter = retryAfter(response.Header, c.Clock.Now())
		}
		return document{}, e
	}
	if response.ContentLength > maxDocumentBytes {
		return document{}, &fetchError{url: redact(u), err: errTooLarge}
	}
	body, err := readBody(response)
	if err != nil {
		return document{}, &fetchError{url: redact(u), err: err}
	}
	if len(body) > maxDocumentBytes {
		return document{}, &fetchError{url: redact(u), err: errTooLarge}
	}
	c.compareClocks(response.Header)
	d := document{body: body, header: response.Header}
	if value := response.Header.Get("ETag"); len(value) <= maxETag && printable(value) {
		d.etag = etag{u.String(), value}
	}
	return d, nil
}

// readBody reads the body of a document up to a little more than the limit.
func readBody(response *http.Response) ([]byte, error) {
	return readBodyUpTo(response, maxDocumentBytes)
}

// readBodyUpTo reads a body up to a little more than a limit, which holds for what is
// unpacked, too.
func readBodyUpTo(response *http.Response, limit int64) ([]byte, error) {
	var from io.Reader = response.Body
	switch encoding := strings.ToLower(response.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(from)
		if err != nil {
			return nil, fmt.Errorf("the answer's Content-Encoding is gzip, but it can't be unpacked: %w", err)
		}
		from = unpacked
	default:
		return nil, errors.New("the answer has a Content-Encoding that was not asked for; it may be gzip or none")
	}
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("the answer is cut off: %w", err)
	}
	return body, nil
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxDocumentBytes)

// redirect resolves a redirect's target, and returns an error if it must not be followed.
func redirect(from *url.URL, location string) (*url.URL, error) {
	next, err := from.Parse(location)
	if location == "" || err != nil {
		return nil, errors.New("it redirects to an invalid URL")
	}
	next.Fragment, next.RawFragment = "", ""
	if next.Scheme != "https" || next.Hostname() == "" || next.User != nil {
		return nil, fmt.Errorf("it redirects to %s; only redirects to https are followed, and none with a user name", redact(next))
	}
	return next, nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
