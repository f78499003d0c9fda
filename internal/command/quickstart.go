package command

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/examples"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// The issuer and audience in the Caddyfile of the quickstart.
const (
	quickstartIssuer   = "https://quickstart.example/"
	quickstartAudience = "https://api.quickstart.example"
)

// quickstartCommand returns the command `caddy jwt quickstart`.
func quickstartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quickstart [--dir <folder>] [--port <port>]",
		Short: "Starts a protected site on this machine and prints commands to try it",
		Long: `
Makes a signing key, a key set, tokens and a Caddyfile in a temporary folder,
starts Caddy with them on https://localhost in front of a small upstream that
shows what it receives, and prints commands to paste. Nothing outside the
folder is touched; it is removed at the end unless --dir names one to keep.
`,
	}
	dir := cmd.Flags().String("dir", "", "The folder to make and keep the files in (default: a temporary one)")
	port := cmd.Flags().Int("port", 0, "The port of the site (default: 8443, or a free one if it is taken)")
	return leaf(cmd, 0, 0, func([]string) error {
		caddy.TrapSignals() // first, so that a temporary folder is removed in any case
		if err := quickstart(*dir, *port, cmd.OutOrStdout()); err != nil {
			return err
		}
		select {} // until a signal ends the process
	})
}

// quickstart makes the files, starts Caddy and prints what to try. If it fails, it
// removes a temporary folder, which holds a private key.
func quickstart(named string, port int, out io.Writer) (err error) {
	site, err := choosePorts(port)
	if err != nil {
		return err
	}
	dir, err := quickstartDir(named)
	if err != nil {
		return err
	}
	before, err := os.Getwd()
	if err != nil {
		return err
	}
	if named == "" {
		defer func() {
			if err != nil {
				// Windows does not remove the current folder.
				err = errors.Join(err, caddy.Stop(), os.Chdir(before), os.RemoveAll(dir))
			}
		}()
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := quickstartFiles(dir); err != nil {
		return err
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(examples.Quickstart, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	if err := caddy.Load(adapted, true); err != nil {
		return err
	}
	// Copied to a name that is short enough to type.
	ca, err := setting.ReadFile(caddyCA)
	if err != nil {
		return fmt.Errorf("reading the certificate of Caddy's own authority: %w", err)
	}
	if !sameFile("ca.crt", ca) {
		if err := writeNew("ca.crt", ca); err != nil {
			return err
		}
	}
	// The certificate is made in the background, and a command that is pasted at
	// once must not fail for that.
	if err := awaitTLS(site, ca); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, quickstartText, site, dir, shellQuote(dir), site, site, site, site)
	return err
}

// awaitTLS waits until the site serves TLS.
func awaitTLS(port int, ca []byte) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var err error
	for range 100 {
		var c *tls.Conn
		if c, err = tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "localhost"}); err == nil {
			return c.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the site does not serve TLS: %w", err)
}

// caddyCA is the path of the certificate of Caddy's own authority.
var caddyCA = filepath.Join("data", "pki", "authorities", "local", "root.crt")

// plainWord matches a word that needs no quotes in any shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellQuote quotes a text for a shell if it needs quotes.
func shellQuote(s string) string {
	if plainWord.MatchString(filepath.ToSlash(s)) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quickstartText has the port, the folder twice, and the port four times.
const quickstartText = `
A site that only valid tokens reach is running: https://localhost:%d
Its Caddyfile, signing key, key set and tokens are in %s

Paste into another terminal:

cd %s

# a valid token: 200, and the upstream sees who it is
curl -i --cacert ca.crt -H @valid.header https://localhost:%d/hello

# an expired token: 401, the token has expired
curl -i -w '\n' --cacert ca.crt -H @expired.header https://localhost:%d/hello

# a token for another API: 401, the token is for another audience
curl -i -w '\n' --cacert ca.crt -H @other-audience.header https://localhost:%d/hello

# no token: 401, a token is required
curl -i -w '\n' --cacert ca.crt https://localhost:%d/hello

Ctrl-C ends it.
`
