package claims

// ScopeToken reports whether s is a scope-token of RFC 6749 section 3.3:
// not empty, and printable ASCII without space, quote and backslash.
func ScopeToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// ServiceScopes is what the scopes of a token service's own API begin with. Its config alone
// gives them to clients, so that they imply nothing and nothing implies them.
const ServiceScopes = "caddy-jwt:"
