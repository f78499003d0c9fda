package validator

import (
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// header has the parts of a JOSE header (RFC 7515 section 4) that are used. Keys in it
// (jwk, jku, x5u, x5c, x5t) are ignored: the sender chooses them, and only configured keys
// may verify a token.
type header struct {
	alg key.Algorithm // zero for an unsupported one
	kid string
	typ string
}

// lastHeader remembers the parsed header of the last verified token. Tokens of one issuer
// have the same header, byte for byte, until its key changes.
type lastHeader struct {
	known atomic.Pointer[knownHeader]
}

type knownHeader struct {
	segment string
	header  header
}

// maxKnownHeader is the maximum length of a remembered header, in bytes. Typical headers
// have 100.
const maxKnownHeader = 512

// remember stores the header of a token with a valid signature. It copies strings, so
// that the token itself can be freed.
func (l *lastHeader) remember(segment string, h header) {
	if known := l.known.Load(); len(segment) > maxKnownHeader || known != nil && known.segment == segment {
		return
	}
	h.kid, h.typ = strings.Clone(h.kid), strings.Clone(h.typ)
	l.known.Store(&knownHeader{strings.Clone(segment), h})
}

// parseHeader parses a header. Names of members are case-sensitive; a member of the wrong
// type makes the token malformed and is never treated as absent.
func parseHeader(data []byte) (header, error) {
	var object claims.Draft
	if err := object.Read(data); err != nil {
		return header{}, reason.MalformedToken
	}
	defer object.Free()
	var (
		h           header
		alg         string
		unsupported bool
		malformed   bool
	)
	readString := func(into *string, v claims.Value) {
		s, ok := v.Text()
		if !ok {
			malformed = true
		}
		*into = s
	}
	hasAlg := false
	for i := range object.Len() {
		switch name, m := object.Member(i); name {
		case "alg":
			hasAlg = true
			readString(&alg, m)
		case "kid":
			readString(&h.kid, m)
		case "typ":
			readString(&h.typ, m)
			if h.typ == "" {
				malformed = true
			}
		case "cty":
			// A nested token (RFC 7519 section 5.2): nobody would validate the
			// inner one.
			var cty string
			readString(&cty, m)
			if foldType(cty) == "jwt" {
				unsupported = true
			}
		case "b64":
			// RFC 7797: with false the payload is not base64url. Only true,
			// the default, is accepted.
			if truth, ok := m.True(); !ok || !truth {
				unsupported = true
			}
		case "crit", "zip", "enc":
			// crit lists extensions that must be understood (RFC 7515 section
			// 4.1.11), and none is supported; zip and enc belong to encryption.
			unsupported = true
		}
	}
	switch {
	case malformed || !hasAlg:
		return header{}, reason.MalformedToken
	case unsupported:
		return header{}, reason.UnsupportedToken
	}
	h.alg, _ = key.ParseAlgorithm(alg)
	return h, nil
}

// stringBytes returns the bytes of a string without copying. They must not be changed.
func stringBytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
