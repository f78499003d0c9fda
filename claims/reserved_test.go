package claims

import "testing"

func TestReserved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "azp", "acr", "auth_time", "scp", "appid", "cid"} {
		if !Reserved(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	for _, name := range []string{"", "plan", "Sub", "email", "scopes", "idp"} {
		if Reserved(name) {
			t.Errorf("%s is reserved", name)
		}
	}
}
