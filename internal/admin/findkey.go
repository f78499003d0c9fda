package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// The states of a key.
const (
	keyEnabled  = "enabled"
	keyDisabled = "disabled"
	keyExpired  = "expired"
	keyRevoked  = "revoked"
)

// stateOf returns the state of a key, not counting revocations.
func stateOf(r *apikey.Record, now time.Time) string {
	switch {
	case r.Disabled:
		return keyDisabled
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		return keyExpired
	}
	return keyEnabled
}

func consumerOf(r *apikey.Record) string { return cmp.Or(r.Consumer, r.ID) }

// itemOfRecord returns a key as people see it. store is empty for one in a file.
func itemOfRecord(s State, store string, r *apikey.Record, now time.Time) KeyItem {
	item := KeyItem{
		ID: r.ID, Store: store, Name: r.Name, Description: r.Description, Consumer: consumerOf(r),
		Scopes: append([]string{}, r.Scopes...), State: stateOf(r, now), Created: r.Created, Expires: r.Expires, Meta: raw(r.Meta),
	}
	if rules, err := rulesOf(s); err == nil && item.State == keyEnabled && rules.Snapshot().RevokesKey(store, r.ID, now) {
		item.State = keyRevoked
	}
	return item
}

// itemOfKey returns a stored key as people see it.
func itemOfKey(s State, store string, k *apikey.StoredKey, now time.Time) KeyItem {
	item := itemOfRecord(s, store, &k.Record, now)
	item.Secrets, item.OldUntil = k.Secrets, k.OldUntil
	return item
}

// itemOfFile returns a key in a file as people see it.
func itemOfFile(s State, file KeyFile, r *apikey.Record, now time.Time) KeyItem {
	item := itemOfRecord(s, "", r, now)
	item.File = file.Path
	if len(file.Names) > 0 {
		item.Store = file.Names[0]
	}
	return item
}

// usesOf returns how a key was used.
func usesOf(u apikey.Uses) *KeyUses {
	return &KeyUses{Last: u.Last, Today: u.Today, Days30: u.Days30}
}

// storedKeys returns the keys of a store behind an id, in the order of their ids.
func storedKeys(store Store, after string, now time.Time) iter.Seq[*apikey.StoredKey] {
	return func(yield func(*apikey.StoredKey) bool) {
		for {
			keys, next := store.List(after, maxLimit, now)
			for i := range keys {
				if !yield(&keys[i]) {
					return
				}
			}
			if next == "" || len(keys) == 0 {
				return
			}
			after = next
		}
	}
}

// storeNamed returns the store with a name, or nil.
func storeNamed(s State, name string) Store {
	for _, store := range s.Stores() {
		if store.Name() == name {
			return store
		}
	}
	return nil
}

// theStores says which stores there are, for an error.
func theStores(s State) string {
	var names []string
	for _, store := range s.Stores() {
		names = append(names, store.Name())
	}
	if len(names) == 0 {
		return "there is none"
	}
	return "there are: " + strings.Join(names, ", ")
}

// findStored returns the store in which a key is, and the key. name is that of the store,
// empty where there is one with the key. A store of this node may lag behind the storage:
// before a key is said to be missing, the storage is asked.
func findStored(ctx context.Context, s State, name, id string, now time.Time) (Store, apikey.StoredKey, error) {
	stores := s.Stores()
	if name != "" {
		stores = slices.DeleteFunc(slices.Clone(stores), func(store Store) bool { return store.Name() != name })
	}
	store, key, err := lookIn(stores, id, now)
	if !errors.Is(err, apikey.ErrNoKey) {
		return store, key, err
	}
	var behind error
	for _, store := range stores {
		if err := store.Sync(ctx); err != nil {
			behind = err
		} else if !store.Status().Ready {
			behind = fmt.Errorf("the store %s is not in step with the storage yet", store.Name())
		}
	}
	if store, key, err = lookIn(stores, id, now); errors.Is(err, apikey.ErrNoKey) && behind != nil {
		return nil, key, refusal(http.StatusServiceUnavailable, "the key is not known on this node, and the storage can't be asked: %v", behind)
	}
	return store, key, err
}

