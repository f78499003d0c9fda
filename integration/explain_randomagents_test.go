package integration

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// agentSites have what agents and their identity providers need: rules for messages, resources,
// opaque tokens, and tenants.
const agentSites = `
(messages) {
	# No page is made for the refusal of a message.
	header {
		>X-Reason {http.jwt.reason}
		>X-Detail "{http.jwt.detail}"
		>X-Requirement "{http.jwt.requirement}"
	}
	import shown
}
http://tools.example.test {
	import messages
	jwt {
		import from_issuer
		api_keys {$KEYS}
		require scope read
		scope_implies admin write
		scope_implies write read
		resource https://tools.example.test:{$PLAIN}/mcp
		mcp {
			tool delete_* drop {
				require scope admin
			}
			tool list {
				require any_scope write orders:read
			}
			prompt secret {
				require expression ` + "`claims.tenant == \"acme\" && {http.request.method} == \"POST\"`" + `
			}
			resource file:///secret/* {
				require claim tenant acme
				require scope admin
			}
			method tools/list {
				require scope write
			}
			method initialize ping notifications/*
			default deny
			max_body 2KiB
		}
	}
	import in
}
http://gates.example.test {
	import messages
	jwt {
		import from_issuer
		mcp {
			tool delete_* {
				require scope admin
			}
		}
	}
	jwt {
		api_keys {$KEYS}
		allow_preflight
		mcp {
			tool list {
				require scope read
			}
			max_body 1KiB
		}
	}
	import in
}
http://watched.example.test {
	import messages
	jwt {
		import from_issuer
		mode report
		mcp {
			tool delete_* {
				require scope admin
			}
			max_body 1KiB
		}
	}
	jwt {
		import from_issuer
		mcp {
			tool list {
				require scope write
			}
		}
	}
	import in
}
http://opaque.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			discovery
			introspection {$ASKED} {
				client api {env.ASKING}
			}
		}
		issuer https://hmac.example.test {
			secret base64 {env.HMAC_SECRET}
		}
		audience https://api.example.test
		api_keys {$KEYS}
		require scope read
		scope_implies admin write read
	}
	import in
	import shown
}
http://alone.example.test {
	jwt {
		issuer {$ISSUER} {
			introspection {$ASKED} {
				client api {env.ASKING}
				untyped
			}
			user_claim client_id
			allow_no_expiry
			audience *
		}
	}
	import in
	import shown
}
http://both.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			discovery
			introspection {$ASKED} {
				client api {env.ASKING}
				jwts
				cache 0
			}
		}
		audience https://api.example.test
		api_keys {$KEYS}
		api_key_from header Authorization Bearer
		api_key_from header X-API-Key
	}
	import in
	import shown
}
http://tenants.example.test {
	jwt {
		issuer {$ENTRA}/{tid}/v2.0 {
			tenants {$TENANTS}
			audience https://api.example.test
			scope_claim scp roles
			ca {$ENTRA_CA}
		}
		require any_scope orders.read Orders.Read.All
	}
	import in
	import shown
}
http://everyone.example.test {
	jwt {
		issuer {$ENTRA}/{tid}/v2.0 {
			tenants *
			ca {$ENTRA_CA}
		}
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
		require expression ` + "`claims.azpacr == \"0\"`" + `
	}
	import in
	import shown
}
http://*.resource.example.test {
	handle_path /api/* {
		jwt {
			issuer {$ISSUER} {
				ca {$CA}
			}
			resource https://a.resource.example.test:{$PLAIN}/api
			require scope read
		}
		import in
	}
	handle {
		jwt {
			issuer {$ISSUER} {
				ca {$CA}
			}
			resource https://b.resource.example.test:{$PLAIN} {
				scopes write
			}
		}
		import in
	}
	import shown
}
`

// agentFixture is an explainer with these sites, an issuer that is asked, an Entra, keys and
// rules that revoke.
type agentFixture struct {
	*explainer
	entra *peers.Entra
	asked *askedIssuer
	keys  []string
	// nobody is one of these that no site has.
	nobody string
}

