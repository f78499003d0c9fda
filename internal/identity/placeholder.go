package identity

import (
	"strings"
	"time"
)

// Placeholder returns the value of any placeholder of this plugin. Without an
// identity they are known and empty: Caddy would write the name of an unknown one
// into headers.
func (h *Holder) Placeholder(name string) (any, bool) {
	if rest, ok := strings.CutPrefix(name, "http.auth.user."); ok {
		return h.user(rest)
	}
	rest, ok := strings.CutPrefix(name, "http.jwt.")
	if !ok {
		return nil, false
	}
	switch rest {
	case "auth_method":
		if h.Identity == nil {
			return MethodAnonymous, true
		}
		return h.Identity.Method(), true
	case "error", "error_description", "reason", "detail", "requirement":
		return h.refusalText(rest), true
	}
	id := h.Identity
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
		return string(id.Claims().AppendJSON(nil)), true
	case "issuer":
		return id.Issuer(), true
	case "kid":
		return id.kid(), true
	case "scopes":
		return strings.Join(id.Scopes(), " "), true
	case "expires_at":
		if id.expires().IsZero() {
			return "", true
		}
		return id.expires().UTC().Format(time.RFC3339), true
	default: // key_id
		return id.KeyID(), true
	}
}

// user returns the value of {http.auth.user.<name>}. A name that only an outer
// handler defines is known and empty, unless the identity is that handler's.
func (h *Holder) user(name string) (any, bool) {
	if name == "id" {
		if h.Identity == nil {
			return "", true
		}
		return h.Identity.User(), true
	}
	if h.Identity != nil {
		names := h.Identity.Naming.Names
		for i := range names {
			if names[i].name == name {
				return h.Identity.claim(names[i].path), true
			}
		}
	}
	for _, c := range h.claimNames() {
		if c.name == name {
			return "", true
		}
	}
	return nil, false
}

func (h *Holder) refusalText(name string) string {
	switch {
	case h.refusal == nil || h.refusal.Answer == nil:
		return ""
	case name == "error":
		return h.refusal.Answer.Code
	case name == "error_description":
		return h.refusal.Answer.Text
	case name == "detail":
		return h.refusal.Detail
	case name == "requirement":
		return h.refusal.Requirement
	default:
		return string(h.refusal.Code)
	}
}
