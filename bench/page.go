package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func readResults(path string) (*results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(results)
	return r, json.Unmarshal(text, r)
}

func (r *results) write(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// plotFile is the growth of cost, beside the page.
const plotFile = "performance-growth.svg"

// writeDocs writes the page and its plots.
func (r *results) writeDocs(dir string) error {
	if r.EndToEnd == nil || r.Flood == nil || r.Steps == nil || r.Stores == nil || r.Reloads == nil || r.State == nil || r.Token == nil || r.Agents == nil {
		return fmt.Errorf("the page needs all parts; run without -only")
	}
	if err := os.WriteFile(filepath.Join(dir, plotFile), []byte(page(r.Steps.growth())), 0o644); err != nil {
		return err
	}
	if err := r.writeStatePlot(dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "performance.md"), []byte(r.document()), 0o644)
}

// print writes what was measured for a terminal.
func (r *results) print(out io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n", r.Machine)
	for _, part := range []func() string{r.endToEndTable, r.budgetTable, r.neverSeenTable, r.storeTable, r.floodText, r.reloadText, r.stateText, r.tokenText, r.agentsText} {
		if s := part(); s != "" {
			text.WriteString(s + "\n")
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// table writes rows as Markdown, whose first is the header, in columns of even
// width.
func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var s strings.Builder
	write := func(row []string) {
		for i, cell := range row {
			s.WriteString("| " + cell + strings.Repeat(" ", width[i]-len([]rune(cell))+1))
		}
		s.WriteString("|\n")
	}
	write(rows[0])
	for i := range width {
		s.WriteString("| " + strings.Repeat("-", width[i]) + " ")
	}
	s.WriteString("|\n")
	for _, row := range rows[1:] {
		write(row)
	}
	return s.String()
}

func (r *results) endToEndTable() string {
	if r.EndToEnd == nil {
		return ""
	}
	rows := [][]string{{"requests", "CPU, bare", "CPU, with the check", "ratio", "a second", "p50", "p99", "peak memory"}}
	for _, x := range r.EndToEnd.Rows {
		ratio := fmt.Sprintf("**%.2f** (%.2f to %.2f)", x.Ratio, x.RatioLeast, x.RatioMost)
		if x.Checks {
			ratio += " ¹"
		}
		both := func(format string, of func(figures) float64) string {
			return fmt.Sprintf(format+" → "+format, of(x.Bare), of(x.With))
		}
		rows = append(rows, []string{
			x.Name, fmt.Sprintf("%.1f µs", x.Bare.Micros), fmt.Sprintf("%.1f µs", x.With.Micros), ratio,
			both("%.0f", func(f figures) float64 { return f.PerSecond }),
			both("%.1f", func(f figures) float64 { return f.P50Micros / 1000 }) + " ms",
			both("%.1f", func(f figures) float64 { return f.P99Micros / 1000 }) + " ms",
			both("%.0f", func(f figures) float64 { return f.PeakMiB }) + " MiB",
		})
	}
	return table(rows)
}

func (r *results) endToEndRow(name string) row {
	i := slices.IndexFunc(r.EndToEnd.Rows, func(x row) bool { return x.Name == name })
	if i < 0 {
		return row{}
	}
	return r.EndToEnd.Rows[i]
}

// budgetTable holds what was measured against what it may cost.
func (r *results) budgetTable() string {
	if r.Steps == nil {
		return ""
	}
	g := r.Steps
	rows := [][]string{{"what", "may cost", "costs", "holds"}}
	add := func(what, budget, costs string, holds bool) {
		rows = append(rows, []string{what, budget, costs, map[bool]string{true: "yes", false: "**no**"}[holds]})
	}
	if r.EndToEnd != nil {
		for _, c := range []struct {
			name  string
			most  float64
			label string
		}{
			{tokenSeen + ", reverse_proxy", 1.10, "whole Caddy in front of an upstream, HTTPS, RS256 token seen before, against the same without jwt"},
			{tokenSeen, 1.10, "the same where Caddy answers by itself"},
			{allDifferent, 1.15, "whole Caddy, ES256 tokens all different, against one that checks the signature alone"},
		} {
			x := r.endToEndRow(c.name)
			add(c.label, fmt.Sprintf("%.2f ×", c.most), fmt.Sprintf("%.2f ×", x.Ratio), x.Ratio <= c.most)
		}
	}
	worst, of := 0.0, ""
	for _, alg := range neverSeenAlgorithms {
		if ratio := math.Round(g.of("TokenNeverSeen/"+alg, "ratio")*100) / 100; ratio > worst {
			worst, of = ratio, alg
		}
	}
	add("token never seen before, against golang-jwt's parser with keyfunc on the same token", "1.00 ×", fmt.Sprintf("%.2f × (%s; others no more)", worst, of), worst <= 1)
	within := func(what, name string, micros, allocs float64) {
		t, n := g.net(name)
		budget, costs := fmt.Sprintf("%g µs", micros), microseconds(t)
		if allocs > 0 {
			budget, costs = fmt.Sprintf("%s, %g allocations", budget, allocs), fmt.Sprintf("%s, %.0f", costs, n)
		}
		add(what, budget, costs, t <= micros && (allocs == 0 || n <= allocs))
	}
	within("handler, token seen before, one `forward`, one `require scope`", "TokenSeen/jwt", 3, 12)
	within("the same with a scope rule, a claim rule and three forwarded headers", "Authorization/token", 4, 16)
	expression, _ := g.net("Authorization/expression")
	add("an expression of two terms, besides", "2 µs", fmt.Sprintf("%.2f µs", expression), expression <= 2)
	within("API key, of 10", "APIKey/10/known", 2, 0)
	within("API key, of 1,000,000", "APIKey/1000000/known", 2, 0)
	within("API key that is unknown, of 1,000,000", "APIKey/1000000/unknown", 2, 0)
	perKey, load := g.of("Load", "heap-B/key"), g.of("Load", "s/load")
	add("memory of an API key", "300 bytes", fmt.Sprintf("%.0f bytes", perKey), perKey <= 300)
	add("loading 1,000,000 API keys", "5 s", fmt.Sprintf("%.1f s", load), load <= 5)
	for _, c := range []string{"garbage", "expired", "unknown_issuer", "unknown_kid"} {
		within("refused before a signature: "+strings.ReplaceAll(c, "_", " "), "Handler/refused/"+c, 5, 0)
	}
	of, worst = g.worst("Hostile/", "budget-ratio")
	add("hostile queries, cookies, headers and tokens, refused before a signature", "20 µs + 10 ns a byte", fmt.Sprintf("%.2f × of it at most (%s)", worst, strings.ReplaceAll(of, "_", " ")), worst <= 1)
	forged, _ := g.net("ForgedSignature/jwt")
	checks := forged / g.micros("ForgedSignature/one_check")
	add("forged signature under a known kid", "1 check of a signature", fmt.Sprintf("%.2f checks", checks), checks < 1.5)
	one, thousand, ratio := g.of("IssuerChoice", "theirs-ns")/1000, g.of("IssuerChoice", "ours-ns")/1000, g.of("IssuerChoice", "ratio")
	add("choice of an issuer among 1,000", "as among 1, within 15 %", fmt.Sprintf("%.2f µs, among 1 %.2f µs: %.2f ×", thousand, one, ratio), ratio <= 1.15)
	if f := r.Flood; f != nil {
		add(fmt.Sprintf("memory that %s different tokens leave taken", thousands(f.Tokens)), fmt.Sprintf("the cache's %d MiB", f.BoundMiB),
			fmt.Sprintf("%.0f MiB", f.grown()), f.grown() <= float64(f.BoundMiB))
	}
	if x := r.Reloads; x != nil {
		goroutines, files, heap := x.With.grown()
		_, _, bareHeap := x.Without.grown()
		add(thousands(x.Times)+" reloads under load: wrong answers", "0", strconv.Itoa(x.With.Wrong), x.With.Wrong == 0)
		add("the same: requests without a connection", "as without jwt, 25 % more at most, as they are few", fmt.Sprintf("%.2f %%, without jwt %.2f %%", x.With.failed(), x.Without.failed()),
			x.With.failed() <= 1.25*x.Without.failed()+2)
		add("the same: goroutines and files left", "5 each", fmt.Sprintf("%d and %d", max(goroutines, 0), max(files, 0)), goroutines <= 5 && files <= 5)
		add("the same: heap, of what it was", "1.1 ×, and what Caddy itself keeps", fmt.Sprintf("%.2f ×, without jwt %.2f ×", heap, bareHeap), heap <= 1.1+max(0, bareHeap-1))
	}
	return table(rows)
}

// microseconds writes a difference of two times, which may be too small to be told
// from what else the machine does.
func microseconds(t float64) string {
	if t < 0.1 {
		return "less than can be told"
	}
	return fmt.Sprintf("%.2f µs", t)
}

// neverSeenAlgorithms are those of the table of tokens never seen.
var neverSeenAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}

func (r *results) neverSeenTable() string {
	if r.Steps == nil {
		return ""
	}
	rows := [][]string{{"algorithm", "caddy-jwt", "golang-jwt + keyfunc", "ratio"}}
	for _, alg := range neverSeenAlgorithms {
		of := func(unit string) float64 { return r.Steps.of("TokenNeverSeen/"+alg, unit) }
		rows = append(rows, []string{alg, fmt.Sprintf("%.1f µs, %.0f allocations", of("ours-ns")/1000, of("ours-allocs")),
			fmt.Sprintf("%.1f µs, %.0f allocations", of("theirs-ns")/1000, of("theirs-allocs")), fmt.Sprintf("%.2f", of("ratio"))})
	}
	return table(rows)
}

func (r *results) storeTable() string {
	if r.Stores == nil {
		return ""
	}
	rows := [][]string{{"store", "bounded by", "hit", "hit, all processors", "miss", "new token, full", "memory an entry", "steady tokens found"}}
	for _, kind := range storeKinds {
		name := strings.ReplaceAll(kind.Name, " ", "_")
		of := func(what string) string {
			return fmt.Sprintf("%.0f ns", r.Stores.of("Store/"+name+"/"+what, "ns/op"))
		}
		rows = append(rows, []string{kind.Name, kind.Bound, of("hit"), of("hit_on_all_processors"), of("miss"), of("new_token_when_full"),
			fmt.Sprintf("%.0f bytes", r.Stores.of("Overhead/"+name, "B/entry")), fmt.Sprintf("%.0f %%", r.Stores.of("SteadyTokens/"+name, "%found"))})
	}
	return table(rows)
}

// grown is how much memory the server has taken for the tokens.
func (f *flood) grown() float64 { return max(f.TokensMiB, f.GarbageMiB) - f.BeforeMiB }

func (r *results) floodText() string {
	f := r.Flood
	if f == nil {
		return ""
	}
	return fmt.Sprintf(`The process had %.0f MiB before, at most %.0f MiB while %s different valid tokens came, and at most %.0f MiB
while garbage came for 10 s behind them: %.0f MiB more than before, with a cache of %d MiB. At the end the cache held
%s tokens and counted %.1f MiB for them. A token that was sent %d times meanwhile, every %d ms, was found in the
cache %d times.
`, f.BeforeMiB, f.TokensMiB, thousands(f.Tokens), f.GarbageMiB, f.grown(), f.BoundMiB, thousands(f.CacheTokens), f.CacheMiB,
		f.SteadySent, steadyInterval.Milliseconds(), f.SteadyFound)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
