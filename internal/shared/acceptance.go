package shared

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// acceptance is an issuer that a site takes tokens of, and for which audiences.
type acceptance struct {
	site, issuer string
	audience     []string // nil if it is not compared with aud
}

// SiteWarning is a warning about a site.
type SiteWarning struct{ Site, Text string }

// TakeIssuer notes that a site takes tokens of an issuer whose "aud" is one of some audiences;
// nil is for any, and for audiences that are read from other claims.
func (v *Services) TakeIssuer(site, issuer string, audience []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.accepted = append(v.accepted, acceptance{site, issuer, audience})
}

// Warnings returns what sites take that no token of a service has: an issuer that differs
// from that of a service in its spelling alone, or audiences that the service does not issue
// tokens for. Issuers that name a key source are not looked at, as they may be others.
func (v *Services) Warnings() (list []SiteWarning) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range v.accepted {
		if !slices.ContainsFunc(v.trusted, func(t *Trusted) bool { return t.issuer == a.issuer }) {
			continue
		}
		warn := func(format string, values ...any) {
			list = append(list, SiteWarning{a.site, fmt.Sprintf(format, values...)})
		}
		for _, s := range v.list {
			switch {
			case a.issuer != s.issuer && spelling(a.issuer) == spelling(s.issuer):
				warn("issuer %s: no token has it, as issuers are compared character by character, and the token service of this config is %s; write that", a.issuer, s.issuer)
			case a.issuer != s.issuer || len(a.audience) == 0:
			case !slices.ContainsFunc(s.service.Audience(), func(minted string) bool { return slices.Contains(a.audience, minted) }):
				warn("issuer %s: the token service of this config issues no tokens for %s; write that into audience of authorization_server, or one of %s here",
					a.issuer, strings.Join(a.audience, ", "), strings.Join(s.service.Audience(), ", "))
			}
		}
	}
	return list
}

// spelling returns a URL without what people take to make no difference: capitals in the host,
// the default port, and slashes at the end.
func spelling(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return issuer
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host + strings.TrimRight(u.Path, "/")
}
