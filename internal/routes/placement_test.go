package routes

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// guards returns the placements of the handlers of ours in a server, in the order of
// its routes.
func guards(server *caddyhttp.Server) (found []Placement) {
	places := Placements(server)
	var walk func(list caddyhttp.RouteList)
	walk = func(list caddyhttp.RouteList) {
		for _, route := range list {
			for _, h := range route.Handlers {
				if p, ok := places[h]; ok {
					found = append(found, p)
				}
				if sub, ok := h.(*caddyhttp.Subroute); ok {
					walk(sub.Routes)
				}
			}
		}
	}
	walk(server.Routes)
	return found
}

// TestPlacements checks what is found around a handler of ours: E for a subroute with
// errors, U for an unknown handler, I for an intercept that is not known to make a page,
// R for what may have begun to read the body.
func TestPlacements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ caddyfile, want string }{
		"alone":                               {":80 {\n test_guard\n respond ok\n}", "-"},
		"in a handle":                         {":80 {\n handle /a {\n test_guard\n }\n}", "-"},
		"after an unknown handler":            {":80 {\n route {\n test_unknown\n test_guard\n }\n}", "U"},
		"before an unknown handler":           {":80 {\n route {\n test_guard\n test_unknown\n }\n}", "-"},
		"after one in a handle before":        {":80 {\n route {\n route /a {\n test_unknown\n }\n test_guard\n }\n}", "U"},
		"one in another handle":               {":80 {\n handle /a {\n test_unknown\n }\n handle {\n test_guard\n }\n}", "-"},
		"one in another site":                 {"http://a {\n test_unknown\n}\nhttp://b {\n test_guard\n}", "-"},
		"after an intercept by path":          {":80 {\n intercept {\n handle_response {\n reverse_proxy :1\n }\n }\n handle {\n test_guard\n }\n}", "I"},
		"after an intercept with a page":      {":80 {\n intercept {\n handle_response {\n respond page 401\n }\n }\n handle {\n test_guard\n }\n}", "-"},
		"after one that changes the status":   {":80 {\n intercept {\n @d status 401\n replace_status @d 200\n }\n handle {\n test_guard\n }\n}", "I"},
		"before an intercept":                 {":80 {\n route {\n test_guard\n intercept {\n handle_response {\n reverse_proxy :1\n }\n }\n }\n}", "-"},
		"in an intercept's routes":            {":80 {\n route {\n intercept {\n handle_response {\n test_guard\n }\n }\n }\n}", ""},
		"after a proxy with handle_response":  {":80 {\n route {\n reverse_proxy :1 {\n handle_response {\n header X y\n }\n }\n test_guard\n }\n}", "R"},
		"after a proxy without":               {":80 {\n route {\n reverse_proxy :1\n test_guard\n }\n}", "-"},
		"in a named route":                    {"&(x) {\n test_guard\n}\n:80 {\n invoke x\n}", ""},
		"after an invoked one with a handler": {"&(x) {\n test_unknown\n}\n:80 {\n route {\n invoke x\n test_guard\n }\n}", "U"},
		"two, one of them after":              {":80 {\n route {\n test_guard\n test_unknown\n test_guard\n }\n}", "- U"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := letters(guards(serverOfCaddyfile(t, c.caddyfile))); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	const guard, proxy = `{"handler":"test_guard"}`, `{"handler":"static_response"}`
	errs := func(routes, more string) string {
		return `{"handler":"subroute","routes":[{"handle":[` + routes + `]}],"errors":{"routes":[{"handle":[` + proxy + `]}]}` + more + `}`
	}
	for name, c := range map[string]struct{ routes, want string }{
		"in a subroute with errors":           {`[{"handle":[` + errs(guard, "") + `]}]`, "E"},
		"after one, in its route":             {`[{"handle":[` + errs(proxy, "") + `,` + guard + `]}]`, "E"},
		"after one, in the next route":        {`[{"handle":[` + errs(proxy, "") + `]},{"handle":[` + guard + `]}]`, "E"},
		"after one in a terminal route":       {`[{"handle":[` + errs(proxy, "") + `],"terminal":true},{"handle":[` + guard + `]}]`, "-"},
		"after one in a route of its group":   {`[{"group":"g","handle":[` + errs(proxy, "") + `]},{"group":"g","handle":[` + guard + `]}]`, "-"},
		"after one in a route of another":     {`[{"group":"g","handle":[` + errs(proxy, "") + `]},{"group":"h","handle":[` + guard + `]}]`, "E"},
		"before one":                          {`[{"handle":[` + guard + `,` + errs(proxy, "") + `]}]`, "-"},
		"in a subroute in one with errors":    {`[{"handle":[` + errs(`{"handler":"subroute","routes":[{"handle":[`+guard+`]}]}`, "") + `]}]`, "E"},
		"a subroute whose errors are nothing": {`[{"handle":[{"handler":"subroute","routes":[{"handle":[` + guard + `]}],"errors":{}}]}]`, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serverOfJSON(t, `{"listen":[":80"],"routes":`+c.routes+`}`)
			if got := letters(guards(server)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func letters(list []Placement) string {
	var all []string
	for _, p := range list {
		text := ""
		for _, is := range []struct {
			letter string
			yes    bool
		}{{"E", p.Errors}, {"U", p.Unknown != ""}, {"I", p.Intercept != ""}, {"R", p.Reader}} {
			if is.yes {
				text += is.letter
			}
		}
		if text == "" {
			text = "-"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// TestPlacementsOfNamedRoutes checks handlers that the routes of the server do not hold,
// and that named routes that invoke each other come to an end.
func TestPlacementsOfNamedRoutes(t *testing.T) {
	t.Parallel()
	const guard = `{"handler":"test_guard"}`
	server := serverOfJSON(t, `{"listen":[":80"],"routes":[{"handle":[{"handler":"subroute","errors":{"routes":[{"handle":[{"handler":"static_response"}]}]},
		"routes":[{"handle":[{"handler":"invoke","name":"x"}]}]}]},{"handle":[{"handler":"invoke","name":"loop"}]}],
		"named_routes":{"x":{"handle":[`+guard+`]},"loop":{"handle":[{"handler":"invoke","name":"loop"},{"handler":"invoke","name":"loop"}]}}}`)
	places := Placements(server)
	if p := places[server.NamedRoutes["x"].Handlers[0]]; !p.Errors || p.Final() {
		t.Errorf("%+v", p)
	}
}
