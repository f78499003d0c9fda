package mcp

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Rule is what a rule is about; what it asks for is its user's.
type Rule struct {
	// Kind is what the patterns name.
	Kind Kind
	// Patterns are names, of which one must match: * stands for any characters, / too, and is
	// the only sign. Case is ignored, and names are compared in NFC. Those of resources are
	// compared with percent-encoded characters decoded once, several slashes as one, and hosts in
	// one form.
	Patterns []string
}

// Rules find the rules that concern a call. They are immutable; nil has none and denies
// nothing.
type Rules struct {
	exact [Resource + 1]map[string][]int // by the name, as it is folded
	globs [Resource + 1][]glob
	deny  bool
}

// glob is a pattern with a star.
type glob struct {
	start, end string
	between    []string
	index      int
}

// NewRules returns rules. deny is whether a call that no rule names is denied. The error says
// what is wrong with a pattern, and what to write instead.
func NewRules(list []Rule, deny bool) (*Rules, error) {
	rules := &Rules{deny: deny}
	for index, rule := range list {
		if rule.Kind > Resource {
			return nil, fmt.Errorf("kind %d is none of method, tool, prompt and resource", rule.Kind)
		}
		if len(rule.Patterns) == 0 {
			return nil, fmt.Errorf("%s has no name; write at least one, or * for all", rule.Kind)
		}
		for _, pattern := range rule.Patterns {
			if err := rules.add(rule.Kind, pattern, index); err != nil {
				return nil, err
			}
		}
	}
	return rules, nil
}

func (rules *Rules) add(kind Kind, pattern string, index int) error {
	switch {
	case strings.TrimSpace(pattern) == "":
		return fmt.Errorf("a name of %s is empty; write * for all", kind)
	case strings.ContainsFunc(pattern, unicode.IsControl):
		return fmt.Errorf("%s %q has a control character, which no call may have; remove it", kind, pattern)
	}
	parts := strings.Split(pattern, "*")
	for i, part := range parts {
		if kind != Resource {
			parts[i] = foldPart(part)
			continue
		}
		part = foldPart(plainURI(part))
		if _, rest, _ := strings.Cut(part, "://"); i == 0 && (len(parts) == 1 || strings.ContainsAny(rest, "/?#")) {
			part = plainHost(part)
		}
		parts[i] = oneSlash(part)
	}
	if kind == Resource && len(parts) == 1 {
		if _, err := foldURI(pattern); err != nil {
			return fmt.Errorf("%s %q has dot segments or control characters, and calls with them are refused; write the URI without them", kind, pattern)
		}
	}
	last := len(parts) - 1
	parts[0], parts[last] = strings.TrimLeftFunc(parts[0], unicode.IsSpace), strings.TrimRightFunc(parts[last], unicode.IsSpace)
	if last == 0 {
		if rules.exact[kind] == nil {
			rules.exact[kind] = map[string][]int{}
		}
		if at := rules.exact[kind][parts[0]]; !slices.Contains(at, index) {
			rules.exact[kind][parts[0]] = append(at, index)
		}
		return nil
	}
	rules.globs[kind] = append(rules.globs[kind], glob{parts[0], parts[last], parts[1:last], index})
	return nil
}

// matches reports whether a folded name matches. Each part is looked for behind the one
// before it, so it takes no more than the length of the name a part.
func (g *glob) matches(name string) bool {
	if len(name) < len(g.start)+len(g.end) || !strings.HasPrefix(name, g.start) || !strings.HasSuffix(name, g.end) {
		return false
	}
	name = name[len(g.start) : len(name)-len(g.end)]
	for _, part := range g.between {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}

// Matching returns the indices of the rules that concern a call, in their order, and whether
// it is denied, as none does. Rules of methods concern calls of that method, whatever they
// name. The indices must not be changed.
func (rules *Rules) Matching(c Call) (indices []int, denied bool) {
	if rules == nil {
		return nil, false
	}
	name, local := c.foldedName()
	if c.Kind == Method {
		indices = rules.named(Method, name, nil)
	} else {
		folded := c.Method
		if m := knownMethods[c.Method]; m != nil {
			folded = m.folded
		}
		indices = rules.named(Method, folded, nil)
		indices = rules.named(c.Kind, name, indices)
	}
	denied = rules.deny && len(indices) == 0
	if local != "" { // a rule for files of no host opens none of another one
		indices = rules.named(c.Kind, local, indices)
	}
	return indices, denied
}

// foldedName returns the name, or the method if the call names nothing, as it is compared
// with patterns; and the name of a file on another host without that.
func (c *Call) foldedName() (name, local string) {
	switch {
	case c.folded != "":
		return c.folded, c.local
	case c.Kind == Method:
		return fold(c.Method), ""
	case c.Kind == Resource:
		u, _ := foldURI(c.Name)
		return u.text, u.local
	}
	return fold(c.Name), ""
}

// named adds the rules of a kind that match a name.
func (rules *Rules) named(kind Kind, folded string, indices []int) []int {
	exact := rules.exact[kind][folded]
	if len(rules.globs[kind]) == 0 && len(indices) == 0 {
		return exact
	}
	sum := slices.Concat(indices, exact)
	for i := range rules.globs[kind] {
		if g := &rules.globs[kind][i]; g.matches(folded) {
			sum = append(sum, g.index)
		}
	}
	slices.Sort(sum)
	return slices.Compact(sum)
}
