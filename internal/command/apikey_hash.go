package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// hashKeyCommand returns the command `hash`.
func hashKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash <key | @file | @->",
		Short: "Prints the hash of an API key",
		Long: `
Prints the hash of an API key, as a Caddyfile or a key file has it.

    printf '%s' "$KEY" | caddy jwt api-key hash @-
`,
	}
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		key, err := readArgument(cmd, args[0])
		if err != nil {
			return err
		}
		if err := apikey.CheckText(key); err != nil {
			return err
		}
		if apikey.Weak(key) {
			fmt.Fprintln(cmd.ErrOrStderr(), "The key has few different characters and could be guessed; caddy jwt api-key new makes a good one.")
		}
		hash := apikey.DigestOf(key).String()
		if !*asJSON {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
		} else {
			err = printJSON(cmd.OutOrStdout(), struct {
				Hash string `json:"hash"`
			}{hash})
		}
		if err != nil {
			return err
		}
		return nil
	})
}
