package claims

import "slices"

// reserved are the claims of a token that an issuer sets itself. Each is what a check or a
// right depends on.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "azp", "acr", "auth_time",
}

// Reserved reports whether a claim is one that only the issuer of a token sets, so that
// neither a config nor the meta of an API key may name it.
func Reserved(name string) bool { return slices.Contains(reserved, name) }
