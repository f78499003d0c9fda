package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// options of startCaddy.
type options struct {
	// global goes into the global options block.
	global string
	// env are the variables that the Caddyfile reads, by {$X} or {env.X}.
	env map[string]string
	// shownByCaddy reports that the sites read credentials from places that Caddy's
	// own log lines show, all but Authorization and cookies: they are not looked
	// for in the log then.
	shownByCaddy bool
	// trusted makes Caddy take the issuer's authority for one of the
	// machine's, so that a site needs no ca.
	trusted bool
	// noTLS leaves Caddy's own authority out, which it makes even if no site uses it.
	noTLS bool
	// port is where its sites are; a free one if zero. A test knows it before then that
	// has it in its Caddyfile, in the URL of an issuer.
	port int
	// redis is where its storage is; a folder of its own if nil.
	redis *redisServer
	// level of the default log; DEBUG if empty, so that every test also looks
	// for credentials in the most talkative log.
	level string
	// format of the default log; json if empty.
	format string
}

// caddy is a running server.
type caddy struct {
	*child
	t     *testing.T
	opts  options
	dir   string
	port  int
	plain int // for HTTP, which no site uses
	admin int
}

// startCaddy runs a Caddy with the sites and returns when it serves all of them.
// At the end of the test it is stopped, and the test fails if Caddy panicked,
// raced, or wrote a credential that a client of this test sent it to its log.
func startCaddy(t *testing.T, sites string, opts options) *caddy {
	t.Helper()
	c := &caddy{
		t:     t,
		opts:  opts,
		dir:   t.TempDir(),
		port:  peers.FreePort(t),
		plain: peers.FreePort(t),
		admin: peers.FreePort(t),
	}
	if opts.port != 0 {
		c.port = opts.port
	}
	file := filepath.Join(c.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(c.caddyfile(sites)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(&logBook{})
	t.Cleanup(func() {
		c.stop()
		c.logs.check(t, !opts.shownByCaddy)
	})
	c.waitUntilItServes()
	return c
}

func (c *caddy) run(logs *logBook) {
	c.t.Helper()
	c.child = startChild(c.t, logs, c.dir, environment(c.dir, c.opts.env),
		"run", "--config", filepath.Join(c.dir, "Caddyfile"), "--adapter", "caddyfile")
}

// restart ends the process and starts it again with the same config, storage and
// ports, after the time between has been made use of.
func (c *caddy) restart(between func()) {
	c.t.Helper()
	c.stop()
	if between != nil {
		between()
	}
	c.run(c.logs)
	c.waitUntilItServes()
}

// caddyfile puts the sites behind the global options that keep a test apart from
// the machine and from other tests. Storage is not cleaned: Caddy does so while
// it starts, and where that removes the folder that a first certificate is just
// being written to, the site has none for a minute.
func (c *caddy) caddyfile(sites string) string {
	level := c.opts.level
	if level == "" {
		level = "DEBUG"
	}
	format := c.opts.format
	if format == "" {
		format = "json"
	}
	authority := "local_certs\n\tskip_install_trust"
	if c.opts.noTLS {
		authority = ""
	}
	return fmt.Sprintf(`{
	admin 127.0.0.1:%d
	https_port %d
	http_port %d
	default_bind 127.0.0.1
	auto_https disable_redirects
	%s
	storage_clean_interval off
	grace_period 1s
	log default {
		output stderr
		format %s
		level %s
	}
	%s
}
%s
`, c.admin, c.port, c.plain, authority, format, level, c.global(sites), sites)
}

// cacheOff reports whether all tests run without a cache of verified tokens. They must
// pass the same.
var cacheOff = os.Getenv("TEST_CACHE") == "off"

// jwtDirective matches in sites with a jwt handler; others have no cache.
var jwtDirective = regexp.MustCompile(`(?m)^\s*jwt\b`)

// global is the test's own part of the global options.
func (c *caddy) global(sites string) string {
	const block = "jwt {"
	global := c.opts.global
	if c.opts.redis != nil {
		global += "\n\t" + c.opts.redis.option()
	}
	switch {
	case !cacheOff || !jwtDirective.MatchString(sites):
		return global
	case strings.Contains(global, block):
		return strings.Replace(global, block, block+"\n\t\tcache off", 1)
	}
	return global + "\n\tjwt {\n\t\tcache off\n\t}"
}

// dataFile is a path in Caddy's storage.
func (c *caddy) dataFile(path ...string) string {
	return filepath.Join(append([]string{c.dir, "data", "caddy"}, path...)...)
}

// configFile is a path in Caddy's config folder, where autosave.json is.
func (c *caddy) configFile(path ...string) string {
	return filepath.Join(append([]string{c.dir, "config", "caddy"}, path...)...)
}

// roots is the pool of Caddy's own authority.
func (c *caddy) roots() (*x509.CertPool, error) {
	var text []byte
	var err error
	if c.opts.redis != nil {
		text, err = c.opts.redis.load("pki/authorities/local/root.crt")
	} else {
		text, err = os.ReadFile(c.dataFile("pki", "authorities", "local", "root.crt"))
	}
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in Caddy's root.crt")
	}
	return pool, nil
}

// waitUntilItServes waits for the admin endpoint, then for a certificate of every
// site: Caddy obtains those after it says that it runs.
func (c *caddy) waitUntilItServes() {
	c.t.Helper()
	var last error
	c.eventually("Caddy serves", 30*time.Second, func() bool {
		last = c.handshakes()
		return last == nil
	}, func() string { return fmt.Sprintf("%v\n%s", last, c.logs) })
}

func (c *caddy) handshakes() error {
	hosts, err := c.hosts()
	if err != nil {
		return err
	}
	roots, err := c.roots()
	if err != nil {
		return err
	}
	for _, host := range hosts {
		conn, err := tls.Dial("tcp", c.address(), &tls.Config{ServerName: host, RootCAs: roots})
		if err != nil {
			return err
		}
		_ = conn.Close()
	}
	return nil
}

// hosts are the names of the sites, read from the running config.
func (c *caddy) hosts() ([]string, error) {
	text, err := c.adminGet("/config/apps/http/servers")
	if err != nil {
		return nil, err
	}
	var servers map[string]struct {
		Routes []struct {
			Match []struct{ Host []string }
		}
	}
	if err := json.Unmarshal([]byte(text), &servers); err != nil {
		return nil, err
	}
	var hosts []string
	for _, server := range servers {
		for _, route := range server.Routes {
			for _, match := range route.Match {
				hosts = append(hosts, match.Host...)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}

// adminAddress is the host and port of the admin endpoint.
func (c *caddy) adminAddress() string { return fmt.Sprintf("127.0.0.1:%d", c.admin) }

// adminGet reads from the admin endpoint.
func (c *caddy) adminGet(path string) (string, error) {
	a, err := c.adminDo(http.MethodGet, path, 5*time.Second)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", fmt.Errorf("GET %s: %d: %s", path, a.status, a.body)
	}
	return a.body, nil
}

// adminDo asks the admin endpoint.
func (c *caddy) adminDo(method, path string, within time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.adminAddress()+path, nil)
	if err != nil {
		return answer{}, err
	}
	res, err := adminClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(body)}, nil
}

// adminClient keeps no connection: a reload replaces the admin endpoint too, and
// a POST over a connection that ends just then is not sent again by itself.
var adminClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// reload replaces the sites of the running server.
func (c *caddy) reload(sites string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	config := c.caddyfile(sites)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.adminAddress()+"/load", strings.NewReader(config))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "text/caddyfile")
		res, err := adminClient.Do(req)
		if err != nil {
			// The endpoint of the config before may have been the one to take
			// the connection, and ended with it.
			if ctx.Err() == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)) {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			return err
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", res.Status, text)
		}
		return nil
	}
}
