package integration

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// What docs/guides/identity-providers.md says of tokens that are unlike most: Zitadel's
// roles, SPIFFE's keys and those of an AWS load balancer.
func TestGuides_IdentityProviders(t *testing.T) {
	t.Parallel()
	const guide, zitadel, spiffe, alb = "identity-providers.md", "zitadel.example.test", "spiffe.example.test", "alb.example.test"
	k := keys(t)
	bundle := tempFile(t, "bundle.json", peers.JWKS(t,
		k.ES384.With(map[string]any{"use": "x509-svid", "kid": nil, "alg": nil}), k.ES256.With(map[string]any{"use": "jwt-svid", "alg": nil})))
	usable := strings.TrimSuffix(bundle, "bundle.json") + "keys.json"
	writeFile(t, usable, strings.Replace(readFile(t, bundle), `"use":"jwt-svid"`, `"use":"sig"`, 1))
	site := func(text, host string, more ...string) string {
		return guideSiteWith(t, guide, text, "api.example.com", host, append(more, printedUpstream...)...)
	}
	spiffeSite := func(file string) string { return site("spiffe://", spiffe, "/etc/caddy/spiffe/keys.json", file) }
	s := newFixture(t, site("ZITADEL-DOMAIN", zitadel, "https://ZITADEL-DOMAIN", "{$ISSUER}")+spiffeSite(usable)+site("Accesstoken", alb, printedIssuer...),
		options{trusted: true, shownByCaddy: true}, k.RS256)

	t.Run("Zitadel's roles are names of an object", func(t *testing.T) {
		const roles = "urn:zitadel:iam:org:project:PROJECT_ID:roles"
		token := func(name string, value any) string {
			return k.RS256.Token(t, s.claims(map[string]any{"aud": []string{"1", "PROJECT_ID"}, name: value}), nil)
		}
		org := map[string]string{"42": "acme.example.com"}
		admin := token(roles, map[string]any{"viewer": org, "admin": org})
		s.accepts(t, zitadel, admin)
		for name, c := range map[string]string{
			"another role":                 token(roles, map[string]any{"viewer": org}),
			"a role in another project":    token("urn:zitadel:iam:org:project:OTHER:roles", map[string]any{"admin": org}),
			"an organization of that name": token(roles, map[string]any{"viewer": map[string]string{"admin": "x"}}),
			"no roles":                     token("x", nil),
			"roles as text":                token(roles, "admin"),
		} {
			if a := s.get(t, zitadel, c); a.status != http.StatusForbidden {
				t.Errorf("%s: status %d; want 403", name, a.status)
			}
		}
		// The other way that the guide names, which asks for the organization too.
		expression := "require expression `\"admin\" in claims[\"" + roles + "\"]`"
		text := changed(t, site("ZITADEL-DOMAIN", zitadel, "https://ZITADEL-DOMAIN", "{$ISSUER}"), expression, "require claim "+roles+".admin.ORG_ID acme.example.com")
		s.mustReload(t, strings.Replace(text, "ORG_ID", "42", 1))
		s.accepts(t, zitadel, admin)
		if a := s.get(t, zitadel, token(roles, map[string]any{"admin": map[string]string{"43": "evil.example.com"}})); a.status != http.StatusForbidden {
			t.Errorf("another organization: status %d; want 403", a.status)
		}
	})

	t.Run("SPIFFE's keys, once their use is changed", func(t *testing.T) {
		need(t, jq)
		command := guideCode(t, guide, "sh", 0)
		_, filter, _ := strings.Cut(command, "jq '")
		filter, _, _ = strings.Cut(filter, "'")
		keys, err := exec.CommandContext(t.Context(), "jq", filter, bundle).Output()
		if err != nil {
			t.Fatalf("%q: %v", filter, err)
		}
		made := tempFile(t, "keys.json", string(keys))
		s.mustReload(t, spiffeSite(made)+site("Accesstoken", alb, printedIssuer...))
		svid := func(changes map[string]any) string {
			claims := map[string]any{"sub": "spiffe://example.org/billing", "aud": []string{guideAudience}, "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}
			for name, value := range changes {
				claims[name] = value
			}
			return k.ES256.Token(t, claims, nil)
		}
		if got := s.accepts(t, spiffe, svid(nil)).Header.Get("X-Spiffe-Id"); got != "spiffe://example.org/billing" {
			t.Errorf("the upstream got the id %q", got)
		}
		for name, c := range map[string]struct {
			token  string
			status int
		}{
			"another workload": {svid(map[string]any{"sub": "spiffe://example.org/other"}), 403},
			"another audience": {svid(map[string]any{"aud": "spiffe://example.org/db"}), 401},
			"the X.509 key":    {k.ES384.Token(t, map[string]any{"sub": "spiffe://example.org/billing", "aud": guideAudience, "exp": time.Now().Add(time.Minute).Unix()}, nil), 401},
		} {
			if a := s.get(t, spiffe, c.token); a.status != c.status {
				t.Errorf("%s: status %d; want %d", name, a.status, c.status)
			}
		}
		// Left as they are in the bundle, they are not used.
		config := changed(t, spiffeSite(bundle), "{$UPSTREAM}", "localhost:8080")
		if code, text := caddyCommand(t, config, nil, "validate"); code == 0 {
			t.Errorf("a bundle loads as it is: %s", text)
		}
	})

	t.Run("the access token of a load balancer", func(t *testing.T) {
		good := k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience}), nil)
		padded := func(token string) string { // as the load balancer writes X-Amzn-Oidc-Data
			parts := strings.Split(token, ".")
			for i := range parts {
				parts[i] += strings.Repeat("=", (4-len(parts[i])%4)%4)
			}
			return strings.Join(parts, ".")
		}(k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience, "pad": "x"}), nil))
		if !strings.Contains(padded, "=") {
			t.Fatal("this token needs no padding")
		}
		forged := []change{exactHeader("X-Amzn-Oidc-Data", "evil"), exactHeader("X-Amzn-Oidc-Identity", "evil"), exactHeader("x_amzn_oidc_identity", "evil")}
		for name, c := range map[string]struct {
			token  string
			status int
		}{"as it is": {good, 200}, "with padding": {padded, 401}, "none": {"", 401}} {
			changes := append([]change{}, forged...)
			if c.token != "" {
				changes = append(changes, header("X-Amzn-Oidc-Accesstoken", c.token))
			}
			a := s.send(t, s.http, http.MethodGet, alb, "/", changes...)
			checkStatus(t, a, c.status)
			if c.status == 200 && (strings.Contains(a.body, "evil") || a.upstream(t).Header.Get("X-User") != "user-1") {
				t.Errorf("%s: the upstream got %s", name, a.body)
			}
		}
	})
}
