package caddyjwt

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

	"github.com/caddy-jwt/caddy-jwt/keystore"
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

func listed(r keystore.APIKeyRecord, now time.Time) listedKey {
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
		keys, err := keystore.OpenKeyFile(*file)
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
	if named || keystore.CheckAPIKey(path) != nil || !errors.Is(err, fs.ErrNotExist) {
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
	return changesKey(cmd, name, func(f *keystore.KeyFile, r keystore.APIKeyRecord) error {
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
	return changesKey(cmd, "delete", func(f *keystore.KeyFile, r keystore.APIKeyRecord) error {
		f.Delete(r.ID)
		return nil
	})
}

// changesKey makes a command of a change to one key of a file.
func changesKey(cmd *cobra.Command, action string, change func(*keystore.KeyFile, keystore.APIKeyRecord) error) *cobra.Command {
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
		var record keystore.APIKeyRecord
		changed, err := changeKeyFile(*file, false, func(f *keystore.KeyFile) error {
			var ok bool
			if record, ok = f.Find(which); !ok {
				if record, ok = f.FindHash(keystore.DigestOf(which)); !ok {
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
func noSuchKey(f *keystore.KeyFile, file, which string) error {
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

// importReport is what `import --json` prints. Where nothing was written it has the
// rows that can't be taken, and no others.
type importReport struct {
	Written bool                    `json:"written"`
	Rows    int                     `json:"rows"`
	Counts  map[string]int          `json:"counts"` // by action
	Keys    []keystore.ImportResult `json:"keys"`
}

func importKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import <keys.csv | keys.jsonl | @-> --append <file> [--strict]",
		Short: "Takes keys over from AWS API Gateway, or from another key file",
		Long: `
Takes keys over into a key file, which is made if it is not there, and reports what
became of each row:

- the CSV of AWS API Gateway's key file, with the columns Name and Key, and
  Description, Enabled and UsagePlanIds where there are any; the guide
  docs/guides/from-aws-api-gateway.md says how to make it. The keys work on; of
  them only their hashes are kept. Usage plans become scopes.
- the lines of another key file, with hashes for keys.

A row that can't be taken is skipped and said to be; with --strict nothing is
written if there is one, and the exit code is 1. A file that is no such file at all
changes nothing.

    caddy jwt api-key import keys.csv --append /etc/caddy/keys/keys.jsonl

It waits until a running server that uses the file has taken the keys over. There is
no undoing it but to disable or delete keys; keep a copy of the file if in doubt.
`,
	}
	into := appendFlag(cmd, "The key file to take them into")
	strict := cmd.Flags().Bool("strict", false, "Take all rows, or none")
	server := serverFlags(cmd)
	return runs(cmd, 1, 1, func(args []string) (int, error) {
		if *into == "" {
			return exitMisuse, errors.New("name the key file to take the keys into with --append, such as --append /etc/caddy/keys.jsonl")
		}
		if err := errors.Join(oneAppend(cmd), server.find()); err != nil {
			return exitMisuse, err
		}
		content, err := importSource(cmd, args[0])
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		rows, err := keystore.ReadImport(content)
		if err != nil {
			return caddy.ExitCodeFailedStartup, fmt.Errorf("%s: %w", args[0], err)
		}
		var results []keystore.ImportResult
		change, err := changeKeyFile(*into, true, func(f *keystore.KeyFile) error {
			results = f.Import(rows, time.Now())
			switch skipped := len(reportOf(results, false).Keys); {
			case *strict && skipped > 0:
				return errSkipped
			case skipped == len(results):
				return errNothingToTake
			}
			return nil
		})
		written := change.info != nil
		if written || errors.Is(err, errSkipped) || errors.Is(err, errNothingToTake) {
			if printErr := reportOf(results, written).print(cmd); printErr != nil {
				return caddy.ExitCodeFailedStartup, printErr
			}
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return server.await(cmd, change)
	})
}

var (
	errSkipped       = errors.New("nothing was written, as rows would be skipped; mend them, or leave --strict out")
	errNothingToTake = errors.New("nothing was written, as there is no row that can be taken")
)

// maxImport bounds what is read of standard input, which may have no end.
const maxImport = 256 << 20

// importSource reads the file to import: its path, @path or @-.
func importSource(cmd *cobra.Command, arg string) ([]byte, error) {
	path := strings.TrimPrefix(arg, "@")
	if path == "-" {
		content, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxImport+1))
		if err == nil && len(content) > maxImport {
			err = fmt.Errorf("standard input holds more than %d MiB; import a file", maxImport>>20)
		}
		return content, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; write @- to import what a program prints", path)
	}
	if err == nil {
		content, err := os.ReadFile(path)
		return content, err
	}
	return nil, here(unnamed(path, err))
}

// reportOf makes a report. Where nothing was written no row was added, so that it
// has those alone that can't be taken.
func reportOf(results []keystore.ImportResult, written bool) importReport {
	report := importReport{Written: written, Rows: len(results), Counts: map[string]int{}, Keys: []keystore.ImportResult{}}
	for _, r := range results {
		if written || r.Action == keystore.ImportSkipped {
			report.Counts[r.Action]++
			report.Keys = append(report.Keys, r)
		}
	}
	return report
}

func (r importReport) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), r)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if len(r.Keys) > 0 {
		fmt.Fprintln(w, "LINE\tNAME\tID\tACTION\tNOTE")
	}
	for _, k := range r.Keys {
		id := k.ID
		if id == "" {
			id = "-"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", k.Line, printable(k.Name), id, k.Action, printable(k.Note))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !r.Written {
		return nil // the error says so
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%d rows: %d added, %d updated, %d unchanged, %d superseded, %d skipped\n", r.Rows,
		r.Counts[keystore.ImportAdded], r.Counts[keystore.ImportUpdated], r.Counts[keystore.ImportUnchanged],
		r.Counts[keystore.ImportSuperseded], r.Counts[keystore.ImportSkipped])
	return err
}
