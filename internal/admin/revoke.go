package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// addRevocation serves POST /jwt/revocations.
func addRevocation(c *change) (int, any, error) {
	rules, err := rulesOf(c.state)
	if err != nil {
		return 0, nil, err
	}
	var request RevocationRequest
	if err := (members{
		"kind": text(&request.Kind), "value": text(&request.Value), "issuer": plainText(&request.Issuer),
		"any_issuer": truth(&request.AnyIssuer), "store": plainText(&request.Store),
		"not_before": moment(&request.NotBefore), "end": nullable(&request.End, moment), "reason": plainText(&request.Reason),
	}).read(c.body); err != nil {
		return 0, nil, err
	}
	if _, err := parameters(c.request); err != nil {
		return 0, nil, err
	}
	rule, err := c.newRule(&request, c.now)
	if err != nil {
		return 0, nil, err
	}
	stored, err := rules.Add(c.ctx, []revocation.Rule{rule})
	if err != nil {
		return 0, nil, storageError(err, http.StatusServiceUnavailable)
	}
	item := itemOfRule(rule)
	c.line.ID, c.line.Store, c.line.Reason, c.line.Rule = item.ID, rule.Store, bounded(rule.Reason), &item
	c.state.Revoked(rule)
	answer := RevocationAnswer{
		ID: item.ID, Stored: stored, End: rule.End, CachedTokensRefused: c.app.CachedRefused(&rule, c.token),
		APIKeysStillValid: []string{}, Notes: []string{},
	}
	if rule.Kind == revocation.KindSub {
		answer.APIKeysStillValid = append(answer.APIKeysStillValid, c.validKeysOf(rule.Value)...)
	}
	answer.Notes = append(answer.Notes, c.notes(&rule, &answer)...)
	return c.outcome(stored, http.StatusCreated), answer, nil
}

// repeated is the answer to a repeat: what is counted may have changed since.
func (a RevocationAnswer) repeated() any {
	a.Repeated = true
	return a
}

// checkValue checks the value of a rule. That of a token is replaced by its digest, and
// kept nowhere.
func (c *change) checkValue(rule *revocation.Rule, request *RevocationRequest) error {
	switch rule.Kind {
	case revocation.KindToken:
		if rule.Value == "" || apikey.IsDigest(rule.Value) {
			return nil // which revocation.New checks
		}
		if apikey.ContainsKey(rule.Value) {
			return bad("value: it is an API key; revoke one by its id, with the kind key")
		}
		if strings.ContainsFunc(rule.Value, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return bad("value: it is not a token; write the token alone, without Bearer, spaces or line breaks")
		}
		exp, known := tokenExpiry(rule.Value)
		if known {
			end := exp.Add(c.app.Leeway() + time.Second)
			switch {
			case rule.End.IsZero() && end.After(c.now):
				rule.End = end
			case rule.End.IsZero():
				return bad("value: the token has expired already, at %s", exp.Format(time.RFC3339))
			case rule.End.Before(exp):
				return bad("end: it is before the expiry of the token, which is %s; leave end out", exp.Format(time.RFC3339))
			}
		}
		c.token = rule.Value
		rule.Value = revocation.TokenValue(rule.Value)
	case revocation.KindKey:
		if err := apikey.CheckID(rule.Value); err != nil {
			return bad("value: %v", err)
		}
	default:
		if jwtPattern.MatchString(rule.Value) {
			return bad("value: it is a token; for one token, write \"kind\": \"token\"")
		}
		if err := CheckPlain(rule.Value); err != nil {
			return bad("value: %v", err)
		}
	}
	return nil
}

// checkIssuer checks the issuer of a rule. Issuers choose ids for themselves, so that those
// of one may be those of another.
func (c *change) checkIssuer(rule *revocation.Rule, request *RevocationRequest) error {
	issuers := c.app.Issuers()
	for _, iss := range []string{rule.Issuer, rule.Value} {
		if (rule.Kind == revocation.KindIssuer || iss == rule.Issuer) && strings.Contains(iss, tenantMark) {
			return bad("issuer: %s is the name of many issuers, and a rule is about one: write the exact iss of the tokens, with the id of the tenant for %s", quote(iss), tenantMark)
		}
	}
	switch rule.Kind {
	case revocation.KindJTI, revocation.KindSub, revocation.KindClient:
		switch {
		case request.AnyIssuer && rule.Issuer != "":
			return bad("any_issuer: it can't be true where issuer is given")
		case request.AnyIssuer || rule.Issuer != "":
		case len(issuers) == 1 && strings.Contains(issuers[0], tenantMark):
			return bad(`issuer: it is missing, and the config's is %s; write the exact iss of the tokens, with the id of the tenant for %s, or "any_issuer": true`, quote(issuers[0]), tenantMark)
		case len(issuers) == 1:
			rule.Issuer = issuers[0]
		case len(issuers) > 1:
			return bad(`issuer: it is missing, and the config has %d issuers; write one of %s, or "any_issuer": true`, len(issuers), some(issuers))
		}
	case revocation.KindKid:
		if request.AnyIssuer || rule.Issuer == "" {
			return bad("issuer: a rule of the kind kid needs one, as key ids of different issuers may be equal; write one of %s", some(issuers))
		}
	default:
		if request.AnyIssuer || rule.Issuer != "" {
			return bad("issuer: a rule of the kind %s takes no issuer and no any_issuer", rule.Kind)
		}
	}
	return nil
}

