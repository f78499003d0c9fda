package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// explainSites have something of everything that decides about a request.
const explainSites = `
&(guarded) {
	jwt {
		import from_issuer
		require scope write
	}
}
http://api.example.test {
	jwt {
		import from_issuer
		api_keys {$KEYS}
		api_keys partners
		api_key written {$WRITTEN}
	}
	import in
	import shown
}
http://strict.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			algorithms RS256 ES256
			max_lifetime 2h
			typ at+jwt
			user_claim email
			kidless_keys 1
			leeway 5s
		}
		audience https://api.example.test
		max_token_size 2KiB
	}
	import in
	import shown
}
http://rules.example.test {
	handle /orders* {
		jwt {
			import from_issuer
			require scope orders:read
			require any_scope read write
		}
		import in
	}
	handle_path /v1/* {
		jwt {
			import from_issuer
			require claim tenant acme
			require expression ` + "`{http.request.method} == \"GET\" || \"admin\" in scopes`" + `
		}
		import in
	}
	handle /r/* {
		route /r/* {
			jwt {
				import from_issuer
				require expression ` + "`{http.request.header.X-Tenant} == claims.tenant`" + `
			}
			import in
		}
	}
	handle {
		jwt {
			import from_issuer
			require expression ` + "`claims.level >= 3`" + `
		}
		import in
	}
	import shown
}
http://chain.example.test {
	jwt {
		import from_issuer
	}
	jwt /admin/* {
		import from_issuer
		require scope admin
	}
	jwt {
		api_keys {$KEYS}
	}
	import in
	import shown
}
http://invoked.example.test {
	invoke guarded
	import in
	import shown
}
http://places.example.test {
	jwt {
		import from_issuer
		api_keys {$KEYS}
		token_from header Authorization Bearer
		token_from query access_token
		token_from cookie session
		api_key_from header X-API-Key
		api_key_from query api_key
		api_key_from basic
	}
	import in
	import shown
}
http://optional.example.test {
	jwt {
		import from_issuer
		optional
		allow_preflight
		require expression ` + "`auth_method != \"anonymous\" || {http.request.method} == \"GET\"`" + `
	}
	import in
	import shown
}
http://report.example.test {
	jwt {
		import from_issuer
		require scope admin
		mode report
	}
	import in
	import shown
}
http://forward.example.test {
	jwt {
		import from_issuer
		forward email X-Email
	}
	import in
	import shown
}
http://down.example.test {
	jwt {
		issuer https://down.example.test {
			jwks_url {$DOWN}
			ca {$CA}
		}
		audience https://api.example.test
	}
	import in
	import shown
}
http://secret.example.test {
	jwt {
		issuer https://hmac.example.test {
			secret base64 {env.HMAC_SECRET}
		}
		audience https://api.example.test
	}
	import in
	import shown
}
`

// explainFixture is an explainer with these sites, keys of each origin, and a rule of each kind.
type explainFixture struct {
	*explainer
	secret                                   *peers.Key
	held, disabled, expired, written, nobody *peers.APIKey
	stored, storedOff, storedRevoked         storedKey
}

