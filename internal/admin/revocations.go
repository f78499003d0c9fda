package admin

import (
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// itemOfRule returns a rule as people see it.
func itemOfRule(r revocation.Rule) RevocationItem {
	return RevocationItem{
		ID: r.PublicID(), Kind: r.Kind.String(), Value: r.Value, Issuer: r.Issuer, Store: r.Store,
		NotBefore: r.NotBefore, End: r.End, Reason: r.Reason, By: r.By, Node: r.Node, At: r.At,
	}
}

// listRevocations serves GET /jwt/revocations.
func (s *service) listRevocations(_ http.ResponseWriter, r *http.Request) (any, error) {
	rules, err := s.rules()
	if err != nil {
		return nil, err
	}
	query, err := parameters(r, "kind", "value", "issuer", "limit", "after")
	if err != nil {
		return nil, err
	}
	q := revocation.Query{Value: query["value"], Issuer: query["issuer"], After: query["after"]}
	if q.Limit, err = limit(query); err != nil {
		return nil, err
	}
	if written := query["kind"]; written != "" {
		if q.Kind, err = revocation.ParseKind(written); err != nil {
			return nil, bad("?%v", err)
		}
		q.HasKind = true
	}
	if q.After != "" && !objectName.MatchString(q.After) {
		return nil, bad("?after: %s is not the next of a page", quote(q.After))
	}
	if CheckPlain(q.Value) != nil {
		return nil, bad("?value: a URL is logged, so there must be no credential in it; rules of the kind token have the token's digest as their value")
	}
	found, next, err := rules.List(r.Context(), q)
	if err != nil {
		return nil, storageError(err, http.StatusServiceUnavailable)
	}
	page := RevocationPage{Items: make([]RevocationItem, 0, len(found)), Next: next}
	for _, rule := range found {
		page.Items = append(page.Items, itemOfRule(rule))
	}
	return page, nil
}

// objectName is the form of the names of objects, where pages end.
var objectName = regexp.MustCompile(`^[0-9a-z-]{1,64}$`)

// rules returns the rules of the config in force.
func (s *service) rules() (Revocations, error) {
	app := s.running.current()
	if app == nil {
		return nil, errNotRunning
	}
	return rulesOf(app.Shared())
}

func rulesOf(s State) (Revocations, error) {
	if s != nil {
		if rules := s.Revocations(); rules != nil {
			return rules, nil
		}
	}
	return nil, errNoState
}

// ruleID is the form of the ids of rules.
var ruleID = regexp.MustCompile(`^[a-z]{1,16}-[0-9a-f]{24}$`)

var errNoRule = refusal(http.StatusNotFound, "there is no rule with this id; GET /jwt/revocations and caddy jwt revocations list them")

// removeRevocation serves DELETE /jwt/revocations/{id}.
func removeRevocation(c *change) (int, any, error) {
	rules, err := rulesOf(c.state)
	if err != nil {
		return 0, nil, err
	}
	id, _ := idOf(c.request)
	if !ruleID.MatchString(id) {
		return 0, nil, errNoRule
	}
	c.line.ID = id
	query, err := parameters(c.request, "reason")
	if err != nil {
		return 0, nil, err
	}
	reason := query["reason"]
	switch {
	case reason == "":
		return 0, nil, bad("?reason: it is missing; write why the rule is removed, as others will ask")
	case CheckPlain(reason) != nil:
		return 0, nil, bad("?reason: %v", CheckPlain(reason))
	case len(reason) > revocation.MaxText:
		return 0, nil, bad("?reason: it has %d bytes; at most %d are allowed", len(reason), revocation.MaxText)
	}
	c.line.Reason = bounded(reason)
	actor := c.actor()
	rule, err := rules.Remove(c.ctx, id, actor.By, actor.Node, reason)
	if errors.Is(err, revocation.ErrNoRule) {
		return 0, nil, errNoRule
	}
	if err != nil {
		return 0, nil, storageError(err, http.StatusServiceUnavailable)
	}
	item := itemOfRule(rule)
	c.line.Rule = &item
	return http.StatusOK, item, nil
}

// newRule returns the rule that a request asks for.
func (c *change) newRule(request *RevocationRequest, now time.Time) (revocation.Rule, error) {
	actor := c.actor()
	kind, err := revocation.ParseKind(request.Kind)
	if err != nil {
		return revocation.Rule{}, bad("%v", err)
	}
	rule := revocation.Rule{
		Kind: kind, Value: request.Value, Issuer: request.Issuer, Store: request.Store, NotBefore: request.NotBefore,
		End: request.End, Reason: request.Reason, By: actor.By, Node: actor.Node, At: now,
	}
	for _, check := range []func(*revocation.Rule, *RevocationRequest) error{
		c.checkValue, c.checkIssuer, c.checkStore, c.checkTimes,
	} {
		if err := check(&rule, request); err != nil {
			return revocation.Rule{}, err
		}
	}
	if rule, err = revocation.New(rule); err != nil {
		return revocation.Rule{}, bad("%v", err)
	}
	return rule, nil
}
