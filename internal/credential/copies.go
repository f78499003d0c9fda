package credential

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// mergeCopies lets one secret that a client sends in both usual places count once: as the
// API key that it is, or else as a token.
func (f *Found) mergeCopies(isKey func(text string) bool) {
	if !f.Token.Present || !f.APIKey.Present || f.Token.Text != f.APIKey.Text {
		return
	}
	if isKey != nil && isKey(f.APIKey.Text) {
		f.Token = Credential{}
	} else {
		f.APIKey = Credential{}
	}
}

// usual are the headers in which credentials are sent by default, as places in which an
// inner handler still finds the copies that are removed.
var usual = map[string]*place{
	"Authorization": {Source: Source{From: FromHeader, Name: "Authorization"}},
	"X-Api-Key":     {Source: Source{From: FromHeader, Name: "X-Api-Key"}},
}

// usualBasic is the place of copies in Basic.
var usualBasic = &place{Source: Source{From: FromBasic}}

// RemoveCopies removes copies of accepted credentials from the headers in which tokens and
// API keys are sent by default. Some clients send one secret in both.
func (c *Places) RemoveCopies(r *http.Request, f *Found, taken *Removed) {
	if c.keep || c.inPlace {
		return
	}
	for _, name := range c.copies {
		values := r.Header[name]
		if len(values) == 0 || !slices.ContainsFunc(values, f.isCopy) {
			continue
		}
		// A new slice, as the access log's copy of the request shares the old one.
		kept := make([]string, 0, len(values)-1)
		for _, v := range values {
			if !f.isCopy(v) {
				kept = append(kept, v)
				continue
			}
			taken.add(usual[name], v)
			if _, ok := cutScheme(v, "Basic"); ok && name == "Authorization" {
				taken.add(usualBasic, v)
			}
		}
		if len(kept) == 0 {
			delete(r.Header, name)
		} else {
			r.Header[name] = kept
		}
	}
}

// surelySecret is the length from which a credential is found within a longer value. A
// shorter one may be there by chance.
const surelySecret = 20

// isCopy reports whether a header's value has one of the credentials: alone, after a
// scheme, in a parameter of one, or as user or password of Basic.
func (f *Found) isCopy(value string) bool {
	for _, c := range [...]*Credential{&f.Token, &f.APIKey} {
		if !c.Present {
			continue
		}
		if len(c.Text) >= surelySecret && strings.Contains(value, c.Text) {
			return true
		}
		_, rest, _ := strings.Cut(value, " ")
		if value == c.Text || strings.Trim(rest, " \t") == c.Text {
			return true
		}
		if encoded, ok := cutScheme(value, "Basic"); ok {
			decoded, err := base64.StdEncoding.DecodeString(encoded)
			user, password, _ := strings.Cut(string(decoded), ":")
			if err == nil && (user == c.Text || password == c.Text) {
				return true
			}
		}
	}
	return false
}
