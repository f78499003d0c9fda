package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The token endpoint takes a POST of one small form over a secure connection, and nothing else.
// What is wrong with a request is said by RFC 6749 section 5.2, and by nothing of the request.
func TestThreat42_TheTokenEndpointIsStrict(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	key := n.newClientKey(t, nil)
	basic, grant := clientBasic(key.ID, key.Key), "grant_type=client_credentials"
	contentType := func(text string) change {
		return func(r *http.Request) { r.Header["Content-Type"] = strings.Split(text, "|") }
	}
	for _, c := range []struct {
		what, method, path, body string
		changes                  []change
		status                   int
		code                     string
	}{
		{"GET", http.MethodGet, tokenPath + "?" + grant, "", nil, 405, "invalid_request"},
		{"GET with a body", http.MethodGet, tokenPath, grant, nil, 405, "invalid_request"},
		{"PUT", http.MethodPut, tokenPath, grant, nil, 405, "invalid_request"},
		{"DELETE", http.MethodDelete, tokenPath, "", nil, 405, "invalid_request"},
		{"a preflight of another origin", http.MethodOptions, tokenPath, "", []change{header("Origin", "https://evil.example.test"), header("Access-Control-Request-Method", "POST")}, 405, "invalid_request"},
		{"JSON", http.MethodPost, tokenPath, `{"grant_type":"client_credentials"}`, []change{contentType("application/json")}, 400, "invalid_request"},
		{"a form said to be JSON", http.MethodPost, tokenPath, grant, []change{contentType("application/json")}, 400, "invalid_request"},
		{"multipart", http.MethodPost, tokenPath, "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--x--", []change{contentType("multipart/form-data; boundary=x")}, 400, "invalid_request"},
		{"text, as pages of any origin can send", http.MethodPost, tokenPath, grant, []change{contentType("text/plain")}, 400, "invalid_request"},
		{"two types", http.MethodPost, tokenPath, grant, []change{contentType("application/x-www-form-urlencoded|text/plain")}, 400, "invalid_request"},
		{"UTF-16", http.MethodPost, tokenPath, grant, []change{contentType("application/x-www-form-urlencoded; charset=utf-16")}, 400, "invalid_request"},
		{"compressed", http.MethodPost, tokenPath, grant, []change{header("Content-Encoding", "gzip")}, 400, "invalid_request"},
		{"no body", http.MethodPost, tokenPath, "", nil, 400, "invalid_request"},
		{"no grant", http.MethodPost, tokenPath, "scope=read", nil, 400, "invalid_request"},
		{"an unknown grant", http.MethodPost, tokenPath, "grant_type=password&username=a&password=b", nil, 400, "unsupported_grant_type"},
		{"refresh tokens", http.MethodPost, tokenPath, "grant_type=refresh_token&refresh_token=abc", nil, 400, "unsupported_grant_type"},
		{"the grant twice", http.MethodPost, tokenPath, grant + "&" + grant, nil, 400, "invalid_request"},
		{"the scope twice", http.MethodPost, tokenPath, grant + "&scope=read&scope=read", nil, 400, "invalid_request"},
		{"an unknown parameter twice", http.MethodPost, tokenPath, grant + "&x=1&x=2", nil, 400, "invalid_request"},
		{"the grant in the query", http.MethodPost, tokenPath + "?" + grant, "", nil, 400, "invalid_request"},
		{"the scope in the query", http.MethodPost, tokenPath + "?scope=read", grant, nil, 400, "invalid_request"},
		{"the secret in the query", http.MethodPost, tokenPath + "?client_id=" + key.ID + "&client_secret=" + strings.Repeat("s", 40), grant, nil, 400, "invalid_request"},
		{"a broken escape", http.MethodPost, tokenPath, grant + "&scope=%zz", nil, 400, "invalid_request"},
		{"a semicolon", http.MethodPost, tokenPath, "grant_type=client_credentials;scope=read", nil, 400, "unsupported_grant_type"},
		{"8 KiB and more", http.MethodPost, tokenPath, large(8 << 10), nil, 413, "invalid_request"},
		{"10 MB", http.MethodPost, tokenPath, large(10_000_000), nil, 413, "invalid_request"},
		{"Basic and a secret in the form", http.MethodPost, tokenPath, grant + "&client_id=" + key.ID + "&client_secret=" + key.Key, nil, 400, "invalid_request"},
		{"Basic and an API key in its header", http.MethodPost, tokenPath, grant, []change{apiKey(key.Key)}, 400, "invalid_request"},
		{"Authorization twice", http.MethodPost, tokenPath, grant, []change{basic}, 400, "invalid_request"},
		{"plain HTTP", http.MethodPost, tokenPath, grant, []change{unsaid}, 400, "invalid_request"},
		{"plain HTTP that the proxy saw", http.MethodPost, tokenPath, grant, []change{from("203.0.113.7"), header("X-Forwarded-Proto", "http")}, 400, "invalid_request"},
		{"what the client says of TLS besides", http.MethodPost, tokenPath, grant, []change{header("X-Forwarded-Proto", "https"), header("X-Forwarded-Proto", "http")}, 400, "invalid_request"},
		{"GET of the revocation endpoint", http.MethodGet, revokePath, "", nil, 405, "invalid_request"},
		{"JSON for introspection", http.MethodPost, introspectPath, `{"token":"x"}`, []change{contentType("application/json")}, 400, "invalid_request"},
		{"introspection without a client", http.MethodPost, introspectPath, "token=x", []change{func(r *http.Request) { r.Header.Del("Authorization") }}, 401, "invalid_client"},
		{"10 MB to revoke", http.MethodPost, revokePath, large(10_000_000), nil, 413, "invalid_request"},
	} {
		t.Run(c.what, func(t *testing.T) {
			a, err := n.tryRequest(c.method, authHost, c.path, c.body, append(append([]change{basic}, c.changes...), formType)...)
			if err != nil && len(c.body) > 1<<20 {
				// The server closes the connection before it has read all.
				return
			}
			if err != nil || a.status != c.status {
				t.Fatalf("status %d, %v, %s; want %d", a.status, err, a.body, c.status)
			}
			a.noToken(t, c.code)
			if strings.Contains(a.body, "grant_type=") || strings.Contains(a.body, key.Key) || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%v %s", a.header, a.body)
			}
			if allow := a.header.Get("Allow"); (c.status == 405) != (allow == http.MethodPost) {
				t.Errorf("Allow is %q", allow)
			}
		})
	}
	t.Run("what is right", func(t *testing.T) {
		n.withKeyOf(t, key).token(t)
		for what, changes := range map[string][]change{
			"over a proxy's TLS":   {from("203.0.113.7"), basic},
			"with a charset":       {contentType("application/x-www-form-urlencoded;charset=UTF-8"), basic},
			"by the API key alone": {apiKey(key.Key)},
			"from another origin":  {header("Origin", "https://evil.example.test"), basic},
		} {
			a := n.form(t, tokenPath, []string{"grant_type", "client_credentials"}, changes...)
			if a.token(t); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: a page of another origin can read it", what)
			}
		}
	})
	t.Run("other hosts and paths are the site's own", func(t *testing.T) {
		for host, path := range map[string]string{"open.example.test": tokenPath, authHost: tokenPath + "/", reportsHost: "/.well-known/jwks.json"} {
			if a := n.request(t, http.MethodPost, host, path, grant, basic, formType); strings.Contains(a.body, "access_token") || strings.Contains(a.body, "invalid_") {
				t.Errorf("%s%s: %s", host, path, a.body)
			}
		}
	})
}

