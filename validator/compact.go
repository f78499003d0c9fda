package validator

import (
	"encoding/base64"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// MaxLength is the longest token that is looked at, in bytes. Caddy's default
// for all headers together is the same.
const MaxLength = 16 << 10

// compact is a JWS in compact serialization (RFC 7515 section 3.1), cut up but
// not yet believed.
type compact struct {
	segment   string // of the header
	header    []byte // empty for one that is known
	claims    []byte
	signature []byte
	signed    string // what the signature covers
}

// split cuts a token and decodes its segments, but for a header whose segment is
// known. It does nothing in vain: length and dots are looked at before a byte is
// decoded. Five segments are a
// JWE (RFC 7516), which is named as such.
func split(token, known string) (compact, error) {
	if len(token) == 0 || len(token) > MaxLength {
		return compact{}, reason.MalformedToken
	}
	first := strings.IndexByte(token, '.')
	if first < 0 {
		return compact{}, reason.MalformedToken
	}
	second := strings.IndexByte(token[first+1:], '.')
	if second < 0 {
		return compact{}, reason.MalformedToken
	}
	second += first + 1
	if rest := token[second+1:]; strings.IndexByte(rest, '.') >= 0 {
		if strings.Count(rest, ".") == 2 {
			return compact{}, reason.UnsupportedToken
		}
		return compact{}, reason.MalformedToken
	}
	// One buffer for all parts.
	buffer := make([]byte, 0, len(token)*3/4)
	c := compact{segment: token[:first], signed: token[:second]}
	var ok bool
	if known == "" || c.segment != known {
		if c.header, buffer, ok = decode(buffer, c.segment); !ok {
			return compact{}, reason.MalformedToken
		}
	}
	if c.claims, buffer, ok = decode(buffer, token[first+1:second]); !ok {
		return compact{}, reason.MalformedToken
	}
	if c.signature, _, ok = decode(buffer, token[second+1:]); !ok {
		return compact{}, reason.MalformedToken
	}
	return c, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// decode decodes a segment behind what is in buffer already. An empty segment
// is none: a header and claims have two bytes at least, and an empty signature
// is that of "none". Every byte must be of the alphabet, line ends too, which Go's
// decoder skips, and unused bits must be zero (RFC 4648 section 3.5): else one
// token could be spelled in many ways, past revocation and caches.
func decode(buffer []byte, segment string) (part, rest []byte, ok bool) {
	// No segment has such a length, one with a line end may.
	if segment == "" || len(segment)%4 == 1 {
		return nil, nil, false
	}
	start := len(buffer)
	buffer, err := strictBase64.AppendDecode(buffer, stringBytes(segment))
	// Where line ends were skipped there are fewer bytes than the length promises.
	if err != nil || len(buffer)-start != strictBase64.DecodedLen(len(segment)) {
		return nil, nil, false
	}
	return buffer[start:len(buffer):len(buffer)], buffer, true
}
