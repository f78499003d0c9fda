package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// revocationSite accepts tokens of two issuers, of which the first has a prefix for its
// users, and keys of a store.
const revocationSite = `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			user_prefix corp/
		}
		issuer {$OTHER} {
			ca {$OTHER_CA}
		}
		audience https://api.example.test
		api_keys partners
	}
	import keyholder
	import reasons
}
`

// newRevocationFixture starts a fixture of a site, and the other issuer.
func newRevocationFixture(t *testing.T, sites string, opts options) (s *fixture, other *peers.KeyServer) {
	t.Helper()
	k := keys(t)
	other = peers.NewKeyServer(t, peers.NewCA(t), k.published()...)
	env := map[string]string{"OTHER": other.URL, "OTHER_CA": other.CA.File}
	for name, value := range opts.env {
		env[name] = value
	}
	opts.env = env
	return newSharedFixture(t, sites, opts, k.published()...), other
}

// cached requires that a token is accepted, and comes from the cache the second time.
func (s *fixture) cached(t *testing.T, token string) {
	t.Helper()
	s.accepts(t, site, token)
	s.checkCacheHit(t, func() { s.accepts(t, site, token) })
}

// revokedKind is what a rule of one kind is about.
type revokedKind struct {
	name    string
	args    []string       // of the command
	rule    object         // the same for the admin endpoint
	claims  map[string]any // of the token that it refuses
	passes  []map[string]any
	foreign bool // whether the same token of the other issuer passes
}

