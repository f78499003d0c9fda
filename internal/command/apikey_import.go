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
)

// importReport is what `import --json` prints. Where nothing was written it has the
// rows that can't be taken, and no others.
type importReport struct {
	Written bool                  `json:"written"`
	Rows    int                   `json:"rows"`
	Counts  map[string]int        `json:"counts"` // by action
	Keys    []apikey.ImportResult `json:"keys"`
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
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		if *into == "" {
			return misuse(errors.New("name the key file to take the keys into with --append, such as --append /etc/caddy/keys.jsonl"))
		}
		if err := errors.Join(oneAppend(cmd), server.find()); err != nil {
			return misuse(err)
		}
		content, err := importSource(cmd, args[0])
		if err != nil {
			return err
		}
		rows, err := apikey.ReadImport(content)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		var results []apikey.ImportResult
		change, err := changeKeyFile(*into, true, func(f *apikey.Edit) error {
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
			if printErr := reportOf(results, written).print(cmd, *asJSON); printErr != nil {
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
func reportOf(results []apikey.ImportResult, written bool) importReport {
	report := importReport{Written: written, Rows: len(results), Counts: map[string]int{}, Keys: []apikey.ImportResult{}}
	for _, r := range results {
		if written || r.Action == apikey.ImportSkipped {
			report.Counts[r.Action]++
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
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", k.Line, printable(k.Name), id, k.Action, printable(k.Note))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !r.Written {
		return nil // the error says so
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%d rows: %d added, %d updated, %d unchanged, %d superseded, %d skipped\n", r.Rows,
		r.Counts[apikey.ImportAdded], r.Counts[apikey.ImportUpdated], r.Counts[apikey.ImportUnchanged],
		r.Counts[apikey.ImportSuperseded], r.Counts[apikey.ImportSkipped])
	return err
}
