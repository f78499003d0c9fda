package command

import (
	"fmt"

	"github.com/spf13/cobra"
)

// stateCommand returns the command `state`.
func stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state <command>",
		Short: "Repairs the state that servers share",
		Long: `
Repairs the state that servers share: revocations and stores of API keys. caddy jwt
status shows how it is.

  caddy jwt state accept    signs what is in the storage without a signature
  caddy jwt state replay    revokes, disables and deletes again what an audit log has
`,
	}
	return group(cmd, acceptStateCommand(), replayStateCommand())
}

// acceptStateCommand returns the command `state accept`.
func acceptStateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accept",
		Short: "Signs what is in the storage without a signature",
		Long: `
Signs what is in the storage without a signature, with the key that the option state of
the config has. It is for a set that was made before there was a key: until then servers
don't trust it, and caddy jwt status calls it unsigned. Anyone who could write to the storage
may have written what is there: objects of it are lines of JSON, to look at.

    caddy jwt state accept
`,
	}
	server := endpointFlags(cmd)
	server.unsigned = true
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 0, 0, func([]string) error {
		if err := server.find(); err != nil {
			return misuse(err)
		}
		a, done, err := server.open(cmd.Context(), "")
		if err != nil {
			return err
		}
		defer done()
		answer, err := a.Accept(cmd.Context())
		if err != nil {
			return refused(err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d objects signed\n", answer.Signed)
		return err
	})
}
