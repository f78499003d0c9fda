package caddyjwt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// state is what the jwt handlers of one request share.
type state struct {
	repl     *caddy.Replacer // of the request
	identity *identity       // nil for nobody
	names    []ClaimName     // of all handlers that the request has come to
	logs     bool            // whether the server may have an access log
	insists  bool            // whether another handler may have set our placeholders
	refused  Reason
	unmet    string  // the requirement that was not met, in the config's words
	answer   *answer // of the refusal
	removed  []removed
	sent     []sentHeader // the headers of the identity

	// Room for what most requests have one of, so that it costs no memory of its own.
	first        [1]removed
	own          identity
	ownTaken     bool
	headerRoom   [2]sentHeader
	textRoom     [2]string
	headersTaken bool
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
	names := h.claims
	switch {
	case len(st.names) == 0:
		st.names = names
	case len(names) > 0:
		st.names = append(slices.Clip(st.names), names...)
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
	st.identity, st.refused, st.answer = id, "", nil
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
func (st *state) passed(r *http.Request, reason Reason, a *answer) {
	st.refused, st.answer = reason, a
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
func (st *state) withdraw(r *http.Request, reason Reason, a *answer) {
	for _, h := range st.sent {
		delete(r.Header, h.name)
	}
	st.sent = nil
	st.identity, st.refused, st.answer = nil, reason, a
	st.insist()
	st.logFields(r, nil, reason)
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
	for i := range st.names {
		value, _ := st.user(st.names[i].Name)
		text, _ := value.(string)
		st.insistOn(st.names[i].placeholder, text)
	}
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
		return st.refusal(rest), true
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
