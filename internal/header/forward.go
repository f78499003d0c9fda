// Package header sets the headers that pass an identity on to the upstream, and
// clears what a client sends under their names.
package header

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

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

// Forwarding holds what a handler passes on and what it clears.
type Forwarding struct {
	values  []forwarded
	payload string   // the header that gets all claims, or ""
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
func New(values []*Forward, payload string, clears, credentials []string) (*Forwarding, error) {
	if err := Check(values, payload, clears, credentials); err != nil {
		return nil, err
	}
	f := &Forwarding{}
	for _, v := range values {
		name := http.CanonicalHeaderKey(v.Header)
		f.values = append(f.values, forwarded{Forward{v.What, name, v.JSON}, slices.Index(identityValues, v.What)})
		f.Names = append(f.Names, fold(name))
	}
	if payload != "" {
		f.payload = http.CanonicalHeaderKey(payload)
		f.Names = append(f.Names, fold(f.payload))
	}
	for _, c := range clears {
		f.Names = append(f.Names, fold(c))
	}
	f.Trailers = slices.Clone(f.Names)
	for _, c := range credentials {
		f.Trailers = append(f.Trailers, fold(c))
	}
	return f, nil
}

// Check checks what is forwarded and cleared. credentials are the names of the
// headers in which credentials are sent, which can be neither.
func Check(values []*Forward, payload string, clears, credentials []string) error {
	names := &names{credentials: credentials}
	for _, v := range values {
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
	if payload != "" {
		if err := names.add("forward_payload", payload); err != nil {
			return err
		}
	}
	for _, c := range clears {
		if err := names.add("clear", c); err != nil {
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

// errUnforwardable is the error for a value that a header can't carry unchanged.
var errUnforwardable = errors.New("a value can't be forwarded")

// Headers returns the headers for an identity. Values that it lacks get none.
func (f *Forwarding) Headers(id *identity.Identity, sent *Sent) ([]Header, error) {
	if len(f.values) == 0 && f.payload == "" {
		return nil, nil
	}
	n := len(f.values)
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
	return headers, nil
}

// value returns the value for an identity; ok is false for a claim that is absent,
// null or an empty list.
func (f *forwarded) value(id *identity.Identity) (value string, ok bool, err error) {
	var (
		v    claims.Value
		text string
	)
	isText := true
	switch f.index {
	case forwardUser:
		text = id.User()
	case forwardIssuer:
		text = id.Issuer()
	case forwardKeyID:
		text = id.KeyID()
	case forwardMethod:
		text = id.Method()
	case forwardScopes:
		if isText = !f.JSON; isText {
			text = strings.Join(id.Scopes(), " ")
		} else {
			v = claims.TextList(id.Scopes())
		}
	default:
		v, _ = id.Claims().Lookup(f.What)
		text, isText = v.Text()
	}
	switch {
	case isText && f.JSON:
		return asciiJSON(claims.TextValue(text).AppendJSON(nil)), true, nil
	case isText && !sendable(text):
		return "", false, errUnforwardable
	case isText:
		return text, text != "", nil
	case v.Kind() == claims.Null:
		return "", false, nil
	case f.JSON:
		return asciiJSON(v.AppendJSON(nil)), true, nil
	case v.Kind() == claims.Array && !listable(v):
		return "", false, errUnforwardable
	}
	if value = v.Render(); !sendable(value) {
		return "", false, errUnforwardable
	}
	return value, value != "", nil
}

// asciiJSON returns JSON with \u escapes for what is not printable ASCII, which is only in
// its strings: many servers read a header's bytes as another encoding than UTF-8 (RFC 9110
// section 5.5).
func asciiJSON(text []byte) string {
	plain := true
	for _, c := range text {
		if c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return string(text)
	}
	out := make([]byte, 0, len(text)*2)
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r <= 0xffff:
			out = fmt.Appendf(out, "\\u%04x", r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, "\\u%04x\\u%04x", high, low)
		}
	}
	return string(out)
}

// listable reports whether a list, joined with commas, can be split again.
func listable(v claims.Value) bool {
	for i := range v.Len() {
		if element := v.At(i).Render(); strings.Contains(element, ",") || !sendable(element) {
			return false
		}
	}
	return true
}

// sendable reports whether a value reaches the upstream unchanged: control
// characters would end the header or be refused, and HTTP trims spaces at the ends.
func sendable(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f {
			return false
		}
	}
	return value == "" || value[0] != ' ' && value[len(value)-1] != ' '
}
