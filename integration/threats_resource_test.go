package integration

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

const metadataPlace = "/.well-known/oauth-protected-resource"

// resourceMetadata is what clients read of a resource's metadata.
type resourceMetadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
}

// asScriptReads returns a parameter of the challenges of an answer as the TypeScript SDK of MCP
// finds it: all lines as one text that begins with Bearer, and the first that looks like it.
func asScriptReads(a answer, name string) string {
	text := strings.Join(a.header.Values("WWW-Authenticate"), ", ")
	if !strings.HasPrefix(text, "Bearer ") {
		return ""
	}
	m := regexp.MustCompile(name + `=(?:"([^"]+)"|([^\s,]+))`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// resourceSites are sites of many hosts, of which each resource has one.
const resourceSites = `
http://*.wild.example.test {
	jwt {
		issuer https://auth.example.test
		resource https://mcp.wild.example.test/mcp
		require scope read
	}
	respond "in"
}
http://one.example.test, http://two.example.test {
	jwt /mcp* {
		issuer https://auth.example.test
		resource https://one.example.test/mcp
	}
	respond "open"
}
http:// {
	jwt {
		issuer https://auth.example.test
		resource https://any.example:8443/mcp
	}
	respond "in"
}
`

// What a client writes as its host leads nobody elsewhere: metadata and challenges come from the
// config alone, and metadata are served at their own host alone.
func TestThreat83_NothingFollowsTheClientsHost(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t)+resourceSites, nil)
	const (
		wild, one, any = "https://mcp.wild.example.test/mcp", "https://one.example.test/mcp", "https://any.example:8443/mcp"
		evil           = "evil.example.com"
	)
	forged := []change{
		header("X-Forwarded-Host", evil), header("X-Forwarded-Port", "666"), header("X-Forwarded-Server", evil), header("Forwarded", "host="+evil+";proto=http"),
		header("X-Host", evil), header("X-Original-Host", evil), header("X-Original-URL", "https://"+evil+"/"), header("X-Rewrite-URL", "https://"+evil+"/"), header("X-HTTP-Host-Override", evil),
		header("Origin", "https://"+evil), header("Referer", "https://"+evil+metadataPlace),
	}
	written := func(host string) change { return func(r *http.Request) { r.Host = host } }
	for _, c := range []struct{ host, served, refused string }{
		{"mcp.wild.example.test", wild, wild}, {"MCP.Wild.Example.Test", wild, wild}, {"mcp.wild.example.test:443", wild, wild},
		{"mcp.wild.example.test:80", "", wild}, {"mcp.wild.example.test:8443", "", wild}, {"other.wild.example.test", "", wild}, {"evil.wild.example.test:443", "", wild},
		{"one.example.test", one, one}, {"one.example.test:443", one, one}, {"two.example.test", "", one}, {"two.example.test:443", "", one},
		{"any.example:8443", any, any}, {"ANY.example:8443", any, any}, {"any.example", "", any}, {"any.example:443", "", any}, {"any.example:80", "", any},
		{evil, "", any}, {evil + ":8443", "", any}, {"any.example:8443.evil.example.com", "", any}, {"mcp.wild.example.test.evil.example.com", "", any},
		{"xn--any-8ra.example:8443", "", any}, {"127.0.0.1", "", any}, {"[::1]:8443", "", any}, {"localhost", "", any},
	} {
		for _, with := range [][]change{nil, forged} {
			changes := append([]change{written(c.host)}, with...)
			for _, path := range []string{metadataPlace + "/mcp", metadataPlace} {
				a := n.request(t, http.MethodGet, "x.example.test", path, "", changes...)
				var m resourceMetadata
				if a.header.Get("Content-Type") == "application/json" && a.status == http.StatusOK {
					decode(t, a.body, &m)
				}
				if m.Resource != c.served || c.served != "" && strings.Join(m.Servers, " ") != authIssuer {
					t.Errorf("%s%s: %d %s; want that of %q", c.host, path, a.status, a.body, c.served)
				}
				// An open site answers with what it has.
				if open := c.refused == one; c.served == "" && (a.status != http.StatusUnauthorized) != open {
					t.Errorf("%s%s: status %d", c.host, path, a.status)
				}
				nothingOf(t, a, evil)
			}
			a := n.request(t, http.MethodGet, "x.example.test", "/mcp", "", changes...)
			want := strings.TrimSuffix(c.refused, "/mcp") + metadataPlace + "/mcp"
			if a.status != http.StatusUnauthorized || asScriptReads(a, "resource_metadata") != want {
				t.Errorf("%s: %d %v; want %s", c.host, a.status, a.header, want)
			}
			if scope := asScriptReads(a, "scope"); (scope == "read") != (c.refused == wild) {
				t.Errorf("%s: the scope is %q", c.host, scope)
			}
			nothingOf(t, a, evil)
		}
	}
	t.Run("a whole URL as the target", func(t *testing.T) {
		for target, served := range map[string]string{
			"http://one.example.test" + metadataPlace + "/mcp":        one,
			"http://one.example.test:443" + metadataPlace:             one,
			"http://" + evil + metadataPlace + "/mcp":                 "",
			"http://two.example.test" + metadataPlace:                 "",
			"http://u:p@one.example.test" + metadataPlace:             one,
			"http://one.example.test" + metadataPlace + "/%6dcp":      "",
			"http://one.example.test/x/.." + metadataPlace + "/mcp":   "",
			"http://one.example.test//" + metadataPlace[1:] + "/mcp":  "",
			"http://one.example.test" + metadataPlace + "/mcp/":       "",
			"http://one.example.test" + metadataPlace + "/mcp?x=/mcp": one,
		} {
			// The target's host counts, and not that of the header (RFC 9112 section 3.2.2).
			for _, host := range []string{evil, "one.example.test"} {
				a := n.raw(t, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
				if got := strings.Contains(a.body, `{"resource":"`+one+`"`); got != (served != "") {
					t.Errorf("%s with Host %s: %d %s", target, host, a.status, a.body)
				}
				nothingOf(t, a, evil)
			}
		}
	})
	t.Run("two hosts", func(t *testing.T) {
		a := n.raw(t, "GET "+metadataPlace+" HTTP/1.1\r\nHost: one.example.test\r\nHost: "+evil+"\r\nConnection: close\r\n\r\n")
		if a.status != http.StatusBadRequest {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// nothingOf requires that an answer has nothing of a text.
func nothingOf(t *testing.T, a answer, text string) {
	t.Helper()
	if all := fmt.Sprint(a.header) + a.body; strings.Contains(strings.ToLower(all), text) {
		t.Errorf("the answer names %s: %s", text, all)
	}
}

// raw sends bytes and reads the answer.
func (n *node) raw(t *testing.T, text string) answer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", n.plain), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

// A site whose audience is its resource takes tokens for that alone; a client finds its way to
// one from the refusal, and gets none for what only looks like it.
func TestThreat68_TheResourceOfASite(t *testing.T) {
	t.Parallel()
	sites := attackedSites(t)
	const own = "\t\taudience https://reports.example.test\n\t}\n\trespond"
	if strings.Count(sites, own) != 1 {
		t.Fatal("no such site")
	}
	sites = strings.Replace(sites, own, "\t\tresource https://reports.example.test\n\t\trequire scope read\n\t}\n\trespond", 1)
	n := startService(t, "", sites, nil)
	key := n.newClientKey(t, nil)

	refused := n.request(t, http.MethodGet, reportsHost, "/", "")
	if got := asScriptReads(refused, "resource_metadata"); refused.status != http.StatusUnauthorized || got != reports+metadataPlace {
		t.Fatalf("%d %v", refused.status, refused.header)
	}
	var m resourceMetadata
	decode(t, n.request(t, http.MethodGet, reportsHost, metadataPlace, "").body, &m)
	if m.Resource != reports || strings.Join(m.Servers, " ") != authIssuer || strings.Join(m.Scopes, " ") != "read" {
		t.Fatalf("%+v", m)
	}
	n.is(t, "a token for it", n.at(reportsHost, n.minted(t, key, "resource", m.Resource, "scope", asScriptReads(refused, "scope"))), accepted)
	for what, token := range map[string]string{"another API": n.minted(t, key, "resource", audience), "the service's default": n.minted(t, key)} {
		a := n.request(t, http.MethodGet, reportsHost, "/", "", bearer(token))
		if a.status != http.StatusUnauthorized || asScriptReads(a, "error") != "invalid_token" || asScriptReads(a, "resource_metadata") != reports+metadataPlace || asScriptReads(a, "scope") != "read" {
			t.Errorf("a token for %s: %d %v", what, a.status, a.header)
		}
	}
	a := n.request(t, http.MethodGet, reportsHost, "/", "", bearer(n.minted(t, key, "resource", reports, "scope", "write")))
	if a.status != http.StatusForbidden || asScriptReads(a, "error") != "insufficient_scope" || asScriptReads(a, "scope") != "read" || asScriptReads(a, "resource_metadata") != reports+metadataPlace {
		t.Errorf("without the scope: %d %v", a.status, a.header)
	}
	for _, other := range []string{
		reports + "/", reports + "/mcp", "https://Reports.example.test", "HTTPS://reports.example.test", "https://reports.example", reports + ":443", reports + "?", reports + "#", reports + "#x",
		reports + metadataPlace, "http://reports.example.test", "https://reports.example.test.evil.example", "https://x@reports.example.test", reports + "\x00", reports + " ", reports + "\r\n",
	} {
		n.withKeyOf(t, key, "resource", other).noToken(t, "invalid_target")
	}
	n.withKeyOf(t, key, "resource", reports, "resource", m.Resource).noToken(t, "invalid_target")
}
