package integration

import (
	"context"
	"encoding/hex"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// runGuideCode runs a guide's code that prints a token, with an interpreter that
// with these arguments and reads it from a file at their end.
func runGuideCode(t *testing.T, code, name, secret, dir string, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, command[0], append(command[1:], tempFile(t, name, code))...)
	run.Env = environment(t.TempDir(), map[string]string{"JWT_SECRET": secret, "NODE_PATH": dir})
	var complaint strings.Builder
	run.Stderr = &complaint
	token, err := run.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &complaint)
	}
	return strings.TrimSpace(string(token))
}

// The tokens that the code of docs/guides/tokens-you-make.md makes, in Python and in
// Node.js, at the sites that it prints beside them.
func TestGuides_TokensYouMake(t *testing.T) {
	t.Parallel()
	const guide, anyone, named, pair = "tokens-you-make.md", "anyone.example.test", "named.example.test", "pair.example.test"
	secret := hex.EncodeToString(keys(t).HS256.Secret) // as `openssl rand -hex 32` prints it
	signer := keys(t).ES256
	site := func(n int, host string, more ...string) string {
		return guideSite(t, guide, n, "api.example.com", host, append(more, printedUpstream...)...)
	}
	s := newFixture(t, site(0, anyone)+site(1, named)+site(2, pair, "/etc/caddy/my-app.pem", signer.PublicFile(t)),
		options{env: map[string]string{"JWT_SECRET": secret}})
	hmac := func(claims map[string]any) string { return peers.HMAC(t, "HS256", []byte(secret), claims, nil) }
	soon := time.Now().Add(time.Hour).Unix()

	python3 := func(t *testing.T, n int) string {
		need(t, pyJWT)
		return runGuideCode(t, guideCode(t, guide, "python", n), "make-token.py", secret, "", python())
	}
	node := func(t *testing.T, n int) string {
		need(t, nodeModules)
		modules, err := filepath.Abs(filepath.Join("npm", "node_modules"))
		if err != nil {
			t.Fatal(err)
		}
		return runGuideCode(t, guideCode(t, guide, "js", n), "make-token.cjs", secret, modules, "node")
	}
	for _, c := range []struct {
		name string
		make func(*testing.T, int) string
		n    int
		host string
	}{
		{"PyJWT, as its tutorials have it", python3, 0, anyone},
		{"jsonwebtoken, as its tutorials have it", node, 0, anyone},
		{"PyJWT, with issuer and audience", python3, 1, named},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := c.make(t, c.n)
			if got := s.accepts(t, c.host, token).Header.Get("X-User-Id"); got != "42" {
				t.Errorf("the upstream got the user %q", got)
			}
			if a := s.get(t, c.host, token[:len(token)-5]); a.status != http.StatusUnauthorized {
				t.Errorf("the same cut: status %d", a.status)
			}
		})
	}
	for name, c := range map[string]struct {
		host, token string
		status      int
	}{
		"another secret":                   {anyone, peers.HMAC(t, "HS256", []byte(strings.Repeat("x", 64)), map[string]any{"user_id": 42, "exp": soon}, nil), 401},
		"no exp":                           {anyone, hmac(map[string]any{"user_id": 42}), 401},
		"no user_id":                       {anyone, hmac(map[string]any{"sub": "42", "exp": soon}), 401},
		"any iss and aud":                  {anyone, hmac(map[string]any{"user_id": 42, "exp": soon, "iss": "x", "aud": "y"}), 200},
		"the tutorials' token, named site": {named, hmac(map[string]any{"user_id": 42, "exp": soon}), 401},
		"a link to reset a password":       {named, hmac(map[string]any{"iss": "my-app", "aud": "reset", "sub": "42", "exp": soon}), 401},
		"the key pair":                     {pair, signer.Token(t, map[string]any{"iss": "my-app", "aud": guideAudience, "sub": "42", "exp": soon}, nil), 200},
		"the secret at the key pair":       {pair, hmac(map[string]any{"iss": "my-app", "aud": guideAudience, "sub": "42", "exp": soon}), 401},
	} {
		if a := s.get(t, c.host, c.token); a.status != c.status {
			t.Errorf("%s: status %d; want %d: %s", name, a.status, c.status, a.body)
		}
	}
	checkStatus(t, s.send(t, s.http, http.MethodGet, anyone, "/"), http.StatusUnauthorized)
	// What the guide says of each line that is left out.
	for line, word := range map[string]string{"\t\t\taudience *\n": "audience", "\t\t\tsecret {env.JWT_SECRET}\n": "key"} {
		config := changed(t, site(0, anyone), line, "")
		if code, text := caddyCommand(t, config, map[string]string{"JWT_SECRET": secret, "UPSTREAM": "127.0.0.1:1"}, "validate"); code == 0 || !strings.Contains(text, word) {
			t.Errorf("without %q: exit code %d, %s", line, code, text)
		}
	}
}
