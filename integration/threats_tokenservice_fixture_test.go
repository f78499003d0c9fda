package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The token service of these tests, and who may ask for what.
const (
	authHost    = "auth.example.test"
	authIssuer  = "https://" + authHost
	reportsHost = "reports.example.test"
	reports     = "https://" + reportsHost
	backend     = "https://backend.example.test" // whom forwarded tokens are for
	peopleHost  = "people.example.test"
	behindHost  = "behind.example.test"

	tokenPath      = "/oauth2/token"
	revokePath     = "/oauth2/revoke"
	introspectPath = "/oauth2/introspect"

	githubIssuer = "https://token.actions.githubusercontent.com"
	spiffe       = "spiffe://prod.example.test"
	firstIDP     = "https://one.example.test"
	otherIDP     = "https://two.example.test"

	typeAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// serviceOptions are the global options of a node with a token service.
func serviceOptions(t *testing.T, storage string) string {
	t.Helper()
	// Nodes are behind a proxy, so that they need no certificate, and clients have the addresses
	// that a test says.
	return clusterOptions(t, storage, "") + "\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1\n\t}"
}

// serviceOptionsWith are serviceOptions with more of the option jwt.
func serviceOptionsWith(t *testing.T, storage, more string) string {
	t.Helper()
	const before = "\n\t\tstate {"
	all := serviceOptions(t, storage)
	if strings.Count(all, before) != 1 {
		t.Fatal("no such option")
	}
	return strings.Replace(all, before, "\n\t\t"+more+before, 1)
}

// attackedSites are a token service and sites that trust it. One shows what an upstream of it
// would get.
func attackedSites(t *testing.T) string {
	t.Helper()
	k := keys(t)
	return fmt.Sprintf(`
http://auth.example.test {
	authorization_server https://auth.example.test {
		api_keys partners {
			audience https://api.example.test https://reports.example.test
			claim plan
		}
		client deployer {
			public_key %[1]s
			scopes deploy read
			audience https://api.example.test
		}
		client legacy {
			public_key %[1]s
			scopes read
			assertion_audience token_endpoint
		}
		client console {
			public_key %[1]s
			scopes caddy-jwt:keys read
		}
		client ci {
			scopes deploy caddy-jwt:keys
		}
		federate github {
			issuer https://token.actions.githubusercontent.com {
				public_key %[2]s
			}
			require claim repository_id 1001
			require claim ref refs/heads/main
			client ci
		}
		federate mesh {
			issuer spiffe://prod.example.test {
				public_key %[2]s
			}
			require claim sub spiffe://prod.example.test/ci
			client ci
		}
		introspect console https://api.example.test
		audience https://api.example.test https://reports.example.test https://admin.example.test
	}
	respond "auth"
}
http://api.example.test {
	jwt {
		issuer https://auth.example.test
		api_keys partners
		audience https://api.example.test
	}
	respond "{http.request.header.X-Internal}"
	import reasons
}
http://reports.example.test {
	jwt {
		issuer https://auth.example.test
		audience https://reports.example.test
	}
	respond "in"
	import reasons
}
http://open.example.test {
	respond "open"
}
`, k.ES256.PublicFile(t), k.RS256.PublicFile(t))
}

// forwarding are attackedSites of which one signs for its upstream, and another that does.
func forwarding(t *testing.T) string {
	t.Helper()
	const audience = "audience https://api.example.test\n\t}\n\trespond"
	sites := attackedSites(t)
	if strings.Count(sites, audience) != 1 {
		t.Fatal("no such site")
	}
	return strings.Replace(sites, audience, "audience https://api.example.test\n\t\tforward_jwt X-Internal https://backend.example.test\n\t}\n\trespond", 1) +
		fmt.Sprintf(`
http://people.example.test {
	jwt {
		issuer https://one.example.test {
			public_key %[1]s
		}
		issuer https://two.example.test {
			public_key %[1]s
		}
		audience https://people.example.test
		optional
		forward_jwt X-Internal https://backend.example.test
	}
	respond "{http.request.header.X-Internal}"
	import reasons
}
`, keys(t).ES256.PublicFile(t))
}

// startService starts a node with a token service, on a storage that it may share, and
// returns when it issues tokens.
func startService(t *testing.T, storage, sites string, env map[string]string) *node {
	t.Helper()
	return startServiceWith(t, serviceOptions(t, storage), sites, env)
}

// startServiceWith is startService with other global options.
func startServiceWith(t *testing.T, global, sites string, env map[string]string) *node {
	t.Helper()
	n := newNode(t, options{global: global, env: env})
	n.sites = sites
	n.begin()
	n.waitUntilItRuns()
	n.untilIssuing(t)
	return n
}

// untilIssuing returns when the node can issue tokens.
func (n *node) untilIssuing(t *testing.T) {
	t.Helper()
	n.untilReady(t, 20*time.Second)
	var last answer
	n.eventually("the key set is published", 20*time.Second, func() bool {
		last = n.request(t, http.MethodGet, authHost, "/.well-known/jwks.json", "")
		return last.status == http.StatusOK
	}, func() string { return fmt.Sprintf("%d %s\n%s", last.status, last.body, n.logs) })
}

// request sends a request with any body and reads the answer. What it sends in Authorization
// must not be in the log.
func (n *node) request(t *testing.T, method, host, path, body string, changes ...change) answer {
	t.Helper()
	a, err := n.tryRequest(method, host, path, body, changes...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (n *node) tryRequest(method, host, path, body string, changes ...change) (answer, error) {
	r, err := http.NewRequest(method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, change := range changes {
		change(r)
	}
	if _, said := r.Header["X-Forwarded-Proto"]; !said {
		r.Header.Set("X-Forwarded-Proto", "https") // the endpoints are behind a proxy with TLS
	}
	res, err := n.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, proto: res.Proto, header: res.Header, body: string(text)}, err
}

// form sends a form to an endpoint of the service. Its fields come as name and value by turns,
// so that one can be sent twice. No value that could be a credential may be in the log.
func (n *node) form(t *testing.T, path string, fields []string, changes ...change) answer {
	t.Helper()
	for i := 1; i < len(fields); i += 2 {
		switch fields[i-1] {
		case "client_secret", "client_assertion", "assertion", "token":
			n.logs.forbid(fields[i])
		}
	}
	return n.request(t, http.MethodPost, authHost, path, encode(fields), append([]change{formType}, changes...)...)
}

// from is a client's address.
func from(address string) change { return header("X-Forwarded-For", address) }

// unsaid is a proxy that does not say by what the client came.
func unsaid(r *http.Request) { r.Header["X-Forwarded-Proto"] = nil }

// encode writes fields as a form.
func encode(fields []string) string {
	var text strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		if i > 0 {
			text.WriteByte('&')
		}
		text.WriteString(url.QueryEscape(fields[i]) + "=" + url.QueryEscape(fields[i+1]))
	}
	return text.String()
}

var formType = func(r *http.Request) {
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

// clientBasic is a client's id and secret in Authorization (RFC 6749 section 2.3.1).
func clientBasic(id, secret string) change {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))))
}

