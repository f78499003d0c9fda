package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// dashboard is what a test reads of docs/monitoring/grafana.json.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
}

// expressions are those of all panels.
func (d *dashboard) expressions() (all []string) {
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}

// selector is a metric in an expression, with its conditions.
var selector = regexp.MustCompile(`(caddy_jwt_[a-z_]+)(?:\{([^}]*)\})?`)

// condition is one of the conditions of a selector.
var condition = regexp.MustCompile(`([a-z_]+)(=~|!=|=)"([^"]*)"`)

// grouping are labels by which an expression adds up.
var grouping = regexp.MustCompile(`by \(([a-z_, ]+)\)`)

// Every panel of the dashboard has something to show on a server that has met
// traffic of every kind.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "monitoring", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	partner := peers.NewAPIKey(t, "partner", map[string]any{"scopes": []string{"orders:read"}})
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	desk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active":true,"token_type":"Bearer","sub":"ada","exp":4102444800}`)
	}))
	t.Cleanup(desk.Close)
	s, _ := newAPIKeyFixture(t, modesSite+storedSite+introspectedSite, options{env: map[string]string{"INTROSPECTION": desk.URL}, global: "jwt {\n\tmetrics per_consumer\n\tstate\n\tapi_keys stored {\n\t\tstorage\n\t}\n}"}, partner, disabled)
	s.eventually("the shared state is ready", 20*time.Second, func() bool {
		a, err := s.adminDo(http.MethodGet, "/jwt/status?ready", 5*time.Second)
		return err == nil && a.status == http.StatusOK
	}, s.logs.String)
	code, stored := caddyCommandIn(t, t.TempDir(), nil, "jwt", "api-key", "new", "--store", "stored", "--consumer", "acme", "--json", "--address", s.adminAddress())
	var made struct{ Key, ID string }
	if _, object, ok := strings.Cut(stored, "{"); code != 0 || !ok || json.NewDecoder(strings.NewReader("{"+object)).Decode(&made) != nil || made.Key == "" {
		t.Fatalf("caddy jwt api-key new: exit code %d", code)
	}
	if a := s.send(t, s.http, http.MethodGet, "stored.example.test", "/", apiKey(made.Key)); a.status != http.StatusOK {
		t.Errorf("a stored key: status %d", a.status)
	}
	for range 2 {
		if a := s.send(t, s.http, http.MethodGet, "introspected.example.test", "/", bearer("an-opaque-token-of-the-issuer")); a.status != http.StatusOK {
			t.Errorf("an opaque token: status %d", a.status)
		}
	}
	for _, w := range s.refusals(t, disabled) {
		for _, host := range []string{site, "report.example.test"} {
			s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
		}
	}
	s.send(t, s.http, http.MethodGet, "optional.example.test", "/")
	s.passes(t, s.withKeyAt(t, "optional.example.test", partner), partner)
	s.send(t, s.http, http.MethodGet, "optional.example.test", "/", bearer(keys(t).RS256.Token(t, s.claims(nil), nil)))
	for secret, status := range map[string]int{made.Key: http.StatusOK, "wrong": http.StatusUnauthorized} {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {made.ID}, "client_secret": {secret}}
		a := s.send(t, s.http, http.MethodPost, "stored.example.test", "/oauth2/token", body(form.Encode()), header("Content-Type", "application/x-www-form-urlencoded"),
			func(r *http.Request) { r.Host = "stored.example.test" }) // without the port, as the issuer
		if a.status != status {
			t.Errorf("asking for a token: status %d, want %d", a.status, status)
		}
	}
	page, err := s.adminGet("/metrics")
	if err != nil {
		t.Fatal(err)
	}

	if len(board.Panels) < 5 {
		t.Fatalf("the dashboard has %d panels", len(board.Panels))
	}
	for _, panel := range board.Panels {
		t.Run(panel.Title, func(t *testing.T) {
			if len(panel.Targets) == 0 {
				t.Error("it asks for nothing")
			}
			for _, target := range panel.Targets {
				for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
					labels := ""
					if by := grouping.FindStringSubmatch(target.Expr); by != nil {
						labels = by[1]
					}
					if cacheOff && strings.HasPrefix(m[1], "caddy_jwt_cache_") {
						continue // no token is looked up
					}
					if !hasSample(page, m[1], m[2], labels) {
						t.Errorf("%s: no sample of it", target.Expr)
					}
					if !strings.Contains(m[2], `instance=~"$instance"`) {
						t.Errorf("%s: it is of all instances, whichever is chosen", target.Expr)
					}
					if by := strings.Contains(m[2], `site=~"$site"`); by != (m[1] == "caddy_jwt_requests_total") {
						t.Errorf("%s: it does not ask for the site that is chosen, or has none", target.Expr)
					}
				}
				if !selector.MatchString(target.Expr) {
					t.Errorf("%s is about no metric of the plugin", target.Expr)
				}
			}
		})
	}
	t.Run("variables", func(t *testing.T) {
		for _, v := range board.Templating.List {
			m := labelValues.FindStringSubmatch(v.Definition)
			if m == nil {
				if v.Definition != "" {
					t.Errorf("%s: not understood: %s", v.Name, v.Definition)
				}
				continue
			}
			labels := m[3]
			if labels == "instance" { // which Prometheus adds
				labels = ""
			}
			if v.Name != m[3] || !hasSample(page, m[1], m[2], labels) {
				t.Errorf("%s: no sample of %s", v.Name, v.Definition)
			}
		}
	})
	t.Run("as Prometheus evaluates it", func(t *testing.T) {
		expressions := board.expressions()
		if cacheOff { // no token is looked up in a cache, and what divides by that is nothing
			expressions = slices.DeleteFunc(expressions, func(e string) bool { return strings.Contains(e, "caddy_jwt_cache_lookups_total") })
		}
		checkExpressions(t, s.metrics(t), expressions)
	})
	t.Run("all metrics that there are", func(t *testing.T) {
		for line := range strings.Lines(page) {
			name, ok := strings.CutPrefix(line, "# TYPE caddy_jwt_")
			if !ok {
				continue
			}
			name, _, _ = strings.Cut("caddy_jwt_"+name, " ")
			if !strings.Contains(string(text), name) && !slices.Contains(notOnTheDashboard, name) {
				t.Errorf("%s is on no panel", name)
			}
		}
	})
}

