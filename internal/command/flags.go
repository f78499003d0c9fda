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

// flagError says more of a wrong flag. What is as long as an API key is not shown.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.Flags().Lookup("append") == nil && strings.Contains(err.Error(), "--append") {
		return fmt.Errorf("%s has no --append; use --file", cmd.Name())
	}
	for word := range strings.FieldsSeq(err.Error()) {
		if len(strings.Trim(word, "-'\"")) >= apikey.MinLength {
			return fmt.Errorf("a flag is wrong; caddy help jwt api-key %s lists them", cmd.Name())
		}
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if meant := setting.Nearest(unknown.GetSpecifiedName(), names); meant != "" {
			return fmt.Errorf("%w; is --%s meant?", err, meant)
		}
	}
	return err
}
