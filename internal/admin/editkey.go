package admin

import (
	"net/http"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
)

// keyEdit is what a PATCH changes: what has its flag set.
type keyEdit struct {
	name, description, consumer                     string
	scopes                                          []string
	expires                                         time.Time
	meta                                            claims.Value
	enabled                                         bool
	hasName, hasDescription, hasConsumer, hasScopes bool
	hasExpires, hasMeta, hasEnabled                 bool
}

func (e *keyEdit) read(body []byte) error {
	return members{
		"name":        noting(&e.hasName, plainText(&e.name)),
		"description": noting(&e.hasDescription, plainText(&e.description)),
		"consumer":    noting(&e.hasConsumer, plainText(&e.consumer)),
		"scopes":      noting(&e.hasScopes, scopes(&e.scopes)),
		"expires":     noting(&e.hasExpires, nullable(&e.expires, moment)),
		"meta":        noting(&e.hasMeta, meta(&e.meta)),
		"enabled":     noting(&e.hasEnabled, truth(&e.enabled)),
	}.read(body)
}

// profile reports whether anything but enabled changes.
func (e *keyEdit) profile() bool {
	return e.hasName || e.hasDescription || e.hasConsumer || e.hasScopes || e.hasExpires || e.hasMeta
}

// apply changes a record.
func (e *keyEdit) apply(r *apikey.Record) error {
	if e.hasName {
		r.Name = e.name
	}
	if e.hasDescription {
		r.Description = e.description
	}
	if e.hasConsumer {
		r.Consumer = e.consumer
	}
	if e.hasScopes {
		r.Scopes = e.scopes
	}
	if e.hasExpires {
		r.Expires = e.expires
	}
	if e.hasMeta {
		r.Meta = e.meta
	}
	return checkRecord(*r)
}

// editKey serves PATCH /jwt/api-keys/{id}.
func editKey(c *change) (int, any, error) {
	var edit keyEdit
	if err := edit.read(c.body); err != nil {
		return 0, nil, err
	}
	switch {
	case edit.hasEnabled && edit.profile():
		return 0, nil, bad("enabled: it stands alone, as a change of both could be stored in part; send two requests")
	case !edit.hasEnabled && !edit.profile():
		return 0, nil, bad("the body changes nothing; write the members to change")
	case edit.hasEnabled && edit.enabled:
		c.line.Action = "key_enable"
	case edit.hasEnabled:
		c.line.Action = "key_disable"
	}
	store, key, err := c.find()
	if err != nil {
		return 0, nil, err
	}
	stored, what := true, "edited"
	switch {
	case edit.profile():
		stored, err = store.Edit(c.ctx, key.ID, edit.apply, c.actor())
	case edit.enabled:
		what, err = "enabled", store.Enable(c.ctx, key.ID, c.actor())
	default:
		what = "disabled"
		stored, err = store.Disable(c.ctx, key.ID, c.actor())
	}
	if err != nil {
		return 0, nil, storageError(err, http.StatusServiceUnavailable)
	}
	return c.outcome(stored, http.StatusOK), c.changed(store, key, what, stored), nil
}

// deleteKey serves DELETE /jwt/api-keys/{id}.
func deleteKey(c *change) (int, any, error) {
	store, key, err := c.find()
	if err != nil {
		return 0, nil, err
	}
	stored, err := store.Delete(c.ctx, key.ID, c.actor())
	if err != nil {
		return 0, nil, storageError(err, http.StatusServiceUnavailable)
	}
	item := itemOfKey(c.state, store.Name(), &key, c.now)
	return c.outcome(stored, http.StatusOK), c.done(store, item, "deleted", stored), nil
}
