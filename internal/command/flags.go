package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// jsonFlag adds the flag --json.
func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "Print JSON")
}

// fileFlag adds the flag --file.
func fileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("file", "f", "", "The key file")
}

// appendFlag adds the flag --append, for a file that keys are added to, and --file,
// which means the same.
func appendFlag(cmd *cobra.Command, usage string) *string {
	file := cmd.Flags().String("append", "", usage)
	cmd.Flags().StringVarP(file, "file", "f", "", "The same as --append")
	return file
}

// checkAppendFlag refuses both names of the flag at once, as one would have no effect.
func checkAppendFlag(cmd *cobra.Command) error {
	if cmd.Flags().Changed("append") && cmd.Flags().Changed("file") {
		return withHint(errors.New("--append and --file mean the same"), "remove one")
	}
	return nil
}

var errNoFile = errors.New("name the key file with --file, such as --file /etc/caddy/keys.jsonl, or the store with --store")

// flagError adds advice to the error for a wrong flag. What is as long as an API key
// is not repeated.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.Flags().Lookup("append") == nil && strings.Contains(err.Error(), "--append") {
		return withHint(fmt.Errorf("%s has no --append", cmd.Name()), "use --file")
	}
	for word := range strings.FieldsSeq(err.Error()) {
		if len(strings.Trim(word, "-'\"")) >= apikey.MinLength {
			return withHint(errors.New("invalid flag"), "%s lists the flags", helpFor(cmd))
		}
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if meant := setting.Nearest(unknown.GetSpecifiedName(), names); meant != "" {
			return withHint(err, "is --%s meant?", meant)
		}
	}
	return err
}
