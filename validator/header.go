package validator

import (
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// header is what a JOSE header (RFC 7515 section 4) is asked for. Keys that it
// names (jwk, jku, x5u, x5c, x5t) are not among it: they are the sender's
// choice, and only the configured keys decide.
type header struct {
	alg key.Algorithm // zero for one that does not exist here
	kid string
	typ string
}

// lastHeader remembers the header of the token that was verified last: tokens of one
// issuer have the same one, byte for byte, until its key changes.
type lastHeader struct {
	known atomic.Pointer[knownHeader]
}

type knownHeader struct {
	segment string
	header  header
}

// maxKnownHeader is the longest that is remembered, in bytes; usual ones have 100.
const maxKnownHeader = 512

// remember takes the header of a token whose signature is good. It keeps nothing of
// the token alive.
func (l *lastHeader) remember(segment string, h header) {
	if known := l.known.Load(); len(segment) > maxKnownHeader || known != nil && known.segment == segment {
		return
	}
	h.kid, h.typ = strings.Clone(h.kid), strings.Clone(h.typ)
	l.known.Store(&knownHeader{strings.Clone(segment), h})
}

// parseHeader reads the header. A member is found by its exact name; one of the
// wrong type makes the token malformed, never absent.
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
	text := func(into *string, v claims.Value) {
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
			text(&alg, m)
		case "kid":
			text(&h.kid, m)
		case "typ":
			text(&h.typ, m)
			if h.typ == "" {
				malformed = true
			}
		case "cty":
			// A token in a token (RFC 7519 section 5.2): the inner one would
			// be nobody's to check.
			var cty string
			text(&cty, m)
			if foldType(cty) == "jwt" {
				unsupported = true
			}
		case "b64":
			// RFC 7797: the payload is not base64url. Only the value that
			// changes nothing passes.
			if truth, ok := m.True(); !ok || !truth {
				unsupported = true
			}
		case "crit", "zip", "enc":
			// crit names what must be understood (RFC 7515 section 4.1.11),
			// and no extension is; zip and enc belong to encryption.
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

// stringBytes views a string as bytes that are only read.
func stringBytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
