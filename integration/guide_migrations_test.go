package integration

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The requests of the tables in the pages for people who come from other products.

// request is one that a row names.
type request struct {
	method, path string
	changes      []change
}

func get(path string, changes ...change) request { return request{http.MethodGet, path, changes} }

// migration is a page with a config of another product beside ours.
type migration struct {
	guide, host string
	site        string // our column
	requests    func(m *migrations) map[string]request
}

// migrations are the parts that their requests are made of.
type migrations struct {
	t        *testing.T
	s        *fixture
	key      *peers.APIKey
	stranger *peers.Key
}

// token is a good one for all pages, with changes; nil takes a claim out.
func (m *migrations) token(changes map[string]any) string { return m.signed(keys(m.t).RS256, changes) }

func (m *migrations) signed(key *peers.Key, changes map[string]any) string {
	claims := map[string]any{"aud": guideAudience, "sub": "alice"}
	maps.Copy(claims, changes)
	return key.Token(m.t, m.s.claims(claims), nil)
}

func claimsWith(base map[string]any, name string, value any) map[string]any {
	changed := maps.Clone(base)
	changed[name] = value
	return changed
}

// refusedEverywhere are the rows that all pages have, for a token with these claims.
func (m *migrations) refusedEverywhere(path string, base map[string]any) map[string]request {
	with := func(name string, value any) request {
		return get(path, bearer(m.token(claimsWith(base, name, value))))
	}
	return map[string]request{
		"no token":               get(path),
		"an expired token":       with("exp", time.Now().Add(-time.Hour).Unix()),
		"a token without `exp`":  with("exp", nil),
		"another issuer":         with("iss", "https://evil.example/"),
		"another audience":       with("aud", "https://other.example.com"),
		"a token of another key": get(path, bearer(m.signed(m.stranger, base))),
		"two different tokens":   get(path, bearer(m.token(base)), bearer(m.token(claimsWith(base, "jti", "2")))),
	}
}

