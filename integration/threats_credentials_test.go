package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func inQuery(name, value string) change {
	return func(r *http.Request) {
		pair := url.QueryEscape(name) + "=" + url.QueryEscape(value)
		if r.URL.RawQuery != "" {
			pair = r.URL.RawQuery + "&" + pair
		}
		r.URL.RawQuery = pair
	}
}

func TestThreat22_TwoCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, allTokenPlaces, options{shownByCaddy: true}, k.RS256)
	one := k.RS256.Token(t, s.claims(nil), nil)
	two := k.RS256.Token(t, s.claims(map[string]any{"sub": "user-2"}), nil)

	for name, changes := range map[string][]change{
		"two Authorization headers":                 {bearer(one), bearer(two)},
		"the same Authorization twice":              {bearer(one), bearer(one)},
		"a second Authorization of another scheme":  {bearer(one), header("Authorization", "Basic dXNlcjpwYXNzd29yZA==")},
		"one in the header, another in the query":   {bearer(one), inQuery("access_token", two)},
		"one in the header, another in a cookie":    {bearer(one), cookie("session", two)},
		"one in the query, another in a cookie":     {inQuery("access_token", one), cookie("session", two)},
		"one in each of two headers":                {bearer(one), header("X-Token", two)},
		"a cookie twice with different values":      {cookie("session", one), cookie("session", two)},
		"a cookie in two header lines":              {header("Cookie", "session="+one), header("Cookie", "session="+two)},
		"a parameter twice with different values":   {inQuery("access_token", one), inQuery("access_token", two)},
		"a parameter twice, one name percent-coded": {inQuery("access_token", one), rawQuery("access%5Ftoken=" + two)},
		"a parameter twice, the second one empty":   {inQuery("access_token", one), inQuery("access_token", "")},
		"a cookie twice, the first one empty":       {cookie("session", ""), cookie("session", one)},
		"a custom header twice":                     {header("X-Token", one), header("X-Token", two)},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, site, "/", changes...)
			s.refused(t, a, http.StatusBadRequest, "multiple_credentials")
		})
	}
	// The same token in two places is one.
	for name, changes := range map[string][]change{
		"in the header and the query":    {bearer(one), inQuery("access_token", one)},
		"in the header and a cookie":     {bearer(one), cookie("session", one)},
		"in a cookie twice":              {cookie("session", one), cookie("session", one)},
		"in a parameter twice":           {inQuery("access_token", one), inQuery("access_token", one)},
		"in two different headers":       {bearer(one), header("X-Token", one)},
		"in all of the configured kinds": {bearer(one), inQuery("access_token", one), cookie("session", one)},
	} {
		t.Run("the same token "+name+" passes", func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, site, "/", changes...)
			if a.status != http.StatusOK {
				t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
			}
			s.upstream.Take()
		})
	}
	if wire := s.upstream.Wire(); strings.Contains(wire, one) {
		t.Error("the upstream was sent a credential")
	}
}

func rawQuery(pair string) change {
	return func(r *http.Request) { r.URL.RawQuery += "&" + pair }
}

func TestThreat23_ADecoyDoesNotHideABadToken(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, allTokenPlaces, options{shownByCaddy: true}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	bad := k.Stranger.Token(t, s.claims(map[string]any{"sub": "admin"}), nil)
	for name, changes := range map[string][]change{
		"good header, bad query":    {bearer(good), inQuery("access_token", bad)},
		"bad header, good query":    {bearer(bad), inQuery("access_token", good)},
		"good header, bad cookie":   {bearer(good), cookie("session", bad)},
		"bad header, good cookie":   {bearer(bad), cookie("session", good)},
		"good cookie, bad query":    {cookie("session", good), inQuery("access_token", bad)},
		"good cookie, then bad":     {cookie("session", good), cookie("session", bad)},
		"bad cookie, then good":     {cookie("session", bad), cookie("session", good)},
		"good header, garbage":      {bearer(good), header("X-Token", "garbage")},
		"bad header twice, good":    {bearer(bad), inQuery("access_token", bad), cookie("session", good)},
		"good Authorization, Basic": {header("Authorization", "Basic Zm9vOmJhcg=="), bearer(good)},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, site, "/", changes...)
			s.refused(t, a, http.StatusBadRequest, "multiple_credentials")
		})
	}
}

func TestThreat26_OnlyTheBearerScheme(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	s.checkBearerScheme(t, site, token)
	for name, value := range otherSchemes(token) {
		t.Run(name+" is no bearer credential", func(t *testing.T) {
			s.refused(t, s.sendAuthorization(t, site, value), http.StatusUnauthorized, "missing_credentials")
		})
	}
}

// What begins like a bearer credential and is none is not passed by: an upstream may
// read one there.
func TestThreat26_NearlyTheBearerScheme(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer+strings.Replace(strings.Replace(oneIssuer, site, "optional.example.test", 1), "jwt {", "jwt {\n\t\toptional\n\t\tkeep_credentials", 1), options{}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	for name, value := range map[string]string{
		"a tab": "Bearer\t" + token, "a colon": "Bearer:" + token, "a comma": "Bearer, " + token, "a comma in front": ", Bearer " + token,
		"twice": "Bearer, Bearer " + token, "a tab and a space": "bearer\t " + token, "a character of Latin-1": "Bearer\xa0" + token,
	} {
		for _, host := range []string{site, "optional.example.test"} {
			t.Run(name+" at "+host, func(t *testing.T) {
				s.refused(t, s.sendAuthorization(t, host, value), http.StatusBadRequest, "malformed_request")
			})
		}
	}
	if arrived := s.upstream.Take(); len(arrived) != 0 {
		t.Errorf("%d requests reached the upstream", len(arrived))
	}
}