func newAgentFixture(t *testing.T) *agentFixture {
	t.Helper()
	secret := rand.Text()
	d := &agentFixture{entra: peers.NewEntra(t), asked: newAskedIssuer(t, "api:"+secret)}
	held := peers.NewAPIKey(t, "held", map[string]any{"consumer": "partner", "scopes": []string{"read", "admin"}})
	narrow := peers.NewAPIKey(t, "narrow", nil)
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	nobody := peers.NewAPIKey(t, "nobody", nil)
	d.explainer = newExplainer(t, agentSites, options{
		global: sharedState,
		env: map[string]string{
			"KEYS": tempFile(t, "keys.jsonl", peers.KeyLines(t, held, narrow, disabled)), "HMAC_SECRET": base64.StdEncoding.EncodeToString(keys(t).HS256.Secret),
			"ASKED": d.asked.URL, "ASKING": secret, "ENTRA": d.entra.URL, "ENTRA_CA": d.entra.CA.File, "TENANTS": peers.TenantA + " " + peers.TenantB,
		},
	})
	d.logs.forbid(secret)
	d.keys = []string{held.Text, held.Text, narrow.Text, disabled.Text, nobody.Text}
	d.nobody = nobody.Text
	answers := d.answers(t)
	d.asked.other = func(w http.ResponseWriter, r *http.Request) {
		digest := sha256.Sum256([]byte(r.PostFormValue("token")))
		saying(answers[int(digest[0])%len(answers)])(w, r)
	}
	iss := d.issuer.URL
	for _, rule := range []object{
		{"kind": "jti", "value": "revoked-jti", "issuer": iss},
		{"kind": "sub", "value": "revoked-sub", "issuer": iss},
		{"kind": "client", "value": "revoked-client", "any_issuer": true},
		{"kind": "issuer", "value": iss, "not_before": time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Second).Format(time.RFC3339)},
		{"kind": "sub", "value": "revoked-sub", "issuer": d.entra.Iss(peers.TenantA)},
		{"kind": "token", "value": opaqueToken(0)},
		{"kind": "token", "value": opaqueToken(1)},
		{"kind": "token", "value": opaqueToken(2)},
		{"kind": "key", "value": "narrow"},
	} {
		d.addRule(t, rule)
	}
	return d
}

// answers are what the issuer says of tokens, none of it a failure of the issuer.
func (d *agentFixture) answers(t *testing.T) []string {
	t.Helper()
	now := time.Now()
	in := func(by time.Duration) int64 { return now.Add(by).Unix() }
	list := []string{`{"active":false}`, `{"active":false,"sub":"alice","exp":1}`}
	for _, changes := range []map[string]any{
		nil, nil, nil, nil, {"scope": "admin"}, {"scope": "orders:read"}, {"scope": nil}, {"scope": 7}, {"scp": []string{"read"}, "scope": nil},
		{"iss": d.issuer.URL}, {"iss": d.issuer.URL + "/"}, {"iss": 7}, {"aud": nil}, {"aud": "https://other.example.test"}, {"aud": []string{"x", audience}}, {"aud": []any{1}},
		{"exp": nil}, {"exp": in(-time.Hour)}, {"exp": "x"}, {"nbf": in(time.Hour)}, {"iat": in(-45 * time.Minute)}, {"iat": nil}, {"iat": true},
		{"jti": "revoked-jti"}, {"jti": nil}, {"jti": 7}, {"sub": "revoked-sub"}, {"sub": nil}, {"sub": ""}, {"sub": "a\x00b"}, {"client_id": "revoked-client"}, {"client_id": 7},
		{"token_type": nil}, {"token_type": "refresh_token"}, {"typ": "ID"}, {"token_use": "access"}, {"token_type": "DPoP"}, {"token_type": "DPoP", "cnf": map[string]any{"jkt": "x"}}, {"cnf": "x"},
	} {
		list = append(list, aboutToken(t, changes))
	}
	return list
}

func opaqueToken(n int) string { return fmt.Sprintf("ory_at_%024d", n) }

// TestExplainAgreesWithTheServerForAgents makes up requests of agents: messages with and
// without faults, opaque tokens, tokens of tenants, and requests for metadata.
func TestExplainAgreesWithTheServerForAgents(t *testing.T) {
	t.Parallel()
	total, seed := randomQuestions(t)
	d := newAgentFixture(t)
	verdicts, reasons := d.agrees(t, total, seed, d.make)
	if accepted := verdicts["accepted"]; accepted < total/10 || accepted > total*8/10 || verdicts["anonymous"] < total/500 || len(reasons) < 25 {
		t.Errorf("of %d requests %d are accepted and %d pass without anybody, for %d reasons others are not: they are not varied",
			total, accepted, verdicts["anonymous"], len(reasons)-1)
	}
	for _, key := range d.keys { // made elsewhere, so that nothing in the text says what it is
		if n := d.asked.times(key); n != 0 && key != d.nobody {
			t.Errorf("the issuer was asked about an API key %d times", n)
		}
	}
	if n := d.asked.strangers(); n != 0 {
		t.Errorf("%d requests to the issuer were no question of the client", n)
	}
}

