package claims

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Implications say which scopes have others: anyone with the broad scope has the narrow ones
// too, transitively. It is immutable; nil has none.
type Implications struct {
	// broader has, for each narrow scope, all scopes that imply it, sorted.
	broader map[string][]string
}

// The bounds of implications. Far below them a check costs a few comparisons for each granted
// scope, at them some thousand.
const (
	// MaxImplications is how many pairs of a broad and a narrow scope there may be as written.
	MaxImplications = 1000
	// MaxImplicationDepth is how many of them may follow from one another.
	MaxImplicationDepth = 16
	// MaxImplied is how many pairs there may be with those that follow.
	MaxImplied = 10_000
)

// NewImplications returns the implications of broad scopes, each with its narrow ones. It
// returns nil if there are none.
//
// An error says what to change: a scope that is no scope-token, or is one of a token service's
// own ([ServiceScopes]); a broad scope without a narrow one; a duplicate; scopes that imply each
// other in a ring, which it names; and more than [MaxImplications], [MaxImplicationDepth] or
// [MaxImplied] allow.
func NewImplications(narrower map[string][]string) (*Implications, error) {
	if err := checkImplications(narrower); err != nil {
		return nil, err
	}
	c := closure{narrower: narrower, reached: make(map[string]reach, len(narrower))}
	for _, broad := range slices.Sorted(maps.Keys(narrower)) {
		if _, err := c.of(broad); err != nil {
			return nil, err
		}
	}
	if len(narrower) == 0 {
		return nil, nil
	}
	i := &Implications{broader: map[string][]string{}}
	for _, broad := range slices.Sorted(maps.Keys(narrower)) {
		for _, narrow := range c.reached[broad].scopes {
			i.broader[narrow] = append(i.broader[narrow], broad)
		}
	}
	return i, nil
}

// checkImplications checks each scope by itself, and how many there are.
func checkImplications(narrower map[string][]string) error {
	pairs := 0
	for _, broad := range slices.Sorted(maps.Keys(narrower)) {
		list := narrower[broad]
		if len(list) == 0 {
			return fmt.Errorf("%q implies no scope; write those that it implies behind it, or remove it", broad)
		}
		for _, s := range append([]string{broad}, list...) {
			if !ScopeToken(s) {
				return fmt.Errorf(`%q is not a valid scope; write one word of visible ASCII without " and \, such as orders:read`, s)
			}
			if strings.HasPrefix(s, ServiceScopes) {
				return fmt.Errorf("%s is a scope of the token service's own API, which implies nothing and is implied by nothing; write it as scopes of the client that may have it", s)
			}
		}
		for n, s := range list {
			switch {
			case s == broad:
				return fmt.Errorf("%s implies itself; write only others behind it", s)
			case slices.Contains(list[:n], s):
				return fmt.Errorf("%s implies %s twice; remove one", broad, s)
			}
		}
		if pairs += len(list); pairs > MaxImplications {
			return fmt.Errorf("there are more than %d implications; write fewer", MaxImplications)
		}
	}
	return nil
}

// closure is the transitive closure of implications under way.
type closure struct {
	narrower map[string][]string
	reached  map[string]reach
	path     []string // the scopes whose narrower ones are being looked for
	pairs    int
}

// reach is what a scope implies, transitively: the scopes, sorted, and in how many steps.
type reach struct {
	scopes []string
	depth  int
}

// of returns what a scope implies.
func (c *closure) of(scope string) (reach, error) {
	if known, ok := c.reached[scope]; ok || len(c.narrower[scope]) == 0 {
		return known, nil
	}
	if at := slices.Index(c.path, scope); at >= 0 {
		return reach{}, fmt.Errorf("the scopes imply each other in a ring: %s; remove one of these implications", strings.Join(append(c.path[at:], scope), " implies "))
	}
	c.path = append(c.path, scope)
	var r reach
	for _, narrow := range c.narrower[scope] {
		below, err := c.of(narrow)
		if err != nil {
			return reach{}, err
		}
		r.scopes = append(append(r.scopes, narrow), below.scopes...)
		r.depth = max(r.depth, below.depth+1)
	}
	c.path = c.path[:len(c.path)-1]
	slices.Sort(r.scopes)
	r.scopes = slices.Compact(r.scopes)
	if r.depth > MaxImplicationDepth {
		return reach{}, fmt.Errorf("what %s implies follows in more than %d steps; write the narrow scopes behind it", scope, MaxImplicationDepth)
	}
	if c.pairs += len(r.scopes); c.pairs > MaxImplied {
		return reach{}, fmt.Errorf("with those that follow there are more than %d implications; write fewer", MaxImplied)
	}
	c.reached[scope] = r
	return r, nil
}

// Grants reports whether granted scopes have a scope: it is one of them, or implied by one.
func (i *Implications) Grants(granted []string, scope string) bool {
	return slices.Contains(granted, scope) || i != nil && i.By(granted, scope) != ""
}

// By returns the first of the granted scopes that implies a scope, or "" if none does.
func (i *Implications) By(granted []string, scope string) string {
	if i == nil {
		return ""
	}
	broader := i.broader[scope]
	if len(broader) == 0 {
		return ""
	}
	for _, g := range granted {
		if _, ok := slices.BinarySearch(broader, g); ok {
			return g
		}
	}
	return ""
}
