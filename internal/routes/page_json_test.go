package routes

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

// TestJudgeOfJSON judges what no Caddyfile says.
func TestJudgeOfJSON(t *testing.T) {
	t.Parallel()
	const (
		proxy   = `{"handler":"reverse_proxy","upstreams":[{"dial":"pages:80"}]}`
		byPath  = "reverse_proxy by the request's own path"
		file    = "file_server by the request's own path"
		page    = `{"handler":"rewrite","uri":"/401.html"}`
		respond = `{"handler":"static_response","body":"x"}`
		serve   = `{"handler":"file_server","root":"/srv"}`
	)
	handle := func(handlers ...string) string { return `{"handle":[` + strings.Join(handlers, ",") + `]}` }
	deep := serve
	for range 60 {
		deep = `{"handler":"subroute","routes":[` + handle(deep) + `]}`
	}
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf(`{"match":[{"path":["/%d"]}],"group":"g%d","handle":[%s]}`, i, i, `{"handler":"headers"}`))
	}
	for name, c := range map[string]struct{ errors, more, unsafe string }{
		"nothing":                             {"", "", ""},
		"one handler behind another":          {handle(page, serve), "", ""},
		"in another order":                    {handle(serve, page), "", file},
		"a subroute with error routes":        {handle(`{"handler":"subroute","routes":[],"errors":{"routes":[]}}`), "", "a subroute with error routes of its own"},
		"invoke":                              {handle(`{"handler":"invoke","name":"r"}`, proxy), `"named_routes":{"r":` + handle(respond) + `}`, ""},
		"invoke that passes on":               {handle(`{"handler":"invoke","name":"r"}`, proxy), `"named_routes":{"r":` + handle(page) + `}`, "reverse_proxy with the request's own method"},
		"invoke of nothing is an error":       {handle(`{"handler":"invoke","name":"s"}`, proxy), `"named_routes":{"r":` + handle(page) + `}`, ""},
		"invoke of itself":                    {handle(`{"handler":"invoke","name":"r"}`), `"named_routes":{"r":` + handle(`{"handler":"invoke","name":"r"}`) + `}`, tooLarge},
		"invoke of itself twice":              {handle(`{"handler":"invoke","name":"r"}`), `"named_routes":{"r":{"match":[{"path":["/a"]}],"handle":[` + `{"handler":"invoke","name":"r"},{"handler":"invoke","name":"r"}` + `]}}`, tooLarge},
		"nested deeply":                       {handle(page, deep), "", tooLarge},
		"more states than can be followed":    {strings.Join(many, ",") + "," + handle(page, serve), "", tooLarge},
		"terminal":                            {`{"terminal":true,"handle":[{"handler":"headers"}]},` + handle(proxy), "", ""},
		"terminal for some":                   {`{"terminal":true,"match":[{"path":["/a"]}],"handle":[{"handler":"headers"}]},` + handle(proxy), "", byPath},
		"terminal in a subroute":              {handle(`{"handler":"subroute","routes":[{"terminal":true}]}`, proxy), "", ""},
		"a group that is satisfied":           {`{"group":"g","handle":[` + page + `]},{"group":"g","handle":[` + proxy + `]},` + handle(serve), "", ""},
		"a group of the primary routes":       {`{"group":"g","handle":[` + page + `]},` + handle(serve), `"routes":[{"group":"g","handle":[` + respond + `]}]`, file},
		"a group of their named routes":       {`{"group":"g","handle":[` + page + `]},` + handle(serve), `"routes":[` + handle(`{"handler":"invoke","name":"r"}`) + `],"named_routes":{"r":{"group":"g"}}`, file},
		"a group used up behind an intercept": {handle(`{"handler":"intercept","handle_response":[{"routes":[{"group":"g","handle":[`+page+`]},`+handle(serve)+`]}]}`) + `,{"group":"g","handle":[` + respond + `]}`, "", file},
		"a matcher set without matchers":      {`{"match":[{}],"handle":[` + page + `]},` + handle(serve), "", ""},
		"one of two matcher sets":             {`{"match":[{"path":["/a"]},{"host":["a.test"]}],"handle":[` + page + `]},` + handle(serve), "", ""},
		"two matchers in a set":               {`{"match":[{"path":["/a"],"host":["a.test"]}],"handle":[` + page + `]},` + handle(serve), "", file},
		"a host of a placeholder":             {`{"match":[{"host":["{http.request.header.A}"]}],"handle":[` + proxy + `]}`, "", byPath},
		"a host of the environment":           {`{"match":[{"host":["{env.NONE}"]}],"handle":[` + proxy + `]}`, "", ""},
		"not a host":                          {`{"match":[{"not":[{"host":["a.test"]}]}],"handle":[` + proxy + `]}`, "", byPath},
		"one page or another":                 {`{"match":[{"file":{"try_files":["/a.html"]}},{"file":{"try_files":["/b.html"]}}],"handle":[{"handler":"rewrite","uri":"{http.matchers.file.relative}"},` + serve + `]}`, "", ""},
		"a page or a path":                    {`{"match":[{"file":{"try_files":["/a.html"]}},{"path":["/b"]}],"handle":[{"handler":"rewrite","uri":"{http.matchers.file.relative}"},` + serve + `]}`, "", file},
		"files by the path":                   {`{"match":[{"file":{}}],"handle":[{"handler":"rewrite","uri":"{http.matchers.file.relative}"},` + serve + `]}`, "", file},
		"a query for a found page":            {`{"match":[{"file":{"try_files":["/a.html"]}}],"handle":[{"handler":"rewrite","method":"GET","uri":"{http.matchers.file.relative}?"},` + proxy + `]}`, "", ""},
		"an expression that calls":            {`{"match":[{"expression":"{http.error.status_code} == 404 && size(string({http.error.id})) > 0"}],"handle":[` + proxy + `]}`, "", ""},
		"an expression that calls a matcher":  {`{"match":[{"expression":"{http.error.status_code} == 404 && path('/a')"}],"handle":[` + proxy + `]}`, "", byPath},
		"an expression with escapes":          {`{"match":[{"expression":"{http.error.status_code} == 404 && '\\x61' == 'b'"}],"handle":[` + proxy + `]}`, "", byPath},
		"an escaped brace":                    {handle(`{"handler":"rewrite","uri":"/\\{http.error.id}"}`, serve), "", file},
		"a brace that is not closed":          {handle(`{"handler":"rewrite","uri":"/{http.error.id"}`, serve), "", file},
		"a fragment in front of the query":    {handle(`{"handler":"rewrite","method":"GET","uri":"/a#?"}`, proxy), "", "reverse_proxy with the request's own query"},
		"a root that is no text":              {handle(`{"handler":"vars","root":7}`, page, `{"handler":"file_server"}`), "", "file_server with a root that the request chooses"},
		"a root that is a list, twice":        {handle(`{"handler":"vars","root":[]}`, `{"handler":"vars","root":[]}`, page, `{"handler":"file_server"}`), "", "file_server with a root that the request chooses"},
		"the client's address, overridden":    {handle(`{"handler":"vars","client_ip":"{http.request.orig_uri}"}`, `{"handler":"rewrite","method":"GET","uri":"/a?"}`, `{"handler":"reverse_proxy","upstreams":[{"dial":"pages:80"}],"headers":{"request":{"set":{"A":["{http.vars.client_ip}"]}}}}`), "", "reverse_proxy with a header that may hold the request's own path"},
		"handle_response in another one": {handle(`{"handler":"rewrite","method":"GET","uri":"/a?"}`, `{"handler":"reverse_proxy","upstreams":[{"dial":"pages:80"}],"handle_response":[{"routes":[`+
			handle(`{"handler":"rewrite","uri":"{http.request.orig_uri}"}`, proxy)+`]}]}`), "", byPath},
		"103": {handle(`{"handler":"static_response","status_code":"+103"}`, proxy), "", byPath},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			more := c.more
			if more != "" {
				more = "," + more
			}
			server := serverOfJSON(t, `{"listen":[":80"],"automatic_https":{"disable":true},"errors":{"routes":[`+c.errors+`]}`+more+`}`)
			got := judge(t, server, "a.test", 401)
			if got.Safe != (c.unsafe == "") || got.Unsafe != c.unsafe {
				t.Errorf("%+v, want %q", got, c.unsafe)
			}
		})
	}
}