// make makes up a request.
func (d *agentFixture) make(t *testing.T, r *mathrand.Rand) asked {
	t.Helper()
	q := asked{headers: http.Header{}, host: pick(r,
		"tools.example.test", "tools.example.test", "tools.example.test", "gates.example.test", "watched.example.test",
		"opaque.example.test", "opaque.example.test", "alone.example.test", "both.example.test",
		"tenants.example.test", "everyone.example.test", "a.resource.example.test", "b.resource.example.test", "c.resource.example.test")}
	switch q.host {
	case "tools.example.test", "gates.example.test", "watched.example.test":
		d.message(&q, r)
	default:
		q.method, q.uri = pick(r, "GET", "GET", "POST", "OPTIONS"), pick(r, "/", "/api/x", "/api/y", "/orders")
		q.introspect = true
	}
	if strings.Contains(q.host, "resource") && r.IntN(2) == 0 || q.host == "tools.example.test" && r.IntN(12) == 0 {
		q.method = pick(r, "GET", "GET", "OPTIONS", "POST", "DELETE")
		q.uri = pick(r, "", "/") + "/.well-known/oauth-protected-resource" + pick(r, "", "/api", "/api", "/mcp", "/mcp/", "/%61pi", "/x", "?a=b", "/api?a=b")
		q.body, q.emptyBody = "", q.method == "POST"
	}
	if r.IntN(6) == 0 {
		q.headers.Set("Origin", "https://x.example.test")
		if r.IntN(2) == 0 {
			q.headers.Set("Access-Control-Request-Method", "POST")
		}
	}
	switch r.IntN(12) {
	case 0:
		return q
	case 1:
		q.key = pick(r, d.keys...)
		return q
	case 2:
		if q.host == "alone.example.test" { // it has no API keys, and knows none
			return q
		}
		q.headers.Add("Authorization", "Bearer "+pick(r, d.keys...))
		if r.IntN(2) == 0 {
			return q
		}
	case 3:
		q.key = pick(r, d.keys...)
	}
	if q.host == "gates.example.test" {
		q.key = pick(r, d.keys...)
	}
	q.token = d.token(t, q.host, r)
	return q
}

// token is one for a site.
func (d *agentFixture) token(t *testing.T, host string, r *mathrand.Rand) string {
	t.Helper()
	k := keys(t)
	changes := map[string]any{"scope": pick[any](r, "read", "read write", "write", "admin", "admin", "orders:read", nil), "tenant": pick[any](r, "acme", "acme", "b", nil)}
	switch r.IntN(14) {
	case 0:
		changes["exp"] = time.Now().Add(-time.Hour).Unix()
	case 1:
		changes[pick(r, "jti", "sub", "client_id")] = pick(r, "revoked-jti", "revoked-sub", "revoked-client")
	case 2:
		changes["aud"] = pick[any](r, "https://other.example.test", nil, "https://a.resource.example.test")
	}
	switch host {
	case "opaque.example.test", "alone.example.test", "both.example.test":
		switch r.IntN(6) {
		case 0, 1, 2, 3:
			return opaqueToken(r.IntN(120))
		case 4:
			return pick(r, "short", "a b", "opaque_token_with_é_in_it", "====================", strings.Repeat("x", 5000), "a.b.c.d.e.f.g.h.i.j.k", strings.Repeat("a", 16)+"=a", "eyJhbGciOiJkaXIifQ..aaaa.bbbbb.cccc", "..", "aaaaaaaaaaaaaaaaaaaaaa.bbb")
		}
	case "tenants.example.test", "everyone.example.test":
		return d.entraToken(t, r)
	case "a.resource.example.test", "b.resource.example.test", "c.resource.example.test":
		changes["aud"] = pick[any](r, fmt.Sprintf("https://a.resource.example.test:%d/api", d.plain), fmt.Sprintf("https://a.resource.example.test:%d/api", d.plain),
			fmt.Sprintf("https://b.resource.example.test:%d", d.plain), fmt.Sprintf("https://b.resource.example.test:%d/", d.plain), fmt.Sprintf("https://a.resource.example.test:%d/api/", d.plain), "https://a.resource.example.test/api")
	}
	return pick(r, k.ES256, k.EdDSA, k.RS256, k.Plain).Token(t, d.claims(changes), nil)
}

