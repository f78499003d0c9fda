package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

const forwardKeySet = "/forward/.well-known/jwks.json"

// A token for an upstream is for that upstream alone: nobody else takes it, and it takes no
// other.
func TestThreat75_ForwardedTokensAreForOneUpstream(t *testing.T) {
	t.Parallel()
	n := startService(t, "", forwarding(t), nil)
	key := n.newClientKey(t, nil)
	access := n.minted(t, key)
	forwarded := n.upstreamOf(t, site, bearer(access))
	n.logs.forbid(forwarded)
	service, forward := n.keySet(t, "/.well-known/jwks.json"), n.keySet(t, forwardKeySet)
	if err := forward.verifies(forwarded, authIssuer+"/forward", backend); err != nil {
		t.Fatalf("the upstream itself: %v", err)
	}
	if err := service.verifies(access, authIssuer, audience); err != nil {
		t.Fatalf("the access token: %v", err)
	}
	c, h := claimsOf(t, forwarded), headerOf(t, forwarded)
	if h["typ"] != "forward+jwt" || c["iss"] != authIssuer+"/forward" || audienceOf(c) != backend || c["idp"] != authIssuer || c["sub"] != key.ID || strings.Contains(forwarded, access) {
		t.Errorf("%v %v", h, c)
	}
	for _, id := range forward.ids(t) {
		if strings.Contains(service.text, id) {
			t.Error("the keys are in both key sets")
		}
	}
	t.Run("at the gateway", func(t *testing.T) {
		for _, host := range []string{site, reportsHost, peopleHost} {
			if got := n.at(host, forwarded); got.status != http.StatusUnauthorized {
				t.Errorf("%s: %s", host, got)
			}
		}
	})
	t.Run("at the token endpoint", func(t *testing.T) {
		n.form(t, tokenPath, asserted(forwarded)).noToken(t, "invalid_client")
		n.form(t, tokenPath, []string{"grant_type", grantBearer, "assertion", forwarded}).noToken(t, "invalid_grant")
		n.form(t, tokenPath, []string{"grant_type", "client_credentials"}, bearer(forwarded)).noToken(t, "invalid_client")
		n.form(t, tokenPath, []string{"grant_type", "client_credentials"}, clientBasic(key.ID, forwarded)).noToken(t, "invalid_client")
		n.form(t, tokenPath, []string{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", forwarded}, clientBasic(key.ID, key.Key)).noToken(t, "unsupported_grant_type")
	})
	t.Run("at another upstream", func(t *testing.T) {
		for what, err := range map[string]error{
			"which expects itself as the audience": forward.verifies(forwarded, authIssuer+"/forward", "https://other.example.test"),
			"which trusts the service":             forward.verifies(forwarded, authIssuer, backend),
			"with the service's keys":              service.verifies(forwarded, authIssuer+"/forward", backend),
			"an access token at the upstream":      forward.verifies(access, authIssuer+"/forward", backend),
			"for its audience":                     service.verifies(access, authIssuer, backend),
		} {
			if err == nil {
				t.Errorf("%s: it is accepted", what)
			}
		}
	})
	t.Run("introspected and revoked", func(t *testing.T) {
		a := n.form(t, introspectPath, append(asserted(assertion(t, "console", nil, nil))[2:], "token", forwarded))
		if strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("status %d, %s", a.status, a.body)
		}
		if a := n.form(t, revokePath, []string{"token", forwarded}, clientBasic(key.ID, key.Key)); a.status != http.StatusOK {
			t.Errorf("status %d, %s", a.status, a.body)
		}
		n.is(t, "its credential", n.at(site, access), accepted)
	})
	t.Run("a Caddy behind takes it only by name", func(t *testing.T) {
		set := tempFile(t, "forward.json", forward.text)
		behind := newNode(t, options{})
		block := func(host, more string) string {
			return fmt.Sprintf("http://%s {\n\tjwt {\n\t\tissuer https://auth.example.test/forward {\n\t\t\tjwks_file %s\n%s\n\t\t}\n\t\taudience https://backend.example.test\n\t}\n\trespond \"in\"\n\timport reasons\n}\n", host, set, more)
		}
		behind.sites = block(behindHost, "\t\t\ttyp forward+jwt") + block(peopleHost, "") + "http://open.example.test {\n\trespond \"open\"\n}\n"
		behind.begin()
		behind.waitUntilItRuns()
		behind.is(t, "where it is named", behind.at(behindHost, forwarded), accepted)
		if got := behind.at(peopleHost, forwarded); got.status != http.StatusUnauthorized {
			t.Errorf("where it is not: %s", got)
		}
		if got := behind.at(behindHost, access); got.status != http.StatusUnauthorized {
			t.Errorf("an access token: %s", got)
		}
	})
	t.Run("an audience of the service or of a site can't be an upstream's", func(t *testing.T) {
		for _, taken := range []string{audience, reports, "https://admin.example.test", "https://" + peopleHost} {
			before := n.sites
			sites := strings.ReplaceAll(forwarding(t), "forward_jwt X-Internal https://backend.example.test", "forward_jwt X-Internal "+taken)
			n.sites = sites
			if err := n.caddy.reload(snippets + sites); err == nil || !strings.Contains(err.Error(), taken) {
				t.Errorf("%s: %v; want an error that names it", taken, err)
			}
			n.sites = before
		}
	})
}

// What an upstream is told is of the credential of this very request: who vouched for it, its
// own scopes, its own end. A request without one has no token, whatever the client sends.
func TestThreat76_ForwardedTokensAreOfTheirCredential(t *testing.T) {
	t.Parallel()
	n := startService(t, "", forwarding(t), nil)
	set := n.keySet(t, forwardKeySet)
	forwarded := func(t *testing.T, credential string) map[string]any {
		t.Helper()
		token := n.upstreamOf(t, peopleHost, bearer(credential))
		if err := set.verifies(token, authIssuer+"/forward", backend); err != nil {
			t.Fatalf("%v: %s", err, token)
		}
		return claimsOf(t, token)
	}
	t.Run("the same user of two issuers", func(t *testing.T) {
		for range 2 { // the second time out of the cache
			for _, issuer := range []string{firstIDP, otherIDP} {
				if c := forwarded(t, people(t, issuer, object{"sub": "42", "jti": "same"})); c["sub"] != "42" || c["idp"] != issuer {
					t.Errorf("%s: %v", issuer, c)
				}
			}
		}
	})
	t.Run("two tokens of one user", func(t *testing.T) {
		narrow, broad := people(t, firstIDP, object{"sub": "7", "scope": "read"}), people(t, firstIDP, object{"sub": "7", "scope": "read write admin"})
		for range 2 {
			if c := forwarded(t, broad); c["scope"] != "read write admin" {
				t.Errorf("broad: %v", c)
			}
			if c := forwarded(t, narrow); c["scope"] != "read" {
				t.Errorf("narrow: %v", c)
			}
		}
	})
	t.Run("a token near its end", func(t *testing.T) {
		end := time.Now().Add(8 * time.Second).Unix()
		credential := people(t, firstIDP, object{"exp": end})
		for range 2 {
			if exp, ok := forwarded(t, credential)["exp"].(float64); !ok || int64(exp) > end {
				t.Errorf("it ends %v, its credential %d", exp, end)
			}
		}
		over := people(t, firstIDP, object{"exp": time.Now().Add(-30 * time.Second).Unix()}) // within the leeway
		a := n.request(t, http.MethodGet, peopleHost, "/", "", bearer(over))
		if a.status == http.StatusOK && a.body != "" {
			if exp, ok := claimsOf(t, a.body)["exp"].(float64); !ok || int64(exp) > time.Now().Unix() {
				t.Errorf("the token of one that is over ends %v", exp)
			}
		}
	})
	t.Run("an API key's", func(t *testing.T) {
		key := n.newClientKey(t, object{"scopes": []string{"read"}, "consumer": "42"})
		token := n.upstreamOf(t, site, apiKey(key.Key))
		c := claimsOf(t, token)
		if err := set.verifies(token, authIssuer+"/forward", backend); err != nil || c["idp"] == firstIDP || c["idp"] == authIssuer || c["idp"] == nil || c["auth_method"] != "api_key" || c["scope"] != "read" {
			t.Errorf("%v, %v", err, c)
		}
		n.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+key.ID, object{"enabled": false})
		n.is(t, "once it is disabled", n.withAPIKey(key.Key), isDisabled)
	})
	t.Run("a request of nobody has none", func(t *testing.T) {
		mine := peers.NewKey(t, "ES256", "x").Token(t, peers.Claims(authIssuer+"/forward", backend, nil), object{"typ": "forward+jwt"})
		for what, changes := range map[string][]change{
			"nothing": nil, "a header of the client's": {header("X-Internal", mine)}, "one of an earlier request": {header("x-internal", n.upstreamOf(t, peopleHost, bearer(people(t, firstIDP, nil))))},
			"with underscores": {header("X_Internal", mine)},
		} {
			if got := n.upstreamOf(t, peopleHost, changes...); got != "" {
				t.Errorf("%s: the upstream gets %s", what, got)
			}
		}
		if c := claimsOf(t, n.upstreamOf(t, peopleHost, header("X-Internal", mine), bearer(people(t, otherIDP, object{"sub": "me"})))); c["sub"] != "me" || c["idp"] != otherIDP {
			t.Errorf("beside a credential: %v", c)
		}
	})
}
