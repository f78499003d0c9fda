// Package reason has the code of every refusal, once. A refusal can only be made
// of a code, so that each has an answer, a metric and a row in the reference.
package reason

// Code is why a request is refused. Its text is the stable code that logs, metrics
// and {http.jwt.reason} show; decisions are made on the constants.
type Code string

// The reasons that lie in a token, in the order in which they are looked for
// (RFC 7519 section 7.2, RFC 8725).
const (
	// MalformedToken: it is no JWS in compact serialization, or its header
	// or claims are no strict JSON of the right types.
	MalformedToken Code = "malformed_token"
	// UnsupportedToken: it is well-formed but asks for what is not supported
	// on purpose: encryption, extensions (crit), nesting, compression, or
	// proof of possession (cnf).
	UnsupportedToken Code = "unsupported_token"
	// UnknownIssuer: its iss is not one that is trusted here.
	UnknownIssuer Code = "unknown_issuer"
	// AlgorithmNotAllowed: its alg is not one that the issuer or key may use.
	AlgorithmNotAllowed Code = "algorithm_not_allowed"
	// UnknownKey: the issuer has no such key.
	UnknownKey Code = "unknown_key"
	// BadSignature: the signature is not the key's.
	BadSignature Code = "bad_signature"
	// Expired: the time in exp has passed.
	Expired Code = "expired"
	// NotYetValid: the time in nbf has not come.
	NotYetValid Code = "not_yet_valid"
	// IssuedInFuture: the time in iat has not come.
	IssuedInFuture Code = "issued_in_future"
	// LifetimeTooLong: exp is further away than the policy lets it be.
	LifetimeTooLong Code = "lifetime_too_long"
	// WrongAudience: it is meant for somebody else.
	WrongAudience Code = "wrong_audience"
	// WrongType: its typ is not one that is accepted here.
	WrongType Code = "wrong_type"
	// MissingClaim: a claim that must be there is not, or is unusable.
	MissingClaim Code = "missing_claim"
	// KeysUnavailable: the issuer's keys cannot be had right now, so that
	// nothing can be said of the token. It is not the token's fault.
	KeysUnavailable Code = "keys_unavailable"
)

// The reasons that lie in the request, in its API key, or in what it may do.
const (
	// MissingCredentials: there is no credential in any place that is read.
	MissingCredentials Code = "missing_credentials"
	// MultipleCredentials: there are two different tokens, two different API
	// keys, or a repeated Authorization header.
	MultipleCredentials Code = "multiple_credentials"
	// MalformedRequest: there is a scheme or parameter with nothing behind it.
	MalformedRequest Code = "malformed_request"
	// CrossOrigin: the credential came in a cookie or as Basic, sent by another
	// site's page.
	CrossOrigin Code = "cross_origin"
	// UnknownAPIKey: there is no such key.
	UnknownAPIKey Code = "unknown_api_key"
	// APIKeyExpired: the key was good once.
	APIKeyExpired Code = "api_key_expired"
	// APIKeyDisabled: the key is not enabled.
	APIKeyDisabled Code = "api_key_disabled"
	// InsufficientScope: the credential lacks a required scope.
	InsufficientScope Code = "insufficient_scope"
	// Forbidden: a claim or an expression is not as required.
	Forbidden Code = "forbidden"
	// UnforwardableClaim: a claim can't be passed on as it is.
	UnforwardableClaim Code = "unforwardable_claim"
)

// Error makes a Reason an error. The text is the code alone: nothing of the
// token ever goes into an error.
func (r Code) Error() string { return string(r) }

// All are the codes, in the order of the constants.
var All = []Code{
	MalformedToken,
	UnsupportedToken,
	UnknownIssuer,
	AlgorithmNotAllowed,
	UnknownKey,
	BadSignature,
	Expired,
	NotYetValid,
	IssuedInFuture,
	LifetimeTooLong,
	WrongAudience,
	WrongType,
	MissingClaim,
	KeysUnavailable,
	MissingCredentials,
	MultipleCredentials,
	MalformedRequest,
	CrossOrigin,
	UnknownAPIKey,
	APIKeyExpired,
	APIKeyDisabled,
	InsufficientScope,
	Forbidden,
	UnforwardableClaim,
}
