package command

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// revokeFlags are the flags of `revoke`.
type revokeFlags struct {
	values                                      map[string]*string // by kind: the flags that name what is revoked
	issuer, store, notBefore, end, skew, reason string
	anyIssuer, dryRun, yes                      bool
	json                                        *bool
}

// revokeCommand returns the command `revoke`.
func revokeCommand() *cobra.Command {
	f := revokeFlags{values: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "revoke <@file | @-> | --jti | --sub | --client | --key | --kid | --token | --issuer <value>",
		Short: "Makes the servers refuse tokens or an API key",
		Long: `
Makes a rule by which all servers that share the state refuse tokens or an API key from
now on: the one that is asked at once, the others within their sync_interval. It prints
the rule's id, with which caddy jwt revocations delete takes the rule back.

One token, by its id (jti), or by itself:

    caddy jwt revoke --jti 8f1c… --issuer https://auth.example.com/
    caddy jwt revoke --token @token.txt

The token in a file or on standard input, by the id and issuer that it names, or by
itself if it has none, as the tokens of Entra, which have uti instead. Its signature is
not checked here: without --yes the command prints what the token says, and changes
nothing.

    pbpaste | caddy jwt revoke @- --reason 'posted in a ticket' --yes

All tokens of a user, or those issued until now, so that signing in again helps:

    caddy jwt revoke --sub alice --issuer https://auth.example.com/ --not-before now

--sub is the user's id as the log has it, or the claim sub; --client the client's id;
--kid a signing key; --key an API key's id, and the tokens made from it. --issuer alone,
with --not-before, is all tokens that an issuer issued before a time.

--issuer limits a rule to an issuer, by the exact iss of the tokens, which of an issuer
with {tid} has the id of the tenant; --any-issuer says that there is no such limit. Times
are like 2030-12-31T23:59:59Z, now, or 24h: from now for --end, ago for --not-before.

The exit code is 1 if the rule could not be stored within 10 s. While no server runs,
--config works on the storage that the config names.
`,
	}
	flags := cmd.Flags()
	for _, kind := range []struct{ name, usage string }{
		{"jti", "A token's id"}, {"sub", "A user: the claim sub, or the user's id as the log has it"},
		{"client", "A client's id: the claim client_id, azp, appid or cid"}, {"key", "The id of an API key"},
		{"kid", "The id of the key that signed the tokens"}, {"token", "One token: @FILE, or @- for standard input"},
	} {
		f.values[kind.name] = flags.String(kind.name, "", kind.usage)
	}
	flags.StringVar(&f.issuer, "issuer", "", "The issuer (iss) to which the rule is limited")
	flags.BoolVar(&f.anyIssuer, "any-issuer", false, "Don't limit the rule to an issuer")
	flags.StringVar(&f.store, "store", "", "The store of the API key, if several have a key with this id")
	flags.StringVar(&f.notBefore, "not-before", "", "Refuse only what was issued before this time: now, a time, or how long ago")
	flags.StringVar(&f.skew, "skew", "", "How far the issuer's clock may be ahead: added to --not-before")
	flags.StringVar(&f.end, "end", "", "When the rule ends: a time, or a duration such as 24h (default: never, or with the token)")
	flags.StringVar(&f.reason, "reason", "", "Why, for people")
	flags.BoolVar(&f.dryRun, "dry-run", false, "Print what would be done and change nothing")
	flags.BoolVar(&f.yes, "yes", false, "Revoke a token whose signature was not checked")
	server := endpointFlags(cmd)
	f.json = jsonFlag(cmd)
	return leaf(cmd, 0, 1, func(args []string) error { return f.run(cmd, server, args) })
}

