package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestGoBenchmarksAreRead(t *testing.T) {
	t.Parallel()
	g := &goBenches{Values: map[string]map[string][]float64{}}
	err := g.parse([]byte(`goos: linux
BenchmarkTokenSeen/jwt-2   	   2090	      193893 ns/op	    2893 net-ns	    2 net-allocs
BenchmarkTokenSeen/jwt-2   	   2090	      183893 ns/op	    3893 net-ns	    2 net-allocs
BenchmarkLoad 	       1	1.5e+09 ns/op	 100.00 MB/s	       172.5 heap-B/key
BenchmarkHostile/one/percent-2 	 100	 9 ns/op	 0.5 budget-ratio	 7 serve-us
BenchmarkHostile/one/percent-2 	 100	 9 ns/op	 0.8 budget-ratio	 7 serve-us
BenchmarkHostile/all/many_members-2 	 100	 9 ns/op	 0.6 budget-ratio	 7 serve-us
BenchmarkHostile/all/many_members-2 	 100	 9 ns/op	 0.7 budget-ratio	 7 serve-us
PASS
`))
	if err != nil {
		t.Fatal(err)
	}
	if micros, allocs := g.net("TokenSeen/jwt"); micros != 2.893 || allocs != 2 {
		t.Errorf("it is %v µs and %v", micros, allocs)
	}
	if got := g.micros("TokenSeen/jwt"); got != 183.893 {
		t.Errorf("the least is %v µs", got)
	}
	if got := g.of("Load", "heap-B/key"); got != 172.5 {
		t.Errorf("the figure is %v", got)
	}
	if name, got := g.worst("Hostile/", "budget-ratio"); name != "all/many_members" || got != 0.6 {
		t.Errorf("the worst is %s with %v", name, got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a figure that was not measured is there")
		}
	}()
	g.of("TokenSeen/jwt", "furlongs")
}

// TestStepBenchesAreThere checks that each benchmark that is named is one of its package:
// a page would lack its row otherwise.
func TestStepBenchesAreThere(t *testing.T) {
	t.Parallel()
	all := maps.Clone(stepBenches)
	all["./revocation"] = ruleBenches
	for _, more := range []map[string][]string{tokenBenches, agentBenches} {
		for name, benchmarks := range more {
			all[name] = append(slices.Clone(all[name]), benchmarks...)
		}
	}
	for name, want := range all {
		list := exec.CommandContext(t.Context(), "go", "test", "-run", "^$", "-list", pattern(want), name)
		list.Dir = ".."
		out, err := list.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, benchmark := range want {
			if !slices.Contains(strings.Fields(string(out)), "Benchmark"+benchmark) {
				t.Errorf("%s has no benchmark %s", name, benchmark)
			}
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list []float64
		want float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.list); got != c.want {
			t.Errorf("%v: %v, want %v", c.list, got, c.want)
		}
	}
}

