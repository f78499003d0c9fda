package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

// explainFlags are the flags of `explain`.
type explainFlags struct {
	explainRequest
	at               string
	address          string
	config, adapter  string
	issuer, audience string
	jwks, log        string
	json             *bool
}

// explainCommand returns the command `explain`.
func explainCommand(offline ExplainOffline) *cobra.Command {
	f := new(explainFlags)
	cmd := &cobra.Command{
		Use:   "explain [@file | @-]",
		Short: "Says why a token, an API key or a request is refused, or for whom it is accepted",
		Long: `
Says what a server makes of a token or an API key: every check, with what was seen and what
was wanted, the one that decides, the site and the jwt block, and what to do about it.
Nothing happens by it: no request is made, nothing is counted or used up.

An issuer is not asked about a token that only it understands (introspection), unless you add
--introspect: then it learns of the token, as it does by a request.

A user says "I get 401", and you have the token, in a file or in the clipboard:

    caddy jwt explain @token.txt --uri https://api.example.com/orders
    pbpaste | caddy jwt explain @- --uri https://api.example.com/orders

You have only the line of the access log, or of the log of refusals:

    caddy jwt explain --log @line.json

You have nothing but the address: what does a client without a token get?

    caddy jwt explain --uri https://api.example.com/orders

It is about one method, or a header counts (a value @FILE is read from the file):

    caddy jwt explain @token.txt --uri https://api.example.com/orders --method DELETE
    caddy jwt explain --uri https://api.example.com/ --header 'Authorization: @header.txt'

These ask the running server, on this machine, through its admin endpoint (--address names
another). Without a server, by a config; and by none, with an issuer's own keys:

    caddy jwt explain @token.txt --config Caddyfile --uri https://api.example.com/orders
    caddy jwt explain @token.txt --config Caddyfile --jwks keys.json
    caddy jwt explain @token.txt --issuer https://auth.example.com/ --audience https://api.example.com

The file may hold the token alone, a whole header (Authorization: Bearer …), or what a token
endpoint answered. A token among the arguments would stay in the shell's history, so it is
taken only with --yes.

To read the answer: ok is as wanted, FAILED is not, skipped was not asked for or could not
be checked after what failed, unknown could not be checked here. The check marked with > is
why the request is refused. What follows "What to do" says what to change.

The exit code is 0 if the request is accepted; 1 if it is refused, or the command failed;
2 if it was called in a wrong way. Without a token or key, 0 says that the request is let
through; with --log, that a line is about a request, refused or not.
`,
	}
	flags := cmd.Flags()
	f.addFlags(flags)
	flags.StringVar(&f.log, "log", "", "Explain a line of the log: @FILE, @- or the line")
	flags.StringVar(&f.address, "address", "", "The address of the admin endpoint, if it is another than the default")
	flags.StringVarP(&f.config, "config", "c", "", "Explain by this config file, without a server")
	flags.StringVarP(&f.adapter, "adapter", "a", "", "The config adapter to apply to that file")
	flags.StringVar(&f.jwks, "jwks", "", "With --config or --issuer: a file with the public keys of the issuer, a key set or PEM")
	flags.StringVar(&f.at, "at", "", "With --config or --issuer: the time of the request: a time, 24h from now, or -24h, ago (default: now)")
	flags.StringVar(&f.issuer, "issuer", "", "Explain without a config: the only issuer, whose keys are fetched")
	flags.StringVar(&f.audience, "audience", "", "With --issuer: the audience that the token must have")
	f.json = jsonFlag(cmd)
	return leaf(cmd, 0, 1, func(args []string) error { return f.run(cmd, offline, args) })
}

func (f *explainFlags) run(cmd *cobra.Command, offline ExplainOffline, args []string) error {
	at, err := f.check(cmd, args)
	if err != nil {
		return misuse(err)
	}
	if f.log != "" {
		return explainLog(cmd, f.log, &serverAddress{address: f.address}, *f.json)
	}
	q, given, err := f.question(cmd, args)
	if err != nil {
		return err
	}
	q.At = at
	report, err := f.ask(cmd, offline, &q)
	if err != nil {
		return err
	}
	if *f.json {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = printReport(cmd.OutOrStdout(), &report, given)
	}
	if err != nil {
		return err
	}
	if !letThrough(&report, given) {
		return errNotAccepted
	}
	return nil
}

// errNotAccepted makes the exit code 1. The report says why.
var errNotAccepted = saidError{errors.New("the request is not accepted")}

