package revocation

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// TokenValue returns the value of a rule of KindToken: "sha256:" and the SHA-256, in
// lower-case hexadecimal digits, of the token's SignedPart.
func TokenValue(token string) string {
	sum := sha256.Sum256([]byte(SignedPart(token)))
	return digestPrefix + hex.EncodeToString(sum[:])
}

// SignedPart returns what identifies a token. Of a JWT in the compact serialization of a JWS
// (RFC 7515 section 7.1), it is the header and the payload with the dot between them, which
// can't be changed without the key. The signature can: for ECDSA, (r, n-s) is as good as
// (r, s), and many a decoder of base64 accepts several texts for the same bytes. So anyone who
// holds a revoked token could make a digest of all of it another one in a microsecond.
//
// Of everything else it is all of the text. That includes JWTs that are encrypted, which have
// five parts, and opaque tokens with two dots, such as PASETO's, whose first two parts
// all of them share.
func SignedPart(token string) string {
	last := strings.LastIndexByte(token, '.')
	if last < 0 {
		return token
	}
	header, payload, ok := strings.Cut(token[:last], ".")
	if !ok || strings.Contains(payload, ".") || !isObject(header) {
		return token
	}
	return token[:last]
}

// isObject reports whether a text is a JSON object in base64url without padding, as the
// header of a JWT must be.
func isObject(text string) bool {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && bytes.HasPrefix(bytes.TrimLeft(decoded, " \t\r\n"), []byte("{")) && json.Valid(decoded)
}
