package caddyjwt

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

var _ admin.App = (*App)(nil)

// TestWhatAConfigAccepts: rules are made for the issuers of all sites, by the largest of their
// limits.
func TestWhatAConfigAccepts(t *testing.T) {
	t.Parallel()
	a := new(App)
	a.accepted.addPolicies([]validator.Policy{
		{Issuer: "https://b.example", Leeway: time.Minute, MaxLifetime: time.Hour}, {Issuer: "https://a.example", MaxLifetime: 2 * time.Hour},
	})
	a.accepted.addPolicies([]validator.Policy{{Issuer: "https://b.example", Leeway: time.Second, MaxLifetime: time.Hour}})
	if got := a.Issuers(); !slices.Equal(got, []string{"https://a.example", "https://b.example"}) {
		t.Error(got)
	}
	if a.Leeway() != time.Minute || a.MaxLifetime() != 2*time.Hour {
		t.Error(a.Leeway(), a.MaxLifetime())
	}
	for name, p := range map[string]validator.Policy{
		"an issuer without max_lifetime":     {Issuer: "https://c.example"},
		"tokens without an expiry":           {Issuer: "https://c.example", MaxLifetime: time.Hour, AllowNoExpiry: true},
		"any issuer, and without a lifetime": {AnyIssuer: true},
	} {
		b := new(App)
		b.accepted.addPolicies([]validator.Policy{{Issuer: "https://b.example", MaxLifetime: time.Hour}, p})
		if b.MaxLifetime() != 0 || len(b.Issuers()) != 2 {
			t.Errorf("%s: %s, %q", name, b.MaxLifetime(), b.Issuers())
		}
	}
	if a.Shared() != nil {
		t.Error("a config without state has one")
	}
	set, err := apikey.NewSet([]apikey.Record{{ID: "written", Hash: apikey.DigestOf("a long secret of it")}})
	if err != nil {
		t.Fatal(err)
	}
	a.accepted.addKeys(new(apikey.Lookup))
	a.accepted.addKeys(&apikey.Lookup{Written: set})
	if sets := a.WrittenKeys(); len(sets) != 1 || sets[0] != set {
		t.Error(sets)
	}
}
