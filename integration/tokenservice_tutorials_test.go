package integration

import (
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// later is by how much a clock is ahead, so that the tokens of before have expired: those
// of the service after 15 minutes, those of the guide after an hour, and a minute of leeway.
const later = "62m"

// What the tutorials do first, by curl: a POST for a token, a GET with it, and the same
// GET when the token has expired.
func TestTokenService_TutorialByCurl(t *testing.T) {
	t.Parallel()
	e := startTokenExample(t, nil)
	const ask = `TOKEN=$(curl -s http://localhost:8480/oauth2/token -u "reports:$(cat reports.key)" -d grant_type=client_credentials | jq -r .access_token)`
	const get = `curl -H "Authorization: Bearer $TOKEN" http://localhost:8482/orders`
	e.inReadme(ask)
	e.inReadme(get)
	answered := filepath.Join(t.TempDir(), "answer.txt") // not among the files of the example
	e.env = append(e.env, "ANSWER="+answered)
	status := strings.Replace(get, "curl ", `curl -s -o "$ANSWER" -w '%{http_code}' `, 1)
	out, err := e.shell(ask + "\n" + status + "\necho \" $TOKEN\"")
	first, token, _ := strings.Cut(strings.TrimSpace(out), " ")
	if err != nil || first != "200" || !strings.Contains(readFile(t, answered), "X-User-Id: reports\n") {
		t.Fatalf("%v, %s, %s", err, first, readFile(t, answered))
	}
	e.logs.forbid(token)
	e.env = append(e.env, "TOKEN="+token)
	if out := e.try(status); out != "200" {
		t.Errorf("the same token again: %s", out)
	}

	e.restart("TEST_CLOCK_AHEAD=" + later)
	e.run("./caddy jwt api-key disable reports --file clients.jsonl")
	if out := e.try(status); out != "401" {
		t.Errorf("of a disabled client: %s", out)
	}
	e.run("./caddy jwt api-key enable reports --file clients.jsonl")
	if !issuedAhead(t, e.token(t), 30*time.Minute) {
		return
	}
	if out, answer := e.try(status), readFile(t, answered); out != "401" || !strings.Contains(answer, "expired") {
		t.Errorf("past its life: %s, %s; want 401, expired", out, answer)
	}
}

// The same with a token that PyJWT has made with a shared secret, as its tutorial has it.
func TestTokenService_TutorialByPyJWT(t *testing.T) {
	t.Parallel()
	need(t, pyJWT)
	const guide, host = "tokens-you-make.md", "anyone.example.test"
	secret := hex.EncodeToString(keys(t).HS256.Secret)
	s := newFixture(t, guideSite(t, guide, 0, "api.example.com", host, printedUpstream...), options{env: map[string]string{"JWT_SECRET": secret}})
	token := runGuideCode(t, guideCode(t, guide, "python", 0), "make-token.py", secret, "", python())
	if got := s.accepts(t, host, token).Header.Get("X-User-Id"); got != "42" {
		t.Errorf("the user is %q", got)
	}
	s.opts.env["TEST_CLOCK_AHEAD"] = later
	s.restart(nil)
	soon := peers.HMAC(t, "HS256", []byte(secret), map[string]any{
		"user_id": 42, "nbf": time.Now().Add(30 * time.Minute).Unix(), "exp": time.Now().Add(3 * time.Hour).Unix(),
	}, nil)
	if s.get(t, host, soon).status != http.StatusOK {
		t.Log("the clock of the binary in CADDY_BIN can't be set")
		return
	}
	if a := s.get(t, host, token); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "expired") {
		t.Errorf("past its life: status %d, %s; want 401, expired", a.status, a.body)
	}
}

// issuedAhead reports whether a token was issued so far ahead, as one is by a Caddy whose
// clock is. One in CADDY_BIN may have no clock that can be set; what needs it is tested with
// the binary that the tests build.
func issuedAhead(t *testing.T, token string, ahead time.Duration) bool {
	t.Helper()
	var claims struct {
		IssuedAt int64 `json:"iat"`
	}
	part(t, token, 1, &claims)
	if time.Until(time.Unix(claims.IssuedAt, 0)) >= ahead {
		return true
	}
	if os.Getenv("CADDY_BIN") == "" {
		t.Error("the clock is not ahead")
	}
	t.Log("the clock of the binary in CADDY_BIN can't be set")
	return false
}
