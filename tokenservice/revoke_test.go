package tokenservice

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// issued returns a token for the client with an API key.
func (w *world) issued(id, secret string, more ...string) string {
	w.t.Helper()
	form := url.Values{"grant_type": {grantClientCredentials}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	a, _ := w.token(w.ask(basic(tokenRequest(form), id, secret)))
	return a.AccessToken
}

// send sends a token to one of the endpoints that take one.
func (w *world) send(endpoint, id, secret, token string, more ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	form := url.Values{}
	if token != "" {
		form.Set("token", token)
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/"+endpoint, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		basic(r, id, secret)
	}
	return w.serve(r)
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	w.t.Helper()
	out := httptest.NewRecorder()
	if !w.service.Serve(out, r, Request{Path: r.URL.Path, Host: "auth.example.com", Secure: true, Client: address}) {
		w.t.Fatal("it is no endpoint")
	}
	return out
}

func (w *world) revoked(token string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.send("revoke", "partner001", partnerKey, token)
}

// says checks the status of an answer and the code of its error.
func says(t testing.TB, what string, out *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var body struct{ Error string }
	if err := json.Unmarshal(out.Body.Bytes(), &body); err != nil || out.Code != status || body.Error != code || out.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s, want %d %q", what, out.Code, out.Body, status, code)
	}
	if retry := out.Header().Get("Retry-After"); (retry != "") != (status == http.StatusServiceUnavailable) {
		t.Errorf("%s: with %d Retry-After is %q", what, status, retry)
	}
}

// signedToken returns a token with these claims, signed by a key.
func signedToken(t testing.TB, by *key.Signer, typ string, body map[string]any) string {
	t.Helper()
	header, err := json.Marshal(map[string]string{"typ": typ, "alg": by.Algorithm().String(), "kid": by.ID()})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := by.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestAClientRevokesItsToken(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{
		"alone": nil, "with the right hint": {"token_type_hint", "access_token"},
		"with a wrong hint": {"token_type_hint", "refresh_token"}, "with any hint": {"token_type_hint", "urn:example:x"},
	} {
		w := newWorld(t, func(c *Config) { c.Leeway = func() time.Duration { return 2 * time.Minute } })
		token, other := w.issued("partner001", partnerKey), w.issued("partner001", partnerKey)
		out := w.send("revoke", "partner001", partnerKey, token, more...)
		says(t, name, out, http.StatusOK, "")
		if e := w.event(); e.Endpoint != "revoke" || e.Client != "partner001" || e.Error != "" {
			t.Errorf("%s: the event is %+v", name, e)
		}
		if len(w.rules.rules) != 1 {
			t.Fatalf("%s: %d rules", name, len(w.rules.rules))
		}
		rule := w.rules.rules[0]
		body, _ := claims.ParseObject([]byte(payloadOf(token)))
		want := revocation.Rule{
			ID: rule.ID, Kind: revocation.KindJTI, Value: text(body, "jti"), Issuer: testIssuer, Own: true, At: noon,
			End: noon.Add(15*time.Minute + 2*time.Minute + time.Minute), By: "partner001", Reason: "revoked by its client",
		}
		if rule != want {
			t.Errorf("%s: %+v, want %+v", name, rule, want)
		}
		for text, want := range map[string]string{token: `{"active":false}`, other: ""} {
			if got := w.send("introspect", "partner001", partnerKey, text).Body.String(); (got == want) != (want != "") {
				t.Errorf("%s: %s", name, got)
			}
		}
		// Once more makes no second rule.
		says(t, name, w.revoked(token), http.StatusOK, "")
		if len(w.rules.rules) != 1 {
			t.Errorf("%s: %d rules after it was revoked twice", name, len(w.rules.rules))
		}
	}
}

// RFC 7009 section 2.2: a client need not know what there is left to revoke. None of it makes
// a rule, which costs memory on every node.
func TestWhatIsNoTokenOfOursIsDoneWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ours, another := signers()[serviceAlgorithm], signers()[key.EdDSA]
	body := func(change ...any) map[string]any {
		m := map[string]any{
			"iss": testIssuer, "sub": "partner001", "client_id": "partner001", "aud": testAPI, "jti": "x", "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
		}
		for i := 0; i < len(change); i += 2 {
			if m[change[i].(string)] = change[i+1]; change[i+1] == nil {
				delete(m, change[i].(string))
			}
		}
		return m
	}
	good := signedToken(t, ours, "at+jwt", body())
	for name, token := range map[string]string{
		"garbage": "garbage", "dots": "..", "an API key": partnerKey, "refresh-shaped": "tGzv3JOkF0XG5Qx2TlKWIA", "binary": "\x00\u00ff\n",
		"another key":     signedToken(t, another, "at+jwt", body()),
		"another issuer":  signedToken(t, ours, "at+jwt", body("iss", "https://elsewhere.example")),
		"forwarded":       signedToken(t, ours, "forward+jwt", body()),
		"forward's":       signedToken(t, ours, "forward+jwt", body("iss", testIssuer+"/forward")),
		"no type":         signedToken(t, ours, "JWT", body()),
		"expired":         signedToken(t, ours, "at+jwt", body("exp", noon.Add(-2*time.Hour).Unix())),
		"without an end":  signedToken(t, ours, "at+jwt", body("exp", nil)),
		"of the future":   signedToken(t, ours, "at+jwt", body("iat", noon.Add(2*time.Hour).Unix(), "exp", noon.Add(3*time.Hour).Unix())),
		"a cut signature": good[:len(good)-4],
		"none":            base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + strings.Split(good, ".")[1] + ".",
	} {
		says(t, name, w.revoked(token), http.StatusOK, "")
		if len(w.rules.rules) > 0 {
			t.Errorf("%s: it made the rule %+v", name, w.rules.rules[0])
			w.rules.rules = nil
		}
	}
	says(t, "no token", w.revoked(""), http.StatusBadRequest, "invalid_request")
	says(t, "without a jti", w.revoked(signedToken(t, ours, "at+jwt", body("jti", nil))), http.StatusBadRequest, "unsupported_token_type")
	says(t, "with a jti that is no text of a rule", w.revoked(signedToken(t, ours, "at+jwt", body("jti", "a\nb"))), http.StatusBadRequest, "unsupported_token_type")
	says(t, "the good one", w.revoked(good), http.StatusOK, "")
	if len(w.rules.rules) != 1 {
		t.Errorf("%d rules: this test shows nothing", len(w.rules.rules))
	}
}

