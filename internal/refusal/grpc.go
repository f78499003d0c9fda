package refusal

import (
	"fmt"
	"net/http"
	"strings"
)

// grpcAnswer is what a gRPC client gets besides the HTTP status.
type grpcAnswer struct {
	status, message string
	status200       bool // whether the client may be answered with HTTP 200
}

// grpcStatus are the status codes of gRPC for those of HTTP.
var grpcStatus = map[int]string{
	http.StatusBadRequest:         "3",  // INVALID_ARGUMENT
	http.StatusUnauthorized:       "16", // UNAUTHENTICATED
	http.StatusForbidden:          "7",  // PERMISSION_DENIED
	http.StatusTooManyRequests:    "8",  // RESOURCE_EXHAUSTED
	http.StatusServiceUnavailable: "14", // UNAVAILABLE
}

func newGRPCAnswer(a Answer, status200 bool) *grpcAnswer {
	status, ok := grpcStatus[a.Status]
	if !ok {
		status = "2" // UNKNOWN
	}
	var message strings.Builder
	for _, c := range []byte(a.Text) { // gRPC over HTTP2, "Status-Message"
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&message, "%%%02X", c)
		} else {
			message.WriteByte(c)
		}
	}
	return &grpcAnswer{status, message.String(), status200}
}

// IsGRPC reports whether a request is one of gRPC over HTTP/2 or 3. gRPC-Web, which
// browsers speak, is not: its clients read a status in another way.
func IsGRPC(r *http.Request) bool {
	if r.ProtoMajor < 2 {
		return false
	}
	values := r.Header["Content-Type"]
	return len(values) == 1 && grpcType(values[0]) != ""
}

const grpcPlain = "application/grpc"

// grpcType returns the content type for the answer to a gRPC request with this one, or ""
// if it is not one.
func grpcType(value string) string {
	value, _, _ = strings.Cut(value, ";")
	value = strings.ToLower(strings.TrimSpace(value))
	rest, ok := strings.CutPrefix(value, grpcPlain)
	switch {
	case !ok || rest != "" && rest[0] != '+':
		return ""
	case rest == "+proto", rest == "+json":
		return value
	}
	return grpcPlain // nothing that a client has made up is repeated
}

// writeGRPC sends the response without a body. The HTTP status is that of the refusal, as
// a site that checks requests for another server must never answer with 200; only with
// error_format grpc, and only to a call, is it 200 as gRPC demands of its servers.
func (p *Response) writeGRPC(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	p.headers(header, false)
	header.Set("Content-Type", grpcType(r.Header.Get("Content-Type")))
	header.Set("Grpc-Status", p.grpc.status)
	header.Set("Grpc-Message", p.grpc.message)
	status := p.Status
	if p.grpc.status200 && r.Method == http.MethodPost && strings.EqualFold(r.Header.Get("TE"), "trailers") {
		status = http.StatusOK
	}
	w.WriteHeader(status)
}
