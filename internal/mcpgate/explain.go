package mcpgate

import (
	"net/http"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// optionMCP is the option as a Caddyfile has it.
const optionMCP = "mcp"

// Unasked returns the check of the message as skipped, for a request that is refused before.
func (g *Gate) Unasked() reason.Check {
	return reason.Check{Name: reason.CheckMessage, Outcome: reason.Skipped, Wanted: "a message of MCP that can be judged", Option: optionMCP}
}

// Unknown returns the check of a message that is not known, with the rules that there are.
func (g *Gate) Unknown() reason.Check {
	c := g.Unasked()
	c.Outcome, c.Seen = reason.Unknown, "the question has no body; --data gives it, or --mcp-tool a call"
	if len(g.texts) > 0 {
		c.Wanted += "; there are rules for " + strings.Join(g.texts, "; ")
	}
	if g.deny {
		c.Wanted += "; " + textDeny
	}
	c.Wanted = reason.Bounded(c.Wanted)
	return c
}

// maxExplained is how many checks that passed are shown of one message: a batch can have any
// number.
const maxExplained = 50

// Explain makes the checks of a message on which a verdict was given, in the order in which it
// was judged: the first that failed is the verdict's.
func (g *Gate) Explain(r *http.Request, id *identity.Identity, v *Verdict) []reason.Check {
	c := g.Unasked()
	c.Outcome = reason.Passed
	if v.message == nil {
		c.Seen = "a request without a message: " + r.Method
		if v.Code != "" {
			c.Outcome, c.Reason, c.Detail = reason.Failed, v.Code, v.Detail
			c.Seen = r.Method + " with the type " + reason.Bounded(strings.Join(r.Header["Content-Type"], ", "))
		}
		return []reason.Check{c}
	}
	c.Seen = "a response"
	var called []string
	for _, call := range v.message.Calls {
		called = append(called, strings.TrimSpace(call.Method+" "+call.Name))
	}
	if len(called) > 0 {
		c.Seen = reason.Bounded(strings.Join(called, ", "))
	}
	list := []reason.Check{c}
	for _, call := range v.message.Calls {
		matching, denied := g.matching.Matching(call)
		if denied {
			c := g.Unasked()
			c.Outcome, c.Reason, c.Option = reason.Failed, reason.Forbidden, textDeny
			c.Seen, c.Wanted = reason.Bounded(strings.TrimSpace(call.Method+" "+call.Name)), "a call that a rule names"
			list = append(list, c)
		}
		for _, n := range matching {
			for _, c := range g.required[n].Explain(r, id) {
				if c.Outcome == reason.Failed || len(list) < maxExplained {
					c.Option = g.texts[n] + " " + c.Option
					list = append(list, c)
				}
			}
		}
	}
	return list
}
