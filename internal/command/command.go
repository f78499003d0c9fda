// Package command is the command `caddy jwt`.
//
// # Rules of the command line
//
// Every command follows them; rulebook_test.go checks what can be checked.
//
// Output. The result goes to standard output and everything else to standard error, so
// that scripts read the one and people see the other. Without --json the result is a line,
// a table or the one thing that was asked for. --json prints it as one JSON value, or, of a
// command that goes on, one object a line. Its members are documented in docs/reference;
// new ones may be added, none is renamed or removed.
//
// Exit code. 0: the command did what it says. 1: it was refused or has failed, or what was
// asked about is not well. 2: it was misused; that is found before anything is changed.
//
// Errors say what is wrong, then what to do (withHint). They never repeat a credential.
//
// Changes. Nothing is asked on a terminal, as a script would hang. What the arguments name
// one by one is done at once. What goes beyond it (what nobody has verified, or more than
// was named) needs --yes; without it, the command says what it would do, and exits with 1.
// A command that finds out by itself what to change has --dry-run, which prints the result
// as it would be, changes nothing, and exits with 0. Files are made with mode 0600, and
// never overwritten; a key file is only changed as a whole.
//
// Times. A flag takes RFC 3339, such as 2030-12-31T23:59:59Z, or a duration such as 90d,
// 24h or 1h30m from now (of --not-before: ago), and where it makes sense now or never. Output
// has RFC 3339 by UTC, or the day alone in a wide table, and "-" for none. What is given
// or shown as a span is a duration.
//
// Ids are printed as flags and arguments take them, alone where they are the result. Where an
// argument may be an id, a token or a key, @FILE reads it from a file and @- from standard
// input; several ids are one a line. An argument that is always a file is its path, or @-. A
// flag that ends in -file takes a path, or - for standard input.
//
// Secrets. The command that makes a key or a token prints it, alone on standard output, and
// no other command does. It is never an argument, which the shell's history and the list of
// processes show, unless --yes insists.
//
// The running server is found by --address, or by --config (and --adapter), the same flags
// everywhere; else it is Caddy's default. Where a command works without a server, --config
// names what it works on.
//
// Text from others (a file, a server, an issuer, a request) is printed with escapes in place
// of characters that control a terminal. All output and all errors go through package
// terminal; a line of a table does so text by text, as the ends of lines count there.
//
// Help. Short is a sentence without a full stop, Long has an example that can be pasted.
// The usage of a flag begins with a capital, has no full stop, and ends with the default,
// if there is one: (default: …). Words, flags, ids and sites are completed (complete.go).
//
// # Files
//
// To add a command, write a file with a function that returns it, made by leaf (or by
// group, if it has commands of its own), and name that function in the list of its
// group: New, or apiKeyCommand. What it changes, or that it changes nothing, is in a table
// of rulebook_test.go.
//
//	command.go            New, and what commands are made of: group and leaf
//	complete*.go          what shells complete
//	errors.go             exit codes, misuse, hints
//	flags.go print.go     flags and output that commands share
//	quickstart*.go        caddy jwt quickstart
//	status*.go            caddy jwt status
//	watch.go              caddy jwt watch
//	explain*.go           caddy jwt explain
//	revoke*.go            caddy jwt revoke
//	revocations.go        caddy jwt revocations
//	rotate.go             caddy jwt rotate
//	token*.go             caddy jwt token
//	decode*.go            caddy jwt decode
//	sign*.go keygen.go jwks.go  caddy jwt sign, keygen and jwks
//	desk.go nocore*.go    what these share: files of secrets, and tokens in whatever form
//	state*.go             caddy jwt state
//	apikey.go             caddy jwt api-key; its commands are in apikey_*.go
//	takeover.go           changing a key file, and waiting for the running server
//	access.go offline*.go reading and changing shared state: through the running server,
//	                      or in the storage of a config whose server is down
//	when.go ids.go        times and ids as people write them
package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// ExplainOffline answers a question about a config that no server runs. It is in the root
// package, as it needs the modules themselves.
type ExplainOffline func(ctx context.Context, o *explain.Offline) (explain.Report, error)

