package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// Reading the status and the metrics and refreshing an issuer while configs are
// replaced gives complete answers and no data race.
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
	s := newFixture(t, one, options{level: "INFO", env: map[string]string{
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
		if err := s.reload(sites); err != nil {
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
