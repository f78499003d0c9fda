package integration

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The whole way of a request with an API key, in every form of answer.
func TestAPIKeys(t *testing.T) {
	t.Parallel()
	partner := peers.NewAPIKey(t, "key-1", map[string]any{
		"consumer": "partner", "name": "Partner", "scopes": []string{"orders:read", "orders:write"},
		"expires": "2099-01-02T03:04:05Z", "meta": map[string]any{"plan": "gold"},
	})
	plain := peers.NewAPIKey(t, "key-2", nil)
	stranger := peers.NewAPIKey(t, "stranger", nil)
	s, _ := newAPIKeyFixture(t, `
https://aws.example.test {
	jwt {
		api_keys {$KEYS}
		error_format aws
	}
	import keyholder
}
https://api.example.test {
	jwt {
		api_keys {$KEYS}
		api_key_user_prefix key:
	}
	import keyholder
}
`, options{}, partner, plain)

	for _, version := range []protocol{http1, http2, h3} {
		client := s.client(version)
		t.Run("in the format of AWS over "+string(version), func(t *testing.T) {
			for name, changes := range map[string][]change{"no key": nil, "a wrong key": {apiKey(stranger.Text)}} {
				a := s.send(t, client, http.MethodGet, "aws.example.test", "/", changes...)
				if a.status != http.StatusForbidden || a.body != `{"message":"Forbidden"}` || a.header.Get("Content-Type") != "application/json" {
					t.Errorf("%s: status %d, %q, Content-Type %q", name, a.status, a.body, a.header.Get("Content-Type"))
				}
			}
			if seen := s.upstream.Take(); len(seen) != 0 {
				t.Errorf("the upstream got %d requests; want none", len(seen))
			}
			got := s.passes(t, s.send(t, client, http.MethodGet, "aws.example.test", "/", header("x-api-key", partner.Text)), partner)
			checkHeaders(t, got, map[string]string{
				"X-User": "partner", "X-Key-Id": "key-1", "X-Method": "api_key", "X-Scopes": "orders:read orders:write",
				"X-Expires": "2099-01-02T03:04:05Z", "X-Plan": "gold", "X-Api-Key": "",
				"X-Claims": `{"sub":"partner","scope":"orders:read orders:write","key_id":"key-1","meta":{"plan":"gold"}}`,
			})
		})
	}
	t.Run("in the default format", func(t *testing.T) {
		for _, c := range []struct {
			name, challenge, body string
			changes               []change
		}{
			{"no key", `ApiKey realm="restricted"`,
				`{"error":"missing_credentials","error_description":"an API key is required, in the header X-Api-Key"}`, nil},
			{"a wrong key", `ApiKey realm="restricted", error="invalid_token", error_description="the API key is not valid"`,
				`{"error":"invalid_token","error_description":"the API key is not valid"}`, []change{apiKey(stranger.Text)}},
			{"a token alone", `ApiKey realm="restricted"`,
				`{"error":"missing_credentials","error_description":"an API key is required, in the header X-Api-Key"}`, []change{bearer(plain.Text)}},
		} {
			a := s.send(t, s.http, http.MethodGet, site, "/", c.changes...)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != c.challenge || a.body != c.body {
				t.Errorf("%s: status %d, challenge %q, %s", c.name, a.status, a.header.Get("WWW-Authenticate"), a.body)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s: Cache-Control %q; want no-store", c.name, got)
			}
		}
	})
	t.Run("users have the prefix", func(t *testing.T) {
		checkHeaders(t, s.passes(t, s.withKey(t, partner), partner), map[string]string{"X-User": "key:partner", "X-Key-Id": "key-1"})
		checkHeaders(t, s.passes(t, s.withKey(t, plain), plain), map[string]string{"X-User": "key:key-2", "X-Scopes": "", "X-Expires": ""})
	})
}

