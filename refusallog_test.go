package caddyjwt

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"
)

// TestRefusalsNameTheRequirement: the log has the requirement that a refused request
// did not meet, as the config has it and without claims.
func TestRefusalsNameTheRequirement(t *testing.T) {
	t.Parallel()
	token := signed(t, map[string]any{"scope": "a", "role": "guest", "age": 17})
	for options, want := range map[string]string{
		"require scope a\nrequire scope b":                                  "require scope a b",
		"require any_scope c d\nrequire claim role guest":                   "require any_scope c d",
		"require claim role guest\nrequire claim team.name x":               "require claim team.name",
		requiring("claims.age == 17") + "\n" + requiring("claims.age > 17"): "require expression claims.age > 17",
	} {
		for _, mode := range []string{"", "\nmode report"} {
			s := newSite(t, options+mode)
			serve(t, bearer(token), nil, s.Handler)
			lines := s.logs.TakeAll()
			if len(lines) != 1 || lines[0].ContextMap()["requirement"] != want {
				t.Errorf("%s: %v, want %s", options+mode, lines, want)
			}
		}
	}
	s := newSite(t, "require scope b")
	serve(t, bearer("garbage"), nil, s.Handler)
	if lines := s.logs.TakeAll(); len(lines) != 1 || lines[0].ContextMap()["requirement"] != nil {
		t.Errorf("%v, want no requirement", lines)
	}
}

// TestRefusalsSayWhatAndWhere: who reads one line alone, as fail2ban does, learns whose
// request was refused, where, and what exactly is wrong with it.
func TestRefusalsSayWhatAndWhere(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "mode report"} {
		s := newSite(t, mode)
		s.site = "api.example"
		r := request("garbage", "", "/orders?a=1", "", "Authorization: Bearer %G")
		server := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
			caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, "192.0.2.7")
			return next.ServeHTTP(w, r)
		})
		serve(t, r, nil, server, s.Handler)
		lines := s.logs.TakeAll()
		if len(lines) != 1 {
			t.Fatalf("%s: %v, want one line", mode, lines)
		}
		line := lines[0].ContextMap()
		if line["site"] != "api.example" || line["detail"] != "not a JWT: it does not consist of three parts separated by dots" {
			t.Errorf("%s: %v", mode, line)
		}
		sent, _ := line["request"].(map[string]any)
		for key, want := range map[string]string{"client_ip": "192.0.2.7", "method": r.Method, "host": r.Host, "uri": r.RequestURI} {
			if want == "" || sent[key] != want {
				t.Errorf("%s: %s is %v, want %q", mode, key, sent[key], want)
			}
		}
	}
}

// TestLinesHaveNoCredentialOfAnotherHandler checks that a refusal's line leaves out the
// parameters that another handler of the server reads, even if that one keeps them.
func TestLinesHaveNoCredentialOfAnotherHandler(t *testing.T) {
	t.Parallel()
	const query = "token_from query access_token"
	token := signed(t, nil)
	for name, c := range map[string]struct{ outer, inner string }{
		"the outer one keeps it":  {query + "\nkeep_credentials", ""},
		"the outer one reports":   {query + "\nmode report", ""},
		"the inner one reads it":  {"", query},
		"both, and the inner one": {query + "\nkeep_credentials", query + "\nrequire scope never"},
	} {
		outer, inner := newSite(t, c.outer), newSite(t, c.inner)
		outer.guard.add(inner.Handler, nil)
		inner.guard = outer.guard
		serve(t, httptest.NewRequest("GET", "/p?a=1&access_token="+token, nil), nil, outer.Handler, inner.Handler)
		lines := append(outer.logs.TakeAll(), inner.logs.TakeAll()...)
		if len(lines) == 0 {
			t.Errorf("%s: no line", name)
		}
		for _, l := range lines {
			out := zapcore.NewMapObjectEncoder()
			for _, f := range l.Context {
				f.AddTo(out)
			}
			if text := fmt.Sprint(out.Fields); strings.Contains(text, token[:40]) || !strings.Contains(text, "/p?a=1") {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}