func newExplainFixture(t *testing.T) *explainFixture {
	t.Helper()
	k := keys(t)
	d := &explainFixture{
		secret:   k.HS256,
		held:     peers.NewAPIKey(t, "held", map[string]any{"consumer": "partner", "scopes": []string{"read"}}),
		disabled: peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false}),
		expired:  peers.NewAPIKey(t, "expired", map[string]any{"expires": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}),
		written:  peers.NewAPIKey(t, "written", nil),
		nobody:   peers.NewAPIKey(t, "nobody", nil),
	}
	d.explainer = newExplainer(t, explainSites, options{
		global: sharedState,
		env: map[string]string{
			"KEYS":        tempFile(t, "keys.jsonl", peers.KeyLines(t, d.held, d.disabled, d.expired)),
			"WRITTEN":     d.written.Hash(),
			"DOWN":        fmt.Sprintf("https://127.0.0.1:%d/jwks.json", peers.FreePort(t)), // without a listener
			"HMAC_SECRET": base64.StdEncoding.EncodeToString(k.HS256.Secret),
		},
	})
	d.stored, d.storedOff, d.storedRevoked = d.makeKey(t, nil), d.makeKey(t, nil), d.makeKey(t, nil)
	d.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+d.storedOff.ID, object{"enabled": false}, http.StatusOK, nil)
	iss := d.issuer.URL
	for _, rule := range []object{
		{"kind": "jti", "value": "revoked-jti", "issuer": iss},
		{"kind": "sub", "value": "revoked-sub", "issuer": iss},
		{"kind": "client", "value": "revoked-client", "issuer": iss},
		{"kind": "kid", "value": k.ES384.KID, "issuer": iss},
		{"kind": "issuer", "value": iss, "not_before": time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Second).Format(time.RFC3339)},
		{"kind": "token", "value": d.revokedToken(t)},
		{"kind": "key", "value": d.storedRevoked.ID, "store": "partners"},
	} {
		d.addRule(t, rule)
	}
	return d
}

// revokedToken is refused by a rule of the kind token. Ed25519 signs the same each time.
func (d *explainFixture) revokedToken(t *testing.T) string {
	t.Helper()
	return keys(t).EdDSA.Token(t, d.claims(map[string]any{"iat": nil, "exp": 4000000000, "n": 42}), nil)
}

// kind is a kind of request, with what explain has to say about it.
type kind struct {
	name string
	asked
	// verdict, reason and detail are those of the server too. "*" is any detail.
	verdict, reason, detail string
	// check is the one that decides, and seen and wanted are parts of what it shows.
	check, seen, wanted string
	// place is the number of the handler that decides, of several; 0 if it does not matter.
	place int
	// offline is the verdict without a server, where it can't be the same.
	offline string
}

// TestExplainNamesTheCheckThatDecides sends each kind of request to a running server and
// asks about it, on the server and without it.
func TestExplainNamesTheCheckThatDecides(t *testing.T) {
	t.Parallel()
	d := newExplainFixture(t)
	kinds := slices.Concat(d.badTokens(t), d.badRequests(t), d.goodOnes(t))
	if len(kinds) < 60 {
		t.Errorf("%d kinds", len(kinds))
	}
	jwks := tempFile(t, "jwks.json", peers.JWKS(t, keys(t).published()...))
	without := 0
	for n, c := range kinds {
		t.Run(c.name, func(t *testing.T) {
			s, err := d.serve(c.asked)
			if err != nil {
				t.Fatal(err)
			}
			c.checkServed(t, s)
			for _, inHeaders := range []bool{false, true} {
				c.checkExplained(t, d.mustExplain(t, c.question(inHeaders)), s)
			}
			if n%8 == 0 { // by the command, which asks the same endpoint
				c.checkExplained(t, c.byCommand(t, t.TempDir(), nil, "--address", d.adminAddress()), s)
			}
			if n%2 == 0 && c.offline == "" { // each costs a start of the binary
				return
			}
			without++
			e := d.offline(t, c.asked, "--jwks", jwks)
			if c.offline != "" {
				if e.Verdict != c.offline {
					t.Errorf("offline: %s; want %s\n%s", e.Verdict, c.offline, e)
				}
				return
			}
			c.checkExplained(t, e, s)
			if h := e.last(); c.check != "" && len(h.Lines) == 0 {
				t.Errorf("offline, with a Caddyfile: no line of it: %s", e)
			}
		})
	}
	if without < 40 {
		t.Errorf("%d kinds without a server", without)
	}
	t.Run("each reason", func(t *testing.T) {
		have := map[string]bool{}
		for _, c := range kinds {
			have[c.reason] = true
		}
		for _, code := range reasonCodes(t) {
			if !have[code] && code != "api_keys_unavailable" && code != "revocations_unavailable" { // below
				t.Errorf("no kind has the reason %s", code)
			}
		}
	})
}

