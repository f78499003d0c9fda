package caddyjwt

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestErrorRoutesBesideADial checks, under the race detector, that nothing is written to
// what a dial that is no longer needed may still read of a request: its variables and its
// replacer.
func TestErrorRoutesBesideADial(t *testing.T) {
	for name, run := range map[string]func(r *http.Request){
		"jwt in error routes writes variables": func(r *http.Request) { caddyhttp.GetVar(r.Context(), "reverse_proxy.dial_info") },
		"the head adds to the replacer": func(r *http.Request) {
			r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).ReplaceAll("{http.request.host}", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			s.late = true
			server := new(caddyhttp.Server)
			for range 50 {
				repl := caddy.NewReplacer()
				r := caddyhttp.PrepareRequest(httptest.NewRequest("GET", "/", nil), repl, httptest.NewRecorder(), server)
				var wg sync.WaitGroup
				wg.Add(1)
				go func() {
					defer wg.Done()
					for range 50 {
						run(r)
						time.Sleep(time.Microsecond)
					}
				}()
				head := &errorHead{s.guard}
				_ = head.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					if name[0] == 'j' {
						return s.Handler.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
					}
					return nil
				}))
				wg.Wait()
			}
		})
	}
}
