package revocation

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// language is how rules are written into the objects of a set: one JSON object a line, with
// the members
//
//	id     ID, a number
//	k, v   Kind and Value
//	iss    Issuer
//	store  Store
//	end    End, in seconds since 1970, as are nbf and at
//	nbf    NotBefore
//	why    Reason
//	by     By
//	node   Node
//	at     At
//	own    Own
//	gone   Gone
//
// of which those that are empty are left out.
type language struct{}

var _ replica.Language[Rule] = language{}

// The bits of members, for those that a line has.
const (
	hasID = 1 << iota
	hasKind
	hasValue
	hasIss
	hasStore
	hasEnd
	hasNbf
	hasWhy
	hasBy
	hasNode
	hasAt
	hasOwn
	hasGone
)

// errForeign is the error of a line with something that this version does not write.
var errForeign = errors.New("not of this version")

// Parse reads the line of a rule. A line that is a JSON object, but has a kind or a member
// that is unknown, or a member that does not go with its kind, is a newer version's, and may
// mean less than it seems to: the error is replica.ErrUnknownKind.
func (language) Parse(line []byte) (Rule, error) {
	// The rule's texts are parts of one copy of the line, so that it costs one allocation.
	r, err := parseLine(string(line))
	if errors.Is(err, errForeign) {
		if !json.Valid(line) {
			return Rule{}, errors.New("it is no valid JSON")
		}
		return Rule{}, replica.ErrUnknownKind
	}
	return r, err
}

func parseLine(line string) (Rule, error) {
	var r Rule
	var seen int
	s := scanner{text: line}
	if !s.take('{') {
		return r, s.error("an object")
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return r, s.error("a comma")
		}
		name, err := s.name()
		if err != nil {
			return r, err
		}
		bit, err := s.member(&r, name)
		if err != nil {
			return r, err
		}
		if seen&bit != 0 {
			return r, fmt.Errorf("duplicate member %q", name)
		}
		seen |= bit
	}
	if s.space(); s.at < len(s.text) {
		return r, s.error("the end of the line")
	}
	if seen&(hasID|hasKind|hasValue) != hasID|hasKind|hasValue {
		return r, errors.New("it needs the members id, k and v")
	}
	if r.check() != nil {
		return r, errForeign
	}
	return r, nil
}

// member reads the value of a member into a rule, and returns the bit of the member.
func (s *scanner) member(r *Rule, name string) (bit int, err error) {
	switch name {
	case "id":
		var n int64
		n, err = s.number(1<<32 - 1)
		r.ID = uint32(n)
		return hasID, err
	case "k":
		kind, err := s.string()
		if err != nil {
			return 0, err
		}
		known := false
		if r.Kind, known = kindOf(kind); !known {
			return 0, errForeign
		}
		return hasKind, nil
	case "v":
		r.Value, err = s.string()
		return hasValue, err
	case "iss":
		r.Issuer, err = s.string()
		return hasIss, err
	case "store":
		r.Store, err = s.string()
		return hasStore, err
	case "end":
		r.End, err = s.time()
		return hasEnd, err
	case "nbf":
		r.NotBefore, err = s.time()
		return hasNbf, err
	case "why":
		r.Reason, err = s.string()
		return hasWhy, err
	case "by":
		r.By, err = s.string()
		return hasBy, err
	case "node":
		r.Node, err = s.string()
		return hasNode, err
	case "at":
		r.At, err = s.time()
		return hasAt, err
	case "own":
		r.Own, err = s.bool()
		return hasOwn, err
	case "gone":
		r.Gone, err = s.bool()
		return hasGone, err
	}
	return 0, errForeign
}

// Append appends the line of a rule. Equal rules have equal lines.
func (language) Append(line []byte, r Rule) []byte {
	line = strconv.AppendUint(append(line, `{"id":`...), uint64(r.ID), 10)
	line = appendText(line, `,"k":`, r.Kind.String())
	line = appendText(line, `,"v":`, r.Value)
	line = appendText(line, `,"iss":`, r.Issuer)
	line = appendText(line, `,"store":`, r.Store)
	line = appendTime(line, `,"end":`, r.End)
	line = appendTime(line, `,"nbf":`, r.NotBefore)
	line = appendText(line, `,"why":`, r.Reason)
	line = appendText(line, `,"by":`, r.By)
	line = appendText(line, `,"node":`, r.Node)
	line = appendTime(line, `,"at":`, r.At)
	if r.Own {
		line = append(line, `,"own":true`...)
	}
	if r.Gone {
		line = append(line, `,"gone":true`...)
	}
	return append(line, '}')
}

func appendTime(line []byte, name string, t time.Time) []byte {
	if t.Unix() < 1 { // zero, or when a machine that does not know the time made it
		return line
	}
	return strconv.AppendInt(append(line, name...), t.Unix(), 10)
}

func appendText(line []byte, name, text string) []byte {
	if text == "" {
		return line
	}
	line = append(append(line, name...), '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			line = append(line, '\\', c)
		case c < ' ':
			line = fmt.Appendf(line, `\u%04x`, c)
		default:
			line = append(line, c)
		}
	}
	return append(line, '"')
}

// End returns the time from which a rule no longer matters but for the margin that all
// facts have, or 0 for never. A removal has that of its rule.
func (language) End(r Rule) int64 {
	if r.End.IsZero() {
		return 0
	}
	return max(r.End.Unix(), 1)
}

// identity is what tells a rule from others.
type identity struct {
	id                   uint32
	kind                 Kind
	value, issuer, store string
}

func (r *Rule) identity() identity {
	return identity{r.ID, r.Kind, r.Value, r.Issuer, r.Store}
}

// Merge leaves out the rules whose removal is there, and duplicates. The order of what it
// returns depends on nothing but that, so that nodes that merge the same make the same.
func (language) Merge(rules []Rule) []Rule {
	gone := map[identity]bool{}
	for i := range rules {
		if rules[i].Gone {
			gone[rules[i].identity()] = true
		}
	}
	rules = slices.DeleteFunc(rules, func(r Rule) bool { return !r.Gone && gone[r.identity()] })
	slices.SortFunc(rules, compare)
	// Removals of one rule are one, of which the first lasts longest. Other rules that
	// differ stay, even in a text alone.
	return slices.CompactFunc(rules, func(a, b Rule) bool {
		return compare(a, b) == 0 || a.Gone && b.Gone && a.identity() == b.identity()
	})
}

func compare(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Value, b.Value), strings.Compare(a.Issuer, b.Issuer), strings.Compare(a.Store, b.Store),
		cmp.Compare(a.ID, b.ID), compareBool(a.Gone, b.Gone), -cmp.Compare(lasts(&a), lasts(&b)), a.NotBefore.Compare(b.NotBefore),
		a.At.Compare(b.At), strings.Compare(a.Reason, b.Reason), strings.Compare(a.By, b.By), strings.Compare(a.Node, b.Node), compareBool(a.Own, b.Own))
}

// lasts returns the end of a rule in seconds since 1970, the greatest number for never.
func lasts(r *Rule) int64 {
	if r.End.IsZero() {
		return math.MaxInt64
	}
	return r.End.Unix()
}

// isForgotten reports whether a rule or a removal matters no more: the cell that it makes
// would be over.
func (r *Rule) isForgotten(now int64) bool {
	margin := int64(marginSeconds)
	if r.Own {
		margin = 0
	}
	return lasts(r) <= now-margin
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
