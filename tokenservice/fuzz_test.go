package tokenservice

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// mayHave reports whether the text of a request holds a right credential: all that gets a
// token does.
func mayHave(parts ...string) bool {
	all := strings.Join(parts, "\n")
	for _, key := range []string{partnerKey, expiringText, wordyText} {
		if strings.Contains(all, key) {
			return true
		}
	}
	return false
}

// checkAnswer checks what holds for each answer, and reports whether it has a token.
func checkAnswer(t *testing.T, out *httptest.ResponseRecorder) bool {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(out.Body.Bytes(), &body); err != nil || out.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v: %v: %s", out.Code, out.Header(), err, out.Body)
	}
	token := body["access_token"] != nil
	switch out.Code {
	case 400, 401, 405, 413, 429:
		if token || body["error"] == nil {
			t.Fatalf("%d %s", out.Code, out.Body)
		}
	case 200:
		if !token || body["error"] != nil {
			t.Fatalf("%d %s", out.Code, out.Body)
		}
	default:
		t.Fatalf("%d %s", out.Code, out.Body)
	}
	return token
}

// FuzzTokenEndpoint sends any form and any headers. Basic is taken apart by the test in its
// own way: the text of a right key is in it, in one form or another.
func FuzzTokenEndpoint(f *testing.F) {
	ok := "grant_type=client_credentials"
	for _, seed := range [][4]string{
		{"application/x-www-form-urlencoded", "", "", ok + "&client_id=partner001&client_secret=x"},
		{"application/x-www-form-urlencoded", "Basic cGFydG5lcjAwMTp4", "", ok},
		{"application/x-www-form-urlencoded;charset=utf-8", "", "x", ok + "&scope=a+b&resource=https://api.example.com"},
		{"application/x-www-form-urlencoded", "", "", "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c"},
		{"application/x-www-form-urlencoded", "", "", ok + "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=e30.e30.e30"},
		{"application/json", "Bearer x", "", `{"grant_type":"client_credentials"}`},
		{"", "", "", ok + "&" + ok + "&%zz;=&&="},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	w := newWorld(f, federates)
	w.service.config.Observe = nil
	f.Fuzz(func(t *testing.T, kind, authorization, apiKey, body string) {
		w.t = t
		r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/token", strings.NewReader(body))
		for name, value := range map[string]string{"Content-Type": kind, "Authorization": authorization, "X-API-Key": apiKey} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		_, secret, _ := r.BasicAuth()
		if token := checkAnswer(t, w.ask(r)); token && !mayHave(apiKey, secret, body) {
			t.Fatalf("a token for %q %q %q %q", kind, authorization, apiKey, body)
		}
	})
}

// FuzzAssertion sends any text as a client's assertion and as a platform's token; none is
// signed by a right key.
func FuzzAssertion(f *testing.F) {
	other, err := key.NewSigner(key.ES256)
	if err != nil {
		f.Fatal(err)
	}
	good := segment(assertionHeader()) + "." + segment(assertionBody())
	for _, seed := range []string{
		"", ".", "..", "...", "e30.e30.e30", good, good + ".", good + ".AAAA", signedText(f, other, good),
		signed(f, other, object{"alg": "RS256"}, platformBody()), segment(object{"alg": "none"}) + "." + segment(platformBody()) + ".",
		signed(f, other, object{"alg": "ES256"}, object{"sub": testDomain + "/build", "aud": testIssuer, "exp": noon.Unix() + 60}),
	} {
		f.Add(seed, "deploy-bot", []byte{192, 0, 2, 1})
	}
	w := newWorld(f, federates)
	w.service.config.Observe = nil
	f.Fuzz(func(t *testing.T, assertion, id string, from []byte) {
		w.t = t
		// The limit would answer most of them.
		w.service.config.Memory.pairs.init(maxPairs)
		address, _ := netip.AddrFromSlice(from)
		for _, form := range [...]map[string][]string{
			ofAssertion(assertion), ofAssertion(assertion, "client_id", id), federation(assertion), federation(assertion, "client_id", id),
		} {
			if checkAnswer(t, w.askFrom(tokenRequest(form), address)) {
				t.Fatalf("a token for %q", assertion)
			}
		}
	})
}
