package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// routeMaker makes up sites: jwt in handle, route, handle_path and named routes, behind
// matchers of each kind, and behind what changes the request.
type routeMaker struct {
	r        *rand.Rand
	matchers strings.Builder
	n        int
}

// site is a site with a host.
func (m *routeMaker) site(host string) string {
	m.matchers.Reset()
	inner := m.block(2)
	if m.r.IntN(2) == 0 {
		inner = "route {\n" + inner + "}\n" // in the order of the text
	}
	return "http://" + host + " {\n" + m.matchers.String() + inner + "import in\nimport shown\n}\n"
}

func (m *routeMaker) block(depth int) string {
	var b strings.Builder
	for range 1 + m.r.IntN(4) {
		b.WriteString(m.directive(depth))
	}
	return b.String()
}

func (m *routeMaker) directive(depth int) string {
	if depth > 0 {
		switch m.r.IntN(8) {
		case 0:
			return "handle " + m.matcher() + "{\n" + m.block(depth-1) + "}\n"
		case 1:
			return "handle_path " + pick(m.r, "/a/*", "/b/*", "/a/b/*") + " {\n" + m.block(depth-1) + "}\n"
		case 2:
			return "route " + m.matcher() + "{\n" + m.block(depth-1) + "}\n"
		case 3:
			return "handle {\n" + m.block(depth-1) + "}\n"
		}
	}
	switch m.r.IntN(16) {
	case 0:
		return "rewrite " + m.matcher() + pick(m.r, "/a/x", "/b/y?a=b", "/c{uri}", "{path}?x=1") + "\n"
	case 1:
		return "uri " + m.matcher() + pick(m.r, "strip_prefix /a", "replace /b /a", "path_regexp ^/a/ /") + "\n"
	case 2:
		return "vars " + m.matcher() + "x " + pick(m.r, "y", "{path}", "{http.auth.user.id}") + "\n"
	case 3:
		m.n++
		return fmt.Sprintf("map {path} {m%d} {\n~^/a a\ndefault b\n}\n", m.n)
	case 4:
		return "method " + m.matcher() + pick(m.r, "POST", "GET") + "\n"
	case 5:
		return "respond " + m.matcher() + "\"user={http.auth.user.id}\nmethod={http.jwt.auth_method}\nreason={http.jwt.reason}\ndetail={http.jwt.detail}\nrequirement={http.jwt.requirement}\" 200\n"
	case 6:
		return "error " + m.matcher() + "404\n"
	case 7:
		return "header " + m.matcher() + "X-Answer yes\n"
	case 8:
		return "request_header " + m.matcher() + pick(m.r, "X-Tenant a", "-X-Tenant", "X-Tenant b") + "\n"
	case 9:
		return "invoke " + pick(m.r, "one", "two") + "\n"
	}
	return "jwt " + m.matcher() + "{\nimport from_issuer\n" + pick(m.r, "", "", "require scope admin\n", "require scope read\n", "optional\n", "mode report\n", "api_keys {$KEYS}\n",
		"require claim tenant acme\n", "require expression `{http.request.uri.path}.startsWith('/a') || 'admin' in scopes`\n", "require expression `{http.vars.x} != 'y'`\n",
		"allow_preflight\n", "token_from cookie session\n", "forward user X-User\n") + "}\n"
}

// matcher is one of each kind, or none, with a space behind it.
func (m *routeMaker) matcher() string {
	switch m.r.IntN(4) {
	case 0:
		return pick(m.r, "/a/* ", "/b* ", "/a/b ", "* ", "/A/* ")
	case 1, 2:
		m.n++
		fmt.Fprintf(&m.matchers, "@m%d %s\n", m.n, pick(m.r,
			"method GET HEAD", "header X-Tenant a", "query a=b", "not path /a/*", "path /a/* /b/*", "expression `{method} == 'GET'`", "jwt_claim tenant acme", "jwt_scope admin",
			"remote_ip 127.0.0.1", "client_ip 10.0.0.0/8", "vars x y", "header_regexp X-Tenant ^a", "path_regexp ^/a/(.*)$", "host *.example.test", "header Authorization *",
			"header !Authorization", "protocol http", "vars {m1} a", "not {\nmethod POST\npath /b*\n}", "header Authorization \"Bearer *\"", "expression `{http.auth.user.id} != ''`",
		))
		return fmt.Sprintf("@m%d ", m.n)
	}
	return ""
}

// routeHosts are the sites of a config, of which each is made up.
var routeHosts = []string{"a.example.test", "b.example.test", "c.example.test", "d.example.test", "e.example.test", "f.example.test"}

func (m *routeMaker) sites() string {
	var b strings.Builder
	b.WriteString(shown)
	for _, name := range []string{"one", "two"} {
		m.matchers.Reset()
		inner := strings.ReplaceAll(m.block(1), "invoke ", "#invoke ") // no named route that invokes itself
		b.WriteString("&(" + name + ") {\n" + m.matchers.String() + inner + "}\n")
	}
	for _, host := range routeHosts {
		b.WriteString(m.site(host))
	}
	b.WriteString("http://open.example.test {\n\trespond \"open\"\n}\n")
	return b.String()
}