// A token is accepted for a leeway after its end, and can be revoked for as long.
func TestATokenInItsLeewayCanBeRevoked(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]int{0: 1, 2*time.Minute + 59*time.Second: 1, 3 * time.Minute: 0, 30 * time.Minute: 0} {
		w := newWorld(t, func(c *Config) { c.Leeway = func() time.Duration { return 2 * time.Minute } })
		token := w.issued("partner001", partnerKey)
		w.clock.Advance(15*time.Minute + after)
		says(t, after.String(), w.revoked(token), http.StatusOK, "")
		if len(w.rules.rules) != want {
			t.Errorf("%s after its end: %d rules, want %d", after, len(w.rules.rules), want)
		}
	}
}

// TestThreat73_AnothersToken: nobody may end another client's tokens.
func TestThreat73_AnothersToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Introspect = []Introspector{{"partner001", []string{testAPI}}} })
	token := w.issued("wordy", wordyText)
	for _, more := range [][]string{nil, {"client_id", "partner001"}} {
		says(t, "another's", w.send("revoke", "partner001", partnerKey, token, more...), http.StatusBadRequest, "unauthorized_client")
	}
	for name, id := range map[string][2]string{
		"nobody": {}, "wrong secret": {"wordy", partnerKey}, "disabled": {"disabled", disabledText}, "expired": {"expired", expiredText},
		"the token itself": {"wordy", token},
	} {
		says(t, name, w.send("revoke", id[0], id[1], token), http.StatusUnauthorized, "invalid_client")
	}
	if len(w.rules.rules) > 0 {
		t.Errorf("%+v", w.rules.rules)
	}
	if got := w.send("introspect", "wordy", wordyText, token).Body.String(); !strings.HasPrefix(got, `{"active":true`) {
		t.Error(got)
	}
}

