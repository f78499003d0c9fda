package admin

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// The actions of the audit log.
const (
	rotateAction = "signing_rotate"
	retireAction = "signing_retire"
)

// errNoService is the error for signing keys that the config has no token service for.
var errNoService = refusal(http.StatusConflict, "the config has no token service; add the directive `authorization_server`, with the service's issuer, to the site that it answers at")

// listSigningKeys serves GET /jwt/signing-keys.
func (s *service) listSigningKeys(_ http.ResponseWriter, r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	app := s.running.current()
	if app == nil {
		return nil, errNotRunning
	}
	page := SigningPage{Services: []SigningServiceItem{}}
	if state := app.Shared(); state != nil {
		now := s.now()
		for _, set := range state.SigningSets() {
			item := itemOfSigning(set, now)
			if last := len(page.Services) - 1; set.Use == shared.UseForward && last >= 0 && page.Services[last].Issuer == set.Service {
				page.Services[last].Forward = &item
				continue
			}
			page.Services = append(page.Services, SigningServiceItem{Issuer: set.Service, Service: item})
		}
	}
	return page, nil
}

func itemOfSigning(set SigningSet, now time.Time) SigningSetItem {
	keys := set.list(now)
	item := SigningSetItem{
		Issuer: set.Issuer, Rotate: set.Rotate.Seconds(), NextRotation: tokenservice.NextRotation(keys), Keys: []SigningKeyItem{},
	}
	for _, k := range keys {
		item.Keys = append(item.Keys, itemOfSigningKey(k))
	}
	return item
}

func itemOfSigningKey(k tokenservice.SigningKey) SigningKeyItem {
	if k.ID == "" {
		return SigningKeyItem{}
	}
	return SigningKeyItem{
		KeyID: k.ID, Algorithm: k.Algorithm.String(), State: k.State,
		Made: k.Made, SignsFrom: k.SignsFrom, SignsUntil: k.SignsUntil, PublishedUntil: k.PublishedUntil,
	}
}

// serviceStatuses returns the token services for the status page.
func serviceStatuses(s State, now time.Time) []ServiceStatus {
	if s == nil {
		return nil
	}
	var list []ServiceStatus
	for _, set := range s.SigningSets() {
		keys := set.list(now)
		list = append(list, ServiceStatus{
			Issuer: set.Service, Use: set.Use, SigningKey: signingKeyOf(keys), NextRotation: tokenservice.NextRotation(keys),
		})
	}
	return list
}

// rotateSigningKeys serves POST /jwt/signing-keys.
func rotateSigningKeys(c *change) (int, any, error) {
	var request SigningRequest
	if err := (members{
		"issuer": plainText(&request.Issuer), "retire_now": truth(&request.RetireNow), "forward": truth(&request.Forward),
	}).read(c.body); err != nil {
		return 0, nil, err
	}
	if _, err := parameters(c.request); err != nil {
		return 0, nil, err
	}
	if request.RetireNow {
		c.line.Action = retireAction
	}
	set, err := signingSet(c.state, &request)
	if err != nil {
		return 0, nil, err
	}
	c.line.Signing = &SigningAudit{Issuer: set.Issuer}
	if set.Keys == nil {
		return 0, nil, storageError(tokenservice.ErrKeysUnavailable, http.StatusServiceUnavailable)
	}
	rotate := set.Keys.Rotate
	if request.RetireNow {
		rotate = set.Keys.RetireNow
	}
	before := signingKeyOf(set.list(c.now))
	actor := c.actor()
	result, err := rotate(c.ctx, actor.By, actor.Node)
	if err != nil {
		return 0, nil, c.notRotated(&set, request.RetireNow, err)
	}
	answer := SigningAnswer{
		Service: set.Service, Issuer: set.Issuer, Signing: itemOfSigningKey(result.Signing), Next: itemOfSigningKey(result.Next),
		Retired: append([]string{}, result.Retired...), Rules: []string{}, Stored: true, Notes: []string{},
	}
	c.line.Signing.Signing, c.line.Signing.Next, c.line.Signing.Retired = result.Signing.ID, result.Next.ID, result.Retired
	if request.RetireNow {
		answer.Stored = result.Stored
		if err := c.refuseRetired(&set, &answer); err != nil {
			answer.Notes = append(answer.Notes, fmt.Sprintf("the rules that refuse what the retired keys signed could not be made: %v; caddy jwt revoke --kid makes one, with --issuer %s", err, set.Issuer))
		}
	}
	answer.Notes = append(answer.Notes, signingNotes(&request, &answer, before)...)
	return c.outcome(answer.Stored, http.StatusOK), answer, nil
}

