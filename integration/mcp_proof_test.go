package integration

import (
	"slices"
	"sync"
	"testing"
)

// TestMCP_NothingGetsRoundARule sends hundreds of siblings of calls that need a scope: to the
// server itself, and through Caddy with a token without that scope. What the server itself
// runs shows what each of them really is.
func TestMCP_NothingGetsRoundARule(t *testing.T) {
	t.Parallel()
	j := newJudged(t)
	siblings := mcpSiblings()
	if len(siblings) < 500 {
		t.Fatalf("only %d siblings", len(siblings))
	}
	var (
		mu     sync.Mutex
		counts = map[string]int{}
	)
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		counts[what]++
	}
	work := make(chan *sibling)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for s := range work {
				for _, what := range j.compare(t, s) {
					count(what)
				}
			}
		})
	}
	for i := range siblings {
		work <- &siblings[i]
	}
	close(work)
	workers.Wait()
	t.Logf("%d siblings: %v", len(siblings), counts)
	for what, least := range map[string]int{
		"the server runs what is guarded": 100, "the server runs what is open": 100, "the server refuses": 100,
		"refused": 400, "passed": 50, "passed to the writer": 80,
	} {
		if counts[what] < least {
			t.Errorf("%s: %d; want at least %d", what, counts[what], least)
		}
	}
}

// compare sends one sibling to the server and through Caddy, and returns what has become of
// it.
func (j *judged) compare(t *testing.T, s *sibling) (what []string) {
	truth := j.past(t, s)
	guards := slices.ContainsFunc(truth.ran, runsGuarded)
	switch {
	case guards:
		what = append(what, "the server runs what is guarded")
	case len(truth.ran) > 0:
		what = append(what, "the server runs what is open")
	case truth.status >= 400:
		what = append(what, "the server refuses")
	}
	o := j.through(t, s, j.reader)
	if slices.ContainsFunc(o.ran, runsGuarded) {
		t.Errorf("%s: runs %q\n%.300s", s.what, o.ran, s.text(site, "", ""))
	}
	switch len(o.arrived) {
	case 0:
		what = append(what, "refused")
		j.checkRefused(t, s, o)
	case 1:
		what = append(what, "passed")
		if guards {
			t.Errorf("%s: passes, and the server itself runs %q\n%.300s", s.what, truth.ran, s.text(site, "", ""))
		}
		if !slices.Equal(o.ran, truth.ran) {
			t.Errorf("%s: runs %q, and directly %q", s.what, o.ran, truth.ran)
		}
		if o.arrived[0] != s.body && !s.framed {
			t.Errorf("%s: another body arrives: %.300q", s.what, o.arrived[0])
		}
		if o.twin {
			t.Errorf("%s: a header with an underscore arrives", s.what)
		}
		if tool := lenientTool(o.arrived[0]); runsGuarded("tool " + tool) {
			t.Errorf("%s: passes, and a lenient server would run %s", s.what, tool)
		}
	default:
		t.Errorf("%s: arrives %d times", s.what, len(o.arrived))
	}
	if s.honest && len(o.arrived) == 0 && o.status != 403 {
		t.Errorf("%s: status %d, %s; want 403", s.what, o.status, o.body)
	}
	// Who has the scope gets what the server gives, if it is asked as clients ask.
	if !s.honest {
		return what
	}
	if w := j.through(t, s, j.writer); w.status != truth.status || !slices.Equal(w.ran, truth.ran) {
		t.Errorf("%s: with the scope status %d, runs %q; directly %d, %q: %s", s.what, w.status, w.ran, truth.status, truth.ran, w.body)
	}
	return append(what, "passed to the writer")
}
