package refusal

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// retryAfter is the Retry-After of a 503, in seconds: how long it takes to notice that
// an issuer is available again.
const retryAfter = "5"

// Responder has the responses of a handler. They are built when the config loads, since
// a flood of bad requests must cost less than good ones.
type Responder struct {
	settings      Settings
	bearer, basic responses
}

// responses are those for credentials that came in one way: in HTTP Basic, to whose
// challenge the error then belongs, or in any other.
type responses struct {
	byCode   map[reason.Code]*Response
	byDetail map[string]*Response // of the details that clients are told
}

// Response is the prepared response to one reason.
type Response struct {
	Answer
	err        error
	challenges []string
	body       []byte
	grpc       *grpcAnswer
	refusal    Refusal
	number     int // of the reason, in reason.All

	message bool   // whether body is of another protocol (see Message)
	allow   string // the header Allow
}

// Number returns the reason's index in reason.All.
func (p *Response) Number() int { return p.number }

// Settings decide what the responses say.
type Settings struct {
	Realm, Format string
	Accepted      Accepted
	Scopes        string // those that are required, for the challenge of a request without them
	// Metadata is the URL of the metadata of the protected resource (RFC 9728 section 5.1),
	// for every challenge; empty for none.
	Metadata string
	// Least are the scopes that every request needs, for the challenges of a 401 where there is
	// such metadata.
	Least string
}

// Refusal returns the refusal, with its cause if there is one.
func (p *Response) Refusal(cause *Cause) *Refusal {
	if cause == nil {
		return &p.refusal
	}
	r := p.refusal
	r.Cause = *cause
	return &r
}

// To returns the response to a reason. basic is whether the request's credential came in
// HTTP Basic.
func (r *Responder) To(code reason.Code, cause *Cause, basic bool) *Response {
	all := &r.bearer
	if basic {
		all = &r.basic
	}
	if cause != nil && cause.Detail != "" {
		if p := all.byDetail[cause.Detail]; p != nil && p.refusal.Code == code {
			return p
		}
	}
	return all.byCode[code]
}

// New prepares the responses.
func New(s Settings) (*Responder, error) {
	if err := Check(s.Realm, s.Format); err != nil {
		return nil, err
	}
	for _, text := range [...]string{s.Scopes, s.Least, s.Metadata} {
		if err := checkQuoted(text); err != nil {
			return nil, err
		}
	}
	if s.Realm == "" {
		s.Realm = "restricted"
	}
	if s.Format == "" {
		s.Format = formatJSON
	}
	return &Responder{settings: s, bearer: s.responses(false), basic: s.responses(true)}, nil
}

// Scoped is like To, but its challenge names other scopes, separated by spaces: all that an
// operation needs, where a request is for one of several. They must have been checked as
// scopes are.
func (r *Responder) Scoped(code reason.Code, cause *Cause, scopes string, basic bool) *Response {
	p := *r.To(code, cause, basic)
	if len(p.challenges) > 0 {
		p.challenges = r.settings.challenges(p.Answer, scopes, basic)
	}
	p.refusal.Answer = &p.Answer
	return &p
}

func (s *Settings) responses(basic bool) responses {
	all := responses{make(map[reason.Code]*Response, len(answers)), make(map[string]*Response, len(variants))}
	for n, code := range reason.All {
		a := answers[code]
		if code == reason.MissingCredentials {
			a.Text = s.Accepted.required()
		}
		all.byCode[code] = s.response(code, a, basic)
		all.byCode[code].number = n
	}
	for d, text := range variants {
		a := answers[d.Code()]
		a.Text = text
		p := s.response(d.Code(), a, basic)
		p.number = all.byCode[d.Code()].number
		all.byDetail[d.Detail()] = p
	}
	return all
}