// withKeyOf asks for a token with an API key, and more fields.
func (n *node) withKeyOf(t *testing.T, key changeAnswer, more ...string) answer {
	t.Helper()
	n.logs.forbid(key.Key)
	return n.form(t, tokenPath, append([]string{"grant_type", "client_credentials"}, more...), clientBasic(key.ID, key.Key))
}

// token returns the token of an answer that must have one.
func (a answer) token(t *testing.T) string {
	t.Helper()
	var body struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK || body.Type != "Bearer" || body.Expires <= 0 ||
		strings.Count(body.Token, ".") != 2 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v, %s; want a token that is not kept", a.status, a.header, a.body)
	}
	return body.Token
}

// minted returns a token for an API key, which must not be in the log.
func (n *node) minted(t *testing.T, key changeAnswer, more ...string) string {
	t.Helper()
	token := n.withKeyOf(t, key, more...).token(t)
	n.logs.forbid(token)
	return token
}

// tryToken is minted for any goroutine.
func (n *node) tryToken(key changeAnswer) (string, error) {
	a, err := n.tryRequest(http.MethodPost, authHost, tokenPath, "grant_type=client_credentials", clientBasic(key.ID, key.Key), formType)
	if err != nil {
		return "", err
	}
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK {
		return "", fmt.Errorf("the token endpoint: status %d, %s", a.status, a.body)
	}
	return body.Token, nil
}

