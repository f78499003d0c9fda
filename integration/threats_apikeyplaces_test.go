package integration

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func basicAuth(password string) change {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(":"+password)))
}

func TestThreat22_TwoAPIKeysAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	one, two := peers.NewAPIKey(t, "one", nil), peers.NewAPIKey(t, "two", nil)
	s, _ := newAPIKeyFixture(t, allKeyPlaces, options{}, one, two)
	token := k.RS256.Token(t, s.claims(nil), nil)
	for name, changes := range map[string][]change{
		"a header twice":                            {apiKey(one.Text), apiKey(two.Text)},
		"a good key and a decoy":                    {apiKey(one.Text), apiKey("no-such-key-0123456789")},
		"a decoy and a good key":                    {apiKey("no-such-key-0123456789"), apiKey(one.Text)},
		"one in the header, another in the query":   {apiKey(one.Text), inQuery("api_key", two.Text)},
		"one in the header, another in a cookie":    {apiKey(one.Text), cookie("key", two.Text)},
		"one in the header, another in Basic":       {apiKey(one.Text), basicAuth(two.Text)},
		"one in the query, another in Basic":        {inQuery("api_key", one.Text), basicAuth(two.Text)},
		"a parameter twice with different values":   {inQuery("api_key", one.Text), inQuery("api_key", two.Text)},
		"a parameter twice, one name percent-coded": {inQuery("api_key", one.Text), rawQuery("api%5Fkey=" + two.Text)},
		"a parameter twice, the second one empty":   {inQuery("api_key", one.Text), inQuery("api_key", "")},
		"a cookie twice with different values":      {cookie("key", one.Text), cookie("key", two.Text)},
		"Basic twice":                               {basicAuth(one.Text), basicAuth(one.Text)},
		"a token and Basic, both in Authorization":  {bearer(token), basicAuth(one.Text)},
		"two keys beside a token":                   {bearer(token), apiKey(one.Text), inQuery("api_key", two.Text)},
	} {
		t.Run(name, func(t *testing.T) {
			s.upstream.Take()
			s.refused(t, s.send(t, s.http, http.MethodGet, site, "/", changes...), http.StatusBadRequest, "multiple_credentials")
		})
	}
	for name, changes := range map[string][]change{
		"in two places":     {apiKey(one.Text), inQuery("api_key", one.Text)},
		"in all the places": {apiKey(one.Text), inQuery("api_key", one.Text), cookie("key", one.Text), basicAuth(one.Text)},
		"in a header twice": {apiKey(one.Text), apiKey(one.Text)},
	} {
		t.Run("the same key "+name+" passes, and is removed everywhere", func(t *testing.T) {
			s.passes(t, s.send(t, s.http, http.MethodGet, site, "/", changes...), one)
		})
	}
}

func TestThreat43_APIKeysInCookiesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	k := peers.NewAPIKey(t, "key-1", nil)
	s, _ := newAPIKeyFixture(t, allKeyPlaces, options{}, k)
	foreign := []change{header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site")}
	s.refused(t, s.send(t, s.http, http.MethodPost, site, "/", append(foreign, cookie("key", k.Text))...), http.StatusForbidden, "cross_origin")
	for name, more := range map[string][]change{
		"the key in a header":         {apiKey(k.Text)},
		"in a header and the cookie":  {apiKey(k.Text), cookie("key", k.Text)},
		"in the cookie and the query": {cookie("key", k.Text), inQuery("api_key", k.Text)},
	} {
		t.Run(name, func(t *testing.T) {
			s.passes(t, s.send(t, s.http, http.MethodPost, site, "/", append(foreign[:2:2], more...)...), k)
		})
	}
	s.passes(t, s.send(t, s.http, http.MethodPost, site, "/", cookie("key", k.Text), header("Sec-Fetch-Site", "same-origin")), k)
}

func TestThreat48_ErrorRoutesGetNoAPIKey(t *testing.T) {
	t.Parallel()
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	s, _ := newAPIKeyFixture(t, strings.Replace(allKeyPlaces, "import reasons", `handle_errors {
		respond "{http.request.orig_uri} {http.request.uri} {http.request.header.X-Api-Key} {http.request.header.Authorization} {http.request.header.Cookie}"
	}`, 1), options{}, disabled)
	for name, change := range map[string]change{
		"header": apiKey(disabled.Text), "Basic": basicAuth(disabled.Text), "query": inQuery("api_key", disabled.Text), "cookie": cookie("key", disabled.Text),
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, site, "/?a=1", change)
			if seen := s.upstream.Take(); len(seen) != 0 || !strings.HasPrefix(a.body, "/?a=1 /?a=1 ") || a.status != http.StatusUnauthorized {
				t.Fatalf("the upstream got %d requests: %d %s", len(seen), a.status, a.body)
			}
			for _, secret := range []string{disabled.Text, base64.StdEncoding.EncodeToString([]byte(":" + disabled.Text))} {
				if strings.Contains(a.body, secret) {
					t.Errorf("the page shows the key: %s", a.body)
				}
			}
		})
	}
}
