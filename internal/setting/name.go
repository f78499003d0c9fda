package setting

import (
	"net/netip"
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

// IsLoopback reports whether the host of a URL is this machine, so that http is as good as
// https.
func IsLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
