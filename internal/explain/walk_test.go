package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

func init() {
	caddy.RegisterModule(fakeJWT{})
	caddy.RegisterModule(fakeOther{})
	caddy.RegisterModule(fakeMatcher{})
	httpcaddyfile.RegisterHandlerDirective("fake_jwt", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		f := new(fakeJWT)
		h.Next()
		h.Args(&f.Name, &f.Does)
		return f, nil
	})
	httpcaddyfile.RegisterHandlerDirective("fake_other", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(fakeOther), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("fake_other", httpcaddyfile.Before, "respond")
	httpcaddyfile.RegisterDirectiveOrder("fake_jwt", httpcaddyfile.Before, "respond")
}

// fakeJWT stands for a jwt handler. What it makes of requests is its verdict.
type fakeJWT struct {
	Name string `json:"name,omitempty"`
	Does string `json:"does,omitempty"`
}

func (fakeJWT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.fake_jwt", New: func() caddy.Module { return new(fakeJWT) }}
}

func (*fakeJWT) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	panic("served to explain a request")
}

func (*fakeJWT) CleanURI(uri string) string { return strings.Replace(uri, "key=secret", "", 1) }

func (f *fakeJWT) ExplainRequest(_ context.Context, r *http.Request, _ *Question) Handler {
	r.Header.Set("X-Passed", f.Name)
	h := Handler{User: f.Name, Verdict: Verdict(f.Does)}
	if f.Does == "" {
		h.Verdict = Accepted
	}
	if h.Verdict == Refused {
		h.Reason, h.Status, h.Detail = reason.MissingCredentials, http.StatusUnauthorized, "by "+f.Name
	}
	return h
}

// fakeOther stands for another plugin's handler, which must not be called.
type fakeOther struct{}

func (fakeOther) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.fake_other", New: func() caddy.Module { return new(fakeOther) }}
}

func (*fakeOther) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	panic("served to explain a request")
}

// fakeMatcher stands for another plugin's matcher, which must not be called.
type fakeMatcher struct{}

func (fakeMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.fake_matcher", New: func() caddy.Module { return new(fakeMatcher) }}
}

func (*fakeMatcher) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (*fakeMatcher) MatchWithError(*http.Request) (bool, error) {
	panic("asked to explain a request")
}

// provisioning is done by one test at a time: it touches Caddy's globals.
var provisioning sync.Mutex

// serversOf adapts a Caddyfile and provisions it.
func serversOf(t *testing.T, text string) (config []byte, servers map[string]*caddyhttp.Server) {
	t.Helper()
	provisioning.Lock()
	defer provisioning.Unlock()
	options := "\tadmin off\n\tauto_https disable_certs\n\tstorage file_system " + t.TempDir() + "\n\tlog {\n\t\toutput discard\n\t}\n"
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+options+"}\n"+text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(config, cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	return config, app.(*caddyhttp.App).Servers
}

// nameAt is the name of the fake handler at a JSON pointer (RFC 6901) in a config.
func nameAt(t *testing.T, config []byte, pointer string) string {
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
				t.Fatalf("no %s of %s in %s", step, pointer, config)
			}
			value = v[i]
		}
	}
	handler, _ := value.(map[string]any)
	if handler["handler"] != "fake_jwt" {
		t.Fatalf("%s is no jwt handler in %s", pointer, config)
	}
	return fmt.Sprint(handler["name"])
}

const twoSites = `
api.example.com {
	@admin path /admin*
	handle /v1/* {
		route {
			fake_jwt first
			uri strip_prefix /v1
			fake_jwt @admin second refused
			respond "served"
		}
	}
	handle /public* {
		respond "public"
	}
	handle {
		route {
			fake_jwt third anonymous
			error 404
		}
	}
	handle_errors {
		fake_jwt late
		respond "sorry"
	}
}

*.example.org, example.org {
	fake_jwt org
	respond "org"
}

http://plain.example.com:8080 {
	@post method POST
	fake_jwt @post plain
	respond "plain"
}
`

