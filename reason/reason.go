// Package reason defines the reasons for which requests are refused. A refusal can only
// be made from a code of this list, so each code has an answer, a metric and a row in the
// reference.
package reason

// Code is the reason for which a request is refused. Its text is stable: logs, metrics
// and {http.jwt.reason} show it.
type Code string

// Reasons concerning the token, in the order in which they are checked (RFC 7519
// section 7.2, RFC 8725).
const (
	// MalformedToken: the token is not a JWS in compact serialization, or its
	// header or claims are not strict JSON with the right types.
	MalformedToken Code = "malformed_token"
	// UnsupportedToken: the token is well-formed but needs something that is
	// deliberately not supported: encryption, extensions (crit), nesting,
	// compression, or proof of possession (cnf).
	UnsupportedToken Code = "unsupported_token"
	// UnknownIssuer: iss is not a trusted issuer.
	UnknownIssuer Code = "unknown_issuer"
	// AlgorithmNotAllowed: alg is not allowed for the issuer or the key.
	AlgorithmNotAllowed Code = "algorithm_not_allowed"
	// UnknownKey: the issuer has no key with this kid, or too many keys fit a token
	// without kid.
	UnknownKey Code = "unknown_key"
	// BadSignature: the signature is invalid.
	BadSignature Code = "bad_signature"
	// Expired: the time in exp has passed.
	Expired Code = "expired"
	// NotYetValid: the time in nbf has not come.
	NotYetValid Code = "not_yet_valid"
	// IssuedInFuture: the time in iat has not come.
	IssuedInFuture Code = "issued_in_future"
	// LifetimeTooLong: exp is further away than max_lifetime allows.
	LifetimeTooLong Code = "lifetime_too_long"
	// WrongAudience: the token is meant for another audience.
	WrongAudience Code = "wrong_audience"
	// WrongType: typ is not an accepted type.
	WrongType Code = "wrong_type"
	// MissingClaim: a required claim is missing or unusable.
	MissingClaim Code = "missing_claim"
	// Revoked: the token, or the API key, is revoked.
	Revoked Code = "revoked"
	// InactiveToken: the issuer says that the token is not active (RFC 7662 section 2.2).
	InactiveToken Code = "inactive_token"
	// KeysUnavailable: the issuer's keys are not available at the moment, so the
	// token can't be verified. The token may well be valid.
	KeysUnavailable Code = "keys_unavailable"
	// RevocationsUnavailable: it is not known at the moment which tokens and API keys
	// are revoked.
	RevocationsUnavailable Code = "revocations_unavailable"
	// IntrospectionUnavailable: the issuer can't be asked about a token at the moment. The
	// token may well be valid.
	IntrospectionUnavailable Code = "introspection_unavailable"
)

// Reasons concerning the request, its API key, or its permissions.
const (
	// MissingCredentials: there is no credential in any of the configured places.
	MissingCredentials Code = "missing_credentials"
	// MultipleCredentials: there are two different tokens, two different API
	// keys, or a repeated Authorization header.
	MultipleCredentials Code = "multiple_credentials"
	// MalformedRequest: a scheme or parameter is followed by nothing.
	MalformedRequest Code = "malformed_request"
	// CrossOrigin: the credential is a cookie or Basic, and the request comes
	// from a page of another site.
	CrossOrigin Code = "cross_origin"
	// UnknownAPIKey: the API key does not exist.
	UnknownAPIKey Code = "unknown_api_key"
	// APIKeyExpired: the API key has expired.
	APIKeyExpired Code = "api_key_expired"
	// APIKeyDisabled: the API key is disabled.
	APIKeyDisabled Code = "api_key_disabled"
	// APIKeysUnavailable: the stored API keys are not available at the moment, so the
	// key can't be verified. It may well be valid.
	APIKeysUnavailable Code = "api_keys_unavailable"
	// InsufficientScope: the credential lacks a required scope.
	InsufficientScope Code = "insufficient_scope"
	// Forbidden: a claim or an expression is not as required.
	Forbidden Code = "forbidden"
	// UnforwardableClaim: a claim can't be forwarded unchanged.
	UnforwardableClaim Code = "unforwardable_claim"
)

// Reasons concerning the messages of the Model Context Protocol, which are judged after the
// credential.
const (
	// MalformedMessage: the body is no JSON-RPC message, or one that another reader may
	// understand in another way.
	MalformedMessage Code = "malformed_message"
	// HeaderMismatch: a header of the protocol is missing or does not agree with the body.
	HeaderMismatch Code = "header_mismatch"
	// MethodNotAllowed: the HTTP method is none of the protocol's.
	MethodNotAllowed Code = "method_not_allowed"
	// UnsupportedMediaType: the body is not plain JSON in UTF-8.
	UnsupportedMediaType Code = "unsupported_media_type"
	// BodyTooLarge: the body is larger than is allowed.
	BodyTooLarge Code = "body_too_large"
	// BodyTimeout: the body did not come in time.
	BodyTimeout Code = "body_timeout"
	// Overloaded: the bodies of all requests together take too much memory at the moment.
	Overloaded Code = "overloaded"
)

// Error implements error. The text is only the code: an error never has any part of the
// token.
func (c Code) Error() string { return string(c) }

// All lists the codes, in the order of the constants.
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
	Revoked,
	InactiveToken,
	KeysUnavailable,
	RevocationsUnavailable,
	IntrospectionUnavailable,
	MissingCredentials,
	MultipleCredentials,
	MalformedRequest,
	CrossOrigin,
	UnknownAPIKey,
	APIKeyExpired,
	APIKeyDisabled,
	APIKeysUnavailable,
	InsufficientScope,
	Forbidden,
	UnforwardableClaim,
	MalformedMessage,
	HeaderMismatch,
	MethodNotAllowed,
	UnsupportedMediaType,
	BodyTooLarge,
	BodyTimeout,
	Overloaded,
}