// entraToken is one of a tenant, or nearly one.
func (d *agentFixture) entraToken(t *testing.T, r *mathrand.Rand) string {
	t.Helper()
	e := d.entra
	tenant := pick(r, peers.TenantA, peers.TenantA, peers.TenantB, peers.TenantB, peers.TenantC, peers.ConsumerTenant)
	claims := e.Claims(tenant, audience, nil)
	if r.IntN(5) == 0 {
		claims = e.AppClaims(tenant, audience, pick(r, "Orders.Read.All", "x"))
	}
	if r.IntN(3) == 0 {
		maps.Copy(claims, pick(r,
			map[string]any{"tid": peers.TenantC}, map[string]any{"tid": 7}, map[string]any{"tid": strings.ToUpper(tenant)}, map[string]any{"iss": e.Iss("{tid}")},
			map[string]any{"iss": e.Iss("organizations")}, map[string]any{"iss": e.Iss(strings.ToUpper(tenant))}, map[string]any{"iss": e.URL}, map[string]any{"iss": d.issuer.URL},
			map[string]any{"oid": ""}, map[string]any{"oid": 7}, map[string]any{"sub": "revoked-sub"}, map[string]any{"azp": "revoked-client"}, map[string]any{"exp": 1}, map[string]any{"aud": "x"}))
	}
	for _, name := range []string{"tid", "oid", "scp", "iss"} {
		if r.IntN(20) == 0 {
			delete(claims, name)
		}
	}
	key := pick(r, e.All, e.All, e.All, e.OfC, e.Consumers, e.Unnamed, e.Elsewhere)
	if r.IntN(6) == 0 {
		return key.Token(t, claims, map[string]any{"kid": nil})
	}
	return key.Token(t, claims, nil)
}

// message makes a message the body of a request: as clients send it in one of two, or with
// faults in it or around it.
func (d *agentFixture) message(q *asked, r *mathrand.Rand) {
	q.method, q.uri = "POST", "/mcp"
	q.headers.Set("Content-Type", "application/json")
	method := pick(r, "tools/call", "tools/call", "tools/call", "tools/list", "prompts/get", "resources/read", "completion/complete", "initialize", "ping", "notifications/initialized", "x/y")
	version := pick(r, mcpVersions...)
	var params, name string
	switch method {
	case "tools/call":
		name = pick(r, "list", "list", "delete_all", "Drop", "other", "delete_\u00e9")
		params = fmt.Sprintf(`"name":%q,"arguments":{"a":[1,2e3,{"b":null}]}`, name)
	case "prompts/get":
		name = pick(r, "secret", "greet")
		params = fmt.Sprintf(`"name":%q`, name)
	case "resources/read":
		name = pick(r, "file:///secret/a", "file:///%73ecret/a", "file:///public/../secret/a", "file:///a")
		params = fmt.Sprintf(`"uri":%q`, name)
	case "completion/complete":
		params = pick(r, `"ref":{"type":"ref/prompt","name":"secret"}`, `"ref":{"type":"ref/resource","uri":"file:///secret/a"}`, `"ref":{"type":"x"}`)
	}
	q.body = message(method, params, version)
	for _, line := range headersOf(version, method, name) {
		header, value, _ := strings.Cut(line, ": ")
		if strings.ContainsFunc(value, func(c rune) bool { return c > '~' }) {
			value = sentinel(value)
		}
		q.headers.Set(header, value)
	}
	if r.IntN(10) == 0 && version < "2025-06-18" {
		q.body = "[" + q.body + pick(r, "", ",", ","+message("tools/call", `"name":"delete_all"`, ""), `,{"jsonrpc":"2.0","id":1,"result":{}}`) + "]"
	}
	if r.IntN(2) == 0 {
		return
	}
	switch r.IntN(10) {
	case 0:
		q.method = pick(r, "GET", "DELETE", "OPTIONS", "PUT", "PATCH", "QUERY")
		if r.IntN(3) > 0 {
			q.body = ""
		}
	case 1:
		q.headers["Content-Type"] = pick(r, []string{"text/plain"}, []string{""}, []string{"application/json", "application/json"}, []string{"application/json; charset=utf-16"},
			[]string{"application/json;charset=UTF-8"}, []string{"application/json;"})
	case 2:
		q.headers.Set(pick(r, "Content-Encoding", "Upgrade", "X-HTTP-Method-Override", "X_HTTP_Method", "Mcp_Name", "Content_Type"), pick(r, "gzip", "identity", "x"))
	case 3:
		q.headers.Set(pick(r, "Mcp-Name", "Mcp-Method", "MCP-Protocol-Version"), pick(r, "x", "list", "tools/call", "2026-07-28", "2025-06-18", "=?base64?bGlzdA==?=", "=?base64?%?=", "é", ""))
	case 4:
		q.headers.Add(pick(r, "Mcp-Name", "Mcp-Method", "MCP-Protocol-Version"), pick(r, "x", "list", "2026-07-28"))
	case 5:
		q.headers.Del(pick(r, "Mcp-Name", "Mcp-Method", "MCP-Protocol-Version"))
	case 6:
		q.body, q.emptyBody = "", true
	case 7:
		q.body += strings.Repeat(" ", pick(r, 900, 1<<10, 2<<10))
	default:
		// Questions are JSON, which has no bytes that are no UTF-8.
		q.body = strings.ToValidUTF8(broken(r, q.body), "?")
		q.emptyBody = q.body == ""
	}
}
