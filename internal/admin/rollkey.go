package admin

import (
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// rollKey serves PUT /jwt/api-keys/{id}/secret. It has a path of its own, since access
// control by method and path must be able to tell it from making a key: it hands out the
// rights of any key.
func rollKey(c *change) (int, any, error) {
	var overlap, prefix string
	if err := (members{"overlap": text(&overlap), "prefix": text(&prefix)}).read(c.body); err != nil {
		return 0, nil, err
	}
	if overlap == "" {
		return 0, nil, bad("overlap: it is missing; write how long the old secret still works, such as 24h, or 0s for not at all")
	}
	d, err := duration(overlap)
	if err != nil {
		return 0, nil, bad("overlap: %v", err)
	}
	store, key, err := c.find()
	if err != nil {
		return 0, nil, err
	}
	id := key.ID
	secret, err := newSecret(prefix, &id)
	if err != nil {
		return 0, nil, err
	}
	oldUntil, err := store.Roll(c.ctx, key.ID, apikey.DigestOf(secret), d, c.actor())
	if err != nil {
		return 0, nil, storageError(err, http.StatusServiceUnavailable)
	}
	answer := c.changed(store, key, "rolled", true)
	answer.Key, answer.OldUntil = secret, oldUntil
	return http.StatusOK, answer, nil
}
