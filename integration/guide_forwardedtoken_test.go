package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

const (
	forwardedGuide = "forwarded-token.md"
	ordersAudience = "https://orders.internal"
)

// forwardGuide is the site of docs/guides/forwarded-token.md, with a key of its key file.
type forwardGuide struct {
	*serviceGuide
	issuer string // of forwarded tokens
	key    string // of the client reports
}

// newForwardGuide starts Caddy with the site. Where its level is not DEBUG, at which Caddy
// logs all that it sends to upstreams, no token may be in the log.
func newForwardGuide(t *testing.T, level string) *forwardGuide {
	t.Helper()
	g := &forwardGuide{serviceGuide: newServiceGuide(t, forwardedGuide, "api.example.com",
		"issuer https://login.example.com/ {", "issuer {$ISSUER} {\n\t\t\tca {$CA}")}
	g.issuer = g.serviceGuide.issuer + "/forward"
	g.key = strings.TrimSpace(g.shell(t, "caddy jwt api-key new --append /etc/caddy/clients.jsonl --id reports --scopes orders:read"))
	opts := options{level: level}
	if _, err := fmt.Sscanf(g.serviceGuide.issuer, "https://localhost:%d", &opts.port); err != nil {
		t.Fatal(err)
	}
	g.fixture = newFixture(t, g.caddyfile(t, 0), opts, keys(t).ES256)
	g.logs.forbid(g.key)
	return g
}

// user is a token of the identity provider.
func (g *forwardGuide) user(t *testing.T, changes map[string]any) string {
	t.Helper()
	all := map[string]any{"aud": guideAudience, "sub": "248289761001", "scope": "orders:read", "client_id": "shop", "email": "ann@example.com"}
	for name, value := range changes {
		all[name] = value
	}
	return keys(t).ES256.Token(t, g.claims(all), nil)
}

// forwarded returns the token that the upstream gets with a request.
func (g *forwardGuide) forwarded(t *testing.T, changes ...change) string {
	t.Helper()
	a := g.send(t, g.http, http.MethodGet, g.api, "/", changes...)
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	return a.upstream(t).Header.Get("X-Identity")
}

// keySet is what the metadata of forwarded tokens leads to, at both of its places.
func (g *forwardGuide) keySet(t *testing.T) string {
	t.Helper()
	var sets []string
	for _, path := range []string{"/forward/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/forward"} {
		var m struct {
			Issuer string `json:"issuer"`
			KeySet string `json:"jwks_uri"`
		}
		a := g.send(t, g.http, http.MethodGet, "localhost", path)
		if err := json.Unmarshal([]byte(a.body), &m); err != nil || a.status != http.StatusOK || m.Issuer != g.issuer {
			t.Fatalf("%s: status %d, %s", path, a.status, a.body)
		}
		sets = append(sets, m.KeySet)
	}
	if sets[0] != g.issuer+"/.well-known/jwks.json" || sets[1] != sets[0] {
		t.Errorf("the key sets are %v", sets)
	}
	a := g.send(t, g.http, http.MethodGet, "localhost", strings.TrimPrefix(sets[0], g.serviceGuide.issuer))
	checkStatus(t, a, http.StatusOK)
	return a.body
}

// verified verifies a token by a published key set.
func (g *forwardGuide) verified(set, token string) (jwt.MapClaims, error) {
	published, err := keyfunc.NewJWKSetJSON(json.RawMessage(set))
	if err != nil {
		return nil, err
	}
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(token, claims, published.Keyfunc, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(g.issuer), jwt.WithAudience(ordersAudience), jwt.WithExpirationRequired())
	return claims, err
}

// upstreamProgram is a program of the guide, as it runs.
type upstreamProgram struct{ address string }

// runProgram runs a program of the guide until the test ends.
func (g *forwardGuide) runProgram(t *testing.T, language, name string, command ...string) *upstreamProgram {
	t.Helper()
	port := peers.FreePort(t)
	p := &upstreamProgram{fmt.Sprintf("127.0.0.1:%d", port)}
	file := filepath.Join(g.dir, name)
	writeFile(t, file, g.here.Replace(changed(t, guideCode(t, forwardedGuide, language, 0), "8080", fmt.Sprint(port))))
	if language == "go" {
		binary := filepath.Join(g.dir, "orders")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		file = binary
	}
	ctx, stop := context.WithCancel(context.Background())
	command = append(command, file)
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Dir, run.Env = g.dir, append(append(os.Environ(), "NO_PROXY=*", "no_proxy=*"), g.trust()...)
	var complaint strings.Builder
	run.Stdout, run.Stderr = &complaint, &complaint
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = run.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, &complaint)
		}
	})
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, _, err := p.ask(""); err == nil {
			break
		} else if time.Now().After(until) {
			t.Fatalf("%s does not answer: %v", name, err)
		}
	}
	return p
}

