package command

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// tokenFlags are the flags of `token`.
type tokenFlags struct {
	issuer, client, secretFile, secretEnv, keyFile, kid, assertionFile, resource, ca string
	scope                                                                            []string
	json                                                                             *bool
}

// tokenCommand returns the command `token`.
func tokenCommand() *cobra.Command {
	f := new(tokenFlags)
	cmd := &cobra.Command{
		Use:   "token --issuer <url> (--secret-file <file> | --secret-env <name> | --key-file <pem> | --assertion-file <file>)",
		Short: "Fetches a token from a token service",
		Long: `
Fetches a token from a token service, such as authorization_server of a Caddy, and prints
it: for scripts, and to try a service. The service is found by its issuer (RFC 8414, or
OpenID discovery). Nothing is kept: each call asks for a new token.

With a secret, from a file, standard input (-) or an environment variable. It never is an
argument, which the shell's history and the list of processes would show. Of an API key
that was made here, the client's id is the key's, and may be left out, unless the key was
made with --id:

    caddy jwt token --issuer https://auth.example.com --secret-file api.key
    TOKEN=$(pass show api | caddy jwt token --issuer https://auth.example.com --secret-file -)

With a private key, a PEM file (private_key_jwt, RFC 7523): ES256, EdDSA or RS256.

    caddy jwt token --issuer https://auth.example.com --client-id deploy --key-file deploy.pem

With the token of a platform, which the service exchanges (federate):

    caddy jwt token --issuer https://auth.example.com --assertion-file /var/run/secrets/tokens/caddy

Addresses are https, or http for this machine alone. The exit code is 1 if there is no
token, and standard error says why.
`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.issuer, "issuer", "", "The issuer of the token service, a URL")
	flags.StringVar(&f.client, "client-id", "", "The client's id (default: that of the API key)")
	flags.StringVar(&f.secretFile, "secret-file", "", "The file with the client's secret or API key; - for standard input")
	flags.StringVar(&f.secretEnv, "secret-env", "", "The environment variable with it")
	flags.StringVar(&f.keyFile, "key-file", "", "The PEM file with the client's private key; - for standard input")
	flags.StringVar(&f.kid, "kid", "", "The id of that key, if the service needs it to find the key")
	flags.StringVar(&f.assertionFile, "assertion-file", "", "The file with a platform's token to exchange; - for standard input")
	flags.StringArrayVar(&f.scope, "scope", nil, "What the token is to allow; may be repeated (default: what the service gives)")
	flags.StringVar(&f.resource, "resource", "", "What the token is for: a URL that becomes its audience (default: the service's)")
	flags.StringVar(&f.ca, "ca", "", "The PEM file with the certificates of the authority that the service's is checked with")
	f.json = jsonFlag(cmd)
	return leaf(cmd, 0, 0, func([]string) error { return f.run(cmd) })
}

// tokenTime is how long all requests of the command may take together.
const tokenTime = 30 * time.Second

func (f *tokenFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd); err != nil {
		return misuse(err)
	}
	client, err := newTokenClient(f.ca)
	if err != nil {
		return err
	}
	ask, err := f.request(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := contextWithTimeout(cmd, tokenTime)
	defer cancel()
	service, err := client.discover(ctx, f.issuer)
	if err != nil {
		return err
	}
	answer, err := client.token(ctx, service, ask)
	if err != nil {
		return err
	}
	if *f.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), terminal.Text(answer.AccessToken))
	return err
}

// check checks the flags.
func (f *tokenFlags) check(cmd *cobra.Command) error {
	for _, name := range []string{"issuer", "client-id", "secret-file", "secret-env", "key-file", "kid", "assertion-file", "resource", "ca"} {
		if cmd.Flags().Changed(name) && cmd.Flags().Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s is empty; an unset variable, perhaps", name)
		}
	}
	if f.issuer == "" {
		return withHint(errors.New("the token service is missing"), "name it with --issuer, such as --issuer https://auth.example.com")
	}
	if err := checkServiceURL(f.issuer); err != nil {
		return fmt.Errorf("--issuer: %w", err)
	}
	var ways []string
	for _, way := range []struct{ flag, value string }{
		{"--secret-file", f.secretFile}, {"--secret-env", f.secretEnv}, {"--key-file", f.keyFile}, {"--assertion-file", f.assertionFile},
	} {
		if way.value != "" {
			ways = append(ways, way.flag)
		}
	}
	const choose = "name the file of a secret or API key with --secret-file, of a private key with --key-file, or of a platform's token with --assertion-file"
	switch {
	case len(ways) == 0:
		return withHint(errors.New("it is not said who asks"), choose)
	case len(ways) > 1:
		return withHint(fmt.Errorf("%s exclude each other", strings.Join(ways, " and ")), "keep one")
	case f.keyFile != "" && f.client == "":
		return withHint(errors.New("--key-file needs the client's id"), "name it with --client-id")
	case f.assertionFile != "" && f.client != "":
		return withHint(errors.New("--client-id does not go with --assertion-file, where the service tells the client by the token"), "remove it")
	case f.kid != "" && f.keyFile == "":
		return withHint(errors.New("--kid goes with --key-file"), "remove it")
	case apikey.ContainsKey(f.client):
		return withHint(errors.New("--client-id is an API key, which others can read among the arguments"), "roll the key, and name the file that it is in with --secret-file")
	}
	for _, scope := range f.scope {
		if strings.TrimSpace(scope) == "" {
			return errors.New("--scope is empty; an unset variable, perhaps")
		}
	}
	return nil
}

// request returns what the service is asked, with the credential of the flags. Its errors
// don't show it.
func (f *tokenFlags) request(cmd *cobra.Command) (tokenRequest, error) {
	r := tokenRequest{client: f.client, scope: strings.Join(f.scope, " "), resource: f.resource, kid: f.kid}
	read := func(path, what string) (string, error) {
		text, err := readArgument(cmd, "@"+path)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", what, err)
		}
		if strings.TrimSpace(text) == "" {
			return "", fmt.Errorf("there is no %s; the file, or standard input, is empty", what)
		}
		return text, nil
	}
	var err error
	switch {
	case f.secretEnv != "":
		if r.secret = os.Getenv(f.secretEnv); r.secret == "" {
			return r, fmt.Errorf("the environment variable %s is not set, or empty", apikey.Quote(f.secretEnv))
		}
	case f.secretFile != "":
		r.secret, err = read(f.secretFile, "secret")
	case f.keyFile != "":
		var text string
		if text, err = read(f.keyFile, "private key"); err == nil {
			r.signer, err = parseSigner([]byte(text))
		}
	default:
		r.assertion, err = read(f.assertionFile, "token")
		r.assertion = strings.TrimSpace(r.assertion)
	}
	if err != nil {
		return r, err
	}
	if r.secret != "" && r.client == "" {
		id, ok := apikey.IDOf(r.secret)
		if !ok {
			return r, misuse(withHint(errors.New("the client's id is missing, and the secret is no API key that has it"), "name it with --client-id"))
		}
		r.client = id
	}
	return r, nil
}

// newTokenClient makes a client that trusts the authorities in a file; those of the system
// if it is empty.
func newTokenClient(ca string) (*tokenClient, error) {
	if ca == "" {
		return &tokenClient{http: tokenHTTP(nil)}, nil
	}
	text, err := setting.ReadFile(ca)
	if err != nil {
		return nil, located(withoutPath(ca, err))
	}
	pool, err := certPool(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ca, err)
	}
	return &tokenClient{http: tokenHTTP(pool)}, nil
}
