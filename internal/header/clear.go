package header

import (
	"io"
	"net/http"
	"strings"
)

// fold brings a header's name to the form in which upstreams compare them:
// CGI and its like know neither case nor the difference of - _ and dots.
func fold(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// foldsTo tells whether a header's name folds to a folded one.
func foldsTo(name, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '_' || c == '.':
			c = '-'
		}
		if c != folded[i] {
			return false
		}
	}
	return true
}

func cleared(name string, folded []string) bool {
	for _, f := range folded {
		if foldsTo(name, f) {
			return true
		}
	}
	return false
}

// Clear takes away what a client sends under the names of identity headers, in
// any spelling, from headers and from trailers, those included that come at the
// end of the body; and takes the names out of Connection, where they would make a
// proxy drop what is set later.
// Names of headers that hold credentials are taken out of trailers too. Headers
// that a jwt handler further out has made of its identity stay.
func (f *Forwarding) Clear(r *http.Request, sent *Sent) {
	ClearHeaders(r, sent, f.Names)
	GuardTrailers(r, f.Trailers)
}

// ClearHeaders clears headers, and their names in Connection.
func ClearHeaders(r *http.Request, sent *Sent, folded []string) {
	if len(folded) == 0 {
		return
	}
	connection := false
	for name, value := range r.Header {
		if cleared(name, folded) && !sent.has(name, value) {
			delete(r.Header, name)
		}
		connection = connection || name == "Connection"
	}
	if connection {
		clearConnection(r.Header, folded)
	}
}

// ClearNames deletes the headers whose names fold to one of folded.
func ClearNames(h http.Header, folded []string) {
	for name := range h {
		if cleared(name, folded) {
			delete(h, name)
		}
	}
}

func clearConnection(h http.Header, folded []string) {
	lines := h["Connection"]
	hit := false
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			hit = hit || cleared(strings.Trim(token, " \t"), folded)
		}
	}
	if !hit {
		return
	}
	var kept []string
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.Trim(token, " \t"); token != "" && !cleared(token, folded) {
				kept = append(kept, token)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
	} else {
		h["Connection"] = []string{strings.Join(kept, ", ")}
	}
}

// GuardTrailers clears trailers: the declared ones now, and all at the end of the
// body, when the server fills them in.
func GuardTrailers(r *http.Request, folded []string) {
	if r.Trailer == nil || len(folded) == 0 || r.Body == nil {
		return
	}
	ClearNames(r.Trailer, folded)
	r.Body = &trailerGuard{r.Body, r.Trailer, folded}
}

// trailerGuard is a body that clears trailers before anybody can see that it has
// ended.
type trailerGuard struct {
	io.ReadCloser
	trailer http.Header
	folded  []string
}

// Read implements io.Reader.
func (g *trailerGuard) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err != nil {
		ClearNames(g.trailer, g.folded)
	}
	return n, err
}
