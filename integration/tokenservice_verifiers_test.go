package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// forgedTokens are a good token with one thing changed.
func forgedTokens(t *testing.T, e *tokenExample, token string) []string {
	t.Helper()
	parts := strings.Split(token, ".")
	claims := map[string]any{
		"iss": e.issuer, "sub": "reports", "aud": "https://api.example.com", "client_id": "reports",
		"jti": "1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	var header struct {
		KID string `json:"kid"`
	}
	part(t, token, 0, &header)
	other := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + e.issuer + `","sub":"admin","client_id":"admin","aud":"https://api.example.com","jti":"1","iat":1,"exp":4102444800}`))
	return []string{
		parts[0] + "." + other + "." + parts[2],
		keys(t).ES256.Named(header.KID).Token(t, claims, map[string]any{"typ": "at+jwt"}),
	}
}

// Libraries verify a token by the key set that the issuer publishes, and refuse forgeries.
func TestTokenService_VerifiedByLibraries(t *testing.T) {
	t.Parallel()
	e := startTokenExample(t, nil)
	token := e.token(t)
	for _, c := range []struct {
		name    string
		part    dependency
		command []string
		forged  []string // the library's errors
	}{
		{"jose", nodeModules, []string{"node", filepath.Join("npm", "jose-verify.mjs")}, []string{"ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}},
		{"PyJWT", pyJWT, []string{python(), filepath.Join("python", "pyjwt_verify.py")}, []string{"InvalidSignatureError", "InvalidSignatureError"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			need(t, c.part)
			var answers []struct {
				Issuer   string `json:"iss"`
				ClientID string `json:"client_id"`
				Subject  string `json:"sub"`
				Scope    string `json:"scope"`
				Error    string `json:"error"`
			}
			askJSON(t, nil, map[string]any{
				"issuer": e.issuer, "audience": "https://api.example.com", "tokens": append([]string{token}, forgedTokens(t, e, token)...),
			}, &answers, c.command...)
			if len(answers) != 1+len(c.forged) {
				t.Fatalf("%d answers", len(answers))
			}
			if a := answers[0]; a.Error != "" || a.Issuer != e.issuer || a.ClientID != "reports" || a.Subject != "reports" || a.Scope != "orders:read" {
				t.Errorf("of the token it says %+v", a)
			}
			for i, want := range c.forged {
				if got := answers[i+1].Error; got != want {
					t.Errorf("forgery %d: %q; want %q", i, got, want)
				}
			}
		})
	}
}

// publishedPEM writes each published key into a file, as HAProxy has them.
func (e *tokenExample) publishedPEM(t *testing.T) (byID map[string]string) {
	t.Helper()
	res, err := e.http.Get(e.metadata(t).KeySet)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var set struct {
		Keys []struct {
			X, Y, Alg, Crv, Kid string
		} `json:"keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	byID = map[string]string{}
	for _, k := range set.Keys {
		x, xErr := base64.RawURLEncoding.DecodeString(k.X)
		y, yErr := base64.RawURLEncoding.DecodeString(k.Y)
		if k.Alg != "ES256" || k.Crv != "P-256" || xErr != nil || yErr != nil {
			t.Fatalf("a published key is %+v", k)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		byID[k.Kid] = tempFile(t, "public.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	}
	if len(byID) < 2 {
		t.Errorf("%d keys are published; want that which signs and the next", len(byID))
	}
	return byID
}

// HAProxy verifies a token by the published keys.
func TestTokenService_VerifiedByHAProxy(t *testing.T) {
	t.Parallel()
	need(t, haproxy)
	e := startTokenExample(t, nil)
	token := e.token(t)
	var rules strings.Builder
	for id, file := range e.publishedPEM(t) {
		fmt.Fprintf(&rules, "\thttp-request set-var(txn.verified) http_auth_bearer,jwt_verify(txn.alg,\"%s\") if { var(txn.kid) -m str -- %s }\n", file, id)
	}
	port := peers.FreePort(t)
	config := fmt.Sprintf(`global
	nbthread 1
defaults
	mode http
	timeout client 20s
	timeout server 20s
	timeout connect 5s
frontend api
	bind 127.0.0.1:%d
	http-request deny deny_status 401 unless { req.hdr(authorization) -m found }
	http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
	http-request set-var(txn.kid) http_auth_bearer,jwt_header_query('$.kid')
	http-request deny deny_status 401 unless { var(txn.alg) -m str ES256 }
%s	http-request deny deny_status 401 unless { var(txn.verified) -m int 1 }
	http-request deny deny_status 401 unless { http_auth_bearer,jwt_payload_query('$.iss') -m str %s }
	http-request deny deny_status 401 unless { http_auth_bearer,jwt_payload_query('$.aud') -m str https://api.example.com }
	http-request set-var(txn.now) date()
	http-request deny deny_status 401 if { http_auth_bearer,jwt_payload_query('$.exp','int'),sub(txn.now) -m int le 0 }
	http-request set-var(txn.client) http_auth_bearer,jwt_payload_query('$.client_id')
	http-request return status 200 content-type text/plain lf-string %%[var(txn.client)]
`, port, &rules, e.issuer)
	gateway := startGateway(t, port, "haproxy", "-f", tempFile(t, "haproxy.cfg", config), "-db")
	gateway.is(t, token, http.StatusOK, "reports")
	for _, forged := range forgedTokens(t, e, token) {
		gateway.is(t, forged, http.StatusUnauthorized, "")
	}
	gateway.is(t, "", http.StatusUnauthorized, "")
}

// Apache asks the service about each token, and so learns of its end too.
func TestTokenService_IntrospectedByApache(t *testing.T) {
	t.Parallel()
	need(t, modOAuth2)
	e := startTokenExample(t, nil)
	token, port := e.token(t), peers.FreePort(t)
	// Apache's workers are another user, who can't read the test's own folders.
	dir, err := os.MkdirTemp("", "caddy-jwt-apache-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "index.html"), "in")
	if err := os.Chmod(filepath.Join(dir, "index.html"), 0o644); err != nil {
		t.Fatal(err)
	}
	var modules strings.Builder
	for _, name := range []string{"mpm_event", "authn_core", "authz_core", "authz_user", "dir", "oauth2"} {
		fmt.Fprintf(&modules, "LoadModule %s_module %s\n", name, filepath.Join(apacheModules, "mod_"+name+".so"))
	}
	config := fmt.Sprintf(`ServerRoot "%[1]s"
ServerName localhost
Listen 127.0.0.1:%[2]d
PidFile "%[1]s/apache.pid"
DefaultRuntimeDir "%[1]s"
ErrorLog "%[1]s/error.log"
%[3]s
User www-data
Group www-data
StartServers 1
DocumentRoot "%[1]s"
DirectoryIndex index.html
<Location "/">
	AuthType oauth2
	OAuth2TokenVerify introspect %[4]s introspect.auth=client_secret_basic&client_id=gateway&client_secret=%[5]s&expiry=1
	Require oauth2_claim client_id:reports
</Location>
`, dir, port, &modules, e.metadata(t).Introspection, e.file("gateway.key"))
	gateway := startGateway(t, port, "apache2", "-f", tempFile(t, "apache.conf", config), "-DFOREGROUND")
	gateway.is(t, token, http.StatusOK, "in")
	for _, forged := range forgedTokens(t, e, token) {
		gateway.is(t, forged, http.StatusUnauthorized, "")
	}
	gateway.is(t, "", http.StatusUnauthorized, "")
	// It keeps an answer for a second.
	e.env = append(e.env, "TOKEN="+token)
	e.run(`curl -s http://localhost:8480/oauth2/revoke -u "reports:$(cat reports.key)" -d "token=$TOKEN"`)
	e.eventually("Apache refuses the token that was revoked", func() bool {
		status, _ := gateway.get(t, token)
		return status == http.StatusUnauthorized
	})
}

// gateway is a server of others in front of an API.
type gateway struct {
	url  string
	http *http.Client
}

// startGateway runs one until the end of the test.
func startGateway(t *testing.T, port int, command ...string) *gateway {
	t.Helper()
	p := exec.Command(command[0], command[1:]...)
	p.SysProcAttr = childAttributes()
	var output logBook
	p.Stdout, p.Stderr = &output, &output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = p.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = p.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = p.Process.Kill()
			<-ended
		}
	})
	g := &gateway{fmt.Sprintf("http://127.0.0.1:%d/", port), &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := g.http.Get(g.url)
		if err == nil {
			_ = res.Body.Close()
			return g
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended:\n%s", command[0], &output)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not serve: %v\n%s", command[0], err, &output)
		}
	}
}

func (g *gateway) get(t *testing.T, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := g.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// is requires an answer; the body is compared where it is 200.
func (g *gateway) is(t *testing.T, token string, status int, body string) {
	t.Helper()
	if got, text := g.get(t, token); got != status || status == http.StatusOK && text != body {
		t.Errorf("status %d, %s; want %d, %s", got, text, status, body)
	}
}
