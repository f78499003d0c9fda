package keystore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// discover returns the URL of the key set according to the issuer's metadata, which is
// at the configured discovery URL, else where OpenID Connect Discovery (section 4.1)
// puts it, else where RFC 8414 (section 3.1) does.
func (c *client) discover(ctx context.Context, headerTimeout time.Duration) (*url.URL, error) {
	return discover(c, func(u *url.URL) (*url.URL, error) { return c.metadata(ctx, u, headerTimeout) })
}

// discover returns what read finds in the issuer's metadata, which may be at two places.
func discover[T any](c *client, read func(u *url.URL) (T, error)) (T, error) {
	if c.Discovery != "" {
		return read(c.start)
	}
	openID, oauth := metadataURLs(c.start)
	found, err := read(openID)
	var failed *fetchError
	// The other URL is tried only if there is nothing here, not if the metadata is
	// wrong or the server asks for a pause.
	if !errors.As(err, &failed) || failed.status < 400 || failed.status > 499 ||
		failed.status == http.StatusTooManyRequests || failed.status == http.StatusRequestTimeout {
		return found, err
	}
	found, second := read(oauth)
	if errors.As(second, &failed) && failed.status >= 400 && failed.status <= 499 {
		return found, fmt.Errorf("the issuer's metadata is not found: %w, and %w", err, second)
	}
	return found, second
}

// metadataURLs returns the two URLs of an issuer's metadata. One trailing slash of the
// issuer is dropped (OpenID Connect Discovery section 4.1).
func metadataURLs(issuer *url.URL) (openID, oauth *url.URL) {
	// Start from the escaped form, so that what is escaped in the issuer stays escaped.
	escaped := strings.TrimSuffix(issuer.EscapedPath(), "/")
	path, err := url.PathUnescape(escaped)
	if err != nil { // not possible, it comes from EscapedPath
		path, escaped = issuer.Path, ""
	}
	place := func(before, after string) *url.URL {
		return &url.URL{
			Scheme: issuer.Scheme, Host: issuer.Host,
			Path: before + path + after, RawPath: before + escaped + after,
		}
	}
	return place("", "/.well-known/openid-configuration"),
		place("/.well-known/oauth-authorization-server", "")
}

func (c *client) metadata(ctx context.Context, u *url.URL, headerTimeout time.Duration) (*url.URL, error) {
	d, err := c.get(ctx, u, etag{}, headerTimeout)
	if err != nil {
		return nil, err
	}
	keys, err := parseMetadata(d.body, c.Issuer)
	if err == nil {
		if err = c.allows(keys); err != nil {
			err = fmt.Errorf("its jwks_uri %w", err)
		}
	}
	if err != nil {
		return nil, &fetchError{url: redact(u), err: err}
	}
	return keys, nil
}

// parseMetadata returns the key set's URL from an issuer's metadata. The issuer in it
// must be exactly the configured one (RFC 8414 section 3.3): otherwise an issuer could
// present another's keys as its own, or a host could answer for other issuers.
func parseMetadata(body []byte, issuer string) (*url.URL, error) {
	v, err := readMetadata(body, issuer, "write jwks_url with the metadata's jwks_uri instead of discovery")
	if err != nil {
		return nil, err
	}
	raw, ok, err := text(v, "jwks_uri")
	if err != nil || !ok {
		return nil, errors.New(`the metadata has no string "jwks_uri"`)
	}
	u, err := parseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("its jwks_uri %w", err)
	}
	return u, nil
}

// readMetadata returns an issuer's metadata. otherwise is what to write instead where it is
// another's.
func readMetadata(body []byte, issuer, otherwise string) (claims.Value, error) {
	if len(body) > maxDocumentBytes {
		return claims.Value{}, errTooLarge
	}
	v, err := parseJSON(body)
	if err != nil {
		return v, fmt.Errorf("the metadata %w", err)
	}
	said, ok, err := text(v, "issuer")
	switch {
	case err != nil || !ok:
		return v, errors.New(`the metadata has no string "issuer"`)
	case said != issuer:
		return v, fmt.Errorf("the metadata is for issuer %q, not %q; the two must be identical, trailing slash included: if the iss of the tokens is the one in the metadata, configure that; if it is the configured one, %s", cut(said, 200), cut(issuer, 200), otherwise)
	}
	return v, nil
}