// noToken requires the failure of an endpoint with one of these codes: a status that goes with
// it, JSON that must not be kept, and no token.
func (a answer) noToken(t *testing.T, codes ...string) {
	t.Helper()
	want := map[string][]int{
		"invalid_request": {400, 405, 413}, "invalid_client": {401}, "unsupported_grant_type": {400}, "invalid_grant": {400}, "invalid_scope": {400},
		"invalid_target": {400}, "unauthorized_client": {400}, "temporarily_unavailable": {429, 503},
	}
	code := a.code()
	if !slices.Contains(codes, code) || !slices.Contains(want[code], a.status) {
		t.Errorf("status %d, error %q; want one of %q", a.status, code, codes)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" || (a.status == http.StatusUnauthorized) != (a.header.Get("WWW-Authenticate") != "") {
		t.Errorf("it comes with %v", a.header)
	}
	if strings.Contains(a.body, "access_token") || strings.Contains(a.body, "eyJ") {
		t.Errorf("it has a token: %s", a.body)
	}
}

// newClientKey makes an API key with these members at the admin endpoint.
func (n *node) newClientKey(t *testing.T, members object) changeAnswer {
	t.Helper()
	all := object{"store": "partners", "consumer": "acme", "scopes": []string{"read", "write"}}
	for name, value := range members {
		all[name] = value
	}
	return n.must(t, http.StatusCreated, http.MethodPost, "/jwt/api-keys", all)
}

// assertion is a client's good assertion (RFC 7523 section 2.2) with changes to its claims and
// its header.
func assertion(t *testing.T, id string, claims, headers object) string {
	t.Helper()
	now := time.Now()
	all := object{"iss": id, "sub": id, "aud": authIssuer, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": fmt.Sprintf("%s-%d", id, now.UnixNano())}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return keys(t).ES256.Named("").Token(t, all, headers)
}

// asserted are the fields of a request with an assertion.
func asserted(text string, more ...string) []string {
	return append([]string{"grant_type", "client_credentials", "client_assertion_type", typeAssertion, "client_assertion", text}, more...)
}

// claimsOf are those of a token, whose signature is not checked.
func claimsOf(t *testing.T, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatalf("%v: %s", err, token)
	}
	return claims
}

// headerOf is the header of a token.
func headerOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatalf("%v: %s", err, token)
	}
	return parsed.Header
}

// keySet is a key set as a verifier has fetched it at some time.
type keySet struct{ text string }

func (n *node) keySet(t *testing.T, path string) keySet {
	t.Helper()
	a := n.request(t, http.MethodGet, authHost, path, "")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"keys"`) {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	for _, private := range []string{`"d"`, `"p"`, `"q"`, `"k"`} {
		if strings.Contains(a.body, private) {
			t.Errorf("the key set has a member %s: %s", private, a.body)
		}
	}
	return keySet{a.body}
}

// ids are those of the keys in it.
func (s keySet) ids(t *testing.T) []string {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, Kty, Alg, Use string }
	}
	decode(t, s.text, &set)
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

// verifies reports what a verifier that has no code of ours, and this key set alone, finds
// wrong with a token.
func (s keySet) verifies(token, issuer, audience string) error {
	_, err := jwt.Parse(token, func(parsed *jwt.Token) (any, error) {
		return publicKey(s.text, fmt.Sprint(parsed.Header["kid"]))
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithTimeFunc(func() time.Time { return issuedAt(token) }))
	return err
}

// issuedAt is the time of a token, as nodes may have another clock.
func issuedAt(token string) time.Time {
	claims := jwt.MapClaims{}
	_, _, _ = jwt.NewParser().ParseUnverified(token, claims) // the time of none is refused
	at, err := claims.GetIssuedAt()
	if err != nil || at == nil {
		return time.Time{}
	}
	return at.Time
}

// at is a request with a token to a site of the node.
func (n *node) at(host, token string) exchange { return n.send(host, bearer(token)) }

// body returns what a site answers to a token.
func (n *node) upstreamOf(t *testing.T, host string, changes ...change) string {
	t.Helper()
	a := n.request(t, http.MethodGet, host, "/", "", changes...)
	if a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
	}
	return a.body
}

// people is a good token of one of the identity providers.
func people(t *testing.T, issuer string, changes map[string]any) string {
	t.Helper()
	return keys(t).ES256.Named("").Token(t, peers.Claims(issuer, "https://"+peopleHost, changes), nil)
}

// large is a body of so many bytes.
func large(n int) string {
	return "grant_type=client_credentials&x=" + string(bytes.Repeat([]byte("a"), n))
}
