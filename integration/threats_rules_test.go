package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A rule that an anonymous request could never meet is an error of a config with
// optional: it would be skipped by leaving the token out.
func TestThreat45_RulesAndOptionalDoNotLoad(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"scope":                   "require scope orders:read",
		"any_scope":               "require any_scope orders:read orders:write",
		"claim":                   "require claim sub user-1",
		"an expression and scope": "require expression `true`\n\t\trequire scope orders:read",
	} {
		t.Run("optional and "+name, func(t *testing.T) {
			for _, order := range []string{"optional\n\t\t" + rule, rule + "\n\t\toptional"} {
				code, text := caddyCommand(t, "https://api.example.test {\n\tjwt https://auth.example.test https://api.example.test {\n\t\t"+order+"\n\t}\n}\n", nil, "adapt")
				if code == 0 || !strings.Contains(text, "without a credential") || !strings.Contains(text, "Caddyfile:") {
					t.Errorf("exit code %d: %s", code, text)
				}
			}
		})
	}
	t.Run("nor from JSON", func(t *testing.T) {
		config := tempFile(t, "config.json", `{"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"jwt",
			"issuer":[{"iss":"https://auth.example.test"}],"audience":["x"],"optional":true,"require":[{"scope":["a"]}]}]}]}}}}}`)
		if code, text := caddyCommandIn(t, t.TempDir(), nil, "validate", "--config", config); code == 0 || !strings.Contains(text, "without a credential") {
			t.Errorf("exit code %d: %s", code, text)
		}
	})
}

// optionalSite is a site whose jwt handler has optional and these lines.
func optionalSite(host, lines string) string {
	return "https://" + host + ` {
	jwt {
		import issuer
		optional
		allow_preflight
		forward user X-User
		` + lines + `
	}
	@admin jwt_claim role admin
	respond @admin admin
	@reader jwt_scope read
	respond @reader reader
	import upstream
	import reasons
}
`
}

// An anonymous request meets no expression about a token, and no matcher: it is
// answered with 401.
func TestThreat45_LeavingTheTokenOutSkipsNoRule(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, optionalSite("claim.example.test", "require expression `claims.role == \"user\"`")+
		optionalSite("not.example.test", "require expression `claims.role != \"banned\"`")+
		optionalSite("scope.example.test", "require expression `auth_method == \"anonymous\" || \"orders:read\" in scopes`")+
		optionalSite("path.example.test", "require expression `{http.request.uri.path} == \"/public\" || claims.role == \"user\"`")+
		optionalSite("two.example.test", "require expression `true`\n\t\trequire expression `claims.role == \"user\"`")+
		optionalSite("free.example.test", ""), options{}, k.RS256)
	token := func(claims map[string]any) change { return bearer(k.RS256.Token(t, s.claims(claims), nil)) }
	for _, c := range []struct {
		host, path, anonymous string // the reason, empty for 200
		good, poor            map[string]any
		reason                string // of the poor one
	}{
		{"claim.example.test", "/", "missing_credentials", map[string]any{"role": "user", "scope": nil}, map[string]any{"role": "x"}, "forbidden"},
		{"not.example.test", "/", "missing_credentials", map[string]any{"role": "user", "scope": nil}, map[string]any{"role": "banned"}, "forbidden"},
		{"scope.example.test", "/", "", map[string]any{"scope": "orders:read"}, map[string]any{"scope": "x"}, "forbidden"},
		{"path.example.test", "/x", "missing_credentials", map[string]any{"role": "user", "scope": nil}, map[string]any{"role": "x"}, "forbidden"},
		{"path.example.test", "/public", "", map[string]any{"role": "x", "scope": nil}, nil, ""},
		{"two.example.test", "/", "missing_credentials", map[string]any{"role": "user", "scope": nil}, map[string]any{"role": nil}, "forbidden"},
	} {
		t.Run(c.host+c.path, func(t *testing.T) {
			send := func(changes ...change) answer {
				s.upstream.Take()
				return s.send(t, s.http, http.MethodGet, c.host, c.path, changes...)
			}
			a := send(exactHeader("X-User", forged))
			if c.anonymous != "" {
				s.refused(t, a, http.StatusUnauthorized, c.anonymous)
			} else if seen := a.upstream(t); seen.Header.Get("X-User") != "" {
				t.Errorf("anonymous was sent as %q", seen.Header.Get("X-User"))
			}
			if a := send(token(c.good)); a.status != http.StatusOK || a.upstream(t).Header.Get("X-User") != "user-1" {
				t.Errorf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
			}
			if c.poor != nil {
				s.refused(t, send(token(c.poor)), http.StatusForbidden, c.reason)
			}
			s.refused(t, send(bearer(k.Stranger.Token(t, s.claims(c.good), nil))), http.StatusUnauthorized, "bad_signature")
			s.refused(t, send(header("Authorization", "Bearer")), http.StatusBadRequest, "malformed_request")
		})
	}
	for name, c := range map[string]struct {
		want    string // empty for the upstream
		changes []change
	}{
		"no matcher for an anonymous request": {"", nil},
		"no matcher for forged headers":       {"", []change{exactHeader("X-User", "admin"), header("Role", "admin")}},
		"the matcher of readers":              {"reader", []change{token(nil)}},
		"the matcher of admins":               {"admin", []change{token(map[string]any{"role": "admin"})}},
		"no matcher for another token":        {"", []change{token(map[string]any{"scope": "x"})}},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, "free.example.test", "/", c.changes...)
			if got := a.body; c.want == "" != strings.HasPrefix(got, "{") || c.want != "" && got != c.want {
				t.Errorf("%q; want %q", got, c.want)
			}
		})
	}
	checkNothingForged(t, s.upstream)
}

