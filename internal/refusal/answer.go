// Package refusal answers requests that are refused: status, challenge and body for
// each reason.
package refusal

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// CodeOf returns the reason in an error of the validator. An error without a known
// reason is a bug of ours; it is answered like unavailable keys, so that it never
// allows a request.
func CodeOf(err error) reason.Code {
	var r reason.Code
	switch e := err.(type) { // as the validator's are, without a search
	case reason.Code:
		r = e
	case *reason.Detailed:
		r = e.Code()
	default:
		r, _ = errors.AsType[reason.Code](err)
	}
	if _, known := answers[r]; known {
		return r
	}
	return reason.KeysUnavailable
}

// Answer is what the client gets. The texts are constants: nothing of the request is
// echoed.
type Answer struct {
	Status int
	Code   string // error code of RFC 6750 section 3.1; empty where it must be absent
	Text   string // error_description
}

// StatusOf returns the status with which a reason is answered.
func StatusOf(code reason.Code) int { return answers[code].Status }

// Error codes of RFC 6750 section 3.1.
const (
	invalidRequest    = "invalid_request"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
)

// answers has the answer to every reason.
var answers = map[reason.Code]Answer{
	reason.MissingCredentials:  {http.StatusUnauthorized, "", "a token is required"},
	reason.MultipleCredentials: {http.StatusBadRequest, invalidRequest, "the request has more than one credential"},
	reason.MalformedRequest:    {http.StatusBadRequest, invalidRequest, "the request has an empty credential"},
	reason.CrossOrigin:         {http.StatusForbidden, "", "the credential came with a request from another site"},

	// One answer for all three, so that clients can't find out which keys exist.
	reason.UnknownAPIKey:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	reason.APIKeyExpired:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	reason.APIKeyDisabled: {http.StatusUnauthorized, invalidToken, "the API key is not valid"},

	reason.APIKeysUnavailable: {http.StatusServiceUnavailable, "", "the API keys are not available"},

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
	reason.Revoked:             {http.StatusUnauthorized, invalidToken, "the token is revoked"},
	reason.InactiveToken:       {http.StatusUnauthorized, invalidToken, "the token is not active"},
	reason.KeysUnavailable:     {http.StatusServiceUnavailable, "", "the keys to verify the token are not available"},

	reason.RevocationsUnavailable: {http.StatusServiceUnavailable, "", "it is not known which credentials are revoked"},

	reason.IntrospectionUnavailable: {http.StatusServiceUnavailable, "", "the issuer can not be asked about the token"},

	// Those of mcp, which writes the bodies of its answers as JSON-RPC.
	reason.MalformedMessage:     {http.StatusBadRequest, "", "the message is malformed"},
	reason.HeaderMismatch:       {http.StatusBadRequest, "", "a header does not agree with the message"},
	reason.MethodNotAllowed:     {http.StatusMethodNotAllowed, "", "the method is not allowed"},
	reason.UnsupportedMediaType: {http.StatusUnsupportedMediaType, "", "the body must be application/json in UTF-8 without a Content-Encoding"},
	reason.BodyTooLarge:         {http.StatusRequestEntityTooLarge, "", "the body is too large"},
	reason.BodyTimeout:          {http.StatusRequestTimeout, "", "the body did not come in time"},
	reason.Overloaded:           {http.StatusServiceUnavailable, "", "the server has too many messages to judge"},
}

// Formats of a refusal's body.
const (
	formatJSON = "json"
	formatAWS  = "aws"
	formatGRPC = "grpc"
	formatNone = "none"
)

// variants are the texts of refusals for which one reason says too little.
var variants = map[*reason.Detailed]string{
	reason.NotAJWT:    "the token is not a JWT",
	reason.NoIssuer:   "the token has no issuer",
	reason.NoAudience: "the token has no audience",

	reason.RevokedAPIKey: answers[reason.UnknownAPIKey].Text,

	reason.SigningKeysUnavailable: "the keys to sign a token for the upstream are not available",
}

// Accepted is which kinds of credential a handler accepts, and where.
type Accepted struct {
	Tokens, APIKeys bool
	Basic           bool     // whether API keys may be in HTTP Basic
	TokensIn        []string // as in "in the header Authorization with the scheme Bearer"
	APIKeysIn       []string
}

// asAWS returns the answer with the status of AWS API Gateway: 403 for a missing or
// invalid API key.
func (a Answer) asAWS(code reason.Code, accepted Accepted) Answer {
	switch code {
	case reason.UnknownAPIKey, reason.APIKeyExpired, reason.APIKeyDisabled:
		a.Status = http.StatusForbidden
	case reason.Revoked:
		if a.Text == variants[reason.RevokedAPIKey] {
			a.Status = http.StatusForbidden
		}
	case reason.MissingCredentials, reason.MalformedRequest:
		if !accepted.Tokens {
			a.Status = http.StatusForbidden
		}
	}
	return a
}

// required returns the error description for a request without a credential.
func (a Accepted) required() string {
	tokens, keys := strings.Join(a.TokensIn, " or "), strings.Join(a.APIKeysIn, " or ")
	switch {
	case a.Tokens && a.APIKeys:
		return "a token or an API key is required: a token " + tokens + ", or an API key " + keys
	case a.APIKeys:
		return "an API key is required, " + keys
	}
	return "a token is required, " + tokens
}

const schemeBasic = "Basic"

// maxSchemes is how many schemes there may be.
const maxSchemes = 2

// schemes returns the authentication schemes of the challenges. ApiKey is not registered;
// no registered scheme is for API keys. Basic comes last: wget 1.21 aborts if a scheme that
// it does not know follows.
func (a Accepted) schemes() []string {
	list := []string{"ApiKey"}
	if a.Tokens {
		list = []string{"Bearer"}
	}
	if a.Basic {
		list = append(list, schemeBasic)
	}
	return list
}

// body returns the body of an answer, nil for none.
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
		name := a.Code
		if name == "" {
			name = string(code)
		}
		content = struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}{name, a.Text}
	}
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // two constant strings
	}
	return b
}