func TestJudgeTellsWhetherRoutesAnswer(t *testing.T) {
	t.Parallel()
	server := serverOfCaddyfile(t, "http://a.test {\nrespond ok\nhandle_errors 404 {\nrespond x\n}\n}\nhttp://b.test {\nrespond ok\n}")
	for _, c := range []struct {
		host    string
		status  int
		answers bool
	}{{"a.test", 404, true}, {"a.test", 401, false}, {"b.test", 404, false}} {
		if got := judge(t, server, c.host, c.status); got.Answers != c.answers || !got.Safe {
			t.Errorf("%s, %d: %+v", c.host, c.status, got)
		}
	}
}

func TestRoutesThatAreNotProvisionedAreUnsafe(t *testing.T) {
	t.Parallel()
	server := &caddyhttp.Server{Errors: &caddyhttp.HTTPErrorConfig{Routes: caddyhttp.RouteList{
		{HandlersRaw: []json.RawMessage{json.RawMessage(`{"handler":"static_response"}`)}},
	}}}
	if got := judge(t, server, "a.test", 401); got.Safe || got.Unsafe != "a route that is not provisioned" {
		t.Errorf("%+v", got)
	}
}

// TestHandleResponseIsJudged judges the routes of an intercept, as in front of jwt.
func TestHandleResponseIsJudged(t *testing.T) {
	t.Parallel()
	for text, safe := range map[string]bool{
		"rewrite * /{resp.status_code}.html\nfile_server": true,
		"respond x":   true,
		"file_server": false,
		"root * /srv{path}\nrewrite * /401.html\nfile_server": false,
	} {
		server := serverOfCaddyfile(t, "http://a.test {\nintercept {\nhandle_response {\n"+text+"\n}\n}\n}")
		eachRoute(server.Routes, func(route *caddyhttp.Route) {
			for _, h := range route.Handlers {
				for _, list := range interceptsOf(h) {
					r := refused(server, httptest.NewRequest("GET", "http://a.test/guarded", nil), httptest.NewRecorder(), 401)
					if got := Judge(server, list, r); got.Safe != safe {
						t.Errorf("%s: %+v", text, got)
					}
				}
			}
		})
	}
}

