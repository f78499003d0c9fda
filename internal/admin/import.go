package admin

import (
	"context"
	"encoding/json"
	"net/http"
)

// KeyImport is the body of POST /jwt/api-keys that takes over keys by their hashes, so that
// no secret is made or shown.
type KeyImport struct {
	// Store is the store's name in the config. It may be left out where there is one.
	Store string `json:"store,omitempty"`
	// Import are records as a key file has them on its lines, with id and hash. At most
	// 1,000.
	Import []json.RawMessage `json:"import"`
}

// KeyImportAnswer is the answer to a KeyImport.
type KeyImportAnswer struct {
	// Keys are what was done, record by record.
	Keys []ImportedKey `json:"keys"`
	// Stored is always true: what can't be stored is not imported.
	Stored bool `json:"stored"`
}

// ImportedKey is what was done with a record.
type ImportedKey struct {
	// ID is the key's in the store, which is another one if the key was there already.
	ID string `json:"id"`
	// Action is added, updated, unchanged or skipped.
	Action string `json:"action"`
	// Note says why, or what to mind.
	Note string `json:"note,omitempty"`
}

// ImportKeys takes over keys by their hashes.
func (c *Client) ImportKeys(ctx context.Context, request KeyImport) (a KeyImportAnswer, err error) {
	return a, c.do(ctx, http.MethodPost, "/jwt/api-keys", nil, request, &a)
}