func TestWalk(t *testing.T) {
	t.Parallel()
	config, servers := serversOf(t, twoSites)
	for name, c := range map[string]struct {
		q       Question
		verdict Verdict
		way     string // names and places
		host    string
		note    string
	}{
		"a whole URL":                    {Question{URI: "https://api.example.com/v1/x"}, Accepted, "first 1/4", "api.example.com", ""},
		"two in a chain, behind rewrite": {Question{URI: "https://api.example.com/v1/admin"}, Refused, "first 1/4, second 2/4", "api.example.com", ""},
		"a way without jwt":              {Question{URI: "https://api.example.com/public"}, Unprotected, "", "api.example.com", "static_response at /apps/http/servers/"},
		"error routes":                   {Question{URI: "https://api.example.com/"}, Accepted, "third 3/4, late 4/4", "api.example.com", ""},
		"the redirect to HTTPS":          {Question{URI: "http://api.example.com/v1/x"}, Unprotected, "", "api.example.com", "with the status 308"},
		"a site by its host":             {Question{Site: "api.example.com", URI: "/v1/x"}, Accepted, "first 1/4", "api.example.com", ""},
		"a site as a Caddyfile has it":   {Question{Site: "https://api.example.com", URI: "/v1/x"}, Accepted, "first 1/4", "api.example.com", ""},
		"a site by a wildcard":           {Question{Site: "a.example.org"}, Accepted, "org 1/1", "a.example.org", ""},
		"a site by its words":            {Question{Site: "*.example.org example.org"}, Accepted, "org 1/1", "x.example.org", ""},
		"a site by its port":             {Question{Site: ":8080", Method: "post"}, Accepted, "plain 1/1", "plain.example.com:8080", ""},
		"the method decides":             {Question{Site: ":8080"}, Unprotected, "", "plain.example.com:8080", "static_response"},
		"the header Host":                {Question{URI: "/v1/x", Header: http.Header{"host": {"api.example.com"}}}, Accepted, "first 1/4", "api.example.com", ""},
		"a host of no site":              {Question{URI: "https://else.example.com/"}, Unprotected, "", "else.example.com", "no site has the host else.example.com; those with jwt are api.example.com; "},
		"several, as there is no such":   {Question{Site: "api.exmaple.com", URI: "/v1/x"}, Unprotected, "", "api.exmaple.com", "no site is called api.exmaple.com; those with jwt are api.example.com; "},
		"a port where nobody listens":    {Question{URI: "https://api.example.com:9999/v1/x"}, Accepted, "first 1/4", "api.example.com", "no server listens at the port 9999"},
		"several sites":                  {Question{URI: "/v1/x", Method: "POST"}, Accepted, "first 1/4, org 1/1, plain 1/1", "api.example.com", "name one of them"},
		"several sites that differ":      {Question{URI: "/v1/admin", Method: "POST"}, Undecided, "first 1/4, second 2/4, org 1/1, plain 1/1", "api.example.com", "differ in what becomes of it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Walk(t.Context(), servers, &c.q)
			if err != nil {
				t.Fatal(err)
			}
			var way []string
			for _, h := range report.Handlers {
				way = append(way, fmt.Sprintf("%s %d/%d", h.User, h.Place, h.Of))
				if got := nameAt(t, config, h.Pointer); got != h.User {
					t.Errorf("%s is %s, not %s", h.Pointer, got, h.User)
				}
			}
			notes := strings.Join(report.Notes, "\n")
			if got := strings.Join(way, ", "); report.Verdict != c.verdict || got != c.way || report.Request.Host != c.host {
				t.Errorf("%s: %s at %s, want %s: %s at %s\n%s", report.Verdict, got, report.Request.Host, c.verdict, c.way, c.host, notes)
			}
			if !strings.Contains(notes, c.note) || c.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
			if several := strings.HasPrefix(name, "several"); report.Certain == several {
				t.Errorf("certain: %t", report.Certain)
			}
			if report.Verdict == Refused && (report.Reason != reason.MissingCredentials || report.Status != 401 || report.Detail != "by second") {
				t.Errorf("%+v", report)
			}
		})
	}
}

// A matcher may look for the credential before a handler does that would say where it belongs.
func TestWalkByTheHeaderOfTheCredential(t *testing.T) {
	t.Parallel()
	_, servers := serversOf(t, `
has.example.com {
	@has header Authorization *
	fake_jwt @has first
}
key.example.com {
	@has header X-API-Key k*
	fake_jwt @has first
	fake_jwt second
}
not.example.com {
	@not header !Authorization
	fake_jwt @not first
}
`)
	for name, c := range map[string]struct {
		q       Question
		verdict Verdict
		way     string
		certain bool
	}{
		"a token":                  {Question{Site: "has.example.com", Credential: "a.b.c"}, Accepted, "first", true},
		"no token":                 {Question{Site: "has.example.com"}, Unprotected, "", true},
		"an API key":               {Question{Site: "has.example.com", Credential: "key"}, Unprotected, "", true},
		"an API key that matches":  {Question{Site: "key.example.com", Credential: "key"}, Accepted, "first second", true},
		"another":                  {Question{Site: "key.example.com", Credential: "other"}, Accepted, "second", true},
		"headers of the question":  {Question{Site: "has.example.com", Credential: "a.b.c", Header: http.Header{"Cookie": {"a=b"}}}, Unprotected, "", true},
		"where there must be none": {Question{Site: "not.example.com", Credential: "a.b.c"}, Accepted, "first", false},
		"where there is none":      {Question{Site: "not.example.com"}, Accepted, "first", true},
	} {
		r, err := Walk(t.Context(), servers, &c.q)
		if err != nil {
			t.Fatal(err)
		}
		var way []string
		for _, h := range r.Handlers {
			way = append(way, h.User)
		}
		if r.Verdict != c.verdict || strings.Join(way, " ") != c.way || r.Certain != c.certain {
			t.Errorf("%s: %s by %q, certain %v, %q; want %s by %s, %v", name, r.Verdict, way, r.Certain, r.Notes, c.verdict, c.way, c.certain)
		}
	}
}

func TestWalkPastOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		site    string
		verdict Verdict
		way     []string
		over    string
		certain bool
	}{
		"what changes nothing":        {"encode gzip\nfake_jwt a\nrespond ok", Accepted, []string{"a"}, "encode", true},
		"what asks for a password":    {"basic_auth {\n bob $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\nfake_jwt a\nrespond ok", Accepted, []string{"a"}, "authentication", true},
		"forward_auth":                {"forward_auth localhost:1 {\n uri /auth\n copy_headers X-User\n}\nfake_jwt a\nrespond ok", Accepted, []string{"a"}, "reverse_proxy with handle_response (forward_auth)", false},
		"reverse_proxy answers":       {"route {\n reverse_proxy localhost:1\n fake_jwt a\n}", Unprotected, nil, "", true},
		"a plugin, all alike":         {"route {\n fake_other\n fake_jwt a refused\n}", Refused, []string{"a"}, "fake_other", false},
		"a plugin, others may be met": {"route {\n fake_other\n fake_jwt /x* a\n fake_jwt /y* b refused\n}", Undecided, []string{"a", "b"}, "fake_other", false},
		"a plugin behind jwt":         {"route {\n fake_jwt a\n fake_other\n}", Accepted, []string{"a"}, "fake_other", false},
		"a matcher of a plugin":       {"@m fake_matcher\nroute {\n fake_jwt @m a\n fake_jwt b\n}", Accepted, []string{"a", "b"}, "the matcher fake_matcher", false},
		"a matcher that decides":      {"@m fake_matcher\nroute {\n respond @m ok\n fake_jwt b\n}", Undecided, []string{"b"}, "the matcher fake_matcher", false},
		"undecided once":              {"route {\n fake_jwt a undecided\n fake_jwt b\n}", Undecided, []string{"a", "b"}, "", true},
		"refused all the same":        {"route {\n fake_jwt a undecided\n fake_jwt b refused\n}", Refused, []string{"a", "b"}, "", true},
		"refused at once":             {"route {\n fake_jwt a refused\n fake_jwt b\n}", Refused, []string{"a"}, "", true},
		"an identity stays":           {"route {\n fake_jwt a\n fake_jwt b anonymous\n}", Accepted, []string{"a", "b"}, "", true},
		"anonymous":                   {"route {\n fake_jwt a anonymous\n}", Anonymous, []string{"a"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, servers := serversOf(t, "http://localhost:8080 {\n"+c.site+"\n}")
			report, err := Walk(t.Context(), servers, &Question{URI: "/x?key=secret&token=eyJhbGciOiJub25lIn0&c=opaque%2Dkey&d=1", Credential: "opaque-key"})
			if err != nil {
				t.Fatal(err)
			}
			var way []string
			for _, h := range report.Handlers {
				way = append(way, h.User)
			}
			if report.Verdict != c.verdict || !slices.Equal(way, c.way) || strings.Join(report.Over, ", ") != c.over || report.Certain != c.certain {
				t.Errorf("%s by %v, over %v, certain %t, want %s by %v, over %s, certain %t\n%v", report.Verdict, way, report.Over, report.Certain, c.verdict, c.way, c.over, c.certain, report.Notes)
			}
			if want := (Request{Method: "GET", Host: "localhost:8080", URI: "/x?&token=hidden&c=hidden&d=1"}); len(c.way) > 0 && report.Request != want {
				t.Errorf("request %+v, want %+v", report.Request, want)
			}
		})
	}
}

// A credential is shown nowhere in a target, no matter who wrote it there.
func TestCredentialsInATargetAreHidden(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"/a/b?c=d&e":                        "/a/b?c=d&e",
		"/t/eyJhbGciOiJub25lIn0.e30.c2ln/x": "/t/hidden/x",
		"/t/%65yJhbGciOiJub25lIn0":          "/t/hidden",
		"/opaque-key":                       "/hidden",
		"/opaque-key?a=opaque-key":          "/hidden?a=hidden",
		"*":                                 "*",
	} {
		if got := hide(uri, "opaque-key"); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestQuestionsThatNoRequestIsMadeOf(t *testing.T) {
	t.Parallel()
	_, servers := serversOf(t, "http://localhost:8080 {\nfake_jwt a\n}")
	for want, q := range map[string]Question{
		"is no method":           {Method: "GET /"},
		"neither a path nor":     {URI: "orders"},
		"nor a URL":              {URI: "ftp://example.com/"},
		"is no name of a header": {Header: http.Header{"a b": {"1"}}},
		"no header can have":     {Header: http.Header{"X-A": {"1\r\nX-B: 2"}}},
		"is no address":          {Remote: "example.com"},
	} {
		if _, err := Walk(t.Context(), servers, &q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", q, err, want)
		}
	}
	if _, err := Walk(t.Context(), nil, &Question{}); err == nil {
		t.Error("no error without sites")
	}
}
