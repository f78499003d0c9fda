package caddyjwt

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// forgedSpellings are the names under which a client can try to send X-User. Caddy
// passes on those with _ and . only if its options allow them.
var forgedSpellings = []string{"X-User", "x-user", "X-USER", "x-User", "X_User", "x_user", "X.User", "x.user", "X-uSeR", "X_USER", "X.USER"}

// forge adds identity headers in all spellings, Connection with their names, and
// trailers: declared ones, and others that come only at the end of the body.
func forge(r *http.Request) *http.Request {
	for _, name := range forgedSpellings {
		r.Header[name] = []string{"mallory", "again"}
	}
	r.Header["X-Role"] = []string{"admin"}
	r.Header["X_role"] = []string{"admin"}
	r.Header["Connection"] = []string{"keep-alive, X-User", "x-role , X_User,close", "X.User"}
	r.Header["X-Other"] = []string{"stays"}
	r.Trailer = http.Header{"X-User": nil, "X_role": nil, "X-Sum": nil, "Authorization": nil}
	r.Body = &trailing{Reader: strings.NewReader("some body"), trailer: r.Trailer}
	return r
}

// trailing is a body at whose end the trailers are set, as the server does.
type trailing struct {
	io.Reader
	trailer      http.Header
	noCredential bool
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		for _, name := range forgedSpellings {
			b.trailer[name] = []string{"mallory"}
		}
		b.trailer["X-Role"] = []string{"admin"}
		b.trailer["X-Sum"] = []string{"17"}
		if !b.noCredential {
			b.trailer["Authorization"] = []string{"Bearer forged"}
		}
	}
	return n, err
}

func (*trailing) Close() error { return nil }

// foldedName returns a header's name as upstreams compare it.
func foldedName(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// checkCleared checks that nothing is left of what forge has added.
func checkCleared(t *testing.T, r *http.Request, user, sum string) {
	t.Helper()
	for name, values := range r.Header {
		switch folded := foldedName(name); {
		case name == "X-User" && user != "" && len(values) == 1 && values[0] == user:
		case folded == "x-user", folded == "x-role":
			t.Errorf("%s: %q", name, values)
		}
	}
	if user != "" && r.Header.Get("X-User") != user {
		t.Errorf("X-User is %q, want %q", r.Header["X-User"], user)
	}
	if got := r.Header["Connection"]; !slices.Equal(got, []string{"keep-alive, close"}) {
		t.Errorf("Connection: %q", got)
	}
	if r.Header.Get("X-Other") != "stays" {
		t.Error("another header is gone")
	}
	declared := len(r.Trailer)
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "some body" || r.Body.Close() != nil {
		t.Errorf("the body is %q, %v", body, err)
	}
	if declared != 1 || len(r.Trailer) != 1 || r.Trailer.Get("X-Sum") != sum {
		t.Errorf("%d trailers, then %v", declared, r.Trailer)
	}
}

func TestThreat21_ClientsCanNotSendIdentityHeaders(t *testing.T) {
	t.Parallel()
	const options = "forward user X-User\nclear X-Role\n"
	good := signed(t, nil)
	preflight := func() *http.Request {
		r := httptest.NewRequest("OPTIONS", "/", nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "PUT")
		return r
	}
	none := func() *http.Request { return httptest.NewRequest("POST", "/", nil) }
	for name, c := range map[string]struct {
		options string
		request *http.Request
		user    string
	}{
		"valid":                           {options, bearer(good), "alice"},
		"anonymous":                       {options + "optional", none(), ""},
		"preflight":                       {options + "allow_preflight", preflight(), ""},
		"preflight with a token":          {options + "allow_preflight", bearerOf(preflight(), good), ""},
		"a claim that is missing":         {"forward email X-User\nclear X-Role", bearer(good), ""},
		"a claim that is null":            {"forward_payload X-Payload\nforward nothing X-User\nclear X-Role", bearer(good), ""},
		"report, valid":                   {options + "mode report", bearer(good), "alice"},
		"report, no credential":           {options + "mode report", none(), ""},
		"report, a bad token":             {options + "mode report", bearer("x"), ""},
		"report, a rule":                  {options + "mode report\nrequire scope admin", bearer(good), ""},
		"report, a claim that can't be":   {"forward c X-User\nclear X-Role\nmode report", bearer(signed(t, map[string]any{"c": "a\nb"})), ""},
		"clear alone":                     {"mode clear\nclear X-User X-Role", bearer(good), ""},
		"clear with an issuer":            {"clear X-User X-Role", bearer(good), ""},
		"the payload's header":            {"forward_payload X-Role\nclear X-User\noptional", none(), ""},
		"a token's header":                {"forward_jwt X-Role https://orders.internal\nclear X-User\noptional", none(), ""},
		"a token's header, report":        {"forward_jwt X-User https://orders.internal\nclear X-Role\nmode report", bearer("x"), ""},
		"a token's header, preflight":     {"forward_jwt X-User https://orders.internal\nclear X-Role\nallow_preflight", preflight(), ""},
		"credentials are kept":            {options + "keep_credentials", bearer(good), "alice"},
		"an expression, and anonymous":    {options + "optional\nrequire expression `auth_method == \"anonymous\"`", none(), ""},
		"the names in the other spelling": {"forward user x-USER\nclear x-rOLE", bearer(good), "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := new(site)
			if name == "clear alone" {
				s = makeSite(t, c.options)
				c.request.Header.Del("Authorization")
			} else {
				s = newSite(t, c.options)
			}
			r := forge(c.request)
			if name == "clear alone" {
				// It reads no credential there.
				delete(r.Trailer, "Authorization")
				r.Body.(*trailing).noCredential = true
			}
			res := serve(t, r, nil, s.Handler)
			if res.next == nil {
				t.Fatalf("refused: %s", res.reason())
			}
			checkCleared(t, res.next, c.user, "17")
		})
	}
	refused := map[string]*http.Request{
		"no credential": none(), "a bad token": bearer("x"), "an expired one": bearer(signed(t, map[string]any{"exp": 1})), "an empty one": bearer(""),
		"a rule": bearer(signed(t, map[string]any{"role": "user"})), "a claim that can't be passed on": bearer(signed(t, map[string]any{"role": "admin", "c": "a\r\n"})),
	}
	for name, r := range refused {
		t.Run("refused/"+name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, options+"forward c X-C\nrequire claim role admin")
			// Error routes get the same request.
			server := errorServer(t, `[{"handle":[{"handler":"static_response","body":"page"}]}]`)
			var seen *http.Request
			watch := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
				seen = r
				return next.ServeHTTP(w, r)
			})
			res := serve(t, forge(r), server, watch, s.Handler)
			if res.next != nil || res.err == nil {
				t.Fatalf("passed, or answered: %v", res.err)
			}
			checkCleared(t, seen, "", "") // trailers don't change any more
		})
	}
}

