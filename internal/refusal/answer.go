package refusal

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// CodeOf takes the reason out of the validator's error. One that has none is
// a fault of ours and is answered as keys that can't be had: never with leave.
func CodeOf(err error) reason.Code {
	if r, ok := errors.AsType[reason.Code](err); ok {
		if _, known := answers[r]; known {
			return r
		}
	}
	return reason.KeysUnavailable
}

// answer is what the client is told. The texts are fixed: nothing of the
// request is ever echoed.
type Answer struct {
	Status int
	Code   string // RFC 6750 section 3.1; empty where it must not be given
	Text   string // error_description
}

const (
	invalidRequest    = "invalid_request"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
)

var answers = map[reason.Code]Answer{
	reason.MissingCredentials:  {http.StatusUnauthorized, "", "a token is required"},
	reason.MultipleCredentials: {http.StatusBadRequest, invalidRequest, "the request has more than one credential"},
	reason.MalformedRequest:    {http.StatusBadRequest, invalidRequest, "the request has an empty credential"},
	reason.CrossOrigin:         {http.StatusForbidden, "", "the credential came with a request from another site"},

	// One answer for all three: nobody outside learns which keys there are.
	reason.UnknownAPIKey:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	reason.APIKeyExpired:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	reason.APIKeyDisabled: {http.StatusUnauthorized, invalidToken, "the API key is not valid"},

	reason.InsufficientScope:  {http.StatusForbidden, insufficientScope, "the credential lacks a required scope"},
	reason.Forbidden:          {http.StatusForbidden, insufficientScope, "the credential does not allow this request"},
	reason.UnforwardableClaim: {http.StatusForbidden, "", "a claim can not be passed on"},

	reason.MalformedToken:      {http.StatusUnauthorized, invalidToken, "the token is malformed"},
	reason.UnsupportedToken:    {http.StatusUnauthorized, invalidToken, "the token is of a kind that is not supported"},
	reason.UnknownIssuer:       {http.StatusUnauthorized, invalidToken, "the token's issuer is not trusted"},
	reason.AlgorithmNotAllowed: {http.StatusUnauthorized, invalidToken, "the token's algorithm is not allowed"},
	reason.UnknownKey:          {http.StatusUnauthorized, invalidToken, "the token's key is not known"},
	reason.BadSignature:        {http.StatusUnauthorized, invalidToken, "the token's signature is not valid"},
	reason.Expired:             {http.StatusUnauthorized, invalidToken, "the token has expired"},
	reason.NotYetValid:         {http.StatusUnauthorized, invalidToken, "the token is not valid yet"},
	reason.IssuedInFuture:      {http.StatusUnauthorized, invalidToken, "the token was issued in the future"},
	reason.LifetimeTooLong:     {http.StatusUnauthorized, invalidToken, "the token's lifetime is too long"},
	reason.WrongAudience:       {http.StatusUnauthorized, invalidToken, "the token is for another audience"},
	reason.WrongType:           {http.StatusUnauthorized, invalidToken, "the token's type is not accepted"},
	reason.MissingClaim:        {http.StatusUnauthorized, invalidToken, "the token lacks a required claim"},
	reason.KeysUnavailable:     {http.StatusServiceUnavailable, "", "the keys to verify the token are not available"},
}

// The forms of a refusal's body.
const (
	formatJSON = "json"
	formatAWS  = "aws"
	formatNone = "none"
)

// Accepted are the kinds of credential that a site accepts.
type Accepted struct{ Tokens, APIKeys bool }

// asAWS is the answer with the status that AWS API Gateway has for it: 403 for a
// missing or bad API key.
func (a Answer) asAWS(code reason.Code, accepted Accepted) Answer {
	switch code {
	case reason.UnknownAPIKey, reason.APIKeyExpired, reason.APIKeyDisabled:
		a.Status = http.StatusForbidden
	case reason.MissingCredentials, reason.MalformedRequest:
		if !accepted.Tokens {
			a.Status = http.StatusForbidden
		}
	}
	return a
}

// required says what a request without a credential lacks.
func (k Accepted) required() string {
	switch {
	case k.Tokens && k.APIKeys:
		return "a token or an API key is required"
	case k.APIKeys:
		return "an API key is required"
	}
	return "a token is required"
}

// scheme is the authentication scheme of the challenge. ApiKey is none of the
// registered ones, which know no API keys.
func (k Accepted) scheme() string {
	if k.Tokens {
		return "Bearer"
	}
	return "ApiKey"
}

// challenge is the WWW-Authenticate of RFC 6750 section 3. A request without a
// credential gets no error, as the section says.
func challenge(scheme, realm string, a Answer) string {
	c := scheme + ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`
	if a.Code != "" {
		c += `, error="` + a.Code + `", error_description="` + a.Text + `"`
	}
	return c
}

func body(format string, code reason.Code, a Answer) []byte {
	var content any
	switch format {
	case formatNone:
		return nil
	case formatAWS:
		content = struct {
			Message string `json:"message"`
		}{http.StatusText(a.Status)}
	default:
		named := a.Code
		if named == "" {
			named = string(code)
		}
		content = struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}{named, a.Text}
	}
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // two constant strings
	}
	return b
}
