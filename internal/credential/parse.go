package credential

import (
	"strings"

	"golang.org/x/net/http/httpguts"
)

// cutScheme returns the text after a scheme, which may be empty.
func cutScheme(value, scheme string) (token string, ok bool) {
	n := len(scheme)
	if len(value) < n || value[:n] != scheme && !strings.EqualFold(value[:n], scheme) {
		return "", false
	}
	rest := value[n:]
	if rest != "" && rest[0] != ' ' {
		return "", false
	}
	return strings.Trim(rest, " "), true
}

// nearScheme reports whether a value begins with the scheme, but not in the form
// of RFC 9110 section 11.4, for example with a tab after the scheme. Upstreams
// that split it at any white space, as many do, would find a credential in it.
func nearScheme(value, scheme string) bool {
	n, trimmed := len(scheme), strings.TrimLeft(value, " \t,")
	if len(trimmed) <= n || !strings.EqualFold(trimmed[:n], scheme) || httpguts.ValidHeaderFieldName(trimmed[n:n+1]) {
		return false
	}
	return trimmed != value || value[n] != ' '
}
