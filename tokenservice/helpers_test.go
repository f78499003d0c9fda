package tokenservice

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

const (
	testIssuer = "https://auth.example.com"
	testAPI    = "https://api.example.com"
	testOther  = "https://other.example.com"

	serviceAlgorithm = key.ES256
)

// noon is when tests begin.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// signers makes one key for each algorithm; RSA keys are slow to make.
var signers = sync.OnceValue(func() map[key.Algorithm]*key.Signer {
	m := map[key.Algorithm]*key.Signer{}
	for _, alg := range []key.Algorithm{key.ES256, key.EdDSA, key.RS256} {
		s, err := key.NewSigner(alg)
		if err != nil {
			panic(err)
		}
		m[alg] = s
	}
	return m
})

// signingKeys are the keys of one issuer, without a storage.
type signingKeys struct {
	signer *key.Signer
	err    error
}

func (k signingKeys) Keys(_ context.Context, kid string) ([]key.Key, error) {
	if kid != "" && kid != k.signer.ID() {
		return nil, key.ErrUnknown
	}
	return []key.Key{k.signer.Public()}, nil
}
func (signingKeys) Version(string, time.Time) uint64 { return 1 }
func (k signingKeys) Signer(context.Context, time.Time) (*key.Signer, error) {
	return k.signer, k.err
}
func (k signingKeys) Published(context.Context, time.Time) ([]byte, error) {
	return append(k.signer.Public().AppendJWK([]byte(`{"keys":[`)), "]}"...), k.err
}

// fakeRules are rules that a test makes.
type fakeRules struct {
	mu      sync.Mutex
	rules   []revocation.Rule
	unknown bool
	asked   int // how often about a token
}

func (f *fakeRules) Await(context.Context, time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unknown
}

func (f *fakeRules) Revokes(t *revocation.Subject, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	for i := range f.rules {
		if f.rules[i].Matches(t, "", now) {
			return true
		}
	}
	return false
}

func (f *fakeRules) RevokesKey(store, id string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.rules {
		if f.rules[i].MatchesKey(store, id, now) {
			return true
		}
	}
	return false
}

func (f *fakeRules) Add(_ context.Context, rules []revocation.Rule) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, rules...)
	return true, nil
}

// world is a service with what it needs.
type world struct {
	t       testing.TB
	clock   *clock.Fake
	rules   *fakeRules
	service *Service

	mu       sync.Mutex
	events   []Event
	warnings []Warning
}

// The API keys of a world.
var (
	partnerKey, _  = apikey.NewWithID("cj", "partner001")
	disabledText   = "a-key-that-is-disabled-for-good"
	expiredText    = "a-key-that-has-expired-long-ago"
	expiringText   = "a-key-that-expires-in-five-minutes"
	shortText      = "short-key-0123"
	deployText     = "a-key-whose-id-is-that-of-a-client"
	wordyText      = "a+key/with%the-signs-that-forms-encode=="
	plusText       = "a+key+of+many+words/in+base64=="
	unknownText, _ = apikey.NewWithID("cj", "partner001")
)

func testRecords() []apikey.Record {
	meta, err := claims.ParseObject([]byte(`{"plan":"gold","limits":{"rps":[1,2.50]},"nothing":null,"scope":"admin"}`))
	if err != nil {
		panic(err)
	}
	return []apikey.Record{
		{ID: "partner001", Hash: apikey.DigestOf(partnerKey), Scopes: []string{"read", "write", "caddy-jwt:revoke"}, Meta: meta},
		{ID: "disabled", Hash: apikey.DigestOf(disabledText), Disabled: true},
		{ID: "expired", Hash: apikey.DigestOf(expiredText), Expires: noon.Add(-time.Hour)},
		{ID: "expiring", Hash: apikey.DigestOf(expiringText), Expires: noon.Add(5 * time.Minute)},
		{ID: "short", Hash: apikey.DigestOf(shortText)},
		{ID: "deploy-bot", Hash: apikey.DigestOf(deployText), Scopes: []string{"admin"}},
		{ID: "plus", Hash: apikey.DigestOf(plusText)},
		{ID: "wordy", Hash: apikey.DigestOf(wordyText)},
	}
}

