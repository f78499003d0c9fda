package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
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
	// Action is added, updated, unchanged or skipped, as in an import into a file.
	Action string `json:"action"`
	// Note says why, or what to mind.
	Note string `json:"note,omitempty"`
}

// ImportKeys takes over keys by their hashes.
func (c *Client) ImportKeys(ctx context.Context, request KeyImport) (a KeyImportAnswer, err error) {
	return a, c.do(ctx, http.MethodPost, "/jwt/api-keys", nil, request, &a)
}

// The limits of an import.
const (
	maxImport       = 1000
	maxImportValues = 50000 // of JSON: all that fit into the longest body
)

// importOf returns the body of an import, false if it is none. It is one if it has the member
// import, which no other body of POST /jwt/api-keys has.
func importOf(body []byte) (object claims.Value, ok bool) {
	object, err := claims.ParseLarge(body, maxImportValues)
	if err != nil {
		return object, false // reading it as another body tells so
	}
	_, ok = object.Member("import")
	return object, ok
}

// importKeys serves POST /jwt/api-keys with the member import: it takes over keys by their
// hashes. Nothing is imported if a record is not valid, or if the storage does not confirm
// it; records of keys that are here already are skipped or update those.
func importKeys(c *change, object claims.Value) (int, any, error) {
	c.line.Action = "key_import"
	storeName := ""
	var records []apikey.Record
	if err := (members{"store": plainText(&storeName), "import": importedRecords(&records)}).readObject(object); err != nil {
		return 0, nil, err
	}
	if _, err := parameters(c.request); err != nil {
		return 0, nil, err
	}
	store, err := c.storeFor(storeName)
	if err != nil {
		return 0, nil, err
	}
	c.line.Store = store.Name()
	answer := KeyImportAnswer{Keys: make([]ImportedKey, 0, len(records)), Stored: true}
	var wanted []apikey.Record
	for _, r := range records {
		key := c.importAction(store, &r)
		if key.Action == apikey.ImportAdded || key.Action == apikey.ImportUpdated {
			wanted = append(wanted, r)
		}
		answer.Keys = append(answer.Keys, key)
	}
	if len(wanted) > 0 {
		if err := store.Import(c.ctx, wanted, c.actor()); err != nil {
			return 0, nil, storageError(err, http.StatusBadRequest)
		}
	}
	actor := c.actor()
	for _, key := range answer.Keys {
		if change := map[string]string{apikey.ImportAdded: "created", apikey.ImportUpdated: "edited"}[key.Action]; change != "" {
			c.line.Imported = append(c.line.Imported, key.ID)
			c.state.KeyChanged(store.Name(), apikey.StoreChange{ID: key.ID, Change: change, By: actor.By, Node: actor.Node})
		}
	}
	return http.StatusCreated, answer, nil
}

// importAction returns what an import does with a record.
func (c *change) importAction(store Store, r *apikey.Record) ImportedKey {
	key := ImportedKey{ID: r.ID, Action: apikey.ImportAdded}
	if id, ok := store.IDOf(r.Hash); ok && id != r.ID {
		key.ID, key.Action, key.Note = id, apikey.ImportSkipped, "the store already has this key, as "+id
		return key
	}
	old, err := store.Get(r.ID, c.now)
	switch _, same := store.IDOf(r.Hash); {
	case errors.Is(err, apikey.ErrKeyDeleted):
		key.Action, key.Note = apikey.ImportSkipped, "a key with this id was deleted, which is final"
	case err != nil: // there is none
	case !same:
		key.Action, key.Note = apikey.ImportSkipped, "the store has another key with this id"
	default:
		key.Action = apikey.ImportUpdated
		if old.Disabled && !r.Disabled {
			key.Note = fmt.Sprintf("it is disabled here and stays so; `caddy jwt api-key enable %s` enables it", r.ID)
			r.Disabled = true
		}
		if sameProfile(old.Record, *r) {
			key.Action = apikey.ImportUnchanged
		}
	}
	return key
}

// sameProfile reports whether two records are the same but for the hash.
func sameProfile(a, b apikey.Record) bool {
	a.Hash, b.Hash = apikey.Digest{}, apikey.Digest{}
	if b.Created.IsZero() {
		b.Created = a.Created
	}
	one, errA := a.MarshalJSON()
	other, errB := b.MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(one, other)
}

// importedRecords reads the member import.
func importedRecords(to *[]apikey.Record) func(claims.Value) error {
	return func(v claims.Value) error {
		switch {
		case v.Kind() != claims.Array || v.Len() == 0:
			return errors.New("it must be an array of records, as a key file has them on its lines")
		case v.Len() > maxImport:
			return fmt.Errorf("it has %d records; at most %d are taken at once", v.Len(), maxImport)
		}
		ids, hashes := map[string]bool{}, map[apikey.Digest]bool{}
		for i := range v.Len() {
			line := v.At(i).AppendJSON(nil)
			r, err := apikey.ParseRecord(line)
			if err == nil {
				err = CheckPlain(string(line))
			}
			switch {
			case err != nil:
				return fmt.Errorf("record %d: %w", i+1, err)
			case ids[r.ID] || hashes[r.Hash]:
				return fmt.Errorf("record %d: another record has the same id or hash", i+1)
			}
			ids[r.ID], hashes[r.Hash] = true, true
			*to = append(*to, r)
		}
		return nil
	}
}