func (s *Settings) response(code reason.Code, a Answer, basic bool) *Response {
	if s.Format == formatAWS {
		a = a.asAWS(code, s.Accepted)
	}
	p := &Response{Answer: a, err: errors.New(a.Text), body: body(s.Format, code, a), grpc: newGRPCAnswer(a, s.Format == formatGRPC)}
	if a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden {
		scopes := ""
		switch {
		case code == reason.InsufficientScope:
			scopes = s.Scopes
		case s.Metadata != "" && a.Status == http.StatusUnauthorized:
			scopes = s.Least
		}
		p.challenges = s.challenges(a, scopes, basic)
	}
	p.refusal = Refusal{Code: code, Answer: &p.Answer}
	return p
}

// challenges returns the WWW-Authenticate headers (RFC 6750 section 3), one for each
// scheme. Some clients read the first alone, so Bearer comes first; some read all as one text
// and take the first parameter of a name in it. So the error, the scopes and the metadata
// (RFC 9728 section 5.1) are there once: with the scheme that was used, or else with the first.
// As RFC 6750 says, a request without a credential gets no error code.
func (s *Settings) challenges(a Answer, scopes string, basic bool) []string {
	schemes := s.Accepted.schemes()
	used := schemes[0]
	if basic && s.Accepted.Basic {
		used = schemeBasic
	}
	list := make([]string, 0, len(schemes))
	for _, scheme := range schemes {
		c := scheme + ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Realm) + `"`
		if scheme == used && a.Code != "" {
			c += `, error="` + a.Code + `", error_description="` + a.Text + `"`
		}
		if scheme == used && scopes != "" {
			c += `, scope="` + scopes + `"`
		}
		if scheme == used && s.Metadata != "" {
			c += `, resource_metadata="` + s.Metadata + `"`
		}
		list = append(list, c)
	}
	return list
}

// Check checks the realm and the format of answers.
func Check(realm, format string) error {
	for _, c := range []byte(realm) {
		if c < ' ' || c > '~' || c == '=' {
			return errors.New("realm: only printable ASCII characters without = are allowed (RFC 9110 section 11.5), as some clients look for parameters in it; write a short name such as api")
		}
	}
	switch format {
	case "", formatJSON, formatAWS, formatGRPC, formatNone:
		return nil
	}
	return fmt.Errorf("error_format: %q is not a valid format; write json, aws, grpc or none", format)
}

// checkQuoted checks a text that stands between quotes in a challenge. All of them have been
// checked as what they are; this is the last that a header could be broken by one.
func checkQuoted(text string) error {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("%q can't stand in a challenge, as it has characters other than visible ASCII, or a quote", text)
		}
	}
	return nil
}

// SetHeaders sets the headers of the response except those of its body.
func (p *Response) SetHeaders(header http.Header) { p.headers(header, false) }

func (p *Response) headers(header http.Header, body bool) {
	// One array for all values saves allocations under a flood of bad requests. Other
	// handlers may change it.
	values := [2 + maxSchemes]string{"no-store", "application/json"}
	header["Cache-Control"] = values[0:1:1]
	if n := copy(values[2:], p.challenges); n > 0 {
		header["Www-Authenticate"] = values[2 : 2+n : 2+n]
	}
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	if body && p.body != nil {
		header["Content-Type"] = values[1:2:2]
	}
}

// HandlerError returns the error for Caddy's error routes.
func (p *Response) HandlerError() caddyhttp.HandlerError {
	return caddyhttp.HandlerError{StatusCode: p.Status, Err: p.err}
}

// Caused reports whether an error is the one of this response.
func (p *Response) Caused(err error) bool { return errors.Is(err, p.err) }

// Write sends the response, in the form of gRPC to a gRPC client.
func (p *Response) Write(w http.ResponseWriter, r *http.Request) {
	if IsGRPC(r) && !p.message {
		p.writeGRPC(w, r)
		return
	}
	p.headers(w.Header(), true)
	if p.message {
		p.setMessageHeaders(w.Header(), r)
	}
	w.WriteHeader(p.Status)
	// If this fails, the client is gone; the request is refused all the same.
	_, _ = w.Write(p.body)
}
