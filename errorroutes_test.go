package caddyjwt

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
)

// errorServer returns a server with error routes in the form of the Caddyfile adapter.
func errorServer(t *testing.T, routes string) *caddyhttp.Server {
	t.Helper()
	server := &caddyhttp.Server{Errors: new(caddyhttp.HTTPErrorConfig)}
	if err := json.Unmarshal([]byte(routes), &server.Errors.Routes); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := server.Errors.Routes.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestAnErrorRouteAnswersOnlyWhereItMatches(t *testing.T) {
	t.Parallel()
	const page = `{"handler":"static_response","body":"page"}`
	sub := func(routes string) string { return `{"handler":"subroute","routes":[` + routes + `]}` }
	for name, c := range map[string]struct {
		routes  string
		handled bool
	}{
		"no routes at all":                        {`[]`, false},
		"a route for everything":                  {`[{"handle":[` + page + `]}]`, true},
		"a route of this site":                    {`[{"match":[{"host":["api.example"]}],"handle":[` + sub(`{"handle":[`+page+`]}`) + `],"terminal":true}]`, true},
		"a route of another site on the listener": {`[{"match":[{"host":["other.example"]}],"handle":[` + sub(`{"handle":[`+page+`]}`) + `],"terminal":true}]`, false},
		"a route of this site for 404":            {`[{"match":[{"host":["api.example"]}],"handle":[` + sub(`{"match":[{"expression":"{http.error.status_code} == 404"}],"handle":[`+page+`]}`) + `],"terminal":true}]`, false},
		"a route of this site for 401":            {`[{"match":[{"host":["api.example"]}],"handle":[` + sub(`{"match":[{"expression":"{http.error.status_code} in [401, 403]"}],"handle":[`+page+`]}`) + `],"terminal":true}]`, true},
		"a route for 4xx":                         {`[{"match":[{"expression":"{http.error.status_code} >= 400 && {http.error.status_code} <= 499"}],"handle":[` + page + `]}]`, true},
		"a route for another path":                {`[{"match":[{"path":["/other*"]}],"handle":[` + page + `]}]`, false},
		"a route for our reason":                  {`[{"match":[{"expression":"{http.jwt.reason} == 'missing_credentials'"}],"handle":[` + page + `]}]`, true},
		"a later route":                           {`[{"match":[{"path":["/x"]}],"handle":[` + page + `]},{"handle":[` + page + `]}]`, true},
		"behind a terminal route without answer":  {`[{"handle":[` + sub(`{"match":[{"path":["/x"]}],"handle":[`+page+`]}`) + `],"terminal":true},{"handle":[` + page + `]}]`, false},
		"a route whose group is satisfied":        {`[{"group":"g","handle":[` + sub(`{"match":[{"path":["/x"]}],"handle":[`+page+`]}`) + `]},{"group":"g","handle":[` + page + `]}]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			res := serve(t, httptest.NewRequest("GET", "https://api.example/path", nil), errorServer(t, c.routes), s.Handler)
			if (res.err != nil) != c.handled {
				t.Fatalf("error %v, want one: %v", res.err, c.handled)
			}
			if res.Header().Get("WWW-Authenticate") == "" || res.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", res.Header())
			}
			if c.handled {
				if he, ok := res.err.(caddyhttp.HandlerError); !ok || he.StatusCode != 401 {
					t.Errorf("error %#v", res.err)
				}
				if res.Body.Len() > 0 || res.Header().Get("Content-Type") != "" {
					t.Errorf("a body was written before that of the error route: %s", res.Body)
				}
				return
			}
			if res.Code != 401 || res.Body.Len() == 0 {
				t.Errorf("%d %s", res.Code, res.Body)
			}
			if got := res.placeholder("{http.error.status_code}{http.error.message}"); got != "{http.error.status_code}{http.error.message}" {
				t.Errorf("the probe left an error behind: %s", got)
			}
		})
	}
}

func TestAHandlerInAnErrorRouteAnswersItself(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	server := errorServer(t, `[{"handle":[{"handler":"static_response","body":"page"}]}]`)
	r := httptest.NewRequest("GET", "https://api.example/", nil)
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.ErrorCtxKey, error(caddyhttp.HandlerError{StatusCode: 418})))
	res := serve(t, r, server, s.Handler)
	if res.err != nil || res.Code != 401 || res.Body.Len() == 0 {
		t.Errorf("error %v, %d %s", res.err, res.Code, res.Body)
	}
}
