package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// reloads is what the integration test of reloads under load has seen, without jwt
// and with it.
type reloads struct {
	Times   int          `json:"times"`
	Without reloadSeries `json:"without"`
	With    reloadSeries `json:"with"`
}

// reloadSeries is what a Caddy went through, and its size before and after.
type reloadSeries struct {
	Requests int        `json:"requests"`
	Failed   int        `json:"failed"` // for want of a connection
	Wrong    int        `json:"wrong"`
	Start    serverSize `json:"start"`
	End      serverSize `json:"end"`
}

type serverSize struct {
	Goroutines int     `json:"goroutines"`
	Files      int     `json:"files"`
	HeapMiB    float64 `json:"heap_mib"`
}

var (
	reloadLine = regexp.MustCompile(`(\d+) reloads (without|with) jwt: +(\d+) requests, (\d+) failed connections, (\d+) wrong answers`)
	sizeLine   = regexp.MustCompile(`(without|with) jwt: +\{goroutines:(\d+) files:(\d+) heapMiB:([0-9.]+)\} to \{goroutines:(\d+) files:(\d+) heapMiB:([0-9.]+)\}`)
)

// reloads runs the test, which fails by itself where something is left behind.
func (b *bench) reloads() (*reloads, error) {
	cmd := exec.CommandContext(b.ctx, "go", "test", "-count", "1", "-run", "^TestThreat36_ReloadsUnderLoad$", "-v", ".")
	cmd.Dir = filepath.Join(b.root, "integration")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return parseReloads(out)
}

func parseReloads(out []byte) (*reloads, error) {
	r := new(reloads)
	series := map[string]*reloadSeries{"without": &r.Without, "with": &r.With}
	counts := reloadLine.FindAllSubmatch(out, -1)
	sizes := sizeLine.FindAllSubmatch(out, -1)
	if len(counts) != 2 || len(sizes) != 2 {
		return nil, fmt.Errorf("the test of reloads tells no figures:\n%s", out)
	}
	for _, m := range counts {
		s := series[string(m[2])]
		r.Times, s.Requests, s.Failed, s.Wrong = integer(m[1]), integer(m[3]), integer(m[4]), integer(m[5])
	}
	for _, m := range sizes {
		s := series[string(m[1])]
		s.Start = serverSize{integer(m[2]), integer(m[3]), decimal(m[4])}
		s.End = serverSize{integer(m[5]), integer(m[6]), decimal(m[7])}
	}
	return r, nil
}

// integer and decimal read what an expression has found to be digits.
func integer(digits []byte) int {
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		panic(err)
	}
	return n
}

func decimal(digits []byte) float64 {
	n, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		panic(err)
	}
	return n
}

// grown is what is there at the end and was not at the start.
func (s reloadSeries) grown() (goroutines, files int, heap float64) {
	return s.End.Goroutines - s.Start.Goroutines, s.End.Files - s.Start.Files, s.End.HeapMiB / s.Start.HeapMiB
}

// failed is how many of a hundred requests got no connection.
func (s reloadSeries) failed() float64 { return 100 * float64(s.Failed) / float64(max(s.Requests, 1)) }

// reloadText tells of the reloads.
func (r *results) reloadText() string {
	if r.Reloads == nil {
		return ""
	}
	goroutines, files, heap := r.Reloads.With.grown()
	_, _, bareHeap := r.Reloads.Without.grown()
	return fmt.Sprintf(`%s reloads, one right behind the other, while four clients sent %s requests, half of them over new connections: %d wrong
answers. %.1f %% of the requests got no connection; with the same Caddy without jwt it was %.1f %%. At the end there
were %+d goroutines and %+d open files, and the heap was %.2f times what it was before, without jwt %.2f times.
`, thousands(r.Reloads.Times), thousands(r.Reloads.With.Requests), r.Reloads.With.Wrong, r.Reloads.With.failed(), r.Reloads.Without.failed(),
		goroutines, files, heap, bareHeap)
}
