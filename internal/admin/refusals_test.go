package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	refusals "github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// watchedSite is a site with a ring of its own.
func watchedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.service.refusals = new(refusals.Recent)
	return s
}

// refuse records a refusal of a site.
func (s *site) refuse(site string, code reason.Code, uri string) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	s.service.refusals.Record(&refusals.Refusal{Code: code, Answer: &refusals.Answer{Status: 401}}, r, uri, site, false)
}

func uris(p RefusalPage) string {
	var all []string
	for _, r := range p.Refusals {
		all = append(all, r.URI)
	}
	return strings.Join(all, " ")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	first := want[RefusalPage](s, 200, "GET", "/jwt/refusals", "")
	if len(first.Refusals) != 0 || first.Next == 0 {
		t.Fatalf("%+v", first)
	}
	s.refuse("a.example, b.example", reason.Expired, "/1")
	s.refuse("c.example", reason.MissingCredentials, "/2")
	s.refuse("c.example", reason.Expired, "/3")
	for query, list := range map[string]string{
		"":                                     "/1 /2 /3",
		"?wait=60s":                            "/1 /2 /3",
		"?site=B.example":                      "/1",
		"?site=c.example":                      "/2 /3",
		"?site=a.example,%20b.example":         "/1",
		"?site=example":                        "",
		"?reason=expired":                      "/1 /3",
		"?reason=expired&site=c.example":       "/3",
		"?reason=expired&site=c.example&after": "400",
	} {
		if list == "400" {
			s.fails(400, "?after", "GET", "/jwt/refusals"+query, "")
			continue
		}
		p := want[RefusalPage](s, 200, "GET", "/jwt/refusals"+query, "")
		if uris(p) != list || p.Next != first.Next+3 || p.Missed != 0 {
			t.Errorf("%s: %+v; want %s", query, p, list)
		}
	}
}

