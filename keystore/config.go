package keystore

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// The defaults of RemoteConfig.
const (
	DefaultRefreshInterval = time.Hour
	DefaultMaxStale        = 24 * time.Hour
)

// RemoteConfig says where a Remote's keys come from and how fresh they must
// be. Either JWKSURL is set, or Issuer is and the issuer's metadata names the
// key set.
type RemoteConfig struct {
	// Issuer is the issuer identifier that discovered metadata must state,
	// byte for byte. Not used with JWKSURL.
	Issuer string
	// Discovery is the URL of the issuer's metadata (OpenID Connect Discovery
	// section 4, RFC 8414 section 3). Default: derived from Issuer.
	Discovery string
	// JWKSURL is the URL of the key set. Default: discovered.
	JWKSURL string
	// RootCAs are the authorities that a server's certificate must come from.
	// Default: the system's.
	RootCAs *x509.CertPool
	// BearerToken returns what is sent as Authorization: Bearer, read at each
	// fetch, since such tokens change (Kubernetes). It is only ever sent to
	// the scheme, host and port of the configured URL. Default: none.
	BearerToken func() (string, error)
	// InsecureHTTP allows http:// for the host of the configured URL.
	// Default: https only, but for a configured URL that is loopback.
	InsecureHTTP bool
	// RefreshInterval is the longest a set is used before it is fetched
	// again; the answer's Cache-Control or Expires may shorten it to one
	// minute. Default: 1 hour.
	RefreshInterval time.Duration
	// MaxStale is the longest a set is used after its fetch while the source
	// is down. Default: 24 hours.
	MaxStale time.Duration
	// MaxKeys is how many keys the set may have. Default: 100, at most MostKeys.
	MaxKeys int
	// Transport carries the requests, for tests. Default: one of the Remote's
	// own with TLS 1.2 or newer and the proxy of HTTPS_PROXY.
	Transport http.RoundTripper
	// Skew is called after each answer with how far the server's clock is ahead of
	// this machine's, to the second, if the answer has a Date. Default: none.
	Skew func(ahead time.Duration)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
	// Observe is called for each change of state, sequentially, without a lock
	// and outside of requests. Default: none; see also Remote.Observe.
	Observe func(Event)
}

// Check reports what is wrong with the config, and what to write instead. It does not
// use the network.
func (c RemoteConfig) Check() error {
	_, err := c.source()
	return err
}

// source is a valid RemoteConfig with its defaults filled in.
type source struct {
	RemoteConfig
	// start is the configured URL: of the key set, of the metadata, or the
	// issuer that they are derived from.
	start *url.URL
}

func (c RemoteConfig) source() (source, error) {
	s := source{RemoteConfig: c}
	if s.RefreshInterval == 0 {
		s.RefreshInterval = DefaultRefreshInterval
	}
	if s.MaxStale == 0 {
		s.MaxStale = DefaultMaxStale
	}
	if s.Clock == nil {
		s.Clock = clock.System()
	}
	switch {
	case s.RefreshInterval < time.Second:
		return s, fmt.Errorf("the refresh interval %s is too short; write 1m or more", s.RefreshInterval)
	case s.MaxStale < s.RefreshInterval:
		return s, fmt.Errorf("max stale (%s) is shorter than the refresh interval (%s), so keys would go out of use between two refreshes; lengthen the one or shorten the other", s.MaxStale, s.RefreshInterval)
	case c.JWKSURL != "" && c.Discovery != "":
		return s, errors.New("both a key set URL and a discovery URL are set; keep one")
	case c.JWKSURL == "" && c.Issuer == "":
		return s, errors.New("neither an issuer nor a key set URL is set; set one")
	}
	what, raw := "issuer", c.Issuer
	if c.JWKSURL != "" {
		what, raw = "key set URL", c.JWKSURL
	} else if c.Discovery != "" {
		what, raw = "discovery URL", c.Discovery
	}
	u, err := parseURL(raw)
	if err != nil {
		return s, fmt.Errorf("the %s %s", what, err)
	}
	if what == "issuer" && u.RawQuery != "" {
		return s, errors.New("the issuer has a query, so its metadata cannot be found; name the discovery URL or the key set URL")
	}
	if u.Scheme == "http" && !c.InsecureHTTP && !loopback(u.Hostname()) {
		return s, fmt.Errorf("the %s is http, where anybody on the network path can substitute keys; write https://%s%s, or insecure_http in an issuer block if that network is yours alone", what, u.Host, u.EscapedPath())
	}
	s.start = u
	return s, nil
}

// allows returns an error if a URL from the metadata must not be fetched. Allowed are
// https, http at the configured host with InsecureHTTP, and http at loopback if the
// configured host is loopback. Thus remote metadata can't point at a plain HTTP service
// on this machine.
func (s *source) allows(u *url.URL) error {
	if u.Scheme == "https" {
		return nil
	}
	host, ours := u.Hostname(), s.start.Hostname()
	if loopback(host) && loopback(ours) {
		return nil
	}
	if s.InsecureHTTP && strings.EqualFold(host, ours) {
		return nil
	}
	return errors.New("is http; only https is followed")
}

// parseURL parses an absolute http or https URL. The error continues a sentence that
// names the URL and does not contain it, since it may contain a password.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a valid URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("is not a URL that starts with https://")
	case u.Hostname() == "":
		return nil, errors.New("has no host; write https://host/path")
	case !validPort(u.Port()):
		return nil, errors.New("has an invalid port")
	case u.User != nil:
		return nil, errors.New("holds a user name or password, which would end up in logs; remove it")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, errors.New("has a fragment (#), which is never sent; remove it")
	}
	return u, nil
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

func validPort(p string) bool {
	n, err := strconv.ParseUint(p, 10, 16)
	return p == "" || (err == nil && n > 0)
}

// redact returns a URL for logs: at most 300 characters, and without the query, which
// may contain an API key.
func redact(u *url.URL) string {
	return cut((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String(), 300)
}
