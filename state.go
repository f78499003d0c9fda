package caddyjwt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// state is what the jwt handlers of one request share.
type state struct {
	repl     *caddy.Replacer // of the request
	identity *identity       // nil for nobody
	names    *[]ClaimName    // of all handlers that the request has come to; nil for none
	refusal  *refusal        // nil for none
	removed  []removed
	sent     []sentHeader // the headers of the identity

	// Room for what most requests have one of, so that it costs no memory of its own.
	first        [1]removed
	headerRoom   [1]sentHeader
	textRoom     [1]string
	own          identity
	ownTaken     bool
	headersTaken bool

	logs    bool // whether the server may have an access log
	insists bool // whether another handler may have set our placeholders
}

// refusal is why a request is refused, or would be. Requests share it: it never
// changes.
type refusal struct {
	reason reason.Code
	answer *answer // nil until it is decided
	unmet  string  // the requirement that was not met, in the config's words
}

// miss notes a requirement that is not met.
func (st *state) miss(requirement string) {
	var with refusal
	if st.refusal != nil {
		with = *st.refusal
	}
	with.unmet = requirement
	st.refusal = &with
}

// refuse notes how a request is refused, or would be.
func (st *state) refuse(r *refusal) {
	if st.refusal != nil && st.refusal.unmet != "" {
		with := *r
		with.unmet = st.refusal.unmet
		r = &with
	}
	st.refusal = r
}

// newIdentity returns an identity to be filled.
func (st *state) newIdentity() *identity {
	if st.ownTaken {
		return new(identity)
	}
	st.ownTaken = true
	return &st.own
}

// room returns empty slices for n headers and their values.
func (st *state) room(n int) ([]sentHeader, []string) {
	if st.headersTaken || n > len(st.headerRoom) {
		return make([]sentHeader, 0, n), make([]string, 0, n)
	}
	st.headersTaken = true
	return st.headerRoom[:0:n], st.textRoom[:0:n]
}

// Format keeps what the state holds out of anything that prints a value.
func (*state) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("jwt state")) }

// stateKey is the name of the state among the request's variables. No placeholder
// can spell it, as a brace ends a placeholder's name.
const stateKey = "}jwt"

// requestState returns the request's state and makes it at the first call. It
// stands among Caddy's variables of the request, of which there is one map from its
// beginning to the end of its error routes, whatever handlers make of the request;
// a value of the context would cost a copy of the request and be lost to error
// routes.
func requestState(r *http.Request) *state {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if st, ok := vars[stateKey].(*state); ok {
		return st
	}
	st := new(state)
	st.removed = st.first[:0]
	st.repl, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if vars != nil {
		vars[stateKey] = st
	}
	if st.repl != nil {
		st.repl.Map(st.placeholder)
	}
	return st
}

// stateOf returns the request's state, nil if no jwt handler has seen it.
func stateOf(r *http.Request) *state {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	st, _ := vars[stateKey].(*state)
	return st
}

// enter tells the state that a request has come to a handler.
func (st *state) enter(h *Handler) {
	st.logs = st.logs || h.logs
	st.insists = st.insists || h.namesake.possible()
	switch {
	case len(h.claims) == 0:
	case st.names == nil:
		st.names = &h.claims
	default:
		all := slices.Concat(*st.names, h.claims)
		st.names = &all
	}
}

// publish makes an identity that of the request, with its headers. Of the headers
// that a handler further out has made those of these names go, and all of them
// where it has found another user: nobody may be told of two users at once.
func (st *state) publish(r *http.Request, id *identity, names []string, headers []sentHeader) {
	if len(st.sent) > 0 {
		var kept []sentHeader
		another := st.identity == nil || !st.identity.sameUser(id)
		for _, h := range st.sent {
			if another || cleared(h.name, names) {
				delete(r.Header, h.name)
			} else {
				kept = append(kept, h)
			}
		}
		st.sent = kept
	}
	for _, h := range headers {
		r.Header[h.name] = h.value
	}
	if len(st.sent) == 0 {
		st.sent = headers
	} else {
		st.sent = append(st.sent, headers...)
	}
	st.identity, st.refusal = id, nil
	st.insist()
	st.logFields(r, id, "")
}

// pass lets the request go on without an identity of this handler's. That of a
// handler further out stays.
func (st *state) pass(r *http.Request) {
	st.insist()
	if st.identity == nil {
		st.logFields(r, nil, "")
	}
}

// passed is pass for a request that would have been refused.
func (st *state) passed(r *http.Request, why *refusal) {
	st.refuse(why)
	st.pass(r)
}

// hasSent tells whether a header is one of the identity's, untouched.
func (st *state) hasSent(name string, value []string) bool {
	for _, h := range st.sent {
		if h.name == name && len(value) == 1 && &value[0] == &h.value[0] {
			return true
		}
	}
	return false
}

// withdraw leaves the request without an identity, for a refusal.
func (st *state) withdraw(r *http.Request, why *refusal) {
	for _, h := range st.sent {
		delete(r.Header, h.name)
	}
	st.sent = nil
	st.identity = nil
	st.refuse(why)
	st.insist()
	st.logFields(r, nil, why.reason)
}

// insist makes our placeholders win. The replacer asks others first: where one
// of them (basic_auth in front of us) has set a name that is ours, it would
// give another user's identity for this one's.
func (st *state) insist() {
	if st.repl == nil || !st.insists {
		return
	}
	id := ""
	if st.identity != nil {
		id = st.identity.user()
	}
	st.insistOn("http.auth.user.id", id)
	for _, c := range st.claimNames() {
		value, _ := st.user(c.Name)
		text, _ := value.(string)
		st.insistOn(c.placeholder, text)
	}
}

func (st *state) claimNames() []ClaimName {
	if st.names == nil {
		return nil
	}
	return *st.names
}

func (st *state) insistOn(name, value string) {
	got, _ := st.repl.Get(name)
	if text, ok := got.(string); !ok || text != value {
		st.repl.Set(name, value)
	}
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
		return nil, false
	}
	switch rest {
	case "auth_method":
		if st.identity == nil {
			return methodAnonymous, true
		}
		return st.identity.method(), true
	case "error", "error_description", "reason":
		return st.told(rest), true
	}
	id := st.identity
	if path, ok := strings.CutPrefix(rest, "claims."); ok {
		if id == nil {
			return "", true
		}
		return id.claim(path), true
	}
	switch rest {
	case "claims", "issuer", "kid", "scopes", "expires_at", "key_id":
	default:
		return nil, false
	}
	if id == nil {
		return "", true
	}
	switch rest {
	case "claims":
		return string(id.all().AppendJSON(nil)), true
	case "issuer":
		return id.issuer(), true
	case "kid":
		return id.kid(), true
	case "scopes":
		return strings.Join(id.scopes(), " "), true
	case "expires_at":
		if id.expires().IsZero() {
			return "", true
		}
		return id.expires().UTC().Format(time.RFC3339), true
	default: // key_id
		return id.keyID(), true
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
		return st.identity.user(), true
	}
	if st.identity != nil {
		names := st.identity.handler.claims
		for i := range names {
			if names[i].Name == name {
				return st.identity.claim(names[i].Path), true
			}
		}
	}
	for _, c := range st.claimNames() {
		if c.Name == name {
			return "", true
		}
	}
	return nil, false
}

func (st *state) told(name string) string {
	switch {
	case st.refusal == nil || st.refusal.answer == nil:
		return ""
	case name == "error":
		return st.refusal.answer.code
	case name == "error_description":
		return st.refusal.answer.text
	default:
		return string(st.refusal.reason)
	}
}
