package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// importReport is what `import --json` prints. If nothing was written, it has only the
// rows that can't be imported.
type importReport struct {
	Written bool                  `json:"written"`
	Rows    int                   `json:"rows"`
	Counts  map[string]int        `json:"counts"` // by action
	Keys    []apikey.ImportResult `json:"keys"`
}

// importKeysCommand returns the command `import`.
func importKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import <keys.csv | keys.jsonl | @-> --append <file> | --store <store> [--strict] [--allow-short] [--dry-run]",
		Short: "Takes keys over from AWS API Gateway, or from another key file",
		Long: `
Imports keys into a key file, which is created if it does not exist, and reports what
was done with each row:

- the CSV of AWS API Gateway's key file, with the columns Name and Key, and
  Description, Enabled and UsagePlanIds where there are any; the guide
  docs/guides/from-aws-api-gateway.md says how to make it. The keys keep
  working; only their hashes are stored. Usage plans become scopes.
- the lines of another key file, which has hashes instead of keys.

Keys of 6 to 19 characters could be guessed and are skipped; --allow-short imports them
too, and the report counts them. They get no token from a token service.

A row that can't be imported is skipped and reported; with --strict nothing is written
if there is one, and the exit code is 1. A file in neither format changes nothing.

    caddy jwt api-key import keys.csv --append /etc/caddy/keys/keys.jsonl

With --store the keys are taken into a store, which all servers that share the state use:

    caddy jwt api-key import keys.jsonl --store partners

It waits until a running server that uses the file has applied the change. It
can only be undone by disabling or deleting keys; keep a copy of the file if in doubt.
`,
	}
	into, store := appendFlag(cmd, "The key file to take them into"), storeFlag(cmd)
	short := cmd.Flags().Bool("allow-short", false, "Take keys of 6 to 19 characters, too")
	strict := cmd.Flags().Bool("strict", false, "Take all rows, or none")
	dryRun := cmd.Flags().Bool("dry-run", false, "Print what would be done and change nothing")
	server := serverFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		err := checkPlace(cmd, *into, *store)
		if errors.Is(err, errNoFile) {
			err = errors.New("name the key file to take the keys into with --append, such as --append /etc/caddy/keys.jsonl, or the store with --store")
		}
		if err := errors.Join(err, checkAppendFlag(cmd), server.find()); err != nil {
			return misuse(err)
		}
		content, err := importSource(cmd, args[0])
		if err != nil {
			return err
		}
		rows, err := apikey.ReadImport(content, apikey.ImportOptions{AllowShort: *short})
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if *store != "" {
			return importStore(cmd, server, *store, rows, *strict, *dryRun, *asJSON)
		}
		var results []apikey.ImportResult
		change, err := changeKeyFile(*into, true, func(f *apikey.Edit) error {
			results = f.Import(rows, time.Now())
			switch skipped := len(newImportReport(results, false).Keys); {
			case *strict && skipped > 0:
				return errSkipped
			case skipped == len(results):
				return errNothingImported
			case *dryRun:
				return errDryRun
			}
			return nil
		})
		if errors.Is(err, errDryRun) {
			return printDryRun(cmd, results, *asJSON)
		}
		written := change.info != nil
		if written || errors.Is(err, errSkipped) || errors.Is(err, errNothingImported) {
			if printErr := newImportReport(results, written).print(cmd, *asJSON); printErr != nil {
				return printErr
			}
		}
		if err != nil {
			return err
		}
		return server.await(cmd, change)
	})
}

var (
	errSkipped         = withHint(errors.New("nothing was written, as rows would be skipped"), "correct them, or remove --strict")
	errNothingImported = errors.New("nothing was written, as no row can be imported")
	errDryRun          = errors.New("nothing was written, as this is a dry run")
)

// printDryRun prints the report of an import that was not done.
func printDryRun(cmd *cobra.Command, results []apikey.ImportResult, asJSON bool) error {
	report := newImportReport(results, true)
	report.Written = false
	if err := report.print(cmd, asJSON); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was changed.")
	return err
}

// maxImport limits what is read from standard input, which may never end.
const maxImport = 256 << 20

// maxImportFile limits what is read from a file: as much as a key file may hold.
const maxImportFile = 4 << 30

// importSource reads the file to import: its path, @path or @-.
func importSource(cmd *cobra.Command, arg string) ([]byte, error) {
	path := strings.TrimPrefix(arg, "@")
	if path == "-" {
		content, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxImport+1))
		if err == nil && len(content) > maxImport {
			err = withHint(fmt.Errorf("standard input holds more than %d MiB", maxImport>>20), "import a file")
		}
		return content, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, withHint(fmt.Errorf("%s is not a regular file", path), "write @- to import what a program prints")
	}
	if err == nil {
		// It may have become a pipe since.
		return setting.ReadUpTo(path, maxImportFile)
	}
	return nil, located(withoutPath(path, err))
}

// newImportReport returns a report. If nothing was written, no row was added, so it has
// only the rows that can't be imported.
func newImportReport(results []apikey.ImportResult, written bool) importReport {
	report := importReport{Written: written, Rows: len(results), Counts: map[string]int{}, Keys: []apikey.ImportResult{}}
	for _, r := range results {
		if written || r.Action == apikey.ImportSkipped {
			report.Counts[r.Action]++
			if r.Short && r.Action != apikey.ImportSkipped {
				report.Counts["short"]++
			}
			report.Keys = append(report.Keys, r)
		}
	}
	return report
}

func (r importReport) print(cmd *cobra.Command, asJSON bool) error {
	if asJSON {
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
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", k.Line, terminal.Text(k.Name), terminal.Text(id), k.Action, terminal.Text(k.Note))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !r.Written {
		return nil // the error says so
	}
	short := ""
	if n := r.Counts["short"]; n > 0 {
		short = fmt.Sprintf("; %d of the keys are shorter than %d characters and could be guessed: give their holders new ones", n, apikey.MinLength)
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%d rows: %d added, %d updated, %d unchanged, %d superseded, %d skipped%s\n", r.Rows,
		r.Counts[apikey.ImportAdded], r.Counts[apikey.ImportUpdated], r.Counts[apikey.ImportUnchanged],
		r.Counts[apikey.ImportSuperseded], r.Counts[apikey.ImportSkipped], short)
	return err
}
