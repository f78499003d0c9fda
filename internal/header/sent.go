package header

import "net/http"

// Sent are the headers that were made of the identity of one request.
type Sent struct {
	list []Header

	// Room for what most requests have one of.
	headerRoom [1]Header
	textRoom   [1]string
	taken      bool
}

// Header is a header that was made of an identity.
type Header struct {
	name  string
	value []string
}

// room returns empty slices for n headers and their values.
func (s *Sent) room(n int) ([]Header, []string) {
	if s.taken || n > len(s.headerRoom) {
		return make([]Header, 0, n), make([]string, 0, n)
	}
	s.taken = true
	return s.headerRoom[:0:n], s.textRoom[:0:n]
}

// SendHeaders sets the headers of an identity. Of those that a handler further out
// has made the ones of these names go, and all of them where it has found another
// user: nobody may be told of two users at once.
func (s *Sent) SendHeaders(r *http.Request, f *Forwarding, headers []Header, another bool) {
	if len(s.list) > 0 {
		var kept []Header
		for _, h := range s.list {
			if another || cleared(h.name, f.Names) {
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

// has reports whether a header is one of the identity's, untouched.
func (s *Sent) has(name string, value []string) bool {
	for _, h := range s.list {
		if h.name == name && len(value) == 1 && &value[0] == &h.value[0] {
			return true
		}
	}
	return false
}
