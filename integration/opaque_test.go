package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// ask has the provider do what a line of its script's input says, and returns its answer.
func (p *oidcProvider) ask(t *testing.T, line string) map[string]any {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("the provider: %v", err)
	}
	var answer map[string]any
	if text := p.nextLine(t); json.Unmarshal([]byte(text), &answer) != nil {
		t.Fatalf("the provider answers %q to %s", text, line)
	}
	return answer
}

// revoke revokes a token at the provider (RFC 7009).
func (p *oidcProvider) revoke(t *testing.T, token string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, p.Issuer+"/token/revocation", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(p.ClientID, p.ClientSecret)
	res, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("revoking: %s", res.Status)
	}
}

// Opaque tokens and JWTs of a provider that issues both: an opaque one passes until it is revoked
// there, and is neither accepted nor called invalid while the provider can't be asked.
func TestOpaqueTokensOfAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	const jwts = "https://jwts.example.test"
	ca := peers.NewCA(t)
	provider := startOIDCProvider(t, ca, map[string]string{audience: "opaque", jwts: "ES256"})
	upstream := peers.NewUpstream(t)
	issuer := func(more string) string {
		return `
	jwt {
		issuer {$ISSUER} {
			introspection {
				client {$CLIENT} {env.SECRET}
				cache 1s
			}
			` + more + `
			user_claim sub client_id
		}
	}
	reverse_proxy {$UPSTREAM} {
		header_up X-User {http.auth.user.id}
		header_up X-Scopes {http.jwt.scopes}
		header_up X-Issuer {http.jwt.issuer}
		header_up X-Method {http.jwt.auth_method}
	}
	import reasons
}
`
	}
	c := startCaddy(t, snippets+"https://api.example.test {"+issuer("audience https://api.example.test")+
		"https://jwts.example.test {"+issuer("audience https://jwts.example.test\ndiscovery")+
		"https://any.example.test {"+issuer("audience *"), options{env: map[string]string{
		"ISSUER": provider.Issuer, "UPSTREAM": upstream.Addr, "SSL_CERT_FILE": ca.File, "CLIENT": provider.ClientID, "SECRET": provider.ClientSecret,
	}})
	c.logs.forbid(provider.ClientSecret)
	client := c.client(http2)
	get := func(t *testing.T, host, token string) answer {
		t.Helper()
		return c.send(t, client, http.MethodGet, host, "/", bearer(token))
	}
	opaque, signed := provider.token(t, audience, "read write"), provider.token(t, jwts, "read")
	if strings.Contains(opaque, ".") || strings.Count(signed, ".") != 2 {
		t.Fatal("the provider's tokens are not of the kinds that were asked for")
	}

	until := func(t *testing.T, what, host, token string, status int, reason string) {
		t.Helper()
		var last answer
		c.eventually(what, patience, func() bool {
			last = get(t, host, token)
			return last.status == status && last.header.Get("X-Reason") == reason
		}, func() string { return fmt.Sprintf("status %d, reason %q", last.status, last.header.Get("X-Reason")) })
	}

	t.Run("an opaque token passes, and the upstream learns who it is", func(t *testing.T) {
		// The machine may be too busy for the provider to answer in time.
		until(t, "an opaque token passes", site, opaque, http.StatusOK, "")
		a := get(t, site, opaque)
		if a.status != http.StatusOK {
			t.Fatalf("status %d, reason %q", a.status, a.header.Get("X-Reason"))
		}
		seen := a.upstream(t)
		for name, want := range map[string]string{
			"X-User": provider.ClientID, "X-Scopes": "read write", "X-Issuer": provider.Issuer, "X-Method": "jwt", "Authorization": "",
		} {
			if got := seen.Header.Get(name); got != want {
				t.Errorf("%s is %q; want %q", name, got, want)
			}
		}
	})
	t.Run("a JWT passes where keys stand beside introspection", func(t *testing.T) {
		checkStatus(t, get(t, "jwts.example.test", signed), http.StatusOK)
		checkReason(t, get(t, site, signed), http.StatusUnauthorized, "algorithm_not_allowed")
	})
	t.Run("a token for another API", func(t *testing.T) {
		until(t, "it is refused", "jwts.example.test", opaque, http.StatusUnauthorized, "wrong_audience")
	})
	t.Run("a refresh token, of which the provider says that it is active, and an ID token", func(t *testing.T) {
		made := provider.ask(t, "refresh")
		refresh, _ := made["refresh_token"].(string)
		id, _ := made["id_token"].(string)
		if refresh == "" || strings.Count(id, ".") != 2 {
			t.Fatal("the provider made no tokens")
		}
		// The answer names neither an audience nor a kind, and about an access token it does.
		for host, reason := range map[string]string{site: "wrong_audience", "jwts.example.test": "wrong_audience", "any.example.test": "wrong_type"} {
			until(t, "a refresh token is refused for what it is", host, refresh, http.StatusUnauthorized, reason)
			if a := get(t, host, id); a.status != http.StatusUnauthorized {
				t.Errorf("an ID token at %s: status %d", host, a.status)
			}
		}
	})
	t.Run("revoked at the issuer", func(t *testing.T) {
		token := provider.token(t, audience, "read")
		until(t, "a token passes", site, token, http.StatusOK, "")
		provider.revoke(t, token)
		until(t, "a revoked token is refused", site, token, http.StatusUnauthorized, "inactive_token")
	})
	t.Run("the issuer is down, and back", func(t *testing.T) {
		checkStatus(t, get(t, "jwts.example.test", signed), http.StatusOK)
		provider.ask(t, "down")
		until(t, "it can't be asked", site, opaque, http.StatusServiceUnavailable, "introspection_unavailable")
		a := get(t, site, opaque)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("503 without Retry-After")
		}
		checkStatus(t, get(t, "jwts.example.test", signed), http.StatusOK)
		provider.ask(t, "up")
		until(t, "the issuer can be asked again", site, opaque, http.StatusOK, "")
	})
}