// TestThreat73_MintAndRevokeForAnHour: what one client does fills nobody's memory.
func TestThreat73_MintAndRevokeForAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Leeway = func() time.Duration { return time.Minute } })
	ours, made, n := signers()[serviceAlgorithm], 0, 0
	mint := func(client string) string {
		n++
		now := w.clock.Now()
		return signedToken(t, ours, "at+jwt", map[string]any{
			"iss": testIssuer, "sub": client, "client_id": client, "aud": testAPI, "jti": fmt.Sprint(n), "iat": now.Unix(), "exp": now.Add(15 * time.Minute).Unix(),
		})
	}
	// Ten in one second.
	for range 15 {
		if out := w.revoked(mint("partner001")); out.Code == http.StatusOK {
			made++
		} else {
			says(t, "the eleventh", out, http.StatusServiceUnavailable, "temporarily_unavailable")
		}
	}
	if made != maxRevokedNow {
		t.Fatalf("%d in one second", made)
	}
	for made < maxRevoked {
		w.clock.Advance(time.Second)
		for range maxRevokedNow {
			says(t, "within the bounds", w.revoked(mint("partner001")), http.StatusOK, "")
			made++
		}
	}
	w.clock.Advance(time.Second)
	out := w.revoked(mint("partner001"))
	says(t, "one too many", out, http.StatusServiceUnavailable, "temporarily_unavailable")
	// The first rules end 17 minutes after they were made.
	if want := fmt.Sprint(17*60 - 100); out.Header().Get("Retry-After") != want {
		t.Errorf("Retry-After is %s, want %s", out.Header().Get("Retry-After"), want)
	}
	if len(w.rules.rules) != maxRevoked {
		t.Errorf("%d rules", len(w.rules.rules))
	}
	says(t, "another client", w.send("revoke", "wordy", wordyText, mint("wordy")), http.StatusOK, "")
	// An hour later there is room again, and the memory holds nothing of all that.
	w.clock.Advance(time.Hour)
	says(t, "an hour later", w.revoked(mint("partner001")), http.StatusOK, "")
	m := &w.service.config.Memory.revoked
	if len(m.clients) != 1 || len(m.clients[digestOf("revoked", testIssuer, "partner001")].rules) != 1 {
		t.Errorf("%d clients are remembered", len(m.clients))
	}
}

// unstored are rules whose storage is away.
type unstored struct {
	*fakeRules
	stored bool
	err    error
}

func (u *unstored) Add(ctx context.Context, rules []revocation.Rule) (bool, error) {
	if u.err != nil {
		return false, u.err
	}
	if _, err := u.fakeRules.Add(ctx, rules); err != nil {
		return false, err
	}
	return u.stored, ctx.Err()
}

// 200 means that each node will refuse the token. What holds on this node alone is repeated
// by the client, and then it is the same rule that is stored.
func TestARevocationThatIsNotStoredIsRepeated(t *testing.T) {
	t.Parallel()
	rules := &unstored{fakeRules: &fakeRules{}}
	w := newWorld(t, func(c *Config) { c.Rules = rules })
	token := w.issued("partner001", partnerKey)
	for range 2 {
		says(t, "the storage is away", w.revoked(token), http.StatusServiceUnavailable, "temporarily_unavailable")
		if got := w.send("introspect", "partner001", partnerKey, token).Body.String(); got != `{"active":false}` {
			t.Errorf("it does not hold here: %s", got)
		}
	}
	rules.stored = true
	says(t, "the storage is back", w.revoked(token), http.StatusOK, "")
	says(t, "once more", w.revoked(token), http.StatusOK, "")
	if len(rules.rules) != 3 || rules.rules[0] != rules.rules[2] {
		t.Errorf("%+v", rules.rules)
	}

	rules.err = errors.New("the disk says secret things")
	out := w.revoked(w.issued("partner001", partnerKey))
	says(t, "no rule at all", out, http.StatusServiceUnavailable, "temporarily_unavailable")
	if strings.Contains(out.Body.String()+w.event().Reason, "secret") {
		t.Error(out.Body)
	}
	if m := w.service.config.Memory.revoked.clients; len(m[digestOf("revoked", testIssuer, "partner001")].rules) != 1 {
		t.Error("a rule that was not made counts")
	}
}

// A client that hangs up has its token revoked nevertheless.
func TestARevocationOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	rules := &unstored{fakeRules: &fakeRules{}, stored: true}
	w := newWorld(t, func(c *Config) { c.Rules = rules })
	token := w.issued("partner001", partnerKey)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/revoke", strings.NewReader(url.Values{"token": {token}}.Encode())).WithContext(ctx)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	says(t, "it hangs up", w.serve(basic(r, "partner001", partnerKey)), http.StatusOK, "")
}

