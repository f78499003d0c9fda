package header

import (
	"net/http"
	"strings"
)

// fold converts a header's name to the form in which upstreams compare names: to
// CGI and the like, case does not matter, and every character that is neither a letter
// nor a digit may stand for "-" (lighttpd makes HTTP_X_USER of X+User).
func fold(name string) string {
	folded := make([]byte, len(name))
	for i := range folded {
		folded[i] = foldByte(name[i])
	}
	return string(folded)
}

func foldByte(c byte) byte {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return c
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	}
	return '-'
}

// foldsTo reports whether fold(name) is folded, without an allocation.
func foldsTo(name, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i := range len(name) {
		if foldByte(name[i]) != folded[i] {
			return false
		}
	}
	return true
}

// cleared reports whether a header's name folds to one of folded.
func cleared(name string, folded []string) bool {
	for _, f := range folded {
		if foldsTo(name, f) {
			return true
		}
	}
	return false
}

// Clear removes what a client sends under the names of identity headers, in any
// spelling, from the headers and from the trailers, which arrive at the end of the
// body. It also removes the names from Connection, where they would make a proxy
// drop the headers that are set later. Trailers with the names of credential
// headers are removed too. Headers that an outer jwt handler has set stay.
//
// It must be called before any downstream handler. afterReader says that a handler
// may have begun to read the body: then the returned request, a copy, has no
// trailers, as somebody may still be writing to their map.
func (f *Forwarding) Clear(r *http.Request, sent *Sent, afterReader bool) *http.Request {
	ClearHeaders(r, sent, f.Names)
	switch {
	case r.Trailer == nil:
	case afterReader:
		without := new(http.Request)
		*without = *r
		without.Trailer = nil
		return without
	case sent.trailers != nil:
		sent.trailers.clear(f.Trailers)
	default:
		sent.trailers = guardTrailers(r, f.Trailers)
	}
	return r
}

// ClearHeaders removes headers, and their names from Connection.
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

// clearConnection removes names from Connection. A client can send thousands of tokens
// that are too short for any of them.
func clearConnection(h http.Header, folded []string) {
	lines := h["Connection"]
	if !namesHop(lines, folded) {
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

// namesHop reports whether Connection names a header whose name folds to one of folded.
func namesHop(lines, folded []string) bool {
	least := len(folded[0])
	for _, name := range folded {
		least = min(least, len(name))
	}
	for _, line := range lines {
		from := 0
		for i := 0; i <= len(line); i++ {
			if i < len(line) && line[i] != ',' {
				continue
			}
			if i-from >= least && cleared(strings.Trim(line[from:i], " \t"), folded) {
				return true
			}
			from = i + 1
		}
	}
	return false
}
