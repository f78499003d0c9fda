// Package command is the command `caddy jwt`.
//
// All commands follow the same rules:
//
//   - The result goes to standard output, everything else to standard error, so that
//     scripts can read the one and people see the other.
//   - The exit code is 0 if the command did what it says, 1 if it was refused or
//     failed, and 2 if it was misused. Misuse is found before anything is changed.
//   - --json prints the result as one JSON value.
//   - An error says what is wrong, then what to do (withHint).
//   - An API key is printed by the command that makes it and by no other, errors
//     included.
//   - What others wrote (a file, a server, an issuer) is printed with escapes in place of
//     characters that control a terminal. All output and all errors go through package
//     terminal; a line of a table does so text by text, as the ends of lines count there.
//
// To add a command, write a file with a function that returns it, made by leaf (or by
// group, if it has commands of its own), and name that function in the list of its
// group: New, or apiKeyCommand.
//
//	command.go            New, and what commands are made of: group and leaf
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
			group(cmd, quickstartCommand(), statusCommand(), explainCommand(offline), watchCommand(), revokeCommand(), revocationsCommand(), apiKeyCommand(), decodeCommand(), signCommand(), keygenCommand(), jwksCommand(), tokenCommand(), rotateCommand(), stateCommand())
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
