package caddyjwt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// serviceIssuer is the issuer of the service of these tests.
const serviceIssuer = "http://localhost:8080"

// partnerKey is the API key of the client partner.
const partnerKey = "ck_partner_0123456789abcdefghijklmnopqrstuvwxyz"

// serviceApp is an app with a storage of its own that has not started.
func serviceApp(t *testing.T) *App {
	t.Helper()
	storage := storagetest.Files(t)
	a := &App{logger: zap.NewNop(), audit: zap.NewNop(), sources: shared.New(zap.NewNop(), storage, nil), cache: tokencache.DefaultSize}
	t.Cleanup(func() {
		a.sources.StopState(false)
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// addState gives an app a state in its own storage, as needState does with Caddy's.
func addState(t *testing.T, a *App) {
	t.Helper()
	var err error
	a.state, err = a.sources.NewState(shared.StateSettings{
		Cluster: fmt.Sprintf("t%x", time.Now().UnixNano()), Interval: time.Second, MaxStale: time.Hour, StorageModule: "caddy.storage.file_system", Stores: a.storedKeys(),
		LearnedRules: admin.LearnedRules(a.audit), LearnedKeys: admin.LearnedKeys(a.audit),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// addService provisions a service in an app that has a state.
func addService(t *testing.T, a *App, issuer, options string) *AuthorizationServer {
	t.Helper()
	s := new(AuthorizationServer)
	text := "authorization_server " + issuer + " {\naudience https://api.example.com\napi_key partner sha256:" + strings.TrimPrefix(apikey.DigestOf(partnerKey).String(), "sha256:") + " {\nscopes orders:read\n}\n" + options + "\n}"
	if err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	s.app = a
	if err := s.provision(bareContext(), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Cleanup() })
	return s
}

// addSite provisions a handler in an app.
func addSite(t *testing.T, a *App, options string) *Handler {
	t.Helper()
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt {\n" + options + "\n}")); err != nil {
		t.Fatal(err)
	}
	h.logger, h.app = zap.NewNop(), a
	if err := h.provision(bareContext()); err != nil {
		t.Fatal(err)
	}
	return h
}

// startServices does what App.Start does of services.
func startServices(t *testing.T, a *App) {
	t.Helper()
	if err := a.sources.Services().Settle(); err != nil {
		t.Fatal(err)
	}
	a.sources.Start()
	a.sources.StartState(false)
}

// mint asks for a token.
func mint(t *testing.T, s *AuthorizationServer) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := serviceRequest(t, http.MethodPost, serviceIssuer+"/oauth2/token", "grant_type=client_credentials")
	r.SetBasicAuth("partner", url.QueryEscape(partnerKey))
	if err := s.ServeHTTP(w, r, nothingBehind(t)); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %d %s", w.Code, w.Body)
	}
	return answer.Token
}

func serviceRequest(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.WithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
}

func nothingBehind(t *testing.T) caddyhttp.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) error {
		t.Error("the request went on")
		return nil
	}
}

// TestASiteTrustsTheServiceOfItsConfig: whichever is provisioned first, and without a
// request to anybody.
func TestASiteTrustsTheServiceOfItsConfig(t *testing.T) {
	t.Parallel()
	for _, siteFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("site first: %v", siteFirst), func(t *testing.T) {
			t.Parallel()
			a := serviceApp(t)
			var site *Handler
			const options = "issuer " + serviceIssuer + "\naudience https://api.example.com"
			if siteFirst {
				site = addSite(t, a, options)
			}
			addState(t, a)
			service := addService(t, a, serviceIssuer, "")
			if !siteFirst {
				site = addSite(t, a, options)
			}
			startServices(t, a)
			token := mint(t, service)
			r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			r = r.WithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
			passed := false
			w := httptest.NewRecorder()
			if err := site.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { passed = true; return nil })); err != nil {
				t.Fatal(err)
			}
			if !passed {
				t.Errorf("the token is refused: %s", w.Body)
			}
			list := a.sources.List()
			if len(list) != 1 || list[0].Kind != "service" || !slices.Equal(list[0].Issuers, []string{serviceIssuer}) {
				t.Errorf("the sources are %+v", list)
			} else if s := list[0].Source.Status(); s.State != "fresh" || len(s.Keys) == 0 || s.Fetches != 0 {
				t.Errorf("the status is %+v", s)
			}
		})
	}
}

// TestAWrittenKeySourceStays: only an issuer that names no key source has the keys of the
// service.
func TestAWrittenKeySourceStays(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	addState(t, a)
	service := addService(t, a, serviceIssuer, "")
	site := addSite(t, a, "issuer "+serviceIssuer+" {\npublic_key \""+publicPEM(t, signer().Public())+"\"\n}\naudience https://api.example.com")
	startServices(t, a)
	if _, err := site.validator.Validate(t.Context(), mint(t, service)); err == nil {
		t.Error("the token passes with other keys than those that are written")
	}
}