func bearerOf(r *http.Request, token string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// TestThreat21_Connection checks that only cleared names are removed from
// Connection, and that it stays byte for byte without them.
func TestThreat21_Connection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ lines, want []string }{
		"none":                   {nil, nil},
		"nothing of ours":        {[]string{"keep-alive,  Upgrade", "x-users"}, []string{"keep-alive,  Upgrade", "x-users"}},
		"ours alone":             {[]string{"X-User"}, nil},
		"ours in another case":   {[]string{"x-uSER"}, nil},
		"ours with _":            {[]string{"x_user"}, nil},
		"ours among others":      {[]string{"keep-alive,X-User,\tUpgrade "}, []string{"keep-alive, Upgrade"}},
		"ours in a second line":  {[]string{"keep-alive", "\tx-user\t", "close"}, []string{"keep-alive, close"}},
		"ours twice":             {[]string{"X-User, x-user", "X-USER"}, nil},
		"empty elements":         {[]string{",, X-User ,,close,"}, []string{"close"}},
		"two of ours":            {[]string{"X-User, X-Role, close"}, []string{"close"}},
		"a longer name":          {[]string{"X-User-Agent"}, []string{"X-User-Agent"}},
		"a credential's is none": {[]string{"Authorization"}, []string{"Authorization"}},
	} {
		s := newSite(t, "forward user X-User\nclear X-Role")
		r := bearer(signed(t, nil))
		if c.lines != nil {
			r.Header["Connection"] = c.lines
		}
		res := serve(t, r, nil, s.Handler)
		if got := res.next.Header["Connection"]; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if res.next.Header.Get("X-User") != "alice" {
			t.Errorf("%s: %v", name, res.next.Header)
		}
	}
}

// TestThreat21_Trailers checks that trailers are cleared however the body ends: with
// or without data, or with an error, and when it is read again after the end.
func TestThreat21_Trailers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "forward user X-User")
	for name, source := range map[string]io.Reader{
		"alone": strings.NewReader("body"), "with data": &withEnd{text: "body", err: io.EOF}, "an error": &withEnd{text: "body", err: io.ErrUnexpectedEOF},
		"no body at all": strings.NewReader(""),
	} {
		t.Run(name, func(t *testing.T) {
			r := bearer(signed(t, nil))
			r.Trailer = http.Header{"X-User": nil}
			r.Body = &filling{source, r.Trailer}
			res := serve(t, r, nil, s.Handler)
			for range 5 {
				_, err := res.next.Body.Read(make([]byte, 64))
				if err != nil && len(res.next.Trailer) != 0 {
					t.Errorf("%v: %v", err, res.next.Trailer)
				}
			}
			if len(res.next.Trailer) != 0 {
				t.Errorf("%v", res.next.Trailer)
			}
		})
	}
	t.Run("a body without trailers stays itself", func(t *testing.T) {
		r := bearer(signed(t, nil))
		body := io.NopCloser(strings.NewReader("x"))
		r.Body = body
		if res := serve(t, r, nil, s.Handler); res.next.Body != body {
			t.Error("the body was wrapped")
		}
	})
	t.Run("of a credential", func(t *testing.T) {
		s := newSite(t, "token_from header X-Token\ntoken_from cookie session")
		r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
		r.Header.Set("X-Token", signed(t, nil))
		r.Trailer = http.Header{"X-Token": {"a"}, "X_token": {"b"}, "Cookie": {"session=c"}, "Authorization": {"d"}}
		if res := serve(t, r, nil, s.Handler); len(res.next.Trailer) != 1 || res.next.Trailer.Get("Authorization") != "d" {
			t.Errorf("%v", res.next.Trailer)
		}
	})
}

// withEnd returns its text and the end of the body in one read.
type withEnd struct {
	text string
	err  error
}

func (e *withEnd) Read(p []byte) (int, error) {
	n := copy(p, e.text)
	e.text = e.text[n:]
	return n, e.err
}

// filling sets a trailer at the end of the body, even if that is an error.
type filling struct {
	io.Reader
	trailer http.Header
}

func (b *filling) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		b.trailer["X-User"], b.trailer["x_user"] = []string{"mallory"}, []string{"mallory"}
	}
	return n, err
}

func (*filling) Close() error { return nil }