func TestATypeIsOursByItsPackage(t *testing.T) {
	t.Parallel()
	if !isOurs(typeName(new(testGuard))) || isOurs(typeName(new(fileserver.FileServer))) || isOurs(ourModule+"-fork.Handler") {
		t.Error("types are taken for ours by something else")
	}
}

// classes are Caddy's handlers as the walk takes them. A handler that is new in Caddy
// must be read and put in here before it can be anything but unsafe.
var classes = map[string]string{
	"acme_server":           "never safe",
	"authentication":        "passes on, with providers of Caddy's",
	"copy_response":         "ends",
	"copy_response_headers": "passes on",
	"encode":                "passes on",
	"error":                 "ends",
	"file_server":           "ends if the path is fixed",
	"headers":               "passes on",
	"intercept":             "walked, and passes on",
	"invoke":                "walked",
	"log_append":            "passes on",
	"map":                   "passes on",
	"metrics":               "never safe",
	"push":                  "passes on",
	"request_body":          "passes on",
	"reverse_proxy":         "ends if the path is fixed",
	"rewrite":               "fixes or opens",
	"static_response":       "ends",
	"subroute":              "walked",
	"templates":             "passes on",
	"timeouts":              "passes on",
	"tracing":               "passes on",
	"vars":                  "passes on",
}

func TestAllHandlersOfCaddyHaveAClass(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, m := range caddy.GetModules("http.handlers") {
		name := m.ID.Name()
		if strings.HasPrefix(name, "test_") {
			continue
		}
		ids = append(ids, name)
		class, ok := classes[name]
		if !ok {
			t.Errorf("%s is new: read it, and give it a class", m.ID)
			continue
		}
		h, ok := m.New().(caddyhttp.MiddlewareHandler)
		if !ok {
			t.Fatalf("%T is no handler", m.New())
		}
		// An empty one, for a request whose path is open.
		server := &caddyhttp.Server{Errors: new(caddyhttp.HTTPErrorConfig)}
		w := &walk{server: server, request: refused(server, httptest.NewRequest("GET", "/x", nil), httptest.NewRecorder(), 401)}
		out := w.handler(h, state{own: true, host: true})
		passes := strings.Contains(class, "passes") || class == "walked" && name != "invoke" || class == "fixes or opens"
		unsafe := class == "never safe" || class == "ends if the path is fixed"
		if (len(out) == 1) != passes || (w.unsafe != "") != unsafe {
			t.Errorf("%s %s: %d states, %q", name, class, len(out), w.unsafe)
		}
	}
	if len(ids) != len(classes) {
		slices.Sort(ids)
		t.Errorf("Caddy has %v", ids)
	}
}

// TestTheNamesOfTypesAreCaddys shows that the names of types are Caddy's: one that was
// renamed would be unsafe, and one that is not there could become another plugin's.
func TestTheNamesOfTypesAreCaddys(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, namespace := range []string{"http.handlers", "http.matchers"} {
		for _, m := range caddy.GetModules(namespace) {
			found[typeName(m.New())] = true
		}
	}
	for _, names := range []map[string]bool{passing, quietMatchers} {
		for name := range names {
			if !found[name] {
				t.Errorf("Caddy has no %s", name)
			}
		}
	}
}
