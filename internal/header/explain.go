package header

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Quiet returns a copy that makes the same headers as of a time, and keeps no token that it
// makes.
func (f *Forwarding) Quiet(now time.Time) *Forwarding {
	c := *f
	c.tokens = slices.Clone(f.tokens)
	for i := range c.tokens {
		fresh := c.tokens[i].Fresh
		c.tokens[i].Sign = func(ctx context.Context, id *identity.Identity, _ string) (string, error) { return fresh(ctx, id, now) }
	}
	return &c
}

// Explain makes the check of each value that is passed on, in the order of Headers, also
// behind one that can't be: the first that failed has the error of Headers.
func (f *Forwarding) Explain(ctx context.Context, id *identity.Identity, apiKey string) []reason.Check {
	list := f.Unasked()
	n := 0
	check := func(seen string, err error) {
		c := &list[n]
		n++
		c.Seen, c.Outcome = seen, reason.Passed
		switch e := err.(type) { //nolint:errorlint // they are not wrapped
		case nil:
		case *reason.Detailed:
			c.Outcome, c.Reason, c.Detail = reason.Failed, e.Code(), e.Detail()
		case reason.Code:
			c.Outcome, c.Reason = reason.Failed, e
		}
	}
	for i := range f.values {
		value, ok, err := f.values[i].value(id)
		switch {
		case err != nil:
			check(reason.Bounded(f.values[i].seen(id)), err)
		case !ok:
			check("none, so no header is sent", nil)
		default:
			check(reason.Bounded(value), nil)
		}
	}
	if f.payload != "" {
		check("", nil)
	}
	for i := range f.tokens {
		_, err := f.tokens[i].Sign(ctx, id, apiKey)
		check("", err)
	}
	return list
}

// seen returns the value of an identity that can't be passed on, as JSON.
func (f *forwarded) seen(id *identity.Identity) string {
	other := *f
	other.JSON = true
	value, _, _ := other.value(id)
	return value
}

// Unasked returns the checks as skipped, for a request that has no identity yet.
func (f *Forwarding) Unasked() []reason.Check {
	var list []reason.Check
	add := func(wanted, option string) {
		list = append(list, reason.Check{Name: reason.CheckForward, Outcome: reason.Skipped, Wanted: wanted, Option: option})
	}
	for i := range f.values {
		v := &f.values[i]
		if v.JSON {
			add("any value", "forward "+v.What+" "+v.Header+" json")
		} else {
			add("a value that a header can carry unchanged", "forward "+v.What+" "+v.Header)
		}
	}
	if f.payload != "" {
		add("any claims", "forward_payload "+f.payload)
	}
	for _, t := range f.tokens {
		add("a token signed for the upstream", "forward_jwt "+t.Header)
	}
	return list
}
