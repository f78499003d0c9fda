package key

import "errors"

// The two ways in which a key source can have no key for a token. They are here so
// that key sources and the validator need not import each other.
var (
	// ErrUnknown means that the source is up to date and has no such key.
	ErrUnknown = errors.New("no key of the issuer matches the token's kid")
	// ErrUnavailable means that the keys could not be fetched, so that it is
	// not known whether the key exists.
	ErrUnavailable = errors.New("the issuer's keys are not available")
)
