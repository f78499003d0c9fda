package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// MCP's conformance suite finds the same in a server behind the plugin as in the server
// itself: in each scenario the same checks, with the same result.
func TestMCP_Conformance(t *testing.T) {
	t.Parallel()
	need(t, mcpConformance)
	server := serveEverything()
	defer server.Close()

	k := keys(t)
	issuer := peers.NewKeyServer(t, peers.NewCA(t), k.RS256)
	port := peers.FreePort(t)
	base := fmt.Sprintf("http://localhost:%d", port)
	c := startCaddy(t, fmt.Sprintf(`https://ready.example.test {
	respond ok
}
http://:%d {
	bind 127.0.0.1
	jwt %s {
		resource %s/mcp
		require scope mcp:read
		mcp {
			tool delete_* {
				require scope mcp:write
			}
		}
		clear X-User-Id
	}
	reverse_proxy %s
}
`, port, issuer.URL, base, strings.TrimPrefix(server.URL, "http://")), options{env: map[string]string{"SSL_CERT_FILE": issuer.CA.File}})
	token := k.RS256.Token(t, peers.Claims(issuer.URL, base+"/mcp", map[string]any{"scope": "mcp:read", "exp": time.Now().Add(time.Hour).Unix()}), nil)
	c.logs.forbid(token)
	through := addToken(t, base, token)

	direct := conformance(t, server.URL+"/mcp")
	behind := conformance(t, through+"/mcp")
	// The suite waits a minute for each answer of a server. Where its own processes and all
	// other tests share two processors, a scenario may end by that; then all are run again.
	for range 2 {
		if maps.EqualFunc(behind, direct, slices.Equal) {
			break
		}
		t.Logf("again, as not all results were the same: %q", behind)
		behind = conformance(t, through+"/mcp")
	}
	if len(direct) < 30 {
		t.Errorf("there are %d scenarios only: %q", len(direct), slices.Sorted(maps.Keys(direct)))
	}
	for _, scenario := range slices.Sorted(maps.Keys(direct)) {
		for _, check := range direct[scenario] {
			if strings.HasSuffix(check, " FAILURE") {
				t.Errorf("%s: the server itself fails: %s", scenario, check)
			}
		}
		if !slices.Equal(behind[scenario], direct[scenario]) {
			t.Errorf("%s: behind the plugin %q, direct %q", scenario, behind[scenario], direct[scenario])
		}
	}
	if len(behind) != len(direct) {
		t.Errorf("%d scenarios behind the plugin, %d direct", len(behind), len(direct))
	}
	// What went through was judged: without the token nothing does.
	res, err := http.Post(base+"/mcp", "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: status %d; want 401", res.StatusCode)
	}
}

// addToken is a proxy on this machine that adds the token that the suite can't send. All
// else it leaves as it is: the suite sends foreign hosts and origins too.
func addToken(t *testing.T, to, token string) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
	})
	t.Cleanup(proxy.Close)
	return strings.Replace(proxy.URL, "127.0.0.1", "localhost", 1)
}

// resultsFolder is the name of a scenario's folder, which ends with the time.
var resultsFolder = regexp.MustCompile(`^server-(.*)-\d{4}-\d\d-\d\dT[-\d]+Z$`)

// conformance runs all scenarios for servers, and returns each one's checks and results.
func conformance(t *testing.T, server string) map[string][]string {
	t.Helper()
	dir := t.TempDir()
	suite := exec.CommandContext(t.Context(), conformanceNode(), conformanceSuite, "server", "--url", server, "--suite", "all", "--output-dir", dir)
	suite.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*")
	output, err := suite.CombinedOutput() // its exit code is 1 for failed checks too
	folders, readErr := os.ReadDir(dir)
	if readErr != nil || len(folders) == 0 {
		t.Fatalf("the suite: %v, %v\n%s", err, readErr, output)
	}
	results := map[string][]string{}
	for _, folder := range folders {
		name := resultsFolder.FindStringSubmatch(folder.Name())
		if name == nil {
			t.Fatalf("the suite made %s", folder.Name())
		}
		var checks []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
			Text   string `json:"errorMessage"`
		}
		if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, folder.Name(), "checks.json"))), &checks); err != nil {
			t.Fatal(err)
		}
		for _, check := range checks {
			results[name[1]] = append(results[name[1]], check.ID+" "+check.Status)
			if check.Status == "FAILURE" {
				t.Logf("%s, %s: %s: %s", server, name[1], check.ID, check.Text)
			}
		}
		slices.Sort(results[name[1]])
		if len(checks) == 0 {
			results[name[1]] = []string{"no checks"}
		}
	}
	return results
}
