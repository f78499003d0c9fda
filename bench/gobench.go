package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// goBenches are the results of Go benchmarks.
type goBenches struct {
	// Values are the figures by benchmark and unit, one for each of its runs.
	Values map[string]map[string][]float64 `json:"values"`
}

var (
	benchLine   = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.+)$`)
	benchFigure = regexp.MustCompile(`([0-9.e+]+) (\S+)`)
)

// parse reads what `go test -bench` prints.
func (g *goBenches) parse(output []byte) error {
	for line := range strings.Lines(string(output)) {
		m := benchLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		figures := g.Values[m[1]]
		if figures == nil {
			figures = map[string][]float64{}
			g.Values[m[1]] = figures
		}
		for _, f := range benchFigure.FindAllStringSubmatch(m[2], -1) {
			v, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			figures[f[2]] = append(figures[f[2]], v)
		}
	}
	return nil
}

// of is the median of a figure. It is an error of ours to ask for one that was not
// measured.
func (g *goBenches) of(name, unit string) float64 {
	v := g.Values[name][unit]
	if len(v) == 0 {
		panic(fmt.Sprintf("there is no %s of the benchmark %s", unit, name))
	}
	return median(v)
}

// micros is the least time of an operation. Whatever else a machine does adds to the
// time of a run and takes nothing off.
func (g *goBenches) micros(name string) float64 {
	v := g.Values[name]["ns/op"]
	if len(v) == 0 {
		panic("there is no time of the benchmark " + name)
	}
	return slices.Min(v) / 1000
}

// net is what a request takes more in the handler than in one that does nothing: the
// least of the runs' medians.
func (g *goBenches) net(name string) (micros, allocs float64) {
	allocs = g.of(name, "net-allocs")
	return slices.Min(g.Values[name]["net-ns"]) / 1000, allocs
}

// worst returns the benchmark with the largest figure among those whose names start with
// prefix, without it. Each one's figure is the least of its runs.
func (g *goBenches) worst(prefix, unit string) (name string, figure float64) {
	for benchmark, figures := range g.Values {
		rest, ok := strings.CutPrefix(benchmark, prefix)
		if v := figures[unit]; ok && len(v) > 0 && slices.Min(v) > figure {
			name, figure = rest, slices.Min(v)
		}
	}
	if name == "" {
		panic("there is no " + unit + " of the benchmarks " + prefix)
	}
	return name, figure
}

// stepBenches are the benchmarks of the plugin's packages.
var stepBenches = map[string][]string{
	".": {
		"TokenSeen", "TokenNeverSeen", "Handler", "Authorization", "IssuerChoice", "APIKey", "ForgedSignature", "Hostile",
		"GrowthAPIKeys", "GrowthClaims", "GrowthIssuers", "GrowthTokens",
	},
	"./apikey": {"Load"},
}

// ruleBenches are those of revocation.
var ruleBenches = []string{"Revocation", "RevocationAdd", "RevocationBeside", "RevocationGrowth", "RevocationLoad"}

// largeBenches are those of ten million rules. They take a minute and gigabytes, and run once.
const largeBenches = "^Benchmark(Revocation|RevocationGrowth|RevocationLoad)$/^(10M|10000000)$"

// pattern matches benchmarks by their whole names.
func pattern(names []string) string { return "^Benchmark(" + strings.Join(names, "|") + ")$" }

func (b *bench) steps() (*goBenches, error) {
	all := &goBenches{Values: map[string]map[string][]float64{}}
	for _, name := range slices.Sorted(maps.Keys(stepBenches)) {
		g, err := b.goBench(b.root, pattern(stepBenches[name]), b.benchTime, name)
		if err != nil {
			return nil, err
		}
		maps.Copy(all.Values, g.Values)
	}
	return all, nil
}

// rules are the benchmarks of revocation, with ten million rules if large.
func (b *bench) rules(large bool) (*goBenches, error) {
	g, err := b.goBench(b.root, pattern(ruleBenches), b.benchTime, "./revocation")
	if err != nil || !large {
		return g, err
	}
	once := *b
	once.count = 1
	ten, err := once.goBench(b.root, largeBenches, b.benchTime, "./revocation")
	if err == nil {
		maps.Copy(g.Values, ten.Values)
	}
	return g, err
}

func (b *bench) stores() (*goBenches, error) {
	g, err := b.goBench(filepath.Join(b.root, "bench"), "^BenchmarkStore$", b.benchTime, "./store")
	if err != nil {
		return nil, err
	}
	once, err := b.goBench(filepath.Join(b.root, "bench"), "^Benchmark(SteadyTokens|Overhead)$", "1x", "./store")
	if err != nil {
		return nil, err
	}
	for name, figures := range once.Values {
		g.Values[name] = figures
	}
	return g, nil
}

// goBench runs the benchmarks of packages, one package after the other. All are built
// before: a compiler beside them would be measured too.
func (b *bench) goBench(dir, pattern, benchTime string, packages ...string) (*goBenches, error) {
	g := &goBenches{Values: map[string]map[string][]float64{}}
	binary := func(i int) string { return b.file("bench-" + strconv.Itoa(i) + ".test") }
	for i, name := range packages {
		build := exec.CommandContext(b.ctx, "go", "test", "-c", "-o", binary(i), name)
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the tests of %s: %w\n%s", name, err, out)
		}
	}
	for i, name := range packages {
		run := exec.CommandContext(b.ctx, binary(i), "-test.run", "^$", "-test.bench", pattern, "-test.benchmem",
			"-test.benchtime", benchTime, "-test.count", strconv.Itoa(b.count), "-test.timeout", "60m")
		run.Dir = filepath.Join(dir, name)
		large := ""
		if pattern == largeBenches {
			large = "1"
		}
		run.Env = append(os.Environ(), "BENCH_LARGE="+large)
		var out bytes.Buffer
		run.Stdout, run.Stderr = &out, os.Stderr
		if err := run.Run(); err != nil {
			return nil, fmt.Errorf("benchmarks %s of %s: %w\n%s", pattern, name, err, out.String())
		}
		if err := g.parse(out.Bytes()); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// profile is where the processor's time goes for a token seen before, as text.
func (b *bench) profile() (string, error) {
	file, binary := b.file("cpu.out"), b.file("caddy-jwt.test")
	test := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkTokenSeen$/^jwt$", "-benchtime", "3s", "-cpuprofile", file, "-o", binary, ".")
	test.Dir = b.root
	if out, err := test.CombinedOutput(); err != nil {
		return "", fmt.Errorf("profiling: %w\n%s", err, out)
	}
	top := exec.CommandContext(b.ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount", "45", binary, file)
	top.Dir = b.root
	out, err := top.Output()
	if err != nil {
		return "", fmt.Errorf("reading the profile: %w", err)
	}
	// The first lines name files and times of this run.
	if at := bytes.Index(out, []byte("      flat")); at >= 0 {
		out = out[at:]
	}
	return string(out), nil
}
