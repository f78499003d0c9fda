package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

const noIssuer = `
https://api.example.test {
	respond "open"
}
`

// What the endpoints of the admin API answer, to right questions and wrong ones.
func TestAdminEndpoints(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newStand(t, noIssuer, options{}, k.RS256, k.ES256)
	ask := func(t *testing.T, method, path string, status int) answer {
		t.Helper()
		a, err := s.adminDo(method, path, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != status {
			t.Errorf("%s %s: status %d; want %d: %s", method, path, a.status, status, a.body)
		}
		return a
	}
	without := func(t *testing.T) {
		t.Helper()
		ask(t, http.MethodGet, "/jwt/status", http.StatusServiceUnavailable)
		ask(t, http.MethodPost, "/jwt/issuers/0123456789abcdef/refresh", http.StatusServiceUnavailable)
		if samples := s.metrics(t); len(samples) != 0 {
			t.Errorf("there are metrics: %v", samples)
		}
	}
	t.Run("without a jwt handler there is nothing to tell", without)
	load := func(t *testing.T, sites string) {
		t.Helper()
		if err := s.reload(snippets + sites); err != nil {
			t.Fatal(err)
		}
	}
	load(t, oneIssuer)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	id := s.statusOf(t, s.issuer.URL).ID

	t.Run("the status", func(t *testing.T) {
		a := ask(t, http.MethodGet, "/jwt/status", http.StatusOK)
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type %q", got)
		}
		ask(t, http.MethodHead, "/jwt/status", http.StatusOK)
		status := s.statusOf(t, s.issuer.URL)
		var kids []string
		for _, key := range status.Keys {
			kids = append(kids, key.KID)
		}
		if status.Kind != "remote" || status.State != "fresh" || status.Fetches != 1 || status.Succeeded != 1 || !slices.Equal(kids, []string{k.RS256.KID, k.ES256.KID}) {
			t.Errorf("the status is %+v", status)
		}
	})
	t.Run("a refresh answers with the new state", func(t *testing.T) {
		a := ask(t, http.MethodPost, "/jwt/issuers/"+id+"/refresh", http.StatusOK)
		var status issuerStatus
		if err := json.Unmarshal([]byte(a.body), &status); err != nil || status.ID != id || status.Fetches != 2 {
			t.Errorf("%v: %s", err, a.body)
		}
	})
	t.Run("wrong methods", func(t *testing.T) {
		for _, c := range []struct{ path, allowed string }{{"/jwt/status", "GET"}, {"/jwt/issuers/" + id + "/refresh", "POST"}} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
				if method == c.allowed {
					continue
				}
				a := ask(t, method, c.path, http.StatusMethodNotAllowed)
				if got := a.header.Get("Allow"); got != c.allowed {
					t.Errorf("%s %s: Allow %q; want %s", method, c.path, got, c.allowed)
				}
			}
		}
		if n := s.statusOf(t, s.issuer.URL).Fetches; n != 2 {
			t.Errorf("there were %d fetches; want 2 as before", n)
		}
	})
	t.Run("wrong paths", func(t *testing.T) {
		for _, path := range []string{
			"/jwt", "/jwt/", "/jwt/status/", "/jwt/status/x", "/jwt/issuers", "/jwt/issuers/", "/jwt/issuers/" + id,
			"/jwt/issuers/" + id + "/", "/jwt/issuers/" + id + "/refresh/", "/jwt/issuers/" + id + "/x", "/jwt/issuers/refresh",
			"/jwt/issuers//refresh", "/jwt/issuers/" + id + "/x/refresh", "/jwt/issuers/unknown/refresh",
			"/jwt/issuers/%2e%2e/refresh", "/jwt/issuers/" + strings.Repeat("a", 10_000) + "/refresh",
		} {
			a, err := s.adminDo(http.MethodPost, path, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if a.status != http.StatusNotFound && a.status != http.StatusMovedPermanently && a.status != http.StatusTemporaryRedirect {
				t.Errorf("POST %.60s: status %d; want 404: %s", path, a.status, a.body)
			}
		}
	})
	t.Run("other hosts are kept out, as from all of Caddy's endpoint", func(t *testing.T) {
		r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/jwt/status", s.admin), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example.test"
		res, err := adminClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("status %d; want 403", res.StatusCode)
		}
	})
	t.Run("many refreshes at once share their fetches", func(t *testing.T) {
		s.issuer.Answer(peers.KeySetPath, &peers.Answer{Body: peers.JWKS(t, k.RS256), Delay: 500 * time.Millisecond})
		before := s.issuer.Hits(peers.KeySetPath)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if a, err := s.adminDo(http.MethodPost, "/jwt/issuers/"+id+"/refresh", 20*time.Second); err != nil || a.status != http.StatusOK {
					t.Errorf("status %d, %v; want 200", a.status, err)
				}
			})
		}
		group.Wait()
		if n := s.issuer.Hits(peers.KeySetPath) - before; n > 4 {
			t.Errorf("20 refreshes made %d fetches", n)
		}
		s.issuer.Answer(peers.KeySetPath, nil)
	})
	t.Run("a refresh that fails says why", func(t *testing.T) {
		s.issuer.Answer(peers.KeySetPath, &peers.Answer{Status: http.StatusInternalServerError})
		a := ask(t, http.MethodPost, "/jwt/issuers/"+id+"/refresh", http.StatusBadGateway)
		if !strings.Contains(a.body, "500") || !strings.Contains(a.body, s.issuer.URL) {
			t.Errorf("the answer does not say what is wrong: %s", a.body)
		}
		s.issuer.Answer(peers.KeySetPath, nil)
	})
	t.Run("a config that is refused leaves the status as it was", func(t *testing.T) {
		err := s.reload(snippets + oneIssuer + "\nhttps://broken.example.test {\n\tjwt {\n\t\tissuer https://x.example.test {\n\t\t\tjwks_file /no/such/file\n\t\t}\n\t\taudience x\n\t}\n}\n")
		if err == nil {
			t.Fatal("the config was taken")
		}
		if all := s.status(t); len(all) != 1 || all[0].ID != id {
			t.Errorf("the status is %+v", all)
		}
	})
	t.Run("once the handler is gone there is nothing to tell again", func(t *testing.T) {
		load(t, noIssuer)
		without(t)
		before := s.issuer.Hits(peers.KeySetPath)
		load(t, oneIssuer)
		s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
		if n := s.issuer.Hits(peers.KeySetPath) - before; n == 0 {
			t.Error("nothing was fetched for the issuer that came back")
		}
	})
}

