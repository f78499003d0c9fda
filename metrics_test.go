package caddyjwt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
)

// seriesOf returns what was counted, above zero, as the labels that have a value.
func seriesOf(t *testing.T, m *metrics.Requests) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := m.Register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, s := range f.Metric {
			var name []string
			for _, l := range s.Label {
				if l.GetValue() != "" {
					name = append(name, l.GetName()+"="+l.GetValue())
				}
			}
			if v := s.GetCounter().GetValue(); v > 0 {
				counted[strings.Join(name, " ")] = v
			}
		}
	}
	return counted
}

// TestRequestsAreCountedByIssuer checks that the issuer is the config's, and that a token
// of an issuer that is not known has none.
func TestRequestsAreCountedByIssuer(t *testing.T) {
	t.Parallel()
	pem := publicPEM(t, signer().Public())
	const other = "https://other.example/"
	issuers := "issuer https://issuer.example/ {\npublic_key \"" + pem + "\"\n}\nissuer " + other + " {\npublic_key \"" + pem + "\"\n}\naudience https://api.example\n"
	for name, c := range map[string]struct {
		options string
		claims  map[string]any
		want    string
	}{
		"accepted":                 {"", nil, "issuer=https://issuer.example/ method=jwt result=allowed"},
		"accepted of the other":    {"", map[string]any{"iss": other}, "issuer=" + other + " method=jwt result=allowed"},
		"expired":                  {"", map[string]any{"iss": other, "exp": 1}, "issuer=" + other + " method=none reason=expired result=refused"},
		"for another":              {"", map[string]any{"iss": other, "aud": "x"}, "issuer=" + other + " method=none reason=wrong_audience result=refused"},
		"without a scope":          {"require scope a", map[string]any{"iss": other}, "issuer=" + other + " method=none reason=insufficient_scope result=refused"},
		"in report mode":           {"require scope a\nmode report", map[string]any{"iss": other}, "issuer=" + other + " method=none reason=insufficient_scope result=would_refuse"},
		"what no header carries":   {"forward c X-C", map[string]any{"iss": other, "c": "\n"}, "issuer=" + other + " method=none reason=unforwardable_claim result=refused"},
		"of a stranger":            {"", map[string]any{"iss": "https://stranger.example/"}, "method=none reason=unknown_issuer result=refused"},
		"without an issuer":        {"", map[string]any{"iss": nil}, "method=none reason=unknown_issuer result=refused"},
		"with what is not allowed": {"", map[string]any{"iss": other, "alg": "HS256"}, "issuer=" + other + " method=none reason=algorithm_not_allowed result=refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := makeSite(t, issuers+c.options)
			requests := ownMetrics(s)
			token := signed(t, c.claims)
			if c.claims["alg"] != nil {
				token = b64JSON(t, map[string]any{"alg": c.claims["alg"]}) + token[strings.IndexByte(token, '.'):]
			}
			for range 3 { // the first is not in the cache
				serve(t, bearer(token), nil, s.Handler)
			}
			if got := seriesOf(t, requests); fmt.Sprint(got) != fmt.Sprint(map[string]float64{c.want: 3}) {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
	t.Run("any issuer", func(t *testing.T) {
		s := makeSite(t, "issuer * {\npublic_key \""+pem+"\"\naudience *\n}")
		requests := ownMetrics(s)
		serve(t, bearer(signed(t, map[string]any{"iss": "https://stranger.example/"})), nil, s.Handler)
		if got := seriesOf(t, requests); got["issuer=* method=jwt result=allowed"] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// TestConsumersAreCountedOnlyWhereTheConfigSaysSo checks the label consumer: only the
// consumer of an accepted API key is in it, and none without the option.
func TestConsumersAreCountedOnlyWhereTheConfigSaysSo(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	pem := publicPEM(t, signer().Public())
	const allowed, refused = "method=api_key result=allowed", "method=none reason=insufficient_scope result=refused"
	for name, c := range map[string]struct {
		perConsumer bool
		options     string
		request     func() *http.Request
		want        string
	}{
		"off":     {false, "", func() *http.Request { return request(text, "", "", "", "X-API-Key: %G") }, allowed},
		"on":      {true, "", func() *http.Request { return request(text, "", "", "", "X-API-Key: %G") }, "consumer=partner " + allowed},
		"refused": {true, "require scope b", func() *http.Request { return request(text, "", "", "", "X-API-Key: %G") }, "consumer=partner " + refused},
		"unknown": {true, "", func() *http.Request { return request("stranger_key_of_enough_length", "", "", "", "X-API-Key: %G") }, "method=none reason=unknown_api_key result=refused"},
		"a token": {true, "", func() *http.Request { return bearer(signed(t, nil)) }, "issuer=https://issuer.example/ method=jwt result=allowed"},
		"a token beside a key": {true, "", func() *http.Request { return bearerOf(request(text, "", "", "", "X-API-Key: %G"), signed(t, nil)) },
			"consumer=partner issuer=https://issuer.example/ method=jwt result=allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := makeSite(t, "issuer https://issuer.example/ {\npublic_key \""+pem+"\"\naudience https://api.example\n}\napi_key k1 "+hash+" {\nconsumer partner\nscopes a\n}\n"+c.options)
			s.metrics.PerConsumer = c.perConsumer
			requests := ownMetrics(s)
			for range 2 {
				serve(t, c.request(), nil, s.Handler)
			}
			if got := seriesOf(t, requests); fmt.Sprint(got) != fmt.Sprint(map[string]float64{c.want: 2}) {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
}

// TestTheSiteOfMetricsIsThatOfWarnings loads configs and checks what the sites of their
// handlers are called. Counters are the process's, so hosts here are of this test alone.
func TestTheSiteOfMetricsIsThatOfWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		caddyfile string
		want      []string
	}{
		"a host":         {"http://one.metrics.test:9 {\n%s\n}", []string{"one.metrics.test"}},
		"three hosts":    {"http://a.metrics.test:9, http://b.metrics.test:9, http://c.metrics.test:9 {\n%s\n}", []string{"a.metrics.test b.metrics.test c.metrics.test"}},
		"five hosts":     {"http://a5.metrics.test:9, http://b5.metrics.test:9, http://c5.metrics.test:9, http://d5.metrics.test:9, http://e5.metrics.test:9 {\n%s\n}", []string{"a5.metrics.test b5.metrics.test c5.metrics.test +2"}},
		"a wildcard":     {"http://*.metrics.test:9 {\n%s\n}", []string{"*.metrics.test"}},
		"no host":        {"http://:9 {\n%s\n}", []string{"127.0.0.1:9"}},
		"two sites":      {"http://y.metrics.test:9 {\n%[1]s\n}\nhttp://x.metrics.test:9 {\n%[1]s\n}", []string{"x.metrics.test", "y.metrics.test"}},
		"a named route":  {"&(auth) {\n%s\n}\nhttp://n.metrics.test:9 {\ninvoke auth\n}", []string{"127.0.0.1:9"}},
		"an error route": {"http://e.metrics.test:9 {\nhandle_errors {\n%s\n}\n}", []string{"e.metrics.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			jwt := "route {\njwt {\nissuer https://issuer.example/ {\npublic_key `" + publicPEM(t, signer().Public()) + "`\naudience a\n}\n}\n}"
			text := "{\ndefault_bind 127.0.0.1\nadmin off\n}\n" + fmt.Sprintf(c.caddyfile, jwt)
			config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := sitesOf(t, config); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// sitesOf provisions a config and returns the names of its handlers' sites.
func sitesOf(t *testing.T, config []byte) []string {
	t.Helper()
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &parsed); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	var sites []string
	for _, server := range app.(*caddyhttp.App).Servers {
		lists := []caddyhttp.RouteList{server.Routes}
		if server.Errors != nil {
			lists = append(lists, server.Errors.Routes)
		}
		for _, route := range server.NamedRoutes {
			lists = append(lists, caddyhttp.RouteList{*route})
		}
		for _, list := range lists {
			sites = append(sites, sitesIn(list)...)
		}
	}
	slices.Sort(sites)
	return slices.Compact(sites)
}

func sitesIn(list caddyhttp.RouteList) (sites []string) {
	for _, route := range list {
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Handler:
				sites = append(sites, h.metrics.Site)
			case *caddyhttp.Subroute:
				sites = append(sites, sitesIn(h.Routes)...)
			}
		}
	}
	return sites
}
