package caddyjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Reason is why a request was refused, as logs and {http.jwt.reason} name it.
// Every refusal has one, and every one has an answer below.
type Reason string

// The reasons that lie in the request; those that lie in a token are the
// validator's.
const (
	// MissingCredentials: there is no credential in any place that is read.
	MissingCredentials Reason = "missing_credentials"
	// MultipleCredentials: there are two different tokens, two different API
	// keys, or a repeated Authorization header.
	MultipleCredentials Reason = "multiple_credentials"
	// MalformedRequest: there is a scheme or parameter with nothing behind it.
	MalformedRequest Reason = "malformed_request"
	// CrossOrigin: the credential came in a cookie or as Basic, sent by another
	// site's page.
	CrossOrigin Reason = "cross_origin"
	// UnknownAPIKey: there is no such key.
	UnknownAPIKey Reason = "unknown_api_key"
	// APIKeyExpired: the key was good once.
	APIKeyExpired Reason = "api_key_expired"
	// APIKeyDisabled: the key is not enabled.
	APIKeyDisabled Reason = "api_key_disabled"
	// InsufficientScope: the credential lacks a required scope.
	InsufficientScope Reason = "insufficient_scope"
	// Forbidden: a claim or an expression is not as required.
	Forbidden Reason = "forbidden"
	// UnforwardableClaim: a claim can't be passed on as it is.
	UnforwardableClaim Reason = "unforwardable_claim"
)

// reasonOf takes the reason out of the validator's error. One that has none is
// a fault of ours and is answered as keys that can't be had: never with leave.
func reasonOf(err error) Reason {
	if r, ok := errors.AsType[validator.Reason](err); ok {
		if _, known := answers[Reason(r)]; known {
			return Reason(r)
		}
	}
	return Reason(validator.KeysUnavailable)
}

// answer is what the client is told. The texts are fixed: nothing of the
// request is ever echoed.
type answer struct {
	status int
	code   string // RFC 6750 section 3.1; empty where it must not be given
	text   string // error_description
}

const (
	invalidRequest = "invalid_request"
	invalidToken   = "invalid_token"
	lacksScope     = "insufficient_scope"
)

var answers = map[Reason]answer{
	MissingCredentials:  {http.StatusUnauthorized, "", "a token is required"},
	MultipleCredentials: {http.StatusBadRequest, invalidRequest, "the request has more than one credential"},
	MalformedRequest:    {http.StatusBadRequest, invalidRequest, "the request has an empty credential"},
	CrossOrigin:         {http.StatusForbidden, "", "the credential came with a request from another site"},

	// One answer for all three: nobody outside learns which keys there are.
	UnknownAPIKey:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	APIKeyExpired:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	APIKeyDisabled: {http.StatusUnauthorized, invalidToken, "the API key is not valid"},

	InsufficientScope:  {http.StatusForbidden, lacksScope, "the credential lacks a required scope"},
	Forbidden:          {http.StatusForbidden, lacksScope, "the credential does not allow this request"},
	UnforwardableClaim: {http.StatusForbidden, "", "a claim can not be passed on"},

	token(validator.MalformedToken):      {http.StatusUnauthorized, invalidToken, "the token is malformed"},
	token(validator.UnsupportedToken):    {http.StatusUnauthorized, invalidToken, "the token is of a kind that is not supported"},
	token(validator.UnknownIssuer):       {http.StatusUnauthorized, invalidToken, "the token's issuer is not trusted"},
	token(validator.AlgorithmNotAllowed): {http.StatusUnauthorized, invalidToken, "the token's algorithm is not allowed"},
	token(validator.UnknownKey):          {http.StatusUnauthorized, invalidToken, "the token's key is not known"},
	token(validator.BadSignature):        {http.StatusUnauthorized, invalidToken, "the token's signature is not valid"},
	token(validator.Expired):             {http.StatusUnauthorized, invalidToken, "the token has expired"},
	token(validator.NotYetValid):         {http.StatusUnauthorized, invalidToken, "the token is not valid yet"},
	token(validator.IssuedInFuture):      {http.StatusUnauthorized, invalidToken, "the token was issued in the future"},
	token(validator.LifetimeTooLong):     {http.StatusUnauthorized, invalidToken, "the token's lifetime is too long"},
	token(validator.WrongAudience):       {http.StatusUnauthorized, invalidToken, "the token is for another audience"},
	token(validator.WrongType):           {http.StatusUnauthorized, invalidToken, "the token's type is not accepted"},
	token(validator.MissingClaim):        {http.StatusUnauthorized, invalidToken, "the token lacks a required claim"},
	token(validator.KeysUnavailable):     {http.StatusServiceUnavailable, "", "the keys to verify the token are not available"},
}

