package setting

import (
	"slices"
	"strings"
)

// IsName reports whether s is a name that the global option jwt may declare, such as that
// of an issuer.
func IsName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// IsHost reports whether s looks like a host name: names separated by dots.
func IsHost(s string) bool {
	labels := strings.Split(s, ".")
	return len(labels) > 1 && !slices.ContainsFunc(labels, func(l string) bool { return !IsName(l) })
}
