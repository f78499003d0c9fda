package command

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
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

// exit ends a command with the exit code for its error, if any. Caddy prints the error.
func exit(cmd *cobra.Command, err error) error {
	code := caddy.ExitCodeSuccess
	if _, ok := errors.AsType[misuseError](err); ok {
		code = exitMisuse
		cmd.SilenceUsage = true
	} else if err != nil {
		code = caddy.ExitCodeFailedStartup
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, err })(cmd, nil)
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