// checkServed compares what the server made of the request.
func (c *kind) checkServed(t *testing.T, s served) {
	t.Helper()
	verdict := "refused"
	switch {
	case s.status == http.StatusOK && s.user != "":
		verdict = "accepted"
	case s.status == http.StatusOK && c.verdict == "unprotected":
		verdict = "unprotected"
	case s.status == http.StatusOK:
		verdict = "anonymous"
	}
	if verdict != c.verdict || s.reason != c.reason || c.detail != "*" && s.detail != c.detail {
		t.Errorf("the server: %d %s, %q, %q; want %s, %q, %q", s.status, verdict, s.reason, s.detail, c.verdict, c.reason, c.detail)
	}
}

// checkExplained compares a report with the kind, and with the server's answer.
func (c *kind) checkExplained(t *testing.T, e *explained, s served) {
	t.Helper()
	if e.Verdict != c.verdict {
		t.Errorf("verdict %s; want %s\n%s", e.Verdict, c.verdict, e)
		return
	}
	if !e.Certain {
		t.Errorf("the way is not certain: %s", e)
	}
	if e.Verdict == "unprotected" {
		if len(e.Handlers) != 0 {
			t.Errorf("it has handlers: %s", e)
		}
		return
	}
	h := e.last()
	if h.Reason != s.reason || h.Detail != s.detail || h.Requirement != s.requirement {
		t.Errorf("reason %q, detail %q, requirement %q; the server's are %q, %q, %q\n%s", h.Reason, h.Detail, h.Requirement, s.reason, s.detail, s.requirement, e)
	}
	if e.Verdict == "refused" && (e.Reason != s.reason || e.Detail != s.detail || e.Requirement != s.requirement || e.Status != s.status || e.Remedy == "") {
		t.Errorf("the report's reason %q, detail %q, requirement %q, status %d, remedy %q; the server's are %q, %q, %q, %d", e.Reason, e.Detail, e.Requirement, e.Status, e.Remedy, s.reason, s.detail, s.requirement, s.status)
	}
	if h.User != s.user || h.AuthMethod != s.method && !(h.AuthMethod == "" && s.method == "anonymous") {
		t.Errorf("user %q by %q; the server's are %q by %q", h.User, h.AuthMethod, s.user, s.method)
	}
	if h.Pointer == "" || h.Of == 0 || !strings.Contains(h.Site, c.host) {
		t.Errorf("the handler is at %q, %q, %d of %d", h.Site, h.Pointer, h.Place, h.Of)
	}
	if c.place != 0 && h.Place != c.place {
		t.Errorf("handler %d of %d decides; want %d", h.Place, h.Of, c.place)
	}
	decisive := h.decisive()
	if decisive.Check != c.check {
		t.Errorf("%q decides; want %q\n%s", decisive.Check, c.check, e)
		return
	}
	if c.check != "" && decisive.Reason != c.reason {
		t.Errorf("the check's reason is %q; want %q", decisive.Reason, c.reason)
	}
	if !strings.Contains(decisive.Seen, c.seen) || c.seen == "" && c.check != "" && decisive.Seen == "" && decisive.Detail == "" || !strings.Contains(decisive.Wanted+" "+decisive.Option, c.wanted) {
		t.Errorf("seen %q, wanted %q by %q; want %q, %q in them", decisive.Seen, decisive.Wanted, decisive.Option, c.seen, c.wanted)
	}
}

