package setting

import "fmt"

// OptionError is an error in an option of the handler that can only be checked together
// with other options.
type OptionError struct {
	Option string // its name
	err    error
}

// InOption returns an OptionError with a formatted text.
func InOption(option, format string, values ...any) error {
	return &OptionError{option, fmt.Errorf(format, values...)}
}

// Error implements error.
func (e *OptionError) Error() string { return e.Option + ": " + e.err.Error() }

// Unwrap returns the error without the option's name.
func (e *OptionError) Unwrap() error { return e.err }
