package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A rule that an anonymous request could never meet is no rule that it skips: it is
// an error of the config, or 401.
func TestThreat45_LeavingTheTokenOutSkipsNoRule(t *testing.T) {
	t.Parallel()
	k := keys(t)
	for name, rule := range map[string]string{
		"scope":                   "require scope orders:read",
		"any_scope":               "require any_scope orders:read orders:write",
		"claim":                   "require claim sub user-1",
		"an expression and scope": "require expression `true`\n\t\trequire scope orders:read",
	} {
		t.Run("optional and "+name+" do not load", func(t *testing.T) {
			for _, order := range []string{"optional\n\t\t" + rule, rule + "\n\t\toptional"} {
				code, text := caddyCommand(t, "https://api.example.test {\n\tjwt https://auth.example.test https://api.example.test {\n\t\t"+order+"\n\t}\n}\n", nil, "adapt")
				if code == 0 || !strings.Contains(text, "without a credential") || !strings.Contains(text, "Caddyfile:") {
					t.Errorf("exit code %d: %s", code, text)
				}
			}
		})
	}
	t.Run("nor from JSON", func(t *testing.T) {
		const config = `{"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"jwt",
			"issuer":[{"iss":"https://auth.example.test"}],"audience":["x"],"optional":true,"require":[{"scope":["a"]}]}]}]}}}}}`
		dir := replaced(t, "config.json")
		dir.write(t, config)
		if code, text := caddyCommandIn(t, t.TempDir(), nil, "validate", "--config", dir.path); code == 0 || !strings.Contains(text, "without a credential") {
			t.Errorf("exit code %d: %s", code, text)
		}
	})

	site := func(host, options string) string {
		return "https://" + host + " {\n\tjwt {\n\t\tissuer {$ISSUER} {\n\t\t\tca {$CA}\n\t\t\taudience https://api.example.test\n\t\t}\n\t\toptional\n\t\tallow_preflight\n\t\tforward user X-User\n\t\t" + options +
			"\n\t}\n\t@admin jwt_claim role admin\n\trespond @admin admin\n\t@reader jwt_scope read\n\trespond @reader reader\n\timport upstream\n\timport reasons\n}\n"
	}
	s := newStand(t, site("claim.example.test", "require expression `claims.role == \"user\"`")+
		site("not.example.test", "require expression `claims.role != \"banned\"`")+
		site("scope.example.test", "require expression `auth_method == \"anonymous\" || \"orders:read\" in scopes`")+
		site("path.example.test", "require expression `{http.request.uri.path} == \"/public\" || claims.role == \"user\"`")+
		site("two.example.test", "require expression `true`\n\t\trequire expression `claims.role == \"user\"`")+
		site("free.example.test", ""), options{}, k.RS256)
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
			s.upstream.Take()
			a := s.send(t, s.http, http.MethodGet, c.host, c.path, as("X-User", forged))
			if c.anonymous != "" {
				s.refused(t, a, http.StatusUnauthorized, c.anonymous)
			} else if seen := a.upstream(t); seen.Header.Get("X-User") != "" {
				t.Errorf("anonymous was told to be %q", seen.Header.Get("X-User"))
			}
			s.upstream.Take()
			if a := s.send(t, s.http, http.MethodGet, c.host, c.path, token(c.good)); a.status != http.StatusOK || a.upstream(t).Header.Get("X-User") != "user-1" {
				t.Errorf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
			}
			s.upstream.Take()
			if c.poor != nil {
				s.refused(t, s.send(t, s.http, http.MethodGet, c.host, c.path, token(c.poor)), http.StatusForbidden, c.reason)
			}
			s.refused(t, s.send(t, s.http, http.MethodGet, c.host, c.path, bearer(k.Stranger.Token(t, s.claims(c.good), nil))), http.StatusUnauthorized, "bad_signature")
			s.refused(t, s.send(t, s.http, http.MethodGet, c.host, c.path, header("Authorization", "Bearer")), http.StatusBadRequest, "malformed_request")
		})
	}
	t.Run("matchers never match nobody", func(t *testing.T) {
		for name, c := range map[string]struct {
			want    string
			changes []change
		}{
			"nobody":         {"", nil},
			"forged headers": {"", []change{as("X-User", "admin"), header("Role", "admin")}},
			"a reader":       {"reader", []change{token(nil)}},
			"an admin":       {"admin", []change{token(map[string]any{"role": "admin"})}},
			"neither":        {"", []change{token(map[string]any{"scope": "x"})}},
		} {
			a := s.send(t, s.http, http.MethodGet, "free.example.test", "/", c.changes...)
			if got := a.body; c.want == "" != strings.HasPrefix(got, "{") || c.want != "" && got != c.want {
				t.Errorf("%s: %q; want %q", name, got, c.want)
			}
		}
	})
	nothingForged(t, s.upstream)
}

