package tokenservice

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// someKeys are keys that tests have facts of.
var someKeys = sync.OnceValue(func() []*key.Public {
	var list []*key.Public
	for i := range 5 {
		s, err := key.NewSigner([]key.Algorithm{key.ES256, key.EdDSA}[i%2])
		if err != nil {
			panic(err)
		}
		list = append(list, s.Public())
	}
	return list
})

func factLines(facts []signingFact) string {
	var all []byte
	for _, f := range facts {
		all = append(signingLanguage{}.Append(all, f), '\n')
	}
	return string(all)
}

// anyFacts are facts that contradict each other as much as they can.
func anyFacts(r *rand.Rand) []signingFact {
	facts := make([]signingFact, r.IntN(40))
	for i := range facts {
		public := someKeys()[r.IntN(len(someKeys()))]
		f := signingFact{
			kind: factEnd + signingKind(r.IntN(4)), kid: public.ID(),
			by: []string{"", "ann", "<&\u2028\""}[r.IntN(3)], node: []string{"n1", "n2"}[r.IntN(2)],
		}
		if r.IntN(25) == 0 {
			f.kind = factRetire
		}
		at, end := r.Int64N(100), int64(0)
		if r.IntN(4) == 0 {
			end = 1 + r.Int64N(50)
		}
		switch f.kind {
		case factRetire:
			f.at, f.gen = at, r.Int64N(3)
		case factEnd:
			f.end = 1 + r.Int64N(50)
		case factLife:
			f.life, f.end = r.Int64N(900), end
		case factSooner:
			f.at, f.from, f.end = at, at+r.Int64N(100), end
		case factKey:
			f.gen = r.Int64N(5)
			f.public, f.at, f.from, f.life, f.end = public, at, at+r.Int64N(200_000), r.Int64N(900), end
		}
		facts[i] = f
	}
	return facts
}

// dump is all that follows from facts.
func dump(facts ...[]signingFact) string {
	s := newSigningState()
	for _, list := range facts {
		for i := range list {
			s.add(&list[i])
		}
	}
	v := s.view(86_400, nil)
	v.index()
	var text strings.Builder
	for _, k := range v.keys {
		fmt.Fprintf(&text, "%s made %d begins %d stops %d last %d until %d life %d\n", k.kid, k.made, k.begins, k.stops, k.last, k.until, k.signingKeyState.life)
	}
	for _, i := range v.order {
		fmt.Fprintf(&text, "%d ", i)
	}
	for _, kid := range slices.Sorted(maps.Keys(v.retired)) {
		if s.keys[kid].retired {
			fmt.Fprintf(&text, "\nretired %s at %d", kid, s.keys[kid].at)
		}
	}
	return text.String()
}

// TestMergesChangeNoSigningKeys: whatever facts there are, in whatever objects they come, and
// however these are merged, in part or again, the keys are what all facts together make
// them.
func TestMergesChangeNoSigningKeys(t *testing.T) {
	t.Parallel()
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 7))
		facts := anyFacts(r)
		want := dump(facts)
		objects := make([][]signingFact, 1+r.IntN(6))
		for _, f := range facts {
			for range 1 + r.IntN(2) {
				i := r.IntN(len(objects))
				objects[i] = append(objects[i], f)
			}
		}
		for range r.IntN(10) {
			var all []signingFact
			merged := map[int]bool{}
			for range 1 + r.IntN(4) {
				i := r.IntN(len(objects))
				all = append(all, objects[i]...)
				merged[i] = true
			}
			out := signingLanguage{}.Merge(throughLines(t, all))
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			if again := (signingLanguage{}).Merge(all); factLines(again) != factLines(out) {
				t.Fatalf("seed %d: the order of the facts matters:\n%s\n%s", seed, factLines(out), factLines(again))
			}
			if again := (signingLanguage{}).Merge(append(out, all...)); factLines(again) != factLines(out) {
				t.Fatalf("seed %d: a merge does not hold all of what it replaces", seed)
			}
			if r.IntN(2) == 0 {
				objects = append(objects, out)
				continue
			}
			next := [][]signingFact{out}
			for i, o := range objects {
				if !merged[i] {
					next = append(next, o)
				}
			}
			objects = next
		}
		r.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		if got := dump(objects...); got != want {
			t.Fatalf("seed %d: %s\nwant %s", seed, got, want)
		}
	}
}

