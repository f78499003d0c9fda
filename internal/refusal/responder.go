package refusal

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// retryAfter is the Retry-After of a 503, in seconds: how long it takes to notice that
// an issuer is available again.
const retryAfter = "5"

// Responder has the responses of a handler. They are built when the config loads, since
// a flood of bad requests must cost less than good ones.
type Responder struct {
	responses map[reason.Code]*Response
}

// Response is the prepared response to one reason.
type Response struct {
	Answer
	err       error
	challenge string
	body      []byte
	refusal   Refusal
}

// Refusal is why a request is refused, or would be in report mode. Requests share it, so
// it must not be changed.
type Refusal struct {
	Code   reason.Code
	Answer *Answer
	unmet  string // the requirement that was not met, as written in the config
}

// Refusal returns the refusal, with the requirement that was not met if there is one.
func (p *Response) Refusal(unmet string) *Refusal {
	if unmet == "" {
		return &p.refusal
	}
	r := p.refusal
	r.unmet = unmet
	return &r
}

// LogFields returns the fields of a log line that say why a request is refused.
func (r *Refusal) LogFields() []zap.Field {
	fields := []zap.Field{zap.String("reason", string(r.Code)), zap.Int("status", r.Answer.Status)}
	if r.unmet != "" {
		fields = append(fields, zap.String("requirement", r.unmet))
	}
	return fields
}

// To returns the response to a reason.
func (r *Responder) To(code reason.Code) *Response { return r.responses[code] }

// New prepares the responses. scopes are the required scopes, for the challenge of a
// request without them.
func New(realm, format string, accepted Accepted, scopes string) (*Responder, error) {
	if err := Check(realm, format); err != nil {
		return nil, err
	}
	if realm == "" {
		realm = "restricted"
	}
	if format == "" {
		format = formatJSON
	}
	r := &Responder{responses: make(map[reason.Code]*Response, len(answers))}
	for code, a := range answers {
		if code == reason.MissingCredentials {
			a.Text = accepted.required()
		}
		if format == formatAWS {
			a = a.asAWS(code, accepted)
		}
		p := &Response{Answer: a, err: errors.New(a.Text), body: body(format, code, a)}
		if a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden {
			p.challenge = challenge(accepted.scheme(), realm, a)
			if code == reason.InsufficientScope && scopes != "" {
				p.challenge += `, scope="` + scopes + `"`
			}
		}
		p.refusal = Refusal{Code: code, Answer: &p.Answer}
		r.responses[code] = p
	}
	return r, nil
}

// Check checks the realm and the format of answers.
func Check(realm, format string) error {
	for _, c := range []byte(realm) {
		if c < ' ' || c > '~' {
			return errors.New("realm: only printable ASCII characters are allowed (RFC 9110 section 11.5); write a short name such as api")
		}
	}
	switch format {
	case "", formatJSON, formatAWS, formatNone:
		return nil
	}
	return fmt.Errorf("error_format: %q is not a valid format; write json, aws or none", format)
}

// SetHeaders sets the headers of the response except those of its body.
func (p *Response) SetHeaders(header http.Header) { p.headers(header, false) }

func (p *Response) headers(header http.Header, body bool) {
	// One array for all values saves allocations under a flood of bad requests.
	values := [...]string{"no-store", p.challenge, "application/json"}
	header["Cache-Control"] = values[0:1:1]
	if p.challenge != "" {
		header["Www-Authenticate"] = values[1:2:2]
	}
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	if body && p.body != nil {
		header["Content-Type"] = values[2:3:3]
	}
}

// HandlerError returns the error for Caddy's error routes.
func (p *Response) HandlerError() caddyhttp.HandlerError {
	return caddyhttp.HandlerError{StatusCode: p.Status, Err: p.err}
}

// Caused reports whether an error is the one of this response.
func (p *Response) Caused(err error) bool { return errors.Is(err, p.err) }

// Write sends the response.
func (p *Response) Write(w http.ResponseWriter) {
	p.headers(w.Header(), true)
	w.WriteHeader(p.Status)
	// If this fails, the client is gone; the request is refused all the same.
	_, _ = w.Write(p.body)
}
