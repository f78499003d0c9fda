package integration

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// alertRules are the rules that users load into Prometheus.
var alertRules = filepath.Join("..", "docs", "monitoring", "alerts.yaml")

// promtool runs Prometheus's own tool, which must succeed.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	need(t, prometheus)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// Prometheus accepts the rules, and each fires when it should and not before.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", alertRules)
	promtool(t, "test", "rules", filepath.Join("testdata", "alerts_test.yaml"))
}

// alertSites have one issuer for each kind of file, and keys that are fetched.
const alertSites = `
https://api.example.test {
	jwt {
		import issuer
		issuer https://pem.example.test {
			public_key {$PEM}
		}
		issuer https://jwks.example.test {
			jwks_file {$JWKS}
		}
		api_keys {$KEYS}
		audience https://api.example.test
	}
	import upstream
}
`

// A file that breaks while Caddy runs shows in the metrics in a way that makes an alert
// fire, be it garbage, empty or gone.
func TestAlertsFireForABrokenFile(t *testing.T) {
	t.Parallel()
	k := keys(t)
	for name, brk := range map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) { writeFile(t, path, "garbage\n") },
		"empty":   func(t *testing.T, path string) { writeFile(t, path, "") },
		"gone":    removeFile,
		"a pipe":  makePipe,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pem, jwks := tempFile(t, "public.pem", string(k.RS256.PublicPEM(t))), tempFile(t, "jwks.json", peers.JWKS(t, k.RS256))
			s, file := newAPIKeyFixture(t, alertSites, options{env: map[string]string{"PEM": pem, "JWKS": jwks}}, peers.NewAPIKey(t, "partner", nil))
			s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
			checkAlerts(t, s.alertSeries(t), nil)

			for _, path := range []string{pem, jwks, file.path} {
				brk(t, path)
			}
			failing := func() bool {
				m := s.alertSeries(t)
				broken := 0
				for series, value := range m {
					if strings.Contains(series, "_failures{") && value > 0 {
						broken++
					}
				}
				return broken == 3
			}
			s.eventually("all three files fail", 10*time.Second, failing, func() string { return fmt.Sprint(s.alertSeries(t)) })
			checkAlerts(t, s.alertSeries(t), map[string]int{"CaddyJWTKeySourceFailing": 2, "CaddyJWTAPIKeyFileFailing": 1})

			// The watch goes on, and so do requests.
			s.accepts(t, site, k.RS256.Token(t, peers.Claims("https://pem.example.test", audience, nil), nil))
			for path, content := range map[string]string{pem: string(k.ES256.PublicPEM(t)), jwks: peers.JWKS(t, k.ES256)} {
				removeFile(t, path)
				writeFile(t, path, content)
			}
			for _, iss := range []string{"https://pem.example.test", "https://jwks.example.test"} {
				token := k.ES256.Token(t, peers.Claims(iss, audience, nil), nil)
				s.eventually("the mended file of "+iss+" is read", 10*time.Second, func() bool {
					return s.send(t, s.http, http.MethodGet, site, "/", bearer(token)).status == http.StatusOK
				}, func() string { return fmt.Sprint(s.alertSeries(t)) })
			}
			checkAlerts(t, s.alertSeries(t), map[string]int{"CaddyJWTAPIKeyFileFailing": 1})
		})
	}
}

// alertSeries are the gauges of a scrape.
func (s *fixture) alertSeries(t *testing.T) map[string]float64 {
	t.Helper()
	all := s.metrics(t)
	maps.DeleteFunc(all, func(series string, _ float64) bool {
		return strings.Contains(series, "_total{") || strings.Contains(series, "_bucket{")
	})
	return all
}

// writeScraped begins a test for promtool: Prometheus has scraped the same for ten minutes.
func writeScraped(b *strings.Builder, scraped map[string]float64) {
	b.WriteString("evaluation_interval: 30s\ntests:\n- interval: 30s\n  input_series:\n")
	for _, series := range slices.Sorted(maps.Keys(scraped)) {
		value := strconv.FormatFloat(scraped[series], 'f', -1, 64)
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		series = fmt.Sprintf(`%s{job="caddy",instance="a",%s}`, name, labels)
		fmt.Fprintf(b, "  - series: '%s'\n    values: '%sx20'\n", strings.ReplaceAll(series, "'", "''"), value)
	}
}

// checkExpressions requires that each expression of a dashboard, with all that its
// variables offer, has a value.
func checkExpressions(t *testing.T, scraped map[string]float64, expressions []string) {
	t.Helper()
	var b strings.Builder
	writeScraped(&b, scraped)
	b.WriteString("  promql_expr_test:\n")
	for _, e := range expressions {
		e = strings.NewReplacer("$instance", ".*", "$site", ".*").Replace(e)
		fmt.Fprintf(&b, "  - expr: 'count(%s) > bool 0'\n    eval_time: 10m\n    exp_samples: [{labels: '{}', value: 1}]\n", strings.ReplaceAll(e, "'", "''"))
	}
	promtool(t, "test", "rules", tempFile(t, "dashboard.yaml", b.String()))
}

// checkAlerts requires that these alerts fire, and no others, where Prometheus has
// scraped the same for ten minutes.
func checkAlerts(t *testing.T, scraped map[string]float64, firing map[string]int) {
	t.Helper()
	rules, err := filepath.Abs(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [%q]\n", rules)
	writeScraped(&b, scraped)
	b.WriteString("  promql_expr_test:\n  - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n    eval_time: 10m\n")
	if len(firing) > 0 {
		b.WriteString("    exp_samples:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(firing)) {
		fmt.Fprintf(&b, "    - labels: '{alertname=%q}'\n      value: %d\n", name, firing[name])
	}
	promtool(t, "test", "rules", tempFile(t, "scraped.yaml", b.String()))
}
