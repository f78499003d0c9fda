package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// listedKey is a key as `list --json` has it: its record without the hash.
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

func listed(r apikey.Record, now time.Time) listedKey {
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
	return runs(cmd, 0, 0, func([]string) (int, error) {
		if *file == "" {
			return exitMisuse, errNoFile
		}
		keys, err := apikey.OpenEdit(*file)
		if err != nil {
			return caddy.ExitCodeFailedStartup, here(err)
		}
		list := []listedKey{}
		for _, r := range keys.Records() {
			list = append(list, listed(r, time.Now()))
		}
		if wantsJSON(cmd) {
			err = printJSON(cmd.OutOrStdout(), list)
		} else {
			err = printKeys(cmd.OutOrStdout(), list)
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
}

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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, printable(name), k.Consumer, strings.Join(k.Scopes, " "), k.State, date(k.Created), date(k.Expires))
	}
	return w.Flush()
}

// printable keeps what a file says from moving a terminal's cursor.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return '?'
		}
		return c
	}, text)
}

func fileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("file", "f", "", "The key file")
}

// appendFlag names a file that keys are added to; --file means the same.
func appendFlag(cmd *cobra.Command, usage string) *string {
	file := cmd.Flags().String("append", "", usage)
	cmd.Flags().StringVarP(file, "file", "f", "", "The same as --append")
	return file
}

// oneAppend tells of both names of the flag at once, of which one would not count.
func oneAppend(cmd *cobra.Command) error {
	if cmd.Flags().Changed("append") && cmd.Flags().Changed("file") {
		return errors.New("--append and --file mean the same; leave one out")
	}
	return nil
}

var errNoFile = errors.New("name the key file with --file, such as --file /etc/caddy/keys.jsonl")

// here says where a relative path was looked up.
func here(err error) error {
	if missing, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) {
		return relativeToHere(missing, missing.Path)
	}
	return err
}

func relativeToHere(err error, path string) error {
	dir, unknown := os.Getwd()
	if unknown != nil || filepath.IsAbs(path) {
		return err
	}
	return fmt.Errorf("%w (relative to %s, where you called this)", err, dir)
}

// unnamed takes the path out of an error where it looks like an API key: somebody
// has written @ before one.
func unnamed(path string, err error) error {
	named := filepath.IsAbs(path) || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../")
	if named || apikey.CheckText(path) != nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.New("there is no file of this name; a key itself is written without @")
}

// switchKeyCommand is disable or enable.
func switchKeyCommand(name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " <id | key | @file | @-> --file <file>",
		Short: map[string]string{"disable": "Makes the server refuse a key", "enable": "Makes the server accept a key again"}[name],
		Long: map[string]string{
			"disable": `
Marks a key as disabled in its file, by its id or by the key itself, and waits until
a running server that uses the file refuses it. enable undoes it.

    caddy jwt api-key disable NBEu81yBXx --file /etc/caddy/keys/keys.jsonl
    caddy jwt api-key disable @leaked.txt --file /etc/caddy/keys/keys.jsonl
`,
			"enable": `
Takes a disable back, by the key's id or by the key itself, and waits until a running
server that uses the file accepts the key. A key that has expired stays so.

    caddy jwt api-key enable NBEu81yBXx --file /etc/caddy/keys/keys.jsonl
`,
		}[name],
	}
	return changesKey(cmd, name, func(f *apikey.Edit, r apikey.Record) error {
		r.Disabled = name == "disable"
		return f.Put(r)
	})
}

func deleteKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete <id | key | @file | @-> --file <file>",
		Short: "Removes a key",
		Long: `
Removes the record of a key from a file, by its id or by the key itself, and waits
until a running server that uses the file refuses the key. It can't be undone;
disable can.

    caddy jwt api-key delete NBEu81yBXx --file /etc/caddy/keys/keys.jsonl
`,
	}
	return changesKey(cmd, "delete", func(f *apikey.Edit, r apikey.Record) error {
		f.Delete(r.ID)
		return nil
	})
}

// changesKey makes a command of a change to one key of a file.
func changesKey(cmd *cobra.Command, action string, change func(*apikey.Edit, apikey.Record) error) *cobra.Command {
	file, server := fileFlag(cmd), serverFlags(cmd)
	return runs(cmd, 1, 1, func(args []string) (int, error) {
		if *file == "" {
			return exitMisuse, errNoFile
		}
		if err := server.find(); err != nil {
			return exitMisuse, err
		}
		which, err := argument(cmd, args[0])
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		which = strings.TrimSpace(which) // as it may be where it was copied from
		var record apikey.Record
		changed, err := changeKeyFile(*file, false, func(f *apikey.Edit) error {
			var ok bool
			if record, ok = f.Find(which); !ok {
				if record, ok = f.FindHash(apikey.DigestOf(which)); !ok {
					return noSuchKey(f, *file, which)
				}
			}
			return change(f, record)
		})
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		if wantsJSON(cmd) {
			err = printJSON(cmd.OutOrStdout(), struct {
				ID     string `json:"id"`
				Action string `json:"action"`
			}{record.ID, action + "d"})
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %sd\n", record.ID, action)
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return server.await(cmd, changed)
	})
}

// noSuchKey says that a file has no such key, and which keys have the word for a
// consumer or a name: people write these for an id.
func noSuchKey(f *apikey.Edit, file, which string) error {
	var ids []string
	for _, r := range f.Records() {
		if r.Consumer == which || r.Name == which {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return fmt.Errorf("%s has no such key; caddy jwt api-key list --file %s shows their ids", file, file)
	}
	const most = 10
	if more := len(ids) - most; more > 0 {
		ids = append(ids[:most], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%s has no key with this id; as a consumer or name it belongs to the key with the id: %s", file, strings.Join(ids, ", "))
}
