package refusal

import (
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Message returns the response with a body of another protocol of JSON, whose clients read
// nothing else, whatever the format of the site. allow is the header Allow, empty for none.
func (p *Response) Message(body []byte, allow string) *Response {
	m := *p
	m.message, m.body, m.allow = true, body, allow
	return &m
}

// IsMessage reports whether the body is one of another protocol, which no page may replace.
func (p *Response) IsMessage() bool { return p.message }

// setMessageHeaders sets the headers of such a response alone.
func (p *Response) setMessageHeaders(header http.Header, r *http.Request) {
	if p.allow != "" {
		header.Set("Allow", p.allow)
	}
	if p.refusal.Code == reason.BodyTimeout && r.ProtoMajor == 1 {
		header.Set("Connection", "close") // what is left of the body is not waited for
	}
}
