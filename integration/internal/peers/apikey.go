package peers

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// APIKey is a key and its record, made without the code under test.
type APIKey struct {
	// Text is what its holder sends.
	Text string
	// Record is its line of a key file.
	Record map[string]any
}

// NewAPIKey makes a key of 40 characters, as other services make them. members
// are those of its record besides id and hash.
func NewAPIKey(t testing.TB, id string, members map[string]any) *APIKey {
	t.Helper()
	var random [20]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	k := &APIKey{Text: hex.EncodeToString(random[:])}
	k.Record = map[string]any{"id": id, "hash": k.Hash()}
	for name, value := range members {
		k.Record[name] = value
	}
	return k
}

// Hash is the key's SHA-256 as records have it.
func (k *APIKey) Hash() string {
	sum := sha256.Sum256([]byte(k.Text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// With returns the same key with other members in its record.
func (k *APIKey) With(members map[string]any) *APIKey {
	c := &APIKey{Text: k.Text, Record: map[string]any{}}
	for _, from := range []map[string]any{k.Record, members} {
		for name, value := range from {
			c.Record[name] = value
		}
	}
	return c
}

// KeyLines is the content of a key file with these keys, in this order.
func KeyLines(t testing.TB, keys ...*APIKey) string {
	t.Helper()
	var text strings.Builder
	for _, k := range keys {
		line, err := json.Marshal(k.Record)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	if len(keys) == 0 {
		return "\n" // an empty file is a broken one
	}
	return text.String()
}
