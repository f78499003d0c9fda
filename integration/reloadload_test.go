package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// reloads counts what happened in a series of reloads under load.
type reloads struct {
	requests, failed, wrong int
	firstWrong              exchange
	statuses                map[int]int // of GET /jwt/status; 0 where there was no connection
	took                    time.Duration
}

// reloadUnderLoad reloads a Caddy so many times while clients send without pause:
// half over connections that they keep, half over new ones. Each config differs
// from the one before, as Caddy does not load the same one twice.
func reloadUnderLoad(t *testing.T, c *caddy, sites string, times int, token string) reloads {
	t.Helper()
	clients := []*http.Client{c.client(http1), c.client(http2), c.client(http1), c.client(http2)}
	for _, client := range clients[2:] {
		client.Transport.(*http.Transport).DisableKeepAlives = true
	}
	load := c.loadWithoutPause(len(clients), func(worker int) exchange {
		e := c.exchange(clients[worker], site, token)
		// Caddy is to be busy, but not with these alone.
		time.Sleep(2 * time.Millisecond)
		return e
	})
	asked := make(chan map[int]int)
	stop := make(chan struct{})
	go func() {
		statuses := map[int]int{}
		for {
			select {
			case <-stop:
				asked <- statuses
				return
			case <-time.After(5 * time.Millisecond):
			}
			a, _ := c.adminDo(http.MethodGet, "/jwt/status", 5*time.Second)
			statuses[a.status]++
		}
	}()
	start := time.Now()
	for n := range times {
		if err := c.reload(generation(sites, n)); err != nil {
			t.Errorf("reload %d: %v", n, err)
			break
		}
	}
	r := reloads{took: time.Since(start)}
	close(stop)
	r.statuses = <-asked
	all := load.stop()
	for _, client := range clients {
		client.CloseIdleConnections() // what they hold open is not Caddy's
	}
	for _, e := range all {
		r.requests++
		switch e.status {
		case http.StatusOK:
		case 0:
			r.failed++
		default:
			if r.wrong++; r.wrong == 1 {
				r.firstWrong = e
			}
		}
	}
	return r
}

// generation is the sites with a number in it that changes the config.
func generation(sites string, n int) string {
	return strings.ReplaceAll(sites, "{generation}", fmt.Sprintf("generation-%d", n))
}

// add adds what another series of reloads brought.
func (r *reloads) add(more reloads) {
	if r.wrong == 0 {
		r.firstWrong = more.firstWrong
	}
	r.requests, r.failed, r.wrong, r.took = r.requests+more.requests, r.failed+more.failed, r.wrong+more.wrong, r.took+more.took
	if r.statuses == nil {
		r.statuses = map[int]int{}
	}
	for status, n := range more.statuses {
		r.statuses[status] += n
	}
}

// share is how much of the requests failed for want of a connection.
func (r reloads) share() float64 { return float64(r.failed) / float64(max(r.requests, 1)) }

func (r reloads) String() string {
	return fmt.Sprintf("%d requests, %d failed connections, %d wrong answers in %s; GET /jwt/status: %v",
		r.requests, r.failed, r.wrong, r.took.Round(time.Millisecond), r.statuses)
}

// size is what a process takes up.
type size struct {
	goroutines, files int
	heapMiB           float64
}

func (c *caddy) size(t *testing.T) size {
	t.Helper()
	return size{goroutines: c.goroutines(t), files: c.openFiles(t), heapMiB: c.heapMiB(t)}
}

// reloadPair is a Caddy with the plugin, and one without to compare it with.
type reloadPair struct {
	with                    *fixture
	without                 *caddy
	withSites, withoutSites string
	good, corp              string // tokens of the two issuers of the first
}

func newReloadPair(t *testing.T) *reloadPair {
	t.Helper()
	k := keys(t)
	bare := "https://api.example.test {\n\theader X-Generation {generation}\n\trespond \"in\"\n\timport reasons\n}\n"
	guarded := strings.Replace(bare, "{\n", `{
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		issuer corp
		audience https://api.example.test
	}
`, 1)
	s := newFixture(t, guarded, options{level: "ERROR", global: `jwt {
		issuer corp https://corp.example.test {
			public_key ` + k.ES256.PublicFile(t) + `
		}
	}`}, k.RS256)
	return &reloadPair{
		with:         s,
		without:      startCaddy(t, snippets+bare, options{level: "ERROR", env: s.opts.env}),
		withSites:    snippets + guarded,
		withoutSites: snippets + bare,
		good:         k.RS256.Token(t, s.claims(nil), nil),
		corp:         k.ES256.Token(t, s.claims(map[string]any{"iss": "https://corp.example.test"}), nil),
	}
}