// nestedSites have a jwt within a jwt: %s are the inner one's options.
const nestedSites = `
(outer) {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			audience https://api.example.test
		}
		require scope read
		claim role
		forward user X-User
		forward role X-Role
	}
}
(told) {
	reverse_proxy {$UPSTREAM} {
		header_up X-Id {http.auth.user.id}
		header_up X-Named {http.auth.user.role}
		header_up X-Issuer {http.jwt.issuer}
		header_up X-Reason {http.jwt.reason}
	}
}
(inner) {
	handle /{args[0]} {
		jwt {
			{block}
		}
		import told
	}
}
https://api.example.test {
	import outer
	import inner optional {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
		token_from header X-Other
		optional
		forward user X-User
		forward role X-Role
	}
	import inner report {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
		mode report
		forward user X-User
	}
	import inner preflight {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
		allow_preflight
		clear X-Role
	}
	import inner clear {
		clear X-User X-Role X-Other
	}
	import inner issuer {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
	}
	import inner scope {
		issuer {$ISSUER} {
			ca {$CA}
			audience https://api.example.test
		}
		require scope admin
	}
	import inner key {
		api_keys {$KEYS}
		forward user X-User
	}
	handle_errors {
		header X-Reason {http.jwt.reason}
		import told
	}
}
https://lax.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			audience https://api.example.test
		}
		mode report
		forward user X-User
		clear X-Role
	}
	import inner strict {
		issuer {$ISSUER} {
			ca {$CA}
			audience https://api.example.test
		}
		require scope read
	}
	import reasons
}
`

