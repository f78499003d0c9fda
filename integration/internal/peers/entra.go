package peers

import (
	"encoding/json"
	"maps"
	"testing"
	"time"
)

// The tenants of an Entra. Personal accounts are in ConsumerTenant.
const (
	TenantA        = "aaaaaaaa-1111-4222-8333-00000000000a"
	TenantB        = "bbbbbbbb-1111-4222-8333-00000000000b"
	TenantC        = "cccccccc-1111-4222-8333-00000000000c"
	ConsumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// The paths of an Entra's metadata.
const (
	OrganizationsPath = "/organizations/v2.0/.well-known/openid-configuration"
	CommonPath        = "/common/v2.0/.well-known/openid-configuration"
)

// entraKeysPath is where all tenants' keys are.
const entraKeysPath = "/discovery/v2.0/keys"

// Entra is an issuer that signs for every tenant under another iss, as Microsoft Entra ID
// does: one metadata and one key set for all, whose issuer is a template, literally.
type Entra struct {
	*KeyServer
	// All signs for any tenant, Consumers and OfC for one; Unnamed is in the key set without
	// an issuer. Elsewhere is of another cloud.
	All, Consumers, OfC, Unnamed, Elsewhere *Key
}

// NewEntra starts one.
func NewEntra(t testing.TB) *Entra {
	t.Helper()
	e := &Entra{
		KeyServer: NewKeyServer(t, NewCA(t)),
		All:       NewKey(t, "RS256", "all-tenants"), Consumers: NewKey(t, "RS256", "consumers"), OfC: NewKey(t, "RS256", "tenant-c"),
		Unnamed: NewKey(t, "RS256", "unnamed"), Elsewhere: NewKey(t, "RS256", "elsewhere"),
	}
	issuer := func(k *Key, tenant string) any { return k.With(map[string]any{"use": "sig", "issuer": e.Iss(tenant)}) }
	e.Publish(
		issuer(e.All, "{tenantid}"), issuer(e.Consumers, ConsumerTenant), issuer(e.OfC, TenantC), e.Unnamed,
		e.Elsewhere.With(map[string]any{"issuer": "https://login.elsewhere.example/{tenantid}/v2.0"}),
	)
	for path, keys := range map[string]string{OrganizationsPath: "/organizations", CommonPath: "/common"} {
		text, err := json.Marshal(map[string]any{"issuer": e.Iss("{tenantid}"), "jwks_uri": e.URL + keys + entraKeysPath})
		if err != nil {
			t.Fatal(err)
		}
		e.Answer(path, &Answer{Body: string(text)})
		e.Answer(keys+entraKeysPath, &Answer{Body: e.KeySet()})
	}
	return e
}

// Iss is the iss of a tenant's tokens.
func (e *Entra) Iss(tenant string) string { return e.URL + "/" + tenant + "/v2.0" }

// Claims are those of a user's token of the second version, with changes; nil takes a claim
// out.
func (e *Entra) Claims(tenant, audience string, changes map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": e.Iss(tenant), "tid": tenant, "aud": audience, "ver": "2.0", "uti": "AbCdEf0123456789AbCdAA",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"sub": "pairwise-subject", "oid": "00000000-0000-4000-8000-0000000000aa", "name": "Ada", "preferred_username": "ada@contoso.example",
		"azp": "22222222-0000-4000-8000-000000000000", "azpacr": "0", "scp": "orders.read profile",
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// AppClaims are those of an application that calls without a user. Any application can get
// such a token for any API of its tenant; without an app role it has no roles.
func (e *Entra) AppClaims(tenant, audience string, roles ...string) map[string]any {
	changes := map[string]any{
		"scp": nil, "name": nil, "preferred_username": nil, "azpacr": "1", "idtyp": "app",
		"sub": "33333333-0000-4000-8000-000000000000", "oid": "33333333-0000-4000-8000-000000000000",
	}
	if len(roles) > 0 {
		changes["roles"] = roles
	}
	return e.Claims(tenant, audience, changes)
}