// sendAuthorization sends a value of Authorization as it stands.
func (s *fixture) sendAuthorization(t *testing.T, host, value string) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, host, "/", header("Authorization", value))
}

// otherSchemes are values of Authorization that hold no bearer credential.
func otherSchemes(token string) map[string]string {
	return map[string]string{
		"Basic":                "Basic dXNlcjpwYXNzd29yZA==",
		"Digest":               `Digest username="x"`,
		"DPoP":                 "DPoP " + token,
		"Token":                "Token " + token,
		"no space behind it":   "Bearer" + token,
		"another scheme first": "X Bearer " + token,
		"the bare token":       token,
	}
}

// checkBearerScheme tries what is the same whether a credential is optional or not.
func (s *fixture) checkBearerScheme(t *testing.T, host, token string) {
	t.Helper()
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "bEaReR"} {
		t.Run(scheme+" is the scheme", func(t *testing.T) {
			if a := s.sendAuthorization(t, host, scheme+" "+token); a.status != http.StatusOK || a.upstream(t).Header.Get("X-User") != "user-1" {
				t.Errorf("status %d, %s", a.status, a.body)
			}
			s.upstream.Take()
		})
	}
	for _, alone := range []string{"Bearer", "bearer", "Bearer "} {
		t.Run("the word "+alone+" alone is refused", func(t *testing.T) {
			s.refused(t, s.sendAuthorization(t, host, alone), http.StatusBadRequest, "malformed_request")
		})
	}
	t.Run("two spaces or a tab behind it make no other token", func(t *testing.T) {
		for _, value := range []string{"Bearer  " + token, "Bearer\t" + token} {
			a := s.sendAuthorization(t, host, value)
			t.Logf("%.10q: status %d, reason %q", value, a.status, a.header.Get("X-Reason"))
			if a.status != http.StatusOK && a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
				t.Errorf("status %d", a.status)
			}
		}
		s.upstream.Take()
	})
	t.Run("two words behind it are refused", func(t *testing.T) {
		for _, value := range []string{"Bearer x " + token, "Bearer " + token + " x", `Bearer realm="x", ` + token} {
			a := s.sendAuthorization(t, host, value)
			if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
				t.Errorf("status %d for %.20q…; want 400 or 401", a.status, value)
			}
		}
	})
}

func TestThreat43_CookiesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, strings.Replace(allTokenPlaces, "import token_places", `import token_places
		trusted_origins https://app.example.test`, 1), options{shownByCaddy: true}, k.RS256)
	session := cookie("session", k.RS256.Token(t, s.claims(nil), nil))
	own := s.origin(site)
	websocket := []change{
		header("Connection", "Upgrade"), header("Upgrade", "websocket"),
		header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), header("Sec-WebSocket-Version", "13"),
	}

	for name, c := range map[string]struct {
		method  string
		changes []change
		client  protocol
	}{
		"POST from another origin":                   {http.MethodPost, []change{header("Origin", "https://evil.example")}, http2},
		"POST from a sister site":                    {http.MethodPost, []change{header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.example.test")}, http2},
		"POST that the browser calls cross-site":     {http.MethodPost, []change{header("Sec-Fetch-Site", "cross-site")}, http2},
		"POST with an opaque origin":                 {http.MethodPost, []change{header("Origin", "null")}, http2},
		"DELETE from another origin":                 {http.MethodDelete, []change{header("Origin", "https://evil.example")}, http2},
		"PUT from another port":                      {http.MethodPut, []change{header("Origin", "https://"+site)}, http2},
		"a WebSocket of another origin":              {http.MethodGet, append(websocket, header("Origin", "https://evil.example")), http1},
		"a WebSocket that the browser calls foreign": {http.MethodGet, append(websocket, header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")), http1},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.client(c.client)
			s.refused(t, s.send(t, client, c.method, site, "/", append(c.changes, session)...), http.StatusForbidden, "cross_origin")
		})
	}
	for name, c := range map[string]struct {
		method  string
		changes []change
	}{
		"POST of the site itself":         {http.MethodPost, []change{header("Origin", own), header("Sec-Fetch-Site", "same-origin")}},
		"POST of the site, old browser":   {http.MethodPost, []change{header("Origin", own)}},
		"POST of a trusted origin":        {http.MethodPost, []change{header("Origin", "https://app.example.test"), header("Sec-Fetch-Site", "same-site")}},
		"POST of no browser":              {http.MethodPost, nil},
		"GET that the user typed":         {http.MethodGet, []change{header("Sec-Fetch-Site", "none")}},
		"GET by a link on another site":   {http.MethodGet, []change{header("Sec-Fetch-Site", "cross-site")}},
		"HEAD of the site":                {http.MethodHead, []change{header("Sec-Fetch-Site", "same-origin")}},
		"POST of the site without Origin": {http.MethodPost, []change{header("Sec-Fetch-Site", "same-origin")}},
	} {
		t.Run(name+" passes", func(t *testing.T) {
			a := s.send(t, s.http, c.method, site, "/", append(c.changes, session)...)
			if a.status != http.StatusOK {
				t.Errorf("status %d, reason %q", a.status, a.header.Get("X-Reason"))
			}
			s.upstream.Take()
		})
	}
	t.Run("a bearer token needs no origin: no browser adds it by itself", func(t *testing.T) {
		token := bearer(k.RS256.Token(t, s.claims(nil), nil))
		a := s.send(t, s.http, http.MethodPost, site, "/", token, header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site"))
		if a.status != http.StatusOK {
			t.Errorf("status %d, reason %q", a.status, a.header.Get("X-Reason"))
		}
	})
}
