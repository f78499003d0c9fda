package main

import (
	"fmt"
	"slices"
	"strings"
)

// tokenTitle begins the section of the page about token services.
const tokenTitle = "## Token service\n"

// rowsTable are whole servers beside each other.
func (t *tokens) rowsTable() string {
	return (&results{EndToEnd: &endToEnd{Rows: t.Rows}}).endToEndTable()
}

func (t *tokens) row(name string) row {
	i := slices.IndexFunc(t.Rows, func(r row) bool { return r.Name == name })
	if i < 0 {
		return row{}
	}
	return t.Rows[i]
}

// flood returns the flood with failures that keeps the client waiting for longest, and how many
// times as long as beside a static text.
func (t *tokens) worstFlood() (f tokenFlood, ratio float64) {
	for _, other := range t.Floods[1:] {
		if r := other.P99Millis / t.Floods[0].P99Millis; r > ratio {
			f, ratio = other, r
		}
	}
	return f, ratio
}

// forwarded is what a token for an upstream costs more, for a credential that was seen before:
// the most of both kinds.
func (t *tokens) forwarded() float64 {
	token, _ := t.Steps.net("ForwardJWT/token")
	key, _ := t.Steps.net("ForwardJWT/api_key")
	return max(token, key)
}

// budgetTable holds what was measured against what it may cost.
func (t *tokens) budgetTable() string {
	rows := [][]string{{"what", "may cost", "costs", "holds"}}
	add := func(what, budget, costs string, holds bool) {
		rows = append(rows, []string{what, budget, costs, map[bool]string{true: "yes", false: "**no**"}[holds]})
	}
	ratio := t.row(besideSignature).Ratio
	add("token endpoint, API key, ES256, a whole Caddy, against one that makes a bare signature", "1.5 ×", fmt.Sprintf("%.2f ×", ratio), ratio <= 1.5)
	add("tokens on two processors", "5,000 a second", fmt.Sprintf("%s a second", thousands(int(t.PerSecond))), t.PerSecond >= 5000)
	forwarded := t.forwarded()
	add("`forward_jwt`, credential seen before, besides", "1 µs", microseconds(forwarded), forwarded <= 1)
	flood, worst := t.worstFlood()
	add("p99 of a client beside failures, against the same beside a static text", "3 ×", fmt.Sprintf("%.2f × (%s)", worst, flood.Name), worst <= 3)
	return table(rows)
}

// stepsTable are tokens in the service alone, without Caddy.
func (t *tokens) stepsTable() string {
	rows := [][]string{{"algorithm", "bare signature", "token", "besides"}}
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		bare, token := t.Steps.micros("Token/"+alg+"/bare_signature"), t.Steps.micros("Token/"+alg+"/token")
		rows = append(rows, []string{alg, fmt.Sprintf("%.1f µs", bare), fmt.Sprintf("%.1f µs", token), fmt.Sprintf("%.1f µs", token-bare)})
	}
	return table(rows)
}

func (t *tokens) floodTable() string {
	rows := [][]string{{"a client beside", "requests a second", "its tokens", "p50", "p99"}}
	for _, f := range t.Floods {
		rows = append(rows, []string{f.Name, thousands(int(f.PerSecond)), thousands(f.Tokens), fmt.Sprintf("%.1f ms", f.P50Millis), fmt.Sprintf("%.1f ms", f.P99Millis)})
	}
	return table(rows)
}

// tokenText is what a terminal gets.
func (r *results) tokenText() string {
	if r.Token == nil {
		return ""
	}
	t := r.Token
	return strings.Join([]string{t.rowsTable(), t.budgetTable(), t.floodTable(), t.stepsTable()}, "\n")
}

// tokenSection is the page's section about token services.
func (r *results) tokenSection() string {
	t := r.Token
	signed, _ := t.Steps.net("ForwardJWT/signed")
	return fmt.Sprintf(tokenTitle+`
Measured on %s, on this machine: %s.

Whole Caddys over HTTPS, as above. A client with an API key asks for tokens that are signed with ES256: beside a Caddy that
answers the same requests with a text, and beside one that makes one ES256 signature with Go's crypto for each of them. Then a
token that a site has seen before: of the service in the same Caddy, whose client is looked up for each request, beside the
same claims of another issuer at a site of a Caddy that is alike. Medians of %d rounds of %d s for each.

%s
The budgets. On two processors, the Caddy shares them with wrk.

%s
A client that asks for a token a hundred times a second, while wrk sends as much as one processor can, to a Caddy on
another one: requests for a text that it answers, and requests that it refuses. Each of the client's requests got its token.

%s
In the service alone, without Caddy and connections. Beside that, a token of the service at a site pays %s for the look-up
of its client; a token for an upstream that has to be signed, once in half a minute for each credential, %.0f µs.

%s`, r.Machine.Date, r.Machine, t.Rounds, t.Seconds, t.rowsTable(), t.budgetTable(), t.floodTable(),
		fmt.Sprintf("%.0f ns", 1000*t.Steps.micros("CheckClient/partner001")), signed, t.stepsTable())
}
