package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// statePlotFile is the cost of a look-up by the number of rules, beside the page.
const statePlotFile = "performance-revocation.svg"

// stateTitle begins the section of the page about revocation.
const stateTitle = "## Revocation\n"

func (r *results) writeStatePlot(dir string) error {
	return os.WriteFile(filepath.Join(dir, statePlotFile), []byte(page(r.State.plots())), 0o644)
}

// writeSections writes the sections that were measured alone, and their plot, into the page
// that there is.
func (r *results) writeSections(dir string) error {
	path := filepath.Join(dir, "performance.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page := string(text)
	if r.State != nil {
		if err := r.writeStatePlot(dir); err != nil {
			return err
		}
		page = putSection(page, r.stateSection())
	}
	if r.Token != nil {
		page = putSection(page, r.tokenSection())
	}
	if r.Agents != nil {
		page = putSection(page, r.agentsSection())
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// putSection replaces the section of a page that has the same title, or adds it in front of
// the store of the cache.
func putSection(text, section string) string {
	title, _, _ := strings.Cut(section, "\n")
	before, rest, found := strings.Cut(text, "\n"+title+"\n")
	if !found {
		const next = "\n## The store of the cache"
		before, rest, _ = strings.Cut(text, next)
		return before + "\n" + section + next + rest
	}
	_, after, more := strings.Cut(rest, "\n## ")
	if more {
		after = "\n## " + after
	}
	return before + "\n" + section + after
}

// has reports whether a benchmark was run.
func (g *goBenches) has(name string) bool { return len(g.Values[name]) > 0 }

// ruleSizes are the numbers of rules in benchmarks' names.
var ruleSizes = []struct {
	name, text string
	rules      int
}{{"0", "0", 0}, {"1k", "1,000", 1000}, {"100k", "100,000", 100_000}, {"1M", "1,000,000", 1_000_000}, {"10M", "10,000,000", 10_000_000}}

// rulesTable is what rules cost, by their number.
func (s *state) rulesTable() string {
	g := s.Rules
	cell := func(name string, text func() string) string {
		if !g.has(name) {
			return ""
		}
		return text()
	}
	rows := [][]string{{"rules", "look-up, all kinds of rules", "look-up, only `jti`", "memory a rule", "loading all", "one more rule"}}
	for _, n := range ruleSizes {
		all, jti, load, add := "Revocation/"+n.name, "Revocation/jti/"+n.name, "RevocationLoad/"+n.name, "RevocationAdd/"+n.name
		if !g.has(all) {
			continue
		}
		row := []string{
			n.text, fmt.Sprintf("%.0f ns", 1000*g.micros(all)),
			cell(jti, func() string { return fmt.Sprintf("%.0f ns", 1000*g.micros(jti)) }), "",
			cell(load, func() string { return fmt.Sprintf("%.1f s", g.micros(load)/1e6) }),
			cell(add, func() string { return fmt.Sprintf("%.1f µs", g.micros(add)) }),
		}
		if n.rules > 0 {
			row[3] = fmt.Sprintf("%.0f bytes", g.of(all, "B/rule"))
		}
		rows = append(rows, row)
	}
	return table(rows)
}

// besideTable is how long look-ups take beside what else is done with rules.
func (s *state) besideTable() string {
	rows := [][]string{{"look-ups of 1,000,000 rules beside", "p50", "p99"}}
	for _, c := range []struct{ name, text string }{
		{"nothing", "nothing"}, {"adding", "rules that are added one by one"}, {"load", "loading 100,000 rules"}, {"folds", "folding the tables, all the time"},
	} {
		of := func(unit string) string {
			return fmt.Sprintf("%.0f ns", s.Rules.of("RevocationBeside/1M/"+c.name, unit))
		}
		rows = append(rows, []string{c.text, of("p50-ns"), of("p99-ns")})
	}
	return table(rows)
}

func (s *state) writesTable() string {
	rows := [][]string{{"storage", "acknowledged, p50", "p99", "50 clients at each node: a second", "p99"}}
	for _, w := range s.Writes {
		rows = append(rows, []string{w.Storage, fmt.Sprintf("%.1f ms", w.P50Millis), fmt.Sprintf("%.1f ms", w.P99Millis),
			fmt.Sprintf("%.0f", w.PerSecond), fmt.Sprintf("%.0f ms", w.WaitingP99Millis)})
	}
	return table(rows)
}

func (s *state) serverTable() string {
	rows := [][]string{{"a whole server, HTTP, RS256 token seen before", "requests a second", "p50", "p99"}}
	for _, c := range []struct {
		text string
		f    figures
	}{
		{"nothing happens to its state", s.Quiet},
		{fmt.Sprintf("%s rules are loaded, folded and merged", thousands(s.Loaded)), s.Busy},
	} {
		rows = append(rows, []string{c.text, fmt.Sprintf("%.0f", c.f.PerSecond), fmt.Sprintf("%.1f ms", c.f.P50Micros/1000), fmt.Sprintf("%.1f ms", c.f.P99Micros/1000)})
	}
	return table(rows)
}

// plots are the look-up by the number of rules.
func (s *state) plots() []plot {
	l := line{}
	for _, n := range []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000} {
		if name := fmt.Sprintf("RevocationGrowth/%d", n); s.Rules.has(name) {
			l.x, l.y = append(l.x, float64(n)), append(l.y, max(s.Rules.micros(name), leastMicros))
		}
	}
	return []plot{{title: "Revocation rules of all kinds (token not revoked)", x: "rules", y: "µs a look-up", lines: []line{l}}}
}

// stateText is what a terminal gets.
func (r *results) stateText() string {
	if r.State == nil {
		return ""
	}
	s := r.State
	return strings.Join([]string{s.rulesTable(), s.besideTable(), s.writesTable(), s.serverTable()}, "\n")
}

// stateSection is the page's section about revocation.
func (r *results) stateSection() string {
	s := r.State
	return fmt.Sprintf(stateTitle+`
Measured on %s, on this machine: %s.

What a request pays for revocation, and what rules cost, by their number. The look-up is that of a token that is not
revoked, with rules of all seven kinds, or of one: kinds without rules are skipped. A filter in front of the tables
answers nearly all look-ups; from a million rules on, each is a place in memory that the processor's cache does not
have. Loading is reading the lines and taking them into force, without the storage.

%s
![A plot: a look-up against the number of rules](%s)

Look-ups take no lock. Their times beside what else is done with rules, on the same processors:

%s
Two nodes that share a storage, each on the same processor, with one revocation after the other at each: the time from
the request to the admin endpoint until it is answered as stored. Then 50 clients at each node, whose revocations wait for
each other in one object.

%s
A server that answers wrk's requests, and one that loads meanwhile what another node has written, by turns of %.0f s:
medians of %d turns. Loading took %.2f s of it, merging %.2f s.

%s`, r.Machine.Date, r.Machine, s.rulesTable(), statePlotFile, s.besideTable(), s.writesTable(), stateSlice.Seconds(), s.Slices, s.Load, s.Merge, s.serverTable())
}