// A URL's query may hold an API key: it is in no status, no metric and no log.
func TestQueriesOfURLsAreNotShown(t *testing.T) {
	t.Parallel()
	k := keys(t)
	const secret = "apikey-6f1d0c2b9a8e7f60"
	s := newStand(t, `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			jwks_url {$ISSUER}/jwks.json?key=`+secret+`
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{level: "INFO"}, k.RS256) // Caddy's own adapter logs the config at DEBUG
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Status: http.StatusForbidden})
	texts := []string{s.refresh(t, s.issuer.URL).body}
	s.issuer.Down()
	texts = append(texts, s.refresh(t, s.issuer.URL).body)
	for _, path := range []string{"/jwt/status", "/metrics"} {
		text, err := s.adminGet(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	texts = append(texts, s.logs.String())
	for _, text := range texts {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("the query is shown: …%s…", text[max(0, at-300):min(len(text), at+100)])
		}
	}
}

// The labels of all metrics come from the config: whatever tokens say, no series
// is added, and those of an issuer that is gone go with it.
func TestThreat39_NoLabelsFromClients(t *testing.T) {
	t.Parallel()
	k := keys(t)
	other := peers.NewKeyServer(t, peers.NewCA(t), k.ES256)
	second := `
https://other.example.test {
	jwt {
		issuer {$OTHER} {
			ca {$OTHER_CA}
		}
		issuer https://file.example.test {
			public_key {$FILE}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`
	s := newStand(t, oneIssuer+second, options{env: map[string]string{
		"OTHER": other.URL, "OTHER_CA": other.CA.File, "FILE": k.EdDSA.PublicFile(t),
	}}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.accepts(t, "other.example.test", k.ES256.Token(t, peers.Claims(other.URL, audience, nil), nil))
	series := func() []string { return slices.Sorted(maps.Keys(s.metrics(t))) }
	before := series()
	if len(before) < 5 {
		t.Fatalf("only %d series: %q", len(before), before)
	}

	const marker = "invented-by-a-client"
	requests := 400
	if raceEnabled {
		requests = 100 // the detector makes each some ten times as dear
	}
	signature := good[strings.LastIndexByte(good, '.')+1:]
	for n := range requests {
		invented := fmt.Sprintf("%s-%d", marker, n)
		var claims, head map[string]any
		switch n % 4 {
		case 0:
			head = map[string]any{"kid": invented}
		case 1:
			claims = map[string]any{"iss": "https://" + invented}
		case 2:
			claims = map[string]any{"aud": invented, "sub": invented, "client_id": invented}
		default:
			head = map[string]any{"alg": invented, "typ": invented}
		}
		token := k.RS256.SigningInput(t, s.claims(claims), head) + "." + signature
		a := s.send(t, s.http, http.MethodGet, site, "/"+invented, bearer(token), header("User-Agent", invented))
		if a.status != http.StatusUnauthorized {
			t.Fatalf("status %d; want 401", a.status)
		}
	}
	if after := series(); !slices.Equal(before, after) {
		t.Errorf("the series were %q and are %q", before, after)
	}
	text, err := s.adminGet("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, marker) {
		t.Errorf("what a client sent is in a metric")
	}
	t.Run("an issuer that is gone takes its series along", func(t *testing.T) {
		fetched := s.fetchMetric(t, s.issuer.URL, "ok")
		if err := s.reload(snippets + oneIssuer); err != nil {
			t.Fatal(err)
		}
		for _, name := range series() {
			// What has no issuer is counted for the whole server.
			if strings.Contains(name, `issuer="`) && !strings.Contains(name, s.issuer.URL) {
				t.Errorf("there is still %s", name)
			}
		}
		if n := s.fetchMetric(t, s.issuer.URL, "ok"); n < fetched {
			t.Errorf("the counter fell from %v to %v", fetched, n)
		}
		if err := s.reload(snippets + oneIssuer + second); err != nil {
			t.Fatal(err)
		}
		if again := series(); len(again) < len(before)-2 {
			t.Errorf("the series are %q and were %q", again, before)
		}
	})
}

