package caddyjwt

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// explained is a request that was explained to handlers in their order, up to the one that
// refuses it.
type explained struct {
	handlers []explain.Handler
	request  *http.Request // as it was left
	repl     *caddy.Replacer
}

func explainTo(t testing.TB, r *http.Request, q explain.Question, handlers ...*Handler) explained {
	t.Helper()
	e := explained{repl: caddy.NewReplacer()}
	e.request = caddyhttp.PrepareRequest(r, e.repl, httptest.NewRecorder(), new(caddyhttp.Server))
	for _, h := range handlers {
		e.handlers = append(e.handlers, h.ExplainRequest(t.Context(), e.request, &q))
		if e.last().Verdict == explain.Refused {
			break
		}
	}
	return e
}

func (e *explained) last() *explain.Handler { return &e.handlers[len(e.handlers)-1] }

// failed are the checks that failed, as in "expires=expired".
func failed(h *explain.Handler) (list []string) {
	for _, c := range h.Checks {
		if c.Outcome == reason.Failed {
			list = append(list, string(c.Name)+"="+string(c.Reason))
		}
	}
	return list
}

// check returns a check of a handler.
func check(t testing.TB, h *explain.Handler, name reason.CheckName) explain.Check {
	t.Helper()
	i := slices.IndexFunc(h.Checks, func(c explain.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check %s: %+v", name, h.Checks)
	}
	return h.Checks[i]
}

// agrees serves one request and explains another that is the same, and compares what became
// of both, and what handlers behind see.
func agrees(t testing.TB, request func() *http.Request, handlers ...*Handler) *explain.Handler {
	t.Helper()
	e := explainTo(t, request(), explain.Question{Introspect: true}, handlers...)
	var chain []caddyhttp.MiddlewareHandler
	for _, h := range handlers {
		chain = append(chain, h)
	}
	res := serve(t, request(), nil, chain...)
	last := e.last()
	for _, h := range e.handlers {
		first := ""
		for _, c := range h.Checks {
			if c.Outcome == reason.Failed {
				first = string(c.Reason) + "/" + c.Detail
				break
			}
		}
		if want := string(h.Reason) + "/" + h.Detail; first != want && (h.Reason != "" || first != "") {
			t.Errorf("the first check that failed says %q, the verdict %q: %v", first, want, failed(&h))
		}
		if h.Reason != "" && h.Remedy == "" {
			t.Errorf("no remedy for %s", h.Reason)
		}
	}
	if (last.Verdict == explain.Refused) != (res.next == nil) {
		t.Fatalf("explained %s, served %d: %+v", last.Verdict, res.Code, last)
	}
	for placeholder, want := range map[string]string{
		"{http.jwt.reason}": res.reason(), "{http.jwt.detail}": res.placeholder("{http.jwt.detail}"), "{http.jwt.requirement}": res.placeholder("{http.jwt.requirement}"),
		"{http.auth.user.id}": res.placeholder("{http.auth.user.id}"), "{http.jwt.auth_method}": res.placeholder("{http.jwt.auth_method}"), "{http.jwt.issuer}": res.placeholder("{http.jwt.issuer}"),
	} {
		if got := e.repl.ReplaceKnown(placeholder, ""); got != want {
			t.Errorf("%s is %q, where it is served %q", placeholder, got, want)
		}
	}
	if last.Verdict == explain.Refused {
		if last.Status != res.Code || string(last.Reason) != res.reason() || last.Detail != res.placeholder("{http.jwt.detail}") || last.Requirement != res.placeholder("{http.jwt.requirement}") {
			t.Errorf("explained %d %s %q %q, served %d %s %q %q", last.Status, last.Reason, last.Detail, last.Requirement,
				res.Code, res.reason(), res.placeholder("{http.jwt.detail}"), res.placeholder("{http.jwt.requirement}"))
		}
		return last
	}
	signs := slices.ContainsFunc(handlers, func(h *Handler) bool { return len(h.ForwardJWT) > 0 }) // which differ each time
	if !signs && !equalHeaders(e.request.Header, res.next.Header) || e.request.URL.String() != res.next.URL.String() || e.request.RequestURI != res.next.RequestURI {
		t.Errorf("left as %v %s, where it is served %v %s", e.request.Header, e.request.URL, res.next.Header, res.next.URL)
	}
	return last
}

// noKeys are an issuer's keys that are not available.
type noKeys struct{}

func (noKeys) Keys(context.Context, string) ([]key.Key, error) { return nil, key.ErrUnavailable }
func (noKeys) Version(string, time.Time) uint64                { return 0 }

// headed makes a token with another header.
func headed(t testing.TB, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
	})
	maps.Copy(token.Header, header)
	text, err := token.SignedString(signer())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// hourAgo and inAnHour are times that don't come while tests run.
