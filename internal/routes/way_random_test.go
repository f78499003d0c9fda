package routes

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"

	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(testMet{})
	caddy.RegisterModule(testStray{})
}

// testMet is a handler that is looked for. It notes the requests that come to it, and
// refuses those that say so.
type testMet struct {
	Name string `json:"name,omitempty"`
}

func (testMet) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_met", New: func() caddy.Module { return new(testMet) }}
}

func (m *testMet) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	log := r.Context().Value(metLog{}).(*metNames)
	log.names = append(log.names, m.Name)
	if !m.meet(r) {
		log.refused = true
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	return next.ServeHTTP(w, r)
}

// meet changes the request, and reports whether it goes on.
func (m *testMet) meet(r *http.Request) bool {
	r.Header.Set("X-Met", m.Name)
	return !strings.Contains(r.Header.Get("X-Refuse"), m.Name+";")
}

type metLog struct{}

type metNames struct {
	names   []string
	refused bool
}

// testStray stands for another plugin's handler, that does what it wants.
type testStray struct{}

func (testStray) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_stray", New: func() caddy.Module { return new(testStray) }}
}

func (*testStray) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	switch r.Header.Get("X-Stray") {
	case "answer":
		w.WriteHeader(http.StatusTeapot)
		return nil
	case "rewrite":
		r.URL.Path, r.Method = "/b", http.MethodPost
	}
	return next.ServeHTTP(w, r)
}

// metGuide notes where it comes to.
type metGuide struct{ at []string }

func (*metGuide) Wants(h caddyhttp.MiddlewareHandler) bool { _, ok := h.(*testMet); return ok }

func (g *metGuide) Meet(h caddyhttp.MiddlewareHandler, r *http.Request, at string) bool {
	g.at = append(g.at, at)
	return h.(*testMet).meet(r)
}

// wayGenerator makes routes with handlers that are looked for among Caddy's.
type wayGenerator struct {
	generator
	count int
	stray bool
}

