package caddyjwt

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/revocation"
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

// TestRevokedOpaqueTokensAreNotCounted: they are in no cache, so that none there is no sign of a
// wrong value.
func TestRevokedOpaqueTokensAreNotCounted(t *testing.T) {
	t.Parallel()
	h := new(Handler)
	const asked = "http://127.0.0.1:1"
	text := "jwt {\nissuer " + asked + " {\nintrospection " + asked + "/introspect\naudience https://api.example\n}\n}"
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	h.logger, h.app = zap.NewNop(), testApp(t)
	if err := h.provision(bareContext()); err != nil {
		t.Fatal(err)
	}
	for rule, want := range map[revocation.Rule]int{
		{Kind: revocation.KindSub, Value: "nobody-at-all", Issuer: asked}: -1, {Kind: revocation.KindToken, Value: strings.Repeat("a", 64)}: -1,
		{Kind: revocation.KindSub, Value: "nobody-at-all", Issuer: "https://other.example"}: 0, {Kind: revocation.KindKid, Value: "k", Issuer: asked}: 0,
	} {
		if got := h.app.CachedRefused(&rule, ""); got != want {
			t.Errorf("%s of %s: %d, want %d", rule.Kind, rule.Issuer, got, want)
		}
	}
}
