package integration

import (
	"net/http"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// What the first page of the README promises: an issuer, an audience, and no
// other word, against a provider that knows nothing of us.
func TestThreeLinesAgainstAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	const es = "https://es.example.test"
	ca := peers.NewCA(t)
	provider := startOIDCProvider(t, ca, map[string]string{audience: "RS256", es: "ES256"})
	upstream := peers.NewUpstream(t)
	c := startCaddy(t, `
https://api.example.test {
	jwt {$ISSUER} https://api.example.test
	reverse_proxy {$UPSTREAM} {
		header_up X-User {http.auth.user.id}
		header_up X-Client {http.jwt.claims.client_id}
		header_up X-Scopes {http.jwt.scopes}
		header_up X-Issuer {http.jwt.issuer}
		header_up X-Method {http.jwt.auth_method}
		header_up X-Missing {http.jwt.claims.no_such_claim}
	}
}
https://es.example.test {
	jwt {$ISSUER} https://es.example.test
	reverse_proxy {$UPSTREAM}
	handle_errors {
		header X-Reason {http.jwt.reason}
		respond "refused" {err.status_code}
	}
}
`, options{env: map[string]string{
		"ISSUER":   provider.Issuer,
		"UPSTREAM": upstream.Addr,
		// The provider's authority is trusted as any machine's would be.
		"SSL_CERT_FILE": ca.File,
	}})
	client := c.client(http2)
	token := provider.token(t, audience, "read write")

	t.Run("its token passes, and the upstream learns who it is", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, site, "/", bearer(token))
		if a.status != http.StatusOK {
			t.Fatalf("status %d, %s", a.status, a.body)
		}
		seen := a.upstream(t)
		for name, want := range map[string]string{
			"X-User":        provider.ClientID,
			"X-Client":      provider.ClientID,
			"X-Scopes":      "read write",
			"X-Issuer":      provider.Issuer,
			"X-Method":      "jwt",
			"X-Missing":     "",
			"Authorization": "",
		} {
			if got := seen.Header.Get(name); got != want {
				t.Errorf("%s is %q; want %q", name, got, want)
			}
		}
	})
	t.Run("a token for another audience signed with ES256 passes there", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, "es.example.test", "/", bearer(provider.token(t, es, "read")))
		if a.status != http.StatusOK {
			t.Errorf("status %d, reason %q", a.status, a.header.Get("X-Reason"))
		}
	})
	t.Run("the first token is refused there", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, "es.example.test", "/", bearer(token))
		if a.status != http.StatusUnauthorized || a.header.Get("X-Reason") != "wrong_audience" {
			t.Errorf("status %d, reason %q; want 401, wrong_audience", a.status, a.header.Get("X-Reason"))
		}
	})
	t.Run("no token is refused", func(t *testing.T) {
		a := c.send(t, client, http.MethodGet, site, "/")
		if a.status != http.StatusUnauthorized {
			t.Errorf("status %d; want 401", a.status)
		}
	})
}