// newWorld makes a service: API keys, the client deploy-bot that signs, the client ci for
// platforms.
func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(noon), rules: &fakeRules{}}
	keys, err := apikey.NewSet(testRecords())
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Issuer: testIssuer, Audience: []string{testAPI, testOther}, Lifetime: 15 * time.Minute,
		APIKeys: []KeyClients{{Name: "partners", Keys: &apikey.Lookup{Written: keys, Clock: w.clock}}},
		Clients: []Client{
			{ID: "deploy-bot", Keys: signingKeys{signer: signers()[key.ES256]}, Scopes: []string{"deploy", "read", "caddy-jwt:revoke"}, Audience: []string{testOther, testAPI}},
			{ID: "ci", Scopes: []string{"push", "caddy-jwt:revoke"}, Claims: []Claim{{"team", `in"fra`}}},
		},
		Keys: signingKeys{signer: signers()[key.ES256]}, Rules: w.rules, Memory: NewMemory(), Clock: w.clock,
		Observe: func(e Event) { w.mu.Lock(); w.events = append(w.events, e); w.mu.Unlock() },
		Warn:    func(g Warning) { w.mu.Lock(); w.warnings = append(w.warnings, g); w.mu.Unlock() },
	}
	if change != nil {
		change(&c)
	}
	if w.service, err = New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// address is where the requests of a world come from.
var address = netip.MustParseAddr("192.0.2.7")

// tokenRequest makes a request for the token endpoint.
func tokenRequest(form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// basic sets the credential of a client that encodes it as it must.
func basic(r *http.Request, id, secret string) *http.Request {
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r
}

// ask sends a request for the token endpoint.
func (w *world) ask(r *http.Request) *httptest.ResponseRecorder {
	return w.askFrom(r, address)
}

func (w *world) askFrom(r *http.Request, from netip.Addr) *httptest.ResponseRecorder {
	w.t.Helper()
	out := httptest.NewRecorder()
	if !w.service.Serve(out, r, Request{Path: "/oauth2/token", Host: "auth.example.com", Secure: true, Client: from}) {
		w.t.Fatal("it is not the token endpoint")
	}
	return out
}

// grant asks with a grant, and returns the token's claims after all checks of a verifier.
func (w *world) token(out *httptest.ResponseRecorder) (tokenAnswer, claims.Value) {
	w.t.Helper()
	if out.Code != http.StatusOK {
		w.t.Fatalf("%d: %s", out.Code, out.Body)
	}
	var a tokenAnswer
	if err := json.Unmarshal(out.Body.Bytes(), &a); err != nil {
		w.t.Fatal(err)
	}
	v, err := validator.New([]validator.Policy{{
		Issuer: testIssuer, Keys: w.service.config.Keys, AnyAudience: true, Types: []string{"at+jwt"}, Leeway: time.Second,
	}}, w.clock.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	verified, err := v.Validate(context.Background(), a.AccessToken)
	if err != nil {
		w.t.Fatalf("%v: %s", err, payloadOf(a.AccessToken))
	}
	return a, verified.Claims()
}

type tokenAnswer struct {
	AccessToken string  `json:"access_token"`
	TokenType   string  `json:"token_type"`
	ExpiresIn   int     `json:"expires_in"`
	Scope       *string `json:"scope"`
}

// payloadOf returns the claims of a token as text.
func payloadOf(token string) string {
	parts := strings.Split(token, ".")
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(text)
}

// refused checks that a request is refused with a code, and that nothing secret is said.
func (w *world) refused(out *httptest.ResponseRecorder, status int, code string, secrets ...string) string {
	w.t.Helper()
	var body map[string]string
	if err := json.Unmarshal(out.Body.Bytes(), &body); err != nil {
		w.t.Fatalf("%d: %v: %s", out.Code, err, out.Body)
	}
	if out.Code != status || body["error"] != code || body["error_description"] == "" {
		w.t.Errorf("%d %s, want %d %s", out.Code, out.Body, status, code)
	}
	h := out.Header()
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache",
		"Access-Control-Allow-Origin": "",
	} {
		if got := h.Get(name); got != want {
			w.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if challenge := h.Get("WWW-Authenticate"); (challenge == `Basic realm="oauth2"`) != (status == http.StatusUnauthorized) {
		w.t.Errorf("with %d the challenge is %q", status, challenge)
	}
	if retry := h.Get("Retry-After"); (retry != "") != (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		w.t.Errorf("with %d Retry-After is %q", status, retry)
	}
	e := w.event()
	if e.Error != code || e.Reason == "" || e.Endpoint != "token" {
		w.t.Errorf("the event is %+v", e)
	}
	for _, s := range secrets {
		if s != "" && (strings.Contains(out.Body.String(), s) || strings.Contains(e.Reason+e.Client+e.Grant+e.Federate, s)) {
			w.t.Errorf("%q is in %s or in %+v", s, out.Body, e)
		}
	}
	return body["error_description"]
}

// event returns the last event.
func (w *world) event() Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == 0 {
		return Event{}
	}
	return w.events[len(w.events)-1]
}

// text returns a claim that is a text.
func text(v claims.Value, name string) string {
	m, _ := v.Member(name)
	s, _ := m.Text()
	return s
}
