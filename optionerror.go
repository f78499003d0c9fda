package caddyjwt

import "fmt"

// optionError is what is wrong with an option of the handler that can only be
// judged together with others.
type optionError struct {
	option string
	err    error
}

func inOption(option, format string, values ...any) error {
	return &optionError{option, fmt.Errorf(format, values...)}
}

func (e *optionError) Error() string { return e.option + ": " + e.err.Error() }

func (e *optionError) Unwrap() error { return e.err }
