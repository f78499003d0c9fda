package tokenservice

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxForm is the largest body of a request, in bytes, and maxParameters how many parameters
// it may have.
const (
	maxForm       = 8 << 10
	maxParameters = 32
)

// form is the form of a request. A parameter without a value is as if it were not there
// (RFC 6749 section 3.1).
type form struct {
	parameters [maxParameters]parameter
	n          int
	// resources is how many resources there are. More than one is an error of its own.
	resources int
}

type parameter struct{ name, value string }

// Get returns the value of a parameter, or "".
func (f *form) Get(name string) string {
	for i := range f.parameters[:f.n] {
		if f.parameters[i].name == name {
			return f.parameters[i].value
		}
	}
	return ""
}

// Has reports whether there is a parameter with a value.
func (f *form) Has(name string) bool { return f.Get(name) != "" }

// buffers are for bodies. They are cleared, as secrets are in them.
var buffers = sync.Pool{New: func() any { return new([maxForm + 1]byte) }}

// readForm reads the form in the body of a POST. It has answered, and returns false, if that
// is not one.
func (s *Service) readForm(w http.ResponseWriter, r *http.Request, from Request) (*form, bool) {
	f, refused := s.form(r, from)
	if refused != nil {
		s.fail(w, refused, eventOf(from))
		return nil, false
	}
	return f, true
}

func (s *Service) form(r *http.Request, from Request) (*form, *failure) {
	switch {
	case r.Method != http.MethodPost:
		return nil, onlyPOST
	case !from.Secure:
		return nil, notSecure
	case r.URL.RawQuery != "" || asksWithQuery(r.RequestURI):
		// URLs are in logs (RFC 6749 section 2.3.1).
		return nil, hasQuery
	case !isForm(r.Header):
		return nil, notAForm
	case r.ContentLength > maxForm:
		return nil, tooLarge
	}
	body, refused := readBody(r.Body)
	if refused != nil {
		return nil, refused
	}
	f := new(form)
	return f, f.parse(body)
}

// readBody reads a body up to maxForm.
func readBody(from io.Reader) (string, *failure) {
	buffer := buffers.Get().(*[maxForm + 1]byte)
	n := 0
	defer func() {
		clear(buffer[:n])
		buffers.Put(buffer)
	}()
	for {
		more, err := from.Read(buffer[n:])
		n += more
		switch {
		case n > maxForm:
			return "", tooLarge
		case err == io.EOF:
			return string(buffer[:n]), nil
		case err != nil:
			return "", cutShort
		}
	}
}

// asksWithQuery reports whether the URL that the client asked for has a query. What is in
// front may have taken it out of the request's URL.
func asksWithQuery(uri string) bool {
	_, query, _ := strings.Cut(uri, "?")
	return query != ""
}

// isForm reports whether a body is a form that is not encoded any further.
func isForm(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) != 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	const form = "application/x-www-form-urlencoded"
	if types[0] == form {
		return true
	}
	t, parameters, err := mime.ParseMediaType(types[0])
	charset := parameters["charset"]
	return err == nil && t == form && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// parse reads a form (RFC 6749 appendix B).
func (f *form) parse(body string) *failure {
	for body != "" {
		var pair string
		pair, body, _ = strings.Cut(body, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok := decoded(name)
		value, valid := decoded(value)
		switch {
		case !ok || !valid:
			return malformed
		case name == "resource":
			if f.resources++; f.resources > 1 {
				continue
			}
		case f.named(name):
			return duplicate
		}
		if f.n == maxParameters {
			return manyParams
		}
		f.parameters[f.n] = parameter{name, value}
		f.n++
	}
	return nil
}

// named reports whether there is a parameter with this name, even without a value.
func (f *form) named(name string) bool {
	for i := range f.parameters[:f.n] {
		if f.parameters[i].name == name {
			return true
		}
	}
	return false
}

// decoded decodes a name or a value. Most have nothing to decode, and stay where they are.
func decoded(text string) (string, bool) {
	if strings.ContainsAny(text, "%+") {
		var err error
		if text, err = url.QueryUnescape(text); err != nil {
			return "", false
		}
	}
	return text, utf8.ValidString(text)
}