// Clients have ids of one namespace, one way to prove who they are, and say the same id in each
// place of a request.
func TestThreat67_ClientsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	key, other := n.newClientKey(t, nil), n.newClientKey(t, nil)
	twin := peers.NewAPIKey(t, "deployer", map[string]any{"scopes": []string{"deploy", "read"}})
	n.must(t, http.StatusCreated, http.MethodPost, "/jwt/api-keys", object{"store": "partners", "import": []object{twin.Record}})
	const credentials = "client_credentials"
	grant := []string{"grant_type", credentials}
	with := func(fields ...string) []string { return append(slices.Clone(grant), fields...) }
	signed := func(id string) string { return assertion(t, id, nil, nil) }
	for _, c := range []struct {
		what    string
		fields  []string
		changes []change
		code    string
	}{
		{"an API key whose id is that of a client that signs, in Basic", grant, []change{clientBasic("deployer", twin.Text)}, "invalid_client"},
		{"in the form", with("client_id", "deployer", "client_secret", twin.Text), nil, "invalid_client"},
		{"in its own header", grant, []change{apiKey(twin.Text)}, "invalid_client"},
		{"another key's id in Basic", grant, []change{clientBasic(other.ID, key.Key)}, "invalid_client"},
		{"another key's id in the form beside Basic", with("client_id", other.ID), []change{clientBasic(key.ID, key.Key)}, "invalid_client"},
		{"another key's id beside the header", with("client_id", other.ID), []change{apiKey(key.Key)}, "invalid_client"},
		{"the id in capitals", grant, []change{clientBasic(strings.ToUpper(key.ID)+"X", key.Key)}, "invalid_client"},
		{"an assertion beside another id", asserted(signed("deployer"), "client_id", "legacy"), nil, "invalid_client"},
		{"an assertion beside the id of an API key", asserted(signed("deployer"), "client_id", key.ID), nil, "invalid_client"},
		{"an assertion for the id of an API key", asserted(signed(key.ID), "client_id", key.ID), nil, "invalid_client"},
		{"an assertion and Basic", asserted(signed("deployer")), []change{clientBasic(key.ID, key.Key)}, "invalid_request"},
		{"an assertion and a secret", asserted(signed("deployer"), "client_id", key.ID, "client_secret", key.Key), nil, "invalid_request"},
		{"an assertion and an API key", asserted(signed("deployer")), []change{apiKey(key.Key)}, "invalid_request"},
		{"an assertion without its type", with("client_assertion", signed("deployer")), nil, "invalid_request"},
		{"an assertion of another type", with("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", signed("deployer")), nil, "invalid_client"},
		{"a secret for a client that signs", with("client_id", "deployer", "client_secret", key.Key), nil, "invalid_client"},
		{"any secret for it", grant, []change{clientBasic("deployer", "secret")}, "invalid_client"},
		{"an empty secret", with("client_id", key.ID, "client_secret", ""), nil, "invalid_client"},
		{"an empty secret in Basic", grant, []change{clientBasic(key.ID, "")}, "invalid_client"},
		{"a client without keys", with("client_id", "ci"), nil, "invalid_client"},
		{"an assertion for it", asserted(signed("ci")), nil, "invalid_client"},
		{"an id alone", with("client_id", key.ID), nil, "invalid_client"},
		{"nothing", grant, nil, "invalid_client"},
		{"the key's id as its secret", grant, []change{clientBasic(key.ID, key.ID)}, "invalid_client"},
		{"a Bearer token", grant, []change{bearer(signed("deployer"))}, "invalid_client"},
	} {
		t.Run(c.what, func(t *testing.T) { n.form(t, tokenPath, c.fields, c.changes...).noToken(t, c.code) })
	}
	t.Run("what is right", func(t *testing.T) {
		for _, token := range []string{
			n.withKeyOf(t, key).token(t), n.withKeyOf(t, key, "client_id", key.ID).token(t),
			n.form(t, tokenPath, with("client_id", key.ID, "client_secret", key.Key)).token(t),
		} {
			if c := claimsOf(t, token); c["client_id"] != key.ID || c["sub"] != key.ID || headerOf(t, token)["typ"] != "at+jwt" {
				t.Error(c)
			}
			n.is(t, "at the site", n.at(site, token), accepted)
		}
		if c := claimsOf(t, n.form(t, tokenPath, asserted(signed("deployer"), "client_id", "deployer")).token(t)); c["client_id"] != "deployer" {
			t.Error(c)
		}
	})
	t.Run("the operator is told of the key that is no client", func(t *testing.T) {
		if n.logged(0, "an API key has the id of a client of the config") == 0 {
			t.Errorf("no line\n%s", n.logs)
		}
	})
	t.Run("unknown clients and wrong secrets can't be told apart", func(t *testing.T) {
		n.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+other.ID, object{"enabled": false})
		var first answer
		for i, c := range []change{
			clientBasic(key.ID, key.Key[:len(key.Key)-1]+"x"), clientBasic("nobody", key.Key[:len(key.Key)-1]+"y"), clientBasic(other.ID, other.Key), clientBasic("deployer", twin.Text),
		} {
			a := n.form(t, tokenPath, grant, c)
			if i == 0 {
				first = a
			}
			if a.body != first.body || a.status != first.status || a.header.Get("WWW-Authenticate") != first.header.Get("WWW-Authenticate") {
				t.Errorf("%d %s; the first is %d %s", a.status, a.body, first.status, first.body)
			}
		}
	})
}

