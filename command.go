package caddyjwt

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Exit codes of all commands: 0 accepted, 1 refused or failed, 2 misused.
const exitMisuse = 2

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "jwt",
		Usage: "<command>",
		Short: "Commands of the jwt handler",
		Long: `
Commands of the jwt handler, which protects a site with JSON Web Tokens.

  caddy jwt quickstart    a protected site on this machine, in one line
  caddy jwt status        the issuers of the running server and their keys
`,
		CobraFunc: func(cmd *cobra.Command) {
			misuseExits(cmd)
			// Without this the parent prints its help and exits with 0, and a
			// misspelled command in a script goes unnoticed.
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return misuse(cmd, errors.New("a command is missing; there are: quickstart, status"))
				}
				return misuse(cmd, fmt.Errorf("there is no command %q; there are: quickstart, status", args[0]))
			}
			cmd.AddCommand(quickstartCommand(), statusCommand())
		},
	})
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
