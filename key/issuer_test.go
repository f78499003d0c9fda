package key

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
)

// TestKeysServe: a key says in "issuer" whose it is, as the key sets of Entra do, and other
// sets have members of this name that mean nothing.
func TestKeysServe(t *testing.T) {
	t.Parallel()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const (
		a, b   = "aaaaaaaa-1111-4222-8333-00000000000a", "bbbbbbbb-1111-4222-8333-00000000000b"
		second = "https://login.microsoftonline.com/"
	)
	for _, c := range []struct {
		issuer, iss, tenant string
		want                bool
	}{
		{"", second + a + "/v2.0", a, true},
		{"", "https://auth.example.com/", "", true},
		// A template.
		{second + "{tenantid}/v2.0", second + a + "/v2.0", a, true},
		{second + "{tenantid}/v2.0", second + b + "/v2.0", a, false},
		{second + a + "/v2.0", second + a + "/v2.0", a, true},
		{second + b + "/v2.0", second + a + "/v2.0", a, false},
		{second + a + "/v2.0/", second + a + "/v2.0", a, false},
		{second + "{tid}/v2.0", second + a + "/v2.0", a, false},
		{"https://other.example/{tenantid}/v2.0", second + a + "/v2.0", a, false},
		{"none", second + a + "/v2.0", a, false},
		{"CN=accounts.accesscontrol.windows.net", second + a + "/v2.0", a, false},
		// The first version of tokens, whose keys are in the sets of the second.
		{second + "{tenantid}/v2.0", "https://sts.windows.net/" + a + "/", a, true},
		{second + a + "/v2.0", "https://sts.windows.net/" + a + "/", a, true},
		{second + b + "/v2.0", "https://sts.windows.net/" + a + "/", a, false},
		{"https://login.microsoftonline.us/{tenantid}/v2.0", "https://sts.windows.net/" + a + "/", a, true},
		{"https://login.partner.microsoftonline.cn/{tenantid}/v2.0", "https://sts.chinacloudapi.cn/" + a + "/", a, true},
		{"https://login.partner.microsoftonline.cn/{tenantid}/v2.0", "https://sts.windows.net/" + a + "/", a, false},
		{"https://other.example/{tenantid}/v2.0", "https://sts.windows.net/" + a + "/", a, false},
		{"https://sts.windows.net/{tenantid}/", second + a + "/v2.0", a, false},
		// One issuer that the config writes out.
		{second + "{tenantid}/v2.0", second + a + "/v2.0", "", true},
		{second + a + "/v2.0", second + a + "/v2.0", "", true},
		{second + a + "/v2.0", second + b + "/v2.0", "", false},
		{second + "{tenantid}/v2.0", "https://sts.windows.net/" + a + "/", "", true},
		{second + a + "/v2.0", "https://sts.windows.net/" + a + "/", "", true},
		{second + a + "/v2.0", "https://sts.windows.net/" + b + "/", "", false},
		{second + a + "/v2.0", "https://" + a + ".ciamlogin.com/" + a + "/v2.0", "", true},
		{second + a + "/v2.0", "https://auth.example.com/", "", false},
		{second + "{tenantid}/v2.0", "https://auth.example.com/", "", false},
		{"https://auth.example.com", "https://auth.example.com/", "", true},
		{"https://auth.example.com/", "https://auth.example.com", "", true},
		{"https://auth.example.com/", "https://login.example.com/", "", false},
		{"https://auth.example.com/", "", "", false},
		{"http://auth.example.com/", "https://auth.example.com/", "", false},
		{"CN=accounts.accesscontrol.windows.net", "https://auth.example.com/", "", true},
		{"none", "https://auth.example.com/", "", true},
		{"auth", "https://auth.example.com/", "", true},
	} {
		k, err := NewPublic(&pair.PublicKey, Options{Issuer: c.issuer})
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Serves(c.iss, c.tenant); got != c.want || k.Issuer() != c.issuer {
			t.Errorf("a key of %q serves %q with tenant %q: %v, want %v", c.issuer, c.iss, c.tenant, got, c.want)
		}
	}
}

func TestIsTenant(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"9188040d-6c67-4c5b-b112-36a304b66dad": true, "9188040D-6C67-4C5B-B112-36A304B66DAD": false,
		"9188040d-6c67-4c5b-b112-36a304b66da": false, "9188040d-6c67-4c5b-b112-36a304b66dad0": false,
		"9188040d-6c67-4c5b-b112-36a304b66dag": false, "9188040d06c67-4c5b-b112-36a304b66dad": false,
		"9188040d-6c67-4c5b-b112-36a304b66d-d": false, "": false, "{tenantid}": false, "common": false,
	} {
		if IsTenant(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
