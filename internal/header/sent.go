package header

import "net/http"

// Sent holds the headers that were set for the identity of one request.
type Sent struct {
	list     []Header
	trailers *trailerGuard // nil until a handler has seen trailers

	// These avoid allocations: most requests have one header.
	headerBuf [1]Header
	valueBuf  [1]string
	used      bool
}

// Header is a header with a value of the identity.
type Header struct {
	name  string
	value []string
}

// buffers returns empty slices for n headers and their values.
func (s *Sent) buffers(n int) ([]Header, []string) {
	if s.used || n > len(s.headerBuf) {
		return make([]Header, 0, n), make([]string, 0, n)
	}
	s.used = true
	return s.headerBuf[:0:n], s.valueBuf[:0:n]
}

// SendHeaders sets the headers of an identity. It removes the headers of an outer
// handler that f clears, or all of them if they are of another user: the upstream
// must not see two users in one request.
func (s *Sent) SendHeaders(r *http.Request, f *Forwarding, headers []Header, otherUser bool) {
	if len(s.list) > 0 {
		var kept []Header
		for _, h := range s.list {
			if otherUser || cleared(h.name, f.Names) {
				delete(r.Header, h.name)
			} else {
				kept = append(kept, h)
			}
		}
		s.list = kept
	}
	for _, h := range headers {
		r.Header[h.name] = h.value
	}
	if len(s.list) == 0 {
		s.list = headers
	} else {
		s.list = append(s.list, headers...)
	}
}

// WithdrawHeaders removes the headers of the identity.
func (s *Sent) WithdrawHeaders(r *http.Request) {
	for _, h := range s.list {
		delete(r.Header, h.name)
	}
	s.list = nil
}

// has reports whether a header was set by SendHeaders and is unchanged since.
func (s *Sent) has(name string, value []string) bool {
	for _, h := range s.list {
		if h.name == name && len(value) == 1 && &value[0] == &h.value[0] {
			return true
		}
	}
	return false
}
