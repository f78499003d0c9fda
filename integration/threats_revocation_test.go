package integration

import (
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// twinOf is the same token with the other signature that ECDSA allows for it: n - s in the
// place of s.
func twinOf(t *testing.T, k *peers.Key, token string) string {
	t.Helper()
	at := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil {
		t.Fatal(err)
	}
	n, half := k.Private.(*ecdsa.PrivateKey).Params().N, len(signature)/2
	s := new(big.Int).SetBytes(signature[half:])
	return peers.WithSignature(token[:at], append(signature[:half:half], fill(s.Sub(n, s), half)...))
}

// Who holds a revoked token can write it in other ways. None of them is let in.
func TestThreat55_ATwinOfARevokedTokenIsRevoked(t *testing.T) {
	t.Parallel()
	k := keys(t)
	// In a query a token can hold what no header carries.
	s := newSharedFixture(t, `
https://api.example.test {
	jwt {
		import issuer
		token_from header Authorization Bearer
		token_from query access_token
	}
	import upstream
	import reasons
}
`, options{}, k.published()...)
	inQuery := func(t *testing.T, token string) answer {
		t.Helper()
		s.upstream.Take()
		return s.send(t, s.http, http.MethodGet, site, "/?access_token="+url.QueryEscape(token))
	}
	for _, key := range []*peers.Key{k.ES256, k.ES384, k.ES512} {
		for kind, revoke := range map[string]func(token string) object{
			"token": func(token string) object { return object{"kind": "token", "value": token} },
			"jti":   func(string) object { return object{"kind": "jti", "value": "of-" + key.Alg} },
		} {
			t.Run(key.Alg+" by "+kind, func(t *testing.T) {
				claims := map[string]any{"n": 1}
				if kind == "jti" {
					claims = map[string]any{"jti": "of-" + key.Alg}
				}
				claims["pad"] = claimsPadding(t, s.claims(claims))
				token := key.Token(t, s.claims(claims), nil)
				twin := twinOf(t, key, token)
				for _, text := range []string{token, twin} { // both are valid, so that this test is about something
					s.accepts(t, site, text)
				}
				// Either of the two may be the one in the operator's hand.
				id := s.addRule(t, revoke(twin))
				part := strings.Split(token, ".")
				for name, text := range map[string]string{
					"as it was": token, "its twin": twin, "the twin's twin": twinOf(t, key, twin),
				} {
					a := inQuery(t, text)
					if checkReason(t, a, http.StatusUnauthorized, "revoked"); len(s.upstream.Take()) != 0 {
						t.Errorf("%s: the upstream was asked", name)
					}
				}
				for name, text := range map[string]string{
					"padding behind the signature":        token + "=",
					"two of them":                         token + "==",
					"padding behind the claims":           part[0] + "." + part[1] + "=." + part[2],
					"padding behind the header":           part[0] + "=." + part[1] + "." + part[2],
					"another last character":              part[0] + "." + changeUnusedBits(t, part[1]) + "." + part[2],
					"a LF in the signature":               part[0] + "." + part[1] + "." + part[2][:9] + "\n" + part[2][9:],
					"a space behind":                      token + " ",
					"a CR LF in the header":               part[0][:9] + "\r\n" + part[0][9:] + "." + part[1] + "." + part[2],
					"the other alphabet in the signature": part[0] + "." + part[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(part[2]) + "+",
					"a fourth segment":                    token + ".",
				} {
					if a := inQuery(t, text); a.status == http.StatusOK || len(s.upstream.Take()) != 0 {
						t.Errorf("%s: it passes", name)
					}
				}
				s.removeRule(t, id)
				s.accepts(t, site, token)
				s.accepts(t, site, twin)
			})
		}
	}
}

// A rule matches what it says and nothing else: the user as the log has it, ids of one
// issuer, and times by the whole second.
func TestThreat62_RulesMatchWhatTheySay(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, other := newRevocationFixture(t, strings.Replace(revocationSite, "jwt {", "log\n\tjwt {", 1), options{})
	iss := s.issuer.URL
	token := func(changes map[string]any) string { return k.ES256.Token(t, s.claims(changes), nil) }

	t.Run("the user as the log has it", func(t *testing.T) {
		mark := s.logs.mark()
		alice := token(map[string]any{"sub": "alice@example.test"})
		s.accepts(t, site, alice)
		s.logs.mark()
		user := ""
		for _, e := range s.logs.since(mark) {
			var line struct {
				User string `json:"user_id"`
			}
			if decode(t, e.line, &line); strings.HasPrefix(e.Logger, "http.log.access") {
				user = line.User
			}
		}
		if user != "corp/alice@example.test" {
			t.Fatalf("the log has the user %q", user)
		}
		c := s.jwtCommand(t, "revoke", "--sub", user, "--issuer", iss, "--reason", "test")
		if c.code != 0 || !cacheOff && !strings.Contains(c.stderr, "One of the tokens that this server has seen lately") {
			t.Error(c)
		}
		s.refuses(t, site, alice, "revoked")
		s.accepts(t, site, token(map[string]any{"sub": "alice"}))
		s.accepts(t, site, k.ES256.Token(t, peers.Claims(other.URL, audience, map[string]any{"sub": "alice@example.test"}), nil))
	})
	t.Run("a rule that matches nothing is not passed over in silence", func(t *testing.T) {
		c := s.jwtCommand(t, "revoke", "--sub", "nobody", "--issuer", iss)
		if c.code != 0 || !strings.Contains(c.stderr, "none of the tokens") {
			t.Error(c)
		}
	})
	t.Run("ids that issuers choose for themselves", func(t *testing.T) {
		for name, body := range map[string]object{
			"kid without an issuer":         {"kind": "kid", "value": k.ES256.KID},
			"kid of any issuer":             {"kind": "kid", "value": k.ES256.KID, "any_issuer": true},
			"jti without an issuer":         {"kind": "jti", "value": "1"},
			"sub without an issuer":         {"kind": "sub", "value": "1"},
			"client without an issuer":      {"kind": "client", "value": "1"},
			"an issuer and any":             {"kind": "sub", "value": "1", "issuer": iss, "any_issuer": true},
			"an issuer without a time":      {"kind": "issuer", "value": iss},
			"a time with jti":               {"kind": "jti", "value": "1", "issuer": iss, "not_before": "2026-01-02T03:04:05Z"},
			"an issuer with a key":          {"kind": "key", "value": "x", "issuer": iss},
			"a store that is not there":     {"kind": "key", "value": "x", "store": "nowhere"},
			"a time that is a day ahead":    {"kind": "sub", "value": "1", "issuer": iss, "not_before": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)},
			"no value":                      {"kind": "sub", "issuer": iss},
			"a kind that is not there":      {"kind": "user", "value": "1"},
			"a token in the place of a jti": {"kind": "jti", "value": token(nil), "issuer": iss},
		} {
			if a := s.ask(t, http.MethodPost, "/jwt/revocations", toJSON(t, body)); a.status != http.StatusBadRequest {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		s.accepts(t, site, token(map[string]any{"jti": "1", "sub": "1", "client_id": "1"}))
	})
	t.Run("times", func(t *testing.T) {
		at := time.Now().Truncate(time.Second).Add(-30 * time.Second)
		sub := 0
		for _, c := range []struct {
			notBefore string        // behind at
			iat       any           // in seconds behind at
			passes    bool          // whether a token of that time does
			ahead     time.Duration // of the rule, against at
		}{
			{".0", 0, true, 0}, {".0", 0.5, true, 0}, {".0", -1, false, 0}, {".0", -0.5, false, 0}, {".0", 1, true, 0},
			{".2", 0, false, 0}, {".2", 0.9, false, 0}, {".2", 1, true, 0}, {".999999999", 0.9, false, 0}, {".999999999", 1, true, 0},
			{".0", nil, false, 0}, {".0", 60, true, 0}, {".0", 60, false, 61 * time.Second}, {".0", 61, true, 61 * time.Second},
		} {
			t.Run(fmt.Sprintf("%s%s, iat %v", c.ahead, c.notBefore, c.iat), func(t *testing.T) {
				sub++
				claims := map[string]any{"sub": fmt.Sprintf("timed-%d", sub), "iat": nil}
				switch iat := c.iat.(type) {
				case int:
					claims["iat"] = at.Unix() + int64(iat)
				case float64:
					claims["iat"] = float64(at.Unix()) + iat
				}
				timed := token(claims)
				s.accepts(t, site, timed)
				s.addRule(t, object{"kind": "sub", "value": claims["sub"], "issuer": iss, "not_before": at.Add(c.ahead).UTC().Format("2006-01-02T15:04:05") + c.notBefore + "Z"})
				if c.passes {
					s.accepts(t, site, timed)
				} else {
					s.refuses(t, site, timed, "revoked")
				}
			})
		}
	})
	t.Run("now is the second that has begun, too", func(t *testing.T) {
		claims := map[string]any{"sub": "same-second"}
		minted := token(claims) // with iat of this second, or of the one before
		s.accepts(t, site, minted)
		c := s.jwtCommand(t, "revoke", "--sub", "same-second", "--issuer", iss, "--not-before", "now")
		if c.code != 0 || !strings.Contains(c.stderr, "refresh token") {
			t.Error(c)
		}
		s.refuses(t, site, minted, "revoked")
		claims["iat"] = time.Now().Add(2 * time.Second).Unix()
		s.accepts(t, site, token(claims))
	})
	t.Run("a key of the user has no iat and is not meant", func(t *testing.T) {
		key := s.makeKey(t, object{"consumer": "keyholder"})
		s.addRule(t, object{"kind": "sub", "value": "keyholder", "any_issuer": true, "not_before": time.Now().UTC().Format(time.RFC3339)})
		s.addRule(t, object{"kind": "client", "value": key.ID, "any_issuer": true})
		s.passes(t, s.withKey(t, key.peer()), key.peer())
	})
}

// An API key that is revoked by its id is refused at every place of its credential and
// every secret that it has or gets, and keys of the same id elsewhere are told by the store.
func TestThreat63_RevokedKeysAreRefused(t *testing.T) {
	t.Parallel()
	inFile := peers.NewAPIKey(t, "shared-id", nil)
	twin := &peers.APIKey{Text: inFile.Text, Record: maps.Clone(inFile.Record)}
	twin.Record["id"] = "twin-id"
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "api_keys partners\n\t\tapi_keys {$KEYS}\n\t\tapi_keys {$TWINS}", 1),
		options{env: map[string]string{
			"KEYS": tempFile(t, "keys.jsonl", peers.KeyLines(t, inFile)), "TWINS": tempFile(t, "twins.jsonl", peers.KeyLines(t, twin)),
		}})
	stored := s.makeKey(t, object{"id": "shared-id"})
	check := func(t *testing.T, k *peers.APIKey, revoked bool) {
		t.Helper()
		if !revoked {
			s.passes(t, s.withKey(t, k), k)
			return
		}
		s.upstream.Take()
		s.refused(t, s.withKey(t, k), http.StatusUnauthorized, "revoked")
	}
	t.Run("by the store", func(t *testing.T) {
		id := s.addRule(t, object{"kind": "key", "value": "shared-id", "store": "partners"})
		check(t, stored.peer(), true)
		check(t, inFile, false)
		s.removeRule(t, id)
		check(t, stored.peer(), false)
	})
	t.Run("in all stores", func(t *testing.T) {
		id := s.addRule(t, object{"kind": "key", "value": "shared-id"})
		check(t, stored.peer(), true)
		check(t, inFile, true)
		s.removeRule(t, id)
		check(t, inFile, false)
	})
	t.Run("by the id that the same secret has in another file", func(t *testing.T) {
		id := s.addRule(t, object{"kind": "key", "value": "twin-id"})
		check(t, inFile, true)
		s.removeRule(t, id)
		check(t, inFile, false)
	})
	t.Run("a new secret does not undo it", func(t *testing.T) {
		k := s.makeKey(t, nil)
		s.addRule(t, object{"kind": "key", "value": k.ID})
		next := s.rollKey(t, k.ID, "1h")
		check(t, k.peer(), true)
		check(t, next.peer(), true)
		for _, enabled := range []bool{false, true} {
			s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+k.ID, object{"enabled": enabled}, http.StatusOK, nil)
		}
		check(t, next.peer(), true)
		var shown storedKey
		if s.mustAsk(t, http.MethodGet, "/jwt/api-keys/"+k.ID, nil, http.StatusOK, &shown); shown.State != "revoked" {
			t.Errorf("it is shown as %s", shown.State)
		}
	})
	t.Run("until its end", func(t *testing.T) {
		k := s.makeKey(t, nil)
		end := time.Now().Add(2 * time.Second).UTC()
		s.addRule(t, object{"kind": "key", "value": k.ID, "end": end.Format(time.RFC3339Nano)})
		check(t, k.peer(), true)
		s.follows(t, "the rule has ended", k.peer(), http.StatusOK, "")
		if time.Now().Before(end) {
			t.Error("it ended before its time")
		}
	})
}
