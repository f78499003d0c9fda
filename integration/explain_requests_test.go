package integration

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// badRequests are refused for other things than a bad token.
func (d *explainFixture) badRequests(t *testing.T) []kind {
	t.Helper()
	k := keys(t)
	token := func(changes map[string]any) string { return k.ES256.Token(t, d.claims(changes), nil) }
	good, other := token(nil), token(map[string]any{"sub": "other"})
	basic := func(key *peers.APIKey) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+key.Text))
	}
	rules, places := "rules.example.test", "places.example.test"
	list := []kind{
		{name: "nothing", asked: asked{host: site}, verdict: "refused", reason: "missing_credentials", detail: "", check: "credentials", wanted: "Authorization"},
		{name: "another scheme", asked: asked{host: site, headers: http.Header{"Authorization": {"Digest x"}}}, verdict: "refused", reason: "missing_credentials", check: "credentials", wanted: "Authorization"},
		{name: "an empty token", asked: asked{host: site, headers: http.Header{"Authorization": {"Bearer"}}}, verdict: "refused", reason: "malformed_request", check: "credentials"},
		{name: "a header twice", asked: asked{host: site, headers: http.Header{"Authorization": {"Bearer " + good, "Bearer " + other}}}, verdict: "refused", reason: "multiple_credentials", check: "credentials"},
		{name: "two tokens", asked: asked{host: places, headers: http.Header{"Authorization": {"Bearer " + good}, "Cookie": {"session=" + other}}}, verdict: "refused", reason: "multiple_credentials", check: "credentials"},
		{name: "two tokens, one in the query", asked: asked{host: places, uri: "/?access_token=" + other, headers: http.Header{"Authorization": {"Bearer " + good}}}, verdict: "refused", reason: "multiple_credentials", check: "credentials"},
		{name: "two keys", asked: asked{host: places, uri: "/?api_key=" + d.expired.Text, headers: http.Header{"X-Api-Key": {d.held.Text}}}, verdict: "refused", reason: "multiple_credentials", check: "credentials"},
		{name: "a cookie from another origin", asked: asked{host: places, method: "POST", headers: http.Header{"Cookie": {"session=" + good}, "Origin": {"https://evil.example.test"}}}, verdict: "refused", reason: "cross_origin", check: "credentials", seen: "", wanted: ""},
		{name: "Basic from another site", asked: asked{host: places, method: "POST", headers: http.Header{"Authorization": {basic(d.held)}, "Sec-Fetch-Site": {"cross-site"}}}, verdict: "refused", reason: "cross_origin", check: "credentials"},
		{name: "an unknown key", asked: asked{host: site, key: d.nobody.Text}, verdict: "refused", reason: "unknown_api_key", check: "api_key"},
		{name: "an expired key", asked: asked{host: site, key: d.expired.Text}, verdict: "refused", reason: "api_key_expired", check: "api_key"},
		{name: "a disabled key", asked: asked{host: site, key: d.disabled.Text}, verdict: "refused", reason: "api_key_disabled", check: "api_key"},
		{name: "a disabled key of a store", asked: asked{host: site, key: d.storedOff.Key}, verdict: "refused", reason: "api_key_disabled", check: "api_key"},
		{name: "a revoked key", asked: asked{host: site, key: d.storedRevoked.Key}, verdict: "refused", reason: "revoked", detail: "the API key is revoked", check: "revocations"},
		{name: "a good token with an unknown key", asked: asked{host: site, token: good, key: d.nobody.Text}, verdict: "refused", reason: "unknown_api_key", check: "api_key"},
		{name: "a good key with an expired token", asked: asked{host: site, token: token(map[string]any{"exp": 1}), key: d.held.Text}, verdict: "refused", reason: "expired", check: "expires"},
		{name: "no scope for the path", asked: asked{host: rules, uri: "/orders/1", token: good}, verdict: "refused", reason: "insufficient_scope", detail: "", check: "scope", seen: "read", wanted: "orders:read"},
		{name: "another tenant", asked: asked{host: rules, uri: "/v1/x", token: token(map[string]any{"tenant": "other"})}, verdict: "refused", reason: "forbidden", check: "claim", seen: "other", wanted: "acme"},
		{name: "no tenant", asked: asked{host: rules, uri: "/v1/x", token: good}, verdict: "refused", reason: "forbidden", check: "claim", wanted: "acme"},
		{name: "another method", asked: asked{host: rules, uri: "/v1/x", method: "DELETE", token: token(map[string]any{"tenant": "acme"})}, verdict: "refused", reason: "forbidden", check: "expression", wanted: "GET"},
		{name: "another header", asked: asked{host: rules, uri: "/r/x", headers: http.Header{"X-Tenant": {"b"}}, token: token(map[string]any{"tenant": "a"})}, verdict: "refused", reason: "forbidden", check: "expression", wanted: "X-Tenant"},
		{name: "an expression about a claim", asked: asked{host: rules, uri: "/else", token: token(map[string]any{"level": 2})}, verdict: "refused", reason: "forbidden", check: "expression", wanted: "level"},
		{name: "the second handler of three", asked: asked{host: "chain.example.test", uri: "/admin/x", token: good, key: d.held.Text}, verdict: "refused", reason: "insufficient_scope", check: "scope", wanted: "admin"},
		{name: "the last handler of a chain", asked: asked{host: "chain.example.test", uri: "/x", token: good}, verdict: "refused", reason: "missing_credentials", check: "credentials", wanted: "X-Api-Key"},
		{name: "a named route", asked: asked{host: "invoked.example.test", token: token(map[string]any{"scope": "read"})}, verdict: "refused", reason: "insufficient_scope", check: "scope", wanted: "write"},
		{name: "nobody, and an expression that asks for somebody", asked: asked{host: "optional.example.test", method: "POST"}, verdict: "refused", reason: "missing_credentials", check: "expression", wanted: "anonymous"},
		{name: "a claim that no header can carry", asked: asked{host: "forward.example.test", token: token(map[string]any{"email": "a\nb"})}, verdict: "refused", reason: "unforwardable_claim", detail: "*", check: "forward"},
	}
	return append(list, d.badMessages(t)...)
}