func (f *revokeFlags) run(cmd *cobra.Command, server *serverAddress, args []string) error {
	now := time.Now()
	kind, err := f.kind(cmd, args)
	if err == nil {
		err = errors.Join(f.times(new(admin.RevocationRequest), now), server.find())
	}
	if err != nil {
		return misuse(err)
	}
	body, token, err := f.body(cmd, kind, args, now)
	if err != nil {
		return err
	}
	if token != nil && (f.dryRun || !f.yes) && kind == "" {
		if err := token.print(cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	switch {
	case f.dryRun:
		return printRule(cmd, body, *f.json)
	case kind == "" && !f.yes:
		return withHint(fmt.Errorf("nothing was changed; the rule would be of kind %s", body.Kind), "if this token is to be revoked, call the command again with --yes; --dry-run shows the rule")
	}
	a, done, err := server.open(cmd.Context(), revocationsSet)
	if err != nil {
		return err
	}
	defer done()
	made, err := a.Revoke(cmd.Context(), body)
	if err != nil {
		return refused(err)
	}
	return f.report(cmd, a, body, made)
}

// kind returns which kind of rule the flags ask for; empty for that of the token in the
// argument.
func (f *revokeFlags) kind(cmd *cobra.Command, args []string) (string, error) {
	var given []string
	for _, k := range revocation.Kinds {
		if name := k.String(); name != "issuer" && cmd.Flags().Changed(name) {
			given = append(given, name)
		}
	}
	kind := ""
	switch {
	case len(given)+len(args) > 1:
		names := make([]string, 0, len(given)+1)
		for _, name := range given {
			names = append(names, "--"+name)
		}
		if len(args) > 0 {
			names = append(names, "a token's file")
		}
		return "", withHint(fmt.Errorf("%s are different rules", strings.Join(names, " and ")), "call the command for each of them")
	case len(given) == 1:
		kind = given[0]
	case len(args) > 0 && !f.yes && isShort(args[0]):
		return "", withHint(errors.New("it is not said whose id the argument is"), "write --sub for a user, --client, --key for an API key, --kid or --jti in front of it; an argument alone is the file of a token, @FILE")
	case len(args) == 0 && cmd.Flags().Changed("issuer"):
		kind = "issuer"
	case len(args) == 0:
		return "", withHint(errors.New("what is to be revoked is missing"), "name it with --jti, --sub, --client, --key, --kid, --token or --issuer, or write @FILE for the file of a token")
	}
	return kind, f.check(cmd, kind)
}

// isShort reports whether an argument is too short for a token, and no file.
func isShort(arg string) bool {
	if strings.HasPrefix(arg, "@") || len(arg) >= apikey.MinLength {
		return false
	}
	_, err := os.Stat(arg)
	return err != nil
}

// check checks the flags that go with a kind of rule.
func (f *revokeFlags) check(cmd *cobra.Command, kind string) error {
	if v := f.values[kind]; v != nil {
		switch {
		case *v == "":
			return fmt.Errorf("--%s is empty; an unset variable, perhaps", kind)
		case kind != "token" && (apikey.CheckText(*v) == nil && isKeyText(*v)):
			id, _ := apikey.IDOf(*v)
			return withHint(fmt.Errorf("--%s is an API key itself", kind), "write its id: --key %s", id)
		case kind != "token" && looksLikeToken(*v):
			return withHint(fmt.Errorf("--%s is a token itself", kind), "write the token into a file, and --token @FILE")
		}
	}
	switch {
	case f.issuer == "" && cmd.Flags().Changed("issuer"):
		return errors.New("--issuer is empty; an unset variable, perhaps")
	case f.anyIssuer && f.issuer != "":
		return withHint(errors.New("--issuer and --any-issuer exclude each other"), "remove one")
	case kind == "kid" && f.issuer == "":
		return withHint(errors.New("--kid needs --issuer, as several issuers may have keys of the same id"), "name the issuer whose key it is")
	case kind == "issuer" && f.notBefore == "":
		return withHint(errors.New("--issuer alone needs --not-before: what the issuer issued before that time is refused"), "write --not-before now")
	case kind == "key" && (f.issuer != "" || f.anyIssuer):
		return withHint(errors.New("an API key has no issuer"), "remove --issuer and --any-issuer; --store names the key's store")
	case kind == "token" && (f.issuer != "" || f.anyIssuer):
		return withHint(errors.New("--token is about this one token, no matter who issued it"), "remove --issuer and --any-issuer")
	case (kind == "kid" || kind == "issuer") && f.anyIssuer:
		return withHint(fmt.Errorf("--%s is about one issuer", kind), "remove --any-issuer")
	case kind != "key" && f.store != "":
		return withHint(errors.New("--store goes with --key"), "remove it")
	case kind == "" && (f.issuer != "" || f.anyIssuer):
		return withHint(errors.New("the issuer is the one that the token names"), "remove --issuer and --any-issuer")
	case f.skew != "" && f.notBefore == "":
		return withHint(errors.New("--skew goes with --not-before"), "remove it")
	case f.notBefore != "" && !slices.Contains([]string{"sub", "client", "issuer"}, kind):
		return withHint(errors.New("--not-before goes with --sub, --client and --issuer"), "remove it")
	}
	return nil
}

func isKeyText(text string) bool {
	_, ok := apikey.IDOf(text)
	return ok
}

// looksLikeToken reports whether a text is a JWT.
func looksLikeToken(text string) bool { return parseTokenClaims(text).jwt }

// times sets the times of a rule.
func (f *revokeFlags) times(body *admin.RevocationRequest, now time.Time) error {
	notBefore, err := parseNotBefore(f.notBefore, now)
	if err != nil {
		return fmt.Errorf("--not-before: %w", err)
	}
	skew, err := parseSpan(f.skew)
	if err != nil {
		return fmt.Errorf("--skew: %w", err)
	}
	if !notBefore.IsZero() {
		body.NotBefore = notBefore.Add(skew)
	}
	end, err := parseEnd(f.end, now)
	if err != nil {
		return fmt.Errorf("--end: %w", err)
	}
	if !end.IsZero() {
		body.End = end.UTC()
	}
	return nil
}

// body returns the rule, and the token that it was made from, if any.
func (f *revokeFlags) body(cmd *cobra.Command, kind string, args []string, now time.Time) (admin.RevocationRequest, *tokenSays, error) {
	body := admin.RevocationRequest{Kind: kind, Issuer: f.issuer, AnyIssuer: f.anyIssuer, Store: f.store}
	var token *tokenSays
	switch kind {
	case "", "token":
		arg := *f.values["token"]
		if kind == "" {
			arg = args[0]
		}
		read, err := readToken(cmd, arg, f.yes)
		if err != nil {
			return body, nil, err
		}
		token = &read
		if kind == "" {
			body = read.rule()
		} else {
			body.Value, body.End = read.text, read.expires
		}
		if f.end == "" && !read.expires.IsZero() && !now.Before(read.expires) {
			return body, nil, withHint(fmt.Errorf("nothing was changed, as the token says that it expired at %s, and is refused anyway", shownTime(read.expires)), "--end revokes it all the same, until that time")
		}
	case "issuer":
		body.Value, body.Issuer = f.issuer, ""
	default:
		body.Value = *f.values[kind]
	}
	body.Reason = f.reason
	return body, token, f.times(&body, now)
}

// report prints what was done, and waits until it is stored.
func (f *revokeFlags) report(cmd *cobra.Command, a access, body admin.RevocationRequest, made admin.RevocationAnswer) error {
	waited := awaitStored(cmd.Context(), a, revocationsSet, made.Stored)
	made.Stored = waited == nil
	var err error
	if *f.json {
		err = printJSON(cmd.OutOrStdout(), made)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), terminal.Text(made.ID))
	}
	if err != nil {
		return err
	}
	notes := cmd.ErrOrStderr()
	if !a.offline && body.Kind != "key" {
		switch n := made.CachedTokensRefused; n {
		case -1: // the server does not know
		case 0:
			fmt.Fprintln(notes, "Warning: none of the tokens that this server has seen lately is refused by the rule. Is the value the one that tokens have?")
		case 1:
			fmt.Fprintln(notes, "One of the tokens that this server has seen lately is refused by the rule.")
		default:
			fmt.Fprintf(notes, "%d of the tokens that this server has seen lately are refused by the rule.\n", n)
		}
	}
	if len(made.APIKeysStillValid) > 0 {
		fmt.Fprintf(notes, "API keys that still work: %s\n", terminal.Text(strings.Join(made.APIKeysStillValid, " ")))
	}
	for _, note := range made.Notes {
		if note == admin.NoteNoneCached {
			continue // the warning above says it; while the server is down there is no cache
		}
		fmt.Fprintf(notes, "Note: %s\n", terminal.Text(note))
	}
	return waited
}

// printRule prints a rule that was not made.
func printRule(cmd *cobra.Command, body admin.RevocationRequest, asJSON bool) error {
	if body.Kind == "token" {
		body.Value = revocation.TokenValue(body.Value) // the token itself is not printed
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), body)
	}
	line := "kind " + body.Kind + ", value " + body.Value
	for _, member := range []struct{ name, value string }{
		{"issuer", body.Issuer}, {"store", body.Store}, {"not before", shownTime(body.NotBefore)}, {"end", shownTime(body.End)}, {"reason", body.Reason},
	} {
		if member.value != "" && member.value != "-" {
			line += ", " + member.name + " " + member.value
		}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", terminal.Text(line))
	fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was changed.")
	return err
}