// badTokens are forgeries: each a good token with one thing changed.
func (d *explainFixture) badTokens(t *testing.T) []kind {
	t.Helper()
	k := keys(t)
	strict := "strict.example.test"
	now := time.Now()
	in := func(by time.Duration) int64 { return now.Add(by).Unix() }
	with := func(changes map[string]any) string { return k.RS256.Token(t, d.claims(changes), nil) }
	head := func(changes map[string]any) string { return k.RS256.Token(t, d.claims(nil), changes) }
	at := func(changes map[string]any) string { // of the strict site
		claims := d.claims(map[string]any{"email": "a@example.test"})
		for name, value := range changes {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		return k.RS256.Token(t, claims, map[string]any{"typ": "at+jwt"})
	}
	good := strings.Split(with(nil), ".")
	claimsText, err := json.Marshal(d.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	tampered := good[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claimsText), "user-1", "user-2", 1))) + "." + good[2]

	var kinds []kind
	add := func(name, host, token, reason, detail, check, seen, wanted string) {
		kinds = append(kinds, kind{
			name: name, asked: asked{host: host, token: token}, verdict: "refused",
			reason: reason, detail: detail, check: check, seen: seen, wanted: wanted,
		})
	}
	add("an opaque token", "strict.example.test", "opaque-token-of-forty-characters-0123456", "malformed_token", "*", "form", "", "three parts")
	add("four parts", site, strings.Join(good, ".")+".x", "malformed_token", "*", "form", "", "")
	add("five parts, as a JWE has", site, "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "unsupported_token", "*", "form", "", "")
	add("padding", site, good[0]+"=."+good[1]+"."+good[2], "malformed_token", "*", "form", "", "")
	add("no signature", site, good[0]+"."+good[1]+".", "malformed_token", "*", "form", "", "")
	add("claims that are no JSON", site, k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256"}`, `{"iss":`), "malformed_token", "*", "form", "", "")
	add("a member twice", site, k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256"}`, `{"sub":"a","sub":"b"}`), "malformed_token", "*", "form", "", "")
	add("a deep claim", site, with(map[string]any{"deep": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}), "malformed_token", "*", "form", "", "")
	add("no alg", site, head(map[string]any{"alg": nil}), "malformed_token", "the header has no alg", "form", "", "")
	add("exp as a text", site, with(map[string]any{"exp": "2099"}), "malformed_token", "exp is not a number of seconds from 1970 to 9999", "form", "", "")
	add("iss as a list", site, with(map[string]any{"iss": []string{"a"}}), "malformed_token", "iss is not a text", "form", "", "")
	add("too long", strict, at(map[string]any{"long": strings.Repeat("x", 3000)}), "malformed_token", "*", "form", "bytes", "2KiB")
	add("crit", site, head(map[string]any{"crit": []string{"exp"}, "exp": 1}), "unsupported_token", "*", "form", "", "")
	add("another token inside", site, head(map[string]any{"cty": "JWT"}), "unsupported_token", "*", "form", "", "")
	add("b64", site, head(map[string]any{"b64": false}), "unsupported_token", "*", "form", "", "")
	add("no iss", site, with(map[string]any{"iss": nil}), "unknown_issuer", "the token has no iss", "issuer", "", d.issuer.URL)
	add("a slash behind iss", site, with(map[string]any{"iss": d.issuer.URL + "/"}), "unknown_issuer", "", "issuer", d.issuer.URL+"/", d.issuer.URL)
	add("another iss", site, with(map[string]any{"iss": "https://evil.example.test"}), "unknown_issuer", "", "issuer", "https://evil.example.test", d.issuer.URL)
	add("alg none", site, good[0]+".", "malformed_token", "*", "form", "", "")
	kinds = kinds[:len(kinds)-1]
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + good[1] + "." + good[2]
	add("alg none", site, none, "algorithm_not_allowed", "alg is none or not supported", "algorithm", "none", "")
	add("a public key as a secret", site, peers.HMAC(t, "HS256", k.RS256.PublicPEM(t), d.claims(nil), map[string]any{"kid": "rs256"}), "algorithm_not_allowed", "*", "algorithm", "HS256", "public keys")
	add("an alg that the site does not list", strict, k.ES384.Token(t, d.claims(map[string]any{"email": "a"}), map[string]any{"typ": "at+jwt"}), "algorithm_not_allowed", "*", "algorithm", "ES384", "RS256")
	add("an alg that is not the key's", site, k.RS256.SignAs("RS384").Token(t, d.claims(nil), nil), "algorithm_not_allowed", "*", "key", "rs256", "RS256")
	add("another kid", site, k.RS256.Named("nobody's").Token(t, d.claims(nil), nil), "unknown_key", "*", "key", "nobody's", "")
	add("no kid, and too many keys", strict, k.RS256.Named("").Token(t, d.claims(map[string]any{"email": "a"}), map[string]any{"typ": "at+jwt"}), "unknown_key", "*", "key", "", "1")
	add("a stranger's key", site, k.Stranger.Token(t, d.claims(nil), nil), "bad_signature", "", "signature", "", "")
	add("another user put in", site, tampered, "bad_signature", "", "signature", "", "")
	add("no exp", site, with(map[string]any{"exp": nil}), "missing_claim", "no exp; allow_no_expiry accepts it", "expires", "", "")
	add("expired", site, with(map[string]any{"exp": in(-time.Hour)}), "expired", "", "expires", "", "")
	add("not yet valid", site, with(map[string]any{"nbf": in(time.Hour)}), "not_yet_valid", "", "not_before", "", "")
	add("issued in the future", site, with(map[string]any{"iat": in(time.Hour)}), "issued_in_future", "", "issued_at", "", "")
	add("a long lifetime", strict, at(map[string]any{"exp": in(4 * time.Hour)}), "lifetime_too_long", "", "lifetime", "", "2h")
	add("no audience", site, with(map[string]any{"aud": nil}), "wrong_audience", "the token has no audience", "audience", "", audience)
	add("a slash behind the audience", site, with(map[string]any{"aud": audience + "/"}), "wrong_audience", "", "audience", audience+"/", audience)
	add("others' audiences", site, with(map[string]any{"aud": []string{"a", "b"}}), "wrong_audience", "", "audience", "b", audience)
	add("an audience that is a number", site, with(map[string]any{"aud": 1}), "wrong_audience", "*", "audience", "", audience)
	add("an ID token", strict, k.RS256.Token(t, d.claims(map[string]any{"email": "a", "nonce": "n"}), nil), "wrong_type", "", "type", "JWT", "at+jwt")
	add("bound to a key", site, with(map[string]any{"cnf": map[string]any{"jkt": "x"}}), "unsupported_token", "*", "binding", "", "")
	add("no user", strict, at(map[string]any{"email": nil}), "missing_claim", "*", "user", "", "email")
	add("revoked by its jti", site, with(map[string]any{"jti": "revoked-jti"}), "revoked", "*", "revocations", "", "")
	add("revoked by its user", site, with(map[string]any{"sub": "revoked-sub"}), "revoked", "*", "revocations", "", "")
	add("revoked by its client", site, with(map[string]any{"azp": "revoked-client"}), "revoked", "*", "revocations", "", "")
	add("revoked by its key", site, k.ES384.Token(t, d.claims(nil), nil), "revoked", "*", "revocations", "", "")
	add("issued before a time", site, with(map[string]any{"iat": in(-45 * time.Minute)}), "revoked", "*", "revocations", "", "")
	add("revoked itself", site, d.revokedToken(t), "revoked", "*", "revocations", "", "")
	add("keys that can't be had", "down.example.test", k.RS256.Token(t, peers.Claims("https://down.example.test", audience, nil), nil), "keys_unavailable", "*", "key", "", "")
	kinds[len(kinds)-1].offline = "accepted" // by --jwks
	add("another secret", "secret.example.test", peers.HMAC(t, "HS256", []byte(strings.Repeat("x", 32)), peers.Claims("https://hmac.example.test", audience, nil), nil), "bad_signature", "", "signature", "", "")
	return kinds
}

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
	return []kind{
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

// reasonCodes are the reasons for which a request is refused.
func reasonCodes(t *testing.T) []string {
	t.Helper()
	var codes []string
	for _, code := range reason.All {
		codes = append(codes, string(code))
	}
	return codes
}
