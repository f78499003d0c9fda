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
// (jwk, jku, x5u, x5c) are ignored: the sender chooses them, and only configured keys
// may verify a token. x5t and x5t#S256 choose among these where there is no kid.
type header struct {
	alg          key.Algorithm // zero for an unsupported one
	kid          string
	typ          string
	x5t, x5tS256 string
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
	h.kid, h.typ, h.x5t, h.x5tS256 = strings.Clone(h.kid), strings.Clone(h.typ), strings.Clone(h.x5t), strings.Clone(h.x5tS256)
	l.known.Store(&knownHeader{strings.Clone(segment), h})
}

// parseHeader parses a header. Names of members are case-sensitive; a member of the wrong
// type makes the token malformed and is never treated as absent.
func parseHeader(data []byte, maxValues int) (header, error) {
	var object claims.Draft
	if err := object.Read(data, maxValues); err != nil {
		return header{}, headerNotJSON.of(err)
	}
	defer object.Free()
	var (
		h           header
		alg         string
		malformed   *reason.Detailed // the first of each kind
		unsupported *reason.Detailed
	)
	note := func(first **reason.Detailed, d *reason.Detailed) {
		if *first == nil {
			*first = d
		}
	}
	readString := func(name string, v claims.Value) string {
		s, ok := v.Text()
		if !ok {
			note(&malformed, notText[name])
		}
		return s
	}
	hasAlg := false
	for i := range object.Len() {
		switch name, m := object.Member(i); name {
		case "alg":
			hasAlg = true
			alg = readString(name, m)
		case "kid":
			h.kid = readString(name, m)
		case "x5t":
			h.x5t, _ = m.Text()
		case "x5t#S256":
			h.x5tS256, _ = m.Text()
		case "typ":
			if h.typ = readString(name, m); h.typ == "" {
				note(&malformed, reason.EmptyType)
			}
		case "cty":
			// A nested token (RFC 7519 section 5.2): nobody would validate the
			// inner one.
			if claims.FoldType(readString(name, m)) == "jwt" {
				note(&unsupported, reason.Nested)
			}
		case "b64":
			// RFC 7797: with false the payload is not base64url. Only true,
			// the default, is accepted.
			if truth, ok := m.True(); !ok || !truth {
				note(&unsupported, reason.Unencoded)
			}
		case "crit":
			// Extensions that must be understood (RFC 7515 section 4.1.11), and
			// none is supported.
			note(&unsupported, reason.Critical)
		case "enc":
			// It belongs to encryption, as zip does; but zip must be ignored in
			// a signed token (RFC 7515 section 4), and providers send it.
			note(&unsupported, reason.Encryption)
		}
	}
	switch {
	case malformed != nil:
		return header{}, malformed
	case !hasAlg:
		return header{}, reason.AlgMissing
	case unsupported != nil:
		return header{}, unsupported
	}
	h.alg, _ = key.ParseAlgorithm(alg)
	return h, nil
}

// mayBe reports whether a token without kid may be signed by a key, as far as both say
// by which certificate it is known (RFC 7515 sections 4.1.7 and 4.1.8).
func (h *header) mayBe(k key.Key) bool {
	x5t, x5tS256 := k.Thumbprints()
	return (h.x5t == "" || x5t == "" || h.x5t == x5t) && (h.x5tS256 == "" || x5tS256 == "" || h.x5tS256 == x5tS256)
}

// stringBytes returns the bytes of a string without copying. They must not be changed.
func stringBytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