// The command shows what the endpoint answers, for people and for scripts.
func TestStatusCommand(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newStand(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	run := func(t *testing.T, code int, args ...string) string {
		t.Helper()
		got, text := caddyCommandIn(t, t.TempDir(), nil, append([]string{"jwt", "status"}, args...)...)
		if got != code {
			t.Errorf("caddy jwt status %q: exit code %d; want %d\n%s", args, got, code, text)
		}
		return text
	}
	address := fmt.Sprintf("127.0.0.1:%d", s.admin)
	t.Run("a table", func(t *testing.T) {
		text := run(t, 0, "--address", address)
		for _, part := range []string{s.issuer.URL, s.statusOf(t, s.issuer.URL).ID, "fresh", k.RS256.KID} {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in it:\n%s", part, text)
			}
		}
		if strings.Contains(text, "{") {
			t.Errorf("there is JSON in it:\n%s", text)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		text := run(t, 0, "--json", "--address", address)
		served, err := s.adminGet("/jwt/status")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := withoutAges(t, text), withoutAges(t, served); got != want {
			t.Errorf("the command says %s\nthe endpoint says %s", got, want)
		}
	})
	t.Run("an issuer that is not well", func(t *testing.T) {
		s.issuer.Down()
		s.refresh(t, s.issuer.URL)
		for _, args := range [][]string{{"--address", address}, {"--json", "--address", address}} {
			if text := run(t, 1, args...); !strings.Contains(text, "refused") {
				t.Errorf("the last error is not in it:\n%s", text)
			}
		}
	})
	t.Run("a server without a jwt handler", func(t *testing.T) {
		if err := s.reload(noIssuer); err != nil {
			t.Fatal(err)
		}
		run(t, 1, "--address", address)
	})
	t.Run("no server", func(t *testing.T) {
		run(t, 1, "--address", fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)))
	})
	t.Run("misuse", func(t *testing.T) {
		run(t, 2, "--no-such-flag")
		run(t, 2, "argument")
		run(t, 2, "--config", "no-such-file.json")
	})
}

// withoutAges is a status page without what changes with the time of day.
func withoutAges(t *testing.T, text string) string {
	t.Helper()
	var page struct{ Issuers []map[string]any }
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	for _, issuer := range page.Issuers {
		delete(issuer, "age_seconds")
	}
	again, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(again)
}
