package caddyjwt

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// keyMetrics are the figures of the key sources, read when they are asked for.
// All labels come from the config, so that nobody outside can make new ones;
// those of a source that is gone go with it. Each config has a registry of its
// own, and the counters live in the sources, which outlive configs.
type keyMetrics struct{ app *App }

var sourceLabels = []string{"issuer", "id"}

var (
	fetchesDesc = prometheus.NewDesc("caddy_jwt_key_fetches_total",
		"Fetches of an issuer's keys, by result (ok, failed).", append([]string{"result"}, sourceLabels...), nil)
	keysDesc = prometheus.NewDesc("caddy_jwt_keys",
		"Keys of an issuer that are in hand.", sourceLabels, nil)
	ageDesc = prometheus.NewDesc("caddy_jwt_key_set_age_seconds",
		"Time since an issuer's keys were fetched or found unchanged.", sourceLabels, nil)
	nextDesc = prometheus.NewDesc("caddy_jwt_key_set_next_refresh_seconds",
		"Time until an issuer's keys are fetched again.", sourceLabels, nil)
	failuresDesc = prometheus.NewDesc("caddy_jwt_key_source_failures",
		"Failures of an issuer's key source in a row; 0 where it is well.", sourceLabels, nil)
)

// Describe implements prometheus.Collector.
func (keyMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{fetchesDesc, keysDesc, ageDesc, nextDesc, failuresDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m keyMetrics) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	if m.app.ended() {
		return
	}
	for _, used := range m.app.list() {
		if used.kind == "config" {
			continue
		}
		s := used.source.Status()
		labels := []string{strings.Join(used.issuers, " "), used.id}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
		}
		gauge(keysDesc, float64(len(s.Keys)))
		gauge(failuresDesc, float64(s.Failures))
		if !s.FetchedAt.IsZero() {
			gauge(ageDesc, now.Sub(s.FetchedAt).Seconds())
		}
		if used.kind != "remote" {
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