// A client gets a token for one resource that it may ask for, and never more scopes than it has.
func TestThreat68_NoOtherResourceAndNoMoreScopes(t *testing.T) {
	t.Parallel()
	const reportsSite = "audience https://reports.example.test\n\t}\n\trespond"
	sites := attackedSites(t)
	if strings.Count(sites, reportsSite) != 1 {
		t.Fatal("no such site")
	}
	sites = strings.Replace(sites, reportsSite, "audience https://reports.example.test\n\t\trequire scope list:names\n\t\tscope_implies report list:names\n\t}\n\trespond", 1)
	n := startServiceWith(t, serviceOptionsWith(t, "", "scope_implies write list\n\t\tscope_implies list list:names\n\t\tscope_implies admin write drop"), sites, nil)
	key := n.newClientKey(t, object{"scopes": []string{"read", "write", "caddy-jwt:keys"}})
	many := strings.TrimSpace(strings.Repeat("read ", 1600))
	for _, c := range []struct {
		what   string
		fields []string
		code   string
	}{
		{"a resource of other clients", []string{"resource", "https://admin.example.test"}, "invalid_target"},
		{"a part of one", []string{"resource", "https://api.example"}, "invalid_target"},
		{"one in capitals", []string{"resource", "https://API.example.test"}, "invalid_target"},
		{"one with a slash", []string{"resource", audience + "/"}, "invalid_target"},
		{"one with a port", []string{"resource", audience + ":443"}, "invalid_target"},
		{"one with a fragment", []string{"resource", audience + "#x"}, "invalid_target"},
		{"one with an empty fragment", []string{"resource", audience + "#"}, "invalid_target"},
		{"one with spaces", []string{"resource", " " + audience}, "invalid_target"},
		{"no URL", []string{"resource", "api"}, "invalid_target"},
		{"any", []string{"resource", "*"}, "invalid_target"},
		{"two", []string{"resource", audience, "resource", reports}, "invalid_target"},
		{"the same twice", []string{"resource", audience, "resource", audience}, "invalid_target"},
		{"two in one", []string{"resource", audience + " " + reports}, "invalid_target"},
		{"the whom forwarded tokens are for", []string{"resource", backend}, "invalid_target"},
		{"the issuer", []string{"resource", authIssuer}, "invalid_target"},
		{"a scope that it has not", []string{"scope", "admin"}, "invalid_scope"},
		{"a scope in capitals", []string{"scope", "READ"}, "invalid_scope"},
		{"a part of a scope", []string{"scope", "rea"}, "invalid_scope"},
		{"a scope of the service's own", []string{"scope", "caddy-jwt:keys"}, "invalid_scope"},
		{"a quote in a scope", []string{"scope", `read"`}, "invalid_scope"},
		{"a line feed", []string{"scope", "read\nwrite"}, "invalid_scope"},
		{"two spaces", []string{"scope", "read  write"}, "invalid_scope"},
		{"no ASCII", []string{"scope", "réad"}, "invalid_scope"},
		{"more than a thousand", []string{"scope", many}, "invalid_scope"},
		{"more than a thousand that are implied", []string{"scope", strings.ReplaceAll(many, "read", "list")}, "invalid_scope"},
		{"a scope that another implies", []string{"scope", "drop"}, "invalid_scope"},
		{"a scope that a site alone says is implied", []string{"scope", "report"}, "invalid_scope"},
		{"an implied scope in capitals", []string{"scope", "LIST"}, "invalid_scope"},
		{"a part of an implied scope", []string{"scope", "list:name"}, "invalid_scope"},
	} {
		t.Run(c.what, func(t *testing.T) { n.withKeyOf(t, key, c.fields...).noToken(t, c.code) })
	}
	for _, scope := range []string{"read ", "list "} {
		t.Run("10,000 of them: "+scope, func(t *testing.T) {
			n.withKeyOf(t, key, "scope", strings.TrimSpace(strings.Repeat(scope, 10_000))).noToken(t, "invalid_request")
		})
	}
	for _, c := range []struct{ what, asked, scope, resource, aud string }{
		{"none asked for", "", "read write", "", audience},
		{"one", "write", "write", reports, reports},
		{"some that it has not", "admin read caddy-jwt:keys deploy", "read", "", audience},
		{"twice the same", "read read read", "read", audience, audience},
		{"one that is implied", "list", "list", "", audience},
		{"one that follows from it", "list:names", "list:names", "", audience},
		{"implied ones twice", "list list:names list list:names", "list list:names", "", audience},
		{"implied ones beside others", "admin list drop write caddy-jwt:keys", "list write", "", audience},
	} {
		t.Run(c.what, func(t *testing.T) {
			var fields []string
			if c.asked != "" {
				fields = append(fields, "scope", c.asked)
			}
			if c.resource != "" {
				fields = append(fields, "resource", c.resource)
			}
			a := n.withKeyOf(t, key, fields...)
			claims := claimsOf(t, a.token(t))
			var said struct{ Scope string }
			decode(t, a.body, &said)
			if claims["scope"] != c.scope || said.Scope != c.scope || audienceOf(claims) != c.aud {
				t.Errorf("%v, said %q; want the scope %q for %s", claims, said.Scope, c.scope, c.aud)
			}
		})
	}
	t.Run("a token has what its scopes imply where it is used", func(t *testing.T) {
		for scope, want := range map[string]string{"write": accepted, "list": accepted, "list:names": accepted, "read": "403 insufficient_scope"} {
			n.is(t, scope, n.at(reportsHost, n.minted(t, key, "resource", reports, "scope", scope)), want)
		}
	})
	t.Run("a token for one site is refused by another", func(t *testing.T) {
		token := n.minted(t, key, "resource", reports)
		n.is(t, "its own", n.at(reportsHost, token), accepted)
		n.is(t, "another", n.at(site, token), "401 wrong_audience")
	})
	t.Run("scopes of the service's own are those of the config", func(t *testing.T) {
		if c := claimsOf(t, n.form(t, tokenPath, asserted(assertion(t, "console", nil, nil))).token(t)); c["scope"] != "caddy-jwt:keys read" {
			t.Errorf("a client whose block names it: %v", c)
		}
		if c := claimsOf(t, n.form(t, tokenPath, []string{"grant_type", grantBearer, "assertion", platformToken(t, nil, nil)}).token(t)); c["scope"] != "deploy" {
			t.Errorf("a platform: %v", c)
		}
	})
}

