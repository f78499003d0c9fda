package metrics

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
)

// Sources are the figures of the key sources, read when they are asked for.
// All labels come from the config, so that nobody outside can make new ones;
// those of a source that is gone go with it. Each config has a registry of its
// own, and the counters live in the sources, which outlive configs.
type Sources struct {
	sources   *shared.Sources
	reporting *atomic.Int64 // handlers in report mode
}

// NewSources are the figures of the sources of a config, and of its handlers in report
// mode.
func NewSources(sources *shared.Sources, reporting *atomic.Int64) Sources {
	return Sources{sources, reporting}
}

var sourceLabels = []string{"issuer", "id"}

var (
	fetchesDesc = prometheus.NewDesc("caddy_jwt_key_fetches_total",
		"Fetches of an issuer's keys, by result (ok, failed).", append([]string{"result"}, sourceLabels...), nil)
	keysDesc = prometheus.NewDesc("caddy_jwt_keys",
		"Keys of an issuer that are in use.", sourceLabels, nil)
	ageDesc = prometheus.NewDesc("caddy_jwt_key_set_age_seconds",
		"Time since an issuer's keys were fetched or found unchanged.", sourceLabels, nil)
	nextDesc = prometheus.NewDesc("caddy_jwt_key_set_next_refresh_seconds",
		"Time until an issuer's keys are fetched again.", sourceLabels, nil)
	failuresDesc = prometheus.NewDesc("caddy_jwt_key_source_failures",
		"Failures of an issuer's key source in a row; 0 if it works.", sourceLabels, nil)

	reportDesc = prometheus.NewDesc("caddy_jwt_report_mode_handlers",
		"Handlers in report mode, which refuse nothing.", nil, nil)

	lookupsDesc = prometheus.NewDesc("caddy_jwt_cache_lookups_total",
		"Tokens looked up in the cache of verified tokens, by result (hit, miss).", []string{"result"}, nil)
	cacheBytesDesc = prometheus.NewDesc("caddy_jwt_cache_bytes",
		"Approximate memory that the cache of verified tokens takes.", nil, nil)
	cacheTokensDesc = prometheus.NewDesc("caddy_jwt_cache_tokens",
		"Approximate number of tokens in the cache of verified tokens.", nil, nil)

	apiKeysDesc = prometheus.NewDesc("caddy_jwt_api_keys",
		"API keys of a file that are in use.", fileLabels, nil)
	apiKeyFailuresDesc = prometheus.NewDesc("caddy_jwt_api_key_file_failures",
		"Faults of a file of API keys since it was last read; 0 if it works.", fileLabels, nil)
	apiKeyAgeDesc = prometheus.NewDesc("caddy_jwt_api_key_file_age_seconds",
		"Time since a file of API keys was read.", fileLabels, nil)
)

var fileLabels = []string{"file"}

// Describe implements prometheus.Collector.
func (Sources) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{fetchesDesc, keysDesc, ageDesc, nextDesc, failuresDesc, reportDesc, lookupsDesc, cacheBytesDesc, cacheTokensDesc, apiKeysDesc, apiKeyFailuresDesc, apiKeyAgeDesc} {
		ch <- d
	}
	for _, d := range slices.Concat(stateDescs, serviceDescs, introspectionDescs) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m Sources) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	if m.sources.Ended() {
		return
	}
	m.collectState(ch, now)
	m.collectServices(ch, now)
	m.collectIntrospections(ch)
	ch <- prometheus.MustNewConstMetric(reportDesc, prometheus.GaugeValue, float64(m.reporting.Load()))
	hits, misses := tokencache.Process.Lookups()
	for result, n := range map[string]uint64{"hit": hits, "miss": misses} {
		ch <- prometheus.MustNewConstMetric(lookupsDesc, prometheus.CounterValue, float64(n), result)
	}
	ch <- prometheus.MustNewConstMetric(cacheBytesDesc, prometheus.GaugeValue, float64(tokencache.Process.Size()))
	ch <- prometheus.MustNewConstMetric(cacheTokensDesc, prometheus.GaugeValue, float64(tokencache.Process.Len()))
	for _, f := range m.sources.KeyFiles() {
		s := f.Status
		for d, v := range map[*prometheus.Desc]float64{
			apiKeysDesc: float64(s.Keys), apiKeyFailuresDesc: float64(s.Failures), apiKeyAgeDesc: now.Sub(s.LoadedAt).Seconds(),
		} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, strings.ToValidUTF8(f.Path, "?"))
		}
	}
	for _, used := range m.sources.List() {
		if used.Kind == "config" {
			continue
		}
		s := used.Source.Status()
		labels := []string{strings.ToValidUTF8(strings.Join(used.Issuers, " "), "?"), used.ID}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
		}
		gauge(keysDesc, float64(len(s.Keys)))
		gauge(failuresDesc, float64(s.Failures))
		if !s.FetchedAt.IsZero() {
			gauge(ageDesc, now.Sub(s.FetchedAt).Seconds())
		}
		if used.Kind != "remote" {
			continue
		}
		if !s.NextRefresh.IsZero() {
			gauge(nextDesc, max(0, s.NextRefresh.Sub(now).Seconds()))
		}
		for result, n := range map[string]uint64{"ok": s.Succeeded, "failed": s.Failed} {
			ch <- prometheus.MustNewConstMetric(fetchesDesc, prometheus.CounterValue, float64(n), append([]string{result}, labels...)...)
		}
	}
}