// letThrough reports whether the answer is what the caller hopes for: the credential is
// accepted or, if none was given, the request is let through.
func letThrough(r *explain.Report, given bool) bool {
	switch r.Verdict {
	case explain.Accepted:
		return true
	case explain.Anonymous, explain.Unprotected:
		return !given
	}
	return false
}

// check finds what is wrong with the flags, and returns the time that --at names.
func (f *explainFlags) check(cmd *cobra.Command, args []string) (at time.Time, err error) {
	changed := cmd.Flags().Changed
	offline := changed("config") || changed("issuer")
	together := func(one, other string) error {
		if changed(one) && changed(other) {
			return withHint(fmt.Errorf("--%s and --%s can't be together", one, other), "remove one")
		}
		return nil
	}
	only := func(name string) error {
		if changed(name) && !offline {
			return withHint(fmt.Errorf("the running server has no --%s", name), "--config FILE explains without it, and --issuer without a config")
		}
		return nil
	}
	if err = errors.Join(together("address", "config"), together("address", "issuer"), together("config", "issuer"), only("at"), only("jwks")); err != nil {
		return at, err
	}
	for _, name := range []string{"config", "issuer", "jwks", "log"} {
		if value, _ := cmd.Flags().GetString(name); changed(name) && value == "" {
			return at, fmt.Errorf("--%s is empty", name)
		}
	}
	switch {
	case changed("introspect") && offline:
		return at, withHint(errors.New("--introspect asks through the running server, which has the client's secret"), "remove it, or --config and --issuer")
	case changed("adapter") && !changed("config"):
		return at, errors.New("--adapter needs --config")
	case changed("issuer") != (f.audience != ""):
		return at, withHint(errors.New("--issuer and --audience belong together"), "name both: who issued the token, exactly as its iss says, and the audience that it must have")
	case changed("log"):
		if len(args) > 0 || offline || f.changed(cmd.Flags()) {
			return at, withHint(errors.New("--log explains what the line says"), "remove the token and the flags of the request, or --log")
		}
	}
	if f.at == "" {
		return at, nil
	}
	return parseAt(f.at, time.Now())
}

// parseAt parses the time of a request: RFC 3339, now, or a duration from now, which may be
// negative.
func parseAt(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now.UTC(), nil
	}
	if d, err := caddy.ParseDuration(text); err == nil {
		return now.Add(d).UTC(), nil
	}
	t, err := apikey.ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("--at: %w, now, 24h from now, or -24h, ago", err)
	}
	return t.UTC(), nil
}

// ask asks the server, or the config that the flags name.
func (f *explainFlags) ask(cmd *cobra.Command, offline ExplainOffline, q *explain.Question) (explain.Report, error) {
	if f.config == "" && f.issuer == "" {
		return f.askServer(cmd.Context(), q)
	}
	o := explain.Offline{Question: *q, Path: f.config, Adapter: f.adapter}
	if f.jwks != "" {
		keys, err := readArgument(cmd, "@"+strings.TrimPrefix(f.jwks, "@"))
		if err != nil {
			return explain.Report{}, fmt.Errorf("reading the keys of --jwks: %w", err)
		}
		o.JWKS = []byte(keys)
	}
	if f.issuer != "" {
		o.Config = explain.LiveConfig(f.issuer, f.audience)
		o.Fetch = f.jwks == ""
	}
	return offline(cmd.Context(), &o)
}

// askServer asks the running server.
func (f *explainFlags) askServer(ctx context.Context, q *explain.Question) (explain.Report, error) {
	endpoint, err := admin.Endpoint(f.address, "", "")
	if err != nil {
		return explain.Report{}, misuse(err)
	}
	report, err := (&admin.Client{Address: endpoint}).Explain(ctx, q)
	if _, silent := errors.AsType[*admin.NoAnswerError](err); silent {
		return report, withHint(err, "is its admin endpoint elsewhere? name it with --address; --config FILE explains by a config, without a server")
	}
	if failed, ok := errors.AsType[*admin.StatusError](err); ok && failed.Code == http.StatusNotFound {
		return report, withHint(fmt.Errorf("the server at %s can't explain: it has no jwt plugin, an older one, or no config with jwt", endpoint),
			"--config FILE explains by its config, without asking it")
	}
	if other, ok := errors.AsType[admin.NotOursError](err); ok {
		return report, fmt.Errorf("the server at %s does not answer with a report of caddy-jwt: %w", endpoint, other.Err)
	}
	return report, refused(err)
}
