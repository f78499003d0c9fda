package tokenservice

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

func TestAClientAsksAboutItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.APIKeys[0].Claims = []MetaClaim{{"plan", "plan"}, {"limits", "token_type"}} })
	token := w.issued("partner001", partnerKey, "scope", "read write")
	body, err := claims.ParseObject([]byte(payloadOf(token)))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"active":true,"scope":"read write","client_id":"partner001","token_type":"Bearer","exp":1772626500,"iat":1772625600,` +
		`"sub":"partner001","aud":"https://api.example.com","iss":"https://auth.example.com","jti":"` + text(body, "jti") + `"}`
	for _, more := range [][]string{nil, {"token_type_hint", "refresh_token"}} {
		out := w.send("introspect", "partner001", partnerKey, token, more...)
		says(t, "its own", out, http.StatusOK, "")
		if out.Body.String() != want {
			t.Errorf("%s\nwant %s", out.Body, want)
		}
	}
	if e := w.event(); e.Endpoint != "introspect" || e.Client != "partner001" || e.Error != "" {
		t.Errorf("the event is %+v", e)
	}
	says(t, "no token", w.send("introspect", "partner001", partnerKey, ""), http.StatusBadRequest, "invalid_request")
	says(t, "nobody", w.send("introspect", "", "", token), http.StatusUnauthorized, "invalid_client")
	says(t, "wrong secret", w.send("introspect", "partner001", wordyText, token), http.StatusUnauthorized, "invalid_client")
	if len(w.rules.rules) > 0 {
		t.Error("asking has changed something")
	}
}

// TestThreat74_NobodyElseLearnsOfAToken: not from the answer, not from what is looked at.
func TestThreat74_NobodyElseLearnsOfAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Introspect = []Introspector{{"wordy", []string{testOther}}, {"expiring", []string{testAPI}}}
		c.APIKeys[0].Audience = []string{testAPI, testOther}
	})
	api, other := w.issued("partner001", partnerKey), w.issued("partner001", partnerKey, "resource", testOther)
	ours := signers()[serviceAlgorithm]
	body := map[string]any{
		"iss": testIssuer, "sub": "partner001", "client_id": "partner001", "aud": testOther, "jti": "x", "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
	}
	with := func(name string, value any) map[string]any {
		m := map[string]any{}
		for k, v := range body {
			m[k] = v
		}
		m[name] = value
		return m
	}
	forged := other[:strings.LastIndexByte(other, '.')+1] + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	for name, test := range map[string]struct {
		token  string
		active bool
	}{
		"of its resource": {other, true}, "of another resource": {api, false}, "of several": {signedToken(t, ours, "at+jwt", with("aud", []string{"https://x.example", testOther})), true},
		"of several others": {signedToken(t, ours, "at+jwt", with("aud", []string{"https://x.example", testAPI})), false},
		"of a prefix":       {signedToken(t, ours, "at+jwt", with("aud", testOther+"/")), false}, "of none": {signedToken(t, ours, "at+jwt", with("aud", nil)), false},
		"of a list in a list": {signedToken(t, ours, "at+jwt", with("aud", []any{[]string{testOther}})), false},
		"an API key":          {partnerKey, false}, "its own API key": {wordyText, false}, "refresh-shaped": {"tGzv3JOkF0XG5Qx2TlKWIA", false},
		"forwarded": {signedToken(t, ours, "forward+jwt", body), false}, "forward's": {signedToken(t, ours, "forward+jwt", with("iss", testIssuer+"/forward")), false},
		"an assertion": {signedToken(t, ours, "JWT", body), false}, "a platform's": {signedToken(t, ours, "at+jwt", with("iss", "https://token.actions.githubusercontent.com")), false},
		"of another key": {signedToken(t, signers()[key.EdDSA], "at+jwt", body), false}, "forged": {forged, false},
		"of an unknown client": {signedToken(t, ours, "at+jwt", with("client_id", "gone")), false}, "of no client": {signedToken(t, ours, "at+jwt", with("client_id", nil)), false},
		"of a disabled client": {signedToken(t, ours, "at+jwt", with("client_id", "disabled")), false},
	} {
		out := w.send("introspect", "wordy", wordyText, test.token)
		says(t, name, out, http.StatusOK, "")
		if got := out.Body.String(); got != `{"active":false}` && !test.active || !strings.HasPrefix(got, `{"active":true,`) && test.active {
			t.Errorf("%s: %s", name, got)
		}
	}
	// Whether a token is revoked, or its client gone, is not looked at for those who may not
	// know, so that the time does not depend on it.
	for _, may := range []bool{false, true} {
		id, secret := "wordy", wordyText
		if may {
			id, secret = "expiring", expiringText
		}
		s := newStore("late", map[string]apikey.Standing{})
		w.service.config.APIKeys[0].Keys.Stores = []apikey.Stored{s}
		token := signedToken(t, ours, "at+jwt", map[string]any{
			"iss": testIssuer, "sub": "gone", "client_id": "gone", "aud": testAPI, "jti": "x", "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
		})
		w.rules.asked = 0
		w.send("introspect", id, secret, "garbage")
		usual := w.rules.asked
		if got := w.send("introspect", id, secret, token).Body.String(); got != `{"active":false}` {
			t.Error(got)
		}
		if rules := w.rules.asked > 2*usual; rules != may || (s.syncs > 0) != may {
			t.Errorf("may know: %v; rules asked: %v, syncs: %d", may, rules, s.syncs)
		}
	}
}

// A signature is verified whatever is wrong with a token, so that the time tells nothing.
func TestThreat74_EachAnswerCostsOneSignature(t *testing.T) {
	t.Parallel()
	for _, alg := range []key.Algorithm{key.ES256, key.EdDSA, key.RS256} {
		keys := &countedKeys{signingKeys: signingKeys{signer: signers()[alg]}}
		w := newWorld(t, func(c *Config) { c.Keys = keys })
		token := w.issued("wordy", wordyText)
		forged := []byte(token)
		forged[len(forged)-10] ^= 1
		expired := signedToken(t, signers()[alg], "at+jwt", map[string]any{"iss": testIssuer, "exp": noon.Add(-time.Hour).Unix()})
		for name, text := range map[string]string{
			"another's": token, "forged": string(forged), "garbage": "garbage", "an API key": partnerKey, "expired": expired,
			"foreign": signedToken(t, signers()[alg], "at+jwt", map[string]any{"iss": "https://elsewhere.example", "exp": noon.Add(time.Hour).Unix()}),
		} {
			before := keys.asked
			if got := w.send("introspect", "partner001", partnerKey, text).Body.String(); got != `{"active":false}` {
				t.Errorf("%s %s: %s", alg, name, got)
			}
			if n := keys.asked - before; n != 1 {
				t.Errorf("%s %s: keys were taken %d times", alg, name, n)
			}
		}
	}
}

// countedKeys count how often somebody verifies with them.
type countedKeys struct {
	signingKeys
	asked int
}

func (c *countedKeys) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	c.asked++
	return c.signingKeys.Keys(ctx, kid)
}

// TestThreat63_IntrospectionHonoursWhatEndsATokenEarly: rules, and what becomes of the client.
func TestThreat63_IntrospectionHonoursWhatEndsATokenEarly(t *testing.T) {
	t.Parallel()
	s := newStore("late", map[string]apikey.Standing{"late": apikey.StandingValid})
	w := newWorld(t, func(c *Config) {
		c.Introspect = []Introspector{{"wordy", []string{testAPI}}}
		c.APIKeys = append(c.APIKeys, KeyClients{Name: "late", Keys: &apikey.Lookup{Stores: []apikey.Stored{s}}})
	})
	ours := signers()[serviceAlgorithm]
	token := signedToken(t, ours, "at+jwt", map[string]any{
		"iss": testIssuer, "sub": "late", "client_id": "late", "aud": testAPI, "jti": "one", "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
	})
	active := func() bool {
		t.Helper()
		return strings.HasPrefix(w.send("introspect", "wordy", wordyText, token).Body.String(), `{"active":true`)
	}
	if !active() {
		t.Fatal("this test shows nothing")
	}
	for _, standing := range []apikey.Standing{apikey.StandingDisabled, apikey.StandingExpired, apikey.StandingDeleted, apikey.StandingUnknown} {
		s.set("late", standing)
		if active() {
			t.Errorf("with the standing %d", standing)
		}
	}
	s.set("late", apikey.StandingValid)
	for _, rule := range []revocation.Rule{
		{Kind: revocation.KindJTI, Value: "one"}, {Kind: revocation.KindSub, Value: "late"}, {Kind: revocation.KindClient, Value: "late", Issuer: testIssuer},
		{Kind: revocation.KindKey, Value: "late"}, {Kind: revocation.KindKid, Value: ours.ID(), Issuer: testIssuer},
		{Kind: revocation.KindIssuer, Value: testIssuer, NotBefore: noon.Add(time.Second)}, {Kind: revocation.KindToken, Value: revocation.TokenValue(token)},
		{Kind: revocation.KindClient, Value: "late", NotBefore: noon.Add(time.Second)},
	} {
		w.rules.rules = []revocation.Rule{rule}
		if active() {
			t.Errorf("with the rule %+v", rule)
		}
	}
	w.rules.rules = []revocation.Rule{{Kind: revocation.KindClient, Value: "late", NotBefore: noon}, {Kind: revocation.KindJTI, Value: "one", Issuer: "https://elsewhere.example"}}
	if !active() {
		t.Error("rules about others")
	}
	w.rules.rules = nil
	s.away = true
	says(t, "the store is away", w.send("introspect", "wordy", wordyText, token), http.StatusServiceUnavailable, "temporarily_unavailable")
	s.away = false
	w.clock.Advance(time.Minute - time.Second)
	if !active() {
		t.Error("a second before its end")
	}
	w.clock.Advance(time.Second)
	if active() {
		t.Error("at its end, in the leeway of handlers")
	}
}

func TestIntrospectorsAreChecked(t *testing.T) {
	t.Parallel()
	for name, i := range map[string]Introspector{
		"no resource": {"wordy", nil}, "a resource that there is not": {"wordy", []string{"https://elsewhere.example"}},
	} {
		c := newWorld(t, nil).service.config
		c.Introspect = []Introspector{i}
		if _, err := New(c); err == nil {
			t.Error(name)
		}
	}
}

// FuzzIntrospect sends any form: no panic, no error of the server, and nothing is active but
// the client's own token.
func FuzzIntrospect(f *testing.F) {
	w := newWorld(f, nil)
	own, others := w.issued("partner001", partnerKey), w.issued("wordy", wordyText)
	for _, form := range tokenForms {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, form string) {
		w := newWorld(t, nil)
		form = strings.NewReplacer("OTHERS", others, "OWN", own).Replace(form)
		r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/introspect", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		out := w.serve(basic(r, "partner001", partnerKey))
		if out.Code >= 500 || len(w.rules.rules) > 0 {
			t.Errorf("%d %s", out.Code, out.Body)
		}
		sent, _ := url.ParseQuery(form)
		if out.Code == http.StatusOK && out.Body.String() != `{"active":false}` && revocation.SignedPart(sent.Get("token")) != revocation.SignedPart(own) {
			t.Errorf("%s for %q", out.Body, form)
		}
	})
}
