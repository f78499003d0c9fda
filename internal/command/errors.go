package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// exitMisuse is the exit code of a command that was called in a wrong way. The others
// are Caddy's: 0 for success, 1 for a failure.
const exitMisuse = 2

// misuseError is an error in how a command was called.
type misuseError struct{ error }

// Unwrap returns what is wrong.
func (e misuseError) Unwrap() error { return e.error }

// misuse marks an error as one in how a command was called.
func misuse(err error) error { return misuseError{err} }

// saidError is a failure that the output has told: the exit code is 1, and nothing more is
// printed.
type saidError struct{ error }

// exit ends a command with the exit code for its error, if any. Caddy prints the error.
func exit(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[saidError](err); ok {
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		return err
	}
	code := caddy.ExitCodeSuccess
	if _, ok := errors.AsType[misuseError](err); ok {
		code = exitMisuse
		cmd.SilenceUsage = true
	} else if err != nil {
		code = caddy.ExitCodeFailedStartup
	}
	if err != nil {
		err = shownError{err}
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, err })(cmd, nil)
}

// shownError is an error that is shown on a terminal. Its text may have been written by
// others: the answer of a server, the content of a file.
type shownError struct{ error }

// Error returns the text with escapes, and each of several errors on a line.
func (e shownError) Error() string {
	lines := []string{e.error.Error()}
	if list, ok := errors.AsType[joined](e.error); ok && list.Error() == lines[0] && errors.Join(list.Unwrap()...).Error() == lines[0] {
		lines = nil
		for _, err := range list.Unwrap() {
			lines = append(lines, err.Error())
		}
	}
	for i := range lines {
		lines[i] = terminal.Text(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the error.
func (e shownError) Unwrap() error { return e.error }

// joined is what errors.Join returns.
type joined interface {
	error
	Unwrap() []error
}

// hintError is an error and, apart from it, what to do about it.
type hintError struct {
	fault error
	hint  string
}

// Error returns the fault, then the hint.
func (e hintError) Error() string { return e.fault.Error() + "; " + e.hint }

// Unwrap returns the fault.
func (e hintError) Unwrap() error { return e.fault }

// withHint adds to a fault what to do about it.
func withHint(fault error, format string, values ...any) error {
	return hintError{fault, fmt.Sprintf(format, values...)}
}
