package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// serviceGuide is a guide whose sites are a token service, https://auth.example.com, and
// an API: here both are on localhost, and /etc/caddy is a folder of the test.
type serviceGuide struct {
	*fixture
	guide  string
	issuer string // in the place of https://auth.example.com
	api    string // its host
	dir    string
	// here are the places of this test for those that the guide prints.
	here *strings.Replacer
}

// newServiceGuide makes one that does not run yet, so that its commands for keys can be run.
func newServiceGuide(t *testing.T, guide, api string, fromTo ...string) *serviceGuide {
	t.Helper()
	need(t, curl)
	need(t, jq)
	port := peers.FreePort(t)
	g := &serviceGuide{
		guide: guide, issuer: fmt.Sprintf("https://localhost:%d", port),
		api: strings.TrimSuffix(api, ".example.com") + ".localhost", dir: t.TempDir(),
	}
	g.here = strings.NewReplacer(append(fromTo,
		"https://auth.example.com", g.issuer, "auth.example.com {", "https://localhost {",
		"https://"+api+"/", fmt.Sprintf("https://%s:%d/", g.api, port), "https://"+api, "https://"+api, api+" {", "https://"+g.api+" {",
		"localhost:8080", "{$UPSTREAM}", "/etc/caddy/", g.dir+"/")...)
	// A folder with caddy alone, for commands.
	if err := os.Mkdir(filepath.Join(g.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(caddyBinary, filepath.Join(g.dir, "bin", "caddy")); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs(filepath.Join("npm", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	// Where Node.js looks for what a program imports.
	if err := os.Symlink(modules, filepath.Join(g.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return g
}

// start runs the n-th Caddyfile of the guide.
func (g *serviceGuide) start(t *testing.T, n int, opts options) {
	t.Helper()
	g.startWith(t, guideCode(t, g.guide, "caddyfile", n), opts)
}

// startWith runs a Caddyfile, as a guide prints it.
func (g *serviceGuide) startWith(t *testing.T, code string, opts options) {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(g.issuer, "https://localhost:%d", &port); err != nil {
		t.Fatal(err)
	}
	opts.port = port
	g.fixture = newFixture(t, g.here.Replace(code), opts)
}

func (g *serviceGuide) caddyfile(t *testing.T, n int) string {
	t.Helper()
	return g.here.Replace(guideCode(t, g.guide, "caddyfile", n))
}

// line runs the command of the guide that begins so, and returns what it prints.
func (g *serviceGuide) line(t *testing.T, start string, env ...string) string {
	t.Helper()
	return g.shell(t, guideLine(t, g.guide, start), env...)
}

// said runs a command that the guide names in its text.
func (g *serviceGuide) said(t *testing.T, command string) {
	t.Helper()
	text := strings.ReplaceAll(readFile(t, filepath.Join("..", "docs", "guides", g.guide)), "\n  ", " ")
	if !strings.Contains(text, "`"+command+"`") {
		t.Errorf("%s does not name %s", g.guide, command)
	}
	g.shell(t, command)
}

// shell runs commands as the guide prints them, and returns what they print to standard
// output.
func (g *serviceGuide) shell(t *testing.T, commands string, env ...string) string {
	t.Helper()
	return g.run(t, env, "sh", "-ec", g.here.Replace(commands))
}

// program runs a program that the guide prints.
func (g *serviceGuide) program(t *testing.T, language string, n int, name string, env []string, command ...string) string {
	t.Helper()
	file := filepath.Join(g.dir, name)
	writeFile(t, file, g.here.Replace(guideCode(t, g.guide, language, n)))
	return strings.TrimSpace(g.run(t, env, append(command, file)...))
}

func (g *serviceGuide) run(t *testing.T, env []string, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	p := exec.CommandContext(ctx, command[0], command[1:]...)
	p.Dir = g.dir
	p.Env = append(os.Environ(), "PATH="+filepath.Join(g.dir, "bin")+":"+os.Getenv("PATH"), "NO_PROXY=*", "no_proxy=*")
	if g.fixture == nil {
		p.Env = append(p.Env, "CADDY_ADMIN=127.0.0.1:1") // none runs, and none of others is meant
	} else {
		p.Env = append(append(p.Env, "CADDY_ADMIN="+g.adminAddress()), g.trust()...)
	}
	p.Env = append(p.Env, env...)
	var complaint strings.Builder
	p.Stderr = &complaint
	out, err := p.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, out, &complaint)
	}
	return string(out)
}

// passes requires that the API accepts a token as that of a client.
func (g *serviceGuide) passes(t *testing.T, token, client string) {
	t.Helper()
	g.logs.forbid(token)
	seen := g.accepts(t, g.api, token)
	for _, name := range []string{"X-Client-Id", "X-User"} {
		if got := seen.Header.Get(name); got == client {
			return
		}
	}
	t.Errorf("the upstream gets %v; want the client %s", seen.Header, client)
}

// denied requires that the API refuses a token.
func (g *serviceGuide) denied(t *testing.T, what, token string, status int) {
	t.Helper()
	if a := g.get(t, g.api, token); a.status != status {
		t.Errorf("%s: status %d, %s; want %d", what, a.status, a.body, status)
	}
}

// form sends a form to the token endpoint.
func (g *serviceGuide) form(t *testing.T, form string, changes ...change) answer {
	t.Helper()
	return g.send(t, g.http, http.MethodPost, "localhost", "/oauth2/token",
		append([]change{header("Content-Type", "application/x-www-form-urlencoded"), body(form)}, changes...)...)
}

// goProgram runs a program in Go with the modules of these tests.
func (g *serviceGuide) goProgram(t *testing.T, file string, env ...string) string {
	t.Helper()
	binary := filepath.Join(g.dir, "program")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return g.run(t, env, binary)
}

// root is the certificate of Caddy's authority.
func (g *serviceGuide) root() string { return g.dataFile("pki", "authorities", "local", "root.crt") }

// trust has programs trust Caddy's authority, each by a name of its own.
func (g *serviceGuide) trust() []string {
	ca := g.root()
	return []string{"CURL_CA_BUNDLE=" + ca, "NODE_EXTRA_CA_CERTS=" + ca, "REQUESTS_CA_BUNDLE=" + ca, "SSL_CERT_FILE=" + ca}
}
