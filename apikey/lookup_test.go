package apikey

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestEachVisitsEveryPlace: of all kinds of places none is forgotten, wherever the key was
// found, and nothing is visited behind the one that ends it.
func TestEachVisitsEveryPlace(t *testing.T) {
	t.Parallel()
	const secret = "a secret for every kind of place"
	of := func(id string) *Set {
		s, err := NewSet([]Record{{ID: id, Hash: DigestOf(secret)}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	file := func(id string) *File {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		if err := os.WriteFile(path, []byte(`{"id":"`+id+`","hash":"`+DigestOf(secret).String()+`"}`+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := NewFile(FileConfig{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	placed, err := NewPlaced(PlacedConfig{Paths: []string{path}, Build: func([][]byte) (*Set, error) { return of("placed"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	b := newStoreSet("partners", 1, 100)
	r := Record{ID: "store", Hash: DigestOf(secret)}
	b.add(r.Hash, &r, false)
	stored, _ := b.set().Find(r.Hash)
	none, err := NewSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := []*File{file("first"), file("second")}
	for _, c := range []struct {
		l    Lookup
		want []string
	}{
		{Lookup{Written: of("written"), Placed: placed, Files: files, Stores: []Stored{inOne{}, inOne{stored}}}, []string{"written", "placed", "first", "second", "store"}},
		{Lookup{Written: none, Placed: placed, Stores: []Stored{inOne{stored}}}, []string{"placed", "store"}},
		{Lookup{Written: none, Files: files}, []string{"first", "second"}},
		{Lookup{Placed: placed, Files: files[:1]}, []string{"placed", "first"}},
		{Lookup{Written: none, Placed: placed}, []string{"placed"}},
		{Lookup{Files: files[:1]}, []string{"first"}},
	} {
		found, code := c.l.Find(t.Context(), secret)
		if code != "" {
			t.Fatal(code)
		}
		for end := range c.want {
			var got []string
			c.l.Each(secret, found, func(k Key) bool { got = append(got, k.ID()); return len(got) <= end })
			if !slices.Equal(got, c.want[:end+1]) {
				t.Errorf("%v were visited, want %v", got, c.want[:end+1])
			}
		}
	}
	if _, code := (&Lookup{Written: of("written")}).Find(t.Context(), strings.Repeat("a", MaxLength+1)); code != reason.UnknownAPIKey {
		t.Errorf("a text that is too long: %q", code)
	}
}

// away is a store that is not available, whatever it has.
type away struct{ inOne }

func (away) Unavailable(context.Context, time.Time) bool { return true }

// late is a store that learns of a key when somebody waits for it.
type late struct {
	inOne
	news  Key
	waits int
}

func (l *late) AwaitNews(context.Context, string) bool {
	l.waits++
	learned := l.key != l.news
	l.key = l.news
	return learned
}
func (l *late) Find(d Digest, now time.Time) (Key, reason.Code) { return l.inOne.Find(d, now) }

// A key that is good in one place is not, as long as it is not known what another says of it.
func TestAStoreThatIsAwayOrLate(t *testing.T) {
	t.Parallel()
	const secret = "a secret that is in the config"
	written, err := NewSet([]Record{{ID: "written", Hash: DigestOf(secret)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, code := (&Lookup{Written: written, Stores: []Stored{inOne{}, away{}}}).Find(t.Context(), secret); code != reason.APIKeysUnavailable {
		t.Errorf("with a store that is away: %q", code)
	}
	k, _ := written.Find(DigestOf(secret))
	store := &late{news: k}
	l := &Lookup{Stores: []Stored{store}}
	if found, code := l.Find(t.Context(), secret); code != "" || found.ID() != "written" {
		t.Errorf("one that was made a moment ago: %q", code)
	}
	if _, code := l.Find(t.Context(), secret); code != "" || store.waits != 1 {
		t.Errorf("then: %q, and %d waits", code, store.waits)
	}
}