// New returns the command `caddy jwt`.
func New(offline ExplainOffline) caddycmd.Command {
	return caddycmd.Command{
		Name:  "jwt",
		Usage: "<command>",
		Short: "Commands of the jwt handler",
		Long: `
Commands of the jwt handler, which protects a site with JSON Web Tokens and API
keys.

  caddy jwt quickstart    a protected site on this machine, in one line
  caddy jwt status        the issuers, API keys and shared state of the running server
  caddy jwt watch         prints refused requests as they happen
  caddy jwt explain       says why a token, an API key or a request is refused
  caddy jwt revoke        makes the servers refuse tokens or an API key
  caddy jwt revocations   lists what is revoked, and takes it back
  caddy jwt api-key       makes and manages API keys
  caddy jwt decode        shows what a token says, without checking it
  caddy jwt sign          makes a token
  caddy jwt keygen        makes a key to sign with
  caddy jwt jwks          makes a key set of public keys
  caddy jwt token         fetches a token from a token service
  caddy jwt rotate        changes the signing keys of a token service
  caddy jwt state         repairs the state that servers share
`,
		CobraFunc: func(cmd *cobra.Command) {
			group(cmd, quickstartCommand(), statusCommand(), watchCommand(), explainCommand(offline), revokeCommand(), revocationsCommand(), apiKeyCommand(), decodeCommand(), signCommand(), keygenCommand(), jwksCommand(), tokenCommand(), rotateCommand(), stateCommand())
			completions(cmd, "")
		},
	}
}

// leaf makes cmd a command that takes minArgs to maxArgs arguments and calls run. A
// misuse, and only that, is an error made by misuse.
func leaf(cmd *cobra.Command, minArgs, maxArgs int, run func(args []string) error) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, misuse(flagError(cmd, err))) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		noCoreFiles() // before any secret is read or made
		cmd.SetOut(terminal.NewWriter(cmd.OutOrStdout()))
		cmd.SetErr(terminal.NewWriter(cmd.ErrOrStderr()))
		if len(args) < minArgs || len(args) > maxArgs {
			return exit(cmd, misuse(withHint(fmt.Errorf("usage: %s %s", cmd.Parent().CommandPath(), cmd.Use), "see %s", helpFor(cmd))))
		}
		return exit(cmd, run(args))
	}
	return cmd
}

// group makes cmd a command of commands. Called without one it is a misuse: Cobra
// would print its help and exit with 0, and a misspelled command in a script would go
// unnoticed.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	all := strings.Join(names, ", ")
	cmd.Args = cobra.ArbitraryArgs
	// The flags of a misspelled command are unknown here; the error is about the
	// command.
	cmd.FParseErrWhitelist.UnknownFlags = true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, misuse(err)) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return exit(cmd, misuse(withHint(errors.New("a command is missing"), "the commands are: %s", all)))
		}
		return exit(cmd, misuse(withHint(errors.New(unknownCommand(args[0], names)), "the commands are: %s", all)))
	}
	return cmd
}

// helpFor returns the command that prints the help for cmd.
func helpFor(cmd *cobra.Command) string {
	return strings.Replace(cmd.CommandPath(), " ", " help ", 1)
}

// synonyms are words that people try, and the commands that do what they want.
var synonyms = map[string]string{
	"revoke": "disable or delete", "block": "disable", "unblock": "enable", "remove": "delete", "rm": "delete",
	"create": "new", "make": "new", "add": "new", "generate": "new", "gen": "new", "ls": "list", "show": "list",
	"rotate": "roll", "renew": "roll", "regenerate": "roll", "update": "edit", "change": "edit", "set": "edit",
	"get": "list", "describe": "list", "sign": "accept", "trust": "accept", "restore": "replay", "apply": "replay",
	"key": "api-key", "keys": "api-key", "apikey": "api-key", "apikeys": "api-key", "api-keys": "api-key",
	"ban": "revoke", "blacklist": "revoke", "blocklist": "revoke", "logout": "revoke", "invalidate": "revoke",
	"unrevoke": "revocations delete", "denylist": "revocations", "rules": "revocations", "revoked": "revocations",
	"health": "status", "info": "status", "ready": "status --ready", "nodes": "status",
}

// unknownCommand describes a command that does not exist, with the one that may be
// meant. What is as long as an API key is not repeated.
func unknownCommand(wrong string, names []string) string {
	if len(wrong) >= apikey.MinLength {
		return "unknown command"
	}
	meant := setting.Nearest(wrong, names)
	if other, ok := synonyms[wrong]; ok && slices.Contains(names, strings.Fields(other)[0]) {
		meant = other
	}
	if meant == "" {
		return fmt.Sprintf("unknown command %q", wrong)
	}
	return fmt.Sprintf("unknown command %q (is %s meant?)", wrong, meant)
}
