package main

import (
	"fmt"
	"strings"
)

// agentsTitle begins the section of the page about agents and opaque tokens.
const agentsTitle = "## Agents, opaque tokens and tenants\n"

// rowsTable are whole servers beside each other.
func (a *agents) rowsTable() string {
	return (&results{EndToEnd: &endToEnd{Rows: a.Rows}}).endToEndTable()
}

func (a *agents) row(name string) row { return (&tokens{Rows: a.Rows}).row(name) }

// messagesTable is what judging a message costs, by its size: in the handler alone, and of what a
// whole Caddy takes.
func (a *agents) messagesTable() string {
	rows := [][]string{{"a message of", "in the handler", "allocations", "a whole Caddy, beside one without `mcp`"}}
	for _, kib := range messageSizes {
		micros, allocs := a.Steps.net(fmt.Sprintf("MCP/%dKiB", kib))
		r := a.row(fmt.Sprintf(messageOf, kib))
		rows = append(rows, []string{
			fmt.Sprintf("%d KiB", kib), microseconds(micros), fmt.Sprintf("%.0f", allocs),
			fmt.Sprintf("%.2f × (%.2f to %.2f)", r.Ratio, r.RatioLeast, r.RatioMost),
		})
	}
	return table(rows)
}

// budgetTable holds what was measured against what it may cost.
func (a *agents) budgetTable() string {
	rows := [][]string{{"what", "may cost", "costs", "holds"}}
	add := func(what, budget, costs string, holds bool) {
		rows = append(rows, []string{what, budget, costs, map[bool]string{true: "yes", false: "**no**"}[holds]})
	}
	message, _ := a.Steps.net("MCP/4KiB")
	add("`mcp` rules, a message of 4 KiB, besides", "15 µs", microseconds(message), message <= 15)
	jwt, jwtAllocs := a.Steps.net("Opaque/jwt")
	beside, besideAllocs := a.Steps.net("Opaque/jwt_beside_all")
	add("JWT seen before, handler, at a site with everything, beside one without", "1.10 ×, and no allocation", fmt.Sprintf("%.2f ×, %+.0f", beside/jwt, besideAllocs-jwtAllocs),
		beside <= 1.1*jwt && besideAllocs <= jwtAllocs)
	ratio := a.row(everythingOn).Ratio
	add("the same, a whole Caddy", "1.02 ×", fmt.Sprintf("%.2f ×", ratio), ratio <= 1.02)
	return table(rows)
}

// agentsText is what a terminal gets.
func (r *results) agentsText() string {
	if r.Agents == nil {
		return ""
	}
	a := r.Agents
	return strings.Join([]string{a.rowsTable(), a.budgetTable(), a.messagesTable(), a.scopesText()}, "\n")
}

// scopesText is what implied scopes and opaque tokens cost in the handler.
func (a *agents) scopesText() string {
	jwt, _ := a.Steps.net("Opaque/jwt")
	opaque, _ := a.Steps.net("Opaque/opaque")
	nanos := func(name string) float64 { return 1000 * a.Steps.micros("ScopeRules/"+name) }
	return fmt.Sprintf(`In the handler alone, an opaque token whose answer is kept takes %.2f times as long as a JWT that was seen before. Two rules about
scopes take %.0f ns without `+"`scope_implies`"+`, %.0f ns where there is one and the scopes are granted, and %.0f ns where they are
implied.
`, opaque/jwt, nanos("without"), nanos("granted"), nanos("implied"))
}

// agentsSection is the page's section about agents and opaque tokens.
func (r *results) agentsSection() string {
	a := r.Agents
	return fmt.Sprintf(agentsTitle+`
Measured on %s, on this machine: %s.

Whole Caddys over HTTPS, as above, all with the same `+"`jwt`"+` for an RS256 token that was seen before. "Everything" is a site with
`+"`resource`, `scope_implies`, an issuer with `introspection`, one with `tenants`, and a `jwt` with `mcp`"+` for another path; then one
that judges the GET itself. An opaque token whose issuer was asked before, beside the JWT. Calls of a tool, with
three rules for messages beside none; both servers read the body. Medians of %d rounds of %d s for each.

%s
The budgets. Steps in the handler alone, as above.

%s
What a message costs by its size: it is read whole, parsed strictly and judged, and goes on as it came.

%s
%s`, r.Machine.Date, r.Machine, a.Rounds, a.Seconds, a.rowsTable(), a.budgetTable(), a.messagesTable(), a.scopesText())
}
