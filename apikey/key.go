package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"unsafe"
)

// The lengths of an API key and of its parts, in characters.
const (
	// MinLength is the shortest key that is accepted, as AWS API
	// Gateway has it.
	MinLength = 20
	// ShortLength is the shortest that an import takes over if it is told to.
	ShortLength = 6
	// MaxLength is the longest; a longer one is refused unread.
	MaxLength = 512

	idLength       = 10
	secretLength   = 43 // of 32 bytes
	checksumLength = 6  // of a CRC-32
	secretBytes    = 32
	minCharacters  = 8 // different ones
	maxPrefix      = 32
)

// DefaultPrefix begins the keys that are made here.
const DefaultPrefix = "cj"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Digest is the SHA-256 of an API key: all that is ever stored of one.
type Digest [sha256.Size]byte

// digestPrefix names the hash, so that a digest is never taken for a key.
const digestPrefix = "sha256:"

// String returns the digest as it is written in records and configs: sha256:HEX.
func (d Digest) String() string { return digestPrefix + hex.EncodeToString(d[:]) }

// DigestOf returns the digest of an API key.
func DigestOf(apiKey string) Digest {
	// Not copied: it is only read, and copies of keys are not left in memory.
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(apiKey), len(apiKey)))
}

// IsDigest reports whether text is a digest, valid or not, rather than an API key.
func IsDigest(text string) bool {
	return len(text) >= len(digestPrefix) && strings.EqualFold(text[:len(digestPrefix)], digestPrefix)
}

// ParseDigest reads sha256:HEX, with 64 hexadecimal digits of any case. Its
// errors don't show the text, which may be a key.
func ParseDigest(text string) (Digest, error) {
	if !IsDigest(text) {
		return Digest{}, errors.New("a hash is sha256: and 64 hexadecimal digits; `caddy jwt api-key hash` makes it from a key")
	}
	digits := text[len(digestPrefix):]
	if len(digits) != 2*sha256.Size {
		return Digest{}, fmt.Errorf("the hash has %d characters after sha256:, not 64; `caddy jwt api-key hash` makes one from a key", len(digits))
	}
	var d Digest
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return Digest{}, errors.New("the hash has a character that is not a hexadecimal digit; `caddy jwt api-key hash` makes one from a key")
	}
	return d, nil
}

// CheckText returns an error if text is not a valid API key. The error does not contain
// the key. Keys travel in headers, so they are visible ASCII (RFC
// 9110 section 5.5).
func CheckText(text string) error { return checkText(text, MinLength) }

func checkText(text string, least int) error {
	switch {
	case IsDigest(text):
		return errors.New("it is already a hash, not an API key")
	case len(text) < least:
		return fmt.Errorf("an API key has at least %d characters, this one has %d; `caddy jwt api-key new` makes one", least, len(text))
	case len(text) > MaxLength:
		return fmt.Errorf("an API key has at most %d characters, this one has %d", MaxLength, len(text))
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return errors.New("an API key is visible ASCII; this one has a space, a control character or one outside ASCII")
		}
	}
	return nil
}

// Weak reports whether a key has so few different characters that it could be guessed.
func Weak(text string) bool {
	var seen [256]bool
	n := 0
	for _, c := range []byte(text) {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n < minCharacters
}

// CheckPrefix returns an error if prefix is not valid for new keys.
func CheckPrefix(prefix string) error {
	if prefix == "" || len(prefix) > maxPrefix || strings.Trim(prefix, base62+"_") != "" ||
		prefix[0] == '_' || prefix[len(prefix)-1] == '_' {
		return fmt.Errorf("%s is not a valid prefix; write 1 to %d letters and digits, with _ between them, such as %s or acme_live", Quote(prefix), maxPrefix, DefaultPrefix)
	}
	return nil
}

// New makes a key: <prefix>_<id>_<secret><checksum>. The id is public, the
// secret has 256 random bits, and the checksum tells a scanner for leaked
// secrets that it has found one. The prefix must be one that CheckPrefix
// lets pass.
func New(prefix string) (text, id string) {
	id = newID()
	text, _ = NewWithID(prefix, id)
	return text, id
}

// NewWithID makes a key whose text has this id; false if the id is not 10
// letters and digits, as the form wants them.
func NewWithID(prefix, id string) (text string, ok bool) {
	if len(id) != idLength || strings.Trim(id, base62) != "" {
		return "", false
	}
	var secret [secretBytes]byte
	if _, err := rand.Read(secret[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	text = prefix + "_" + id + "_" + toBase62(new(big.Int).SetBytes(secret[:]), secretLength)
	return text + checksum(text), true
}

// newID makes a random id of 10 characters.
func newID() string {
	limit := new(big.Int).Exp(big.NewInt(int64(len(base62))), big.NewInt(idLength), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return toBase62(n, idLength)
}

// IDOf returns the id in the text of a key that New made; false for
// any other text, one with a typing error included. It proves nothing: anyone who
// can write can make such a text.
func IDOf(text string) (string, bool) {
	tail := idLength + 1 + secretLength + checksumLength
	at := len(text) - tail
	if at < 2 || text[at-1] != '_' || text[at+idLength] != '_' || CheckPrefix(text[:at-1]) != nil {
		return "", false
	}
	body := text[:len(text)-checksumLength]
	if strings.Trim(text[at:], base62+"_") != "" || checksum(body) != text[len(body):] {
		return "", false
	}
	return text[at : at+idLength], true
}

// looksLikeKey reports whether a text contains something in the form of a key made by
// New, even with a typing error: _, 10 characters of base62,
// _, and 49 more, behind one of a prefix.
func looksLikeKey(text string) bool {
	const tail = 1 + idLength + 1 + secretLength + checksumLength
	for at := 1; at+tail <= len(text); at++ {
		if text[at] == '_' && text[at+1+idLength] == '_' && isBase62(text[at-1:at]) &&
			isBase62(text[at+1:at+1+idLength]) && isBase62(text[at+2+idLength:at+tail]) {
			return true
		}
	}
	return false
}

func isBase62(text string) bool { return strings.Trim(text, base62) == "" }

func checksum(body string) string {
	return toBase62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), checksumLength)
}

// toBase62 writes a number with leading zeros. Its length must be enough.
func toBase62(n *big.Int, length int) string {
	out := make([]byte, length)
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	for i := length - 1; i >= 0; i-- {
		n, digit = new(big.Int).DivMod(n, base, digit)
		out[i] = base62[digit.Int64()]
	}
	return string(out)
}