func (g *wayGenerator) list(depth int) string {
	list := make([]string, 1+g.IntN(3))
	for i := range list {
		list[i] = g.one(depth)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func (g *wayGenerator) one(depth int) string {
	var fields []string
	if g.chance(45) {
		sets := []string{g.set()}
		if g.chance(15) {
			sets = append(sets, g.set())
		}
		fields = append(fields, `"match":[`+strings.Join(sets, ",")+`]`)
	}
	if g.chance(25) {
		fields = append(fields, fmt.Sprintf(`"group":"g%d"`, g.IntN(2)))
	}
	if g.chance(15) {
		fields = append(fields, `"terminal":true`)
	}
	handlers := make([]string, 1+g.IntN(3))
	for i := range handlers {
		handlers[i] = g.handle(depth)
	}
	return "{" + strings.Join(append(fields, `"handle":[`+strings.Join(handlers, ",")+`]`), ",") + "}"
}

func (g *wayGenerator) set() string {
	set := "{" + g.pick(
		`"host":["a.test"]`, `"path":["/a*"]`, `"path":["/a*","/b*"]`, `"path":["/b*"]`, `"method":["POST"]`, `"method":["GET"]`, `"query":{"q":["1"]}`, `"header":{"X-P":["*"]}`,
		`"header":{"X-Met":["*"]}`, `"path_regexp":{"name":"re","pattern":"^/(.)"}`, `"expression":"{http.request.method} == 'GET'"`, `"expression":"int({http.request.header.X-P}) == 1"`,
		`"vars":{"v":["b"]}`, `"expression":"{x.m} == 'one'"`, `"not":[{"path":["/a*"]}]`, `"remote_ip":{"ranges":["192.0.2.0/24"]}`, `"expression":"{http.error.status_code} == 404"`,
		`"expression":"path('/a*') && method('GET')"`, `"client_ip":{"ranges":["192.0.2.0/24"]}`, `"file":{"root":"/nowhere"}`,
	)
	if g.chance(20) {
		set += `,"protocol":"http"`
	}
	return set + "}"
}

func (g *wayGenerator) handle(depth int) string {
	switch n := g.IntN(100); {
	case n < 34:
		g.count++
		return fmt.Sprintf(`{"handler":"test_met","name":"%d"}`, g.count)
	case n < 50 && depth > 0:
		sub := `{"handler":"subroute","routes":` + g.list(depth-1)
		if g.chance(40) {
			sub += `,"errors":{"routes":` + g.list(depth-1) + `}`
		}
		return sub + "}"
	case n < 55 && g.named > 0:
		return fmt.Sprintf(`{"handler":"invoke","name":"%s"}`, g.pick([]string{"r/0", "none", "r~1", "r~1"}[:2*g.named]...))
	case n < 62:
		return `{"handler":"rewrite",` + g.pick(`"uri":"/b"`, `"uri":"/a?q=1"`, `"method":"POST"`, `"strip_path_prefix":"/a"`, `"uri":"/{http.regexp.re.1}x"`) + `}`
	case n < 66:
		return `{"handler":"vars","v":"` + g.pick("b", "{http.request.method}") + `"}`
	case n < 70:
		return `{"handler":"headers",` + g.pick(`"request":{"set":{"X-P":["1"]}}`, `"request":{"delete":["X-P"]}`, `"response":{"deferred":true,"set":{"X-R":["1"]}}`, `"response":{"set":{"X-R":["1"]}}`) + `}`
	case n < 73:
		return `{"handler":"map","source":"{http.request.uri.path}","destinations":["{x.m}"],"mappings":[{"input":"/a","outputs":["one"]}],"defaults":["other"]}`
	case n < 78 && depth > 0:
		return `{"handler":"intercept","handle_response":[{"match":` + g.pick(`{"status_code":[4]}`, `{"headers":{"X-R":["1"]}}`, `{"status_code":[200]}`) + `,"routes":` + g.list(depth-1) + `}]}`
	case n < 83:
		return `{"handler":"error","error":"no","status_code":"` + g.pick("404", "{http.vars.status}", "403") + `"}`
	case n < 88:
		return `{"handler":"static_response","status_code":"` + g.pick("200", "404", "103", "{http.vars.status}", "") + `","body":"x","headers":{"X-R":["` + g.pick("1", "2") + `"]}}`
	case n < 90:
		return `{"handler":"file_server","root":"/nowhere","pass_thru":true}`
	case n < 93 && g.stray:
		return `{"handler":"test_stray"}`
	}
	return g.pick(`{"handler":"encode"}`, `{"handler":"request_body","max_size":10}`, `{"handler":"log_append","key":"k","value":"v"}`)
}

func (g *wayGenerator) server(port int) string {
	g.named, g.count = 0, 0
	named := `"r/0":` + g.one(1)
	g.named = 1
	named += `,"r~1":` + g.one(1)
	g.named = 2
	return fmt.Sprintf(`{"listen":[":%d"],"automatic_https":{"disable":true},"routes":%s,"errors":{"routes":%s},"named_routes":{%s}}`, port, g.list(3), g.list(2), named)
}

func (g *wayGenerator) request() *http.Request {
	r := httptest.NewRequest(g.pick("GET", "GET", "POST"), g.pick("/a", "/b", "/ab?q=1", "/"), nil)
	r.Host = g.pick("a.test", "b.test")
	if g.chance(30) {
		r.Header.Set("X-P", g.pick("1", "x"))
	}
	for i := range g.count {
		if g.chance(8) {
			r.Header.Set("X-Refuse", r.Header.Get("X-Refuse")+strconv.Itoa(i+1)+";")
		}
	}
	r.Header.Set("X-Stray", g.pick("", "answer", "rewrite"))
	return r
}

// at resolves a JSON pointer (RFC 6901).
func at(t testing.TB, config []byte, pointer string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(config, &value); err != nil {
		t.Fatal(err)
	}
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				t.Fatalf("no %s in %s", step, pointer)
			}
			value = v[i]
		}
	}
	return value
}

// failing is a response that fails as that of net/http.
type failing struct{ paper }

func (f *failing) WriteHeader(status int) {
	if status == 0 && f.status == 0 {
		panic(errNoStatus)
	}
	f.paper.WriteHeader(status)
}

var errNoStatus = errors.New("invalid WriteHeader code 0")

// serveReally serves a request by Caddy's server, and returns the handlers that it came to,
// up to the first that refused it, and the status.
func serveReally(server *caddyhttp.Server, r *http.Request) (names []string, status int, refused bool) {
	log := new(metNames)
	w := &failing{paper{header: http.Header{}}}
	func() {
		// Caddy's intercept panics where nothing has answered behind it.
		defer func() {
			if p := recover(); p != nil && p != errNoStatus {
				panic(p)
			}
		}()
		server.ServeHTTP(w, caddyRequest(r, log))
	}()
	names, status, refused = log.names, w.status, log.refused
	for i, name := range names {
		if strings.Contains(r.Header.Get("X-Refuse"), name+";") {
			names = names[:i+1]
			break
		}
	}
	return names, status, refused
}

