package integration

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// signOn answers as oauth2-proxy does with --set-xauthrequest: 202 and headers for
// anyone who has its cookie, 401 for all others, and a page at every other path. Users that
// are called bare have neither an address nor groups.
type signOn struct {
	addr     string
	asked    atomic.Int64
	strayed  atomic.Bool // it was sent a token, or the body or method of the request
	lastPath atomic.Value
}

func newSignOn(t *testing.T) *signOn {
	t.Helper()
	s := &signOn{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.lastPath.Store(r.URL.RequestURI())
		if r.URL.Path != "/oauth2/auth" {
			_, _ = w.Write([]byte("sign in"))
			return
		}
		s.asked.Add(1)
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet {
			s.strayed.Store(true)
		}
		cookie, err := r.Cookie("_oauth2_proxy")
		if err != nil || cookie.Value == "old" {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Auth-Request-User", cookie.Value)
		if cookie.Value != "bare" {
			w.Header().Set("X-Auth-Request-Email", cookie.Value+"@example.com")
			w.Header().Set("X-Auth-Request-Groups", "staff")
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

// forgedIdentity are the headers of docs/guides/browser-and-machines.md, as a client
// that would be somebody else sends them, in spellings that an upstream may fold.
var forgedIdentity = []change{
	exactHeader("X-User", "evil"), exactHeader("x_user", "evil"), exactHeader("X-Email", "evil"), exactHeader("X.Email", "evil"),
	exactHeader("X-Groups", "evil"), exactHeader("X_Groups", "evil"), exactHeader("Connection", "X-User"),
	exactHeader("X-Auth-Request-User", "evil-but-not-read"),
}

// The sites of docs/guides/browser-and-machines.md, with a stand-in for oauth2-proxy.
func TestGuides_BrowserAndMachines(t *testing.T) {
	t.Parallel()
	const guide, both, ruled, keyed = "browser-and-machines.md", "both.example.test", "ruled.example.test", "keyed.example.test"
	s, auth := (*fixture)(nil), newSignOn(t)
	key := peers.NewAPIKey(t, "ci", nil)
	site := func(n int, host string, more ...string) string {
		more = append(more, printedUpstream...)
		more = append(more, printedIssuer...)
		return guideSite(t, guide, n, "app.example.com", host, append(more, "localhost:4180", auth.addr)...)
	}
	s = newFixture(t, site(0, both)+site(1, ruled)+site(2, keyed, "/etc/caddy/keys/keys.jsonl", tempFile(t, "keys.jsonl", peers.KeyLines(t, key))),
		options{trusted: true}, keys(t).RS256)
	token := func(changes map[string]any) change {
		claims := map[string]any{"aud": "https://app.example.com", "sub": "robot"}
		for name, value := range changes {
			claims[name] = value
		}
		return bearer(keys(t).RS256.Token(t, s.claims(claims), nil))
	}
	session := func(user string) change { return cookie("_oauth2_proxy", user) }
	client := s.client(http1) // which sends a Connection header as it is told
	page := exactHeader("Accept", "text/html,*/*;q=0.8")
	send := func(t *testing.T, host, path string, changes ...change) (answer, []peers.Seen) {
		t.Helper()
		s.upstream.Take()
		a := s.send(t, client, http.MethodGet, host, path, changes...)
		return a, s.upstream.Take()
	}

	for _, c := range []struct {
		name    string
		host    string
		changes []change
		status  int
		user    string
		email   string
		groups  string
	}{
		{"a token", both, []change{token(nil)}, 200, "robot", "", ""},
		{"a token with an address", both, []change{token(map[string]any{"email": "robot@example.com"})}, 200, "robot", "robot@example.com", ""},
		{"a session", both, []change{session("ann")}, 200, "ann", "ann@example.com", "staff"},
		{"a session without address and groups", both, []change{session("bare")}, 200, "bare", "", ""},
		{"both", both, []change{token(nil), session("ann")}, 200, "robot", "", ""},
		{"nothing, a program", both, nil, 401, "", "", ""},
		{"nothing, a browser", both, []change{page}, 302, "", "", ""},
		{"an old session", both, []change{session("old")}, 401, "", "", ""},
		{"an expired token", both, []change{token(map[string]any{"exp": 1_000_000_000})}, 401, "", "", ""},
		{"an expired token beside a session", both, []change{token(map[string]any{"exp": 1_000_000_000}), session("ann")}, 401, "", "", ""},
		{"another audience beside a session", both, []change{token(map[string]any{"aud": guideAudience}), session("ann")}, 401, "", "", ""},
		{"a bad token, a browser", both, []change{bearer("x.y.z"), page}, 401, "", "", ""},
		{"a token with the scope", ruled, []change{token(map[string]any{"scope": "orders:read"})}, 200, "robot", "", ""},
		{"a token without the scope", ruled, []change{token(map[string]any{"scope": "other"})}, 403, "", "", ""},
		{"a token without the scope beside a session", ruled, []change{token(map[string]any{"scope": "other"}), session("ann")}, 403, "", "", ""},
		{"a session has no scopes", ruled, []change{session("ann")}, 200, "ann", "", ""},
		{"nothing at the site with rules", ruled, nil, 401, "", "", ""},
		{"an API key", keyed, []change{bearer(key.Text)}, 200, "ci", "", ""},
		{"a token beside API keys", keyed, []change{token(nil)}, 200, "robot", "", ""},
		{"a session beside API keys", keyed, []change{session("ann")}, 200, "ann", "", ""},
		{"an unknown API key beside a session", keyed, []change{bearer(strings.Repeat("x", 40)), session("ann")}, 401, "", "", ""},
		{"nothing beside API keys", keyed, nil, 401, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			forged := forgedIdentity
			if c.host != both {
				forged = forged[:2] // these sites set X-User alone
			}
			for what, more := range map[string][]change{"": nil, ", with forged headers": forged} {
				a, seen := send(t, c.host, "/orders?a=1&b=2", append(append([]change{}, c.changes...), more...)...)
				if a.status != c.status {
					t.Fatalf("status %d%s; want %d: %s", a.status, what, c.status, a.body)
				}
				if reached := len(seen) == 1; reached != (c.status == 200) {
					t.Fatalf("the upstream got %d requests%s", len(seen), what)
				}
				if c.status != 200 {
					continue
				}
				for name, want := range map[string]string{"X-User": c.user, "X-Email": c.email, "X-Groups": c.groups} {
					if got := strings.Join(seen[0].Header.Values(name), ","); got != want {
						t.Errorf("%s is %q%s; want %q", name, got, what, want)
					}
				}
				for name, values := range seen[0].Header {
					if strings.Contains(strings.Join(values, ""), "evil") && name != "X-Auth-Request-User" {
						t.Errorf("the upstream got %s: %v", name, values)
					}
				}
				if seen[0].Header.Get("Authorization") != "" {
					t.Error("the upstream got the token")
				}
			}
		})
	}
	t.Run("the sign-in service is asked for those alone who have no token", func(t *testing.T) {
		before := auth.asked.Load()
		send(t, both, "/", token(nil))
		send(t, both, "/", token(map[string]any{"exp": 1_000_000_000}))
		if n := auth.asked.Load() - before; n != 0 {
			t.Errorf("it was asked %d times", n)
		}
		if s.send(t, s.http, http.MethodPost, both, "/", session("ann"), body("hello")).upstream(t).Body != "hello" {
			t.Error("a body did not arrive")
		}
		if auth.strayed.Load() {
			t.Error("it was sent a token, or another method than GET")
		}
	})
	t.Run("the way to the sign-in page and back", func(t *testing.T) {
		a, _ := send(t, both, "/orders?a=1&b=2", page)
		target, err := url.Parse(a.header.Get("Location"))
		if err != nil || target.Path != "/oauth2/sign_in" || !strings.HasSuffix(target.Query().Get("rd"), "/orders?a=1&b=2") {
			t.Errorf("Location %q", a.header.Get("Location"))
		}
		a, seen := send(t, both, "/oauth2/sign_in?rd=x")
		if a.status != 200 || a.body != "sign in" || len(seen) != 0 {
			t.Errorf("status %d, %q, and %d requests at the upstream", a.status, a.body, len(seen))
		}
	})
	t.Run("no other path of the site is open", func(t *testing.T) {
		for _, path := range []string{"/oauth2", "/oauth2/../orders", "/oauth2/%2e%2e/orders", "//oauth2/x", "/oauth2%2f..%2forders", "/OAUTH2/../x"} {
			if _, seen := send(t, both, path); len(seen) != 0 {
				t.Errorf("%s: the upstream got %s", path, seen[0].URI)
			}
		}
	})
}
