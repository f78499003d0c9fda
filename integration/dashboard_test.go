package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// dashboard is what a test reads of docs/monitoring/grafana.json.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// selector is a metric in an expression, with its conditions.
var selector = regexp.MustCompile(`(caddy_jwt_[a-z_]+)(?:\{([^}]*)\})?`)

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
	s, partner, disabled := newModesStand(t)
	for _, w := range s.wrongs(t, disabled) {
		for _, host := range []string{site, "report.example.test"} {
			s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
		}
	}
	s.send(t, s.http, http.MethodGet, "optional.example.test", "/")
	s.passes(t, s.withKeyAt(t, "optional.example.test", partner), partner)
	s.send(t, s.http, http.MethodGet, "optional.example.test", "/", bearer(keys(t).RS256.Token(t, s.claims(nil), nil)))
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
						continue // nobody looks a token up
					}
					if !sampled(page, m[1], m[2], labels) {
						t.Errorf("%s: no sample of it", target.Expr)
					}
				}
				if !selector.MatchString(target.Expr) {
					t.Errorf("%s is about no metric of the plugin", target.Expr)
				}
			}
		})
	}
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

// notOnTheDashboard are metrics for alerts and for looking closer.
var notOnTheDashboard = []string{"caddy_jwt_key_set_next_refresh_seconds", "caddy_jwt_api_key_file_age_seconds"}

// sampled tells whether a scrape has a sample of a metric that fits the conditions,
// with all of the labels, and for what is counted one above zero.
func sampled(page, name, conditions, labels string) bool {
	for line := range strings.Lines(page) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if bare, has, _ := strings.Cut(series, "{"); !ok || bare != name || !holdsAll(has, conditions) || !labelled(has, labels) {
			continue
		}
		if value != "0" || !strings.HasSuffix(name, "_total") && !strings.HasSuffix(name, "_bucket") {
			return true
		}
	}
	return false
}

func holdsAll(series, conditions string) bool {
	for c := range strings.SplitSeq(conditions, ",") {
		if !strings.Contains(series, c) {
			return false
		}
	}
	return true
}

func labelled(series, labels string) bool {
	for l := range strings.FieldsFuncSeq(labels, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !strings.Contains(series, l+`="`) {
			return false
		}
	}
	return true
}

// Nothing that a client sends makes a series, and no claim is in one: the reasons
// are the plugin's own words, and all of them are there from the start.
func TestThreat39_NoSeriesFromRequests(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, partner, disabled := newModesStand(t)
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
	for _, w := range s.wrongs(t, disabled) {
		for _, host := range []string{site, "report.example.test", "optional.example.test"} {
			s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
		}
	}
	s.withKeyAt(t, site, partner)
	if after := series(); !slices.Equal(before, after) {
		t.Errorf("the series were %q and are %q", before, after)
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

// Of claims the logs, the admin endpoint and the answers show nothing, but for the
// fields of the access log that say who it was.
func TestThreat38_ClaimsAreNotWritten(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, _ := newKeyStand(t, strings.ReplaceAll(modesSite, "forward text X-Text", "require expression `claims.text != \"x\"`\nclaim text\nclear X-Text"), options{},
		peers.NewAPIKey(t, "unused", nil))
	const canary = "canary-claim-0123456789"
	var answers strings.Builder
	mark := s.logs.length()
	for _, host := range []string{site, "pages.example.test", "report.example.test", "optional.example.test"} {
		for n, changes := range []map[string]any{
			{"tenant": "acme"}, {"tenant": canary}, {"scope": canary, "tenant": "acme"}, {"exp": 1_000_000_000}, {"aud": canary},
			{"sub": "x\n" + canary, "tenant": "acme"}, {"tenant": []any{map[string]string{canary: canary}}}, {"nbf": 9_000_000_000},
		} {
			claims := s.claims(map[string]any{"text": canary, "email": canary, canary: n})
			maps.Copy(claims, changes)
			a := s.send(t, s.http, http.MethodGet, host, "/", bearer(k.RS256.Token(t, claims, nil)))
			if a.status != http.StatusOK {
				answers.WriteString(a.body + text(t, a.header))
			}
		}
	}
	s.logs.mark()
	own, access := 0, 0
	for _, e := range s.logs.since(mark) {
		switch {
		case strings.HasPrefix(e.Logger, "http.handlers.jwt"), strings.HasPrefix(e.Logger, "jwt"):
			own++
			if strings.Contains(e.line, canary) {
				t.Errorf("a claim is in a line of the plugin: %s", e.line)
			}
		case strings.HasPrefix(e.Logger, "http.log.access"):
			access++
			if strings.Contains(e.line, canary) && !strings.Contains(e.line, `"user_id":"x\n`+canary) {
				t.Errorf("a claim is in the access log: %s", e.line)
			}
		}
	}
	if own < 20 || access != 32 {
		t.Errorf("%d lines of the plugin and %d of the access log, so this test looks at little", own, access)
	}
	for _, path := range []string{"/config/", "/metrics", "/jwt/status"} {
		page, err := s.adminGet(path)
		if err != nil {
			t.Fatal(err)
		}
		answers.WriteString(page)
	}
	if strings.Contains(answers.String(), canary) {
		t.Error("a claim is in an answer")
	}
}