// tenantMark stands for the id of a tenant in an issuer of the config.
const tenantMark = "{tid}"

// isOf reports whether an iss is that of an issuer of the config, which is "" for any. Which
// tenants it has does not matter: a rule may come before the tenant.
func isOf(iss, accepted string) bool {
	before, after, many := strings.Cut(accepted, tenantMark)
	if accepted == "" || !many {
		return accepted == "" || iss == accepted
	}
	rest, ok := strings.CutPrefix(iss, before)
	tenant, fits := strings.CutSuffix(rest, after)
	return ok && fits && tenant != "" && !strings.Contains(tenant, "/")
}

// checkStore checks the store of a rule.
func (c *change) checkStore(rule *revocation.Rule, _ *RevocationRequest) error {
	switch {
	case rule.Store == "":
	case rule.Kind != revocation.KindKey:
		return bad("store: only rules of the kind key take one")
	case storeNamed(c.state, rule.Store) == nil:
		return bad("store: there is no store %s that can be changed here; %s", quote(rule.Store), theStores(c.state))
	}
	return nil
}

// checkTimes checks the times of a rule, and gives one that needs none an end.
func (c *change) checkTimes(rule *revocation.Rule, _ *RevocationRequest) error {
	leeway, now := c.app.Leeway(), c.now
	if err := rule.CheckNotBefore(now, leeway); err != nil {
		return bad("%v", err)
	}
	// A token that there is now expires within the largest lifetime from now: it was
	// issued at most the leeway ahead, and is accepted for the leeway after it.
	if most := c.app.MaxLifetime(); rule.Kind == revocation.KindJTI && rule.End.IsZero() && most > 0 {
		rule.End = now.Add(most + 2*leeway + time.Second)
	}
	return nil
}

// maxValidKeys is how many keys an answer lists.
const maxValidKeys = 100

// validKeysOf returns the ids of the keys that a consumer can still use, which a rule about
// the user's tokens does not refuse.
func (c *change) validKeysOf(consumer string) []string {
	var ids []string
	rules := c.state.Revocations()
	add := func(store, id string) bool {
		if len(ids) < maxValidKeys && !slices.Contains(ids, id) && !rules.Snapshot().RevokesKey(store, id, c.now) {
			ids = append(ids, id)
		}
		return len(ids) < maxValidKeys
	}
	for _, store := range c.state.Stores() {
		for k := range storedKeys(store, "", c.now) {
			if consumerOf(&k.Record) == consumer && stateOf(&k.Record, c.now) == keyEnabled && !add(store.Name(), k.ID) {
				break
			}
		}
	}
	sets := c.app.WrittenKeys()
	for _, f := range c.app.KeyFiles() {
		sets = append(sets, f.Keys)
	}
	for _, set := range sets {
		for k := range set.All() {
			if k.Consumer() == consumer && k.Enabled() && !k.Expired(c.now) && !add("", k.ID()) {
				break
			}
		}
	}
	slices.Sort(ids)
	return ids
}

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
		who := "the issuer"
		if issuer != "" {
			who = "the issuer " + quote(issuer)
		}
		what := map[revocation.Kind]string{revocation.KindSub: "the user", revocation.KindClient: "the client"}[rule.Kind]
		note := who + " goes on issuing tokens to anyone who holds a refresh token"
		switch {
		case slices.ContainsFunc(c.state.SigningSets(), func(s SigningSet) bool { return issuer == s.Service }):
			note = "the token service goes on issuing tokens to each client that proves who it is; disable the client's API key, or remove the client from the config, if it is to get none"
		case what != "":
			note += "; disable " + what + " at the issuer too"
		}
		notes = append(notes, note)
	}
	if len(answer.APIKeysStillValid) > 0 {
		notes = append(notes, "the rule is about tokens: the consumer's API keys still work; disable them too, if they should not")
	}
	return notes
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

// some names the first issuers of a list.
func some(issuers []string) string {
	const most = 5
	issuers = slices.DeleteFunc(slices.Clone(issuers), func(iss string) bool { return iss == "" })
	if len(issuers) == 0 {
		return "none"
	}
	var names []string
	for _, iss := range issuers[:min(most, len(issuers))] {
		names = append(names, quote(iss))
	}
	if len(issuers) > most {
		names = append(names, fmt.Sprintf("%d more", len(issuers)-most))
	}
	return strings.Join(names, ", ")
}
