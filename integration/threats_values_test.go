package integration

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// claimValue is a value of a claim, and what the upstream gets of it.
type claimValue struct {
	claim any
	text  string // empty for none
	json  string // likewise
	bad   bool   // refused but as JSON
}

// longClaim is 8 KiB.
var longClaim = strings.Repeat("0123456789abcdef", 512)

var claimValues = map[string]claimValue{
	"CR LF and a header":          {claim: "x\r\nX-User: admin", json: `"x\r\nX-User: admin"`, bad: true},
	"LF":                          {claim: "x\ny", json: `"x\ny"`, bad: true},
	"CR":                          {claim: "x\ry", json: `"x\ry"`, bad: true},
	"NUL":                         {claim: "x\x00y", json: `"x\u0000y"`, bad: true},
	"a tab":                       {claim: "x\ty", json: `"x\ty"`, bad: true},
	"DEL":                         {claim: "x\x7fy", json: `"x\u007fy"`, bad: true},
	"a space before":              {claim: " x", json: `" x"`, bad: true},
	"a space behind":              {claim: "x ", json: `"x "`, bad: true},
	"a comma in a list":           {claim: []string{"a", "b,c"}, json: `["a","b,c"]`, bad: true},
	"a space in a list":           {claim: []string{"a", " b"}, json: `["a"," b"]`, bad: true},
	"LF in a list":                {claim: []string{"a", "b\nc"}, json: `["a","b\nc"]`, bad: true},
	"LF in an object":             {claim: map[string]string{"a": "b\nc"}, text: `{"a":"b\nc"}`, json: `{"a":"b\nc"}`},
	"a list":                      {claim: []string{"a", "b"}, text: "a,b", json: `["a","b"]`},
	"a comma in a text":           {claim: "a,b", text: "a,b", json: `"a,b"`},
	"a space within":              {claim: "a b", text: "a b", json: `"a b"`},
	"8 KiB":                       {claim: longClaim, text: longClaim, json: `"` + longClaim + `"`},
	"letters of other languages":  {claim: "Zoë Łukasz 李", text: "Zoë Łukasz 李", json: `"Zo\u00eb \u0141ukasz \u674e"`},
	"a number":                    {claim: digits("10000000000000000000.10"), text: "10000000000000000000.10", json: "10000000000000000000.10"},
	"a truth value":               {claim: false, text: "false", json: "false"},
	"an empty text":               {claim: "", json: `""`},
	"an empty list":               {claim: []string{}, json: `[]`},
	"null":                        {claim: rawNumber("null")},
	"no claim":                    {claim: nil},
	"braces":                      {claim: "{http.request.host}", text: "{http.request.host}", json: `"{http.request.host}"`},
	"braces in a list of numbers": {claim: []any{"{env.HOME}", 1}, text: "{env.HOME},1", json: `["{env.HOME}",1]`},
}

// A claim is text from outside. It arrives as it is, or the request is
// refused.
func TestThreat24_WhatAHeaderCantCarryIsRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
https://api.example.test {
	handle /list {
		jwt {
			import issuer
			forward text X-Text
			forward user X-User
		}
		reverse_proxy {$UPSTREAM}
	}
	handle /json {
		jwt {
			import issuer
			forward text X-Text json
			forward_payload X-Claims
		}
		reverse_proxy {$UPSTREAM}
	}
	import reasons
}
`, options{shownByCaddy: true}, k.RS256)
	for name, c := range claimValues {

		t.Run(name, func(t *testing.T) {
			token := k.RS256.Token(t, s.claims(map[string]any{"text": c.claim}), nil)
			s.upstream.Take()
			a := s.send(t, s.http, http.MethodGet, site, "/list", bearer(token), exactHeader("X-Text", forged), exactHeader("X-User", forged))
			if c.bad {
				s.refused(t, a, http.StatusForbidden, "unforwardable_claim")
			} else {
				got := a.upstream(t).Header
				if got.Get("X-User") != "user-1" || !slices.Equal(got["X-Text"], headerValues(c.text)) {
					t.Errorf("the upstream got %q and %q; want %q", got["X-User"], got["X-Text"], c.text)
				}
			}
			got := s.send(t, s.http, http.MethodGet, site, "/json", bearer(token), exactHeader("X-Text", forged), exactHeader("X-Claims", forged)).upstream(t).Header
			if !slices.Equal(got["X-Text"], headerValues(c.json)) {
				t.Errorf("as JSON the upstream got %q; want %q", got["X-Text"], c.json)
			}
			decoded, err := base64.RawURLEncoding.DecodeString(got.Get("X-Claims"))
			if err != nil || !json.Valid(decoded) || got.Get("X-Claims") == "" {
				t.Errorf("the claims as a whole are %.60q: %v", got.Get("X-Claims"), err)
			}
		})
	}
	t.Run("the user", func(t *testing.T) {
		token := k.RS256.Token(t, s.claims(map[string]any{"sub": "x\r\nX-Admin: yes"}), nil)
		s.upstream.Take()
		s.refused(t, s.send(t, s.http, http.MethodGet, site, "/list", bearer(token)), http.StatusForbidden, "unforwardable_claim")
	})
	checkNothingForged(t, s.upstream)
}

// headerValues is a header's values where an empty one is none.
func headerValues(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// A claim that is forwarded is not expanded, neither by the proxy nor by what
// answers with the header that it was given.
func TestThreat25_ForwardedClaimsAreNotExpanded(t *testing.T) {
	t.Parallel()
	k := keys(t)
	partner := peers.NewAPIKey(t, "partner", map[string]any{"meta": map[string]any{"text": "{env.SECRET}"}})
	s, _ := newAPIKeyFixture(t, `
https://api.example.test {
	jwt {
		import issuer
		api_keys {$KEYS}
		forward text X-Text
		forward text X-JSON json
		forward meta.text X-Meta
		forward user X-User
	}
	respond /echo "{http.request.header.X-Text}"
	reverse_proxy {$UPSTREAM}
	import reasons
}
`, options{env: map[string]string{"SECRET": "the value of a variable"}}, partner)
	for _, evil := range braces {
		t.Run(evil, func(t *testing.T) {
			token := k.RS256.Token(t, s.claims(map[string]any{"text": evil, "sub": evil}), nil)
			quoted, err := json.Marshal(evil)
			if err != nil {
				t.Fatal(err)
			}
			checkHeaders(t, s.accepts(t, site, token).Header, map[string]string{"X-Text": evil, "X-User": evil, "X-Json": string(quoted), "X-Meta": ""})
			if a := s.send(t, s.http, http.MethodGet, site, "/echo", bearer(token)); a.body != evil {
				t.Errorf("respond wrote %q; want %q", a.body, evil)
			}
		})
	}
	t.Run("of an API key", func(t *testing.T) {
		checkHeaders(t, s.passes(t, s.withKey(t, partner), partner), map[string]string{"X-Meta": "{env.SECRET}", "X-User": "partner", "X-Text": ""})
	})
	if wire := s.upstream.Wire(); strings.Contains(wire, "the value of a variable") {
		t.Error("a variable's value reached the upstream")
	}
}
