package caddyjwt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// eventually waits until a condition holds, as changes of files are seen by polling.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestKeysInFilesAreWatched checks that a changed {file.PATH} of an API key is in force
// without a reload, and that a broken one changes nothing.
func TestKeysInFilesAreWatched(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	first, _ := newAPIKey()
	second, secondHash := newAPIKey()
	third, _ := newAPIKey()
	other, otherHash := newAPIKey()
	overwrite(t, path, first+"\n")
	s := makeSite(t, "api_key partner {file."+path+"} {\nconsumer acme\nscopes a\n}\napi_key other "+otherHash)
	s.app.sources.Start()
	asks := func(text string) bool {
		res := serve(t, request(text, "", "", "", "X-API-Key: %G"), nil, s.Handler)
		return res.next != nil && (text == other || res.placeholder("{http.auth.user.id} {http.jwt.scopes}") == "acme a")
	}
	if !asks(first) || asks(second) || !asks(other) {
		t.Fatal("the keys at the start")
	}
	overwrite(t, path, secondHash+"\r\n")
	eventually(t, "a hash", func() bool { return asks(second) })
	if asks(first) || !asks(other) {
		t.Error("the old key still passes, or the other does not")
	}
	for _, broken := range []string{"", "\n", "short", "two words", strings.Repeat("a", 40), "partner", "sha256:12", "\ufeff" + third} {
		overwrite(t, path, broken)
		time.Sleep(800 * time.Millisecond)
		if !asks(second) || asks("partner") || asks(broken) {
			t.Errorf("with %q in the file", broken)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(800 * time.Millisecond)
	if !asks(second) {
		t.Error("a file that is gone took the key with it")
	}
	overwrite(t, path, third)
	eventually(t, "another key", func() bool { return asks(third) && !asks(second) })
}

// TestSecretsInFilesAreWatched checks the same for HMAC secrets.
func TestSecretsInFilesAreWatched(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	const old, other, new = "q7Vn2KxD9sPz4RtB8wLmC3hJ6yFgA1eU-old", "Z5dN8vQk2XwR7bTs4LpC9mHy3JfG6aEu-other", "M3hB7cXz9KqW2nVd5RtP8sLy4FgJ6aEu-new"
	overwrite(t, path, old+"\n")
	t2 := filepath.Join(t.TempDir(), "second")
	overwrite(t, t2, other)
	s := makeSite(t, "issuer https://issuer.example/ {\nsecret {file."+path+"}\nsecret {file."+t2+"}\naudience https://api.example\n}")
	s.app.sources.Start()
	passes := func(secret string) bool {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
		}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return serve(t, bearer(token), nil, s.Handler).next != nil
	}
	if !passes(old) || !passes(other) || passes(new) {
		t.Fatal("the secrets at the start")
	}
	overwrite(t, path, new)
	eventually(t, "a new secret", func() bool { return passes(new) })
	if passes(old) || !passes(other) {
		t.Error("the old secret still counts, or the other does not")
	}
	for _, broken := range []string{"", "too short", strings.Repeat("a", 64)} {
		overwrite(t, path, broken)
		time.Sleep(1200 * time.Millisecond)
		if !passes(new) || !passes(other) || passes(broken) {
			t.Errorf("with %q in the file", broken)
		}
	}
}

// TestSeveralKeysInOnePlace checks that a list of keys, which is one key here, is told.
func TestSeveralKeysInOnePlace(t *testing.T) {
	t.Parallel()
	a, _ := newAPIKey()
	b, _ := newAPIKey()
	for content, want := range map[string]bool{a: false, a + "," + b: true, a + ";" + b: true, "a-key-with,a-comma-1234": true, "sha256:" + strings.Repeat("ab", 32): false} {
		path := filepath.Join(t.TempDir(), "keys")
		overwrite(t, path, content)
		s := makeSite(t, "api_key x {file."+path+"}")
		told := false
		for _, text := range s.app.warnings.texts {
			told = told || strings.Contains(text, "seems to be several keys") && strings.Contains(text, "write api_keys <path>")
		}
		if told != want {
			t.Errorf("%s: %v %q", apikey.DigestOf(content), told, s.app.warnings.texts)
		}
	}
	path := filepath.Join(t.TempDir(), "keys")
	overwrite(t, path, a+"\n"+b+"\n")
	h := &Handler{APIKey: []*APIKey{{ID: "x", Hash: "{file." + path + "}"}}}
	h.app = testApp(t)
	if err := h.provision(bareContext()); err == nil || !strings.Contains(err.Error(), "it seems to hold several keys") || strings.Contains(err.Error(), a) {
		t.Error(err)
	}
}

// TestCopiesOfACredentialAreRemoved checks that one secret that a client sends in both
// usual places reaches nobody.
func TestCopiesOfACredentialAreRemoved(t *testing.T) {
	t.Parallel()
	token := signed(t, nil)
	key, hash := newAPIKey()
	keys := "api_key partner " + hash
	for name, c := range map[string]struct {
		s    *site
		send []string // headers; %G is the credential
		text string
		left string // of Authorization and X-Api-Key
	}{
		"a token":                     {newSite(t, ""), []string{"Authorization: Bearer %G", "X-API-Key: %G"}, token, "|"},
		"a token with a scheme":       {newSite(t, ""), []string{"Authorization: Bearer %G", "X-API-Key: Bearer %G"}, token, "|"},
		"another value":               {newSite(t, ""), []string{"Authorization: Bearer %G", "X-API-Key: other"}, token, "|other"},
		"a key":                       {makeSite(t, keys), []string{"X-API-Key: %G", "Authorization: Bearer %G"}, key, "|"},
		"a key with another scheme":   {makeSite(t, keys), []string{"X-API-Key: %G", "Authorization: ApiKey %G"}, key, "|"},
		"a key alone":                 {makeSite(t, keys), []string{"X-API-Key: %G", "Authorization: %G"}, key, "|"},
		"a key in a cookie":           {makeSite(t, keys+"\napi_key_from cookie k"), []string{"Cookie: k=%G", "Authorization: Bearer %G", "X-API-Key: %G"}, key, "|"},
		"a key beside a password":     {makeSite(t, keys), []string{"X-API-Key: %G", "Authorization: Basic eDp5"}, key, "Basic eDp5|"},
		"two, of which one is a copy": {newSite(t, ""), []string{"Authorization: Bearer %G", "X-API-Key: other", "X-API-Key: %G"}, token, "|other"},
		"kept":                        {newSite(t, "keep_credentials"), []string{"Authorization: Bearer %G", "X-API-Key: %G"}, token, "Bearer " + token + "|" + token},
		"in report mode":              {newSite(t, "mode report"), []string{"Authorization: Bearer %G", "X-API-Key: %G"}, token, "Bearer " + token + "|" + token},
	} {
		res := serve(t, request(c.text, "", "", "", c.send...), nil, c.s.Handler)
		if res.next == nil {
			t.Errorf("%s: %s", name, res.reason())
			continue
		}
		if left := strings.Join(res.next.Header["Authorization"], ",") + "|" + strings.Join(res.next.Header["X-Api-Key"], ","); left != c.left {
			t.Errorf("%s: %s, want %s", name, left, c.left)
		}
	}
}