func TestRefusalsTakesNoOtherParameters(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	token := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."
	for query, part := range map[string]string{
		"after=x":         "?after",
		"after=-1":        "?after",
		"after=1&after=2": "duplicate",
		"wait=61s":        "up to 60s",
		"wait=-1s":        "up to 60s",
		"wait=soon":       "such as 30s",
		"site=":           "such as api.example.com",
		"site=" + token:   "a credential is not valid",
		"reason=":         "is not a reason",
		"reason=late":     "is not a reason",
		"limit=1":         "the parameters are",
	} {
		s.fails(400, part, "GET", "/jwt/refusals?"+query, "")
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE"} {
		if w := s.send(method, "/jwt/refusals", ""); w.Code != 405 || w.Header().Get("Allow") != "GET" {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	if s.service.refusals.On() {
		t.Error("a request that is not valid counts as watching")
	}
}

func TestRefusalsWithoutAConfig(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	s.running.Remove(s.app)
	s.fails(503, "no config", "GET", "/jwt/refusals", "")
}

// Where a site does not look for credentials, clients send them all the same.
func TestRefusalsHaveNoCredentials(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	first := want[RefusalPage](s, 200, "GET", "/jwt/refusals", "")
	token := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	encoded := strings.ReplaceAll(token, ".", "%2E")
	twice := url.QueryEscape(encoded)
	key, _ := apikey.New("cj")
	for uri, shown := range map[string]string{
		"/x?jwt=" + token + "&y=1":                  "/x?jwt=REDACTED&y=1",
		"/x?jwt=" + encoded:                         "/x?jwt=REDACTED",
		"/x?jwt=" + twice:                           "/x?jwt=REDACTED",
		"/t/" + token + "/y":                        "/t/REDACTED/y",
		"/x?key=" + key:                             "/x?key=REDACTED",
		"/x?a=" + token + ";b=" + key + "#" + token: "/x?a=REDACTED;b=REDACTED#REDACTED",
		"/x?y=%zz&name=J%C3%BCrgen":                 "/x?y=%zz&name=J%C3%BCrgen",
		"*":                                         "*",
		"/x?" + strings.Repeat("a", 1010) + "=" + token: "/x?" + strings.Repeat("a", 1010) + "=…",
		"/" + strings.Repeat("b", 1100):                 "/…",
	} {
		s.refuse("a.example", reason.MissingCredentials, uri)
		p := want[RefusalPage](s, 200, "GET", "/jwt/refusals?wait=10s", "")
		if got := p.Refusals[len(p.Refusals)-1].URI; got != shown {
			t.Errorf("%s: %s; want %s", uri, got, shown)
		}
	}
	if w := s.send("GET", "/jwt/refusals", ""); strings.Contains(w.Body.String(), "eyJ") || strings.Contains(w.Body.String(), key) {
		t.Errorf("there is a credential in %s", w.Body)
	}
	_ = first
}

// realServer serves the endpoint with the limit for reading a request that is given.
func realServer(t *testing.T, s *site, readTimeout time.Duration) (*httptest.Server, *Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(s.mux)
	server.Config.ReadTimeout = readTimeout
	server.Start()
	t.Cleanup(server.Close)
	return server, &Client{Address: server.Listener.Addr().String()}
}

// waiting waits until somebody waits for refusals, or until nobody does.
func (s *site) waiting(n int) {
	for s.service.refusals.Waiting() != n {
		time.Sleep(time.Millisecond)
	}
}

func TestRefusalsAreWaitedFor(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	// Caddy's endpoint allows 10 seconds for reading a request. When they have passed, the
	// client must not count as gone.
	const limit = 50 * time.Millisecond
	_, client := realServer(t, s, limit)
	var all sync.WaitGroup
	for _, q := range []RefusalQuery{{}, {Site: "a.example"}, {Reason: "expired"}} {
		q.Wait = maxWait
		all.Go(func() {
			if p, err := client.Refusals(t.Context(), q); err != nil || uris(p) != "/1" {
				t.Errorf("%+v: %+v, %v", q, p, err)
			}
		})
	}
	s.waiting(3)
	time.Sleep(3 * limit) // so that a limit that were in force would have ended the waiting
	s.refuse("a.example", reason.Expired, "/1")
	all.Wait()
}

func TestRefusalsOfAnotherSiteAreNotAnswered(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	_, client := realServer(t, s, 0)
	var all sync.WaitGroup
	all.Go(func() {
		if p, err := client.Refusals(t.Context(), RefusalQuery{Site: "a.example", Wait: maxWait}); err != nil || uris(p) != "/2" {
			t.Errorf("%+v, %v", p, err)
		}
	})
	s.waiting(1)
	s.refuse("b.example", reason.Expired, "/1")
	s.refuse("a.example", reason.Expired, "/2")
	all.Wait()
}

// A reload must not wait for those who watch.
func TestWaitingEndsWithTheConfig(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *site, server *httptest.Server){
		"its server is shut down": func(s *site, server *httptest.Server) {
			if err := server.Config.Shutdown(context.Background()); err != nil {
				s.t.Error(err)
			}
		},
		"another config is in force": func(s *site, _ *httptest.Server) { s.running.Add(new(fakeApp)) },
		"the config is stopped":      func(s *site, _ *httptest.Server) { s.running.Remove(s.app) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watchedSite(t)
			server, client := realServer(t, s, 0)
			began := time.Now()
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() {
					p, err := client.Refusals(context.Background(), RefusalQuery{Wait: maxWait})
					if err != nil || len(p.Refusals) != 0 || p.Next == 0 {
						t.Errorf("%+v, %v", p, err)
					}
				})
			}
			s.waiting(2)
			end(s, server)
			all.Wait()
			if waited := time.Since(began); waited > maxWait-time.Second {
				t.Errorf("it took %v", waited)
			}
		})
	}
}

func TestWaitingEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s := watchedSite(t)
	_, client := realServer(t, s, 0)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		s.waiting(1)
		cancel()
	}()
	if _, err := client.Refusals(ctx, RefusalQuery{Wait: maxWait}); err == nil {
		t.Error("the answer came")
	}
	s.waiting(0)
}
