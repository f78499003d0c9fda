package refusal

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// retryAfter is what a 503 asks for, in seconds: the time in which an issuer
// that has come back is found again.
const retryAfter = "5"

// Responder answers refusals. All that it writes is made when the config
// loads, since a flood of bad requests must cost less than good ones.
type Responder struct {
	prepared map[reason.Code]*Response
}

// Response is the answer to one reason.
type Response struct {
	Answer
	err       error
	challenge string
	body      []byte
	refusal   Refusal
}

// Refusal is why a request is refused, or would be. Requests share it: it never
// changes.
type Refusal struct {
	Code   reason.Code
	Answer *Answer
	unmet  string // the requirement that was not met, in the config's words
}

// Refusal returns the refusal with the requirement that was not met.
func (p *Response) Refusal(unmet string) *Refusal {
	if unmet == "" {
		return &p.refusal
	}
	r := p.refusal
	r.unmet = unmet
	return &r
}

// LogFields tell in a line of the plugin's log why a request is refused.
func (r *Refusal) LogFields() []zap.Field {
	fields := []zap.Field{zap.String("reason", string(r.Code)), zap.Int("status", r.Answer.Status)}
	if r.unmet != "" {
		fields = append(fields, zap.String("requirement", r.unmet))
	}
	return fields
}

// To is the answer to a reason.
func (r *Responder) To(code reason.Code) *Response { return r.prepared[code] }

// New makes the answers. scopes are what the challenge of a request without
// them names.
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
	r := &Responder{prepared: make(map[reason.Code]*Response, len(answers))}
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
		r.prepared[code] = p
	}
	return r, nil
}

// Check checks the realm and the format of answers.
func Check(realm, format string) error {
	for _, c := range []byte(realm) {
		if c < ' ' || c > '~' {
			return errors.New("realm: it may hold printable ASCII characters only (RFC 9110 section 11.5); write a short name such as api")
		}
	}
	switch format {
	case "", formatJSON, formatAWS, formatNone:
		return nil
	}
	return fmt.Errorf("error_format: %q is no format; write json, aws or none", format)
}

// SetHeaders sets the headers of the answer, but for those of its body.
func (p *Response) SetHeaders(header http.Header) { p.headers(header, false) }

func (p *Response) headers(header http.Header, body bool) {
	// One array for all values, as a flood of bad requests must cost little.
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

// HandlerError is the answer for error routes.
func (p *Response) HandlerError() caddyhttp.HandlerError {
	return caddyhttp.HandlerError{StatusCode: p.Status, Err: p.err}
}

// Write answers.
func (p *Response) Write(w http.ResponseWriter) {
	p.headers(w.Header(), true)
	w.WriteHeader(p.Status)
	// If it fails the client is gone. The refusal stands.
	_, _ = w.Write(p.body)
}