func hourAgo() int64  { return time.Now().Add(-time.Hour).Unix() }
func inAnHour() int64 { return time.Now().Add(time.Hour).Unix() }

// stored is an app with a state, a store partners with a key, and a site that takes it.
type stored struct {
	app  *App
	site *Handler
	key  string
}

func newStored(t *testing.T, start bool) *stored {
	t.Helper()
	s := &stored{app: serviceApp(t)}
	s.app.APIKeys = map[string]*APIKeyStore{"partners": {Storage: true}}
	var err error
	s.app.state, err = s.app.sources.NewState(shared.StateSettings{
		Cluster: fmt.Sprintf("e%x", time.Now().UnixNano()), Interval: time.Second, MaxStale: time.Hour, StorageModule: "caddy.storage.file_system", Stores: []string{"partners"},
		LearnedRules: admin.LearnedRules(zap.NewNop()), LearnedKeys: admin.LearnedKeys(zap.NewNop()),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.site = new(Handler)
	text := "jwt {\nissuer https://issuer.example/ {\npublic_key \"" + publicPEM(t, signer().Public()) + "\"\naudience https://api.example\n}\noptional\n}"
	if err := s.site.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	s.site.logger, s.site.app, s.site.APIKeys = zap.NewNop(), s.app, []*APIKeySource{{Name: "partners"}}
	if err := s.site.provision(bareContext()); err != nil {
		t.Fatal(err)
	}
	s.key = "partner-key-without-a-form-0123456789"
	if !start {
		return s
	}
	startServices(t, s.app)
	<-s.app.state.Revocations().Ready()
	record := apikey.Record{ID: "acme", Consumer: "Acme", Hash: apikey.DigestOf(s.key), Created: time.Now()}
	if err := s.app.state.Store("partners").Create(t.Context(), record, apikey.Actor{By: "test", Node: s.app.state.Node()}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stored) revoke(t *testing.T, rule revocation.Rule) string {
	t.Helper()
	r, err := revocation.New(rule)
	if err == nil {
		_, err = s.app.state.Revocations().Add(t.Context(), []revocation.Rule{r})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.PublicID()
}

func withKey(text string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://api.example/path?a=1", nil)
	r.Header.Set("X-API-Key", text)
	return r
}

// impatient is a request that waits for nothing.
func impatient(t *testing.T, r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return r.WithContext(ctx)
}

// TestExplainGivesEachReason: for every reason, the verdict is that of a served request, and
// the first check that failed has the reason.
func TestExplainGivesEachReason(t *testing.T) {
	t.Parallel()
	good, hash := newAPIKey()
	old, oldHash := newAPIKey()
	off, offHash := newAPIKey()
	unknown, _ := newAPIKey()
	keys := keyFileOf(t, fmt.Sprintf(`{"id":"good","hash":%q,"consumer":"Partner"}`, hash), fmt.Sprintf(`{"id":"old","hash":%q,"expires":"2020-01-01T00:00:00Z"}`, oldHash), fmt.Sprintf(`{"id":"off","hash":%q,"enabled":false}`, offHash))
	issuer := "issuer https://issuer.example/ {\npublic_key \"" + publicPEM(t, signer().Public()) + "\"\naudience https://api.example\n"
	plain := newSite(t, "").Handler
	keyed := makeSite(t, "api_keys "+keys).Handler
	cookies := newSite(t, "token_from cookie session").Handler
	unavailable := newSite(t, "").Handler
	var err error
	if unavailable.validator, err = validator.New([]validator.Policy{{Issuer: "https://issuer.example/", Audience: []string{"https://api.example"}, Keys: noKeys{}}}, nil); err != nil {
		t.Fatal(err)
	}
	public, err := key.NewPublic(signer().Public(), key.Options{ID: "one"})
	if err != nil {
		t.Fatal(err)
	}
	named := newSite(t, "").Handler
	if named.validator, err = validator.New([]validator.Policy{{
		Issuer: "https://issuer.example/", Audience: []string{"https://api.example"}, Keys: keystore.NewStatic(keystore.NewSet([]key.Key{public})),
	}}, nil); err != nil {
		t.Fatal(err)
	}
	signing := newSite(t, "forward_jwt X-Identity https://orders.internal")
	signsWith(t, signing).signer.Store(nil)
	running, stopped := newStored(t, true), newStored(t, false)
	running.revoke(t, revocation.Rule{Kind: revocation.KindSub, Value: "mallory"})
	token := func(claims map[string]any) func() *http.Request {
		text := signed(t, claims)
		return func() *http.Request { return bearer(text) }
	}
	header := func(header map[string]any) func() *http.Request {
		text := headed(t, header)
		return func() *http.Request { return bearer(text) }
	}
	asked := func(answer string) *Handler { return makeSite(t, introspecting(t, answer)+"}").Handler }
	withKeyOf := func(text string) func() *http.Request { return func() *http.Request { return withKey(text) } }
	valid := signed(t, nil)
	const denying = "mcp {\ndefault deny\ntool list\ntool delete_* {\nrequire scope admin\n}\ntool pay {\nrequire claim tenant acme\n}\n}"
	judging := newSite(t, denying).Handler
	message := func(body string, change func(*http.Request)) func() *http.Request {
		return func() *http.Request {
			r := bearer(valid)
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Type", "application/json")
			if change != nil {
				change(r)
			}
			return r
		}
	}
	// What all requests hold together at the moment is nothing that a request that was made
	// up has a part in.
	seen := map[reason.Code]bool{reason.Overloaded: true}
	for name, c := range map[string]struct {
		site    *Handler
		request func() *http.Request
		code    reason.Code
		check   reason.CheckName // the first that failed
	}{
		"no JWT":           {plain, func() *http.Request { return bearer("opaque") }, reason.MalformedToken, reason.CheckForm},
		"cnf":              {plain, token(map[string]any{"cnf": map[string]any{"jkt": "x"}}), reason.UnsupportedToken, reason.CheckBinding},
		"crit":             {plain, header(map[string]any{"crit": []string{"exp"}}), reason.UnsupportedToken, reason.CheckForm},
		"another issuer":   {plain, token(map[string]any{"iss": "https://other.example/"}), reason.UnknownIssuer, reason.CheckIssuer},
		"no issuer":        {plain, token(map[string]any{"iss": nil}), reason.UnknownIssuer, reason.CheckIssuer},
		"alg none":         {plain, header(map[string]any{"alg": "none"}), reason.AlgorithmNotAllowed, reason.CheckAlgorithm},
		"another alg":      {plain, header(map[string]any{"alg": "RS256"}), reason.AlgorithmNotAllowed, reason.CheckKey},
		"an unknown kid":   {named, header(map[string]any{"kid": "two"}), reason.UnknownKey, reason.CheckKey},
		"a bad signature":  {plain, func() *http.Request { return bearer(valid[:len(valid)-8] + "AAAAAAAA") }, reason.BadSignature, reason.CheckSignature},
		"expired":          {plain, token(map[string]any{"exp": hourAgo()}), reason.Expired, reason.CheckExpires},
		"not yet valid":    {plain, token(map[string]any{"nbf": inAnHour()}), reason.NotYetValid, reason.CheckNotBefore},
		"issued later":     {plain, token(map[string]any{"iat": inAnHour()}), reason.IssuedInFuture, reason.CheckIssuedAt},
		"too long":         {makeSite(t, issuer+"max_lifetime 5m\n}").Handler, token(nil), reason.LifetimeTooLong, reason.CheckLifetime},
		"another audience": {plain, token(map[string]any{"aud": "x"}), reason.WrongAudience, reason.CheckAudience},
		"another type":     {plain, header(map[string]any{"typ": "logout+jwt"}), reason.WrongType, reason.CheckType},
		"no user":          {plain, token(map[string]any{"sub": nil}), reason.MissingClaim, reason.CheckUser},
		"no exp":           {plain, token(map[string]any{"exp": nil}), reason.MissingClaim, reason.CheckExpires},
		"revoked":          {running.site, token(map[string]any{"sub": "mallory"}), reason.Revoked, reason.CheckRevocations},
		"not active":       {asked(`{"active":false}`), func() *http.Request { return bearer(opaqueText) }, reason.InactiveToken, reason.CheckIntrospection},
		"no answer":        {asked(`<html>`), func() *http.Request { return bearer(opaqueText) }, reason.IntrospectionUnavailable, reason.CheckIntrospection},
		"a refresh token":  {asked(activeAnswer + `,"token_type":"refresh_token"}`), func() *http.Request { return bearer(opaqueText) }, reason.WrongType, ""},
		"an opaque token":  {asked(activeAnswer + `,"token_type":"Bearer"}`), func() *http.Request { return bearer(opaqueText) }, "", ""},
		"no keys":          {unavailable, token(nil), reason.KeysUnavailable, reason.CheckKey},
		"no signing keys":  {signing.Handler, token(nil), reason.KeysUnavailable, reason.CheckForward},
		"no rules":         {stopped.site, func() *http.Request { return impatient(t, bearer(valid)) }, reason.RevocationsUnavailable, reason.CheckRevocations},
		"nothing":          {plain, func() *http.Request { return httptest.NewRequest("GET", "https://api.example/", nil) }, reason.MissingCredentials, reason.CheckCredentials},
		"two": {plain, func() *http.Request {
			return request("a", "b", "", "", "Authorization: Bearer %G", "Authorization: Bearer %B")
		}, reason.MultipleCredentials, reason.CheckCredentials},
		"empty":                     {plain, func() *http.Request { return bearer("") }, reason.MalformedRequest, reason.CheckCredentials},
		"another site":              {cookies, func() *http.Request { return crossSite(withCookie("session=" + valid)) }, reason.CrossOrigin, reason.CheckCredentials},
		"an unknown key":            {keyed, withKeyOf(unknown), reason.UnknownAPIKey, reason.CheckAPIKey},
		"an old key":                {keyed, withKeyOf(old), reason.APIKeyExpired, reason.CheckAPIKey},
		"a disabled key":            {keyed, withKeyOf(off), reason.APIKeyDisabled, reason.CheckAPIKey},
		"no store":                  {stopped.site, func() *http.Request { return impatient(t, withKey(stopped.key)) }, reason.APIKeysUnavailable, reason.CheckAPIKey},
		"a scope":                   {newSite(t, "require any_scope a b").Handler, token(nil), reason.InsufficientScope, reason.CheckScope},
		"a claim":                   {newSite(t, "require claim role admin").Handler, token(nil), reason.Forbidden, reason.CheckClaim},
		"an expression":             {newSite(t, requiring("claims.age > 17")).Handler, token(nil), reason.Forbidden, reason.CheckExpression},
		"anonymous, and rules":      {newSite(t, "optional\n"+requiring("auth_method != 'anonymous'")).Handler, func() *http.Request { return httptest.NewRequest("GET", "https://api.example/", nil) }, reason.MissingCredentials, reason.CheckExpression},
		"a line end":                {newSite(t, "forward name X-Name").Handler, token(map[string]any{"name": "a\nb"}), reason.UnforwardableClaim, reason.CheckForward},
		"no message":                {judging, message("{", nil), reason.MalformedMessage, reason.CheckMessage},
		"a lying header":            {judging, message(call("1", "list"), func(r *http.Request) { r.Header.Set("Mcp-Name", "x") }), reason.HeaderMismatch, reason.CheckMessage},
		"PUT to mcp":                {judging, message(call("1", "list"), func(r *http.Request) { r.Method = http.MethodPut }), reason.MethodNotAllowed, reason.CheckMessage},
		"text to mcp":               {judging, message(call("1", "list"), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), reason.UnsupportedMediaType, reason.CheckMessage},
		"a long message":            {judging, message(call("1", strings.Repeat("x", 1<<20)), nil), reason.BodyTooLarge, reason.CheckMessage},
		"a slow message":            {judging, message("{", func(r *http.Request) { r.Body = io.NopCloser(&failing{strings.NewReader("{"), os.ErrDeadlineExceeded}) }), reason.BodyTimeout, reason.CheckMessage},
		"a tool's scope":            {judging, message(call("1", "delete_one"), nil), reason.InsufficientScope, reason.CheckScope},
		"the second of a batch":     {judging, message("["+call("1", "list")+","+call("2", "pay")+"]", nil), reason.Forbidden, reason.CheckClaim},
		"what no rule names":        {judging, message(call("1", "other"), nil), reason.Forbidden, reason.CheckMessage},
		"a message that passes":     {judging, message(call("1", "list"), nil), "", ""},
		"a request without one":     {judging, message("", func(r *http.Request) { r.Method, r.Body = http.MethodGet, http.NoBody }), "", ""},
		"reported, with a rule":     {newSite(t, "mode report\n"+denying).Handler, message(call("1", "other"), nil), reason.Forbidden, reason.CheckMessage},
		"own rules before a tool's": {newSite(t, "require scope own\n"+denying).Handler, message(call("1", "other"), nil), reason.InsufficientScope, reason.CheckScope},
		"a preflight of mcp":        {newSite(t, "allow_preflight\n"+denying).Handler, preflight, "", ""},

		"a good token": {plain, token(nil), "", ""},
		"a good key":   {keyed, withKeyOf(good), "", ""},
		"a stored key": {running.site, withKeyOf(running.key), "", ""},
		"both":         {running.site, func() *http.Request { r := bearer(valid); r.Header.Set("X-API-Key", running.key); return r }, "", ""},
		"optional":     {running.site, func() *http.Request { return httptest.NewRequest("GET", "https://api.example/", nil) }, "", ""},
		"a preflight":  {newSite(t, "allow_preflight").Handler, preflight, "", ""},
		"kept":         {newSite(t, "keep_credentials\nforward user X-User").Handler, token(nil), "", ""},
		"a copy": {newSite(t, "forward user X-User\nclear X-Other").Handler, func() *http.Request {
			r := bearer(valid)
			r.Header.Set("X-API-Key", valid)
			r.Header.Set("X-Other", "1")
			return r
		}, "", ""},
		"only cleared":     {makeSite(t, "mode clear\nclear X-Other").Handler, func() *http.Request { r := bearer(valid); r.Header.Set("X-Other", "1"); return r }, "", ""},
		"in a query":       {newSite(t, "token_from query t").Handler, func() *http.Request { return request(valid, "", "?a=1&t=%G", "") }, "", ""},
		"report, expired":  {newSite(t, "mode report\nforward user X-User").Handler, token(map[string]any{"exp": hourAgo()}), reason.Expired, reason.CheckExpires},
		"report, accepted": {newSite(t, "mode report\nforward user X-User").Handler, token(nil), "", ""},
	} {
		seen[c.code] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := agrees(t, c.request, c.site)
			if h.Reason != c.code {
				t.Fatalf("%s, want %s; %v", h.Reason, c.code, failed(h))
			}
			if c.check == "" {
				return
			}
			i := slices.IndexFunc(h.Checks, func(c explain.Check) bool { return c.Outcome == reason.Failed })
			if i < 0 || h.Checks[i].Name != c.check {
				t.Errorf("%v, want %s first", failed(h), c.check)
			} else if h.Checks[i].Seen == "" && c.check != reason.CheckForward || h.Checks[i].Wanted == "" {
				t.Errorf("nothing is seen or wanted: %+v", h.Checks[i])
			}
		})
	}
	for _, code := range reason.All {
		if !seen[code] {
			t.Errorf("%s has no row", code)
		}
	}
}

func preflight() *http.Request {
	r := httptest.NewRequest(http.MethodOptions, "https://api.example/", nil)
	r.Header.Set("Origin", "https://app.example")
	r.Header.Set("Access-Control-Request-Method", "GET")
	return r
}
