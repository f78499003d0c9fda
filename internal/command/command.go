package command

import (
	"fmt"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// Exit codes of all commands: 0 accepted, 1 refused or failed, 2 misused.
const exitMisuse = 2

// New is the command `caddy jwt`.
func New() caddycmd.Command {
	return caddycmd.Command{
		Name:  "jwt",
		Usage: "<command>",
		Short: "Commands of the jwt handler",
		Long: `
Commands of the jwt handler, which protects a site with JSON Web Tokens and API
keys.

  caddy jwt quickstart    a protected site on this machine, in one line
  caddy jwt status        the issuers and files of API keys of the running server
  caddy jwt api-key       makes and manages API keys
`,
		CobraFunc: func(cmd *cobra.Command) {
			misuseExits(cmd)
			cmd.AddCommand(quickstartCommand(), statusCommand(), apiKeyCommand())
			needsCommand(cmd)
		},
	}
}

// meantCommands are words that people try for commands that are called otherwise.
var meantCommands = map[string]string{
	"revoke": "disable or delete", "block": "disable", "unblock": "enable", "remove": "delete", "rm": "delete",
	"create": "new", "make": "new", "add": "new", "generate": "new", "gen": "new", "ls": "list", "show": "list",
}

// needsCommand makes a command that has others say so. Without it it prints its
// help and exits with 0, and a misspelled command in a script goes unnoticed.
func needsCommand(cmd *cobra.Command) {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	all := strings.Join(names, ", ")
	cmd.Args = cobra.ArbitraryArgs
	// The flags of a misspelled command are unknown here; the command is what is
	// wrong.
	cmd.FParseErrWhitelist.UnknownFlags = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return misuse(cmd, fmt.Errorf("a command is missing; there are: %s", all))
		}
		return misuse(cmd, fmt.Errorf("there is no %s; there are: %s", noCommand(args[0], names), all))
	}
}

// noCommand is a command that does not exist, with the one that may be meant. What
// is as long as an API key is not shown.
func noCommand(wrong string, names []string) string {
	if len(wrong) >= apikey.MinLength {
		return "such command"
	}
	meant := setting.Nearest(wrong, names)
	if other, ok := meantCommands[wrong]; ok && slices.Contains(names, strings.Fields(other)[0]) {
		meant = other
	}
	if meant == "" {
		return fmt.Sprintf("command %q", wrong)
	}
	return fmt.Sprintf("command %q (is %s meant?)", wrong, meant)
}

// misuse ends a command that was called the wrong way.
func misuse(cmd *cobra.Command, err error) error {
	cmd.SilenceUsage = true
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
		return exitMisuse, err
	})(cmd, nil)
}

// misuseExits makes wrong flags end a command as any other misuse.
func misuseExits(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(misuse)
}
