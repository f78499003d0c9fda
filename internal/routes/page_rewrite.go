package routes

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// foundFile is how a Caddyfile's {file_match.relative} is adapted.
const foundFile = "{http.matchers.file.relative}"

// rewrite is the state after a rewrite.
func (w *walk) rewrite(h *rewrite.Rewrite, s state) state {
	if h.Method != "" {
		s.get = strings.ToUpper(h.Method) == http.MethodGet
	}
	if h.URI != "" {
		s = s.withURI(h.URI)
	}
	// What is cut off from or replaced in a page's name leaves another one of the
	// site's, if the client has no say in it.
	open := !every(h.StripPathPrefix, isOfNoRequest) || !every(h.StripPathSuffix, isOfNoRequest)
	for _, r := range h.PathRegexp {
		open = open || !every(r.Replace, isOfNoRequest)
	}
	for _, r := range h.URISubstring {
		if !every(r.Find, isOfNoRequest) || !every(r.Replace, isOfNoRequest) {
			open, s.query = true, false // it is replaced in the query as well
		}
	}
	if open {
		s.path = false
	}
	if q := h.Query; q != nil {
		var texts []string
		for _, op := range q.Rename {
			texts = append(texts, op.Key, op.Val)
		}
		for _, op := range q.Set {
			texts = append(texts, op.Key, op.Val)
		}
		for _, op := range q.Add {
			texts = append(texts, op.Key, op.Val)
		}
		for _, op := range q.Replace {
			texts = append(texts, op.Key, op.Search, op.Replace)
		}
		for _, text := range append(texts, q.Delete...) {
			s.query = s.query && every(text, isOfNoRequest)
		}
	}
	return s
}

// withURI is the state after the URI was replaced.
func (s state) withURI(uri string) state {
	names := false // whether it names a query, perhaps an empty one
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		names = uri[i] == '?'
	}
	rest, found := strings.CutPrefix(uri, foundFile)
	switch {
	case found && s.file && (rest == "" || rest[0] == '?') && every(rest, isPage),
		strings.HasPrefix(uri, "/") && every(uri, isPage):
		s.path, s.query = true, s.query || names
	case !every(uri, isOfNoRequest):
		s.path, s.query = false, false
	default:
		s.query = s.query || names
	}
	return s
}

// headers is the state after headers of the request were changed.
func (w *walk) headers(ops *headers.HeaderOps, s state) state {
	if ops == nil {
		return s
	}
	if !w.keepsQuiet(ops, s) {
		s.own = false
	}
	if touchesHost(ops) {
		s.host = false
	}
	return s
}

// keepsQuiet reports whether nothing of the request's URI comes into a header.
func (w *walk) keepsQuiet(ops *headers.HeaderOps, s state) bool {
	may := w.mayBeSent(s)
	for _, fields := range [...]http.Header{ops.Add, ops.Set} {
		for field, values := range fields {
			if !every(field, may) {
				return false
			}
			for _, value := range values {
				if !every(value, may) {
					return false
				}
			}
		}
	}
	for field, replacements := range ops.Replace {
		if !every(field, may) {
			return false
		}
		for _, r := range replacements {
			if !every(r.Replace, may) {
				return false
			}
		}
	}
	return true
}

// touchesHost reports whether the request's Host may become another one.
func touchesHost(ops *headers.HeaderOps) bool {
	is := func(field string) bool {
		return strings.ContainsAny(field, "*{") || strings.EqualFold(field, "Host")
	}
	for field := range ops.Add {
		if is(field) {
			return true
		}
	}
	for field := range ops.Set {
		if is(field) {
			return true
		}
	}
	for field := range ops.Replace {
		if is(field) {
			return true
		}
	}
	for _, field := range ops.Delete {
		if is(field) {
			return true
		}
	}
	return false
}
