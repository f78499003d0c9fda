package revocation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// digits is how many hexadecimal digits a public id has: 16 of a digest of what the rule is
// for, and 8 of its ID.
const digits = 16 + 8

// PublicID returns the id by which people and the admin endpoint know the rule: <kind>-, 16
// hexadecimal digits of the SHA-256 over kind, issuer, store and value, and 8 of the ID. The
// ID alone would not do: among a hundred thousand rules, two have the same.
func (r *Rule) PublicID() string {
	text := make([]byte, 0, 128+len(r.Value)+len(r.Issuer))
	for _, part := range [...]string{r.Kind.String(), r.Issuer, r.Store, r.Value} {
		// With its length, as no two rules may have the same text by moving a border.
		text = strconv.AppendInt(text, int64(len(part)), 10)
		text = append(append(text, ':'), part...)
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%s-%x%08x", r.Kind, sum[:8], r.ID)
}

// ParseID returns the kind and the ID of the rule with a public id. The error is an
// *InvalidError.
func ParseID(public string) (Kind, uint32, error) {
	name, hexadecimal, _ := strings.Cut(public, "-")
	kind, ok := kindOf(name)
	if !ok || !isLowerHex(hexadecimal, digits) {
		return 0, 0, invalid("id", "must be a kind (%s), a hyphen and %d lower-case hexadecimal digits, as the list of rules shows it",
			strings.Join(kindNames[:], ", "), digits)
	}
	id, err := strconv.ParseUint(hexadecimal[16:], 16, 32)
	return kind, uint32(id), err
}

// isLowerHex reports whether a text is n lower-case hexadecimal digits.
func isLowerHex(text string, n int) bool {
	if len(text) != n {
		return false
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// digestPrefix stands in front of the value of a rule of KindToken.
const digestPrefix = "sha256:"

func isDigest(value string) bool {
	digest, ok := strings.CutPrefix(value, digestPrefix)
	return ok && isLowerHex(digest, hex.EncodedLen(sha256.Size))
}