// throughLines writes facts and reads them.
func throughLines(t *testing.T, facts []signingFact) []signingFact {
	t.Helper()
	read := make([]signingFact, len(facts))
	for i, f := range facts {
		line := signingLanguage{}.Append(nil, f)
		var err error
		if read[i], err = (signingLanguage{}).Parse(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if again := (signingLanguage{}).Append(nil, read[i]); !bytes.Equal(again, line) {
			t.Fatalf("%s, then %s", line, again)
		}
	}
	return read
}

func TestWhatAMergeOfSigningKeysKeeps(t *testing.T) {
	t.Parallel()
	a, b, c := someKeys()[0], someKeys()[1], someKeys()[2]
	made := func(k *key.Public, end int64) signingFact {
		return signingFact{kind: factKey, kid: k.ID(), public: k, gen: 1, at: 1, from: 2, life: 3, end: end}
	}
	got := factLines(signingLanguage{}.Merge([]signingFact{
		made(a, 0), {kind: factSooner, kid: a.ID(), from: 1, at: 1}, {kind: factEnd, kid: a.ID(), end: 7}, {kind: factEnd, kid: a.ID(), end: 9},
		made(b, 0), {kind: factRetire, kid: b.ID(), at: 5}, {kind: factRetire, kid: b.ID(), at: 4}, {kind: factLife, kid: b.ID(), life: 5},
		made(c, 0), made(c, 0), {kind: factEnd, kid: someKeys()[3].ID(), end: 4},
	}))
	list := []signingFact{
		{kind: factSooner, kid: a.ID(), from: 1, at: 1, end: 9}, made(a, 9), {kind: factRetire, kid: b.ID(), at: 4}, {kind: factRetire, kid: b.ID(), at: 5}, made(c, 0),
		{kind: factEnd, kid: someKeys()[3].ID(), end: 4},
	}
	slices.SortFunc(list, func(a, b signingFact) int { return a.compare(&b) })
	if want := factLines(list); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestFactsOfSigningKeysAreRead(t *testing.T) {
	t.Parallel()
	k := someKeys()[0]
	line := string(signingLanguage{}.Append(nil, signingFact{kind: factKey, kid: k.ID(), public: k, gen: 1, at: 1, from: 2, life: 3, by: "ann", node: "n"}))
	other := someKeys()[2].ID()
	change := func(old, next string) string {
		t.Helper()
		if !strings.Contains(line, old) {
			t.Fatalf("%s has no %s", line, old)
		}
		return strings.Replace(line, old, next, 1)
	}
	kid := `"kid":"` + k.ID() + `"`
	unknown := replica.ErrUnknownKind
	for text, want := range map[string]error{
		line: nil,
		`{"t":"retire",` + kid + `,"gen":1,"at":0}`:          nil,
		`{"t":"life",` + kid + `,"life":1}`:                  nil,
		`{"t":"end",` + kid + `,"end":1}`:                    nil,
		`{"t":"sooner",` + kid + `,"at":0,"from":1,"end":2}`: nil,
		`{"t":"other"}`: unknown,
		`{"t":"retire",` + kid + `,"gen":1,"at":0,"x":1}`:   unknown,
		`{"t":"retire",` + kid + `,"gen":1,"at":0,"end":1}`: unknown,
		change(`"ES256"`, `"PS999"`):                        unknown,
		"":                                                  errors.New("any"),
		"[]":                                                errors.New("any"),
		"{}":                                                errors.New("any"),
		`{"t":1}`:                                           errors.New("any"),
		`{"t":"retire","gen":1,"at":0}`:                     errors.New("any"),
		`{"t":"retire",` + kid + `}`:                        errors.New("any"),
		`{"t":"retire",` + kid + `,"gen":1,"at":-1}`:   errors.New("any"),
		`{"t":"retire",` + kid + `,"at":1.5}`:          errors.New("any"),
		`{"t":"retire",` + kid + `,"at":"1"}`:          errors.New("any"),
		`{"t":"retire",` + kid + `,"at":253402300800}`: errors.New("any"),
		`{"t":"retire","kid":"a","gen":1,"at":0}`:      errors.New("any"),
		`{"t":"life",` + kid + `,"life":9999999999}`:   errors.New("any"),
		`{"t":"sooner",` + kid + `,"from":1}`:          errors.New("any"),
		change(k.ID(), other):                          errors.New("any"),
		change(`"ES256"`, `"EdDSA"`):                   errors.New("any"),
		change(`"ES256"`, `"HS256"`):                   errors.New("any"),
		change(`"key":"`, `"key":"!`):                  errors.New("any"),
		change(`"key":"M`, `"key":"A`):                 errors.New("any"),
		change(`"made":1,`, ``):                        errors.New("any"),
		change(`"by":"ann"`, `"by":1`):                 errors.New("any"),
	} {
		_, err := signingLanguage{}.Parse([]byte(text))
		if (err == nil) != (want == nil) || errors.Is(err, unknown) != (want == unknown) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseSigningFact(f *testing.F) {
	for _, fact := range anyFacts(rand.New(rand.NewPCG(3, 7))) {
		f.Add(signingLanguage{}.Append(nil, fact))
	}
	f.Add([]byte(`{"t":"retire","kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","gen":0,"at":1,"by":"\u2028\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		fact, err := signingLanguage{}.Parse(line)
		if err != nil {
			return
		}
		out := signingLanguage{}.Append(nil, fact)
		clear(line) // it shares no memory
		again, err := signingLanguage{}.Parse(out)
		if err != nil || bytes.IndexByte(out, '\n') >= 0 {
			t.Fatalf("%s was written for %s: %v", out, before, err)
		}
		if again.compare(&fact) != 0 || !bytes.Equal(signingLanguage{}.Append(nil, again), out) {
			t.Fatalf("%s is another fact than %s", out, before)
		}
		merged := signingLanguage{}.Merge([]signingFact{fact, again})
		if len(merged) != 1 {
			t.Fatalf("a fact and itself are %d", len(merged))
		}
		s := newSigningState()
		s.add(&fact)
		v := s.view(0, nil)
		v.index()
		for _, now := range []int64{0, 1 << 20, latest} {
			if n := v.accepted(now); n > len(v.keys) || fact.kind == factRetire && n > 0 {
				t.Fatalf("%d keys", n)
			}
			_, _ = v.turn(now), v.signer(now)
		}
	})
}