// TestAStateThatIsMadeLater: a handler that was provisioned before there was a state asks
// it, and without a state nothing is asked.
func TestAStateThatIsMadeLater(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	site := addSite(t, a, "issuer "+serviceIssuer+"\naudience https://api.example.com")
	if a.state != nil {
		t.Fatal("there is a state that nobody asked for")
	}
	addState(t, a)
	service := addService(t, a, serviceIssuer, "")
	startServices(t, a)
	token := mint(t, service)
	verified, err := site.validator.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := verified.Claims().Member("jti")
	text, _ := id.Text()
	r, err := revocation.New(revocation.Rule{Kind: revocation.KindJTI, Value: text})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.state.Revocations().Add(t.Context(), []revocation.Rule{r}); err != nil {
		t.Fatal(err)
	}
	if _, err := site.validator.Validate(t.Context(), token); err == nil {
		t.Error("a revoked token passes")
	}
}

// TestSettling: what can be found out only when all of the config is known.
func TestSettling(t *testing.T) {
	t.Parallel()
	const other = "http://localhost:8081"
	github := func(issuer string) string {
		return "client deploy\nfederate ci {\nissuer " + issuer + "\nrequire claim sub a\nclient deploy\n}"
	}
	for name, c := range map[string]struct {
		services [][2]string // issuer and options
		forward  string      // the block of a forward_jwt; - for none
		want     string      // a part of the error; empty for none
	}{
		"one service":                        {[][2]string{{serviceIssuer, ""}}, "", ""},
		"no service":                         {nil, "", "there is no token service"},
		"no service of this name":            {[][2]string{{serviceIssuer, ""}}, "issuer " + other, "there is no token service " + other},
		"two services":                       {[][2]string{{serviceIssuer, ""}, {other, ""}}, "", "more than one token service"},
		"two services, one named":            {[][2]string{{serviceIssuer, ""}, {other, ""}}, "issuer " + other, ""},
		"a service as the platform":          {[][2]string{{serviceIssuer, github(other)}, {other, ""}}, "-", "exchanged for a new one for ever"},
		"the forward keys as the platform":   {[][2]string{{serviceIssuer, github(other + "/forward")}, {other, ""}}, "-", "exchanged for a new one for ever"},
		"a platform of another host":         {[][2]string{{serviceIssuer, github("https://ci.example.com")}, {other, ""}}, "-", ""},
		"an audience of the service forward": {[][2]string{{serviceIssuer, ""}}, "audience", "issues tokens for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serviceApp(t)
			addState(t, a)
			if c.forward != "-" {
				audience := "https://upstream.example.com"
				if c.forward == "audience" {
					audience, c.forward = "https://api.example.com", ""
				}
				addSite(t, a, "api_key other "+apikey.DigestOf(partnerKey).String()+"\nforward_jwt X-JWT "+audience+" {\n"+c.forward+"\n}")
			}
			for _, s := range c.services {
				addService(t, a, s[0], s[1])
			}
			err := a.sources.Services().Settle()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if again := a.sources.Services().Settle(); again != err { //nolint:errorlint // the very same
				t.Errorf("the second call returns %v", again)
			}
		})
	}
}

// TestWhatNoTokenOfTheServiceHas: a site that refuses all tokens of the service that it means
// to trust is warned of.
func TestWhatNoTokenOfTheServiceHas(t *testing.T) {
	t.Parallel()
	const auth = "https://auth.example.com"
	for name, c := range map[string]struct {
		issuer, options string // of the site
		want            string // a part of the warning; empty for none
	}{
		"the same":                    {auth, "audience https://api.example.com", ""},
		"one audience of two":         {auth, "audience https://api.example.com https://other.example.com", ""},
		"a slash":                     {auth + "/", "audience https://api.example.com", "issuer https://auth.example.com/: no token has it"},
		"the default port":            {auth + ":443", "audience https://api.example.com", "issuer https://auth.example.com:443: no token has it"},
		"capitals":                    {"https://Auth.example.com", "audience https://api.example.com", "issuer https://Auth.example.com: no token has it"},
		"another path":                {auth + "/other", "audience https://api.example.com", ""},
		"another host":                {"https://login.example.com/", "audience https://api.example.com", ""},
		"a slash, and keys":           {auth + "/", "audience https://api.example.com\njwks_url https://auth.example.com/keys", ""},
		"an audience not issued for":  {auth, "audience https://other.example.com", "issues no tokens for https://other.example.com"},
		"any audience":                {auth, "audience *", ""},
		"an audience of other claims": {auth, "audience orders\naudience_claim resource", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serviceApp(t)
			addState(t, a)
			addSite(t, a, "issuer "+c.issuer+" {\n"+c.options+"\n}")
			addService(t, a, auth, "")
			if err := a.sources.Services().Settle(); err != nil {
				t.Fatal(err)
			}
			got := a.sources.Services().Warnings()
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0].Text, c.want) || !strings.Contains(got[0].Text, "; write ")) {
				t.Errorf("the warnings are %v, want %q", got, c.want)
			}
		})
	}
}

