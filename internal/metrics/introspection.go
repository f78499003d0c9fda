package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	introspectionsDesc = prometheus.NewDesc("caddy_jwt_introspections_total",
		"Calls that asked an issuer about a token, by result (active, inactive, refused, error).", append([]string{"result"}, sourceLabels...), nil)
	introspectionCachedDesc = prometheus.NewDesc("caddy_jwt_introspection_cached_total",
		"Requests that were served by an earlier answer of an issuer about their token.", sourceLabels, nil)
	introspectionTurnedAwayDesc = prometheus.NewDesc("caddy_jwt_introspection_turned_away_total",
		"Requests without an answer about their token, as there were too many calls or a pause after failures.", sourceLabels, nil)
	introspectionFailuresDesc = prometheus.NewDesc("caddy_jwt_introspection_failures",
		"Failures in a row of calls that ask an issuer about tokens; 0 if it works.", sourceLabels, nil)
)

var introspectionDescs = []*prometheus.Desc{introspectionsDesc, introspectionCachedDesc, introspectionTurnedAwayDesc, introspectionFailuresDesc}

// collectIntrospections collects the figures of what asks issuers about tokens.
func (m Sources) collectIntrospections(ch chan<- prometheus.Metric) {
	for _, used := range m.sources.Introspections() {
		s := used.Status()
		labels := []string{strings.ToValidUTF8(strings.Join(used.Issuers, " "), "?"), used.ID}
		for result, n := range map[string]uint64{"active": s.Active, "inactive": s.Inactive, "refused": s.Refused, "error": s.Failed} {
			ch <- prometheus.MustNewConstMetric(introspectionsDesc, prometheus.CounterValue, float64(n), append([]string{result}, labels...)...)
		}
		ch <- prometheus.MustNewConstMetric(introspectionCachedDesc, prometheus.CounterValue, float64(s.Cached), labels...)
		ch <- prometheus.MustNewConstMetric(introspectionTurnedAwayDesc, prometheus.CounterValue, float64(s.TurnedAway), labels...)
		ch <- prometheus.MustNewConstMetric(introspectionFailuresDesc, prometheus.GaugeValue, float64(s.Failures), labels...)
	}
}