func lookIn(stores []Store, id string, now time.Time) (found Store, key apikey.StoredKey, err error) {
	err = apikey.ErrNoKey
	var names []string
	for _, store := range stores {
		k, e := store.Get(id, now)
		if e == nil {
			found, key, err = store, k, nil
			names = append(names, store.Name())
		} else if !errors.Is(e, apikey.ErrNoKey) && found == nil {
			err = e // such as that it was deleted
		}
	}
	if len(names) > 1 {
		return nil, key, refusal(http.StatusConflict, "there are keys with this id in several stores; add ?store= with one of: %s", strings.Join(names, ", "))
	}
	return found, key, err
}

// find returns the stored key that a change is about. For one in a file the error names the
// command that changes it.
func (c *change) find() (Store, apikey.StoredKey, error) {
	var none apikey.StoredKey
	id, err := keyID(c.request)
	if err != nil {
		return nil, none, err
	}
	c.line.ID = id
	query, err := parameters(c.request, "store")
	if err != nil {
		return nil, none, err
	}
	name := query["store"]
	if name != "" && storeNamed(c.state, name) == nil && len(filesNamed(c.app, name)) == 0 {
		return nil, none, refusal(http.StatusNotFound, "?store: there is no store %s; %s", quote(name), theStores(c.state))
	}
	store, key, err := findStored(c.ctx, c.state, name, id, c.now)
	if api, ok := errors.AsType[caddy.APIError](err); ok && api.HTTPStatus == http.StatusServiceUnavailable &&
		(c.line.Action == "key_delete" || c.line.Action == "key_disable") {
		return nil, none, refusal(api.HTTPStatus, "%v; a rule refuses it at once: POST /jwt/revocations with the kind key and the id", api.Err)
	}
	if err != nil && (errors.Is(err, apikey.ErrNoKey) || len(c.state.Stores()) == 0) {
		if file, _, ok := findInFiles(filesNamed(c.app, name), id); ok {
			return nil, none, refusal(http.StatusConflict, "the key is in the file %s, which is not changed here; run `caddy jwt api-key %s %s --file %s`",
				file.Path, c.command(), id, file.Path)
		}
		if len(c.state.Stores()) == 0 {
			return nil, none, errNoStore
		}
		return nil, none, err
	}
	if store != nil {
		c.line.Store = store.Name()
	}
	return store, key, err
}

// command returns the command that makes a change to a key in a file.
func (c *change) command() string {
	switch c.line.Action {
	case "key_delete":
		return "delete"
	case "key_roll":
		return "roll"
	case "key_enable":
		return "enable"
	case "key_disable":
		return "disable"
	}
	return "edit"
}

// done returns the answer to a change of a key, writes it down and tells others.
func (c *change) done(store Store, item KeyItem, what string, stored bool) KeyAnswer {
	c.line.ID, c.line.Store, c.line.Key = item.ID, store.Name(), &item
	actor := c.actor()
	c.state.KeyChanged(store.Name(), apikey.StoreChange{ID: item.ID, Change: what, By: actor.By, Node: actor.Node})
	return KeyAnswer{KeyItem: item, Stored: stored}
}

// changed is done for a key that is still there, as it is after the change.
func (c *change) changed(store Store, before apikey.StoredKey, what string, stored bool) KeyAnswer {
	if after, err := store.Get(before.ID, c.now); err == nil {
		before = after
	}
	return c.done(store, itemOfKey(c.state, store.Name(), &before, c.now), what, stored)
}

// repeated is the answer to a repeat: a secret is shown once.
func (a KeyAnswer) repeated() any {
	a.Key, a.Repeated = "", true
	return a
}
