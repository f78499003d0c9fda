package routes

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator makes routes out of Caddy's own handlers. Weights are such that about
// half of what it makes is safe.
type generator struct {
	*rand.Rand
	dir      string // the directory of pages and guarded files
	upstream string
	named    int // how many named routes may be invoked
	groups   string
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// quote is a JSON string.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (g *generator) routes(depth int) string {
	list := make([]string, 1+g.IntN(3))
	for i := range list {
		list[i] = g.route(depth)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func (g *generator) route(depth int) string {
	var b strings.Builder
	b.WriteString("{")
	if g.chance(35) {
		fmt.Fprintf(&b, `"match":[%s`, g.matcherSet())
		if g.chance(15) {
			b.WriteString("," + g.matcherSet())
		}
		b.WriteString("],")
	}
	if g.chance(25) {
		fmt.Fprintf(&b, `"group":"%s%d",`, g.groups, g.IntN(2))
	}
	if g.chance(15) {
		b.WriteString(`"terminal":true,`)
	}
	handlers := make([]string, 1+g.IntN(3))
	for i := range handlers {
		handlers[i] = g.handler(depth)
	}
	fmt.Fprintf(&b, `"handle":[%s]}`, strings.Join(handlers, ","))
	return b.String()
}

func (g *generator) matcherSet() string {
	set := "{" + g.matcher()
	if g.chance(20) {
		set += `,"protocol":"http"`
	}
	return set + "}"
}

func (g *generator) matcher() string {
	return g.pick(
		`"host":["a.test"]`, `"host":["b.test"]`, `"host":["{http.request.header.X-P}"]`,
		`"path":["/guarded*"]`, `"path":["/a*","/4*"]`, `"method":["POST"]`, `"query":{"a":["*"]}`, `"header":{"X-P":["*"]}`,
		`"path_regexp":{"name":"re","pattern":"(.*)"}`,
		`"expression":"{http.error.status_code} == 401"`, `"expression":"{http.error.status_code} >= 400"`,
		`"expression":"{http.request.method} == 'POST'"`, `"expression":"file({http.request.orig_uri.path})"`,
		`"file":{"root":`+quote(g.dir+"/srv")+`,"try_files":["/{http.error.status_code}.html","/a.html"]}`,
		`"file":{"root":`+quote(g.dir+"/srv")+`,"try_files":["/a.html"],"try_policy":"first_exist_fallback"}`,
		`"file":{"root":`+quote(g.dir+"/srv")+`,"try_files":["{http.request.orig_uri.path}"]}`,
		`"file":{"try_files":["/b.html"]}`,
		`"not":[{"file":{"root":`+quote(g.dir+"/srv")+`,"try_files":["{http.request.header.X-P}"]}}]`,
		`"vars":{"p":["/guarded/401.html"]}`,
	)
}

// text is what a client has a say in, or not.
func (g *generator) text() string {
	return g.pick("{http.request.uri.path}", "{http.request.orig_uri}", "{http.request.orig_uri.path}", "{http.request.uri.query.a}",
		"{http.request.header.X-P}", "{http.vars.p}", "{http.regexp.re.1}", "{m}", "{http.error.message}", "a", "b.html", "{http.jwt.reason}")
}

func (g *generator) uri() string {
	if g.chance(60) {
		return g.pick("/401.html", "/{http.error.status_code}.html", "/{http.error.status_code}.html?", "/a.html?x=1", "/b.html?",
			"/{http.jwt.reason}.html?", "{http.matchers.file.relative}", "{http.matchers.file.relative}?", "/dir/?", "/{http.intercept.status_code}.html?")
	}
	return g.pick(g.text(), g.text()+"?", "?x=1", "/"+g.text(), "/b.html?{http.request.uri.query}", "/{time.now.year}", "/a.html#"+g.text(), "b.html")
}

func (g *generator) rewrite() string {
	fields := []string{`"uri":` + quote(g.uri())}
	if g.chance(50) {
		fields = append(fields, `"method":`+quote(g.pick("GET", "GET", "GET", "get", "POST", "{http.request.method}")))
	}
	if g.chance(12) {
		fields = append(fields, `"strip_path_prefix":`+quote(g.pick("/guarded", "/a", g.text())))
	}
	if g.chance(12) {
		fields = append(fields, `"strip_path_suffix":`+quote(g.pick(".html", "l", g.text())))
	}
	if g.chance(8) {
		fields = append(fields, `"uri_substring":[{"find":"html","replace":`+quote(g.text())+`}]`)
	}
	if g.chance(8) {
		fields = append(fields, `"path_regexp":[{"find":"^.*$","replace":`+quote(g.pick("/b.html", g.text()))+`}]`)
	}
	if g.chance(8) {
		fields = append(fields, `"query":{"set":[{"key":"a","val":`+quote(g.text())+`}]}`)
	}
	if g.chance(10) {
		fields[0] = `"uri":""`
	}
	return strings.Join(fields, ",")
}

func (g *generator) root() string {
	return g.pick(g.dir+"/srv", g.dir+"/srv", g.dir+"/srv", g.dir+"/{http.request.host}", g.dir+"/srv{http.request.header.X-Root}", "{http.vars.root}", "{http.vars.root}")
}

func (g *generator) handler(depth int) string {
	handler := func(name string, fields ...string) string {
		return `{` + strings.Join(append([]string{`"handler":"` + name + `"`}, fields...), ",") + `}`
	}
	switch n := g.IntN(100); {
	case n < 30:
		return handler("rewrite", g.rewrite())
	case n < 42:
		fields := []string{`"root":` + quote(g.root())}
		if g.chance(20) {
			fields = append(fields, `"pass_thru":true`)
		}
		if g.chance(15) {
			fields = append(fields, `"index_names":[`+quote(g.pick("index.html", g.text()))+`]`)
		}
		return handler("file_server", fields...)
	case n < 56:
		return handler("reverse_proxy", g.proxy(depth)...)
	case n < 66 && depth > 0:
		return handler("subroute", `"routes":`+g.routes(depth-1))
	case n < 70 && g.named > 0:
		return handler("invoke", fmt.Sprintf(`"name":"r%d"`, g.IntN(g.named)))
	case n < 76:
		return handler("static_response", `"body":`+quote(g.pick("page", "{http.request.header.X-T}", "{http.error.status_code}")),
			`"status_code":`+quote(g.pick("", "", "401", "103", "{http.vars.status}")))
	case n < 80 && depth > 0:
		return handler("intercept", `"handle_response":[{"routes":`+g.routes(depth-1)+`}]`)
	case n < 85:
		return handler("vars", quote(g.pick("root", "p", "p", "client_ip"))+":"+quote(g.pick(g.root(), g.text())))
	case n < 90:
		return handler("headers", `"request":{"set":{`+quote(g.pick("X-Set", "X-Set", "Host", "X-P"))+`:[`+quote(g.text())+`]}}`)
	case n < 92:
		return handler("map", `"source":"{http.request.orig_uri.path}"`, `"destinations":[`+quote(g.pick("{m}", "{m}", "{http.jwt.error}"))+`]`, `"defaults":["{http.request.orig_uri.path}"]`)
	case n < 94:
		return handler("templates", `"file_root":`+quote(g.dir+"/srv"))
	case n < 95:
		return handler("error", `"status_code":404`)
	}
	return g.pick(handler("encode"), handler("log_append", `"key":"a"`, `"value":"b"`), handler("request_body", `"max_size":1000`),
		handler("test_guard"), handler("test_guard", `"clear":true`), handler("copy_response"), handler("authentication"))
}

func (g *generator) proxy(depth int) []string {
	fields := []string{
		`"upstreams":[{"dial":` + quote(g.pick(g.upstream, g.upstream, g.upstream, "{http.request.header.X-Up}")) + `}]`,
		`"transport":{"protocol":"http","keep_alive":{"enabled":false}}`,
	}
	if g.chance(50) {
		fields = append(fields, `"rewrite":{`+g.rewrite()+`}`)
	}
	if g.chance(25) {
		fields = append(fields, `"headers":{"request":{"set":{"X-Set":[`+quote(g.pick("x", "{http.request.uri}", "{http.vars.client_ip}", g.text()))+`]}}}`)
	}
	if g.chance(25) && depth > 0 {
		fields = append(fields, `"handle_response":[{"match":{"status_code":[`+g.pick("2", "4", "5")+`]},"routes":`+g.routes(depth-1)+`}]`)
	}
	return fields
}

// server is a server as JSON: primary routes that change what they can, and error
// routes.
func (g *generator) server(port int) string {
	g.groups, g.named = "n", 0
	var named []string
	for i := range 2 {
		g.named = i
		named = append(named, fmt.Sprintf(`"r%d":%s`, i, g.route(1)))
	}
	g.named = 2
	primary := []string{
		`{"match":[{"path":["/never"]}],"handle":[{"handler":"vars","root":` + quote(g.dir+"/srv") + `}]}`,
		`{"handle":[{"handler":"vars","root":` + quote(g.pick(g.dir+"/srv", g.dir+"/srv", g.dir+"/srv", g.dir+"/srv{http.request.header.X-Root}")) + `}]}`,
	}
	if g.chance(20) {
		primary = append(primary, `{"group":"`+g.pick("e0", "n1")+`","handle":[{"handler":"headers"}]}`)
	}
	if g.chance(20) {
		primary = append(primary, `{"handle":[{"handler":"rewrite","uri":"/a.html","method":"GET"}]}`)
	}
	if g.chance(20) {
		primary = append(primary, `{"match":[{"file":{"root":`+quote(g.dir+"/srv")+`}}],"handle":[{"handler":"headers"}]}`)
	}
	g.groups = "e"
	errors := g.routes(2)
	if g.chance(60) { // else hardly any list makes a page
		fix := `{"handle":[{"handler":"rewrite","method":"GET","uri":` + quote(g.pick("/{http.error.status_code}.html?", "/a.html?x=1")) + `}]},`
		errors = "[" + fix + errors[1:]
	}
	return fmt.Sprintf(`{"listen":[":%d"],"automatic_https":{"disable":true},"routes":[%s],"errors":{"routes":%s},"named_routes":{%s}}`,
		port, strings.Join(primary, ","), errors, strings.Join(named, ","))
}