// TestTheSameIssuerTwice: at two sites, too.
func TestTheSameIssuerTwice(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	addState(t, a)
	addService(t, a, serviceIssuer, "")
	s := new(AuthorizationServer)
	if err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser("authorization_server " + serviceIssuer + " {\naudience a\napi_keys k.jsonl\n}")); err != nil {
		t.Fatal(err)
	}
	s.APIKeys, s.Client = nil, []*ServiceClient{{ID: "deploy", PublicKey: []string{publicPEM(t, signer().Public())}}}
	s.app = a
	if err := s.provision(bareContext(), zap.NewNop()); err == nil || !strings.Contains(err.Error(), "there are two token services") {
		t.Errorf("the error is %v", err)
	}
}

// TestOtherRequestsGoOn: those for other hosts and paths.
func TestOtherRequestsGoOn(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	addState(t, a)
	service := addService(t, a, serviceIssuer, "")
	startServices(t, a)
	for _, target := range []string{serviceIssuer + "/", serviceIssuer + "/oauth2/tokens", "http://localhost/oauth2/token", "http://127.0.0.1:8080/oauth2/token"} {
		on := false
		r := serviceRequest(t, http.MethodPost, target, "grant_type=client_credentials")
		if err := service.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { on = true; return nil })); err != nil {
			t.Error(err)
		}
		if !on {
			t.Errorf("%s is answered", target)
		}
	}
}

// TestARequestBeforeAFailedStart: the server may be asked before the app refuses to start.
func TestARequestBeforeAFailedStart(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	addState(t, a)
	service := addService(t, a, serviceIssuer, "")
	a.sources.Services().Forward("http://localhost:1")
	err := service.ServeHTTP(httptest.NewRecorder(), serviceRequest(t, http.MethodPost, serviceIssuer+"/oauth2/token", "grant_type=client_credentials"), nothingBehind(t))
	if e, ok := err.(caddyhttp.HandlerError); !ok || e.StatusCode != http.StatusServiceUnavailable { //nolint:errorlint // as Caddy asks
		t.Errorf("the error is %v", err)
	}
}

// TestExpressionsAboutATokenAlone: an expression that asks for what is not there does not
// hold.
func TestExpressionsAboutATokenAlone(t *testing.T) {
	t.Parallel()
	body := claims.ObjectValue(claims.Member{Name: "ref", Value: claims.TextValue("refs/heads/main")})
	for text, want := range map[string]bool{
		`claims.ref.startsWith("refs/heads/")`: true, `claims.ref == "a"`: false, `issuer == "https://ci.example.com"`: true,
		`claims.environment != "a"`: false, `!path("/a")`: false, `{http.request.host} != "a"`: false, `!("a" in scopes)`: false, `auth_method != "a"`: false,
	} {
		rules, err := rule.New(bareContext(), []*rule.Requirement{{Expression: text}}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.HoldFor(body, "https://ci.example.com"); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestTheServiceStandsInFrontOfJWT compares the order of the adapted directives.
func TestTheServiceStandsInFrontOfJWT(t *testing.T) {
	t.Parallel()
	_, golden, _ := strings.Cut(docRead(t, filepath.Join("testdata", "adapt", "service_order.caddyfiletest")), "----------\n")
	last := -1
	for _, name := range []string{"rewrite", "jwt_authorization_server", "jwt", "authentication", "reverse_proxy"} {
		at := strings.LastIndex(golden, fmt.Sprintf("%q: %q", "handler", name))
		if at <= last {
			t.Errorf("%s is not behind the others", name)
		}
		last = at
	}
}

// TestAdaptedServicesLoad reads the services of all goldens strictly, as Caddy does.
func TestAdaptedServicesLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/adapt/service_*.caddyfiletest")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d goldens: %v", len(files), err)
	}
	for _, name := range files {
		text, _, _ := strings.Cut(docRead(t, name), "----------\n")
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if docDecode(t, name, config) == 0 {
			t.Errorf("%s: there is nothing in it", name)
		}
	}
}

// A key of a store that is only ever a client of the service counts as used: those that are not
// are listed, and disabled.
func TestTheServiceCountsUsesOfKeys(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	a.APIKeys = map[string]*APIKeyStore{"partners": {Storage: true}}
	addState(t, a)
	s := &AuthorizationServer{Issuer: serviceIssuer, Audience: []string{"https://api.example.com"}, APIKeys: []*KeyClients{{Name: "partners"}}, app: a}
	if err := s.provision(bareContext(), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Cleanup() })
	startServices(t, a)
	<-a.state.Store("partners").Ready()
	<-a.state.Revocations().Ready()
	const text = "a key of a store that is long enough"
	if err := a.state.Store("partners").Create(t.Context(), apikey.Record{ID: "stored", Hash: apikey.DigestOf(text)}, apikey.Actor{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		r := serviceRequest(t, http.MethodPost, serviceIssuer+"/oauth2/token", "grant_type=client_credentials")
		r.Header.Set("X-Api-Key", text)
		if err := s.ServeHTTP(w, r, nothingBehind(t)); err != nil || w.Code != 200 {
			t.Fatalf("%v, %d %s", err, w.Code, w.Body)
		}
	}
	if n := a.state.Usage("partners").Total(); n != 2 {
		t.Errorf("it was used %d times", n)
	}
}