// TestExplainAgreesOnRandomRoutes makes up sites, and compares what explain says of requests
// to them with what the server does. A handler on the way that could send the request anywhere
// makes an answer uncertain, and an uncertain answer may be about another handler, but it is
// never a certain one. EXPLAIN_ROUTES is the number of configs, EXPLAIN_SEED makes the same again.
func TestExplainAgreesOnRandomRoutes(t *testing.T) {
	t.Parallel()
	configs := 40
	if raceEnabled {
		configs = 8
	}
	seed := uint64(1) // others when there is time to look for more
	if more, err := strconv.Atoi(os.Getenv("EXPLAIN_ROUTES")); err == nil {
		configs, seed = more, rand.Uint64()
	}
	if again, err := strconv.ParseUint(os.Getenv("EXPLAIN_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("EXPLAIN_SEED=%d", seed)
	held := peers.NewAPIKey(t, "held", map[string]any{"scopes": []string{"read"}})
	d := newExplainer(t, "", options{env: map[string]string{"KEYS": tempFile(t, "keys.jsonl", peers.KeyLines(t, held))}})
	tokens := d.routeTokens(t)

	counts, differ := map[string]int{}, 0
	for n := range configs {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		m := &routeMaker{r: r}
		sites := m.sites()
		if err := d.caddy.reload(sites); err != nil {
			if strings.Contains(err.Error(), "400") { // such a config is refused
				counts["refused configs"]++
				continue
			}
			t.Fatalf("%v\n%s", err, sites)
		}
		d.afterReload(t)
		for range 30 {
			q := d.routeRequest(r, tokens, held.Text)
			s, err := d.serve(q)
			if err != nil {
				t.Fatal(err)
			}
			e := d.mustExplain(t, q.question(true))
			if !e.Certain {
				counts["uncertain"]++
				if e.Verdict == "accepted" && s.status == http.StatusUnauthorized && len(e.PassedOver) == 0 {
					t.Errorf("uncertain, and no handler named: %s", e)
				}
				continue
			}
			counts[e.Verdict]++
			if difference := differs(s, e); difference != "" {
				if differ++; differ > 5 {
					return
				}
				t.Errorf("config %d: %s\n%s\nthe server: %+v\n%s\n%s", n, difference, q, s, e, siteOf(sites, q.host))
			}
		}
	}
	t.Logf("%v", counts)
	for _, verdict := range []string{"accepted", "refused", "anonymous", "unprotected"} {
		if counts[verdict] < configs/5 {
			t.Errorf("only %d times %s: the requests are not varied", counts[verdict], verdict)
		}
	}
	if counts["refused configs"] > configs/2 || counts["uncertain"] > configs*20 {
		t.Errorf("most show nothing: %v", counts)
	}
}

// afterReload returns when new connections lead to the new config: the listener of before may
// take one more.
func (d *explainer) afterReload(t *testing.T) {
	t.Helper()
	for range 2 {
		d.client.CloseIdleConnections()
		var last exchange
		d.eventually("it serves after the reload", longWait, func() bool {
			last = d.send("open.example.test")
			return last.status == http.StatusOK
		}, func() string { return last.String() })
	}
}

// siteOf is the text of a site, and of the named routes.
func siteOf(sites, host string) string {
	named := sites[strings.Index(sites, "&(one)"):strings.Index(sites, "http://a.")]
	_, site, _ := strings.Cut(sites, "http://"+host+" {")
	site, _, _ = strings.Cut(site, "\nhttp://")
	return named + host + " {" + site
}

// routeTokens are tokens that the rules tell apart, and one that is refused everywhere.
func (d *explainer) routeTokens(t *testing.T) []string {
	t.Helper()
	k := keys(t)
	var tokens []string
	for _, claims := range []map[string]any{{"scope": "read"}, {"scope": "admin read", "tenant": "acme"}, {"tenant": "acme"}, {"scope": "admin"}, {"exp": 1}} {
		tokens = append(tokens, k.EdDSA.Token(t, d.claims(claims), nil))
	}
	return tokens
}

// routeRequest makes up a request to one of the sites.
func (d *explainer) routeRequest(r *rand.Rand, tokens []string, key string) asked {
	q := asked{
		host: pick(r, routeHosts...), method: pick(r, "GET", "GET", "POST", "OPTIONS"),
		uri:     pick(r, "/", "/a/x", "/a/b", "/b/y?a=b", "/c", "/a/b/c?a=b", "/A/x", "/a/b/../c", "/%61/x"),
		headers: http.Header{},
	}
	if tenant := pick(r, "", "a", "ab", "b"); tenant != "" {
		q.headers.Set("X-Tenant", tenant)
	}
	if r.IntN(6) == 0 {
		q.headers.Set("Origin", "https://x.example.test")
		q.headers.Set("Access-Control-Request-Method", "PUT")
	}
	switch r.IntN(8) {
	case 0:
	case 1:
		q.key = key
	case 2:
		q.headers.Set("Cookie", "session="+pick(r, tokens...))
	default:
		q.token = pick(r, tokens...)
	}
	return q
}
