package mcp

// Rule is what a rule is about; what it asks for is its user's.
type Rule struct {
	Kind     Kind
	Patterns []string
}

// Rules find the rules that concern a call.
type Rules struct{}

// NewRules returns rules. deny is whether a call that no rule names is denied.
func NewRules(list []Rule, deny bool) (*Rules, error) { return nil, nil }

// Matching returns the indices of the rules that concern a call, in their order, and whether
// it is denied, as none does. The indices must not be changed.
func (rules *Rules) Matching(c Call) (indices []int, denied bool) { return nil, false }