// ask sends a request as Caddy would, with a token.
func (p *upstreamProgram) ask(token string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("X-Identity", token)
	}
	res, err := adminClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// The token that the guide's site forwards, at the programs and at the Caddy that the guide
// prints, and at the places that must not take it.
func TestGuides_ForwardedToken(t *testing.T) {
	t.Parallel()
	g := newForwardGuide(t, "INFO")
	user := g.user(t, nil)
	token := g.forwarded(t, bearer(user), header("X-Identity", "forged"))
	g.logs.forbid(token)
	set := g.keySet(t)
	claims, err := g.verified(set, token)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sub": "248289761001", "idp": g.fixture.issuer.URL, "scope": "orders:read", "auth_method": "jwt", "client_id": "shop", "email": "ann@example.com",
	} {
		if claims[name] != want {
			t.Errorf("%s is %v; want %v", name, claims[name], want)
		}
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 60 {
		t.Errorf("it lives for %v seconds", life)
	}
	byKey := g.forwarded(t, apiKey(g.key))
	claims, err = g.verified(set, byKey)
	if err != nil || claims["sub"] != "reports" || claims["idp"] != "api_keys:"+filepath.Join(g.dir, "clients.jsonl") || claims["auth_method"] != "api_key" || claims["key_id"] != "reports" {
		t.Errorf("of an API key: %v %v", err, claims)
	}
	if !cacheOff && g.forwarded(t, bearer(user)) != token {
		t.Error("the token was not sent again")
	}

	minted := g.form(t, "grant_type=client_credentials", basic("reports", g.key))
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(minted.body), &granted); err != nil || granted.Token == "" {
		t.Fatalf("status %d: %s", minted.status, minted.body)
	}
	g.logs.forbid(granted.Token)
	other := forwardedOf(t, g, "https://reports.internal")
	refused := map[string]string{
		"none": "", "no JWT": "x", "the user's own": user, "an access token of the service": granted.Token, "one for another upstream": other,
		"one that was changed": token[:len(token)-6] + "AAAAAA", "one signed by another": keys(t).ES256.Token(t, map[string]any{
			"iss": g.issuer, "aud": ordersAudience, "sub": "root", "exp": time.Now().Add(time.Minute).Unix(),
		}, map[string]any{"typ": "forward+jwt"}),
	}
	for _, c := range []struct {
		language, name string
		part           dependency
		command        []string
	}{
		{"go", "main.go", curl, nil},
		{"js", "orders.mjs", nodeModules, []string{"node"}},
		{"python", "orders.py", pyJWT, []string{python()}},
	} {
		t.Run(c.language, func(t *testing.T) {
			need(t, c.part)
			p := g.runProgram(t, c.language, c.name, c.command...)
			for want, token := range map[string]string{
				"248289761001 of " + g.fixture.issuer.URL + "\n": token, "reports of api_keys:" + filepath.Join(g.dir, "clients.jsonl") + "\n": byKey,
			} {
				if status, text, err := p.ask(token); err != nil || status != http.StatusOK || text != want {
					t.Errorf("status %d, %q, %v; want %q", status, text, err, want)
				}
			}
			for what, token := range refused {
				if status, _, err := p.ask(token); err != nil || status != http.StatusUnauthorized {
					t.Errorf("%s: status %d, %v", what, status, err)
				}
			}
		})
	}
	t.Run("another Caddy", func(t *testing.T) {
		behind := newFixture(t, changed(t, guideCode(t, forwardedGuide, "caddyfile", 1), "orders.internal {", "https://orders.localhost {", "https://auth.example.com", g.serviceGuide.issuer, "localhost:8081", "{$UPSTREAM}"),
			options{env: map[string]string{"SSL_CERT_FILE": g.root()}})
		identity := func(token string) answer {
			behind.logs.forbid(token)
			return behind.send(t, behind.http, http.MethodGet, "orders.localhost", "/", header("X-Identity", token))
		}
		a := identity(token)
		checkStatus(t, a, http.StatusOK)
		if seen := a.upstream(t).Header; seen.Get("X-User") != "248289761001" || seen.Get("X-Identity") != "" {
			t.Errorf("its upstream sees %v", seen)
		}
		delete(refused, "none")
		for what, token := range refused {
			if a := identity(token); a.status != http.StatusUnauthorized {
				t.Errorf("%s: status %d", what, a.status)
			}
		}
	})
	t.Run("the gateway and its endpoints", func(t *testing.T) {
		if a := g.get(t, g.api, token); a.status != http.StatusUnauthorized {
			t.Errorf("the gateway takes it: status %d", a.status)
		}
		const bearerType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
		for what, form := range map[string]url.Values{
			"as an assertion": {"grant_type": {"client_credentials"}, "client_assertion_type": {bearerType}, "client_assertion": {token}},
			"as a grant":      {"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {token}},
			"as a secret":     {"grant_type": {"client_credentials"}, "client_id": {"reports"}, "client_secret": {token}},
		} {
			if a := g.form(t, form.Encode()); a.status < 400 || a.status >= 500 || strings.Contains(a.body, "access_token") {
				t.Errorf("%s: status %d, %s", what, a.status, a.body)
			}
		}
		a := g.send(t, g.http, http.MethodPost, "localhost", "/oauth2/introspect", header("Content-Type", "application/x-www-form-urlencoded"),
			body(url.Values{"token": {token}}.Encode()), basic("reports", g.key))
		if strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("introspection: status %d, %s", a.status, a.body)
		}
		if a := g.send(t, g.http, http.MethodGet, "localhost", "/.well-known/jwks.json"); strings.Contains(a.body, keyIDOf(t, token)) {
			t.Error("its key is in the key set of the service")
		}
	})
	t.Run("retired keys", func(t *testing.T) {
		g.shell(t, "caddy jwt rotate --forward --retire-now --yes")
		fresh := g.forwarded(t, bearer(user))
		if keyIDOf(t, fresh) == keyIDOf(t, token) {
			t.Error("the retired key's token is still sent")
		}
		set := g.keySet(t)
		if _, err := g.verified(set, fresh); err != nil {
			t.Errorf("the new one: %v", err)
		}
		if _, err := g.verified(set, token); err == nil {
			t.Error("the retired key is still published")
		}
	})
}

