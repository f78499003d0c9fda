package key

import "errors"

// The two ways in which a source of keys can have no key for a token. They
// stand here so that those who hold keys and those who ask for them need not
// know each other.
var (
	// ErrUnknown tells that the source is up to date and has no such key.
	ErrUnknown = errors.New("no key of the issuer fits the token's kid")
	// ErrUnavailable tells that the keys could not be fetched, so that
	// nobody can know whether the key exists.
	ErrUnavailable = errors.New("the issuer's keys are not available")
)