// signingSet returns the keys that a request is about.
func signingSet(s State, request *SigningRequest) (SigningSet, error) {
	sets := s.SigningSets()
	var services []string
	for _, set := range sets {
		if set.Use == shared.UseService {
			services = append(services, set.Service)
		}
	}
	issuer := request.Issuer
	switch {
	case len(services) == 0:
		return SigningSet{}, errNoService
	case issuer == "" && len(services) > 1:
		return SigningSet{}, bad("issuer: it is missing, and the config has %d token services; write one of %s", len(services), some(services))
	case issuer == "":
		issuer = services[0]
	}
	use := shared.UseService
	if request.Forward {
		use = shared.UseForward
	}
	for _, set := range sets {
		if set.Service == issuer && set.Use == use {
			return set, nil
		}
	}
	switch {
	case slices.Contains(services, issuer):
		return SigningSet{}, refusal(http.StatusConflict, "forward: the service %s signs no tokens for upstreams; they are signed where a site has the option forward_jwt", quote(issuer))
	case slices.ContainsFunc(sets, func(set SigningSet) bool { return set.Issuer == issuer }):
		return SigningSet{}, bad(`issuer: %s is the iss of tokens for upstreams; write the issuer of the service, and "forward": true`, quote(issuer))
	}
	return SigningSet{}, refusal(http.StatusNotFound, "issuer: there is no token service %s; the config has %s", quote(issuer), some(services))
}

// notRotated returns the error for keys that were not rotated. In an emergency it says what
// else refuses what they signed.
func (c *change) notRotated(set *SigningSet, retire bool, err error) error {
	failed := storageError(err, http.StatusServiceUnavailable)
	if !retire {
		return failed
	}
	if kid := signingKeyOf(set.list(c.now)); kid != "" {
		return refusal(http.StatusServiceUnavailable, "%v; until it can be done, caddy jwt revoke --kid %s --issuer %s refuses what the key signed, and the new tokens of the service with it", failed, kid, set.Issuer)
	}
	return failed
}

// refuseRetired makes rules for the keys that were retired: the tokens that they signed are
// refused even where the keys are not known as retired. The rules have no end, as a token
// that somebody signs with a stolen key may have any expiry.
func (c *change) refuseRetired(set *SigningSet, answer *SigningAnswer) error {
	revocations, err := rulesOf(c.state)
	if err != nil {
		return err
	}
	actor := c.actor()
	var rules []revocation.Rule
	for _, kid := range answer.Retired {
		rule, err := revocation.New(revocation.Rule{
			Kind: revocation.KindKid, Value: kid, Issuer: set.Issuer, Reason: "signing key retired", By: actor.By, Node: actor.Node, At: c.now,
		})
		if err != nil {
			return err
		}
		rules = append(rules, rule)
	}
	if len(rules) == 0 {
		return nil
	}
	stored, err := revocations.Add(c.ctx, rules)
	if err != nil {
		return err
	}
	answer.Stored = answer.Stored && stored
	for _, rule := range rules {
		answer.Rules = append(answer.Rules, rule.PublicID())
		c.line.Signing.Rules = append(c.line.Signing.Rules, itemOfRule(rule))
		c.state.Revoked(rule)
		if n := c.app.CachedRefused(&rule, ""); n < 0 {
			answer.CachedTokensRefused = n
		} else {
			answer.CachedTokensRefused += n
		}
	}
	return nil
}

// signingNotes returns what the operator should know. before is the id of the key that signed
// until now.
func signingNotes(request *SigningRequest, answer *SigningAnswer, before string) []string {
	var notes []string
	if !answer.Stored {
		notes = append(notes, "the storage did not confirm that the keys are retired: what they signed is refused on this node only, which tries again to store that until it is stopped")
	}
	switch {
	case request.RetireNow && request.Forward:
		notes = append(notes, "upstreams trust the retired keys until they fetch the key set again: it may be kept for 5 minutes, and some keep it longer. Restart those that matter")
	case request.RetireNow:
		notes = append(notes,
			"verifiers elsewhere trust the retired keys until they fetch the key set again: it may be kept for 5 minutes, and some keep it longer. Those that ask the introspection endpoint refuse at once",
			"the clients' tokens are refused from now on; each client has to fetch a new one")
	case answer.Signing.KeyID == before:
		notes = append(notes, "the next key has not been published for a day: it signs from "+answer.Next.SignsFrom.UTC().Format(time.RFC3339)+" on, when verifiers that keep a key set know it")
	default:
		notes = append(notes, "tokens that the key until now has signed stay valid until they expire")
	}
	return notes
}

// stateSigning is the state of the key that signs.
const stateSigning = "signing"

// signingKeyOf returns the id of the key that signs, empty for none.
func signingKeyOf(keys []tokenservice.SigningKey) string {
	for i := range keys {
		if keys[i].State == stateSigning {
			return keys[i].ID
		}
	}
	return ""
}