// labelValues is the definition of a variable.
var labelValues = regexp.MustCompile(`^label_values\((caddy_jwt_[a-z_]+)(?:\{([^}]*)\})?, ([a-z_]+)\)$`)

// introspectedSite is a site with opaque tokens.
const introspectedSite = `
https://introspected.example.test {
	jwt {
		issuer https://opaque.example.test {
			introspection {$INTROSPECTION}
		}
		audience *
	}
	respond ok
}
`

// storedSite is a site with keys of the shared state.
const storedSite = `
https://stored.example.test {
	authorization_server https://stored.example.test {
		api_keys stored
		audience https://api.example.test
	}
	jwt {
		api_keys stored
	}
	import upstream
}
`

// notOnTheDashboard are metrics for alerts and for looking closer.
var notOnTheDashboard = []string{
	"caddy_jwt_key_set_next_refresh_seconds", "caddy_jwt_api_key_file_age_seconds",
	"caddy_jwt_clock_skew_seconds", "caddy_jwt_issuer_clock_ahead_seconds",
}

// hasSample reports whether a scrape has a sample of a metric that fits the conditions,
// with all of the labels, and for what is counted one above zero.
func hasSample(page, name, conditions, labels string) bool {
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ') // labels may have spaces
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		series, value := line[:at], line[at+1:]
		if bare, has, _ := strings.Cut(series, "{"); bare != name || !hasConditions(has, conditions) || !hasLabels(has, labels) {
			continue
		}
		if value != "0" || !strings.HasSuffix(name, "_total") && !strings.HasSuffix(name, "_bucket") {
			return true
		}
	}
	return false
}

// hasConditions reports whether a series meets the conditions, except for those of
// variables, which are met by all.
func hasConditions(series, conditions string) bool {
	for _, c := range condition.FindAllStringSubmatch(conditions, -1) {
		is := strings.Contains(series, c[1]+`="`+c[3]+`"`)
		if c[2] == "=" && !is || c[2] == "!=" && is {
			return false
		}
	}
	return true
}

// hasLabels reports whether a series has all of the labels, with values.
func hasLabels(series, labels string) bool {
	for l := range strings.FieldsFuncSeq(labels, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !strings.Contains(series, l+`="`) || strings.Contains(series, l+`=""`) {
			return false
		}
	}
	return true
}
