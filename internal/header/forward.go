// Package header sets the headers that pass an identity on to the upstream, and
// clears what a client sends under their names.
package header

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// Forward is a value of the identity that is passed on in a header. What is the
// path of a claim or one of identityValues.
type Forward struct {
	What   string
	Header string
	JSON   bool
}

// Token is a token that is made for the upstream and passed on in a header.
type Token struct {
	Header string
	// Sign makes the token of an identity. apiKey is the text of the API key that is a part
	// of it, "" for none. The error is a reason.Code or a reason.Detailed.
	Sign func(ctx context.Context, id *identity.Identity, apiKey string) (string, error)
	// Fresh makes one as of a time and keeps nothing; nil where nothing is explained.
	Fresh func(ctx context.Context, id *identity.Identity, now time.Time) (string, error)
}

// Config is what a handler passes on and what it clears.
type Config struct {
	// Values are values of the identity, each in a header of its own.
	Values []*Forward
	// Payload is the header that gets all claims, empty for none.
	Payload string
	// Tokens are made for the upstream.
	Tokens []Token
	// Clears are headers that are only cleared.
	Clears []string
	// Credentials are the headers in which credentials are sent, which can be none of
	// the others.
	Credentials []string
}

// Forwarding holds what a handler passes on and what it clears.
type Forwarding struct {
	values  []forwarded
	payload string // the header that gets all claims, or ""
	tokens  []Token
	Names   []string // the headers that are cleared, folded
	// Trailers are the trailers that are cleared, folded: Names, and the headers
	// that credentials are read from.
	Trailers []string
}

// forwarded is a Forward whose What is resolved.
type forwarded struct {
	Forward
	index int // in identityValues, -1 for a claim
}

// identityValues are the values of Forward.What that are not claims.
var identityValues = []string{"user", "issuer", "scopes", "key_id", "auth_method"}

// The indices of identityValues.
const (
	forwardUser = iota
	forwardIssuer
	forwardScopes
	forwardKeyID
	forwardMethod
)

// New makes what is forwarded and cleared, which it checks.
func New(c Config) (*Forwarding, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	f := &Forwarding{}
	for _, v := range c.Values {
		name := http.CanonicalHeaderKey(v.Header)
		f.values = append(f.values, forwarded{Forward{v.What, name, v.JSON}, slices.Index(identityValues, v.What)})
		f.Names = append(f.Names, fold(name))
	}
	if c.Payload != "" {
		f.payload = http.CanonicalHeaderKey(c.Payload)
		f.Names = append(f.Names, fold(f.payload))
	}
	for _, t := range c.Tokens {
		name := http.CanonicalHeaderKey(t.Header)
		f.tokens = append(f.tokens, Token{name, t.Sign, t.Fresh})
		f.Names = append(f.Names, fold(name))
	}
	for _, name := range c.Clears {
		f.Names = append(f.Names, fold(name))
	}
	f.Trailers = slices.Clone(f.Names)
	for _, name := range c.Credentials {
		f.Trailers = append(f.Trailers, fold(name))
	}
	return f, nil
}

// Check checks what is forwarded and cleared.
func (c *Config) Check() error {
	names := &names{credentials: c.Credentials}
	for _, v := range c.Values {
		if v == nil {
			return setting.InOption("forward", "an entry is null; write an object with what and header")
		}
		if !slices.Contains(identityValues, v.What) {
			if err := claims.CheckPath(v.What); err != nil {
				return setting.InOption("forward", "%w", err)
			}
		}
		if slices.Contains(identityValues, strings.ToLower(v.Header)) {
			return setting.InOption("forward", "%s is where the header goes; write forward %s X-%s", v.Header, v.Header, http.CanonicalHeaderKey(v.Header))
		}
		if err := names.add("forward", v.Header); err != nil {
			return err
		}
	}
	if c.Payload != "" {
		if err := names.add("forward_payload", c.Payload); err != nil {
			return err
		}
	}
	for _, t := range c.Tokens {
		if err := names.add("forward_jwt", t.Header); err != nil {
			return err
		}
	}
	for _, name := range c.Clears {
		if err := names.add("clear", name); err != nil {
			return err
		}
	}
	return nil
}

// names checks the names of headers one after the other.
type names struct {
	credentials []string
	folded      []string // those so far
}

func (n *names) add(option, header string) error {
	if err := checkForwardName(header); err != nil {
		return setting.InOption(option, "%w", err)
	}
	name := http.CanonicalHeaderKey(header)
	folded := fold(name)
	for _, c := range n.credentials {
		if fold(c) == folded {
			return setting.InOption(option, "the header %s is where credentials are read from, and would be removed before; use another one", name)
		}
	}
	if option != "clear" && reservedHeader(name) {
		return setting.InOption(option, "the header %s has a meaning of its own for Caddy or the upstream; use another one, such as X-User", name)
	}
	if slices.Contains(n.folded, folded) {
		return setting.InOption(option, "duplicate header %s; remove one", name)
	}
	n.folded = append(n.folded, folded)
	return nil
}

func checkForwardName(header string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(header):
		return fmt.Errorf("invalid header name %s; write one such as X-User", strconv.Quote(header))
	case strings.ContainsAny(header, "_."):
		return fmt.Errorf("%s: Caddy drops headers with _ or . in their name, and upstreams take them for -; write %s, which clears those spellings too", strconv.Quote(header), strings.NewReplacer("_", "-", ".", "-").Replace(header))
	}
	switch name := http.CanonicalHeaderKey(header); name {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Keep-Alive", "Expect":
		return fmt.Errorf("the header %s belongs to HTTP itself; use another one, such as X-User", name)
	}
	return nil
}

// reservedHeader reports whether Caddy or the upstream acts on a header, so that no
// claim may set it.
func reservedHeader(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Set-Cookie", "Forwarded", "Via", "Origin", "Referer", "Range", "Date",
		"Accept", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override":
		return true
	// Upstreams behind an authenticating proxy read the user from these.
	case "X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-Email", "X-Forwarded-Preferred-Username":
		return false
	}
	for _, prefix := range []string{"Content-", "Proxy-", "X-Forwarded-", "Sec-", "Accept-", "If-", "Access-Control-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Headers returns the headers for an identity. Values that it lacks get none. apiKey is the
// text of the API key that is a part of it, "" for none. The error is a reason.Code, that of
// a value that a header can't carry unchanged, or the error of Token.Sign.
func (f *Forwarding) Headers(ctx context.Context, id *identity.Identity, apiKey string, sent *Sent) ([]Header, error) {
	n := len(f.values) + len(f.tokens)
	if n == 0 && f.payload == "" {
		return nil, nil
	}
	if f.payload != "" {
		n++
	}
	headers, texts := sent.buffers(n)
	add := func(name, value string) {
		texts = append(texts, value)
		headers = append(headers, Header{name, texts[len(texts)-1 : len(texts) : len(texts)]})
	}
	for i := range f.values {
		value, ok, err := f.values[i].value(id)
		if err != nil {
			return nil, err
		}
		if ok {
			add(f.values[i].Header, value)
		}
	}
	if f.payload != "" {
		add(f.payload, base64.RawURLEncoding.EncodeToString(id.Claims().AppendJSON(nil)))
	}
	for i := range f.tokens {
		token, err := f.tokens[i].Sign(ctx, id, apiKey)
		if err != nil {
			return nil, err
		}
		add(f.tokens[i].Header, token)
	}
	return headers, nil
}
