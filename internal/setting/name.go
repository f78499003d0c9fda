package setting

import (
	"slices"
	"strings"
)

// IsName tells an issuer's name from an iss.
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

// IsHost tells whether s looks like a host's name: names with dots between.
func IsHost(s string) bool {
	labels := strings.Split(s, ".")
	return len(labels) > 1 && !slices.ContainsFunc(labels, func(l string) bool { return !IsName(l) })
}
