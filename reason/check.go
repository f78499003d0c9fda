package reason

// Check is one check of a credential or a request, made to explain an answer. What was seen
// may be in the words of a stranger; anyone who shows it must escape it.
type Check struct {
	// Name is the name of the check, of CheckNames.
	Name CheckName `json:"check"`
	// Outcome is how it came out.
	Outcome Outcome `json:"outcome"`
	// Reason is the reason of a refusal, empty unless the check failed.
	Reason Code `json:"reason,omitempty"`
	// Detail is that of the refusal, if it has one.
	Detail string `json:"detail,omitempty"`
	// Seen is what the credential or the request has, and Wanted what the config asks for.
	// No secret is in them, and no digest of one.
	Seen   string `json:"seen,omitempty"`
	Wanted string `json:"wanted,omitempty"`
	// Option is the option that decides, as it is written in a Caddyfile, such as
	// `audience https://api.example.com`; empty if there is none, or the default holds.
	Option string `json:"option,omitempty"`
}

// Outcome is how a check came out.
type Outcome string

const (
	// Passed: it is as wanted.
	Passed Outcome = "passed"
	// Failed: it is not, and the request is refused for it if no check before failed.
	Failed Outcome = "failed"
	// Skipped: the config does not ask for it, or it could not be made after what failed
	// before.
	Skipped Outcome = "skipped"
	// Unknown: it could not be made here, such as the signature without the keys.
	Unknown Outcome = "unknown"
)

// CheckName names a check. The names are stable.
type CheckName string

// The checks, in the order in which a request is judged.
const (
	CheckCredentials CheckName = "credentials" // where they are, and that there is one of each kind
	CheckAPIKey      CheckName = "api_key"     // that there is such a key, and that it is in force
	CheckForm        CheckName = "form"        // three parts, base64url, strict JSON, types of members
	CheckIssuer      CheckName = "issuer"      // iss
	CheckAlgorithm   CheckName = "algorithm"   // alg
	CheckExpires     CheckName = "expires"     // exp
	CheckLifetime    CheckName = "lifetime"    // max_lifetime
	CheckNotBefore   CheckName = "not_before"  // nbf
	CheckIssuedAt    CheckName = "issued_at"   // iat
	CheckKey         CheckName = "key"         // that a key fits kid and alg
	CheckSignature   CheckName = "signature"
	CheckAudience    CheckName = "audience"
	CheckType        CheckName = "type"        // typ
	CheckBinding     CheckName = "binding"     // cnf
	CheckUser        CheckName = "user"        // user_claim
	CheckRevocations CheckName = "revocations" // rules, and what became of a client
	CheckMessage     CheckName = "message"     // of MCP: that it can be judged, and that a rule names it where one must; then its rules

	// CheckIntrospection is what the issuer says of the token (RFC 7662): of an opaque token
	// behind its form, and of a JWT behind its revocations.
	CheckIntrospection CheckName = "introspection"

	CheckScope      CheckName = "scope"
	CheckClaim      CheckName = "claim"
	CheckExpression CheckName = "expression"
	CheckForward    CheckName = "forward" // that what is forwarded can be
)
