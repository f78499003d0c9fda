package integration

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func basic(user, password string) change {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// The sites of docs/guides/token-key-or-password.md: each credential is enough, and
// nothing else is.
func TestGuides_TokenKeyOrPassword(t *testing.T) {
	t.Parallel()
	const guide, three, two = "token-key-or-password.md", "three.example.test", "two.example.test"
	key, disabled := peers.NewAPIKey(t, "partner", nil), peers.NewAPIKey(t, "former", map[string]any{"enabled": false})
	password := rand.Text()
	code, hash := caddyCommandIn(t, t.TempDir(), nil, "hash-password", "--bcrypt-cost", "5", "--plaintext", password)
	if code != 0 {
		t.Fatalf("caddy hash-password: %s", hash)
	}
	file := tempFile(t, "keys.jsonl", peers.KeyLines(t, key, disabled))
	site := func(n int, host string) string {
		return guideSite(t, guide, n, "api.example.com", host, append(append([]string{"/etc/caddy/keys/keys.jsonl", file}, printedIssuer...), printedUpstream...)...)
	}
	s := newFixture(t, site(0, three)+site(1, two), options{
		trusted: true, shownByCaddy: true, env: map[string]string{"ALICE_PASSWORD_HASH": strings.TrimSpace(hash)},
	}, keys(t).RS256)
	token := func(exp any) string {
		changes := map[string]any{"aud": guideAudience, "sub": "alice"}
		if exp != nil {
			changes["exp"] = exp
		}
		return keys(t).RS256.Token(t, s.claims(changes), nil)
	}
	good, old := token(nil), token(1_000_000_000)
	also := func(value string) change { return func(r *http.Request) { r.Header.Add("Authorization", value) } }
	client := s.client(http1)

	for name, c := range map[string]struct {
		host    string
		changes []change
		user    string
	}{
		"a token":                {three, []change{bearer(good)}, "alice"},
		"a key":                  {three, []change{apiKey(key.Text)}, "key:partner"},
		"a password":             {three, []change{basic("alice", password)}, "password:alice"},
		"a token and a key":      {three, []change{bearer(good), apiKey(key.Text)}, "alice"},
		"a key and a password":   {three, []change{basic("alice", password), apiKey(key.Text)}, "key:partner"},
		"a key as password":      {two, []change{basic("any", key.Text)}, "partner"},
		"a token beside keys":    {two, []change{bearer(good)}, "alice"},
		"a key in its own place": {two, []change{apiKey(key.Text)}, "partner"},
	} {
		for what, more := range map[string][]change{"": nil, ", with a forged user": {exactHeader("X-User", "evil"), exactHeader("x_user", "evil")}} {
			a := s.send(t, client, http.MethodGet, c.host, "/", append(append([]change{}, c.changes...), more...)...)
			if a.status != http.StatusOK {
				t.Errorf("%s%s: status %d: %s", name, what, a.status, a.body)
				continue
			}
			seen := a.upstream(t)
			if got := seen.Header.Values("X-User"); len(got) != 1 || got[0] != c.user {
				t.Errorf("%s%s: the user is %q; want %q", name, what, got, c.user)
			}
			if strings.Contains(a.body, "evil") || seen.Header.Get("X-API-Key") != "" {
				t.Errorf("%s%s: the upstream got %v", name, what, seen.Header)
			}
			if seen.Header.Get("Authorization") != "" {
				t.Errorf("%s%s: the upstream got the credential", name, what)
			}
		}
	}

	s.upstream.Take()
	preflight := []change{exactHeader("Origin", "https://evil.example"), exactHeader("Access-Control-Request-Method", "PUT")}
	for name, c := range map[string]struct {
		changes []change
		status  int
	}{
		"nothing":                            {nil, 401},
		"a forged user":                      {[]change{exactHeader("X-User", "alice")}, 401},
		"a forged method of authentication":  {[]change{exactHeader("Http.jwt.auth_method", "jwt"), exactHeader("X-Auth-Method", "jwt")}, 401},
		"an old token":                       {[]change{bearer(old)}, 401},
		"an old token and a key":             {[]change{bearer(old), apiKey(key.Text)}, 401},
		"a key that was disabled":            {[]change{apiKey(disabled.Text)}, 401},
		"a disabled key and a password":      {[]change{apiKey(disabled.Text), basic("alice", password)}, 401},
		"a key's hash":                       {[]change{apiKey(key.Hash())}, 401},
		"an empty key":                       {[]change{apiKey("")}, 400},
		"a token as key":                     {[]change{apiKey(good)}, 401},
		"a key as token":                     {[]change{bearer(key.Text)}, 401},
		"a key as password":                  {[]change{basic("alice", key.Text)}, 401},
		"a wrong password":                   {[]change{basic("alice", "wrong")}, 401},
		"an empty password":                  {[]change{basic("alice", "")}, 401},
		"another user":                       {[]change{basic("bob", password)}, 401},
		"no user":                            {[]change{basic("", password)}, 401},
		"the hash as password":               {[]change{basic("alice", strings.TrimSpace(hash))}, 401},
		"an empty Authorization":             {[]change{exactHeader("Authorization", "")}, 401},
		"a scheme alone":                     {[]change{exactHeader("Authorization", "Basic")}, 401},
		"bearer alone":                       {[]change{exactHeader("Authorization", "Bearer ")}, 400},
		"another scheme":                     {[]change{exactHeader("Authorization", "Negotiate YII=")}, 401},
		"an old token and a password":        {[]change{bearer(old), also("Basic YWxpY2U6eA==")}, 400},
		"a password and an old token":        {[]change{basic("alice", password), also("Bearer " + old)}, 400},
		"a preflight":                        {preflight, 401},
		"a preflight with a token in cookie": {append(preflight, cookie("session", good)), 401},
	} {
		methods := []string{http.MethodGet, http.MethodPost, http.MethodOptions, "PURGE"}
		if strings.HasSuffix(name, " user") { // for these Caddy takes its time, seconds under the race detector
			methods = methods[:1]
		}
		for _, method := range methods {
			a := s.send(t, client, method, three, "/", c.changes...)
			if a.status != c.status {
				t.Errorf("%s, %s: status %d; want %d: %s", name, method, a.status, c.status, a.body)
			}
			if seen := s.upstream.Take(); len(seen) != 0 {
				t.Errorf("%s, %s: it reached the upstream", name, method)
			}
		}
	}
	if a := s.send(t, client, http.MethodGet, three, "/"); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("browsers are not asked for a password: %q", a.header.Values("WWW-Authenticate"))
	}
	// The mistake that the guide warns of. If this fails, its warning is out of date.
	t.Run("chosen by what the request carries, the site is open", func(t *testing.T) {
		s.mustReload(t, changed(t, site(0, three), "not vars {http.jwt.auth_method} jwt api_key", `header Authorization "Basic *"`))
		if a := s.send(t, s.http, http.MethodGet, three, "/"); a.status != http.StatusOK {
			t.Errorf("status %d", a.status)
		}
	})
}
