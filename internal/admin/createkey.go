package admin

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// createKey serves POST /jwt/api-keys: it makes a key, or takes over others by their hashes.
func createKey(c *change) (int, any, error) {
	if object, ok := importOf(c.body); ok {
		return importKeys(c, object)
	}
	record, storeName, prefix := apikey.Record{}, "", ""
	if err := (members{
		"store": plainText(&storeName), "id": plainText(&record.ID), "name": plainText(&record.Name),
		"description": plainText(&record.Description), "consumer": plainText(&record.Consumer), "scopes": scopes(&record.Scopes),
		"expires": nullable(&record.Expires, moment), "meta": meta(&record.Meta), "prefix": text(&prefix),
	}).read(c.body); err != nil {
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
	if !record.Expires.IsZero() && !record.Expires.After(c.now) {
		return 0, nil, bad("expires: it is in the past; leave it out for a key that does not expire")
	}
	secret, err := newSecret(prefix, &record.ID)
	if err != nil {
		return 0, nil, err
	}
	record.Hash, record.Created = apikey.DigestOf(secret), c.now.UTC().Truncate(time.Second)
	if err := checkRecord(record); err != nil {
		return 0, nil, err
	}
	c.line.ID = record.ID
	if err := store.Create(c.ctx, record, c.actor()); err != nil {
		if errors.Is(err, apikey.ErrKeyDeleted) {
			return 0, nil, refusal(http.StatusConflict, "id: a key with this id was deleted, which is final; write another id")
		}
		return 0, nil, storageError(err, http.StatusBadRequest)
	}
	answer := c.changed(store, apikey.StoredKey{Record: record, Secrets: 1}, "created", true)
	answer.Key = secret
	return http.StatusCreated, answer, nil
}

// storeFor returns the store with a name, or the only one.
func (c *change) storeFor(name string) (Store, error) {
	stores := c.state.Stores()
	switch {
	case len(stores) == 0:
		return nil, errNoStore
	case name == "" && len(stores) == 1:
		return stores[0], nil
	case name == "":
		return nil, bad("store: it is missing, and there are several; %s", theStores(c.state))
	}
	if store := storeNamed(c.state, name); store != nil {
		return store, nil
	}
	if files := filesNamed(c.app, name); len(files) > 0 {
		return nil, refusal(http.StatusConflict, "store: the keys of %s are in the file %s, which is not changed here; run `caddy jwt api-key new --append %s`",
			name, files[0].Path, files[0].Path)
	}
	return nil, bad("store: there is no store %s; %s", quote(name), theStores(c.state))
}

// newSecret makes the text of a key. It sets the id if there is none; where the id can't be
// a part of the text, the text has another.
func newSecret(prefix string, id *string) (string, error) {
	if prefix == "" {
		prefix = apikey.DefaultPrefix
	}
	if err := apikey.CheckPrefix(prefix); err != nil {
		return "", bad("prefix: %v", err)
	}
	secret, made := apikey.New(prefix)
	if *id == "" {
		*id = made
	} else if with, ok := apikey.NewWithID(prefix, *id); ok {
		secret = with
	}
	return secret, nil
}

// checkRecord returns an error if a record can't be a line of a key file: what is stored
// must be readable everywhere.
func checkRecord(r apikey.Record) error {
	line, err := r.MarshalJSON()
	if err == nil {
		_, err = apikey.ParseRecord(line)
	}
	if err != nil {
		return bad("%v", err)
	}
	return nil
}
