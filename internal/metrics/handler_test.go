package metrics

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// gathered returns the values of all series of requests, by their labels that have one.
func gathered(t *testing.T, m *Requests) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := m.Register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "caddy_jwt_requests_total" {
			continue
		}
		for _, s := range f.Metric {
			name := ""
			for _, l := range s.Label {
				if l.GetValue() != "" {
					name += l.GetName() + "=" + l.GetValue() + " "
				}
			}
			values[name] = s.GetCounter().GetValue()
		}
	}
	return values
}

func count(t *testing.T, m *Requests) int { return len(gathered(t, m)) }

func TestCountersOutliveConfigs(t *testing.T) {
	t.Parallel()
	m := NewRequests()
	labels := Labels{Site: "a.example", Issuers: []string{"https://i.example"}, PerConsumer: true}
	for range 3 {
		h := m.Handler(labels) // as each config makes it
		h.Allowed(Caller{Policy: 0, Token: true})
		h.Allowed(Caller{Policy: -1, Consumer: "partner"})
		h.Refused(slices.Index(reason.All, reason.Expired), Caller{Policy: 0})
	}
	got := gathered(t, m)
	for _, labels := range []string{
		"issuer=https://i.example method=jwt result=allowed site=a.example ", "consumer=partner method=api_key result=allowed site=a.example ",
		"issuer=https://i.example method=none reason=expired result=refused site=a.example ",
	} {
		if got[labels] != 3 {
			t.Errorf("%s: %v, want 3", labels, got[labels])
		}
	}
	if len(m.consumers) != 1 {
		t.Errorf("%d series of consumers are kept for one", len(m.consumers))
	}
}

func TestSeriesOfConsumersAreBounded(t *testing.T) {
	t.Parallel()
	m := NewRequests()
	h := m.Handler(Labels{Site: "a.example", PerConsumer: true})
	before := count(t, m)
	const more = 50
	for range 2 {
		for n := range maxConsumers + more {
			h.Allowed(Caller{Policy: -1, Consumer: fmt.Sprint("consumer-", n)})
		}
	}
	if got := count(t, m) - before; got != maxConsumers+1 {
		t.Errorf("%d series, want %d", got, maxConsumers+1)
	}
	if got := gathered(t, m)["consumer=other method=api_key result=allowed site=a.example "]; got != 2*more {
		t.Errorf("%v of others, want %d", got, 2*more)
	}
}

// What a handler counts is there from the start, unless it has very many issuers.
func TestNoRequestMakesASeries(t *testing.T) {
	t.Parallel()
	for _, issuers := range []int{0, 1, maxEager} {
		m := NewRequests()
		var list []string
		for n := range issuers {
			list = append(list, fmt.Sprint("https://", n))
		}
		h := m.Handler(Labels{Site: "a.example", Issuers: list})
		before := count(t, m)
		for policy := -1; policy <= issuers; policy++ {
			h.Allowed(Caller{Policy: policy, Token: true})
			for _, code := range reason.All {
				if policy < 0 || !beforeIssuer[code] {
					h.Refused(slices.Index(reason.All, code), Caller{Policy: policy})
				}
			}
		}
		h.Anonymous()
		if after := count(t, m); after != before {
			t.Errorf("%d issuers: %d series, then %d", issuers, before, after)
		}
	}
}

func TestManyIssuersHaveSeriesOfTheirOwn(t *testing.T) {
	t.Parallel()
	m := NewRequests()
	var issuers []string
	for n := range 1000 {
		issuers = append(issuers, fmt.Sprint("https://", n))
	}
	h := m.Handler(Labels{Site: "a.example", Issuers: issuers})
	h.Refused(slices.Index(reason.All, reason.Expired), Caller{Policy: 999})
	if got := gathered(t, m)["issuer=https://999 method=none reason=expired result=refused site=a.example "]; got != 1 {
		t.Errorf("%v counted", got)
	}
	if n := count(t, m); n > 2000 {
		t.Errorf("%d series for a thousand issuers of which one had a refusal", n)
	}
}

func TestLabelsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	m := NewRequests()
	h := m.Handler(Labels{Site: "a\xff", Issuers: []string{"\xfe"}})
	h.Allowed(Caller{Policy: 0, Token: true})
	if got := gathered(t, m)["issuer=? method=jwt result=allowed site=a? "]; got != 1 {
		t.Errorf("%v counted", got)
	}
}

func BenchmarkAllowed(b *testing.B) {
	for name, consumer := range map[string]string{"token": "", "consumer": "partner"} {
		b.Run(name, func(b *testing.B) {
			h := NewRequests().Handler(Labels{Site: "a.example", Issuers: []string{"https://i.example"}, PerConsumer: true})
			b.ReportAllocs()
			for b.Loop() {
				h.Allowed(Caller{Policy: 0, Token: true, Consumer: consumer})
			}
		})
	}
}
