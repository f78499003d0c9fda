package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// listKeysCommand returns the command `list`.
func listKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --file <file>",
		Short: "Lists the keys of a file",
		Long: `
Lists the keys of a file: everything but their hashes.

    caddy jwt api-key list --file keys.jsonl
`,
	}
	file := fileFlag(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 0, 0, func([]string) error {
		if *file == "" {
			return misuse(errNoFile)
		}
		keys, err := apikey.OpenEdit(*file)
		if err != nil {
			return located(err)
		}
		list := []listedKey{}
		for _, r := range keys.Records() {
			list = append(list, newListedKey(r, time.Now()))
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), list)
		} else {
			err = printKeys(cmd.OutOrStdout(), list)
		}
		if err != nil {
			return err
		}
		return nil
	})
}

// listedKey is a key as `list --json` prints it: its record without the hash.
type listedKey struct {
	ID          string    `json:"id"`
	Name        string    `json:"name,omitempty"`
	Description string    `json:"description,omitempty"`
	Consumer    string    `json:"consumer"`
	Scopes      []string  `json:"scopes,omitempty"`
	State       string    `json:"state"` // enabled, disabled or expired
	Created     time.Time `json:"created,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
}

func newListedKey(r apikey.Record, now time.Time) listedKey {
	k := listedKey{
		ID: r.ID, Name: r.Name, Description: r.Description, Consumer: r.Consumer, Scopes: r.Scopes,
		State: "enabled", Created: r.Created, Expires: r.Expires,
	}
	if k.Consumer == "" {
		k.Consumer = r.ID
	}
	switch {
	case r.Disabled:
		k.State = "disabled"
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		k.State = "expired"
	}
	return k
}

// printKeys prints keys as a table.
func printKeys(out io.Writer, list []listedKey) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tCONSUMER\tSCOPES\tSTATE\tCREATED\tEXPIRES")
	date := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Format(time.DateOnly)
	}
	for _, k := range list {
		name := k.Name
		if name == "" {
			name = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Text(k.ID), terminal.Text(name), terminal.Text(k.Consumer), terminal.Text(strings.Join(k.Scopes, " ")), k.State, date(k.Created), date(k.Expires))
	}
	return w.Flush()
}