// What is refused by a rule goes into error routes without its credential, as what
// is refused for its credential.
func TestThreat48_ErrorRoutesOfRulesGetNoCredential(t *testing.T) {
	t.Parallel()
	k := keys(t)
	for _, c := range []struct{ rule, reason string }{
		{"require scope admin", "insufficient_scope"},
		{"require expression `claims.admin == true`", "forbidden"},
		{"forward sub X-Sub", "unforwardable_claim"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, strings.Replace(revealingErrorRoute, "import token_places", "import token_places\n\t\t"+c.rule, 1), options{shownByCaddy: true}, k.RS256)
			token := k.RS256.Token(t, s.claims(map[string]any{"sub": "a\tb"}), nil)
			for name, way := range tokenPlacements(token) {
				t.Run(name, func(t *testing.T) {
					a := s.send(t, s.client(http1), http.MethodGet, site, way.path, way.changes...)
					s.checkStripped(t, a, c.reason, way.rest)
				})
			}
			s.checkNotSent(t, s.upstream, token)
		})
	}
}

// The answers to bad keys are the same for all of them, whatever scopes they once
// had and whatever the site requires.
func TestThreat50_RulesTellKeysNotApart(t *testing.T) {
	t.Parallel()
	const old = "2001-01-01T00:00:00Z"
	rich, poor := []string{"read"}, []string{"x"}
	held := map[string]*peers.APIKey{
		"disabled": peers.NewAPIKey(t, "disabled", member{"enabled": false, "scopes": rich}), "disabled and poor": peers.NewAPIKey(t, "disabled-poor", member{"enabled": false, "scopes": poor}),
		"expired": peers.NewAPIKey(t, "expired", member{"expires": old, "scopes": rich}), "expired and poor": peers.NewAPIKey(t, "expired-poor", member{"expires": old, "scopes": poor}),
		"with a name that no header carries": peers.NewAPIKey(t, "odd", member{"enabled": false, "scopes": rich, "meta": member{"text": "a\nb"}}),
	}
	var inFile []*peers.APIKey
	for _, key := range held {
		inFile = append(inFile, key)
	}
	held["unknown"] = peers.NewAPIKey(t, "unknown", nil)
	var sites strings.Builder
	hosts := map[string]string{
		"scope.example.test": "require scope read", "claim.example.test": "require claim meta.plan gold", "optional.example.test": "optional",
		"expression.example.test": "optional\n\t\trequire expression `\"read\" in scopes`", "forward.example.test": "forward meta.text X-Text\n\t\trequire scope read",
		"aws.example.test": "error_format aws\n\t\trequire scope read",
	}
	for host, options := range hosts {
		fmt.Fprintf(&sites, "https://%s {\n\tjwt {\n\t\tapi_keys {$KEYS}\n\t\t%s\n\t}\n\timport keyholder\n}\n", host, options)
	}
	s, _ := newAPIKeyFixture(t, sites.String(), options{}, inFile...)
	for host := range hosts {
		t.Run(host, func(t *testing.T) {
			first := ""
			for name, key := range held {
				a := s.withKeyAt(t, host, key)
				if a.status != http.StatusUnauthorized && host != "aws.example.test" || a.status != http.StatusForbidden && host == "aws.example.test" {
					t.Errorf("%s: status %d", name, a.status)
				}
				a.header.Del("Date")
				got := fmt.Sprint(a.status, a.header, a.body)
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("%s is told apart: %s\nand another: %s", name, got, first)
				}
			}
		})
	}
}
