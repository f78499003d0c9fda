package mcp

import (
	"net/http"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Judged reports whether the body of a request is judged, which then is for Parse: that of a
// POST. Others have none.
func Judged(r *http.Request) bool { return r.Method == http.MethodPost }

// Check judges what needs no body: the HTTP method, and of a POST how its body is encoded.
// GET, DELETE (both of the older revisions), HEAD and OPTIONS have no body, as far as is known
// before it is read: over HTTP/2 and 3 only reading shows it.
func Check(r *http.Request) *Fault {
	switch r.Method {
	case http.MethodPost, http.MethodGet, http.MethodDelete, http.MethodHead, http.MethodOptions:
	default:
		return &Fault{Err: reason.MethodNotAllowed}
	}
	if len(r.Header["Upgrade"]) > 0 {
		return &Fault{Err: reason.Upgrade}
	}
	if err := checkNames(r); err != nil {
		return &Fault{Err: err}
	}
	if !Judged(r) {
		if r.ContentLength > 0 || len(r.TransferEncoding) > 0 {
			return &Fault{Err: reason.UnexpectedBody}
		}
		return nil
	}
	if err := checkType(r.Header); err != nil {
		return &Fault{Err: err}
	}
	return nil
}

// checkNames looks at the names of all headers: for those by which frameworks let a client
// choose another HTTP method, and for those that count here written with an underscore, which
// CGI, WSGI and their like can't tell from a hyphen.
func checkNames(r *http.Request) error {
	for name := range r.Header {
		switch name {
		case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
			return reason.MethodOverride
		}
		if !strings.Contains(name, "_") {
			continue
		}
		switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
		case "x-http-method-override", "x-http-method", "x-method-override":
			return reason.MethodOverride
		}
		if !Judged(r) {
			continue
		}
		switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
		case "content-type":
			return reason.ManyContentTypes
		case "content-encoding":
			return reason.ContentCoding
		case "mcp-protocol-version":
			return versionHeader.twice
		case "mcp-method":
			return methodHeader.twice
		case "mcp-name":
			return nameHeader.twice
		}
	}
	return nil
}

// checkType judges the headers that say how the body is to be read.
func checkType(h http.Header) error {
	if len(h["Content-Encoding"]) > 0 {
		return reason.ContentCoding
	}
	switch types := h["Content-Type"]; len(types) {
	case 0:
		return reason.NoContentType
	case 1:
		return checkMediaType(types[0])
	default:
		return reason.ManyContentTypes
	}
}

// checkMediaType accepts application/json alone, or with charset utf-8. Other readers of a
// header field differ in what they make of several parameters, of quotes and of empty ones.
func checkMediaType(value string) error {
	if value == "application/json" { // as almost all clients send it
		return nil
	}
	kind, parameter, more := strings.Cut(value, ";")
	switch kind = strings.Trim(kind, " \t"); {
	case kind == "" && !more:
		return reason.NoContentType
	case !equalASCII(kind, "application/json"):
		return reason.OtherContentType
	case !more:
		return nil
	}
	attribute, charset, _ := strings.Cut(strings.Trim(parameter, " \t"), "=")
	if !equalASCII(attribute, "charset") || strings.ContainsAny(charset, ";, \t") {
		return reason.OtherContentType
	}
	if !equalASCII(charset, "utf-8") && !equalASCII(charset, `"utf-8"`) {
		return reason.OtherCharset
	}
	return nil
}

// equalASCII reports whether s is the lower-case text if the case of ASCII letters is
// ignored. strings.EqualFold would take the long s for an s.
func equalASCII(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
