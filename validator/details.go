package validator

import (
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// What requests need of the details that have a parameter, made once: a flood of bad tokens
// must cost nothing more.

// Members that must have another type, by name.
var (
	notText = detailsOf(reason.NotText, "alg", "kid", "typ", "cty", "iss")
	notTime = detailsOf(reason.NotTime, "exp", "nbf", "iat")
)

// answerTypes are the refusals of an answer about a token in which a member has another type.
var answerTypes = detailsOf(reason.AnswerMember, "iss", "exp", "nbf", "iat")

func detailsOf(t reason.Template, members ...string) map[string]*reason.Detailed {
	all := make(map[string]*reason.Detailed, len(members))
	for _, name := range members {
		all[name] = t.With(name)
	}
	return all
}

// notJSON are the errors of a header or claims that can't be read.
type notJSON map[error]*reason.Detailed

func notJSONOf(part string) notJSON {
	return notJSON{
		claims.ErrSyntax:    reason.JSONSyntax.With(part),
		claims.ErrUTF8:      reason.JSONEncoding.With(part),
		claims.ErrDuplicate: reason.JSONDuplicate.With(part),
		claims.ErrDepth:     reason.JSONDepth.With(part),
		claims.ErrValues:    reason.JSONValues.With(part),
	}
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

// tooLarge is the refusal of a token of more than maxLength bytes.
func tooLarge(maxLength int) *reason.Detailed {
	return reason.TooLarge.With(strconv.Itoa(maxLength))
}
