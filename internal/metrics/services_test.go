package metrics

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// collector is a prometheus.Collector of services.
type collector func(ch chan<- prometheus.Metric)

func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range serviceDescs {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) { c(ch) }

// values returns what a collector has: by the metric's name and its labels' values.
func values(t *testing.T, c collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, s := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "caddy_jwt_")
			for _, l := range s.Label {
				name += " " + l.GetValue()
			}
			all[name] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
		}
	}
	return all
}

func TestServiceCounts(t *testing.T) {
	t.Parallel()
	m := NewRequests()
	const service = "https://auth.example"
	collect := collector(func(ch chan<- prometheus.Metric) { m.services.collect(ch, service) })
	none := values(t, collect)
	if len(none) != len(grants)+len(tokenErrors) {
		t.Errorf("%d series before the first request: %v", len(none), none)
	}
	other := m.Service("https://other.example")
	for range 2 {
		observe := m.Service(service) // as each config makes it
		observe(tokenservice.Event{Endpoint: "token", Grant: "client_credentials", Client: "a"})
		observe(tokenservice.Event{Endpoint: "token", Grant: "urn:ietf:params:oauth:grant-type:jwt-bearer", Client: "a"})
		observe(tokenservice.Event{Endpoint: "token", Grant: "client_credentials", Error: "invalid_client"})
		observe(tokenservice.Event{Endpoint: "token", Grant: "no grant", Error: "unsupported_grant_type"})
		observe(tokenservice.Event{Endpoint: "introspect", Error: "invalid_client"})
		observe(tokenservice.Event{Endpoint: "token", Error: "a text that nobody knows"})
		observe(tokenservice.Event{Endpoint: "token", Error: "temporarily_unavailable"})
		observe(tokenservice.Event{Endpoint: "token", Error: "temporarily_unavailable", Limited: true})
		observe(tokenservice.Event{Endpoint: "introspect"})
		observe(tokenservice.Event{Endpoint: "revoke"})
		other(tokenservice.Event{Endpoint: "token", Grant: "client_credentials"})
	}
	got := values(t, collect)
	maps.DeleteFunc(got, func(_ string, n float64) bool { return n == 0 })
	want := map[string]float64{
		"tokens_minted_total client_credentials " + service: 2, "tokens_minted_total jwt-bearer " + service: 2,
		"token_failures_total invalid_client " + service: 4, "token_failures_total unsupported_grant_type " + service: 2,
		"token_failures_total other " + service: 2, "token_failures_total temporarily_unavailable " + service: 2, "token_failures_total too_many_failures " + service: 2,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestRequestsMakeNoSeriesOfServices: whatever a request asks for, the series are those that
// were there.
func TestRequestsMakeNoSeriesOfServices(t *testing.T) {
	t.Parallel()
	m := NewRequests()
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() {
			m.Service("\xff")(tokenservice.Event{Endpoint: "token", Grant: fmt.Sprint("g", n), Client: fmt.Sprint("c", n), Federate: "f", Error: fmt.Sprint("e", n%2*n)})
		})
	}
	wg.Wait()
	got := values(t, func(ch chan<- prometheus.Metric) { m.services.collect(ch, "\xff") })
	if len(got) != len(grants)+len(tokenErrors) || got["token_failures_total other ?"] != 1000 {
		t.Errorf("%v", got)
	}
}

func TestFiguresOfSigningKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	of := func(keys ...tokenservice.SigningKey) map[string]float64 {
		use := shared.SigningUse{Service: "https://auth.example", Use: shared.UseForward, Signing: new(shared.Signing)}
		got := values(t, func(ch chan<- prometheus.Metric) { collectKeys(ch, use, keys, now) })
		short := map[string]float64{}
		for name, v := range got {
			short[strings.TrimSuffix(strings.TrimPrefix(name, "signing_key_"), " https://auth.example forward")] = v
		}
		return short
	}
	signing := tokenservice.SigningKey{State: "signing", SignsFrom: now.Add(-time.Hour)}
	next := tokenservice.SigningKey{State: "next", SignsFrom: now.Add(-time.Minute)}
	for name, c := range map[string]struct {
		got  map[string]float64
		want map[string]float64
	}{
		"not known":     {of(), map[string]float64{"rotate_seconds": 0}},
		"signs":         {of(signing), map[string]float64{"rotate_seconds": 0, "age_seconds": 3600}},
		"overdue":       {of(next, signing), map[string]float64{"rotate_seconds": 0, "age_seconds": 3600, "next_rotation_seconds": -60}},
		"none signs":    {of(next), map[string]float64{"rotate_seconds": 0}},
		"since unknown": {of(tokenservice.SigningKey{State: "signing", SignsUntil: now.Add(time.Hour)}), map[string]float64{"rotate_seconds": 0, "next_rotation_seconds": 3600}},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}
