package integration

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// badTokens are forgeries: each a good token with one thing changed.
func (d *explainFixture) badTokens(t *testing.T) []kind {
	t.Helper()
	k := keys(t)
	strict := "strict.example.test"
	now := time.Now()
	in := func(by time.Duration) int64 { return now.Add(by).Unix() }
	with := func(changes map[string]any) string { return k.RS256.Token(t, d.claims(changes), nil) }
	head := func(changes map[string]any) string { return k.RS256.Token(t, d.claims(nil), changes) }
	at := func(changes map[string]any) string { // of the strict site
		claims := d.claims(map[string]any{"email": "a@example.test"})
		for name, value := range changes {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		return k.RS256.Token(t, claims, map[string]any{"typ": "at+jwt"})
	}
	good := strings.Split(with(nil), ".")
	claimsText, err := json.Marshal(d.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	tampered := good[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claimsText), "user-1", "user-2", 1))) + "." + good[2]

	var kinds []kind
	add := func(name, host, token, reason, detail, check, seen, wanted string) {
		kinds = append(kinds, kind{
			name: name, asked: asked{host: host, token: token}, verdict: "refused",
			reason: reason, detail: detail, check: check, seen: seen, wanted: wanted,
		})
	}
	add("an opaque token", "strict.example.test", "opaque-token-of-forty-characters-0123456", "malformed_token", "*", "form", "", "three parts")
	add("four parts", site, strings.Join(good, ".")+".x", "malformed_token", "*", "form", "", "")
	add("five parts, as a JWE has", site, "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "unsupported_token", "*", "form", "", "")
	add("padding", site, good[0]+"=."+good[1]+"."+good[2], "malformed_token", "*", "form", "", "")
	add("no signature", site, good[0]+"."+good[1]+".", "malformed_token", "*", "form", "", "")
	add("claims that are no JSON", site, k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256"}`, `{"iss":`), "malformed_token", "*", "form", "", "")
	add("a member twice", site, k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256"}`, `{"sub":"a","sub":"b"}`), "malformed_token", "*", "form", "", "")
	add("a deep claim", site, with(map[string]any{"deep": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}), "malformed_token", "*", "form", "", "")
	add("no alg", site, head(map[string]any{"alg": nil}), "malformed_token", "the header has no alg", "form", "", "")
	add("exp as a text", site, with(map[string]any{"exp": "2099"}), "malformed_token", "exp is not a number of seconds from 1970 to 9999", "form", "", "")
	add("iss as a list", site, with(map[string]any{"iss": []string{"a"}}), "malformed_token", "iss is not a text", "form", "", "")
	add("too long", strict, at(map[string]any{"long": strings.Repeat("x", 3000)}), "malformed_token", "*", "form", "bytes", "2KiB")
	add("crit", site, head(map[string]any{"crit": []string{"exp"}, "exp": 1}), "unsupported_token", "*", "form", "", "")
	add("another token inside", site, head(map[string]any{"cty": "JWT"}), "unsupported_token", "*", "form", "", "")
	add("b64", site, head(map[string]any{"b64": false}), "unsupported_token", "*", "form", "", "")
	add("no iss", site, with(map[string]any{"iss": nil}), "unknown_issuer", "the token has no iss", "issuer", "", d.issuer.URL)
	add("a slash behind iss", site, with(map[string]any{"iss": d.issuer.URL + "/"}), "unknown_issuer", "", "issuer", d.issuer.URL+"/", d.issuer.URL)
	add("another iss", site, with(map[string]any{"iss": "https://evil.example.test"}), "unknown_issuer", "", "issuer", "https://evil.example.test", d.issuer.URL)
	add("alg none", site, good[0]+".", "malformed_token", "*", "form", "", "")
	kinds = kinds[:len(kinds)-1]
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + good[1] + "." + good[2]
	add("alg none", site, none, "algorithm_not_allowed", "alg is none or not supported", "algorithm", "none", "")
	add("a public key as a secret", site, peers.HMAC(t, "HS256", k.RS256.PublicPEM(t), d.claims(nil), map[string]any{"kid": "rs256"}), "algorithm_not_allowed", "*", "algorithm", "HS256", "public keys")
	add("an alg that the site does not list", strict, k.ES384.Token(t, d.claims(map[string]any{"email": "a"}), map[string]any{"typ": "at+jwt"}), "algorithm_not_allowed", "*", "algorithm", "ES384", "RS256")
	add("an alg that is not the key's", site, k.RS256.SignAs("RS384").Token(t, d.claims(nil), nil), "algorithm_not_allowed", "*", "key", "rs256", "RS256")
	add("another kid", site, k.RS256.Named("nobody's").Token(t, d.claims(nil), nil), "unknown_key", "*", "key", "nobody's", "")
	add("no kid, and too many keys", strict, k.RS256.Named("").Token(t, d.claims(map[string]any{"email": "a"}), map[string]any{"typ": "at+jwt"}), "unknown_key", "*", "key", "", "1")
	add("a stranger's key", site, k.Stranger.Token(t, d.claims(nil), nil), "bad_signature", "", "signature", "", "")
	add("another user put in", site, tampered, "bad_signature", "", "signature", "", "")
	add("no exp", site, with(map[string]any{"exp": nil}), "missing_claim", "no exp; allow_no_expiry accepts it", "expires", "", "")
	add("expired", site, with(map[string]any{"exp": in(-time.Hour)}), "expired", "", "expires", "", "")
	add("not yet valid", site, with(map[string]any{"nbf": in(time.Hour)}), "not_yet_valid", "", "not_before", "", "")
	add("issued in the future", site, with(map[string]any{"iat": in(time.Hour)}), "issued_in_future", "", "issued_at", "", "")
	add("a long lifetime", strict, at(map[string]any{"exp": in(4 * time.Hour)}), "lifetime_too_long", "", "lifetime", "", "2h")
	add("no audience", site, with(map[string]any{"aud": nil}), "wrong_audience", "the token has no audience", "audience", "", audience)
	add("a slash behind the audience", site, with(map[string]any{"aud": audience + "/"}), "wrong_audience", "", "audience", audience+"/", audience)
	add("others' audiences", site, with(map[string]any{"aud": []string{"a", "b"}}), "wrong_audience", "", "audience", "b", audience)
	add("an audience that is a number", site, with(map[string]any{"aud": 1}), "wrong_audience", "*", "audience", "", audience)
	add("an ID token", strict, k.RS256.Token(t, d.claims(map[string]any{"email": "a", "nonce": "n"}), nil), "wrong_type", "", "type", "JWT", "at+jwt")
	add("bound to a key", site, with(map[string]any{"cnf": map[string]any{"jkt": "x"}}), "unsupported_token", "*", "binding", "", "")
	add("no user", strict, at(map[string]any{"email": nil}), "missing_claim", "*", "user", "", "email")
	add("revoked by its jti", site, with(map[string]any{"jti": "revoked-jti"}), "revoked", "*", "revocations", "", "")
	add("revoked by its user", site, with(map[string]any{"sub": "revoked-sub"}), "revoked", "*", "revocations", "", "")
	add("revoked by its client", site, with(map[string]any{"azp": "revoked-client"}), "revoked", "*", "revocations", "", "")
	add("revoked by its key", site, k.ES384.Token(t, d.claims(nil), nil), "revoked", "*", "revocations", "", "")
	add("issued before a time", site, with(map[string]any{"iat": in(-45 * time.Minute)}), "revoked", "*", "revocations", "", "")
	add("revoked itself", site, d.revokedToken(t), "revoked", "*", "revocations", "", "")
	add("keys that can't be had", "down.example.test", k.RS256.Token(t, peers.Claims("https://down.example.test", audience, nil), nil), "keys_unavailable", "*", "key", "", "")
	kinds[len(kinds)-1].offline = "accepted" // by --jwks
	add("another secret", "secret.example.test", peers.HMAC(t, "HS256", []byte(strings.Repeat("x", 32)), peers.Claims("https://hmac.example.test", audience, nil), nil), "bad_signature", "", "signature", "", "")
	return kinds
}
