package caddyjwt

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// ClaimName gives a claim a placeholder of its own.
type ClaimName struct {
	// The claim's path: steps are divided by dots, arrays are stepped into
	// by index, and at each step the longest literal name wins.
	Path string `json:"path"`
	// The name in `{http.auth.user.<name>}`. Default: the last step of the
	// path. Never id, which is the user's.
	Name string `json:"name,omitempty"`

	placeholder string
}

func checkClaimNames(configured []*ClaimName) ([]ClaimName, error) {
	var list []ClaimName
	for _, c := range configured {
		if c == nil {
			return nil, errors.New("claim: an entry is null; write claim <path> [<name>]")
		}
		if err := claims.CheckPath(c.Path); err != nil {
			return nil, fmt.Errorf("claim: %w", err)
		}
		named := *c
		if named.Name == "" {
			named.Name = claims.PathName(named.Path)
		}
		if err := checkClaimName(named.Name); err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.Path, err)
		}
		for _, other := range list {
			if other.Name == named.Name {
				return nil, fmt.Errorf("claim %s: the name %s is taken by the claim %s; give one of them another: claim %s <name>", named.Path, named.Name, other.Path, named.Path)
			}
		}
		named.placeholder = "http.auth.user." + named.Name
		list = append(list, named)
	}
	return list, nil
}

func checkClaimName(name string) error {
	if name == "id" {
		return errors.New("the name id is the user's own; give the claim another: claim <path> <name>")
	}
	for _, c := range name {
		if c <= ' ' || c == '{' || c == '}' || c == 0x7f {
			return fmt.Errorf("%s can't be the name of a placeholder; give the claim one of letters, digits, _ and -: claim <path> <name>", strconv.Quote(name))
		}
	}
	return nil
}

// identity is who a request comes from, as a handler has verified it.
type identity struct {
	token  *validator.Token
	claims []ClaimName
}

// The values of {http.jwt.auth_method}.
const (
	methodJWT       = "jwt"
	methodAnonymous = "anonymous"
)

// state is what the jwt handlers of one request share.
type state struct {
	identity *identity   // nil for nobody
	names    []ClaimName // of all handlers that the request has come to
	refused  Reason
	answer   *answer // of the refusal
	removed  []removed
}

// Format keeps what the state holds out of anything that prints a value.
func (*state) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("jwt state")) }

// stateKey is the name under which the request's replacer knows the state. No
// placeholder can spell it, as a brace ends a placeholder's name.
const stateKey = "}jwt"

// requestState returns the request's state and makes it at the first call. It
// hangs on the replacer, of which a request has one from its beginning to the
// end of its error routes, whatever handlers make of the request; a value of
// the context would cost a copy of the request and be lost to error routes.
func requestState(r *http.Request) *state {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return new(state)
	}
	if v, ok := repl.Get(stateKey); ok {
		if st, ok := v.(*state); ok {
			return st
		}
	}
	st := new(state)
	repl.Map(st.placeholder)
	return st
}

// enter tells the state which names a handler gives to claims.
func (st *state) enter(names []ClaimName) {
	switch {
	case len(st.names) == 0:
		st.names = names
	case len(names) > 0:
		st.names = append(slices.Clip(st.names), names...)
	}
}

// publish makes an identity that of the request.
func (st *state) publish(r *http.Request, id *identity) {
	st.identity, st.refused, st.answer = id, "", nil
	st.insist(r)
}

// withdraw leaves the request without an identity, for a refusal.
func (st *state) withdraw(r *http.Request, reason Reason, a *answer) {
	st.identity, st.refused, st.answer = nil, reason, a
	st.insist(r)
}

// insist makes our placeholders win. The replacer asks others first: where one
// of them (basic_auth in front of us) has set a name that is ours, it would
// give another user's identity for this one's.
func (st *state) insist(r *http.Request) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	insist := func(name string, value any) {
		if got, _ := repl.Get(name); got != value {
			repl.Set(name, value)
		}
	}
	id, _ := st.user("id")
	insist("http.auth.user.id", id)
	for i := range st.names {
		value, _ := st.user(st.names[i].Name)
		insist(st.names[i].placeholder, value)
	}
}

func (id *identity) claim(path string) string {
	v, _ := id.token.Claims().Lookup(path)
	return v.Render()
}

// placeholder provides all placeholders of this plugin. Where nobody is
// authenticated they are known and empty: an unknown one would be written out
// by name into headers.
func (st *state) placeholder(name string) (any, bool) {
	if rest, ok := strings.CutPrefix(name, "http.auth.user."); ok {
		return st.user(rest)
	}
	rest, ok := strings.CutPrefix(name, "http.jwt.")
	if !ok {
		return st, name == stateKey
	}
	switch rest {
	case "auth_method":
		if st.identity == nil {
			return methodAnonymous, true
		}
		return methodJWT, true
	case "error", "error_description", "reason":
		return st.refusal(rest), true
	}
	var t *validator.Token
	if st.identity != nil {
		t = st.identity.token
	}
	if path, ok := strings.CutPrefix(rest, "claims."); ok {
		if t == nil {
			return "", true
		}
		return st.identity.claim(path), true
	}
	switch rest {
	case "claims", "issuer", "kid", "scopes", "expires_at", "key_id":
	default:
		return nil, false
	}
	if t == nil {
		return "", true
	}
	switch rest {
	case "claims":
		return string(t.Claims().AppendJSON(nil)), true
	case "issuer":
		return t.Issuer(), true
	case "kid":
		return t.KeyID(), true
	case "scopes":
		return strings.Join(t.Scopes(), " "), true
	case "expires_at":
		if t.Expires().IsZero() {
			return "", true
		}
		return t.Expires().UTC().Format(time.RFC3339), true
	default: // key_id: of API keys only
		return "", true
	}
}

// user provides {http.auth.user.<name>}. A name that only a handler further
// out gives is known and empty: the identity in force is not the one that it
// was given for.
func (st *state) user(name string) (any, bool) {
	if name == "id" {
		if st.identity == nil {
			return "", true
		}
		return st.identity.token.User(), true
	}
	if st.identity != nil {
		for i := range st.identity.claims {
			if st.identity.claims[i].Name == name {
				return st.identity.claim(st.identity.claims[i].Path), true
			}
		}
	}
	for i := range st.names {
		if st.names[i].Name == name {
			return "", true
		}
	}
	return nil, false
}

func (st *state) refusal(name string) string {
	switch {
	case st.answer == nil:
		return ""
	case name == "error":
		return st.answer.code
	case name == "error_description":
		return st.answer.text
	default:
		return string(st.refused)
	}
}
