package caddyjwt

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"
)

func TestPathsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"$.realm_access.roles": "realm_access.roles", `realm_access["roles"]`: "realm_access.roles", "realm_access['roles'][0]": "realm_access.roles.0",
		"/realm_access/roles": "realm_access.roles", "roles.": "roles", ".roles": "roles", "$": "$", "[": "[", "roles[0": "roles[0", ".": ".",
		"claims.email": "email", "claims.realm_access.roles": "realm_access.roles", "claims": "claims", "claims.": "claims", "claimsx.a": "claimsx.a", "claims.$.a": "a",
		"http.auth.user.email": "email", "http.auth.user.": "http.auth.user", "http.jwt.claims.roles": "roles", "http.auth.user.id": "http.auth.user.id",
		"sub": "sub", "realm_access.roles": "realm_access.roles", "https://x.example/roles": "https://x.example/roles", "cognito:groups": "cognito:groups",
	} {
		if got := plainPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	for options, want := range map[string][]string{
		"require scope a b": nil, "require claim roles admin\nforward user X-User": nil,
		"require any_scope a,b":                                     {"any_scope orders:read orders:write"},
		"require claim $.a.roles admin":                             {"require claim a.roles"},
		"forward /a/b X-B":                                          {"forward a.b"},
		"claim a[0] first":                                          {"claim a.0"},
		"forward claims.email X-Email":                              {"forward email"},
		"require claim claims.roles a":                              {"require claim roles"},
		"api_key k " + hash + " {\nexpires 2020-01-01T00:00:00Z\n}": {"has expired and is refused"},
		"api_key k " + hash + " {\nexpires 2999-01-01T00:00:00Z\n}": nil,
	} {
		s := newSite(t, options)
		core, logs := logcapture.New(zapcore.DebugLevel)
		s.logger, s.site = zap.New(core), "api.example"
		warn(s.Handler, time.Now())
		lines := logs.AllUntimed()
		if len(lines) != len(want) {
			t.Errorf("%s: %d lines, want %d", options, len(lines), len(want))
			continue
		}
		for n, line := range lines {
			if line.Level != zapcore.WarnLevel || !strings.Contains(line.Message, want[n]) || !strings.HasPrefix(line.Message, "jwt at api.example: ") {
				t.Errorf("%s: %s %s\nwant in it: %s", options, line.Level, line.Message, want[n])
			}
		}
	}
}

// TestWarningsOfSeveralSites: what several sites have in common is one line that names
// them, each once, and none where the logs are filtered.
func TestWarningsOfSeveralSites(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	for option, want := range map[string]string{
		"":                         "jwt at a.example, b.example, c.example +1: tokens and API keys in the header X-Api-Key show",
		"log_credentials_filtered": "",
	} {
		s := makeSite(t, "api_key k "+hash+"\n"+option)
		s.app.warnings = siteWarnings{}
		for _, name := range []string{"a.example", "b.example", "a.example", "c.example", "d.example"} {
			s.site = name
			warn(s.Handler, time.Now())
		}
		core, logs := logcapture.New(zapcore.WarnLevel)
		s.app.warnings.log(zap.New(core))
		lines := logs.AllUntimed()
		if want == "" && len(lines) == 0 {
			continue
		}
		if len(lines) != 1 || want == "" || !strings.HasPrefix(lines[0].Message, want) {
			t.Errorf("%q: %v, want one line: %q", option, lines, want)
		}
	}
}

// TestWarningsOfTenants: with several tenants any application of theirs gets tokens, so there
// should be a rule.
func TestWarningsOfTenants(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.json")
	overwrite(t, file, string(signerSet(t, "a")))
	for options, want := range map[string]int{
		"tenants *": 1, "tenants 11111111-2222-3333-4444-555555555555": 0,
		"tenants 11111111-2222-3333-4444-555555555555 22222222-2222-3333-4444-555555555555": 1,
		"tenants *\n}\nrequire any_scope a\n#":                                              0,
	} {
		h := new(Handler)
		text := "jwt {\naudience https://api.example\nissuer https://login.example/{tid}/ {\njwks_file " + file + "\n" + options + "\n}\n}"
		text = strings.Replace(text, "#\n}", "", 1)
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			t.Fatal(err)
		}
		core, logs := logcapture.New(zapcore.WarnLevel)
		h.logger, h.app = zap.New(core), testApp(t)
		if err := h.provision(bareContext()); err != nil {
			t.Fatal(err)
		}
		if got := logs.FilterMessageSnippet("an issuer has several tenants, and nothing is required").Len(); got != want {
			t.Errorf("%s: %d warnings, want %d", options, got, want)
		}
	}
}

// TestWarningOfASharedPlace: an opaque token where API keys are read too is taken for one of
// them. No such text goes to the issuer, as it may be an API key.
func TestWarningOfASharedPlace(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	for options, want := range map[string]int{
		"": 0, "api_key_from header Authorization Bearer": 1, "api_key_from header X-Key\ntoken_from header X-Key\ntoken_from header Authorization Bearer": 1,
	} {
		h := new(Handler)
		text := "jwt {\nissuer http://127.0.0.1:1 {\nintrospection http://127.0.0.1:1/introspect\naudience https://api.example\n}\napi_key k " + hash + "\n" + options + "\n}"
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			t.Fatal(err)
		}
		core, logs := logcapture.New(zapcore.WarnLevel)
		h.logger, h.app = zap.New(core), testApp(t)
		if err := h.provision(bareContext()); err != nil {
			t.Fatal(err)
		}
		if got := logs.FilterMessageSnippet("no opaque token is accepted there").Len(); got != want {
			t.Errorf("%s: %d warnings, want %d", options, got, want)
		}
	}
}