func (m *migrations) ggicci() map[string]request {
	base := map[string]any{"settings": map[string]string{"role": "editor"}}
	good, old := m.token(base), m.token(claimsWith(base, "exp", 1_000_000_000))
	rows := m.refusedEverywhere("/", base)
	maps.Copy(rows, map[string]request{
		"a token in `Authorization: Bearer`":                             get("/", bearer(good)),
		"the same in `?access_token=`":                                   get("/?access_token=" + good),
		"the same in `X-Api-Token`":                                      get("/", header("X-Api-Token", good)),
		"the same in the cookie `session`":                               get("/", cookie("session", good)),
		"the token in `Authorization` without `Bearer`":                  get("/", header("Authorization", good)),
		"a numeric `uid`":                                                get("/", bearer(m.token(claimsWith(base, "uid", 42)))),
		"a token without `kid`":                                          get("/", bearer(m.signed(keys(m.t).RS256.Named(""), base))),
		"a token without `uid` and `sub`":                                get("/", bearer(m.token(claimsWith(base, "sub", nil)))),
		"an expired token in the cookie, a valid one in `Authorization`": get("/", bearer(good), cookie("session", old)),
		"a `POST` with the cookie, from another site's page":             {http.MethodPost, "/", []change{cookie("session", good), header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site")}},
	})
	return rows
}

func (m *migrations) envoy() map[string]request {
	base := map[string]any{"scope": "orders:read"}
	const path = "/api/orders"
	rows := m.refusedEverywhere(path, base)
	maps.Copy(rows, map[string]request{
		"a token with the scope, `/api/orders`":    get(path, bearer(m.token(base))),
		"no token, `/api/orders`":                  get(path),
		"no token, `/health`":                      get("/health"),
		"no token, `/apis`":                        get("/apis"),
		"no token, `/API/orders`":                  get("/API/orders"),
		"no token, `/health`, with `X-Sub: admin`": get("/health", header("X-Sub", "admin")),
		"a token without the scope":                get(path, bearer(m.token(map[string]any{"scope": "other"}))),
		"a token for three hours":                  get(path, bearer(m.token(claimsWith(base, "exp", time.Now().Add(3*time.Hour).Unix())))),
		"a token in `?access_token=`":              get(path + "?access_token=" + m.token(base)),
		"a preflight, `/api/orders`":               {http.MethodOptions, path, []change{header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "GET")}},
	})
	return rows
}

func (m *migrations) kong() map[string]request {
	base := map[string]any{"iss": "partner-a", "aud": nil, "sub": nil, "scope": nil, "iat": nil}
	good := m.token(base)
	rows := m.refusedEverywhere("/", base)
	maps.Copy(rows, map[string]request{
		"a token of partner-a with `iss` and `exp` alone":                get("/", bearer(good)),
		"the same in `?jwt=`":                                            get("/?jwt=" + good),
		"the key of partner-b in `apikey`":                               get("/", header("apikey", m.key.Text)),
		"the same in `?apikey=`":                                         get("/?apikey=" + m.key.Text),
		"the key, with `X-Consumer-Username: admin` of the client's own": get("/", header("apikey", m.key.Text), header("X-Consumer-Username", "admin")),
		"neither":                          get("/"),
		"an unknown key":                   get("/", header("apikey", strings.Repeat("x", 40))),
		"an expired token and a valid key": get("/", header("apikey", m.key.Text), bearer(m.token(claimsWith(base, "exp", 1_000_000_000)))),
	})
	return rows
}

func (m *migrations) traefik() map[string]request {
	base := map[string]any{"grp": "ops", "scope": "orders:read"}
	rows := m.refusedEverywhere("/", base)
	maps.Copy(rows, map[string]request{
		"a token of the group `ops`":                          get("/", bearer(m.token(base))),
		"the same, with `X-Group: admin` of the client's own": get("/", bearer(m.token(base)), header("X-Group", "admin")),
		"another group":             get("/", bearer(m.token(claimsWith(base, "grp", "guests")))),
		"no group":                  get("/", bearer(m.token(claimsWith(base, "grp", nil)))),
		"a token without the scope": get("/", bearer(m.token(claimsWith(base, "scope", "other")))),
	})
	return rows
}

func (m *migrations) nginx() map[string]request {
	base := map[string]any{"roles": "editor"}
	rows := m.refusedEverywhere("/", base)
	maps.Copy(rows, map[string]request{
		"a token with the role `editor`":                     get("/", bearer(m.token(base))),
		"the same, with `X-User: admin` of the client's own": get("/", bearer(m.token(base)), header("X-User", "admin")),
		"the roles `reader` and `editor` in an array":        get("/", bearer(m.token(claimsWith(base, "roles", []string{"reader", "editor"})))),
		"the role `reader`":                                  get("/", bearer(m.token(claimsWith(base, "roles", "reader")))),
		"no token, `/health`":                                get("/health"),
		"no token, `/health/`":                               get("/health/"),
		"no token, `/health`, with `X-User: admin`":          get("/health", header("X-User", "admin")),
		"two audiences, one of them ours":                    get("/", bearer(m.token(claimsWith(base, "aud", []string{"https://other.example.com", guideAudience})))),
	})
	return rows
}

func (m *migrations) caddySecurity() map[string]request {
	base := map[string]any{"roles": []string{"editor"}, "email": "alice@example.com", "name": "Alice", "team": map[string]string{"name": "blue"}}
	as := func(roles any) change { return bearer(m.token(claimsWith(base, "roles", roles))) }
	rows := m.refusedEverywhere("/", base)
	maps.Copy(rows, map[string]request{
		"an editor's token":                    get("/", as([]string{"editor"})),
		"the role as text instead of an array": get("/", as("editor")),
		"a reader's token":                     get("/", as([]string{"reader"})),
		"a reader's `POST`":                    {http.MethodPost, "/", []change{as([]string{"reader"})}},
		"another role":                         get("/", as([]string{"guest"})),
		"no roles":                             get("/", as(nil)),
		"no token, `/health`":                  get("/health"),
		"no token, `/health/`":                 get("/health/"),
		"no token, `/health`, with `X-Token-User-Email: admin`":     get("/health", header("X-Token-User-Email", "admin")),
		"a token without `email`, with `X-Token-User-Email: admin`": get("/", bearer(m.token(claimsWith(base, "email", nil))), header("X-Token-User-Email", "admin")),
		"a token that expired 30 seconds ago":                       get("/", bearer(m.token(claimsWith(base, "exp", time.Now().Add(-30*time.Second).Unix())))),
		"a token without `sub`":                                     get("/", bearer(m.token(claimsWith(base, "sub", nil)))),
	})
	return rows
}

func (m *migrations) aws() map[string]request {
	base := map[string]any{"scope": "orders:read"}
	good := m.token(base)
	rows := m.refusedEverywhere("/", base)
	noAudience := claimsWith(claimsWith(base, "aud", nil), "client_id", guideAudience)
	maps.Copy(rows, map[string]request{
		"a token with the scope":                     get("/", bearer(good)),
		"a token without the scope":                  get("/", bearer(m.token(map[string]any{"scope": "other"}))),
		"the audience in `client_id`, without `aud`": get("/", bearer(m.token(noAudience))),
		"the token without the word `Bearer`":        get("/", header("Authorization", good)),
		"a token with the algorithm ES256":           get("/", bearer(m.signed(keys(m.t).ES256, base))),
		"a key, `/catalog`":                          get("/catalog", apiKey(m.key.Text)),
		"no key, `/catalog`":                         get("/catalog"),
		"an unknown key, `/catalog`":                 get("/catalog", apiKey(strings.Repeat("x", 40))),
		"a token instead of a key, `/catalog`":       get("/catalog", bearer(good)),
		"a key instead of a token":                   get("/", apiKey(m.key.Text)),
	})
	return rows
}
