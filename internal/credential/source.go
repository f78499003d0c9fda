package credential

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// Source is where a token or an API key may be in a request: a header with an
// optional scheme, a query parameter, a cookie, or the password of Basic.
type Source struct {
	From     string
	Name     string
	Scheme   string
	NoScheme bool // whether there is none, even where Bearer is the default
}

// The values of Source.From.
const (
	FromHeader = "header"
	FromQuery  = "query"
	FromCookie = "cookie"
	FromBasic  = "basic"
)

// The sources that are read if none is configured.
var (
	defaultTokenSource  = Source{From: FromHeader, Name: "Authorization", Scheme: "Bearer"}
	defaultAPIKeySource = Source{From: FromHeader, Name: http.CanonicalHeaderKey("X-API-Key")}
)

// Settings decide where credentials are read. A kind of credential that nothing
// could verify is neither read nor removed.
type Settings struct {
	Tokens, APIKeys       bool // whether there are issuers, and API keys
	TokenFrom, APIKeyFrom []*Source
	TrustedOrigins        []string
	IsKey                 func(text string) bool // whether there is an API key with a text; may be nil
	Keep                  bool
	InPlace               bool // removes nothing, as in mode report
}

// Check checks settings, and returns the names of the headers in which credentials
// are sent.
func Check(settings Settings) (headers []string, err error) {
	all, err := settings.places()
	if err != nil {
		return nil, err
	}
	return headersOf(all), checkOrigins(settings, all)
}

// New makes the places of settings, which it checks.
func New(settings Settings) (*Places, error) {
	all, err := settings.places()
	if err != nil {
		return nil, err
	}
	if err := checkOrigins(settings, all); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].tokens && all[i].apiKeys {
			all[i].isKey = settings.IsKey
		}
	}
	c := &Places{isKey: settings.IsKey, places: all, keep: settings.Keep, inPlace: settings.InPlace, origins: http.NewCrossOriginProtection()}
	for _, o := range settings.TrustedOrigins {
		if err := c.origins.AddTrustedOrigin(normalOrigin(o)); err != nil {
			return nil, err
		}
	}
	if len(c.places) == 1 && c.places[0].From == FromHeader && !c.keep && !c.inPlace {
		c.header = &c.places[0]
	}
	for _, name := range []string{"Authorization", "X-Api-Key"} {
		// Where a header has no scheme, all that it holds is removed anyway.
		if !slices.ContainsFunc(c.places, func(s place) bool { return s.From == FromHeader && s.Name == name && s.Scheme == "" }) {
			c.copies = append(c.copies, name)
		}
	}
	return c, nil
}

// checkOrigins checks the trusted origins, which are for the credentials that a
// browser sends by itself.
func checkOrigins(settings Settings, all []place) error {
	for _, o := range settings.TrustedOrigins {
		if strings.Contains(o, "*") {
			return setting.InOption("trusted_origins", "%s has a *, which matches nothing; write each origin, such as https://app.example.com", strconv.Quote(o))
		}
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(normalOrigin(o)); err != nil {
			return setting.InOption("trusted_origins", "invalid origin %s; write scheme and host such as https://app.example.com, without a path", strconv.Quote(o))
		}
	}
	if len(settings.TrustedOrigins) > 0 && !has(all, FromCookie) && !has(all, FromBasic) {
		option := "token_from"
		if !settings.Tokens {
			option = "api_key_from"
		}
		return setting.InOption("trusted_origins", "it is for credentials in cookies; add %s cookie <name>, or remove it", option)
	}
	return nil
}

// normalOrigin returns an origin as browsers send it: in lower case, and without the port
// that its scheme has by default (RFC 6454 section 6.2).
func normalOrigin(origin string) string {
	scheme, host, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok {
		return origin
	}
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	if name, err := idna.Lookup.ToASCII(host); err == nil && !strings.ContainsAny(host, ":/") {
		host = name
	}
	return scheme + "://" + host
}

// places are the places of both kinds of credential.
func (settings *Settings) places() (all []place, err error) {
	if all, err = addKind(nil, "token_from", settings.Tokens, settings.TokenFrom, defaultTokenSource); err != nil {
		return nil, err
	}
	return addKind(all, "api_key_from", settings.APIKeys, settings.APIKeyFrom, defaultAPIKeySource)
}

// Where returns the places in which tokens are looked for, or API keys, in words.
func (c *Places) Where(tokens bool) []string {
	var list []string
	for _, s := range c.places {
		if tokens && s.tokens || !tokens && s.apiKeys {
			list = append(list, s.String())
		}
	}
	return list
}

// Shared returns the places in which both tokens and API keys are looked for, in words.
func (c *Places) Shared() []string {
	var list []string
	for _, s := range c.places {
		if s.tokens && s.apiKeys {
			list = append(list, s.String())
		}
	}
	return list
}

// String returns the source in words, as in "in the cookie session".
func (s Source) String() string {
	switch {
	case s.From == FromQuery:
		return "in the query parameter " + s.Name
	case s.From == FromCookie:
		return "in the cookie " + s.Name
	case s.From == FromBasic:
		return "as the password of HTTP Basic"
	case s.Scheme != "":
		return "in the header " + s.Name + " with the scheme " + s.Scheme
	}
	return "in the header " + s.Name
}

