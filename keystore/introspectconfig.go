package keystore

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// DefaultIntrospectionCache is the default of IntrospectionConfig.Cache.
const DefaultIntrospectionCache = 30 * time.Second

// IntrospectionConfig says where an issuer is asked about its tokens (RFC 7662), and as which
// client. Either URL is set, or the issuer's metadata names the endpoint.
type IntrospectionConfig struct {
	// Issuer is the issuer identifier. Metadata must state it byte for byte, and so must the
	// iss of an answer that has one. It may only be empty with a URL: then any iss is accepted.
	Issuer string
	// URL is the introspection endpoint. Default: discovered.
	URL string
	// Discovery is the URL of the issuer's metadata. Default: derived from Issuer. Not used
	// with a URL.
	Discovery string
	// ClientID is the client as which the issuer is asked. Empty for none, where the endpoint
	// can only be reached by those who may ask, as Hydra's.
	ClientID string
	// ClientSecret returns the client's secret. It is read for each call, since secrets in
	// files change, and sent to the endpoint alone. Line ends at its end are cut off.
	ClientSecret func() (string, error)
	// Cache is the longest that an answer is used that a token is active; its exp may shorten
	// it. Negative: each request asks. Default: 30 seconds. That a token is not active is
	// remembered for 5 seconds in any case.
	Cache time.Duration
	// AllowUntyped accepts answers that name no kind of token (token_type, token_use,
	// token_usage or typ). Several servers answer so about refresh tokens, which are active for
	// longer and are not meant for this server. Default: such answers are refused.
	AllowUntyped bool
	// RootCAs are the authorities that a server's certificate must come from.
	// Default: the system's.
	RootCAs *x509.CertPool
	// InsecureHTTP allows http:// for the host of the configured URL.
	// Default: https only, but for a configured URL that is loopback.
	InsecureHTTP bool
	// Transport carries the requests, for tests. Default: one of the Introspection's
	// own with TLS 1.2 or newer and the proxy of HTTPS_PROXY.
	Transport http.RoundTripper
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
	// Observe is called for each change of state, sequentially, without a lock
	// and outside of requests. Default: none; see also Introspection.Observe.
	Observe func(IntrospectionEvent)
}

// Check reports what is wrong with the config, and what to write instead. It does not
// use the network.
func (c IntrospectionConfig) Check() error {
	_, err := c.source()
	return err
}

// source returns where to ask. Its start is the configured URL: of the endpoint, of the
// metadata, or the issuer that this is derived from.
func (c IntrospectionConfig) source() (source, error) {
	s := source{RemoteConfig: RemoteConfig{
		Issuer: c.Issuer, Discovery: c.Discovery, RootCAs: c.RootCAs, InsecureHTTP: c.InsecureHTTP, Transport: c.Transport, Clock: c.Clock,
	}}
	if s.Clock == nil {
		s.Clock = clock.System()
	}
	switch {
	case c.URL != "" && c.Discovery != "":
		return s, errors.New("both the URL of the introspection endpoint and a discovery URL are set; keep one")
	case c.URL == "" && c.Issuer == "":
		return s, errors.New("neither an issuer nor the URL of the introspection endpoint is set; set one")
	case c.ClientID == "" && c.ClientSecret != nil:
		return s, errors.New("there is a client secret without a client ID; write both")
	case c.ClientID != "" && c.ClientSecret == nil:
		return s, errors.New("there is a client ID without a client secret; write both")
	}
	what, raw := "issuer", c.Issuer
	if c.URL != "" {
		what, raw = "URL of the introspection endpoint", c.URL
	} else if c.Discovery != "" {
		what, raw = "discovery URL", c.Discovery
	}
	u, err := parseURL(raw)
	if err != nil {
		return s, fmt.Errorf("the %s %w", what, err)
	}
	s.start = u
	if what == "issuer" && u.RawQuery != "" {
		return s, errors.New("the issuer has a query, so its metadata cannot be found; write the URL of the introspection endpoint")
	}
	if s.allows(u) != nil {
		return s, fmt.Errorf("the %s is http, where anybody on the network path can read the client's secret and the tokens; write https://%s%s, or insecure_http in the issuer block if that network is yours alone", what, u.Host, u.EscapedPath())
	}
	return s, nil
}