func token(r validator.Reason) Reason { return Reason(r) }

// retryAfter is what a 503 asks for, in seconds: the time in which an issuer
// that has come back is found again.
const retryAfter = "5"

// The forms of a refusal's body.
const (
	formatJSON = "json"
	formatAWS  = "aws"
	formatNone = "none"
)

// responder answers refusals. All that it writes is made when the config
// loads, since a flood of bad requests must cost less than good ones.
type responder struct {
	prepared map[Reason]*prepared
}

type prepared struct {
	answer
	err       error
	challenge string
	body      []byte
	refusal   refusal
}

// scopes are what the challenge of a request without them names.
func newResponder(realm, format string, accepted kinds, scopes string) (*responder, error) {
	if realm == "" {
		realm = "restricted"
	}
	for _, c := range []byte(realm) {
		if c < ' ' || c > '~' {
			return nil, errors.New("realm: it may hold printable ASCII characters only (RFC 9110 section 11.5); write a short name such as api")
		}
	}
	switch format {
	case "":
		format = formatJSON
	case formatJSON, formatAWS, formatNone:
	default:
		return nil, fmt.Errorf("error_format: %q is no format; write json, aws or none", format)
	}
	r := &responder{prepared: make(map[Reason]*prepared, len(answers))}
	for reason, a := range answers {
		if reason == MissingCredentials {
			a.text = accepted.required()
		}
		if format == formatAWS {
			a = a.asAWS(reason, accepted)
		}
		p := &prepared{answer: a, err: errors.New(a.text), body: body(format, reason, a)}
		if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
			p.challenge = challenge(accepted.scheme(), realm, a)
			if reason == InsufficientScope && scopes != "" {
				p.challenge += `, scope="` + scopes + `"`
			}
		}
		p.refusal = refusal{reason: reason, answer: &p.answer}
		r.prepared[reason] = p
	}
	return r, nil
}

// asAWS is the answer with the status that AWS API Gateway has for it: 403 for a
// missing or bad API key.
func (a answer) asAWS(reason Reason, accepted kinds) answer {
	switch reason {
	case UnknownAPIKey, APIKeyExpired, APIKeyDisabled:
		a.status = http.StatusForbidden
	case MissingCredentials, MalformedRequest:
		if !accepted.tokens {
			a.status = http.StatusForbidden
		}
	}
	return a
}

// required says what a request without a credential lacks.
func (k kinds) required() string {
	switch {
	case k.tokens && k.apiKeys:
		return "a token or an API key is required"
	case k.apiKeys:
		return "an API key is required"
	}
	return "a token is required"
}

// scheme is the authentication scheme of the challenge. ApiKey is none of the
// registered ones, which know no API keys.
func (k kinds) scheme() string {
	if k.tokens {
		return "Bearer"
	}
	return "ApiKey"
}

// challenge is the WWW-Authenticate of RFC 6750 section 3. A request without a
// credential gets no error, as the section says.
func challenge(scheme, realm string, a answer) string {
	c := scheme + ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`
	if a.code != "" {
		c += `, error="` + a.code + `", error_description="` + a.text + `"`
	}
	return c
}

func body(format string, reason Reason, a answer) []byte {
	var content any
	switch format {
	case formatNone:
		return nil
	case formatAWS:
		content = struct {
			Message string `json:"message"`
		}{http.StatusText(a.status)}
	default:
		code := a.code
		if code == "" {
			code = string(reason)
		}
		content = struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}{code, a.text}
	}
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // two constant strings
	}
	return b
}

// refuse answers a request that must not go on: the only way out of the
// handler besides the next one.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, st *state, reason Reason) error {
	p := h.responder.prepared[reason]
	st.withdraw(r, &p.refusal)
	h.metrics.refused(reason)
	if c := h.logger.Check(zapcore.DebugLevel, "request refused"); c != nil {
		c.Write(st.whyFields(reason, p.status)...)
	}
	header := w.Header()
	// One array for all values, as a flood of bad requests must cost little.
	values := [...]string{"no-store", p.challenge, "application/json"}
	header["Cache-Control"] = values[0:1:1]
	if p.challenge != "" {
		header["Www-Authenticate"] = values[1:2:2]
	}
	if p.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	err := caddyhttp.HandlerError{StatusCode: p.status, Err: p.err}
	if errorRouteMatches(r, err) {
		return err
	}
	if p.body != nil {
		header["Content-Type"] = values[2:3:3]
	}
	w.WriteHeader(p.status)
	if _, err := w.Write(p.body); err != nil {
		// The client is gone. The refusal stands.
		return nil
	}
	return nil
}
