package metrics

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

func TestThreat39_MetricsHaveLabelsFromTheConfigAlone(t *testing.T) {
	t.Parallel()
	const keySet = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}` // of RFC 8037
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySet)) }))
	defer issuer.Close()
	a := shared.New(zap.NewNop(), nil, nil)
	r, err := a.Remote("https://issuer.example", shared.Settings{JWKSURL: issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Keys(context.Background(), "a"); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		_, _ = r.Keys(context.Background(), fmt.Sprint("stranger", n))
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewSources(a, new(atomic.Int64))); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, f := range families {
		for _, m := range f.Metric {
			names[f.GetName()]++
			for _, l := range m.Label {
				switch {
				case l.GetName() == "issuer" && l.GetValue() == "https://issuer.example":
				case l.GetName() == "id" && l.GetValue() == r.ID:
				case l.GetName() == "result" && slices.Contains([]string{"ok", "failed", "hit", "miss"}, l.GetValue()):
				default:
					t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	want := map[string]int{
		"caddy_jwt_key_fetches_total": 2, "caddy_jwt_keys": 1, "caddy_jwt_key_set_age_seconds": 1,
		"caddy_jwt_key_set_next_refresh_seconds": 1, "caddy_jwt_key_source_failures": 1, "caddy_jwt_report_mode_handlers": 1,
		"caddy_jwt_cache_lookups_total": 2, "caddy_jwt_cache_bytes": 1, "caddy_jwt_cache_tokens": 1, "caddy_jwt_clock_skew_seconds": 1,
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("metrics %v, want %v", names, want)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("metrics of a source that is gone: %v, %v", families, err)
	}
}
