package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The sites of docs/guides/entra-tenants.md, with a stand-in for Entra ID.
func TestGuides_EntraTenants(t *testing.T) {
	t.Parallel()
	const guide, listed, every, printed = "entra-tenants.md", "listed.example.test", "every.example.test", "api.example.com"
	const printedIssuer, printedAudience = "https://login.microsoftonline.com/{tid}/v2.0 {", "0f6c2c1e-3a77-4b1c-9a50-5d1c7a40a003"
	e := peers.NewEntra(t)
	here := append([]string{printedIssuer, "{$ENTRA}/{tid}/v2.0 {\n\t\t\tca {$ENTRA_CA}"}, printedUpstream...)
	tenants := []string{"8d3a1f0e-52a7-4c7b-9d34-7f1f3bb0c001", peers.TenantA, "c41b7a52-0d2c-4f5e-8a5f-3f6b1d9de002", peers.TenantB}
	s := newFixture(t, guideSite(t, guide, 0, printed, listed, append(here, tenants...)...)+guideSite(t, guide, 1, printed, every, here...),
		options{env: map[string]string{"ENTRA": e.URL, "ENTRA_CA": e.CA.File}})
	user := func(tenant string) map[string]any { return e.Claims(tenant, printedAudience, nil) }
	for name, c := range map[string]struct {
		host   string
		claims map[string]any
		status int
	}{
		"a customer":                         {listed, user(peers.TenantA), 200},
		"another customer":                   {listed, user(peers.TenantB), 200},
		"no customer":                        {listed, user(peers.TenantC), 401},
		"an application with a role":         {listed, e.AppClaims(peers.TenantB, printedAudience, "Orders.Read.All"), 200},
		"an application without":             {listed, e.AppClaims(peers.TenantB, printedAudience), 403},
		"anyone where all tenants may":       {every, user(peers.TenantC), 200},
		"a personal account where all may":   {every, user(peers.ConsumerTenant), 200},
		"a personal account at a list":       {listed, user(peers.ConsumerTenant), 401},
		"an application where scopes count":  {every, e.AppClaims(peers.TenantC, printedAudience, "orders.read"), 403},
		"a token for another of Entra's API": {every, e.Claims(peers.TenantC, "00000003-0000-0000-c000-000000000000", nil), 401},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.get(t, c.host, e.All.Token(t, c.claims, nil))
			if a.status != c.status {
				t.Fatalf("status %d, want %d", a.status, c.status)
			}
			if a.status != http.StatusOK {
				return
			}
			seen := a.upstream(t)
			tenant, _ := c.claims["tid"].(string)
			if got := seen.Header.Get("X-User"); !strings.HasPrefix(got, tenant+"/") {
				t.Errorf("the user is %q, of the tenant %s", got, tenant)
			}
			if got := seen.Header.Get("X-Tenant"); c.host == listed && got != tenant {
				t.Errorf("the tenant is %q, want %s", got, tenant)
			}
		})
	}
}
