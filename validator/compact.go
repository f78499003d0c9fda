package validator

import (
	"encoding/base64"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// compact is a JWS in compact serialization (RFC 7515 section 3.1), decoded but not
// verified.
type compact struct {
	headerSegment string // the header as base64url
	header        []byte // nil if the header is the known one
	claims        []byte
	signature     []byte
	signed        string // what the signature covers
}

// split splits a token and decodes its segments, except a header whose segment is known.
// Dots are checked before anything is decoded, so that malformed tokens cost
// little. Five segments are a JWE (RFC 7516), which is unsupported rather than malformed.
func split(token, knownHeader string) (compact, error) {
	first := strings.IndexByte(token, '.')
	if first < 0 {
		return compact{}, reason.NotAJWT
	}
	second := strings.IndexByte(token[first+1:], '.')
	if second < 0 {
		return compact{}, reason.NotAJWT
	}
	second += first + 1
	if rest := token[second+1:]; strings.IndexByte(rest, '.') >= 0 {
		if strings.Count(rest, ".") == 2 {
			return compact{}, reason.Encrypted
		}
		return compact{}, reason.FourParts
	}
	// One buffer for all parts.
	buffer := make([]byte, 0, len(token)*3/4)
	c := compact{headerSegment: token[:first], signed: token[:second]}
	var ok bool
	if knownHeader == "" || c.headerSegment != knownHeader {
		if c.header, buffer, ok = decode(buffer, c.headerSegment); !ok {
			return compact{}, reason.HeaderEncoding
		}
	}
	if c.claims, buffer, ok = decode(buffer, token[first+1:second]); !ok {
		return compact{}, reason.ClaimsEncoding
	}
	if c.signature, _, ok = decode(buffer, token[second+1:]); !ok {
		return compact{}, reason.SignatureEncoding
	}
	return c, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// decode appends a decoded segment to buffer. An empty segment is an error: a header and
// claims have at least two bytes, and an empty signature is that of alg "none". Every
// byte must be in the alphabet, so line ends are errors, which Go's decoder skips, and
// unused bits must be zero (RFC 4648 section 3.5). Otherwise one token could be written in
// many ways, which would defeat revocation and caches.
func decode(buffer []byte, segment string) (part, rest []byte, ok bool) {
	// No valid segment has such a length, but one with line ends may.
	if segment == "" || len(segment)%4 == 1 {
		return nil, nil, false
	}
	start := len(buffer)
	buffer, err := strictBase64.AppendDecode(buffer, stringBytes(segment))
	// If line ends were skipped, there are fewer bytes than the length implies.
	if err != nil || len(buffer)-start != strictBase64.DecodedLen(len(segment)) {
		return nil, nil, false
	}
	return buffer[start:len(buffer):len(buffer)], buffer, true
}
