package mcp

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// header is a header that says the same as the body, and what can be wrong with it.
type header struct {
	name                            string // as http.Header has it
	twice, missing, differs, format *reason.Detailed
}

func newHeader(name, shown string) *header {
	return &header{name, reason.HeaderTwice.With(shown), reason.HeaderMissing.With(shown), reason.HeaderDiffers.With(shown), reason.HeaderForm.With(shown)}
}

var (
	versionHeader = newHeader("Mcp-Protocol-Version", "MCP-Protocol-Version")
	methodHeader  = newHeader("Mcp-Method", "Mcp-Method")
	nameHeader    = newHeader("Mcp-Name", "Mcp-Name")
)

// field is what a request has of a header.
type field struct {
	*header
	value string
	there bool
}

// read returns the header's only value. Characters other than printable ASCII, space and tab
// are refused: servers differ in what they make of them.
func (h *header) read(from http.Header) (field, error) {
	switch values := from[h.name]; len(values) {
	case 0:
		return field{header: h}, nil
	case 1:
		for i := range len(values[0]) {
			if c := values[0][i]; (c < ' ' && c != '\t') || c > '~' {
				return field{}, h.format
			}
		}
		// RFC 9110 section 5.5; net/http has done so with HTTP/1.1.
		return field{h, strings.Trim(values[0], " \t"), true}, nil
	default:
		return field{}, h.twice
	}
}

// The encoding of a name that is not plain ASCII. Case counts.
const encodedStart, encodedEnd = "=?base64?", "?="

var strictBase64 = base64.StdEncoding.Strict()

// decoded decodes a name that is encoded.
func (f field) decoded() (field, error) {
	text, ok := strings.CutPrefix(f.value, encodedStart)
	if !ok {
		return f, nil
	}
	if text, ok = strings.CutSuffix(text, encodedEnd); !ok {
		return f, nil
	}
	// The decoder passes over line ends, which no header has.
	plain, err := strictBase64.DecodeString(text)
	if err != nil || !utf8.Valid(plain) {
		return f, f.format
	}
	f.value = string(plain)
	return f, nil
}

// headers are those of a request.
type headers struct{ version, method, name field }

func readHeaders(from http.Header) (h headers, err error) {
	if h.version, err = versionHeader.read(from); err != nil {
		return h, err
	}
	if h.version.there && !isVersion(h.version.value) {
		return h, h.version.format
	}
	if h.method, err = methodHeader.read(from); err != nil {
		return h, err
	}
	if h.name, err = nameHeader.read(from); err != nil {
		return h, err
	}
	h.name, err = h.name.decoded()
	return h, err
}

// firstWithHeaders is the first version whose messages must have all three headers.
const firstWithHeaders = "2026-07-28"

// draft begins the version of a revision that is not published yet.
const draft = "DRAFT-"

// isVersion reports whether s is a version of the protocol: the date of a revision, or a
// draft. The dates need not be those of this day's revisions: which ones it speaks is for the
// server to say.
func isVersion(s string) bool {
	if rest, ok := strings.CutPrefix(s, draft); ok {
		return rest != "" && len(rest) <= 32 && strings.Trim(rest, "0123456789abcdefghijklmnopqrstuvwxyz.-") == ""
	}
	if len(s) != len(firstWithHeaders) || s[4] != '-' || s[7] != '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && i != 4 && i != 7 {
			return false
		}
	}
	return true
}

// needsHeaders reports whether messages of a version must have the headers. Drafts do.
func needsHeaders(version string) bool {
	return version >= firstWithHeaders
}

// missing makes sure that nothing is missing of what a message must have whose version needs
// the headers. Revision 2026-07-28 leaves open what notifications have; a method that is none
// of the notifications is called without an id too.
func (h *headers) missing(c *call) *reason.Detailed {
	switch {
	case !h.version.there:
		return h.version.missing
	case !c.hasID && strings.HasPrefix(c.Method, "notifications/"):
		return nil
	case !h.method.there:
		return h.method.missing
	case !h.name.there && c.known.header:
		return h.name.missing
	case c.version == "":
		return reason.MetaVersion
	}
	return nil
}
