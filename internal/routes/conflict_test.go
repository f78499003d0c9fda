package routes

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	maphandler "github.com/caddyserver/caddy/v2/modules/caddyhttp/map"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// ownHandler and ownMatcher stand in for the modules of the root, otherHandler for a
// plugin that may set anything.
type (
	ownHandler   struct{ otherHandler }
	ownMatcher   struct{}
	otherHandler struct{}
)

func (ownHandler) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "http.handlers.jwt"} }

func (otherHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// TestConflict checks which handlers and matchers are taken for ones that may set our
// placeholders.
func TestConflict(t *testing.T) {
	t.Parallel()
	list := func(handlers ...caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
		return caddyhttp.RouteList{{Handlers: handlers}}
	}
	sub := func(handlers ...caddyhttp.MiddlewareHandler) caddyhttp.MiddlewareHandler {
		return &caddyhttp.Subroute{Routes: list(handlers...)}
	}
	matched := func(matchers ...any) caddyhttp.RouteList {
		return caddyhttp.RouteList{{MatcherSets: caddyhttp.MatcherSets{matchers}, Handlers: []caddyhttp.MiddlewareHandler{&caddyhttp.StaticResponse{}}}}
	}
	answer, proxy, jwt := &caddyhttp.StaticResponse{}, &reverseproxy.Handler{}, ownHandler{}
	vars, basic := caddyhttp.VarsMiddleware{}, caddyauth.Authentication{}
	unknown := otherHandler{}
	for name, c := range map[string]struct {
		server *caddyhttp.Server
		want   bool
	}{
		"a site":               {&caddyhttp.Server{Routes: list(vars, rewrite.Rewrite{}, jwt, sub(proxy), answer)}, false},
		"matchers of Caddy's":  {&caddyhttp.Server{Routes: matched(caddyhttp.MatchPath{"/a"}, &caddyhttp.MatchHost{"a"})}, false},
		"vars of its own":      {&caddyhttp.Server{Routes: list(&caddyhttp.VarsMiddleware{"tenant": "a"}, jwt)}, false},
		"vars sets the user":   {&caddyhttp.Server{Routes: list(&caddyhttp.VarsMiddleware{"http.auth.user.id": "a"}, jwt)}, true},
		"vars sets anything":   {&caddyhttp.Server{Routes: list(&caddyhttp.VarsMiddleware{"{http.request.header.X}": "a"}, jwt)}, true},
		"a matcher of ours":    {&caddyhttp.Server{Routes: matched(ownMatcher{})}, false},
		"another's matcher":    {&caddyhttp.Server{Routes: matched(json.Number("1"))}, true},
		"basic_auth":           {&caddyhttp.Server{Routes: list(basic, jwt)}, true},
		"basic_auth in handle": {&caddyhttp.Server{Routes: list(vars, sub(sub(basic)), jwt)}, true},
		"map":                  {&caddyhttp.Server{Routes: append(list(jwt), list(maphandler.Handler{})...)}, true},
		"another's handler":    {&caddyhttp.Server{Routes: list(unknown)}, true},
		"routes for answers": {&caddyhttp.Server{Routes: list(&reverseproxy.Handler{
			HandleResponse: []caddyhttp.ResponseHandler{{}},
		})}, true},
		"an error route":              {&caddyhttp.Server{Routes: list(jwt), Errors: &caddyhttp.HTTPErrorConfig{Routes: list(sub(answer))}}, false},
		"basic_auth in an error":      {&caddyhttp.Server{Routes: list(jwt), Errors: &caddyhttp.HTTPErrorConfig{Routes: list(basic)}}, true},
		"errors of a subroute":        {&caddyhttp.Server{Routes: list(&caddyhttp.Subroute{Errors: &caddyhttp.HTTPErrorConfig{Routes: list(basic)}})}, true},
		"named routes":                {&caddyhttp.Server{Routes: list(jwt), NamedRoutes: map[string]*caddyhttp.Route{"a": {}}}, true},
		"handlers that are not there": {&caddyhttp.Server{Routes: caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{[]byte("{}")}}}}, true},
	} {
		if got := NewConflict(c.server, reflect.TypeFor[ownMatcher]().PkgPath()).Possible(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if !NewConflict(nil, "").Possible() {
		t.Error("an unknown server is taken for harmless")
	}
}
