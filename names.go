package caddyjwt

import (
	"slices"
	"strings"
)

// isName tells an issuer's name from an iss.
func isName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// isHost tells whether s looks like a host's name: names with dots between.
func isHost(s string) bool {
	labels := strings.Split(s, ".")
	return len(labels) > 1 && !slices.ContainsFunc(labels, func(l string) bool { return !isName(l) })
}
