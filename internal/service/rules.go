package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// Rules are the revocations of a config, as a service asks them.
type Rules struct{ State *shared.State }

// Await implements tokenservice.Rules, as the methods below do.
func (r Rules) Await(ctx context.Context, now time.Time) (unavailable bool) {
	return r.State.AwaitRevocations(ctx, now)
}

// Revokes reports whether a token is revoked.
func (r Rules) Revokes(t *revocation.Subject, now time.Time) bool {
	rules := r.State.Rules()
	return !rules.Empty() && rules.Revokes(t, "", now)
}

// RevokesKey reports whether an API key is revoked.
func (r Rules) RevokesKey(store, id string, now time.Time) bool {
	rules := r.State.Rules()
	return !rules.Empty() && rules.RevokesKey(store, id, now)
}

// Add makes rules.
func (r Rules) Add(ctx context.Context, rules []revocation.Rule) (stored bool, err error) {
	set := r.State.Revocations()
	if set == nil {
		return false, errNotStarted
	}
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Node = r.State.Node()
	}
	stored, err = set.Add(ctx, rules)
	if err == nil {
		for i := range rules {
			r.State.Revoked(rules[i])
		}
	}
	return stored, err
}

var errNotStarted = errors.New("the state is not started")
