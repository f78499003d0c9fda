package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// readIDs returns the ids that an argument names: itself, or for @FILE and @- one a line.
func readIDs(cmd *cobra.Command, arg string) ([]string, error) {
	text, err := readArgument(cmd, arg)
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			ids = append(ids, line)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("there is no id; the argument, the file or standard input is empty")
	}
	return ids, nil
}

// eachID does something with each id and prints the results: their lines, or as JSON the
// result of one id, or a list of those of several. It ends with the first error, after
// which the results are those of the ids before.
func eachID[T any](cmd *cobra.Command, ids []string, asJSON bool, do func(id string) (result T, line string, err error)) error {
	results := make([]T, 0, len(ids))
	var failed error
	for n, id := range ids {
		result, line, err := do(id)
		if err != nil {
			failed = err
			if len(ids) > 1 {
				failed = fmt.Errorf("id %d of %d: %w", n+1, len(ids), err)
			}
			break
		}
		results = append(results, result)
		if !asJSON {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), terminal.Text(line)); err != nil {
				return err
			}
		}
	}
	var err error
	switch {
	case !asJSON || len(results) == 0:
	case len(ids) == 1:
		err = printJSON(cmd.OutOrStdout(), results[0])
	default:
		err = printJSON(cmd.OutOrStdout(), results)
	}
	return errors.Join(failed, err)
}
