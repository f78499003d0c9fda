package reason

// Detailed is a reason with what exactly is wrong. The detail is for the operator alone:
// logs and {http.jwt.detail} show it, clients never see it. It is a fixed text or in the
// config's words, and has no part of the request.
type Detailed struct {
	Code   Code
	Detail string
}

// Error implements error.
func (d *Detailed) Error() string { return string(d.Code) + ": " + d.Detail }

// Unwrap returns the code.
func (d *Detailed) Unwrap() error { return d.Code }

// Details of which clients are told, too.
var (
	// NotAJWT: the token has nothing of a JWT, as an opaque token or an API key.
	NotAJWT = &Detailed{MalformedToken, "not a JWT: it does not consist of three parts separated by dots"}
	// NoIssuer: the token has no iss.
	NoIssuer = &Detailed{UnknownIssuer, "the token has no iss"}
	// NoAudience: the token has none of the claims with the audience.
	NoAudience = &Detailed{WrongAudience, "the token has no audience"}
	// RevokedAPIKey: it is the API key that is revoked. Clients are told no more than
	// of an unknown one.
	RevokedAPIKey = &Detailed{Revoked, "the API key is revoked"}
	// SigningKeysUnavailable: it is the keys that sign tokens for the upstream that are
	// not available at the moment. The credential is valid.
	SigningKeysUnavailable = &Detailed{KeysUnavailable, "the keys of forward_jwt, which sign tokens for the upstream, are not loaded"}
)