// waySeed is JWT_PAGE_SEED, or 1, and how many lists are tried.
func waySeed(t *testing.T) (seed uint64, lists int) {
	t.Helper()
	seed, lists = 1, 300
	if os.Getenv("JWT_PAGE_LONG") != "" {
		seed, lists = rand.Uint64(), 6000
	}
	if s := os.Getenv("JWT_PAGE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return seed, lists
}

// TestWaysAreThoseOfCaddy takes random requests through random routes, and serves them by
// Caddy: they must come to the same handlers in the same order, whose places in the config
// are right, and have the same status.
func TestWaysAreThoseOfCaddy(t *testing.T) {
	t.Parallel()
	seed, lists := waySeed(t)
	g := &wayGenerator{generator: generator{Rand: rand.New(rand.NewPCG(seed, 7))}}
	var met, several, refusals, statuses int
	eachServer(t, g, lists, func(config []byte, server *caddyhttp.Server) {
		for range 6 {
			r := g.request()
			names, status, refused := serveReally(server, r)
			ways, guides := followed(server, r)
			where := fmt.Sprintf("seed %d: %s %s host %s %v\n%s", seed, r.Method, r.RequestURI, r.Host, r.Header, config)
			if len(ways) != 1 || len(ways[0].Doubts) > 0 || ways[0].Refused != refused {
				t.Fatalf("%d ways, %+v, refused %t\n%s", len(ways), ways[0], refused, where)
			}
			var got []string
			for _, pointer := range guides[0].at {
				handler, _ := at(t, config, pointer).(map[string]any)
				got = append(got, fmt.Sprint(handler["name"]))
			}
			if !slices.Equal(got, names) {
				t.Fatalf("the walk comes to %v (%v), the request to %v\n%s", got, guides[0].at, names, where)
			}
			if !refused && ways[0].Answer != "" && ways[0].Status != 0 && status != 0 {
				if statuses++; ways[0].Status != status {
					t.Fatalf("status %d by %s, really %d\n%s", ways[0].Status, ways[0].Answer, status, where)
				}
			}
			met += min(len(names), 1)
			if len(names) > 1 {
				several++
			}
			if refused {
				refusals++
			}
		}
	})
	t.Logf("seed %d: %d met a handler, %d several, %d were refused, %d had a status", seed, met, several, refusals, statuses)
	if met < lists || several < lists/2 || refusals < lists/8 || statuses < lists/2 {
		t.Error("hardly any request comes to a handler: the test shows nothing")
	}
}

// TestUnknownHandlersHideNothing takes random requests past handlers that may send them
// anywhere: each handler that the request really comes to must be on one of the ways.
func TestUnknownHandlersHideNothing(t *testing.T) {
	t.Parallel()
	seed, lists := waySeed(t)
	g := &wayGenerator{generator: generator{Rand: rand.New(rand.NewPCG(seed, 8))}, stray: true}
	doubtful, elsewhere := 0, 0
	eachServer(t, g, lists, func(config []byte, server *caddyhttp.Server) {
		for range 6 {
			r := g.request()
			names, _, _ := serveReally(server, r)
			ways, guides := followed(server, r)
			if len(ways[0].Doubts) == 0 {
				continue
			}
			doubtful++
			all := map[string]bool{}
			for i, guide := range guides {
				for _, pointer := range guide.at {
					handler, _ := at(t, config, pointer).(map[string]any)
					if name := fmt.Sprint(handler["name"]); !all[name] {
						all[name] = true
						if i > 0 && slices.Contains(names, name) {
							elsewhere++
						}
					}
				}
			}
			for _, name := range names {
				if !all[name] {
					t.Fatalf("seed %d: %v is none of %v\n%s %s %v\n%s", seed, name, all, r.Method, r.RequestURI, r.Header, config)
				}
			}
		}
	})
	t.Logf("seed %d: %d ways in doubt, %d came to another handler than expected", seed, doubtful, elsewhere)
	if doubtful < lists/10 || elsewhere == 0 {
		t.Error("hardly any way is in doubt: the test shows nothing")
	}
}
