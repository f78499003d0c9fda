package integration

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// metrics are the plugin's samples at Caddy's /metrics, by name and labels as
// they are written there.
func (c *caddy) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	text, err := c.adminGet("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ') // labels may have spaces
		if at < 0 || !strings.HasPrefix(line, "caddy_jwt_") {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("a metric that is no number: %s", line)
		}
		samples[line[:at]] = v
	}
	return samples
}

// fetchMetric is the number of an issuer's fetches with a result.
func (c *caddy) fetchMetric(t *testing.T, issuer, result string) float64 {
	t.Helper()
	prefix := "caddy_jwt_key_fetches_total{"
	for name, value := range c.metrics(t) {
		if strings.HasPrefix(name, prefix) && strings.Contains(name, fmt.Sprintf("issuer=%q", issuer)) &&
			strings.Contains(name, fmt.Sprintf("result=%q", result)) {
			return value
		}
	}
	t.Fatalf("no %s for issuer %s and result %s", prefix, issuer, result)
	return 0
}

// requests adds up what was counted of requests with all of these labels, each as it is
// written there: `reason="expired"`.
func (c *caddy) requests(t *testing.T, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for name, value := range c.metrics(t) {
		if strings.HasPrefix(name, "caddy_jwt_requests_total{") && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(name, l) }) {
			sum += value
		}
	}
	return sum
}

// gauge is a metric that has no labels, as it is written.
func (c *caddy) gauge(t *testing.T, name string) string {
	t.Helper()
	text, err := c.adminGet("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return value
		}
	}
	return ""
}

// The labels of all metrics come from the config: whatever is in a token, no series
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
	s := newFixture(t, oneIssuer+second, options{env: map[string]string{
		"OTHER": other.URL, "OTHER_CA": other.CA.File, "FILE": k.EdDSA.PublicFile(t),
	}}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	s.accepts(t, "other.example.test", k.ES256.Token(t, peers.Claims(other.URL, audience, nil), nil))
	series := func() []string { return slices.Sorted(maps.Keys(s.metrics(t))) }
	before := series()
	if len(before) < 5 {
		t.Fatalf("only %d series: %q", len(before), before)
	}

	const marker = "invented-by-a-client"
	s.sendInvented(t, marker)
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
		s.mustReload(t, oneIssuer)
		for _, name := range series() {
			// Counters of requests outlive configs.
			if strings.Contains(name, `issuer="`) && !strings.Contains(name, s.issuer.URL) && !strings.HasPrefix(name, "caddy_jwt_requests_total{") {
				t.Errorf("there is still %s", name)
			}
		}
		if n := s.fetchMetric(t, s.issuer.URL, "ok"); n < fetched {
			t.Errorf("the counter fell from %v to %v", fetched, n)
		}
		s.mustReload(t, oneIssuer+second)
		if again := series(); len(again) < len(before)-2 {
			t.Errorf("the series are %q and were %q", again, before)
		}
	})
}

// sendInvented sends tokens with invented values in every place where a token has
// one, all of which are refused.
func (s *fixture) sendInvented(t *testing.T, marker string) {
	t.Helper()
	k := keys(t)
	requests := 400
	if raceEnabled {
		requests = 100 // the detector makes each some ten times as dear
	}
	good := k.RS256.Token(t, s.claims(nil), nil)
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
}

// siteLabel is the label of one of the sites of newModesFixture.
var siteLabel = regexp.MustCompile(`site="(api|pages|report|optional)\.example\.test"`)

// Nothing that a client sends makes a series, and no claim is in one: the reasons
// are the plugin's own words, and all of them are there from the start.
func TestThreat39_NoSeriesFromRequests(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, partner, disabled := newModesFixture(t)
	series := func() []string {
		page, err := s.adminGet("/metrics")
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "caddy_jwt_") {
				all[line[:strings.LastIndexByte(line, ' ')]] = true
			}
		}
		return slices.Sorted(maps.Keys(all))
	}
	s.accepts(t, "optional.example.test", k.RS256.Token(t, s.claims(nil), nil))
	before := series()
	const marker = "invented-by-a-client"
	for n := range 60 {
		invented := fmt.Sprintf("%s-%d", marker, n)
		claims := s.claims(map[string]any{"sub": invented, "tenant": invented, "scope": invented, "text": invented, "client_id": invented, invented: invented})
		for _, host := range []string{site, "report.example.test", "optional.example.test"} {
			s.send(t, s.http, http.MethodGet, host, "/"+invented, bearer(k.RS256.Token(t, claims, nil)))
		}
	}
	for _, w := range s.refusals(t, disabled) {
		for _, host := range []string{site, "report.example.test", "optional.example.test"} {
			s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
		}
	}
	s.withKeyAt(t, site, partner)
	after := series()
	if !slices.Equal(before, after) {
		t.Errorf("the series were %q and are %q", before, after)
	}
	for _, name := range after {
		if !strings.HasPrefix(name, "caddy_jwt_requests_total{") {
			continue
		}
		// The server has four sites and one issuer.
		if !siteLabel.MatchString(name) || !strings.Contains(name, `issuer=""`) && !strings.Contains(name, fmt.Sprintf("issuer=%q", s.issuer.URL)) {
			t.Errorf("a series of what is not in the config: %s", name)
		}
	}
	page, err := s.adminGet("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{marker, "user-1", "acme", "umbrella", partner.Text, "partner"} {
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "caddy_jwt_") && strings.Contains(line, word) {
				t.Errorf("%s is in a metric: %s", word, line)
			}
		}
	}
}

// Who uses what: requests by site and issuer, and by consumer where the config says so.
// A reload keeps what was counted.
func TestRequestsByConsumer(t *testing.T) {
	t.Parallel()
	partner := peers.NewAPIKey(t, "key-1", map[string]any{"consumer": "partner", "scopes": []string{"orders:read"}})
	poor := peers.NewAPIKey(t, "key-2", map[string]any{"consumer": "poor"})
	s, _ := newAPIKeyFixture(t, modesSite, options{global: "jwt {\n\tmetrics per_consumer\n}"}, partner, poor)
	const host = "optional.example.test"
	send := func() {
		s.passes(t, s.withKeyAt(t, host, partner), partner)
		s.accepts(t, host, keys(t).RS256.Token(t, s.claims(nil), nil))
		s.withKeyAt(t, site, poor) // has no scope
	}
	check := func(times float64) {
		t.Helper()
		for _, labels := range [][]string{
			{`consumer="partner"`, `issuer=""`, `method="api_key"`, `result="allowed"`, `site="optional.example.test"`},
			{`consumer=""`, fmt.Sprintf("issuer=%q", s.issuer.URL), `method="jwt"`, `result="allowed"`, `site="optional.example.test"`},
			{`consumer="poor"`, `issuer=""`, `reason="insufficient_scope"`, `result="refused"`, `site="api.example.test"`},
		} {
			if n := s.requests(t, labels...); n != times {
				t.Errorf("%v of %q; want %v", n, labels, times)
			}
		}
	}
	send()
	check(1)
	if err := s.reload(keySnippets + modesSite + "\nhttps://new.example.test {\n\trespond x\n}\n"); err != nil {
		t.Fatal(err)
	}
	send()
	check(2)
}
