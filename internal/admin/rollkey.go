package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/revocation"
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
	if d == 0 {
		answer.Notes = c.revokeTokensOf(store.Name(), key.ID)
	}
	return http.StatusOK, answer, nil
}

// longestToken is how long a token of a token service lives at most.
const longestToken = 24 * time.Hour

// revokeTokensOf revokes the tokens that a key got from token services until now, with the
// secret that is no longer accepted, and returns what the operator should know. It comes
// behind the roll: the old secret gets no further token here then. That the key is rolled
// stays true whatever becomes of the rules, as its new secret must be told.
func (c *change) revokeTokensOf(store, id string) (notes []string) {
	issuers := c.app.ServicesOf(store)
	if len(issuers) == 0 {
		return nil
	}
	failed := func(err error) []string {
		c.line.Error = bounded("tokens that the key got before are not revoked: " + err.Error())
		return []string{fmt.Sprintf("the tokens that the key got before could not be revoked, and are accepted until they expire: %v; `caddy jwt revoke --client %s --not-before now --issuer %s` revokes them", err, id, issuers[0])}
	}
	rules, err := rulesOf(c.state)
	if err != nil {
		return failed(err)
	}
	actor, now := c.actor(), c.service.now()
	var made []revocation.Rule
	for _, issuer := range issuers {
		rule, err := revocation.New(revocation.Rule{
			Kind: revocation.KindClient, Value: id, Issuer: issuer, NotBefore: now, At: now,
			End:    now.Add(longestToken + c.app.Leeway() + time.Minute), // none of them is accepted after that
			Reason: "rolled without overlap", By: actor.By, Node: actor.Node,
		})
		if err != nil {
			return failed(err)
		}
		made = append(made, rule)
	}
	stored, err := rules.Add(c.ctx, made)
	if err != nil {
		return failed(err)
	}
	for _, rule := range made {
		c.state.Revoked(rule)
	}
	notes = append(notes, "the tokens that the key got before are revoked")
	if !stored {
		notes = append(notes, "the storage did not confirm that: it holds on this node only, which tries again to store it until it is stopped")
	}
	return notes
}
