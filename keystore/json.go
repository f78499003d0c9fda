package keystore

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// byteOrderMark is U+FEFF, which some servers and editors put in front of UTF-8. RFC 8259
// section 8.1 lets a reader ignore it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// parseJSON parses a key set or metadata. The errors continue a sentence that names the
// document, and say what it is instead if that is plain to see.
func parseJSON(data []byte) (claims.Value, error) { return parseJSONUpTo(data, maxDocumentValues) }

// parseJSONUpTo is parseJSON with another limit on the number of values.
func parseJSONUpTo(data []byte, maxValues int) (claims.Value, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	v, err := claims.ParseLarge(data, maxValues)
	if err == nil {
		return v, nil
	}
	start := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(start) == 0:
		return v, errors.New("is empty and not a JSON object")
	case start[0] == '<':
		return v, errors.New("is a page (HTML or XML) and not JSON; the URL may be that of a sign-in page or of a proxy's error")
	case bytes.HasPrefix(start, []byte("-----BEGIN")):
		return v, errors.New("is PEM and not JSON; write public_key instead, with a file that has it")
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return v, errors.New("is compressed (gzip), but its Content-Encoding does not say so")
	case bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")):
		return v, errors.New("is UTF-16 and not UTF-8, as JSON must be; save it as UTF-8")
	case start[0] == '[':
		return v, errors.New("is an array and not an object")
	}
	return v, fmt.Errorf("is not a strict JSON object (RFC 8259): %w", err)
}
