package rule

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
)

func TestImpliedEverywhereAndHere(t *testing.T) {
	t.Parallel()
	everywhere := map[string][]string{"admin": {"write"}, "write": {"read"}}
	for name, c := range map[string]struct {
		here    map[string][]string
		granted string
		has     string // all of read, write, list, audit that it has
		err     string
	}{
		"nothing here":    {nil, "admin", "read write", ""},
		"more of a scope": {map[string][]string{"admin": {"audit"}}, "admin", "read write audit", ""},
		"the same":        {map[string][]string{"admin": {"write", "audit"}}, "admin", "read write audit", ""},
		"behind":          {map[string][]string{"read": {"list"}}, "write", "read write list", ""},
		"in front":        {map[string][]string{"owner": {"admin", "list"}}, "owner", "read write list", ""},
		"a ring":          {map[string][]string{"read": {"admin"}}, "", "", "scope_implies: the scopes imply each other in a ring: admin implies write implies read implies admin"},
		"twice here":      {map[string][]string{"read": {"list", "list"}}, "", "", "scope_implies: read implies list twice"},
		"no scope":        {map[string][]string{"read": {"a b"}}, "", "", "scope_implies: "},
		"a hundred":       {map[string][]string{"read": numbered(100)}, "read", "read", ""},
		"too many":        {map[string][]string{"read": numbered(101)}, "", "", "at most 100"},
	} {
		implied, err := Implied(everywhere, c.here)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %s", name, err, c.err)
			continue
		}
		for _, s := range []string{"read", "write", "list", "audit"} {
			if got, want := implied.Grants([]string{c.granted}, s), strings.Contains(c.has, s); err == nil && got != want {
				t.Errorf("%s: %s: %t", name, s, got)
			}
		}
	}
	if len(everywhere) != 2 || len(everywhere["admin"]) != 1 {
		t.Errorf("what is implied everywhere was changed: %v", everywhere)
	}
	if implied, err := Implied(nil, nil); implied != nil || err != nil {
		t.Errorf("nothing implies something: %v, %v", implied, err)
	}
}

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "s" + strings.Repeat("x", i)
	}
	return list
}

// BenchmarkScopeRules measures rules about scopes: without implications, with some that nothing
// depends on, and with scopes that are implied.
func BenchmarkScopeRules(b *testing.B) {
	implied, err := Implied(map[string][]string{"admin": {"write"}, "write": {"read", "list"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	rules, err := Check([]*Requirement{{Scope: []string{"openid", "read"}}, {AnyScope: []string{"audit", "list"}}})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, scope string
		implied     *claims.Implications
	}{{"without", "openid read list", nil}, {"granted", "openid read list", implied}, {"implied", "openid admin", implied}} {
		b.Run(c.name, func(b *testing.B) {
			id := identityOf(b, jwt.MapClaims{"scope": c.scope})
			id.Naming = &identity.Naming{Implied: c.implied}
			r := httptest.NewRequest("GET", "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, code := rules.Check(r, id); code != "" {
					b.Fatal(code)
				}
			}
		})
	}
}