// audienceOf is the only audience of a token, or empty.
func audienceOf(claims map[string]any) string {
	switch aud := claims["aud"].(type) {
	case string:
		return aud
	case []any:
		if len(aud) == 1 {
			return fmt.Sprint(aud[0])
		}
	}
	return ""
}

// reservedClaims are those that say what a token is.
var reservedClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "azp", "acr", "auth_time"}

// What others may write into a key's record never becomes a claim that decides.
func TestThreat69_MetaSetsNoClaimThatDecides(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	meta := object{"plan": "gold"}
	for _, name := range reservedClaims {
		meta[name] = "forged"
	}
	key := n.newClientKey(t, object{"meta": meta})
	claims := claimsOf(t, n.minted(t, key))
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if claims["plan"] != "gold" || strings.Contains(string(text), "forged") || claims["scope"] != "read write" || claims["sub"] != key.ID || audienceOf(claims) != audience || claims["iss"] != authIssuer {
		t.Errorf("%s", text)
	}
	for _, name := range reservedClaims {
		for what, option := range map[string]string{"a key's meta": "claim plan " + name, "a client's claim": "scopes deploy read\n\t\t\tclaim " + name + " x"} {
			instead := map[string]string{"a key's meta": "claim plan", "a client's claim": "scopes deploy read"}[what]
			sites := strings.Replace(attackedSites(t), instead, option, 1)
			before := n.sites
			if n.sites = sites; before == sites {
				t.Fatal("the site has no such option")
			}
			if err := n.caddy.reload(snippets + sites); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s as %s: %v; want an error that names it", what, name, err)
			}
			n.sites = before
		}
	}
	n.is(t, "after all of them", n.at(site, n.minted(t, key)), accepted)
}
