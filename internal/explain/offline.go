package explain

import "encoding/json"

// Offline is a question about a config that no server runs.
type Offline struct {
	Question
	// Config is the JSON config.
	Config json.RawMessage
	// JWKS is a key set, or PEM, in place of the keys of all issuers whose keys would be
	// fetched; nil for those that a server has stored.
	JWKS []byte
	// Fetch allows fetching the keys of issuers, as `explain --issuer` does.
	Fetch bool
}
