package caddyjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// codeOf takes the reason out of the validator's error. One that has none is
// a fault of ours and is answered as keys that can't be had: never with leave.
func codeOf(err error) reason.Code {
	if r, ok := errors.AsType[reason.Code](err); ok {
		if _, known := answers[r]; known {
			return r
		}
	}
	return reason.KeysUnavailable
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

var answers = map[reason.Code]answer{
	reason.MissingCredentials:  {http.StatusUnauthorized, "", "a token is required"},
	reason.MultipleCredentials: {http.StatusBadRequest, invalidRequest, "the request has more than one credential"},
	reason.MalformedRequest:    {http.StatusBadRequest, invalidRequest, "the request has an empty credential"},
	reason.CrossOrigin:         {http.StatusForbidden, "", "the credential came with a request from another site"},

	// One answer for all three: nobody outside learns which keys there are.
	reason.UnknownAPIKey:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	reason.APIKeyExpired:  {http.StatusUnauthorized, invalidToken, "the API key is not valid"},
	reason.APIKeyDisabled: {http.StatusUnauthorized, invalidToken, "the API key is not valid"},

	reason.InsufficientScope:  {http.StatusForbidden, lacksScope, "the credential lacks a required scope"},
	reason.Forbidden:          {http.StatusForbidden, lacksScope, "the credential does not allow this request"},
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
	prepared map[reason.Code]*prepared
}

// Accepted are the kinds of credential that a site accepts.
type Accepted struct{ tokens, apiKeys bool }

// prepared is the answer to one reason.
type prepared struct {
	answer
	err       error
	challenge string
	body      []byte
	refusal   refusal
}

// refusal is why a request is refused, or would be. Requests share it: it never
// changes.
type refusal struct {
	code   reason.Code
	answer *answer
	unmet  string // the requirement that was not met, in the config's words
}

// with returns the refusal with the requirement that was not met.
func (p *prepared) with(unmet string) *refusal {
	if unmet == "" {
		return &p.refusal
	}
	r := p.refusal
	r.unmet = unmet
	return &r
}

// logFields tell in a line of the plugin's log why a request is refused.
func (r *refusal) logFields() []zap.Field {
	fields := []zap.Field{zap.String("reason", string(r.code)), zap.Int("status", r.answer.status)}
	if r.unmet != "" {
		fields = append(fields, zap.String("requirement", r.unmet))
	}
	return fields
}

// answerTo is the answer to a reason.
func (r *responder) answerTo(code reason.Code) *prepared { return r.prepared[code] }

// newResponder makes the answers. scopes are what the challenge of a request without
// them names.
func newResponder(realm, format string, accepted Accepted, scopes string) (*responder, error) {
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
	r := &responder{prepared: make(map[reason.Code]*prepared, len(answers))}
	for code, a := range answers {
		if code == reason.MissingCredentials {
			a.text = accepted.required()
		}
		if format == formatAWS {
			a = a.asAWS(code, accepted)
		}
		p := &prepared{answer: a, err: errors.New(a.text), body: body(format, code, a)}
		if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
			p.challenge = challenge(accepted.scheme(), realm, a)
			if code == reason.InsufficientScope && scopes != "" {
				p.challenge += `, scope="` + scopes + `"`
			}
		}
		p.refusal = refusal{code: code, answer: &p.answer}
		r.prepared[code] = p
	}
	return r, nil
}

// asAWS is the answer with the status that AWS API Gateway has for it: 403 for a
// missing or bad API key.
func (a answer) asAWS(code reason.Code, accepted Accepted) answer {
	switch code {
	case reason.UnknownAPIKey, reason.APIKeyExpired, reason.APIKeyDisabled:
		a.status = http.StatusForbidden
	case reason.MissingCredentials, reason.MalformedRequest:
		if !accepted.tokens {
			a.status = http.StatusForbidden
		}
	}
	return a
}

// required says what a request without a credential lacks.
func (k Accepted) required() string {
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
func (k Accepted) scheme() string {
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

func body(format string, code reason.Code, a answer) []byte {
	var content any
	switch format {
	case formatNone:
		return nil
	case formatAWS:
		content = struct {
			Message string `json:"message"`
		}{http.StatusText(a.status)}
	default:
		named := a.code
		if named == "" {
			named = string(code)
		}
		content = struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}{named, a.text}
	}
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // two constant strings
	}
	return b
}

// head sets the headers of the answer, but for those of its body.
func (p *prepared) head(header http.Header) { p.headers(header, false) }

func (p *prepared) headers(header http.Header, body bool) {
	// One array for all values, as a flood of bad requests must cost little.
	values := [...]string{"no-store", p.challenge, "application/json"}
	header["Cache-Control"] = values[0:1:1]
	if p.challenge != "" {
		header["Www-Authenticate"] = values[1:2:2]
	}
	if p.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	if body && p.body != nil {
		header["Content-Type"] = values[2:3:3]
	}
}

// handlerError is the answer for error routes.
func (p *prepared) handlerError() caddyhttp.HandlerError {
	return caddyhttp.HandlerError{StatusCode: p.status, Err: p.err}
}

// write answers.
func (p *prepared) write(w http.ResponseWriter) {
	p.headers(w.Header(), true)
	w.WriteHeader(p.status)
	// If it fails the client is gone. The refusal stands.
	_, _ = w.Write(p.body)
}
