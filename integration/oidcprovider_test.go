package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"crypto/tls"
	"crypto/x509"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// oidcProvider is a certified OpenID provider in a process of its own.
type oidcProvider struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`

	client *http.Client
	stdin  io.Writer
	lines  chan string // of its standard output, those that the script writes
}

// startOIDCProvider runs one that issues JWT access tokens for the audiences,
// each signed with the algorithm named for it.
func startOIDCProvider(t *testing.T, ca *peers.CA, audiences map[string]string) *oidcProvider {
	t.Helper()
	need(t, nodeModules)
	certFile, keyFile := ca.LeafFiles(t)
	algorithms, err := json.Marshal(audiences)
	if err != nil {
		t.Fatal(err)
	}
	return runOIDCProvider(t, trusting(t, ca), strconv.Itoa(peers.FreePort(t)), certFile, keyFile, string(algorithms))
}

// runOIDCProvider runs one with the arguments that its script documents.
func runOIDCProvider(t *testing.T, client *http.Client, args ...string) *oidcProvider {
	t.Helper()
	process := exec.Command("node", append([]string{filepath.Join("npm", "oidc-provider.mjs")}, args...)...)
	process.SysProcAttr = childAttributes()
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints logBook
	process.Stderr = &complaints
	if err := process.Start(); err != nil {
		t.Fatalf("starting the OpenID provider: %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it ends when its input does
		kill := time.AfterFunc(5*time.Second, func() { _ = process.Process.Kill() })
		defer kill.Stop()
		_ = process.Wait()
	})

	provider := &oidcProvider{client: client, stdin: stdin, lines: make(chan string, 10)}
	go func() {
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			// The library writes notices of its own.
			if line := scanner.Text(); line == "rotated" || strings.HasPrefix(line, "{") {
				provider.lines <- line
			}
		}
		close(provider.lines)
	}()
	if err := json.Unmarshal([]byte(provider.nextLine(t)), provider); err != nil {
		t.Fatalf("the OpenID provider did not start: %v\n%s", err, complaints.String())
	}
	return provider
}

// nextLine waits for the provider's next line; it is empty if the provider has ended.
func (p *oidcProvider) nextLine(t *testing.T) string {
	t.Helper()
	select {
	case line := <-p.lines:
		return line
	case <-time.After(30 * time.Second):
		t.Fatal("the OpenID provider says nothing for 30 s")
		return ""
	}
}

// rotate has new keys sign from now on, and the old ones dropped or kept.
func (p *oidcProvider) rotate(t *testing.T, keep bool) {
	t.Helper()
	command := "rotate\n"
	if keep {
		command = "rotate keep\n"
	}
	if _, err := io.WriteString(p.stdin, command); err != nil {
		t.Fatalf("rotating the provider's keys: %v", err)
	}
	if line := p.nextLine(t); line != "rotated" {
		t.Fatalf("the provider says %q; want that it has rotated its keys", line)
	}
}

// token asks for an access token as a machine client does (RFC 6749 §4.4, with
// the audience as RFC 8707 names it).
func (p *oidcProvider) token(t *testing.T, audience, scope string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"},
		"resource":   {audience},
		"scope":      {scope},
	}
	r, err := http.NewRequest(http.MethodPost, p.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(p.ClientID, p.ClientSecret)
	res, err := p.client.Do(r)
	if err != nil {
		t.Fatalf("asking for a token: %v", err)
	}
	defer res.Body.Close()
	var grant struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&grant); err != nil || grant.AccessToken == "" {
		t.Fatalf("no token: %s %v %s", res.Status, err, grant.Error)
	}
	return grant.AccessToken
}

// trusting is a client that knows the test's authority.
func trusting(t *testing.T, ca *peers.CA) *http.Client {
	t.Helper()
	text, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: patience, Transport: transport}
}

// What the first page of the README promises: an issuer, an audience, and no
// other word, against a provider that knows nothing of us.
func TestThreeLinesAgainstAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	const es = "https://es.example.test"
	ca := peers.NewCA(t)
	provider := startOIDCProvider(t, ca, map[string]string{audience: "RS256", es: "ES256"})
	upstream := peers.NewUpstream(t)
	c := startCaddy(t, `
https://api.example.test {
	jwt {$ISSUER} https://api.example.test
	reverse_proxy {$UPSTREAM} {
		header_up X-User {http.auth.user.id}
		header_up X-Client {http.jwt.claims.client_id}
		header_up X-Scopes {http.jwt.scopes}
		header_up X-Issuer {http.jwt.issuer}
		header_up X-Method {http.jwt.auth_method}
		header_up X-Missing {http.jwt.claims.no_such_claim}
	}
}
https://es.example.test {
	jwt {$ISSUER} https://es.example.test
	reverse_proxy {$UPSTREAM}
	handle_errors {
		header X-Reason {http.jwt.reason}
		respond "refused" {err.status_code}
	}
}
`, options{env: map[string]string{
		"ISSUER":   provider.Issuer,
		"UPSTREAM": upstream.Addr,
		// The provider's authority is trusted as any machine's would be.
		"SSL_CERT_FILE": ca.File,
	}})
	client := c.client(http2)
	token := provider.token(t, audience, "read write")

	t.Run("its token passes, and the upstream learns who it is", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, site, "/", bearer(token))
		if a.status != http.StatusOK {
			t.Fatalf("status %d, %s", a.status, a.body)
		}
		seen := a.upstream(t)
		for name, want := range map[string]string{
			"X-User":        provider.ClientID,
			"X-Client":      provider.ClientID,
			"X-Scopes":      "read write",
			"X-Issuer":      provider.Issuer,
			"X-Method":      "jwt",
			"X-Missing":     "",
			"Authorization": "",
		} {
			if got := seen.Header.Get(name); got != want {
				t.Errorf("%s is %q; want %q", name, got, want)
			}
		}
	})
	t.Run("a token for another audience signed with ES256 passes there", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, "es.example.test", "/", bearer(provider.token(t, es, "read")))
		if a.status != http.StatusOK {
			t.Errorf("status %d, reason %q", a.status, a.header.Get("X-Reason"))
		}
	})
	t.Run("the first token is refused there", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, "es.example.test", "/", bearer(token))
		checkReason(t, a, http.StatusUnauthorized, "wrong_audience")
	})
	t.Run("no token is refused", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, site, "/")
		checkStatus(t, a, http.StatusUnauthorized)
	})
}
