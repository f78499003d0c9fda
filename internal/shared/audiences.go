package shared

import (
	"fmt"
	"slices"
	"sync"
)

// audiences are the audiences of a config: those that its sites take, and those that its
// handlers sign tokens for. Both must stay apart, or an upstream could come back with a token
// that it was sent, as the user of that token.
type audiences struct {
	mu        sync.Mutex
	taken     []namedAudience
	forwarded []namedAudience
}

// namedAudience is an audience, and the site where it is written.
type namedAudience struct{ site, audience string }

// TakeAudiences notes that a site takes tokens for some audiences.
func (v *Services) TakeAudiences(site string, list []string) {
	v.audiences.mu.Lock()
	defer v.audiences.mu.Unlock()
	for _, a := range list {
		v.audiences.taken = append(v.audiences.taken, namedAudience{site, a})
	}
}

// ForwardTo notes that a handler of a site signs tokens for an audience.
func (v *Services) ForwardTo(site, audience string) {
	v.audiences.mu.Lock()
	defer v.audiences.mu.Unlock()
	v.audiences.forwarded = append(v.audiences.forwarded, namedAudience{site, audience})
}

// check returns an error if a token for an upstream would be for a site too, or for what a
// service mints for.
func (a *audiences) check(minted map[string][]string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.forwarded {
		const remedy = "so that the upstream could use its tokens here; write an audience of its own, such as the upstream's URL"
		for _, t := range a.taken {
			if t.audience == f.audience {
				return fmt.Errorf("jwt at %s: forward_jwt: the audience %s is one that jwt at %s takes, %s", f.site, f.audience, t.site, remedy)
			}
		}
		for issuer, list := range minted {
			if slices.Contains(list, f.audience) {
				return fmt.Errorf("jwt at %s: forward_jwt: the audience %s is one that authorization_server %s issues tokens for, %s", f.site, f.audience, issuer, remedy)
			}
		}
	}
	return nil
}
