package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What an operator is asked is answered by the logs alone, in the way that
// docs/guides/support.md shows.
func TestSupport(t *testing.T) {
	t.Parallel()
	k := keys(t)
	guarded := func(host, options string) string {
		return "https://" + host + " {\n\tlog\n\tjwt {\n\t\tissuer {$ISSUER} {\n\t\t\tca {$CA}\n\t\t}\n\t\taudience https://api.example.test\n\t\t" + options + "\n\t}\n\trespond ok\n}\n"
	}
	s := newFixture(t, guarded("admin.example.test", "require claim role admin")+guarded("orders.example.test", "require expression `claims.level > 2`")+
		guarded("report.example.test", "mode report"), options{}, k.RS256)
	token := func(changes map[string]any) change { return bearer(k.RS256.Token(t, s.claims(changes), nil)) }
	mark := s.logs.length()
	for host, changes := range map[string][]map[string]any{
		"admin.example.test":  {{"sub": "alice", "role": "guest"}, {"sub": "bob", "role": "admin"}},
		"orders.example.test": {{"sub": "alice", "level": 2}, {"sub": "bob", "level": 3}},
		"report.example.test": {{"sub": "old-client", "aud": "https://old.example.test"}, {"sub": "new-client"}},
	} {
		for _, c := range changes {
			s.send(t, s.http, http.MethodGet, host, "/path?a=b", token(c))
		}
	}
	s.send(t, s.http, http.MethodGet, "admin.example.test", "/secret?access_token=x")
	s.logs.mark()
	lines := s.logs.since(mark)
	grep := func(patterns ...string) (found []string) {
		for _, e := range lines {
			all := true
			for _, p := range patterns {
				all = all && regexp.MustCompile(p).MatchString(e.line)
			}
			if all {
				found = append(found, e.line)
			}
		}
		return found
	}
	t.Run("alice says she gets 403", func(t *testing.T) {
		found := grep(`"logger":"http\.log\.access`, `"status":403`, `"jwt_user":"alice"`)
		if len(found) != 2 {
			t.Fatalf("%d lines: %s", len(found), found)
		}
		for _, line := range found {
			if !strings.Contains(line, `"jwt_issuer":"`+s.issuer.URL+`"`) || !strings.Contains(line, "admin.example.test") && !strings.Contains(line, "orders.example.test") ||
				!strings.Contains(line, `"jwt_requirement":"require claim role"`) && !strings.Contains(line, `"jwt_requirement":"require expression claims.level > 2"`) {
				t.Error(line)
			}
		}
	})
	t.Run("which client would break", func(t *testing.T) {
		for _, found := range [][]string{grep(`"logger":"http\.log\.access`, `"jwt_reason":`, "report.example.test"), grep(`"msg":"request would be refused"`)} {
			if len(found) != 1 || !strings.Contains(found[0], "old-client") || !strings.Contains(found[0], "wrong_audience") || !strings.Contains(found[0], s.issuer.URL) || strings.Contains(found[0], "https://old.example.test") {
				t.Errorf("%s", found)
			}
		}
	})
	t.Run("a refusal's line says which request", func(t *testing.T) {
		found := grep(`"msg":"request refused"`, `missing_credentials`)
		if len(found) != 1 {
			t.Fatalf("%s", found)
		}
		for _, part := range []string{`"client_ip":"127.0.0.1"`, `"method":"GET"`, `"host":"admin.example.test`, `"uri":"/secret?access_token=x"`, `"site":"admin.example.test"`, `"status":401`} {
			if !strings.Contains(found[0], part) {
				t.Errorf("no %s in %s", part, found[0])
			}
		}
	})
	t.Run("who tries keys", func(t *testing.T) {
		page, err := os.ReadFile(filepath.Join("..", "docs", "guides", "support.md"))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^failregex = (.*)$`).FindStringSubmatch(string(page))
		if m == nil {
			t.Fatal("the guide has no failregex")
		}
		// fail2ban puts a pattern for addresses in the place of <HOST>.
		filter := regexp.MustCompile(strings.ReplaceAll(m[1], "<HOST>", `(?P<host>[0-9a-fA-F.:]+)`))
		hits := 0
		for _, e := range lines {
			found := filter.FindStringSubmatch(e.line)
			if found == nil {
				continue
			}
			if hits++; found[1] != "127.0.0.1" || !strings.Contains(e.line, `"msg":"request refused"`) || strings.Contains(e.line, `"status":403`) {
				t.Errorf("%s in %s", found[1:], e.line)
			}
		}
		if hits != 1 {
			t.Errorf("%d lines match; want that of the request without a token", hits)
		}
	})
}
