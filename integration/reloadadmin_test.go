package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// alternatingSites are two configs between which issuers come and go: the second has
// other timing and two issuers more.
func alternatingSites() (one, two string) {
	const common = `
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
	const more = `
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
	return strings.ReplaceAll(common, "{interval}", "1h"), strings.ReplaceAll(common, "{interval}", "2h") + more
}

// adminLoad asks the admin endpoint without pause, from several goroutines.
type adminLoad struct {
	t     *testing.T
	s     *fixture
	stop  chan struct{}
	group sync.WaitGroup
	mu    sync.Mutex
	seen  map[string]int // requests by method, path and status
}

// ask goes on until the load is stopped. An answer must have one of the statuses; a
// connection may fail, as a reload replaces the admin endpoint too.
func (l *adminLoad) ask(method, path string, statuses ...int) {
	l.group.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			a, err := l.s.adminDo(method, path, 20*time.Second)
			if err != nil {
				l.count(method + " " + path + " no connection")
			} else {
				l.count(fmt.Sprintf("%s %s %d", method, path, a.status))
				if !slices.Contains(statuses, a.status) {
					l.t.Errorf("%s %s: status %d: %s", method, path, a.status, a.body)
					return
				}
				if path == "/jwt/status" && !strings.Contains(a.body, l.s.issuer.URL) {
					l.t.Errorf("the status lacks the issuer that every config has: %s", a.body)
					return
				}
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
}

func (l *adminLoad) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[what]++
}

// Reading the status and the metrics and refreshing an issuer while configs are
// replaced gives complete answers and no data race.
func TestThreat40_AdminDuringReloads(t *testing.T) {
	t.Parallel()
	k := keys(t)
	times := 60
	if raceEnabled {
		times = 25 // the detector makes a reload some ten times as dear
	}
	one, two := alternatingSites()
	more := peers.NewKeyServer(t, peers.NewCA(t), k.ES256)
	s := newFixture(t, one, options{level: "INFO", env: map[string]string{
		"MORE": more.URL, "MORE_CA": more.CA.File, "FILE": k.EdDSA.PublicFile(t),
	}}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)

	admin := &adminLoad{t: t, s: s, stop: make(chan struct{}), seen: map[string]int{}}
	id := s.statusOf(t, s.issuer.URL).ID
	admin.ask(http.MethodGet, "/jwt/status", http.StatusOK)
	admin.ask(http.MethodGet, "/jwt/status", http.StatusOK)
	admin.ask(http.MethodGet, "/metrics", http.StatusOK)
	// The id is that of the first config alone; a source that ends while it is
	// fetched for an operator is a failure of the fetch.
	admin.ask(http.MethodPost, "/jwt/issuers/"+id+"/refresh", http.StatusOK, http.StatusNotFound, http.StatusBadGateway)
	load := s.loadWithoutPause(2, func(int) exchange {
		defer time.Sleep(2 * time.Millisecond)
		return s.exchange(s.http, site, good)
	})
	for n := range times {
		if err := s.reload([]string{two, one}[n%2]); err != nil {
			t.Errorf("reload %d: %v", n, err)
			break
		}
	}
	close(admin.stop)
	admin.group.Wait()
	all := load.stop()
	for _, e := range all {
		if e.status != http.StatusOK && e.status != 0 {
			t.Errorf("status %d, reason %q; want 200", e.status, e.reason)
			break
		}
	}
	t.Logf("%d reloads, %d requests; admin: %v", times, len(all), admin.seen)
}