// keyIDOf is the kid of a token.
func keyIDOf(t *testing.T, token string) string {
	t.Helper()
	var head struct {
		KeyID string `json:"kid"`
		Type  string `json:"typ"`
	}
	part(t, token, 0, &head)
	if head.KeyID == "" || head.Type != "forward+jwt" {
		t.Errorf("header %+v", head)
	}
	return head.KeyID
}

// forwardedOf is a token for another upstream, by the same keys.
func forwardedOf(t *testing.T, g *forwardGuide, audience string) string {
	t.Helper()
	plain := g.caddyfile(t, 0)
	g.mustReload(t, changed(t, plain, ordersAudience, audience))
	token := g.forwarded(t, bearer(g.user(t, nil)))
	g.mustReload(t, plain)
	return token
}

// What can be known only when all sites are, is an error when Caddy starts.
func TestForwardJWT_ErrorsAtTheStart(t *testing.T) {
	t.Parallel()
	g := newForwardGuide(t, "DEBUG")
	plain := g.caddyfile(t, 0)
	for name, c := range map[string]struct{ config, want string }{
		"the audience of a service": {changed(t, plain, "\t\taudience https://api.example.com\n\t\tapi_keys", "\t\taudience https://api.example.com "+ordersAudience+"\n\t\tapi_keys"), "issues tokens for"},
		"the audience of a site":    {plain + "https://orders.localhost {\n\tjwt {\n\t\tissuer {$ISSUER} {\n\t\t\tca {$CA}\n\t\t\taudience " + ordersAudience + "\n\t\t}\n\t}\n}\n", "is one that jwt at orders.localhost takes"},
		"no service":                {plain[strings.Index(plain, "https://"+g.api):], "there is no token service"},
		"another service":           {changed(t, plain, "\t\t\tclaim email\n", "\t\t\tclaim email\n\t\t\tissuer https://else.example.com\n"), "there is no token service https://else.example.com"},
	} {
		if err := g.caddy.reload(snippets + c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
	// What served before serves on.
	if _, err := g.verified(g.keySet(t), g.forwarded(t, bearer(g.user(t, nil)))); err != nil {
		t.Error(err)
	}
}
