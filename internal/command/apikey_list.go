package command

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// listKeysCommand returns the command `list`.
func listKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --file <file> | --store <store> [--expiring <duration>] [--unused <duration>]",
		Short: "Lists the keys of a file or a store",
		Long: `
Lists the keys of a file or of a store: everything but their hashes.

    caddy jwt api-key list --file keys.jsonl
    caddy jwt api-key list --store partners --expiring 14d

--expiring selects keys that expire within a time, and have not yet. --unused selects
keys of a store that were not used for a time, nor made within it. With --json the ids
can be handed on:

    caddy jwt api-key list --store partners --unused 90d --json | jq -r '.[].id' |
        caddy jwt api-key disable @- --store partners
`,
	}
	file, store := fileFlag(cmd), storeFlag(cmd)
	expiring := cmd.Flags().String("expiring", "", "Only keys that expire within this time, such as 14d")
	unused := cmd.Flags().String("unused", "", "Only keys of a store that were not used for this time, such as 90d")
	server := endpointFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 0, 0, func([]string) error {
		within, err := checkSpan(cmd, "expiring", *expiring)
		_, errUnused := checkSpan(cmd, "unused", *unused)
		err = errors.Join(err, errUnused, checkPlace(cmd, *file, *store))
		if err == nil && *file != "" && *unused != "" {
			err = withHint(errors.New("--unused goes with --store"), "uses of keys in files are not counted")
		}
		if err == nil && *store != "" {
			err = server.find()
		}
		if err != nil {
			return misuse(err)
		}
		if *store != "" {
			return listStore(cmd, server, admin.KeyQuery{Store: *store, Expiring: *expiring, Unused: *unused}, *asJSON)
		}
		keys, err := apikey.OpenEdit(*file)
		if err != nil {
			return located(err)
		}
		list, now := []listedKey{}, time.Now()
		for _, r := range keys.Records() {
			if *expiring == "" || now.Before(r.Expires) && !now.Add(within).Before(r.Expires) {
				list = append(list, newListedKey(r, now))
			}
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		return printKeys(cmd.OutOrStdout(), list)
	})
}

// checkSpan parses the duration of a flag, which must not be empty if it is given.
func checkSpan(cmd *cobra.Command, flag, text string) (time.Duration, error) {
	d, err := parseSpan(text)
	if err == nil && (text == "" || d == 0) && cmd.Flags().Changed(flag) {
		err = errors.New("it must be a duration above 0, such as 90d")
	}
	if err != nil {
		err = fmt.Errorf("--%s: %w", flag, err)
	}
	return d, err
}

// listStore lists the keys of a store.
func listStore(cmd *cobra.Command, server *serverAddress, q admin.KeyQuery, asJSON bool) error {
	k, done, err := server.openStore(cmd, q.Store)
	if err != nil {
		return err
	}
	defer done()
	keys := []admin.KeyItem{}
	if err := eachKey(cmd.Context(), k.access, q, func(key admin.KeyItem) bool {
		keys = append(keys, key)
		return true
	}); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), keys)
	}
	return printStoredKeys(cmd.OutOrStdout(), keys)
}

// printStoredKeys prints keys of a store as a table.
func printStoredKeys(out io.Writer, keys []admin.KeyItem) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tCONSUMER\tSCOPES\tSTATE\tCREATED\tEXPIRES\tLAST USED\tUSES, 30 DAYS")
	for _, k := range keys {
		last, uses := "-", "-"
		if k.Uses != nil {
			last, uses = date(k.Uses.Last), strconv.FormatUint(k.Uses.Days30, 10)
		}
		state := k.State
		if !k.OldUntil.IsZero() {
			state += ", rolled"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(k.ID), cell(k.Name), cell(k.Consumer), cell(strings.Join(k.Scopes, " ")), cell(state),
			date(k.Created), date(k.Expires), last, uses)
	}
	return w.Flush()
}

// date is a day as people read it, "-" for none.
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
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
	for _, k := range list {
		name := k.Name
		if name == "" {
			name = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Text(k.ID), terminal.Text(name), terminal.Text(k.Consumer), terminal.Text(strings.Join(k.Scopes, " ")), k.State, date(k.Created), date(k.Expires))
	}
	return w.Flush()
}
