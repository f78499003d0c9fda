package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// apiKeyCommand returns the command `caddy jwt api-key`.
func apiKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "api-key <command>",
		Short: "Makes and manages API keys",
		Long: `
Makes API keys and manages files of them, which a server reads with

    jwt {
        api_keys /etc/caddy/keys.jsonl
    }

A file holds one record a line, with the hash of a key and never the key. It may
be changed while the server runs: commands that change it wait until a server
that uses it has applied the change, and exit with 1 if it does not.

With --store NAME in place of --file, the commands manage a store: keys in Caddy's
storage, which all servers that share it use, and which the config declares with

    {
        jwt {
            api_keys partners {
                storage
            }
        }
    }

The running server makes these changes; while it is down, --config FILE makes the
command work on the storage itself.

  caddy jwt api-key new        makes a key
  caddy jwt api-key hash       prints the hash of a key
  caddy jwt api-key list       lists the keys of a file or a store
  caddy jwt api-key edit       changes what a key may do, and until when
  caddy jwt api-key roll       gives a key of a store a new secret
  caddy jwt api-key disable    makes the server refuse a key
  caddy jwt api-key enable     makes it accept the key again
  caddy jwt api-key delete     removes a key
  caddy jwt api-key import     takes keys over from AWS API Gateway, or another file

Keys are given as they are, or as @FILE or @- (standard input), which keeps them
out of the shell's history.
`,
	}
	return group(cmd, newKeyCommand(), hashKeyCommand(), listKeysCommand(), editKeyCommand(), rollKeyCommand(), switchKeyCommand("disable"),
		switchKeyCommand("enable"), deleteKeyCommand(), importKeysCommand())
}

// readArgument returns an argument, or for @FILE and @- the content of the file or of
// standard input, without a newline at its end.
func readArgument(cmd *cobra.Command, arg string) (string, error) {
	path, ok := strings.CutPrefix(arg, "@")
	if !ok {
		return arg, nil
	}
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), setting.MaxFile+1))
	} else {
		text, err = setting.ReadFile(path)
	}
	if err != nil {
		return "", located(withoutPath(path, err))
	}
	if len(text) > setting.MaxFile {
		return "", errors.New("standard input holds more than 1 MiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// located adds to the error for a missing file which folder its relative path is
// relative to.
func located(err error) error {
	if missing, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) {
		return relativeToWorkingDir(missing, missing.Path)
	}
	return err
}

func relativeToWorkingDir(err error, path string) error {
	dir, unknown := os.Getwd()
	if unknown != nil || filepath.IsAbs(path) {
		return err
	}
	return fmt.Errorf("%w (relative to %s, the current folder)", err, dir)
}

// withoutPath removes the path from an error if it looks like an API key, since
// people write @ before a key.
func withoutPath(path string, err error) error {
	named := filepath.IsAbs(path) || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../")
	if named || apikey.CheckText(path) != nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return withHint(errors.New("no file has this name"), "write a key itself without @")
}
