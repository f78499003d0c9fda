package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

var setLabels = []string{"set"}

var (
	rulesDesc = prometheus.NewDesc("caddy_jwt_revocation_rules",
		"Rules by which credentials are refused before their time, by kind.", []string{"kind"}, nil)
	objectsDesc = prometheus.NewDesc("caddy_jwt_state_objects",
		"Objects of a set of the shared state that are in use.", setLabels, nil)
	unstoredDesc = prometheus.NewDesc("caddy_jwt_state_unstored",
		"Objects of a set of the shared state that hold on this node only, as they could not be stored yet.", setLabels, nil)
	damagedDesc = prometheus.NewDesc("caddy_jwt_state_damaged",
		"Objects of a set of the shared state that can't be used.", setLabels, nil)
	unknownDesc = prometheus.NewDesc("caddy_jwt_state_unknown",
		"Facts of a set of the shared state that this version does not know and can't apply.", setLabels, nil)
	stateAgeDesc = prometheus.NewDesc("caddy_jwt_state_age_seconds",
		"Time since a set of the shared state was last in step with the storage, or since the start if it never was.", setLabels, nil)
	loadDesc = prometheus.NewDesc("caddy_jwt_state_load_seconds",
		"Time that loading objects of a set of the shared state has taken in all.", setLabels, nil)
	mergeDesc = prometheus.NewDesc("caddy_jwt_state_merge_seconds",
		"Time that merging objects of a set of the shared state has taken in all.", setLabels, nil)
	usesDesc = prometheus.NewDesc("caddy_jwt_api_key_uses_total",
		"Requests that were authenticated with a key of a store.", []string{"store"}, nil)
	storedKeysDesc = prometheus.NewDesc("caddy_jwt_stored_api_keys",
		"API keys of a store.", []string{"store"}, nil)
	skewDesc = prometheus.NewDesc("caddy_jwt_clock_skew_seconds",
		"How far the clock of the issuer's server that was asked last is ahead of this machine's.", nil, nil)
)

var stateDescs = []*prometheus.Desc{rulesDesc, objectsDesc, unstoredDesc, damagedDesc, unknownDesc, stateAgeDesc, loadDesc, mergeDesc, usesDesc, storedKeysDesc, skewDesc}

// collectState adds the figures of the shared state, if there is one.
func (m Sources) collectState(ch chan<- prometheus.Metric, now time.Time) {
	if skew, ok := shared.ClockSkew(); ok {
		ch <- prometheus.MustNewConstMetric(skewDesc, prometheus.GaugeValue, skew.Seconds())
	}
	st := m.sources.State()
	if st == nil {
		return
	}
	if rules := st.Rules(); rules != nil {
		for _, k := range revocation.Kinds {
			ch <- prometheus.MustNewConstMetric(rulesDesc, prometheus.GaugeValue, float64(rules.Len(k)), k.String())
		}
	}
	for _, s := range st.Sets(now) {
		age := time.Duration(0)
		if since := s.SyncedAt; !since.IsZero() {
			age = clock.Age(now, since)
		} else if !s.StartedAt.IsZero() {
			age = now.Sub(s.StartedAt)
		}
		for d, v := range map[*prometheus.Desc]float64{
			objectsDesc: float64(s.Objects), unstoredDesc: float64(s.Unstored), damagedDesc: float64(s.Damaged), unknownDesc: float64(s.Unknown),
			stateAgeDesc: age.Seconds(),
		} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Name)
		}
		ch <- prometheus.MustNewConstMetric(loadDesc, prometheus.CounterValue, s.LoadTime.Seconds(), s.Name)
		ch <- prometheus.MustNewConstMetric(mergeDesc, prometheus.CounterValue, s.MergeTime.Seconds(), s.Name)
	}
	for _, name := range st.StoreNames() {
		if keys := st.Store(name); keys != nil {
			ch <- prometheus.MustNewConstMetric(storedKeysDesc, prometheus.GaugeValue, float64(keys.Len()), name)
		}
		if usage := st.Usage(name); usage != nil {
			ch <- prometheus.MustNewConstMetric(usesDesc, prometheus.CounterValue, float64(usage.Total()), name)
		}
	}
}
