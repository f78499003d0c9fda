package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

// What strangers send changes figures and makes no labels.
func TestIntrospectionsAreCounted(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"active":  `{"active":true,"token_type":"Bearer"}`,
		"refresh": `{"active":true,"token_use":"refresh_token"}`,
		"no_json": `<html>`,
	}
	desk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := strings.Cut(r.FormValue("token"), "-")
		answer, ok := answers[kind]
		if !ok {
			answer = `{"active":false}`
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	defer desk.Close()
	sources := shared.New(zap.NewNop(), nil, nil)
	defer func() { _ = sources.Close() }()
	i, err := sources.Introspection("https://issuer.example", shared.IntrospectionSettings{Issuer: "https://issuer.example", URL: desk.URL})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewSources(sources, new(atomic.Int64))); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"active", "active", "active", "refresh", "refresh", "stranger", "no_json", "no_json", "no_json", "no_json", "no_json", "no_json"} {
		_, _, _ = i.Introspect(context.Background(), kind+"-0123456789abcdef")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "caddy_jwt_introspection") {
			continue
		}
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				switch l.GetName() {
				case "result":
					name += " " + l.GetValue()
				case "issuer", "id":
					if v := l.GetValue(); v != "https://issuer.example" && v != i.ID {
						t.Errorf("%s: %s is %q", name, l.GetName(), v)
					}
				default:
					t.Errorf("%s has the label %s", name, l.GetName())
				}
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"caddy_jwt_introspections_total active": 1, "caddy_jwt_introspections_total inactive": 1,
		"caddy_jwt_introspections_total refused": 1, "caddy_jwt_introspections_total error": 5,
		"caddy_jwt_introspection_cached_total": 3, "caddy_jwt_introspection_turned_away_total": 1, "caddy_jwt_introspection_failures": 5,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
