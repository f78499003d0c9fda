package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// mcpExample is examples/mcp, running, with a tap in front of its token service, of the
// site of its MCP server, and of the MCP server itself.
type mcpExample struct {
	*shellExample
	auth, api, upstream *tap
	url, issuer         string // as clients know them: of the taps
}

// mcpPrograms are those of examples/mcp, built once by the lines of its script, as a busy
// machine takes a while.
var mcpPrograms = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "caddy-jwt-mcp-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "examples", "mcp"))); err != nil {
		return nil, err
	}
	script, err := os.ReadFile(filepath.Join(dir, "mcp.sh"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	programs := map[string][]byte{}
	for name, source := range map[string]string{"notes-server": "./server", "notes-client": "./client"} {
		line := "go build -o " + name + " " + source
		if !strings.Contains(string(script), "\t[ -e "+name+" ] || "+line+"\n") {
			return nil, fmt.Errorf("mcp.sh does not run %s", line)
		}
		build := exec.CommandContext(ctx, "sh", "-c", "rm -f "+name+"; "+line)
		build.Dir = dir
		if text, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", line, err, text)
		}
		if programs[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return programs, nil
})

// newMCPExample prepares the folder, and makes its programs and keys as the README does.
func newMCPExample(t *testing.T, dir string, ports *strings.Replacer, env map[string]string) *shellExample {
	t.Helper()
	e := newShellExample(t, dir, ports, env,
		"data", "clients.jsonl", "agent.key", "viewer.key", "robot.key", "robot.pem", "notes-server", "notes-client")
	programs, err := mcpPrograms()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e.run("./mcp.sh make")
	for _, name := range []string{"agent.key", "viewer.key", "robot.key"} {
		for _, line := range strings.Fields(readFile(t, filepath.Join(dir, name))) {
			if len(line) > 30 {
				e.logs.forbid(line)
			}
		}
	}
	return e
}

// startMCPExample runs the example with taps. Its sites are as they are printed, but for
// the ports on which they listen: what they say of themselves is where the taps are.
func startMCPExample(t *testing.T) *mcpExample {
	t.Helper()
	p := ports(t, 4) // the token service, the site, the MCP server, the admin endpoint
	local := func(port string) string { return net.JoinHostPort("127.0.0.1", port) }
	e := &mcpExample{auth: newTap(t, local(p[0])), api: newTap(t, local(p[1])), upstream: newTap(t, local(p[2]))}
	e.url, e.issuer = "http://localhost:"+e.api.port()+"/mcp", "http://localhost:"+e.auth.port()
	dir := copyExample(t, "mcp")
	config := changed(t, readFile(t, filepath.Join(dir, "Caddyfile")),
		"\nhttp://localhost:{$AUTH_PORT:8580} {\n", "\nhttp://localhost:"+p[0]+" {\n",
		"\nhttp://localhost:{$MCP_PORT:8582} {\n", "\nhttp://localhost:"+p[1]+" {\n")
	writeFile(t, filepath.Join(dir, "Caddyfile"), config)
	e.shellExample = newMCPExample(t, dir, strings.NewReplacer(), map[string]string{
		"AUTH_PORT": e.auth.port(), "MCP_PORT": e.api.port(), "UPSTREAM_PORT": e.upstream.port(), "CADDY_ADMIN": local(p[3]),
	})
	server := exec.Command(filepath.Join(dir, "notes-server"))
	server.Env = append(e.env, "UPSTREAM_PORT="+p[2])
	server.SysProcAttr = childAttributes()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	e.inReadme("./mcp.sh run")
	c := startChild(t, e.logs, dir, e.env, "run")
	t.Cleanup(func() {
		c.stop()
		e.logs.check(t, true)
	})
	e.ready(e.url, e.issuer, "http://"+local(p[2])+"/mcp")
	for _, p := range []*tap{e.auth, e.api, e.upstream} {
		p.take()
	}
	return e
}

// ready waits until the MCP server, Caddy and its keys are there.
func (c *shellExample) ready(site, issuer, server string) {
	c.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for url, want := range map[string]int{site: http.StatusUnauthorized, issuer + "/.well-known/jwks.json": http.StatusOK, server: 0} {
		c.eventually(url+" answers", func() bool {
			res, err := client.Get(url)
			if err != nil {
				return false
			}
			_ = res.Body.Close()
			return want == 0 || res.StatusCode == want
		})
	}
}

// file is the content of a file of the folder.
func (e *mcpExample) file(name string) string {
	e.t.Helper()
	return strings.TrimSpace(readFile(e.t, filepath.Join(e.dir, name)))
}

// runMCP runs the example by the lines of its README.
func runMCP(t *testing.T, dir string) {
	need(t, curl)
	need(t, jq)
	p := ports(t, 4)
	env := map[string]string{"AUTH_PORT": p[0], "UPSTREAM_PORT": p[1], "MCP_PORT": p[2], "CADDY_ADMIN": "127.0.0.1:" + p[3]}
	e := newMCPExample(t, dir, strings.NewReplacer("8580", p[0], "8581", p[1], "8582", p[2]), env)
	checkExampleConfig(t, dir, env)
	e.start("./mcp.sh run", e.logs)
	e.ready("http://localhost:"+p[2]+"/mcp", "http://localhost:"+p[0], "http://127.0.0.1:"+p[1]+"/mcp")

	for line, want := range map[string]string{
		"./mcp.sh call agent list":        "monday\ntuesday\nwednesday\n",
		"./mcp.sh call agent read monday": "Buy milk.\n",
		"./mcp.sh call viewer list":       "monday\ntuesday\nwednesday\n",
	} {
		e.inReadme(line)
		if got, err := e.shell(line); err != nil || got != want {
			t.Errorf("%s prints %q, %v; want %q", line, got, err, want)
		}
	}
	refused := "./mcp.sh call viewer delete_all"
	e.inReadme(refused)
	if got, err := e.shell(refused); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("%s prints %q, %v; want Forbidden", refused, got, err)
	}
	e.run("./mcp.sh call agent delete_all")
	if got := e.try("./mcp.sh call agent list"); got != "\n" {
		t.Errorf("after delete_all there is still %q", got)
	}

	_, text, found := strings.Cut(readFile(t, filepath.Join(dir, "README.md")), "\n## What the client does\n")
	if !found {
		t.Fatal("the README has no section on what the client does")
	}
	var script strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			script.WriteString(command)
		}
	}
	script.WriteString("\necho; echo \"used $TOKEN\"\n")
	out, err := e.shell(script.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, token, _ := strings.Cut(out, "used ")
	e.logs.forbid(strings.TrimSpace(token))
	rest := out
	for _, want := range []string{
		`resource_metadata="http://localhost:` + p[2] + `/.well-known/oauth-protected-resource/mcp"`,
		`"resource":"http://localhost:` + p[2] + `/mcp"`,
		`"authorization_servers":["http://localhost:` + p[0] + `"]`,
		"http://localhost:" + p[0] + "/oauth2/token\n",
		`"code":-32000`,
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Errorf("%s is not there, or not in its place:\n%s", want, out)
			break
		}
		rest = after
	}
}

// becomesTrue waits, with the patience of all clients, for what no event announces.
func becomesTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
