package tokenservice

import (
	"net/http"
	"net/url"
	"testing"
)

var clientCredentials = url.Values{"grant_type": {"client_credentials"}}

// with returns a copy of a form with further parameters, in pairs.
func with(form url.Values, more ...string) url.Values {
	c := url.Values{}
	for name, values := range form {
		c[name] = values
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = append(c[more[i]], more[i+1])
	}
	return c
}

func TestAnAPIKeyGetsAToken(t *testing.T) {
	t.Parallel()
	header := tokenRequest(clientCredentials)
	header.Header.Set("X-API-Key", partnerKey)
	for name, r := range map[string]*http.Request{
		"basic":             basic(tokenRequest(clientCredentials), "partner001", partnerKey),
		"basic, client_id":  basic(tokenRequest(with(clientCredentials, "client_id", "partner001")), "partner001", partnerKey),
		"form":              tokenRequest(with(clientCredentials, "client_id", "partner001", "client_secret", partnerKey)),
		"header of the key": header,
	} {
		w := newWorld(t, nil)
		a, body := w.token(w.ask(r))
		if a.TokenType != "Bearer" || a.ExpiresIn != 900 || a.Scope == nil || *a.Scope != "read write" {
			t.Errorf("%s: %+v", name, a)
		}
		if text(body, "sub") != "partner001" || text(body, "client_id") != "partner001" || text(body, "aud") != testAPI || text(body, "scope") != "read write" {
			t.Errorf("%s: %s", name, payloadOf(a.AccessToken))
		}
		if e := w.event(); e.Client != "partner001" || e.Grant != "client_credentials" || e.Error != "" || e.Address != address {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
