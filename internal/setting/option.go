package setting

import "fmt"

// OptionError is what is wrong with an option of the handler that can only be
// judged together with others.
type OptionError struct {
	Option string
	err    error
}

func InOption(option, format string, values ...any) error {
	return &OptionError{option, fmt.Errorf(format, values...)}
}

func (e *OptionError) Error() string { return e.Option + ": " + e.err.Error() }

func (e *OptionError) Unwrap() error { return e.err }
