package admin

import (
	"fmt"
	"slices"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// NoteNoneCached is the note of an answer that counts no token of the cache. The count says
// it too.
const NoteNoneCached = "no token in this node's cache matches"

// notes returns what the operator should know of a rule.
func (c *change) notes(rule *revocation.Rule, answer *RevocationAnswer) []string {
	var notes []string
	issuers := c.app.Issuers()
	issuer := rule.Issuer
	if rule.Kind == revocation.KindIssuer {
		issuer = rule.Value
	}
	if !answer.Stored {
		notes = append(notes, "the storage did not confirm the rule: it holds on this node only, which tries again to store it until it is stopped")
	}
	if issuer != "" && !slices.ContainsFunc(issuers, func(accepted string) bool { return isOf(issuer, accepted) }) {
		notes = append(notes, fmt.Sprintf("no site of this node accepts tokens of the issuer %s; the config has %s", quote(issuer), some(issuers)))
	}
	if answer.CachedTokensRefused == 0 && rule.Kind != revocation.KindKey {
		notes = append(notes, NoteNoneCached)
	}
	if rule.Kind == revocation.KindKey && !c.hasKey(rule.Store, rule.Value) {
		notes = append(notes, "no API key that is known on this node has this id")
	}
	if !rule.NotBefore.IsZero() {
		if note := c.goesOn(rule.Kind, issuer); note != "" {
			notes = append(notes, note)
		}
	}
	if len(answer.APIKeysStillValid) > 0 {
		notes = append(notes, "the rule is about tokens: the consumer's API keys still work; disable them too, if they should not")
	}
	return notes
}

// goesOn is the note of a rule with a not-before: how new tokens are got, which it does not
// refuse.
func (c *change) goesOn(kind revocation.Kind, issuer string) string {
	for _, set := range c.state.SigningSets() {
		switch {
		case set.Issuer != issuer:
		case set.Use == shared.UseForward:
			return "" // made for each request, of a credential that other rules are about
		case kind == revocation.KindIssuer:
			return "the token service goes on issuing tokens to its clients"
		default:
			return "the token service goes on issuing tokens to the client; if it should get none, disable its API key, or remove the client from the config"
		}
	}
	who := "the issuer"
	if issuer != "" {
		who += " " + quote(issuer)
	}
	note := who + " goes on issuing tokens to anyone who holds a refresh token"
	switch kind {
	case revocation.KindSub:
		note += "; disable the user at the issuer too"
	case revocation.KindClient:
		note += "; disable the client at the issuer too"
	}
	return note
}

// hasKey reports whether there is an API key with an id.
func (c *change) hasKey(store, id string) bool {
	for _, s := range c.state.Stores() {
		if _, err := s.Get(id, c.now); err == nil && (store == "" || store == s.Name()) {
			return true
		}
	}
	if store != "" {
		return false
	}
	sets := c.app.WrittenKeys()
	for _, f := range c.app.KeyFiles() {
		sets = append(sets, f.Keys)
	}
	for _, set := range sets {
		for k := range set.All() {
			if k.ID() == id {
				return true
			}
		}
	}
	return false
}
