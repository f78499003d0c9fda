package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// idList is the ids that an argument names.
type idList struct {
	ids []string
	// many reports whether the argument is @FILE or @-, which may hold any number.
	many bool
}

// readIDs returns the ids that an argument names: itself, or for @FILE and @- one a line.
func readIDs(cmd *cobra.Command, arg string) (idList, error) {
	none := idList{}
	text, err := readArgument(cmd, arg)
	if err != nil {
		return none, err
	}
	var ids []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			ids = append(ids, line)
		}
	}
	if len(ids) == 0 {
		return none, errors.New("there is no id; the argument, the file or standard input is empty")
	}
	return idList{ids, strings.HasPrefix(arg, "@")}, nil
}

// eachID does something with each id and prints the results: their lines, or as JSON the
// result of an id, or a list of those of a file, however many it holds. It ends with the first
// error, after which the results are those of the ids before.
func eachID[T any](cmd *cobra.Command, list idList, asJSON bool, do func(id string) (result T, line string, err error)) error {
	ids := list.ids
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
	case !asJSON:
	case list.many:
		err = printJSON(cmd.OutOrStdout(), results)
	case len(results) > 0:
		err = printJSON(cmd.OutOrStdout(), results[0])
	}
	return errors.Join(failed, err)
}
