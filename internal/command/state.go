package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
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
		Use:   "accept [--dry-run]",
		Short: "Signs what is in the storage without a signature",
		Long: `
Signs what is in the storage without a signature, with the key that the option state of
the config has. It is for a set that was made before there was a key: until then servers
don't trust it, and caddy jwt status calls it unsigned. Anyone who could write to the storage
may have written what is there: objects of it are lines of JSON, to look at. --dry-run
prints the sets that are unsigned, and changes nothing.

    caddy jwt state accept --dry-run
    caddy jwt state accept
`,
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "Print what would be done and change nothing")
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
		if *dryRun {
			return unsignedSets(cmd, a, *asJSON)
		}
		answer, err := a.Accept(cmd.Context())
		if err != nil {
			return refused(err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s signed\n", counted(answer.Signed, "object"))
		return err
	})
}

// unsignedSets prints the sets that accept would sign.
func unsignedSets(cmd *cobra.Command, a access, asJSON bool) error {
	page, _, err := a.Status(cmd.Context())
	if err != nil {
		return err
	}
	report := struct {
		Unsigned []string `json:"unsigned"`
	}{[]string{}}
	if page.State != nil {
		for i := range page.State.Sets {
			if s := &page.State.Sets[i]; s.Unsigned {
				report.Unsigned = append(report.Unsigned, s.Name)
			}
		}
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	for _, name := range report.Unsigned {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), terminal.Text(name)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was changed.")
	return err
}
