package claims

import "slices"

// reserved are the claims that an issuer sets itself, or by which verifiers know whom a token
// is of, how they signed in, and what it is good for.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "azp", "acr", "auth_time",
	// Read where scope or client_id is absent.
	"scp", "appid", "cid",
}

// Reserved reports whether a claim of a token is one that only its issuer sets, so that
// neither a config nor the meta of an API key may name it.
func Reserved(name string) bool { return slices.Contains(reserved, name) }
