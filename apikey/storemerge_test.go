package apikey

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// deaf is a store without a storage, that knows some facts.
func deaf(facts ...fact) *Store {
	s := NewStore(StoreConfig{Name: "partners"})
	s.apply(facts)
	return s
}

// dump is all that a store knows.
func (s *Store) dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for id, k := range s.state.keys {
		secrets, offs := slices.Clone(k.secrets), slices.Clone(k.offs)
		slices.SortFunc(secrets, func(a, b secretState) int { return cmp.Compare(a.hash[0], b.hash[0]) })
		slices.SortFunc(offs, func(a, b offState) int { return cmp.Compare(a.id, b.id) })
		text := fmt.Sprintf("%s dead %v rev %d %s offs %v", id, k.dead, k.rev, k.profile, offs)
		for _, s := range secrets {
			if text += fmt.Sprintf(" %d until %d", s.hash[0], s.end); s.here {
				text += fmt.Sprintf(" made %d", s.at)
			}
		}
		keys = append(keys, text)
	}
	slices.Sort(keys)
	return fmt.Sprintf("%d living\n%s", s.state.living, strings.Join(keys, "\n"))
}

// seen is what requests see of a store.
func (s *Store) seen() (text string) {
	for d := range byte(8) {
		for _, at := range []int64{0, 4, 6, 10, 16, 1 << 40} {
			k, code := s.Find(Digest{d}, time.UnixMilli(at))
			text += fmt.Sprintf("%d at %d: %s", d, at, code)
			if s.Has(Digest{d}) {
				text += fmt.Sprintf(" %s %s %s %s %s", k.ID(), k.Consumer(), k.Scopes(), k.meta(), k.Expires())
			}
			text += "\n"
		}
	}
	return text
}

// anyFacts are facts that contradict each other as much as they can.
func anyFacts(r *rand.Rand) []fact {
	facts := make([]fact, r.IntN(60))
	for i := range facts {
		f := fact{
			kind: factKind(2 + r.IntN(5)), key: string(rune('a' + r.IntN(4))), at: r.Int64N(4),
			by: []string{"", "ann", "bob"}[r.IntN(3)], node: []string{"n1", "n2"}[r.IntN(2)],
		}
		if r.IntN(30) == 0 {
			f.kind = factDead
		}
		switch f.kind {
		case factKey:
			f.rev, f.record = r.Int64N(5), &Record{Consumer: string(rune('p' + r.IntN(3))), Scopes: []string{fmt.Sprint("s", r.IntN(3))}}
			if r.IntN(2) == 0 {
				f.record.Expires = time.UnixMilli(15).UTC()
				f.record.Meta = must(claims.ParseObject([]byte(`{"n":1}`)))
			}
		case factSecret, factRetire:
			f.hash = Digest{byte(r.IntN(8))}
			f.end = map[factKind]int64{factRetire: 1 + r.Int64N(12)}[f.kind]
		case factOff, factOn:
			f.id = r.Uint64N(4)
		}
		facts[i] = f
	}
	return facts
}

// TestMergesChangeNothing: whatever facts there are, in whatever objects they come, and
// however these are merged, in part or again, keys are what all facts together make them.
func TestMergesChangeNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		facts := anyFacts(r)
		want := deaf(facts...)
		objects := make([][]fact, 1+r.IntN(8))
		for _, f := range facts {
			for range 1 + r.IntN(2) {
				i := r.IntN(len(objects))
				objects[i] = append(objects[i], f)
			}
		}
		for range r.IntN(12) {
			// The inputs may stay for a while, or be healed later by a node that slept.
			var all []fact
			merged := map[int]bool{}
			for range 1 + r.IntN(4) {
				i := r.IntN(len(objects))
				all = append(all, objects[i]...)
				merged[i] = true
			}
			out := storeLanguage{}.Merge(throughLines(t, all))
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			if again := (storeLanguage{}).Merge(all); lines(again) != lines(out) {
				t.Fatalf("seed %d: the order of the facts matters:\n%s\n%s", seed, lines(out), lines(again))
			}
			if again := (storeLanguage{}).Merge(out); lines(again) != lines(out) {
				t.Fatalf("seed %d: a merge of what was merged differs", seed)
			}
			if keep := r.IntN(2) == 0; keep {
				objects = append(objects, out)
				continue
			}
			next := [][]fact{out}
			for i, o := range objects {
				if !merged[i] {
					next = append(next, o)
				}
			}
			objects = next
		}
		got := deaf()
		r.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		for _, o := range objects {
			r.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
			got.apply(o)
		}
		if got.dump() != want.dump() {
			t.Fatalf("seed %d: %s\nwant %s", seed, got.dump(), want.dump())
		}
		if got.seen() != want.seen() {
			t.Fatalf("seed %d: %s\n%s", seed, differ(got.seen(), want.seen()), want.dump())
		}
	}
}

// differ returns the lines that differ.
func differ(got, want string) (text string) {
	of := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if line != of[i] {
			text += line + ", want " + of[i] + "\n"
		}
	}
	return text
}

// throughLines writes facts and reads them.
func throughLines(t *testing.T, facts []fact) []fact {
	t.Helper()
	read := make([]fact, len(facts))
	for i, f := range facts {
		var err error
		if read[i], err = (storeLanguage{}).Parse(storeLanguage{}.Append(nil, f)); err != nil {
			t.Fatal(err)
		}
	}
	return read
}

func lines(facts []fact) string {
	var all []byte
	for _, f := range facts {
		all = append(storeLanguage{}.Append(all, f), '\n')
	}
	return string(all)
}

// A merge leaves out what no longer matters, and nothing that a copy of a secret elsewhere
// could need.
func TestWhatAMergeKeeps(t *testing.T) {
	t.Parallel()
	profile := func(key string, rev int64, consumer string) fact {
		return fact{kind: factKey, key: key, rev: rev, record: &Record{Consumer: consumer}}
	}
	all := []fact{
		profile("a", 1, "old"), profile("a", 2, "new"), {kind: factSecret, key: "a", hash: Digest{1}}, {kind: factSecret, key: "a", hash: Digest{2}},
		{kind: factRetire, key: "a", hash: Digest{1}, end: 9}, {kind: factRetire, key: "a", hash: Digest{1}, end: 5},
		{kind: factOff, key: "a", id: 1}, {kind: factOff, key: "a", id: 2}, {kind: factOn, key: "a", id: 1}, {kind: factOff, key: "a", id: 2},
		profile("b", 1, "b"), {kind: factSecret, key: "b", hash: Digest{3}}, {kind: factDead, key: "b"}, {kind: factOff, key: "b", id: 3},
		{kind: factRetire, key: "c", hash: Digest{4}, end: 5}, {kind: factDead, key: "d"},
	}
	got := lines(storeLanguage{}.Merge(all))
	want := lines([]fact{
		{kind: factOff, key: "a", id: 2}, {kind: factOn, key: "a", id: 1}, {kind: factRetire, key: "a", hash: Digest{1}, end: 5},
		profile("a", 2, "new"), {kind: factSecret, key: "a", hash: Digest{1}}, {kind: factSecret, key: "a", hash: Digest{2}},
		{kind: factDead, key: "b"}, {kind: factRetire, key: "c", hash: Digest{4}, end: 5}, {kind: factDead, key: "d"},
	})
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
