package claims

import "slices"

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

// Implications say which scopes have others: anyone with the broad scope has the narrow ones
// too, transitively. It is immutable; nil has none.
type Implications struct {
	// broader has, for each narrow scope, all scopes that imply it.
	broader map[string][]string
}

// Grants reports whether granted scopes have a scope: it is one of them, or implied by one.
func (i *Implications) Grants(granted []string, scope string) bool {
	if slices.Contains(granted, scope) {
		return true
	}
	if i == nil {
		return false
	}
	for _, broad := range i.broader[scope] {
		if slices.Contains(granted, broad) {
			return true
		}
	}
	return false
}
