package apikey

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TestAKeyInTwoPlacesMustBeGoodInBoth: anyone who takes a key out of one must not
// forget the other.
func TestAKeyInTwoPlacesMustBeGoodInBoth(t *testing.T) {
	t.Parallel()
	now := time.Now()
	text, _ := New(DefaultPrefix)
	record := func(id string, disabled bool, expires time.Time) *Set {
		set, err := NewSet([]Record{{ID: id, Hash: DigestOf(text), Disabled: disabled, Expires: expires}})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	past := now.Add(-time.Hour)
	good, off, old := record("good", false, time.Time{}), record("off", true, time.Time{}), record("old", false, past)
	none, err := NewSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		places []*Set
		reason reason.Code
	}{
		"in none":                {[]*Set{none, none}, reason.UnknownAPIKey},
		"in the second":          {[]*Set{none, good}, ""},
		"in both":                {[]*Set{good, good}, ""},
		"disabled in the second": {[]*Set{good, off}, reason.APIKeyDisabled},
		"disabled in the first":  {[]*Set{off, good}, reason.APIKeyDisabled},
		"expired in the second":  {[]*Set{good, old}, reason.APIKeyExpired},
		"expired in the first":   {[]*Set{old, good}, reason.APIKeyExpired},
		"disabled and expired":   {[]*Set{off, old}, reason.APIKeyDisabled},
		"expired and disabled":   {[]*Set{old, off, good}, reason.APIKeyDisabled},
		"gone from the second":   {[]*Set{old, none}, reason.APIKeyExpired},
	} {
		found, code := Key{}, reason.UnknownAPIKey
		for _, place := range c.places {
			found, code = merge(place, DigestOf(text), now, found, code)
		}
		if code != c.reason {
			t.Errorf("%s: %q, want %q", name, code, c.reason)
		}
		if code == "" && found.ID() != "good" {
			t.Errorf("%s: it is %s", name, found.ID())
		}
	}
}

// TestAKeyIsKnownWhereverItIs: whether a text with two dots is a key or a token depends on
// it, so no place may be forgotten.
func TestAKeyIsKnownWhereverItIs(t *testing.T) {
	t.Parallel()
	set := func(text string) *Set {
		s, err := NewSet([]Record{{ID: "k", Hash: DigestOf(text), Disabled: true}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(path, []byte(keyLines("a")), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := NewFile(FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	placed, err := NewPlaced(PlacedConfig{Paths: []string{path}, Build: func([][]byte) (*Set, error) { return set("placed.b.c"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	all := &Lookup{Written: set("written.b.c"), Placed: placed, Files: []*File{file}}
	for text, want := range map[string]bool{"written.b.c": true, "placed.b.c": true, "key of a": true, "other.b.c": false} {
		if all.Has(text) != want {
			t.Errorf("%s: known is %v", text, !want)
		}
	}
}

// inOne is a store with one key.
type inOne struct{ key Key }

func (inOne) Unavailable(context.Context, time.Time) bool { return false }
func (inOne) AwaitNews(context.Context, string) bool      { return false }
func (inOne) AwaitID(context.Context, string) bool        { return false }
func (s inOne) Name() string                              { return "partners" }
func (s inOne) FindID(id string, _ time.Time) Standing {
	if s.key == (Key{}) || s.key.ID() != id {
		return StandingUnknown
	}
	return StandingValid
}
func (s inOne) Has(Digest) bool { return s.key.ID() != "" }
func (s inOne) Find(Digest, time.Time) (Key, reason.Code) {
	if s.key == (Key{}) {
		return Key{}, reason.UnknownAPIKey
	}
	return s.key, ""
}

// A rule may be about a key by the id that it has in a store, though a file has it too.
func TestAKeyInSeveralPlacesHasAllItsIDs(t *testing.T) {
	t.Parallel()
	const secret = "a secret for several places"
	r := Record{ID: "in-the-config", Hash: DigestOf(secret)}
	written, err := NewSet([]Record{r})
	if err != nil {
		t.Fatal(err)
	}
	b := newStoreSet("partners", 1, 100)
	r.ID = "in-the-store"
	b.add(r.Hash, &r, false)
	inStore, _ := b.set().Find(r.Hash)
	for want, l := range map[string]Lookup{
		"/in-the-config ":                       {Written: written},
		"/in-the-config partners/in-the-store ": {Written: written, Stores: []Stored{inOne{}, inOne{inStore}}},
		"partners/in-the-store ":                {Stores: []Stored{inOne{inStore}}},
	} {
		found, code := l.Find(t.Context(), secret)
		if code != "" {
			t.Fatal(code)
		}
		got := ""
		l.Each(secret, found, func(k Key) bool { got += k.Store() + "/" + k.ID() + " "; return true })
		if got != want {
			t.Errorf("visited %q, want %q", got, want)
		}
		n := 0
		l.Each(secret, found, func(Key) bool { n++; return false })
		if n != 1 {
			t.Errorf("%q: visited %d after the end", want, n)
		}
	}
}
