package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// What the commands at the desk share: decode, sign, keygen and jwks.

// maxRead is how much of a file is read before it is told that it is too much: what has
// more than a token is named by package recognize.
const maxRead = 16 << 20

// readInput reads a file, or standard input for "-".
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		promptFor(cmd)
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), recognize.MaxSize+1))
	}
	text, err := setting.ReadUpTo(path, maxRead)
	if err != nil {
		return nil, located(withoutPath(path, err))
	}
	return text, nil
}

// promptFor says that standard input is waited for, if somebody sits there.
func promptFor(cmd *cobra.Command) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok {
		return
	}
	if info, err := in.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Paste it, then press Enter and Ctrl-D.")
	}
}

// errTokenArgument is for a token among the arguments.
var errTokenArgument = withHint(errors.New("a token among the arguments ends up in the shell's history and in the list of processes"),
	"write @FILE, or @- for standard input; --yes takes it as it is")

// findToken reads the token or API key in @FILE, @- or, if the caller insists, the argument.
// What it was taken out of is said on standard error.
func findToken(cmd *cobra.Command, arg string, insist bool) (recognize.Found, error) {
	var text []byte
	path, ok := strings.CutPrefix(arg, "@")
	switch {
	case ok:
		var err error
		if text, err = readInput(cmd, path); err != nil {
			return recognize.Found{}, err
		}
	case !insist:
		if info, err := os.Stat(arg); err == nil && !info.IsDir() {
			return recognize.Found{}, misuse(withHint(errors.New("the argument is the name of a file"), "write @%s", arg))
		}
		return recognize.Found{}, misuse(errTokenArgument)
	default:
		text = []byte(arg)
	}
	found, err := recognize.FindToken(text)
	if err == nil && found.Note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "Note: "+terminal.Text(found.Note)+".")
	}
	return found, err
}

// readPrivate reads a file with a private key or a secret; standard input for "-". A file
// that others can read is refused unless force is set.
func readPrivate(cmd *cobra.Command, path string, force bool) ([]byte, error) {
	path = strings.TrimPrefix(path, "@") // as tokens are written
	if path == "-" {
		return readInput(cmd, path)
	}
	text, others, err := setting.ReadPrivate(path)
	switch {
	case err != nil:
		return nil, located(withoutPath(path, err))
	case others && !force && !publicOnly(text):
		return nil, withHint(fmt.Errorf("others can read %s, so others can sign with it", path), "chmod 600 takes that from them, and --force reads it all the same; who could read it till now may have copied it")
	}
	return text, nil
}

// publicOnly reports whether a file is one that everybody may read, with a public key or a
// certificate: that it can't sign is what is wrong with it.
func publicOnly(text []byte) bool {
	return !bytes.Contains(text, []byte("PRIVATE")) &&
		(bytes.Contains(text, []byte("-----BEGIN PUBLIC KEY-----")) || bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")))
}

// newFile is a file that a command makes. One that exists is never overwritten, and a
// symbolic link never followed.
type newFile struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// writeAll writes files that must not exist yet, and has them on the disk when it returns.
// If one can't be written, none of them is left.
func writeAll(files ...newFile) (err error) {
	var written []string
	defer func() {
		if err != nil {
			for _, path := range written {
				_ = os.Remove(path)
			}
		}
	}()
	for _, file := range files {
		made, err := file.write()
		if made {
			written = append(written, file.path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write writes the file, and reports whether it made it.
func (n newFile) write() (made bool, err error) {
	f, err := os.OpenFile(n.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, n.mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, withHint(fmt.Errorf("%s already exists, and is never overwritten", n.path), "name another file, or move it away if nothing needs it any more")
	case err != nil:
		return false, located(err)
	}
	_, err = f.Write(n.content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = syncFolder(filepath.Dir(n.path))
	}
	return true, err
}

// syncFolder has the name of a new file on the disk.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return nil // a folder that may be written to but not read
	}
	_ = dir.Sync() // not every file system can
	return dir.Close()
}

// emptyFlag returns an error for a flag that is given and empty: an unset variable, perhaps.
func emptyFlag(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Changed && strings.TrimSpace(f.Value.String()) == "" {
			return fmt.Errorf("--%s is empty; an unset variable, perhaps", name)
		}
	}
	return nil
}
