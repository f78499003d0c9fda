package replica

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// marker is the object whose presence tells a set from a storage that is down. Its name
// sorts behind those of all others, so a sorted listing that was cut short lacks it.
const marker = "zz-caddy-jwt-1"

// markerText is its content.
const markerText = "The objects in this folder are a set that jwt, a plugin of Caddy, keeps. Without this one they count for nothing: don't delete it.\n"

// markerContent returns the marker's content, signed if there is a key.
func markerContent(set string, keys [][]byte) []byte {
	content := []byte(markerText)
	if len(keys) > 0 {
		content = appendMAC(content, set, keys[0])
	}
	return content
}

const macStart, macEnd = `{"mac":"`, `"}` + "\n"

// appendMAC appends the line that signs what is before it as part of a set: HMAC with
// SHA-256 (RFC 2104) in base64.
func appendMAC(content []byte, set string, key []byte) []byte {
	sum := mac(content, set, key)
	content = append(content, macStart...)
	content = base64.StdEncoding.AppendEncode(content, sum)
	return append(content, macEnd...)
}

// isMAC reports whether a line has the form of a signature.
func isMAC(line []byte) bool {
	return bytes.HasPrefix(line, []byte(macStart)) && bytes.HasSuffix(line, []byte(macEnd)) &&
		len(line) == len(macStart)+base64.StdEncoding.EncodedLen(sha256.Size)+len(macEnd)
}

// verifyMAC returns which of the keys has signed a content, -1 for none.
func verifyMAC(content []byte, set string, keys [][]byte) int {
	at := len(content) - len(macStart) - base64.StdEncoding.EncodedLen(sha256.Size) - len(macEnd)
	if at < 0 || !isMAC(content[at:]) {
		return -1
	}
	sum, err := base64.StdEncoding.DecodeString(string(content[at+len(macStart) : len(content)-len(macEnd)]))
	if err != nil {
		return -1
	}
	for i, key := range keys {
		if hmac.Equal(sum, mac(content[:at], set, key)) {
			return i
		}
	}
	return -1
}

// mac signs a content. The set's name stands in front with its length, so that a set's
// objects are of no use in another one.
func mac(content []byte, set string, key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(set))))
	h.Write([]byte(set))
	h.Write(content)
	return h.Sum(nil)
}