// badMessages are refused for what they are, or for the tool that they call.
func (d *explainFixture) badMessages(t *testing.T) []kind {
	t.Helper()
	message := func(body string, more http.Header) asked {
		headers := http.Header{"Content-Type": {"application/json"}}
		maps.Copy(headers, more)
		return asked{host: "mcp.example.test", token: keys(t).RS256.Token(t, d.claims(nil), nil), headers: headers, body: body}
	}
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	put := message(list, nil)
	put.method = http.MethodPut
	return []kind{
		{name: "a tool without the scope", asked: message(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Delete_all"}}`, nil), verdict: "refused", reason: "insufficient_scope", check: "scope", wanted: "admin"},
		{name: "a member twice", asked: message(`{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`, nil), verdict: "refused", reason: "malformed_message", detail: "an object in the body has two members of one name", check: "message"},
		{name: "a header that lies", asked: message(list, http.Header{"Mcp-Method": {"tools/call"}}), verdict: "refused", reason: "header_mismatch", detail: "Mcp-Method differs from the body", check: "message"},
		{name: "an HTTP method that the protocol has not", asked: put, verdict: "refused", reason: "method_not_allowed", check: "message", seen: "PUT"},
		{name: "a form", asked: message(list, http.Header{"Content-Type": {"text/plain"}}), verdict: "refused", reason: "unsupported_media_type", detail: "*", check: "message", seen: "text/plain"},
		{name: "a message that is too long", asked: message(list+strings.Repeat(" ", 1<<10), nil), verdict: "refused", reason: "body_too_large", check: "message"},
	}
}

// goodOnes are not refused.
func (d *explainFixture) goodOnes(t *testing.T) []kind {
	t.Helper()
	k := keys(t)
	token := func(changes map[string]any) string { return k.ES256.Token(t, d.claims(changes), nil) }
	good := token(nil)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(d.held.Text+":"))
	preflight := http.Header{"Origin": {"https://a.example.test"}, "Access-Control-Request-Method": {"PUT"}}
	return []kind{
		{name: "RS256", asked: asked{host: site, token: k.RS256.Token(t, d.claims(nil), nil)}, verdict: "accepted"},
		{name: "EdDSA", asked: asked{host: site, token: k.EdDSA.Token(t, d.claims(nil), nil)}, verdict: "accepted"},
		{name: "a secret", asked: asked{host: "secret.example.test", token: k.HS256.Token(t, peers.Claims("https://hmac.example.test", audience, nil), nil)}, verdict: "accepted"},
		{name: "an access token", asked: asked{host: "strict.example.test", token: k.RS256.Token(t, d.claims(map[string]any{"email": "a@example.test"}), map[string]any{"typ": "at+jwt"})}, verdict: "accepted"},
		{name: "a key in a file", asked: asked{host: site, key: d.held.Text}, verdict: "accepted"},
		{name: "a key in the config", asked: asked{host: site, key: d.written.Text}, verdict: "accepted"},
		{name: "a key of a store", asked: asked{host: site, key: d.stored.Key}, verdict: "accepted"},
		{name: "a token and a key", asked: asked{host: site, token: good, key: d.held.Text}, verdict: "accepted"},
		{name: "a token in the query", asked: asked{host: "places.example.test", uri: "/?access_token=" + good}, verdict: "accepted"},
		{name: "a token in a cookie", asked: asked{host: "places.example.test", headers: http.Header{"Cookie": {"a=b; session=" + good}}}, verdict: "accepted"},
		{name: "a cookie of the site's own page", asked: asked{host: "places.example.test", method: "POST", headers: http.Header{"Cookie": {"session=" + good}, "Origin": {d.origin("places.example.test")}}}, verdict: "accepted"},
		{name: "Basic", asked: asked{host: "places.example.test", headers: http.Header{"Authorization": {basic}}}, verdict: "accepted"},
		{name: "scopes for the path", asked: asked{host: "rules.example.test", uri: "/orders", token: token(map[string]any{"scope": "orders:read read"})}, verdict: "accepted"},
		{name: "the tenant", asked: asked{host: "rules.example.test", uri: "/v1/x?y=z", token: token(map[string]any{"tenant": []string{"b", "acme"}})}, verdict: "accepted"},
		{name: "the header", asked: asked{host: "rules.example.test", uri: "/r/x", headers: http.Header{"X-Tenant": {"a"}}, token: token(map[string]any{"tenant": "a"})}, verdict: "accepted"},
		{name: "a chain of three", asked: asked{host: "chain.example.test", uri: "/admin/x", token: token(map[string]any{"scope": "admin"}), key: d.held.Text}, verdict: "accepted"},
		{name: "nobody, optional", asked: asked{host: "optional.example.test"}, verdict: "anonymous"},
		{name: "a preflight", asked: asked{host: "optional.example.test", method: "OPTIONS", headers: preflight}, verdict: "anonymous"},
		{name: "report mode", asked: asked{host: "report.example.test", token: good}, verdict: "anonymous", reason: "insufficient_scope", check: "scope", wanted: "admin"},
		{name: "report mode, an expired token", asked: asked{host: "report.example.test", token: token(map[string]any{"exp": 1})}, verdict: "anonymous", reason: "expired", check: "expires"},
		{name: "report mode, nothing to report", asked: asked{host: "report.example.test", token: token(map[string]any{"scope": "admin"})}, verdict: "accepted"},
		{name: "a site without jwt", asked: asked{host: "open.example.test", token: good}, verdict: "unprotected"},
	}
}