// While it can't be known whose a token is, or what is revoked, nothing is said of it.
func TestRevocationWhileThingsAreAway(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"keys":  func(c *Config) { c.Keys = unknownKeys{signingKeys{signer: signers()[serviceAlgorithm]}} },
		"rules": func(c *Config) { c.Rules = &fakeRules{unknown: true} },
	} {
		token := newWorld(t, nil).issued("partner001", partnerKey)
		w := newWorld(t, change)
		for _, endpoint := range []string{"revoke", "introspect"} {
			says(t, name+" "+endpoint, w.send(endpoint, "partner001", partnerKey, token), http.StatusServiceUnavailable, "temporarily_unavailable")
		}
	}
}

// unknownKeys are signing keys that are not known.
type unknownKeys struct{ signingKeys }

func (unknownKeys) Keys(context.Context, string) ([]key.Key, error) { return nil, key.ErrUnavailable }

// TestThreat42_BothEndpointsTakeFormsAlone: anything else changes nothing.
func TestThreat42_BothEndpointsTakeFormsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	token := w.issued("partner001", partnerKey)
	good := url.Values{"token": {token}}.Encode()
	for _, endpoint := range []string{"revoke", "introspect"} {
		path := testIssuer + "/oauth2/" + endpoint
		for name, test := range map[string]struct {
			method, path, kind, body string
			status                   int
		}{
			"GET":              {"GET", path, "", "", 405},
			"GET with a query": {"GET", path + "?" + good, "", "", 405},
			"a query":          {"POST", path + "?" + good, "application/x-www-form-urlencoded", "", 400},
			"JSON":             {"POST", path, "application/json", `{"token":"` + token + `"}`, 400},
			"no type":          {"POST", path, "", good, 400},
			"twice":            {"POST", path, "application/x-www-form-urlencoded", good + "&" + good, 400},
			"two clients":      {"POST", path, "application/x-www-form-urlencoded", good + "&client_id=wordy", 401},
			"two ways":         {"POST", path, "application/x-www-form-urlencoded", good + "&client_secret=x", 400},
			"10 MB":            {"POST", path, "application/x-www-form-urlencoded", good + "&x=" + strings.Repeat("a", 10<<20), 413},
		} {
			r := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
			if test.kind != "" {
				r.Header.Set("Content-Type", test.kind)
			}
			if out := w.serve(basic(r, "partner001", partnerKey)); out.Code != test.status || strings.Contains(out.Body.String(), token) {
				t.Errorf("%s, %s: %d %s, want %d", endpoint, name, out.Code, out.Body, test.status)
			}
		}
		out := httptest.NewRecorder()
		r := httptest.NewRequest("POST", path, strings.NewReader(good))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w.service.Serve(out, basic(r, "partner001", partnerKey), Request{Path: r.URL.Path, Host: "auth.example.com"})
		if out.Code != 400 {
			t.Errorf("%s without TLS: %d", endpoint, out.Code)
		}
	}
	if len(w.rules.rules) > 0 {
		t.Errorf("%+v", w.rules.rules)
	}
}

// tokenForms are forms to begin with; OWN and OTHERS stand for tokens, which each process
// signs with a key of its own.
var tokenForms = []string{
	"token=OWN", "token=OTHERS", "token=OWNx", "token=xOWN", "token=OWN&token_type_hint=refresh_token", "token=OWN&client_id=wordy",
	"token=a.b.c", "token=%zz&token=a", "client_assertion=OWN&client_assertion_type=" + url.QueryEscape(assertionType) + "&token=OWN",
}

// FuzzRevoke sends any form: no panic, no error of the server, and no rule but for the
// client's own token.
func FuzzRevoke(f *testing.F) {
	w := newWorld(f, nil)
	own, others := w.issued("partner001", partnerKey), w.issued("wordy", wordyText)
	for _, form := range tokenForms {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, form string) {
		w := newWorld(t, nil)
		form = strings.NewReplacer("OTHERS", others, "OWN", own).Replace(form)
		r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/revoke", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		out := w.serve(basic(r, "partner001", partnerKey))
		if out.Code >= 500 {
			t.Errorf("%d %s", out.Code, out.Body)
		}
		sent, _ := url.ParseQuery(form)
		if len(w.rules.rules) > 0 && (out.Code != http.StatusOK || revocation.SignedPart(sent.Get("token")) != revocation.SignedPart(own)) {
			t.Errorf("%d, and the rule %+v", out.Code, w.rules.rules[0])
		}
	})
}
