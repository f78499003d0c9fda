package refusal

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

const metadataURL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"

// scriptReads returns a parameter of a challenge as the TypeScript SDK of MCP finds it: it joins
// all lines, wants Bearer at the beginning, and takes the first text that looks like the
// parameter, wherever it is.
func scriptReads(lines []string, name string) string {
	text := strings.Join(lines, ", ")
	if !strings.HasPrefix(strings.ToLower(text), "bearer ") {
		return ""
	}
	m := regexp.MustCompile(name + `=(?:"([^"]+)"|([^\s,]+))`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// TestChallengesOfAResource: each 401 and 403 names the metadata once, in the scheme that was
// used, where a client finds it; a 401 says which scopes to ask for.
func TestChallengesOfAResource(t *testing.T) {
	t.Parallel()
	const least, all = "a b", "a b c"
	for name, accepted := range map[string]Accepted{"tokens": {Tokens: true}, "tokens and keys": {Tokens: true, APIKeys: true}, "tokens and Basic": {Tokens: true, APIKeys: true, Basic: true}} {
		for _, format := range []string{"", formatAWS, formatGRPC, formatNone} {
			r, err := New(Settings{Realm: "api", Format: format, Accepted: accepted, Scopes: all, Metadata: metadataURL, Least: least})
			if err != nil {
				t.Fatal(err)
			}
			for _, code := range reason.All {
				for _, basic := range []bool{false, true} {
					p := r.To(code, nil, basic)
					lines := http.Header{}
					p.SetHeaders(lines)
					got := lines.Values("WWW-Authenticate")
					if p.Status != 401 && p.Status != 403 {
						if got != nil {
							t.Errorf("%s: %v", code, got)
						}
						continue
					}
					scope := ""
					switch {
					case code == reason.InsufficientScope:
						scope = all
					case p.Status == 401:
						scope = least
					}
					for parameter, want := range map[string]string{"resource_metadata": metadataURL, "scope": scope, "error": p.Code} {
						if got := scriptReads(got, parameter); got != want {
							t.Errorf("%s %q %s: %s is read as %q, want %q", name, format, code, parameter, got, want)
						}
						if n := strings.Count(strings.Join(got, "\n"), " "+parameter+"="); n > 1 {
							t.Errorf("%s %q %s: %s is there %d times", name, format, code, parameter, n)
						}
					}
					used := 0
					if basic && accepted.Basic {
						used = 1
					}
					if !strings.Contains(got[used], "resource_metadata") {
						t.Errorf("%s %q %s: not in the scheme that was used: %v", name, format, code, got)
					}
				}
			}
		}
	}
}

// TestChallengesWithoutAResource are as they were.
func TestChallengesWithoutAResource(t *testing.T) {
	t.Parallel()
	r, err := New(Settings{Accepted: Accepted{Tokens: true}, Scopes: "a", Least: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range reason.All {
		for _, line := range r.To(code, nil, false).challenges {
			if strings.Contains(line, "resource_metadata") || strings.Contains(line, "scope=") != (code == reason.InsufficientScope) {
				t.Errorf("%s: %s", code, line)
			}
		}
	}
}

// TestScoped: the challenge names the scopes of one operation, and nothing else differs.
func TestScoped(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"", formatAWS, formatGRPC} {
		r, err := New(Settings{Accepted: Accepted{Tokens: true, APIKeys: true, Basic: true}, Format: format, Scopes: "a", Metadata: metadataURL, Least: "a"})
		if err != nil {
			t.Fatal(err)
		}
		for _, basic := range []bool{false, true} {
			plain := r.To(reason.InsufficientScope, nil, basic)
			scoped := r.Scoped(reason.InsufficientScope, nil, "a b c", basic)
			if got := strings.Join(scoped.challenges, "\n"); got != strings.Replace(strings.Join(plain.challenges, "\n"), `scope="a"`, `scope="a b c"`, 1) || !strings.Contains(got, `scope="a b c"`) {
				t.Errorf("the challenges are %s", got)
			}
			if strings.Contains(strings.Join(plain.challenges, "\n"), "b c") {
				t.Error("the shared response has changed")
			}
			if !scoped.Caused(plain.HandlerError().Err) || scoped.Number() != plain.Number() || scoped.Refusal(nil).Code != reason.InsufficientScope || scoped.Refusal(nil).Answer.Status != 403 {
				t.Errorf("%+v", scoped)
			}
			w := httptest.NewRecorder()
			scoped.Write(w, httptest.NewRequest(http.MethodGet, "/", nil))
			if w.Code != 403 || len(w.Header().Values("WWW-Authenticate")) != 2 {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		}
		if none := r.Scoped(reason.KeysUnavailable, nil, "a b", false); len(none.challenges) != 0 {
			t.Errorf("a 503 has %v", none.challenges)
		}
		cause := &Cause{Detail: reason.NotAJWT.Detail()}
		if p := r.Scoped(reason.MalformedToken, cause, "x", false); p.Text != variants[reason.NotAJWT] {
			t.Errorf("the detail is lost: %+v", p.Answer)
		}
	}
}

// TestNothingBreaksAHeader: what came here unchecked would be an error when the config loads.
func TestNothingBreaksAHeader(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"a\"b", "a\r\nb", "a\\b", "é", "\x00", "a\x7f"} {
		for name, s := range map[string]Settings{"realm": {Realm: bad + "="}, "scopes": {Scopes: bad}, "least": {Least: bad}, "metadata": {Metadata: bad}} {
			if _, err := New(s); err == nil {
				t.Errorf("%q as %s is accepted", bad, name)
			}
		}
	}
}
