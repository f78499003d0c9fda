package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/examples"
)

// quickstartCommand returns the command `caddy jwt quickstart`.
func quickstartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quickstart [--dir <folder>] [--port <port>]",
		Short: "Starts a protected site on this machine and prints commands to try it",
		Long: `
Makes an API key and a Caddyfile in a temporary folder, starts Caddy with them on
http://localhost, in front of a small upstream that shows what it receives, and prints
commands to paste: from the key to a token, a request with it, and the token revoked.
Nothing outside the folder is touched; it is removed at the end unless --dir names one to
keep.

    caddy jwt quickstart --dir try-jwt
`,
	}
	dir := cmd.Flags().String("dir", "", "The folder to make and keep the files in (default: a temporary one)")
	port := cmd.Flags().Int("port", 0, "The port of the site (default: 8080, or a free one if it is taken)")
	return leaf(cmd, 0, 0, func([]string) error {
		caddy.TrapSignals() // first, so that a temporary folder is removed in any case
		if err := quickstart(*dir, *port, cmd.OutOrStdout()); err != nil {
			return err
		}
		select {} // until a signal ends the process
	})
}

// quickstart makes the files, starts Caddy and prints what to try. If it fails, it
// removes a temporary folder, which holds keys.
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
	id, err := quickstartFiles(dir)
	if err != nil {
		return err
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(examples.Quickstart, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	if err := caddy.Load(adapted, true); err != nil {
		return err
	}
	url := fmt.Sprintf("http://localhost:%d", site)
	// The signing keys are made in the background, and a command that is pasted at once must
	// not fail for that.
	if err := awaitService(url); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		program = "caddy"
	}
	_, err = io.WriteString(out, strings.NewReplacer(
		"{url}", url, "{dir}", dir, "{cd}", shellQuote(dir), "{id}", id, "{caddy}", shellQuote(program),
	).Replace(quickstartText))
	return err
}

// awaitService waits until the token service of a site has signing keys.
func awaitService(url string) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var err error
	for range 100 {
		var answer *http.Response
		if answer, err = client.Get(url + "/.well-known/jwks.json"); err == nil {
			if answer.Body.Close(); answer.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s answers %s", answer.Request.URL, answer.Status)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the token service is not ready: %w", err)
}

// plainWord matches a word that needs no quotes in any shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellQuote quotes a text for a shell if it needs quotes.
func shellQuote(s string) string {
	if plainWord.MatchString(filepath.ToSlash(s)) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quickstartText is what is printed. Each line that begins with # says what the commands
// below it answer.
const quickstartText = `
An API that only valid credentials reach is running: {url}
Its Caddyfile, and an API key for it, are in {dir}

Paste into another terminal, one after the other:

cd {cd}

# the API key: 200, and the upstream sees who it is
curl -i -H @api-key.header {url}/hello

# the API key for a token that lives for five minutes: 200, as client_credentials
curl -si -w '\n' -H @api-key.header -d grant_type=client_credentials {url}/oauth2/token | tee token.json
sed -n 's/.*"access_token": *"\([^"]*\)".*/token=\1/p' token.json > token.form
sed 's/token=/Authorization: Bearer /' token.form > token.header

# the token: 200, and the upstream sees whose it is
curl -i -H @token.header {url}/hello

# the key's holder revokes the token: 200, whether it was valid or not
curl -i -H @api-key.header -d @token.form {url}/oauth2/revoke

# the token again: 401, with the next request
curl -i -w '\n' -H @token.header {url}/hello

# nothing: 401, a credential is required
curl -i -w '\n' {url}/hello

What to try next:

- a token in one line, for scripts:
  {caddy} jwt token --issuer {url} --secret-file api-key.txt
- disable the key: it and all its tokens are refused at once:
  {caddy} jwt api-key disable {id} --file keys.jsonl --no-wait
- what any OAuth client finds by itself:
  curl {url}/.well-known/oauth-authorization-server
- keep the files with --dir, change the Caddyfile, and start it with caddy run

Ctrl-C ends it.
`
