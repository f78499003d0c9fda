// Package validator decides whether a token is good: a token string and the
// policies of the trusted issuers in, verified claims or one typed reason out.
// It follows RFC 7519 section 7.2, RFC 7515 section 5.2 and RFC 8725.
//
// It knows no HTTP and does no I/O; keys come through the one-method interface
// KeySet.
package validator

// Reason is why a token was refused. Its text is the stable code that logs and
// metrics show; decisions are made on the constants.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	// MalformedToken: it is no JWS in compact serialization, or its header
	// or claims are no strict JSON of the right types.
	MalformedToken Reason = "malformed_token"
	// UnsupportedToken: it is well-formed but asks for what is not supported
	// on purpose: encryption, extensions (crit), nesting, compression, or
	// proof of possession (cnf).
	UnsupportedToken Reason = "unsupported_token"
	// UnknownIssuer: its iss is not one that is trusted here.
	UnknownIssuer Reason = "unknown_issuer"
	// AlgorithmNotAllowed: its alg is not one that the issuer or key may use.
	AlgorithmNotAllowed Reason = "algorithm_not_allowed"
	// UnknownKey: the issuer has no such key.
	UnknownKey Reason = "unknown_key"
	// BadSignature: the signature is not the key's.
	BadSignature Reason = "bad_signature"
	// Expired: the time in exp has passed.
	Expired Reason = "expired"
	// NotYetValid: the time in nbf has not come.
	NotYetValid Reason = "not_yet_valid"
	// IssuedInFuture: the time in iat has not come.
	IssuedInFuture Reason = "issued_in_future"
	// LifetimeTooLong: exp is further away than the policy lets it be.
	LifetimeTooLong Reason = "lifetime_too_long"
	// WrongAudience: it is meant for somebody else.
	WrongAudience Reason = "wrong_audience"
	// WrongType: its typ is not one that is accepted here.
	WrongType Reason = "wrong_type"
	// MissingClaim: a claim that must be there is not, or is unusable.
	MissingClaim Reason = "missing_claim"
	// KeysUnavailable: the issuer's keys cannot be had right now, so that
	// nothing can be said of the token. It is not the token's fault.
	KeysUnavailable Reason = "keys_unavailable"
)

// Error makes a Reason an error. The text is the code alone: nothing of the
// token ever goes into an error.
func (r Reason) Error() string { return string(r) }