// Keys alone, tokens alone, either, and both in one request.
func TestAPIKeysAndTokens(t *testing.T) {
	t.Parallel()
	k := keys(t)
	partner := peers.NewAPIKey(t, "key-1", map[string]any{"consumer": "partner", "scopes": []string{"keys:all"}})
	stranger := peers.NewAPIKey(t, "stranger", nil)
	s, _ := newAPIKeyFixture(t, `
https://api.example.test {
	jwt {
		import issuer
		api_keys {$KEYS}
	}
	import keyholder
	import reasons
}
https://tokens.example.test {
	jwt {
		import issuer
	}
	import keyholder
	import reasons
}
`, options{}, partner)
	token := k.RS256.Token(t, s.claims(map[string]any{"scope": "tokens:all"}), nil)
	expired := k.RS256.Token(t, s.claims(map[string]any{"exp": 1_000_000_000}), nil)

	t.Run("either is enough", func(t *testing.T) {
		checkHeaders(t, s.passes(t, s.withKey(t, partner), partner), map[string]string{
			"X-User": "partner", "X-Key-Id": "key-1", "X-Method": "api_key", "X-Scopes": "keys:all",
		})
		checkHeaders(t, s.passes(t, s.get(t, site, token), partner), map[string]string{
			"X-User": "user-1", "X-Key-Id": "", "X-Method": "jwt", "X-Scopes": "tokens:all",
		})
	})
	t.Run("none is refused with the challenge for tokens", func(t *testing.T) {
		a := s.send(t, s.http, http.MethodGet, site, "/")
		s.refused(t, a, http.StatusUnauthorized, "missing_credentials")
		if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="restricted"` {
			t.Errorf("the challenge is %q", got)
		}
	})
	t.Run("both are the token's user, and the key's id", func(t *testing.T) {
		a := s.send(t, s.http, http.MethodGet, site, "/", bearer(token), apiKey(partner.Text))
		got := s.passes(t, a, partner)
		checkHeaders(t, got, map[string]string{
			"X-User": "user-1", "X-Key-Id": "key-1", "X-Method": "jwt", "X-Scopes": "tokens:all", "Authorization": "", "X-Api-Key": "",
		})
	})
	for name, c := range map[string]struct {
		token, key, reason string
	}{
		"a good token and a wrong key":     {token, stranger.Text, "unknown_api_key"},
		"an expired token and a good key":  {expired, partner.Text, "expired"},
		"a garbled token and a good key":   {"garbage", partner.Text, "malformed_token"},
		"an expired token and a wrong key": {expired, stranger.Text, "unknown_api_key"},
	} {
		t.Run(name+" are refused", func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, site, "/", bearer(c.token), apiKey(c.key))
			s.refused(t, a, http.StatusUnauthorized, c.reason)
		})
	}
	t.Run("where no key is configured, X-API-Key is somebody else's", func(t *testing.T) {
		a := s.send(t, s.http, http.MethodGet, "tokens.example.test", "/", bearer(token), apiKey("of the upstream"))
		if got := a.upstream(t).Header.Get("X-Api-Key"); a.status != http.StatusOK || got != "of the upstream" {
			t.Errorf("status %d, X-API-Key %q", a.status, got)
		}
		s.upstream.Take()
		s.refused(t, s.send(t, s.http, http.MethodGet, "tokens.example.test", "/", apiKey(partner.Text)), http.StatusUnauthorized, "missing_credentials")
	})
}

// A key in every place that a site may name, and none in the places that it does
// not name.
func TestPlacesOfAPIKeys(t *testing.T) {
	t.Parallel()
	k := keys(t)
	key := peers.NewAPIKey(t, "key-1", map[string]any{"consumer": "partner"})
	at := func(host, option string) string {
		return "https://" + host + " {\n\tjwt {\n\t\tapi_keys {$KEYS}\n\t\t" + option + "\n\t}\n\timport keyholder\n\timport reasons\n}\n"
	}
	s, _ := newAPIKeyFixture(t, at("basic.example.test", "api_key_from basic")+
		at("query.example.test", "api_key_from query api_key")+
		at("cookie.example.test", "api_key_from cookie key")+
		at("header.example.test", "api_key_from header X-Partner-Key")+
		at("scheme.example.test", "api_key_from header Authorization Key")+
		at("shared.example.test", "api_key_from header Authorization Bearer\n\t\timport issuer")+
		at("several.example.test", "api_key_from header X-API-Key\n\t\tapi_key_from basic\n\t\tapi_key_from query api_key"), options{}, key)
	token := k.RS256.Token(t, s.claims(nil), nil)
	basic := func(user, password string) change {
		return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	for _, c := range []struct {
		name, host string
		change     change
		path       string
	}{
		{"the password of Basic", "basic.example.test", basic("anybody", key.Text), "/"},
		{"the password of Basic without a user", "basic.example.test", basic("", key.Text), "/"},
		{"the user of Basic without a password", "basic.example.test", basic(key.Text, ""), "/"},
		{"the query", "query.example.test", rawQuery("api_key=" + key.Text), "/?a=1"},
		{"a cookie", "cookie.example.test", cookie("key", key.Text), "/"},
		{"another header", "header.example.test", header("X-Partner-Key", key.Text), "/"},
		{"another scheme", "scheme.example.test", header("Authorization", "key "+key.Text), "/"},
		{"the scheme of tokens", "shared.example.test", bearer(key.Text), "/"},
		{"one of several places", "several.example.test", apiKey(key.Text), "/"},
		{"another of several places", "several.example.test", basic("", key.Text), "/"},
		{"a third of several places", "several.example.test", rawQuery("api_key=" + key.Text), "/?a=1"},
	} {
		t.Run("a key in "+c.name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, c.host, c.path, c.change)
			checkHeaders(t, s.passes(t, a, key), map[string]string{"X-User": "partner", "X-Method": "api_key", "Authorization": "", "Cookie": ""})
			if uri := a.upstream(t).URI; uri != c.path {
				t.Errorf("the upstream was asked for %s; want %s", uri, c.path)
			}
		})
	}
	if wire := s.upstream.Wire(); strings.Contains(wire, base64.StdEncoding.EncodeToString([]byte(":"+key.Text))) {
		t.Error("the upstream was sent the key within Basic")
	}
	t.Run("what shares a place is told apart by its form", func(t *testing.T) {
		checkHeaders(t, s.passes(t, s.get(t, "shared.example.test", token), key), map[string]string{"X-User": "user-1", "X-Method": "jwt"})
		s.refused(t, s.get(t, "shared.example.test", "no-such-key-0123456789"), http.StatusUnauthorized, "unknown_api_key")
		s.refused(t, s.get(t, "shared.example.test", "a.b.c"), http.StatusUnauthorized, "malformed_token")
		s.refused(t, s.get(t, "shared.example.test", token+"."), http.StatusUnauthorized, "unknown_api_key")
	})
	t.Run("a place that is not named is not read", func(t *testing.T) {
		for _, host := range []string{"basic.example.test", "query.example.test", "cookie.example.test", "header.example.test", "scheme.example.test"} {
			s.refused(t, s.send(t, s.http, http.MethodGet, host, "/", apiKey(key.Text)), http.StatusUnauthorized, "missing_credentials")
		}
	})
	t.Run("Basic that holds no key is an empty credential", func(t *testing.T) {
		for _, value := range []string{"Basic", "Basic !!!", "Basic " + base64.StdEncoding.EncodeToString([]byte("nocolon")), "Basic Og=="} {
			s.refused(t, s.sendAuthorization(t, "basic.example.test", value), http.StatusBadRequest, "malformed_request")
		}
	})
}

// Keys that the config names one by one, and stores that have a name.
func TestWrittenAPIKeys(t *testing.T) {
	t.Parallel()
	hashed := peers.NewAPIKey(t, "hashed", nil)
	variable := peers.NewAPIKey(t, "variable", nil)
	hashInVariable := peers.NewAPIKey(t, "hash-in-variable", nil)
	inFile := peers.NewAPIKey(t, "in-file", nil)
	stored := peers.NewAPIKey(t, "stored", map[string]any{"consumer": "of the store"})
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte(inFile.Text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := newAPIKeyFixture(t, `
https://api.example.test {
	jwt {
		api_key hashed {$HASH} {
			consumer somebody
			scopes orders:read orders:write
			expires 2099-01-02T03:04:05Z
			meta plan gold
		}
		api_key variable {env.KEY}
		api_key hash-in-variable {env.KEY_HASH}
		api_key in-file {file.{$SECRET}}
		api_keys partners
	}
	import keyholder
	import reasons
}
`, options{
		global: "jwt {\n\t\tapi_keys partners {\n\t\t\tfile {$KEYS}\n\t\t}\n\t}",
		env: map[string]string{
			"HASH": strings.ToUpper(hashed.Hash()), "KEY": variable.Text, "KEY_HASH": hashInVariable.Hash(), "SECRET": secret,
		},
	}, stored)
	checkHeaders(t, s.passes(t, s.withKey(t, hashed), hashed), map[string]string{
		"X-User": "somebody", "X-Key-Id": "hashed", "X-Scopes": "orders:read orders:write", "X-Plan": "gold", "X-Expires": "2099-01-02T03:04:05Z",
	})
	for _, k := range []*peers.APIKey{variable, hashInVariable, inFile} {
		checkHeaders(t, s.passes(t, s.withKey(t, k), k), map[string]string{"X-User": k.Record["id"].(string)})
	}
	checkHeaders(t, s.passes(t, s.withKey(t, stored), stored), map[string]string{"X-User": "of the store", "X-Key-Id": "stored"})
	s.refused(t, s.withKey(t, peers.NewAPIKey(t, "stranger", nil)), http.StatusUnauthorized, "unknown_api_key")
	files := s.keyFiles(t)
	for _, f := range files {
		// The other is that of the key in a file of its own.
		if len(f.Names) > 1 || len(f.Names) == 1 && f.Names[0] != "partners" || f.Keys != 1 || f.State != "fresh" {
			t.Errorf("the status is %+v", f)
		}
	}
	if len(files) != 2 {
		t.Errorf("the status has %d files: %+v", len(files), files)
	}
}