// A token that is in the cache is refused with the next request, for each kind of rule and
// each way in which a rule names it; others pass; and it is accepted again once the last
// rule for it is gone.
func TestThreat18_CachedTokensEndWhenRevoked(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, other := newRevocationFixture(t, revocationSite, options{})
	now := time.Now()
	before, after := now.Add(-10*time.Second).Unix(), now.Add(3*time.Second).Unix()
	notBefore := now.Add(time.Second).UTC().Truncate(time.Second).Format(time.RFC3339)
	iss := s.issuer.URL
	cases := []revokedKind{
		{
			name: "jti", args: []string{"--jti", "t-1", "--issuer", iss}, rule: object{"kind": "jti", "value": "t-1", "issuer": iss},
			claims: map[string]any{"jti": "t-1"}, passes: []map[string]any{{"jti": "t-2"}, {"jti": "T-1"}, {}}, foreign: true,
		},
		{
			name: "a number as jti", args: []string{"--jti", "123", "--issuer", iss}, rule: object{"kind": "jti", "value": "123", "issuer": iss},
			claims: map[string]any{"jti": 123}, passes: []map[string]any{{"jti": "124"}}, foreign: true,
		},
		{
			name: "sub by the claim", args: []string{"--sub", "alice", "--issuer", iss}, rule: object{"kind": "sub", "value": "alice", "issuer": iss},
			claims: map[string]any{"sub": "alice"}, passes: []map[string]any{{"sub": "alic"}, {"sub": "corp/alice"}}, foreign: true,
		},
		{
			name: "sub as it is published", args: []string{"--sub", "corp/bob", "--issuer", iss}, rule: object{"kind": "sub", "value": "corp/bob", "issuer": iss},
			claims: map[string]any{"sub": "bob"}, passes: []map[string]any{{"sub": "bobby"}}, foreign: true,
		},
		{
			name: "sub with a time", args: []string{"--sub", "carol", "--issuer", iss, "--not-before", notBefore},
			rule: object{"kind": "sub", "value": "carol", "issuer": iss, "not_before": notBefore}, claims: map[string]any{"sub": "carol", "iat": before},
			passes: []map[string]any{{"sub": "carol", "iat": after}}, foreign: true,
		},
		{
			name: "sub of any issuer", args: []string{"--sub", "dave", "--any-issuer"}, rule: object{"kind": "sub", "value": "dave", "any_issuer": true},
			claims: map[string]any{"sub": "dave"}, passes: []map[string]any{{"sub": "eve"}},
		},
		{
			name: "issuer", args: []string{"--issuer", iss, "--not-before", notBefore},
			rule: object{"kind": "issuer", "value": iss, "not_before": notBefore}, claims: map[string]any{"sub": "frank", "iat": before},
			passes: []map[string]any{{"sub": "frank", "iat": after}}, foreign: true,
		},
	}
	for _, claim := range []string{"client_id", "azp", "appid", "cid"} {
		client := "client-by-" + claim
		cases = append(cases, revokedKind{
			name: claim, args: []string{"--client", client, "--issuer", iss}, rule: object{"kind": "client", "value": client, "issuer": iss},
			claims: map[string]any{claim: client}, passes: []map[string]any{{claim: client + "x"}, {"sub": client}}, foreign: true,
		})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			token := k.ES256.Token(t, s.claims(c.claims), nil)
			s.cached(t, token)
			first := s.mustCommand(t, append([]string{"revoke", "--reason", "test"}, c.args...)...)
			s.checkCacheHit(t, func() { s.refuses(t, site, token, "revoked") })
			s.refuses(t, site, k.RS256.Token(t, s.claims(c.claims), nil), "revoked") // one that was never seen
			for _, claims := range c.passes {
				s.accepts(t, site, k.ES256.Token(t, s.claims(claims), nil))
			}
			foreign := k.ES256.Token(t, peers.Claims(other.URL, audience, c.claims), nil)
			if c.foreign {
				s.accepts(t, site, foreign)
			} else {
				s.refuses(t, site, foreign, "revoked")
			}
			// The two rules are for the same thing, and don't undo each other.
			second := s.addRule(t, c.rule)
			if first == second {
				t.Errorf("two rules have the id %s", first)
			}
			s.jwtDelete(t, first)
			s.refuses(t, site, token, "revoked")
			s.removeRule(t, second)
			s.cached(t, token)
		})
	}
	t.Run("kid", func(t *testing.T) {
		token := k.ES384.Token(t, s.claims(nil), nil)
		s.cached(t, token)
		id := s.mustCommand(t, "revoke", "--kid", k.ES384.KID, "--issuer", iss)
		s.checkCacheHit(t, func() { s.refuses(t, site, token, "revoked") })
		s.accepts(t, site, k.ES512.Token(t, s.claims(nil), nil))
		s.accepts(t, site, k.ES384.Token(t, peers.Claims(other.URL, audience, nil), nil)) // its key has the same id
		s.jwtDelete(t, id)
		s.accepts(t, site, token)
	})
	t.Run("token", func(t *testing.T) {
		token, twin := k.ES256.Token(t, s.claims(map[string]any{"n": 1}), nil), k.ES256.Token(t, s.claims(map[string]any{"n": 2}), nil)
		s.cached(t, token)
		s.accepts(t, site, twin)
		id := s.mustCommand(t, "revoke", "--token", "@"+tempFile(t, "token", token+"\n"))
		s.checkCacheHit(t, func() { s.refuses(t, site, token, "revoked") })
		s.accepts(t, site, twin)
		s.jwtDelete(t, id)
		s.accepts(t, site, token)
	})
	t.Run("the token in a file, by its jti or by itself", func(t *testing.T) {
		for kind, claims := range map[string]map[string]any{"jti-": {"jti": "in-a-file"}, "token-": {"n": 3}} {
			token := k.ES256.Token(t, s.claims(claims), nil)
			s.cached(t, token)
			file := tempFile(t, "token", "Bearer "+token+"\n")
			if c := s.jwtCommand(t, "revoke", "@"+file); c.code != 1 || c.stdout != "" || !strings.Contains(c.stderr, "--yes") {
				t.Errorf("without --yes: %s", c)
			}
			s.accepts(t, site, token)
			if id := s.mustCommand(t, "revoke", "@"+file, "--yes"); !strings.HasPrefix(id, kind) {
				t.Errorf("the rule is %s; want %s…", id, kind)
			}
			s.refuses(t, site, token, "revoked")
		}
	})
	t.Run("key", func(t *testing.T) {
		revoked, other := s.makeKey(t, nil), s.makeKey(t, nil)
		s.passes(t, s.withKey(t, revoked.peer()), revoked.peer())
		id := s.mustCommand(t, "revoke", "--key", revoked.ID, "--store", "partners")
		s.upstream.Take()
		s.refused(t, s.withKey(t, revoked.peer()), http.StatusUnauthorized, "revoked")
		s.passes(t, s.withKey(t, other.peer()), other.peer())
		s.jwtDelete(t, id)
		s.passes(t, s.withKey(t, revoked.peer()), revoked.peer())
	})
	t.Run("a user that is a key's consumer", func(t *testing.T) {
		key := s.makeKey(t, object{"consumer": "grace"})
		c := s.jwtCommand(t, "revoke", "--sub", "grace", "--any-issuer")
		if c.code != 0 || !strings.Contains(c.stderr, key.ID) {
			t.Errorf("it does not name the key that still works: %s", c)
		}
		s.passes(t, s.withKey(t, key.peer()), key.peer())
	})
}

// jwtDelete takes a rule back by the command.
func (s *fixture) jwtDelete(t *testing.T, id string) {
	t.Helper()
	if line := s.mustCommand(t, "revocations", "delete", id, "--reason", "test"); line != id+": deleted" {
		t.Errorf("it says %q", line)
	}
}
