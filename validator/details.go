package validator

import (
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// What is wrong with a token, for the operator. The texts are fixed: nothing that a
// stranger wrote is in them.
var (
	fourParts    = &reason.Detailed{Code: reason.MalformedToken, Detail: "it has four parts or more than five, and a JWT has three"}
	encrypted    = &reason.Detailed{Code: reason.UnsupportedToken, Detail: "it has five parts, as encrypted tokens (JWE) have"}
	badHeader    = &reason.Detailed{Code: reason.MalformedToken, Detail: "the header is not base64url without padding"}
	badClaims    = &reason.Detailed{Code: reason.MalformedToken, Detail: "the claims are not base64url without padding"}
	badSignature = &reason.Detailed{Code: reason.MalformedToken, Detail: "the signature is empty or not base64url without padding"}

	algMissing   = &reason.Detailed{Code: reason.MalformedToken, Detail: "the header has no alg"}
	emptyType    = &reason.Detailed{Code: reason.MalformedToken, Detail: "typ is empty"}
	nested       = &reason.Detailed{Code: reason.UnsupportedToken, Detail: "cty says that another token is inside"}
	unencoded    = &reason.Detailed{Code: reason.UnsupportedToken, Detail: "b64 is not true"}
	critical     = &reason.Detailed{Code: reason.UnsupportedToken, Detail: "crit names extensions, and none is supported"}
	encryption   = &reason.Detailed{Code: reason.UnsupportedToken, Detail: "enc is for encrypted tokens"}
	boundToken   = &reason.Detailed{Code: reason.UnsupportedToken, Detail: "cnf binds the token to its holder's key; allow_bound_tokens accepts it as a bearer token"}
	noExpiry     = &reason.Detailed{Code: reason.MissingClaim, Detail: "no exp; allow_no_expiry accepts it"}
	neverExpires = &reason.Detailed{Code: reason.LifetimeTooLong, Detail: "no exp, and max_lifetime limits the lifetime"}

	algUnknown    = &reason.Detailed{Code: reason.AlgorithmNotAllowed, Detail: "alg is none or not supported"}
	algRefused    = &reason.Detailed{Code: reason.AlgorithmNotAllowed, Detail: "the issuer's algorithms do not have the token's alg"}
	algOfOtherKey = &reason.Detailed{Code: reason.AlgorithmNotAllowed, Detail: "the issuer's keys for this kid are not for the token's alg"}

	unknownKid = &reason.Detailed{Code: reason.UnknownKey, Detail: "the issuer has no key with the token's kid; if its kids never match, ignore_kid tries every key"}
	manyKeys   = &reason.Detailed{Code: reason.UnknownKey, Detail: "the token has no kid or the keys have none, and too many keys fit it; kidless_keys raises their number"}

	audienceType = &reason.Detailed{Code: reason.WrongAudience, Detail: "the audience is empty or not a text or list of texts"}
)

// wrongKind are members that must have another type, by name.
var (
	notText = map[string]*reason.Detailed{}
	notTime = map[string]*reason.Detailed{}
)

func init() {
	for _, name := range []string{"alg", "kid", "typ", "cty", "iss"} {
		notText[name] = &reason.Detailed{Code: reason.MalformedToken, Detail: name + " is not a text"}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		notTime[name] = &reason.Detailed{Code: reason.MalformedToken, Detail: name + " is not a number of seconds from 1970 to 9999"}
	}
}

// notJSON are the errors of a header or claims that can't be read.
type notJSON map[error]*reason.Detailed

func notJSONOf(part string) notJSON {
	all := notJSON{}
	for _, err := range []claims.Error{claims.ErrSyntax, claims.ErrUTF8, claims.ErrDuplicate, claims.ErrDepth, claims.ErrValues} {
		all[err] = &reason.Detailed{Code: reason.MalformedToken, Detail: "the " + part + ": " + err.Error()}
	}
	return all
}

func (all notJSON) of(err error) error {
	if d, ok := all[err]; ok {
		return d
	}
	return reason.MalformedToken
}

var (
	headerNotJSON = notJSONOf("header")
	claimsNotJSON = notJSONOf("claims")
)
