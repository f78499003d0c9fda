package mcp

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// foldRune appends a letter without its case, as widely as any reader folds: the long s and
// the Kelvin sign are s and k, the Turkish dotless i is i as in Java, ß is ss.
func foldRune(dst []byte, r rune) []byte {
	switch r {
	case 'ß', 'ẞ':
		return append(dst, "ss"...)
	}
	return utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
}

// isASCII reports whether s is ASCII, and whether it is without capital letters too.
func isASCII(s string) (ascii, plain bool) {
	plain = true
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return false, false
		case 'A' <= c && c <= 'Z':
			plain = false
		}
	}
	return true, plain
}

// fold returns a name as it is compared with patterns: without case, in NFC (Unicode's
// canonical caseless matching), without characters that can't be seen, and without spaces
// around it.
func fold(name string) string { return strings.TrimSpace(foldPart(name)) }

// foldPart is fold for a part of a name, whose spaces stay.
func foldPart(name string) string {
	ascii, plain := isASCII(name)
	if ascii && plain {
		return name
	}
	if ascii {
		return strings.ToLower(name)
	}
	folded := make([]byte, 0, len(name)+8)
	for _, r := range norm.NFD.String(name) {
		if !invisible(r) {
			folded = foldRune(folded, r)
		}
	}
	return norm.NFC.String(string(folded))
}

// invisible reports whether a character is one that is not seen: a sign of format such as the
// zero width space, a variation selector, a filler.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// letters returns the letters of a text without their case, and nothing else; a compatibility
// form, such as a full-width letter, as what it stands for.
func letters(s string) string {
	if ascii, _ := isASCII(s); !ascii {
		s = norm.NFKD.String(s)
	}
	only := make([]byte, 0, len(s))
	for _, r := range s {
		if unicode.IsLetter(r) {
			only = foldRune(only, r)
		}
	}
	return string(only)
}

// foldedURI is a URI as it is compared with patterns.
type foldedURI struct {
	text string
	// local is the text of a file without its host: many a server that reads files does not
	// look at that. It is empty for any other.
	local string
}

// foldURI folds a URI. It refuses one with dot segments or control characters that are
// percent-encoded: behind it may be another resource.
func foldURI(uri string) (foldedURI, *reason.Detailed) {
	uri = plainHost(foldPart(plainURI(uri)))
	if strings.ContainsFunc(uri, unicode.IsControl) {
		return foldedURI{}, paramURIType
	}
	for segment := range strings.SplitSeq(uri, "/") {
		// A semicolon begins parameters of a segment, a question mark or a number sign ends
		// the path.
		if i := strings.IndexAny(segment, ";?#"); i >= 0 {
			segment = segment[:i]
		}
		if segment == "." || segment == ".." {
			return foldedURI{}, reason.DotSegments
		}
	}
	u := foldedURI{text: strings.TrimSpace(oneSlash(uri))}
	if host, ok := strings.CutPrefix(uri, fileScheme); ok && !strings.HasPrefix(host, "/") {
		if _, path, ok := strings.Cut(host, "/"); ok {
			u.local = strings.TrimSpace(oneSlash(fileScheme + "/" + path))
		}
	}
	return u, nil
}

const fileScheme = "file://"

// plainHost writes the host of a folded URI in one way: a file of localhost is one without a
// host (RFC 8089 section 2); on the web, who asks, a default port (RFC 3986 section 6.2.3) and
// the dot behind a whole name make no other resource.
func plainHost(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path := rest[:end], rest[end:]
	host = host[strings.LastIndexByte(host, '@')+1:]
	switch port := defaultPorts[scheme]; {
	case port != "":
		host = strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
		host = strings.TrimSuffix(host, ".")
	case scheme != "file":
		return uri
	case host == "localhost":
		host = ""
	}
	return scheme + "://" + host + path
}

var defaultPorts = map[string]string{"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}

// plainURI decodes what is percent-encoded, once, and makes slashes of backslashes.
func plainURI(uri string) string { return strings.ReplaceAll(unescape(uri), `\`, "/") }

// oneSlash makes one of several slashes in a row.
func oneSlash(uri string) string {
	for strings.Contains(uri, "//") {
		uri = strings.ReplaceAll(uri, "//", "/")
	}
	return uri
}

// unescape decodes what is percent-encoded; a percent sign without two digits stays.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high < 16 && low < 16 {
				b.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// unhex returns the value of a hexadecimal digit, and 16 for any other character.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