// warmUp reloads a few times, which settles what is made once, and returns the size
// after that.
func (p *reloadPair) warmUp(t *testing.T, c *caddy, sites string) size {
	t.Helper()
	reloadUnderLoad(t, c, sites, 20, p.good)
	time.Sleep(2 * time.Second) // the grace period of the configs before
	return c.size(t)
}

// settled is the size once it is down to that of before, or else after ten seconds:
// connections and the grace period take a moment to end.
func (c *caddy) settled(t *testing.T, before size) size {
	t.Helper()
	var now size
	for range 40 {
		if now = c.size(t); now.goroutines <= before.goroutines+5 && now.files <= before.files+5 {
			break
		}
		time.Sleep(250 * time.Millisecond)
	}
	return now
}

// A thousand reloads under load: no wrong answer, no more failed connections than
// the same Caddy has without the plugin, no fetch, and no leak.
//
// It measures, so it runs alone.
func TestThreat36_ReloadsUnderLoad(t *testing.T) {
	needProc(t)
	times := 1000
	if raceEnabled {
		times = 100 // the detector makes a reload some ten times as dear
	}
	p := newReloadPair(t)
	s := p.with
	bareStart, start := p.warmUp(t, p.without, p.withoutSites), p.warmUp(t, s.caddy, p.withSites)
	fetches := s.issuer.Hits(peers.KeySetPath)

	// In turns, so that both have the same share of what else the machine does.
	var without, with reloads
	const turns = 4
	for range turns {
		without.add(reloadUnderLoad(t, p.without, p.withoutSites, times/turns, p.good))
		with.add(reloadUnderLoad(t, s.caddy, p.withSites, times/turns, p.good))
	}
	t.Logf("%d reloads without jwt: %s", times, without)
	t.Logf("%d reloads with jwt:    %s", times, with)
	checkReloads(t, with, without)
	if n := s.issuer.Hits(peers.KeySetPath) - fetches; n != 0 {
		t.Errorf("%d reloads caused %d fetches; want none", times, n)
	}
	client := s.client(http2)
	for _, token := range []string{p.good, p.corp} {
		if e := s.exchange(client, site, token); e.status != http.StatusOK {
			t.Errorf("status %d, reason %q after the reloads; want 200", e.status, e.reason)
		}
	}
	client.CloseIdleConnections()

	bareEnd, end := p.without.settled(t, bareStart), s.settled(t, start)
	t.Logf("without jwt: %+v to %+v", bareStart, bareEnd)
	t.Logf("with jwt:    %+v to %+v", start, end)
	if end.goroutines > start.goroutines+5 {
		t.Errorf("%d goroutines at the start, %d at the end:\n%s", start.goroutines, end.goroutines, s.profile(t, "goroutine?debug=1"))
	}
	if end.files > start.files+5 {
		t.Errorf("%d open files at the start, %d at the end", start.files, end.files)
	}
	// What Caddy itself keeps of each config is not the plugin's.
	if limit := 1.1*start.heapMiB + max(0, bareEnd.heapMiB-bareStart.heapMiB) + 1; end.heapMiB > limit {
		t.Errorf("the heap has %.1f MiB at the start and %.1f at the end; want at most %.1f", start.heapMiB, end.heapMiB, limit)
	}
}

// checkReloads requires that no request got a wrong answer, and that no more failed for
// want of a connection than without the plugin.
func checkReloads(t *testing.T, with, without reloads) {
	t.Helper()
	if with.wrong > 0 {
		t.Errorf("%d wrong answers, the first with status %d, reason %q", with.wrong, with.firstWrong.status, with.firstWrong.reason)
	}
	for status, n := range with.statuses {
		if status != http.StatusOK && status != 0 {
			t.Errorf("GET /jwt/status was answered %d times with status %d", n, status)
		}
	}
	// How many of Caddy's own fail is a matter of luck, hence some room.
	if share, limit := with.share(), 1.25*without.share()+0.02; share > limit {
		t.Errorf("%.1f %% of the connections failed, and %.1f %% without jwt", 100*share, 100*without.share())
	}
}
