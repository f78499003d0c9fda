package integration

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// compared is a row of a page's table of requests: what our column says.
type compared struct {
	request string
	status  int
	has     map[string]string // headers that the upstream gets
	hasNot  []string          // those that it does not get
	body    string            // of a refusal; any if empty
}

var (
	comparison = regexp.MustCompile(`(?m)^\| request \| [^|]+ \| here \|\n\|[- |]+\n((?:\|.*\n)+)`)
	cellStatus = regexp.MustCompile(`^\d{3}`)
	cellAbsent = regexp.MustCompile("no `([^`]+)`")
	cellHeader = regexp.MustCompile("`([A-Za-z-]+): ([^`]+)`")
	cellBody   = regexp.MustCompile("`({[^`]+})`")
)

// comparisonOf reads the table of requests of a guide. A cell that says nothing which is
// understood here fails the test.
func comparisonOf(t *testing.T, guide string) []compared {
	t.Helper()
	tables := comparison.FindAllStringSubmatch(readFile(t, filepath.Join("..", "docs", "guides", guide)), -1)
	if len(tables) != 1 {
		t.Fatalf("%s has %d tables of requests", guide, len(tables))
	}
	var rows []compared
	for line := range strings.Lines(tables[0][1]) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 3 {
			t.Fatalf("%s: this row has %d cells: %s", guide, len(cells), line)
		}
		cell := strings.TrimSpace(cells[2])
		row := compared{request: strings.TrimSpace(cells[0]), has: map[string]string{}}
		status := cellStatus.FindString(cell)
		row.status, _ = strconv.Atoi(status)
		rest := strings.TrimPrefix(cell, status)
		for _, m := range cellAbsent.FindAllStringSubmatch(rest, -1) {
			row.hasNot = append(row.hasNot, m[1])
		}
		for _, m := range cellHeader.FindAllStringSubmatch(rest, -1) {
			row.has[m[1]] = m[2]
		}
		if m := cellBody.FindStringSubmatch(rest); m != nil {
			row.body = m[1]
		}
		for _, part := range []*regexp.Regexp{cellAbsent, cellHeader, cellBody} {
			rest = part.ReplaceAllString(rest, "")
		}
		if status == "" || strings.Trim(rest, ", ") != "" {
			t.Fatalf("%s: what does %q mean?", guide, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

// Each page for people who come from another product has a table of requests. Our column
// of it is what the page's own Caddyfile answers; a row without a request here fails, and
// so does a request of a page's own that its table has no longer.
func TestGuides_MigratingTables(t *testing.T) {
	t.Parallel()
	k := keys(t)
	m := &migrations{t: t, key: peers.NewAPIKey(t, "partner-b", nil), stranger: k.Stranger}
	file := tempFile(t, "keys.jsonl", peers.KeyLines(t, m.key))
	public, set := k.RS256.PublicFile(t), tempFile(t, "jwks.json", peers.JWKS(t, k.RS256))
	const jwks = "jwks_url https://auth.example.com/jwks.json"
	here := []string{jwks, "jwks_url {$ISSUER}/jwks.json"}
	var sites strings.Builder
	pages := []migration{
		{"from-ggicci.md", "ggicci.example.test", guideSiteWith(t, "from-ggicci.md", "X-Api-Token", "api.example.com", "ggicci.example.test", append(here, printedIssuer...)...), (*migrations).ggicci},
		{"from-envoy.md", "envoy.example.test", guideSiteWith(t, "from-envoy.md", "max_lifetime", "api.example.com", "envoy.example.test", append(here, printedIssuer...)...), (*migrations).envoy},
		{"from-kong.md", "kong.example.test", guideSiteWith(t, "from-kong.md", "partner-a", "api.example.com", "kong.example.test", "/etc/caddy/partner-a.pem", public, "/etc/caddy/keys/keys.jsonl", file), (*migrations).kong},
		{"from-traefik-hub.md", "traefik.example.test", guideSiteWith(t, "from-traefik-hub.md", "grp", "api.example.com", "traefik.example.test", append(here, printedIssuer...)...), (*migrations).traefik},
		{"from-nginx-plus.md", "nginx.example.test", guideSiteWith(t, "from-nginx-plus.md", "realm", "api.example.com", "nginx.example.test", append(printedIssuer, "/etc/caddy/jwks.json", set)...), (*migrations).nginx},
		{"from-caddy-security.md", "security.example.test", guideSiteWith(t, "from-caddy-security.md", "X-Team", "api.example.com", "security.example.test", append(printedIssuer, "/etc/caddy/signer.pem", public)...), (*migrations).caddySecurity},
		{"from-aws-api-gateway.md", "aws.example.test", guideSiteWith(t, "from-aws-api-gateway.md", "@catalog", "api.example.com", "aws.example.test", append(printedIssuer, "/etc/caddy/keys/keys.jsonl", file)...), (*migrations).aws},
	}
	for i := range pages {
		sites.WriteString(changed(t, pages[i].site, printedUpstream...))
	}
	m.s = newFixture(t, sites.String(), options{trusted: true, shownByCaddy: true}, k.RS256, k.ES256)
	client := m.s.client(http1)
	for _, page := range pages {
		t.Run(page.guide, func(t *testing.T) {
			rows, requests := comparisonOf(t, page.guide), page.requests(m)
			named := map[string]bool{}
			for _, row := range rows {
				named[row.request] = true
				r, known := requests[row.request]
				if !known {
					t.Errorf("there is no request for the row %q", row.request)
					continue
				}
				m.check(t, client, page.host, row, r)
			}
			common := m.refusedEverywhere("/", map[string]any{})
			for name := range requests {
				if _, all := common[name]; !all && !named[name] {
					t.Errorf("the table has no row %q", name)
				}
			}
		})
	}
}

// The site of docs/guides/from-caddy-security.md beside its portal, with a token like
// those that the portal of version 1.1.64 was seen to make.
func TestGuides_CaddySecurityPortal(t *testing.T) {
	t.Parallel()
	k := keys(t)
	const host = "portal.example.test"
	s := newFixture(t, guideSiteWith(t, "from-caddy-security.md", "AUTHP", "app.example.com", host, append(printedUpstream, "/etc/caddy/portal.pem", k.RS256.PublicFile(t))...), options{})
	token := func(roles []string, alg string) change {
		return cookie("AUTHP_ACCESS_TOKEN", k.RS256.Named("").SignAs(alg).Token(t, peers.Claims("https://app.example.com/auth/login", "", map[string]any{
			"aud": nil, "scope": nil, "sub": "webadmin", "origin": "local", "realm": "local", "roles": roles,
		}), nil))
	}
	members := []string{"authp/admin", "authp/user"}
	a := s.send(t, s.http, http.MethodGet, host, "/", token(members, "RS512"))
	checkStatus(t, a, http.StatusOK)
	if seen := a.upstream(t); seen.Header.Get("X-User") != "webadmin" || seen.Header.Get("Cookie") != "" {
		t.Errorf("the upstream got %v", seen.Header)
	}
	checkStatus(t, s.send(t, s.http, http.MethodGet, host, "/", token([]string{"authp/guest"}, "RS512")), http.StatusForbidden)
	checkStatus(t, s.send(t, s.http, http.MethodGet, host, "/", token(members, "RS256")), http.StatusUnauthorized)
	checkStatus(t, s.send(t, s.http, http.MethodGet, host, "/"), http.StatusUnauthorized)
}

func (m *migrations) check(t *testing.T, client *http.Client, host string, row compared, r request) {
	t.Helper()
	m.s.upstream.Take()
	a := m.s.send(t, client, r.method, host, r.path, r.changes...)
	if a.status != row.status {
		t.Errorf("%s: status %d; the page says %d: %s", row.request, a.status, row.status, a.body)
	}
	if row.body != "" && a.body != row.body {
		t.Errorf("%s: %s; the page says %s", row.request, a.body, row.body)
	}
	seen := m.s.upstream.Take()
	if (len(seen) == 1) != (row.status == http.StatusOK) {
		t.Fatalf("%s: %d requests reached the upstream", row.request, len(seen))
	}
	if len(seen) == 0 {
		return
	}
	for name, want := range row.has {
		if got := seen[0].Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: the upstream got %s %q; the page says %q", row.request, name, got, want)
		}
	}
	for _, name := range row.hasNot {
		if got := seen[0].Header.Values(name); len(got) != 0 {
			t.Errorf("%s: the upstream got %s %q", row.request, name, got)
		}
	}
	if strings.Contains(seen[0].URI, "access_token") && strings.HasPrefix(row.request, "the same") {
		t.Errorf("%s: the upstream got the token: %s", row.request, seen[0].URI)
	}
}