// A jwt within a jwt: both hold. (An error route's own answer is the upstream's, so
// that refusals are told by their reason.) One that ends with nobody leaves the identity of
// the outer one, and its headers, as they are.
func TestThreat46_BothHandlersHold(t *testing.T) {
	t.Parallel()
	k := keys(t)
	other := peers.NewKeyServer(t, peers.NewCA(t), k.ES256)
	held := peers.NewAPIKey(t, "partner", map[string]any{"scopes": []string{"read"}})
	s, _ := newKeyStand(t, nestedSites, options{env: map[string]string{"OTHER": other.URL, "OTHER_CA": other.CA.File}}, held)
	mine := bearer(k.RS256.Token(t, s.claims(map[string]any{"role": "user"}), nil))
	poor := bearer(k.RS256.Token(t, s.claims(map[string]any{"role": "user", "scope": "x"}), nil))
	theirs := k.ES256.Token(t, peers.Claims(other.URL, audience, map[string]any{"sub": "stranger", "role": "root"}), nil)
	forgeries := []change{as("X-User", forged), as("X-Role", forged)}
	outer := map[string]string{"X-Id": "user-1", "X-User": "user-1", "X-Role": "user", "X-Named": "user", "X-Issuer": s.issuer.URL}
	get := func(t *testing.T, host, path string, changes ...change) answer {
		t.Helper()
		s.upstream.Take()
		return s.send(t, s.http, http.MethodGet, host, path, append(changes, forgeries...)...)
	}
	for _, path := range []string{"/optional", "/report", "/clear"} {
		t.Run("the outer identity stays at "+path, func(t *testing.T) {
			a := get(t, site, path, mine)
			if a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
			sees(t, a.upstream(t).Header, outer)
		})
		t.Run("and the outer rules hold at "+path, func(t *testing.T) {
			for reason, changes := range map[string][]change{
				"missing_credentials": nil, "insufficient_scope": {poor}, "bad_signature": {bearer(k.Stranger.Token(t, s.claims(nil), nil))},
			} {
				a := get(t, site, path, changes...)
				if got := a.header.Get("X-Reason"); got != reason {
					t.Errorf("the reason is %q; want %s", got, reason)
				}
				sees(t, a.upstream(t).Header, map[string]string{"X-Id": "", "X-User": "", "X-Role": "", "X-Named": "", "X-Issuer": ""})
			}
		})
	}
	t.Run("a preflight with a token keeps the outer identity", func(t *testing.T) {
		s.upstream.Take()
		a := s.send(t, s.http, http.MethodOptions, site, "/preflight", mine, header("Origin", "https://app.example.test"), header("Access-Control-Request-Method", "GET"))
		if a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
		sees(t, a.upstream(t).Header, outer)
	})
	t.Run("report mode says why", func(t *testing.T) {
		sees(t, get(t, site, "/report", mine).upstream(t).Header, map[string]string{"X-Reason": "unknown_issuer", "X-User": "user-1"})
	})
	t.Run("an inner one that authenticates is the identity", func(t *testing.T) {
		sees(t, get(t, site, "/optional", mine, header("X-Other", theirs)).upstream(t).Header,
			map[string]string{"X-Id": "stranger", "X-User": "stranger", "X-Role": "root", "X-Named": "", "X-Issuer": other.URL})
		sees(t, get(t, site, "/key", mine, apiKey(held.Text)).upstream(t).Header, map[string]string{"X-Id": "partner", "X-User": "partner", "X-Named": ""})
	})
	t.Run("an inner one that refuses leaves nobody", func(t *testing.T) {
		for path, reason := range map[string]string{"/issuer": "unknown_issuer", "/scope": "insufficient_scope", "/key": "missing_credentials", "/preflight": "unknown_issuer"} {
			a := get(t, site, path, mine)
			if got := a.header.Get("X-Reason"); got != reason {
				t.Errorf("%s: the reason is %q; want %s", path, got, reason)
			}
			sees(t, a.upstream(t).Header, map[string]string{"X-Id": "", "X-User": "", "X-Role": "", "X-Named": "", "X-Issuer": ""})
		}
		a := get(t, site, "/optional", mine, header("X-Other", k.Stranger.Token(t, s.claims(nil), nil)))
		if got := a.header.Get("X-Reason"); got != "unknown_issuer" {
			t.Errorf("a bad token for the inner one: the reason is %q", got)
		}
	})
	t.Run("an outer one that only reports lends the inner one nothing", func(t *testing.T) {
		for reason, changes := range map[string][]change{"missing_credentials": nil, "insufficient_scope": {poor}, "malformed_token": {bearer("x")}} {
			a := get(t, "lax.example.test", "/strict", changes...)
			if a.status < 400 || a.header.Get("X-Reason") != reason || len(s.upstream.Take()) != 0 {
				t.Errorf("status %d, reason %q; want %s", a.status, a.header.Get("X-Reason"), reason)
			}
		}
		sees(t, get(t, "lax.example.test", "/strict", mine).upstream(t).Header, map[string]string{"X-Id": "user-1", "X-User": "user-1"})
	})
	nothingForged(t, s.upstream)
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
			s := newStand(t, strings.Replace(tellTale, "token_from cookie session", "token_from cookie session\n\t\t"+c.rule, 1), options{shownByCaddy: true}, k.RS256)
			token := k.RS256.Token(t, s.claims(map[string]any{"sub": "a\tb"}), nil)
			for name, way := range ways(token) {
				t.Run(name, func(t *testing.T) {
					a := s.send(t, s.client(http1), http.MethodGet, site, way.path, way.changes...)
					s.leftAs(t, a.upstream(t), c.reason, way.rest)
				})
			}
			s.neverSent(t, s.upstream, token)
		})
	}
}

// Of keys that are no good nobody learns why, whatever scopes they once had and
// whatever the site asks for.
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
	s, _ := newKeyStand(t, sites.String(), options{}, inFile...)
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
