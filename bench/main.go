// Command bench measures what jwt costs: whole servers under load, single steps as
// Go benchmarks, and how both grow. With -docs it writes docs/performance.md and
// the plots beside it again, from nothing.
//
// It needs wrk, and for the comparison HAProxy; taskset where the machine has two
// processors or more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	ctx     context.Context
	root    string // of the repository
	dir     string // for what a run needs, gone at its end
	caddy   string
	keys    *issuerKeys
	servers []*server
	signed  int // tokens that are different from each other

	rounds, seconds, count int
	tokens                 int // in the flood
	benchTime              string
	tenMillion             bool // rules
	pinned, haproxy        bool
	processors             int // of servers; 1 if zero
}

// results are what a run has measured.
type results struct {
	Machine  machine     `json:"machine"`
	EndToEnd *endToEnd   `json:"end_to_end,omitempty"`
	Flood    *flood      `json:"flood,omitempty"`
	Steps    *goBenches  `json:"steps,omitempty"`
	Stores   *goBenches  `json:"stores,omitempty"`
	Reloads  *reloads    `json:"reloads,omitempty"`
	State    *state      `json:"state,omitempty"`
	Token    *tokens     `json:"token,omitempty"`
	Agents   *agents     `json:"agents,omitempty"`
	Profile  string      `json:"profile,omitempty"`
	Took     string      `json:"took"`
	Settings runSettings `json:"settings"`
}

type runSettings struct {
	BenchTime string `json:"bench_time"`
	Count     int    `json:"count"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	b := &bench{ctx: ctx}
	docs := flag.Bool("docs", false, "write docs/performance.md and its plots")
	from := flag.String("from", "", "take the figures of an earlier run from this file, and measure nothing but the part that -only names")
	save := flag.String("save", "", "write the figures to this file, as JSON")
	only := flag.String("only", "", "measure one part alone: endtoend, flood, steps, stores, reloads, state, token or agents; with -docs, state, token and agents write their section alone")
	withReloads := flag.Bool("reloads", true, "reload a server a thousand times under load")
	flag.BoolVar(&b.tenMillion, "ten-million", true, "measure ten million rules, too, which takes minutes and 7 GiB, unless -seconds is less than 3")
	flag.IntVar(&b.rounds, "rounds", 7, "rounds of the servers under load")
	flag.IntVar(&b.seconds, "seconds", 3, "seconds of load for each server in a round")
	flag.IntVar(&b.tokens, "tokens", 1_000_000, "different tokens in the flood")
	flag.StringVar(&b.benchTime, "benchtime", "200ms", "time of each Go benchmark")
	flag.IntVar(&b.count, "count", 4, "runs of each Go benchmark")
	flag.Parse()
	if b.root, err = repository(); err != nil {
		return err
	}
	order := []string{"endtoend", "flood", "steps", "stores", "state", "token", "agents"}
	if *withReloads {
		order = append(order, "reloads")
	}
	r := new(results)
	if *from != "" {
		if r, err = readResults(*from); err != nil {
			return err
		}
		order = nil
	}
	if *only != "" {
		order = []string{*only}
	}
	if len(order) > 0 {
		if err := b.measure(r, order); err != nil {
			return err
		}
	}
	if *save != "" {
		if err := r.write(*save); err != nil {
			return err
		}
	}
	if *docs && r.EndToEnd == nil && (r.State != nil || r.Token != nil || r.Agents != nil) {
		return r.writeSections(filepath.Join(b.root, "docs"))
	}
	if *docs {
		return r.writeDocs(filepath.Join(b.root, "docs"))
	}
	return r.print(os.Stdout)
}

func repository() (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(root, "cmd", "caddy", "main.go")); err != nil {
		return "", errors.New("run it in the folder bench of the repository, as make bench does")
	}
	return root, nil
}

// measure measures parts, in this order, into r.
func (b *bench) measure(r *results, order []string) (err error) {
	parts := map[string]func(*results) error{
		"endtoend": func(r *results) (err error) { r.EndToEnd, err = b.endToEnd(); return err },
		"flood":    func(r *results) (err error) { r.Flood, err = b.flood(); return err },
		"steps": func(r *results) (err error) {
			if r.Steps, err = b.steps(); err == nil {
				r.Profile, err = b.profile()
			}
			return err
		},
		"stores":  func(r *results) (err error) { r.Stores, err = b.stores(); return err },
		"reloads": func(r *results) (err error) { r.Reloads, err = b.reloads(); return err },
		"state":   func(r *results) (err error) { r.State, err = b.state(); return err },
		"token":   func(r *results) (err error) { r.Token, err = b.token(); return err },
		"agents":  func(r *results) (err error) { r.Agents, err = b.agents(); return err },
	}
	for _, name := range order {
		if parts[name] == nil {
			return fmt.Errorf("-only %s: there are endtoend, flood, steps, stores, reloads, state, token and agents", name)
		}
	}
	began := time.Now()
	if err := b.prepare(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end()) }()
	r.Machine, r.Settings = thisMachine(b), runSettings{b.benchTime, b.count}
	for _, name := range order {
		b.say("measuring: %s", name)
		if err := parts[name](r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		// Whatever becomes of the rest: it took minutes.
		if err := r.write(filepath.Join(os.TempDir(), "caddy-jwt-bench.json")); err != nil {
			return err
		}
		if err := b.stopServers(); err != nil {
			return err
		}
	}
	r.Took = time.Since(began).Round(time.Minute).String()
	return nil
}

func (b *bench) prepare() (err error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is not installed: install Debian's package wrk (and haproxy, for the comparison)")
	}
	_, err = exec.LookPath("haproxy")
	b.haproxy = err == nil
	_, err = exec.LookPath("taskset")
	b.pinned = err == nil && runtime.NumCPU() > 1
	if b.dir, err = os.MkdirTemp("", "caddy-jwt-bench-"); err != nil {
		return err
	}
	b.caddy = b.file("caddy")
	b.say("building Caddy")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", b.caddy, "./caddy")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	b.keys, err = newIssuerKeys(b.dir)
	return err
}

func (b *bench) end() error { return errors.Join(b.stopServers(), os.RemoveAll(b.dir)) }

func (b *bench) stopServers() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.stop())
	}
	b.servers = nil
	return errors.Join(errs...)
}

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", values...)
}
