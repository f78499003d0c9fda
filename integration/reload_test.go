package integration

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// reloads is what a Caddy went through in a series of reloads under load.
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

// A thousand reloads under load: no wrong answer, no more failed connections than
// the same Caddy has without the plugin, no fetch, and nothing left behind.
//
// It measures, so it runs alone.
func TestThreat36_ReloadsUnderLoad(t *testing.T) {
	needProc(t)
	k := keys(t)
	times := 1000
	if raceEnabled {
		times = 100 // the detector makes a reload some ten times as dear
	}
	body := "\theader X-Generation {generation}\n\trespond \"in\"\n\timport reasons\n}\n"
	bare := "https://api.example.test {\n" + body
	guarded := strings.Replace(bare, "{\n", `{
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		issuer corp
		audience https://api.example.test
	}
`, 1)
	file := keys(t).ES256.PublicFile(t)
	s := newStand(t, guarded, options{level: "ERROR", global: `jwt {
		issuer corp https://corp.example.test {
			public_key ` + file + `
		}
	}`}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	corp := k.ES256.Token(t, s.claims(map[string]any{"iss": "https://corp.example.test"}), nil)
	other := startCaddy(t, snippets+bare, options{level: "ERROR", env: s.opts.env})

	// The first reloads settle what is made once.
	warm := func(c *caddy, sites string) size {
		reloadUnderLoad(t, c, snippets+sites, 20, good)
		time.Sleep(2 * time.Second) // the grace period of the configs before
		return c.size(t)
	}
	bareStart, start := warm(other, bare), warm(s.caddy, guarded)
	fetches := s.issuer.Hits(peers.KeySetPath)

	// In turns, so that both have the same share of what else the machine does.
	var without, with reloads
	const turns = 4
	for range turns {
		without.add(reloadUnderLoad(t, other, snippets+bare, times/turns, good))
		with.add(reloadUnderLoad(t, s.caddy, snippets+guarded, times/turns, good))
	}
	t.Logf("%d reloads without jwt: %s", times, without)
	t.Logf("%d reloads with jwt:    %s", times, with)
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
	if n := s.issuer.Hits(peers.KeySetPath) - fetches; n != 0 {
		t.Errorf("%d reloads caused %d fetches; want none", times, n)
	}
	client := s.client(http2)
	for _, token := range []string{good, corp} {
		if e := s.exchange(client, site, token); e.status != http.StatusOK {
			t.Errorf("status %d, reason %q after the reloads; want 200", e.status, e.reason)
		}
	}
	client.CloseIdleConnections()
	settled := func(c *caddy, before size) size {
		var now size
		for range 40 { // connections and the grace period take a moment to end
			if now = c.size(t); now.goroutines <= before.goroutines+5 && now.files <= before.files+5 {
				break
			}
			time.Sleep(250 * time.Millisecond)
		}
		return now
	}
	bareEnd, end := settled(other, bareStart), settled(s.caddy, start)
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

// Whoever looks at the status, the metrics or refreshes an issuer while configs
// come and go sees whole answers, and the race detector nothing.
func TestThreat40_AdminDuringReloads(t *testing.T) {
	t.Parallel()
	k := keys(t)
	times := 60
	if raceEnabled {
		times = 25 // the detector makes a reload some ten times as dear
	}
	// Every second config has one issuer more and other timing, so that sources
	// come and go.
	common := `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			refresh_interval {interval}
		}
		audience https://api.example.test
	}
	respond "in"
	import reasons
}
`
	more := `
https://more.example.test {
	jwt {
		issuer {$MORE} {
			ca {$MORE_CA}
		}
		issuer https://file.example.test {
			public_key {$FILE}
		}
		audience https://api.example.test
	}
	respond "in"
}
`
	ca := peers.NewCA(t)
	second := peers.NewKeyServer(t, ca, k.ES256)
	one := strings.ReplaceAll(common, "{interval}", "1h")
	two := strings.ReplaceAll(common, "{interval}", "2h") + more
	s := newStand(t, one, options{level: "INFO", env: map[string]string{
		"MORE": second.URL, "MORE_CA": ca.File, "FILE": k.EdDSA.PublicFile(t),
	}}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)

	stop := make(chan struct{})
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	ask := func(method, path string, fine ...int) {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := s.adminDo(method, path, 20*time.Second)
				mu.Lock()
				if err == nil {
					seen[fmt.Sprintf("%s %s %d", method, path, a.status)]++
				} else {
					// A reload replaces the admin endpoint too.
					seen[method+" "+path+" no connection"]++
				}
				mu.Unlock()
				if err == nil {
					ok := false
					for _, status := range fine {
						ok = ok || a.status == status
					}
					if !ok {
						t.Errorf("%s %s: status %d: %s", method, path, a.status, a.body)
						return
					}
					if path == "/jwt/status" && !strings.Contains(a.body, s.issuer.URL) {
						t.Errorf("the status lacks the issuer that every config has: %s", a.body)
						return
					}
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	id := s.statusOf(t, s.issuer.URL).ID
	ask(http.MethodGet, "/jwt/status", http.StatusOK)
	ask(http.MethodGet, "/jwt/status", http.StatusOK)
	ask(http.MethodGet, "/metrics", http.StatusOK)
	// The id is that of the first config alone; a source that ends while it is
	// fetched for an operator is a failure of the fetch.
	ask(http.MethodPost, "/jwt/issuers/"+id+"/refresh", http.StatusOK, http.StatusNotFound, http.StatusBadGateway)
	load := s.loadWithoutPause(2, func(int) exchange {
		defer time.Sleep(2 * time.Millisecond)
		return s.exchange(s.http, site, good)
	})
	for n := range times {
		sites := one
		if n%2 == 0 {
			sites = two
		}
		if err := s.reload(snippets + sites); err != nil {
			t.Errorf("reload %d: %v", n, err)
			break
		}
	}
	close(stop)
	group.Wait()
	all := load.stop()
	for _, e := range all {
		if e.status != http.StatusOK && e.status != 0 {
			t.Errorf("status %d, reason %q; want 200", e.status, e.reason)
			break
		}
	}
	mu.Lock()
	t.Logf("%d reloads, %d requests; admin: %v", times, len(all), seen)
	mu.Unlock()
}

// namedIssuer declares an issuer for all sites.
func namedIssuer(more string) options {
	return options{global: `jwt {
		issuer corp {$ISSUER} {
			ca {$CA}
			` + more + `
		}
	}`}
}

// A site's own audience decides, whatever the named issuer's is: neither does a
// token for the issuer's audience pass at a site with another, nor is one for the
// site's own refused.
func TestThreat47_TheSitesAudienceDecides(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newStand(t, `
https://shared.example.test {
	jwt corp
	import upstream
	import reasons
}
https://handler.example.test {
	jwt {
		issuer corp
		audience https://handler.example.test
	}
	import upstream
	import reasons
}
https://short.example.test {
	jwt corp https://short.example.test
	import upstream
	import reasons
}
https://block.example.test {
	jwt {
		issuer corp {
			audience https://block.example.test
		}
		audience https://handler.example.test
	}
	import upstream
	import reasons
}
`, namedIssuer("audience https://shared.example.test"), k.RS256)
	hosts := []string{"shared", "handler", "short", "block"}
	for _, host := range hosts {
		for _, aud := range hosts {
			name := fmt.Sprintf("a token for %s at the site %s", aud, host)
			token := k.RS256.Token(t, peers.Claims(s.issuer.URL, "https://"+aud+".example.test", nil), nil)
			t.Run(name, func(t *testing.T) {
				if aud == host {
					s.accepts(t, host+".example.test", token)
				} else {
					s.refuses(t, host+".example.test", token, "wrong_audience")
				}
			})
		}
	}
	if n := s.issuer.Hits(peers.KeySetPath); n != 1 {
		t.Errorf("four sites with one issuer made %d fetches; want 1", n)
	}
	if all := s.status(t); len(all) != 1 {
		t.Errorf("the status has %d sources; want 1: %+v", len(all), all)
	}
}

// Sites that write an issuer out in the same words share its keys as well.
func TestSitesShareASource(t *testing.T) {
	t.Parallel()
	k := keys(t)
	var sites strings.Builder
	for n := range 10 {
		sites.WriteString(strings.ReplaceAll(oneIssuer, "api.example.test {", fmt.Sprintf("api%d.example.test {", n)))
	}
	s := newStand(t, sites.String(), options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	for n := range 10 {
		s.accepts(t, fmt.Sprintf("api%d.example.test", n), good)
	}
	if n := s.issuer.Hits(peers.KeySetPath); n != 1 {
		t.Errorf("ten sites with one issuer made %d fetches; want 1", n)
	}
}

// A reload fetches what the new settings may find elsewhere, and nothing else.
func TestReloadsAndKeys(t *testing.T) {
	t.Parallel()
	k := keys(t)
	site := func(more string) string {
		return snippets + `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			` + more + `
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`
	}
	start := func(t *testing.T) (*stand, string) {
		t.Helper()
		s := newStand(t, strings.TrimPrefix(site("ca {$CA}"), snippets), options{}, k.RS256)
		good := k.RS256.Token(t, s.claims(nil), nil)
		s.accepts(t, "api.example.test", good)
		return s, good
	}
	reload := func(t *testing.T, s *stand, sites string) {
		t.Helper()
		if err := s.reload(sites); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("other timing takes the keys along, and the issuer may be down", func(t *testing.T) {
		t.Parallel()
		s, good := start(t)
		s.issuer.Down()
		for _, more := range []string{"refresh_interval 2h", "refresh_interval 90m\nmax_stale 48h", "max_stale 2h"} {
			reload(t, s, site("ca {$CA}\n"+more))
			s.accepts(t, "api.example.test", good)
			if status := s.statusOf(t, s.issuer.URL); len(status.Keys) != 1 || status.Restored {
				t.Errorf("%q: %d keys, restored %t; want 1, false: they come from this process", more, len(status.Keys), status.Restored)
			}
		}
	})
	t.Run("other timing of a named issuer too", func(t *testing.T) {
		t.Parallel()
		named := `
https://api.example.test {
	jwt corp https://api.example.test
	import upstream
	import reasons
}
`
		s := newStand(t, named, namedIssuer(""), k.RS256)
		good := k.RS256.Token(t, s.claims(nil), nil)
		s.accepts(t, "api.example.test", good)
		s.issuer.Down()
		s.opts.global = namedIssuer("refresh_interval 2h").global
		reload(t, s, snippets+named)
		s.accepts(t, "api.example.test", good)
		if status := s.statusOf(t, s.issuer.URL); len(status.Keys) != 1 {
			t.Errorf("there are %d keys; want 1", len(status.Keys))
		}
		s.opts.global = namedIssuer("refresh_interval 2h\njwks_url {$ISSUER}/other.json").global
		reload(t, s, snippets+named)
		s.upstream.Take()
		s.refused(t, s.get(t, "api.example.test", good), http.StatusServiceUnavailable, "keys_unavailable")
	})
	t.Run("another ca is another source, even under the same path", func(t *testing.T) {
		t.Parallel()
		s, good := start(t)
		text, err := os.ReadFile(s.issuer.CA.File)
		if err != nil {
			t.Fatal(err)
		}
		more, err := os.ReadFile(peers.NewCA(t).File)
		if err != nil {
			t.Fatal(err)
		}
		hits := s.issuer.Hits(peers.KeySetPath)
		if err := os.WriteFile(s.issuer.CA.File, append(text, more...), 0o600); err != nil {
			t.Fatal(err)
		}
		reload(t, s, site("ca {$CA}\nmax_lifetime 1h"))
		s.accepts(t, "api.example.test", good)
		if n := s.issuer.Hits(peers.KeySetPath) - hits; n != 1 {
			t.Errorf("%d fetches for the new ca; want 1", n)
		}
		if err := os.WriteFile(s.issuer.CA.File, more, 0o600); err != nil {
			t.Fatal(err)
		}
		reload(t, s, site("ca {$CA}\nmax_lifetime 2h"))
		s.upstream.Take()
		s.refused(t, s.get(t, "api.example.test", good), http.StatusServiceUnavailable, "keys_unavailable")
		if status := s.statusOf(t, s.issuer.URL); !strings.Contains(status.LastError, "certificate") {
			t.Errorf("the last error %q does not speak of the certificate", status.LastError)
		}
	})
	t.Run("another jwks_url is another source", func(t *testing.T) {
		t.Parallel()
		s, good := start(t)
		s.issuer.Answer("/other.json", &peers.Answer{Body: peers.JWKS(t, k.ES256)})
		reload(t, s, site("ca {$CA}\njwks_url {$ISSUER}/other.json"))
		s.refuses(t, "api.example.test", good, "unknown_key")
		s.accepts(t, "api.example.test", k.ES256.Token(t, s.claims(nil), nil))
		reload(t, s, site("ca {$CA}"))
		s.accepts(t, "api.example.test", good)
		s.refuses(t, "api.example.test", k.ES256.Token(t, s.claims(nil), nil), "unknown_key")
	})
	t.Run("a config that is refused changes nothing", func(t *testing.T) {
		t.Parallel()
		s, good := start(t)
		hits := s.issuer.Hits(peers.KeySetPath)
		for _, more := range []string{
			"ca {$CA}\nmax_lifetime 2h\nallow_no_expiry",
			"ca /no/such/file",
			"ca {$CA}\nrefresh_interval 2h\n}\nissuer https://x.example.test {\njwks_file /no/such/file",
		} {
			if err := s.reload(site(more)); err == nil {
				t.Errorf("%q was taken over", more)
			}
			s.accepts(t, "api.example.test", good)
			s.refreshed(t, s.issuer.URL)
		}
		if n := s.issuer.Hits(peers.KeySetPath) - hits; n != 3 {
			t.Errorf("%d fetches; want those of the three refreshes alone", n)
		}
	})
}