// addKind adds the sources of one kind of credential.
func addKind(all []place, option string, wanted bool, configured []*Source, fallback Source) ([]place, error) {
	if !wanted {
		if len(configured) == 0 {
			return all, nil
		}
		if option == "token_from" {
			return nil, setting.InOption(option, "there is no issuer whose tokens could be read; name one, such as issuer https://auth.example.com/, or remove it")
		}
		return nil, setting.InOption(option, "there is no API key that could be read; name keys, such as api_keys /etc/caddy/keys.jsonl, or remove it")
	}
	if len(configured) == 0 {
		configured = []*Source{&fallback}
	}
	isToken := option == "token_from"
	for _, s := range configured {
		if s == nil {
			return nil, setting.InOption(option, "an entry is null; write a source such as header %s", fallback.Name)
		}
		this := *s
		if err := this.check(isToken); err != nil {
			return nil, setting.InOption(option, "%w", err)
		}
		var err error
		if all, err = addSource(all, this, isToken); err != nil {
			return nil, setting.InOption(option, "%w", err)
		}
	}
	return all, nil
}

// addSource adds a place, or lets one hold both kinds.
func addSource(all []place, s Source, isToken bool) ([]place, error) {
	for i := range all {
		other := &all[i]
		if other.equal(s) {
			if isToken && other.tokens || !isToken && other.apiKeys {
				return nil, fmt.Errorf("duplicate %s; remove one", strings.TrimSpace(s.From+" "+s.Name))
			}
			other.tokens, other.apiKeys = true, true
			return all, nil
		}
		if whole := func(a, b Source) bool {
			return a.From == FromBasic && b.From == FromHeader && b.Name == "Authorization" && b.Scheme == ""
		}; whole(s, other.Source) || whole(other.Source, s) {
			return nil, errors.New("the header Authorization is read whole and as Basic, so that a value could be two credentials; remove one of the two")
		}
		if s.From == FromHeader && other.From == FromHeader && s.Name == other.Name && (s.Scheme == "") != (other.Scheme == "") {
			return nil, fmt.Errorf("the header %s is read with a scheme and without one, so that a value could be two credentials; write the scheme in both, or in none", s.Name)
		}
	}
	return append(all, place{Source: s, tokens: isToken, apiKeys: !isToken}), nil
}

// equal reports whether two sources are the same. Schemes are case-insensitive
// (RFC 9110 section 11.1).
func (s *Source) equal(other Source) bool {
	return s.From == other.From && s.Name == other.Name && strings.EqualFold(s.Scheme, other.Scheme)
}

func (s *Source) check(isToken bool) error {
	switch s.From {
	case FromHeader:
		return s.checkHeader()
	case FromQuery, FromCookie:
		if s.Name == "" || s.From == FromCookie && !httpguts.ValidHeaderFieldName(s.Name) {
			return fmt.Errorf("invalid %s name %s; write one such as access_token", map[string]string{FromQuery: "query parameter", FromCookie: "cookie"}[s.From], strconv.Quote(s.Name))
		}
		if s.Scheme != "" {
			return fmt.Errorf("a scheme is for headers; write %s %s", s.From, s.Name)
		}
		return nil
	case FromBasic:
		if isToken {
			return errors.New("basic is for API keys; write api_key_from basic, or header Authorization Bearer for tokens")
		}
		if s.Name != "" || s.Scheme != "" {
			return errors.New("basic has no name and no scheme; write basic alone")
		}
		return nil
	default:
		if isToken {
			return fmt.Errorf("unknown place %s for a token; write header, query or cookie", strconv.Quote(s.From))
		}
		return fmt.Errorf("unknown place %s for an API key; write header, query, cookie or basic", strconv.Quote(s.From))
	}
}

func (s *Source) checkHeader() error {
	if !httpguts.ValidHeaderFieldName(s.Name) {
		return fmt.Errorf("invalid header name %s; write header Authorization Bearer", strconv.Quote(s.Name))
	}
	s.Name = http.CanonicalHeaderKey(s.Name)
	switch s.Name {
	case "Cookie":
		return errors.New("the header Cookie holds many values; write cookie <name>")
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer":
		return fmt.Errorf("the header %s belongs to HTTP itself; use another one", s.Name)
	case "Sec-Websocket-Protocol":
		return errors.New("the header Sec-WebSocket-Protocol is a list of protocols of which the server must choose one, so a token in it is never read; docs/guides/websockets.md shows where a WebSocket's token can be")
	case "Authorization":
		if s.Scheme == "" && !s.NoScheme {
			s.Scheme = "Bearer"
		}
		if strings.EqualFold(s.Scheme, "Basic") {
			return errors.New("the scheme Basic holds a user name and a password; write api_key_from basic")
		}
	}
	if s.Scheme != "" && !httpguts.ValidHeaderFieldName(s.Scheme) {
		return fmt.Errorf("invalid authentication scheme %s; write one word such as Bearer", strconv.Quote(s.Scheme))
	}
	return nil
}