// A page of plots is one picture that can be read as XML, with every line in it.
func TestPlots(t *testing.T) {
	t.Parallel()
	text := page([]plot{
		{title: "One", x: "keys", y: "µs", lines: []line{{x: []float64{1, 1000, 1e6}, y: []float64{1, 2.5, 3}}}},
		{title: "Two", x: "bytes", y: "µs", logY: true, lines: []line{{name: "a", x: []float64{200, 8000}, y: []float64{1, 900}}, {name: "b", x: []float64{200, 8000}, y: []float64{0.5, 1}}}},
		{title: "Nothing", x: "x", y: "y", lines: []line{{x: []float64{1, 10}, y: []float64{0, 0}}}},
		{title: "Three", x: "x", y: "y", lines: []line{{x: []float64{1, 10}, y: []float64{0.001, 0.002}}}},
	})
	if n := strings.Count(text, `stroke-width="2"`); n != 5 {
		t.Errorf("%d lines, want 5", n)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a place is no number")
	}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if path := os.Getenv("PLOT"); path != "" { // to look at it
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFiguresAreWrittenBriefly(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 12: "12", 1000: "1k", 20_000: "20k", 1_000_000: "1M", 2.504: "2.5"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1_234_567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := table([][]string{{"a", "b"}, {"µs", "1"}}); got != "| a  | b |\n| -- | - |\n| µs | 1 |\n" {
		t.Errorf("%q", got)
	}
}

func TestReloadsAreRead(t *testing.T) {
	t.Parallel()
	r, err := parseReloads([]byte(`=== RUN   TestThreat36_ReloadsUnderLoad
    reload_test.go:168: 1000 reloads without jwt: 20000 requests, 100 failed connections, 0 wrong answers in 45.12s; GET /jwt/status: map[0:3 404:5]
    reload_test.go:169: 1000 reloads with jwt:    10000 requests, 60 failed connections, 2 wrong answers in 47.01s; GET /jwt/status: map[200:5]
    reload_test.go:207: without jwt: {goroutines:20 files:11 heapMiB:10.5} to {goroutines:21 files:11 heapMiB:10.9}
    reload_test.go:208: with jwt:    {goroutines:24 files:13 heapMiB:12} to {goroutines:22 files:14 heapMiB:12.6}
BenchmarkHostile/one/percent-2 	 100	 9 ns/op	 0.5 budget-ratio	 7 serve-us
BenchmarkHostile/one/percent-2 	 100	 9 ns/op	 0.8 budget-ratio	 7 serve-us
BenchmarkHostile/all/many_members-2 	 100	 9 ns/op	 0.6 budget-ratio	 7 serve-us
BenchmarkHostile/all/many_members-2 	 100	 9 ns/op	 0.7 budget-ratio	 7 serve-us
PASS
`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Times != 1000 || r.With.Wrong != 2 || r.Without.failed() != 0.5 || r.With.failed() != 0.6 {
		t.Errorf("%+v", r)
	}
	if goroutines, files, heap := r.With.grown(); goroutines != -2 || files != 1 || heap != 1.05 {
		t.Errorf("%d goroutines, %d files, heap %v", goroutines, files, heap)
	}
	if _, err := parseReloads([]byte("PASS\n")); err == nil {
		t.Error("figures out of nothing")
	}
}

// The section about revocation takes the place of the one before, and only that.
func TestASectionIsPut(t *testing.T) {
	t.Parallel()
	const before, after = "# P\n\n## Growth\n\ng\n", "\n## The store of the cache\n\ns\n\n## More\n"
	first := putSection(before+after, "## Revocation\n\none\n")
	if want := before + "\n## Revocation\n\none\n" + after; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	if got, want := putSection(first, "## Revocation\n\ntwo\n"), before+"\n## Revocation\n\ntwo\n"+after; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The tables of revocation have a row for each number of rules that was measured.
func TestStateTables(t *testing.T) {
	t.Parallel()
	s := &state{
		Rules:  &goBenches{Values: map[string]map[string][]float64{}},
		Writes: []writes{{Storage: "files", P50Millis: 1.5, P99Millis: 30, PerSecond: 4200, WaitingP99Millis: 205}},
		Quiet:  figures{PerSecond: 9000, P50Micros: 1000, P99Micros: 4000}, Busy: figures{PerSecond: 8000, P50Micros: 1100, P99Micros: 5000},
		Loaded: 30_000, Slices: 15,
	}
	err := s.Rules.parse([]byte(`BenchmarkRevocation/0-2 100 9 ns/op
BenchmarkRevocation/100k-2 100 55 ns/op 34.5 B/rule
BenchmarkRevocation/100k-2 100 57 ns/op 34.5 B/rule
BenchmarkRevocation/jti/100k-2 100 25 ns/op
BenchmarkRevocationLoad/100k-2 1 250000000 ns/op
BenchmarkRevocationAdd/100k-2 1 1500 ns/op
BenchmarkRevocationGrowth/1-2 1 10 ns/op
BenchmarkRevocationGrowth/100000-2 1 60 ns/op
BenchmarkRevocationBeside/1M/nothing-2 1 60 ns/op 61 p50-ns 62 p99-ns
BenchmarkRevocationBeside/1M/adding-2 1 60 ns/op 61 p50-ns 63 p99-ns
BenchmarkRevocationBeside/1M/load-2 1 60 ns/op 61 p50-ns 64 p99-ns
BenchmarkRevocationBeside/1M/folds-2 1 60 ns/op 61 p50-ns 65 p99-ns
`))
	if err != nil {
		t.Fatal(err)
	}
	text := (&results{State: s}).stateSection()
	for _, want := range []string{
		"| 100,000 | 55 ns", "| 25 ns", "34 bytes", "0.2 s", "1.5 µs", "| 65 ns |", "| files   | 1.5 ms", "| 8000 ", "5.0 ms", statePlotFile,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if l := s.plots()[0].lines[0]; len(l.x) != 2 || l.x[1] != 100_000 || l.y[1] != 0.06 {
		t.Errorf("the plot: %+v", l)
	}
}

// The section about token services has a row for each server, and says whether budgets hold.
func TestTokenTables(t *testing.T) {
	t.Parallel()
	k := &tokens{
		Rows: []row{
			{Name: besideText, Bare: figures{Micros: 80}, With: figures{Micros: 130}, Ratio: 1.62},
			{Name: besideSignature, Bare: figures{Micros: 110}, With: figures{Micros: 130}, Ratio: 1.18},
			{Name: ownToken, Bare: figures{Micros: 90}, With: figures{Micros: 91}, Ratio: 1.01},
		},
		PerSecond: 4999,
		Floods:    []tokenFlood{{Name: "a static text", P99Millis: 2}, {Name: "wrong secrets", P99Millis: 3, Tokens: 1400}, {Name: "forged assertions", P99Millis: 2.5}},
		Steps:     &goBenches{Values: map[string]map[string][]float64{}},
	}
	err := k.Steps.parse([]byte(`BenchmarkForwardJWT/token-2 100 9 ns/op 300 net-ns 1 net-allocs
BenchmarkForwardJWT/api_key-2 100 9 ns/op 1400 net-ns 1 net-allocs
BenchmarkForwardJWT/signed-2 100 9 ns/op 31000 net-ns 9 net-allocs
BenchmarkCheckClient/partner001-2 100 65 ns/op
BenchmarkToken/ES256/bare_signature-2 100 20000 ns/op
BenchmarkToken/ES256/token-2 100 25000 ns/op
BenchmarkToken/EdDSA/bare_signature-2 100 20000 ns/op
BenchmarkToken/EdDSA/token-2 100 25000 ns/op
BenchmarkToken/RS256/bare_signature-2 100 900000 ns/op
BenchmarkToken/RS256/token-2 100 905000 ns/op
`))
	if err != nil {
		t.Fatal(err)
	}
	text := (&results{Token: k}).tokenSection()
	for _, want := range []string{"| 1.18 ×", "4,999 a second", "| 1.40 µs", "1.50 × (wrong secrets)", "65 ns", "31 µs", "| RS256     | 900.0 µs", "**no**"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "**no**"); n != 2 {
		t.Errorf("%d budgets do not hold, want those of tokens a second and forward_jwt", n)
	}
}

// The section about agents has a row for each size, and says whether budgets hold.
func TestAgentsTables(t *testing.T) {
	t.Parallel()
	a := &agents{
		Rows:  []row{{Name: everythingOn, Ratio: 1.01}, {Name: everythingGET, Ratio: 1.02}, {Name: opaqueSeen, Ratio: 1.05}},
		Steps: &goBenches{Values: map[string]map[string][]float64{}},
	}
	for _, kib := range messageSizes {
		if len(toolCall(kib<<10)) != kib<<10 {
			t.Errorf("a message of %d KiB has %d bytes", kib, len(toolCall(kib<<10)))
		}
		a.Rows = append(a.Rows, row{Name: fmt.Sprintf(messageOf, kib), Ratio: 1 + float64(kib)/100, RatioLeast: 1, RatioMost: 4})
	}
	err := a.Steps.parse([]byte(`BenchmarkMCP/1KiB-2 100 9 ns/op 4000 net-ns 5 net-allocs
BenchmarkMCP/4KiB-2 100 9 ns/op 15100 net-ns 5 net-allocs
BenchmarkMCP/16KiB-2 100 9 ns/op 40000 net-ns 5 net-allocs
BenchmarkMCP/256KiB-2 100 9 ns/op 600000 net-ns 5 net-allocs
BenchmarkOpaque/opaque-2 100 9 ns/op 3000 net-ns 3 net-allocs
BenchmarkOpaque/jwt-2 100 9 ns/op 2000 net-ns 3 net-allocs
BenchmarkOpaque/jwt_beside_all-2 100 9 ns/op 2000 net-ns 4 net-allocs
BenchmarkScopeRules/without-2 100 95 ns/op
BenchmarkScopeRules/granted-2 100 109 ns/op
BenchmarkScopeRules/implied-2 100 273 ns/op
`))
	if err != nil {
		t.Fatal(err)
	}
	text := (&results{Agents: a}).agentsSection()
	for _, want := range []string{"| 15.10 µs", "3.56 × (1.00 to 4.00)", "| 256 KiB", "1.00 ×, +1", "1.50 times as long", "95 ns without", "109 ns where", "273 ns where", everythingGET} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "**no**"); n != 2 {
		t.Errorf("%d budgets do not hold, want those of 4 KiB and of the allocation", n)
	}
}
