package replica

import (
	"context"
	"errors"
)

// ErrReadOnly is the error of a change of what may only be read.
var ErrReadOnly = errors.New("this storage is only looked at, and nothing is changed in it")

// ReadOnly returns the door to a folder in which nothing can be changed.
func ReadOnly(o Objects) Objects { return readOnly{o} }

type readOnly struct{ Objects }

// Store implements Objects.
func (readOnly) Store(context.Context, string, []byte) error { return ErrReadOnly }

// Delete implements Objects.
func (readOnly) Delete(context.Context, string) error { return ErrReadOnly }
