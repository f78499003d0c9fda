package apikey

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// counted is what uses should be.
type counted map[string]map[int64]uint64

func (c counted) uses(today int64, last map[string]time.Time) map[string]Uses {
	all := map[string]Uses{}
	for id, days := range c {
		u := Uses{Last: last[id], Today: days[today]}
		for d, n := range days {
			if d > today-30 {
				u.Days30 += n
			}
		}
		all[id] = u
	}
	return all
}

// Three nodes count for 100 days, restart, are killed, and roll up whenever they like. At
// any time, each reads what all have counted.
func TestDaysAreRolledUp(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	c, folder := clock.NewFake(noon), newMemory()
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprint("k", i))
	}
	keys := countedKeys(ids...)
	nodes := []*Usage{newUsage(folder, c, manyKeys+1), newUsage(folder, c, manyKeys+1), newUsage(folder, c, manyKeys+1)}
	want, last := counted{}, map[string]time.Time{}
	for n := range 100 {
		for range 20 {
			id := ids[r.IntN(len(ids))]
			if n > 50 && id == "k3" { // which nobody uses any more
				continue
			}
			nodes[r.IntN(3)].Used(keys[id], c.Now())
			if want[id] == nil {
				want[id] = map[int64]uint64{}
			}
			want[id][day(c.Now().Unix())]++
			last[id] = c.Now()
			c.Advance(time.Duration(r.IntN(60)) * time.Minute)
		}
		c.Advance(slowInterval)
		if i := r.IntN(3); r.IntN(4) == 0 {
			nodes[i].Close(t.Context())
			nodes[i] = newUsage(folder, c, manyKeys+1)
		}
		folder.loads = 0
		got := uses(t, nodes[r.IntN(3)])
		if w := want.uses(day(c.Now().Unix()), last); !maps.Equal(got, w) {
			t.Fatalf("day %d: %v\nwant %v", n, got, w)
		}
		if n > 10 && folder.loads > 25 {
			t.Fatalf("day %d: %d objects are read", n, folder.loads)
		}
	}
	if n := len(folder.content); n > 70 {
		t.Errorf("%d objects are left", n)
	}
	c.Advance(40 * 24 * time.Hour)
	if got := uses(t, nodes[0]); got["k3"] != (Uses{Last: last["k3"]}) {
		t.Errorf("%+v", got["k3"])
	}
	if rolled := must(nodes[0].newest(t.Context(), folder, must(folder.List(t.Context())), day(c.Now().Unix()))); len(rolled.Parts) != 1 {
		t.Errorf("%d parts", len(rolled.Parts))
	}
}

// stored puts what a process has counted into a folder.
func stored(folder *memory, days ago, writer string, n uint64, ids ...string) {
	name := usageName{day(noon.Unix()) - int64(days), writer, 0}
	var all []keyUses
	for _, id := range ids {
		all = append(all, keyUses{id: id, n: n, last: name.day * secondsOfDay})
	}
	folder.content[name.String()] = appendUses(nil, all)
}

type ago int64

// Two nodes roll up at the same time, and one of them does not see what the other does:
// nothing is counted twice, and nothing is lost, now and when it is rolled up again.
func TestTwoNodesRollUpAtOnce(t *testing.T) {
	t.Parallel()
	folder := newMemory()
	stored(folder, 3, "aaaaaaaa", 1, "k")
	stored(folder, 2, "bbbbbbbb", 10, "k", "l")
	less := folder.copied()
	stored(folder, 2, "cccccccc", 100, "k", "m")
	stored(folder, 1, "aaaaaaaa", 1000, "k")
	roll := func(folder *memory, now time.Time) {
		t.Helper()
		if err := NewUsage(UsageConfig{Objects: folder, Clock: clock.NewFake(now)}).rollUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read := func(what string, now time.Time, k, l, m uint64) {
		t.Helper()
		got := uses(t, NewUsage(UsageConfig{Objects: folder, Clock: clock.NewFake(now)}))
		if got["k"].Days30 != k || got["l"].Days30 != l || got["m"].Days30 != m {
			t.Errorf("%s: %v", what, got)
		}
	}
	read("before", noon, 1111, 10, 100)
	roll(less, noon)
	for name, content := range less.content {
		folder.content[name] = content
	}
	read("one has", noon, 1111, 10, 100)
	other := folder.copied()
	maps.DeleteFunc(other.content, func(name string, _ []byte) bool { return !strings.HasPrefix(name, "2") })
	roll(other, noon)
	for name, content := range other.content {
		folder.content[name] = content
	}
	rolls := 0
	for name := range folder.content {
		if strings.HasPrefix(name, "roll-") {
			rolls++
		}
	}
	if rolls != 2 {
		t.Fatalf("%d have rolled up", rolls)
	}
	read("both have", noon, 1111, 10, 100)
	again := folder.copied()
	roll(again, noon)
	if !maps.EqualFunc(again.content, folder.content, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("once a day is enough")
	}
	for n := range 12 {
		now := noon.AddDate(0, 0, n+1)
		roll(folder, now)
		read("later", now, 1111, 10, 100)
	}
	if names := slices.Sorted(maps.Keys(folder.content)); len(names) != 2 {
		t.Errorf("left are %q", names)
	}
	// What is written late into an object that is covered is not counted again, nor is a
	// stray one of long ago, which goes.
	stored(folder, 2, "cccccccc", 100, "k", "m")
	stored(folder, 100, "dddddddd", 7, "k")
	roll(folder, noon.AddDate(0, 0, 13))
	read("late", noon.AddDate(0, 0, 13), 1111, 10, 100)
	if names := slices.Sorted(maps.Keys(folder.content)); len(names) != 2 {
		t.Errorf("left are %q", names)
	}
}

// What is damaged, missing or of a clock that is wrong is not counted, and stops nobody.
func TestUseCountsThatCantBeUsed(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(name string, content []byte) (string, []byte){
		"a part is cut off": func(name string, c []byte) (string, []byte) { return name, c[:len(c)-9] },
		"a part is no JSON": func(name string, c []byte) (string, []byte) { return name, []byte("\n{}\n") },
		"a manifest of the future": func(name string, c []byte) (string, []byte) {
			return strings.Replace(name, "roll-2029", "roll-2035", 1), c
		},
		"foreign names": func(name string, c []byte) (string, []byte) { return "x" + name, c },
	} {
		folder := newMemory()
		stored(folder, 20, "aaaaaaaa", 1, "k")
		u := NewUsage(UsageConfig{Objects: folder, Clock: clock.NewFake(noon)})
		if err := u.rollUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := newMemory()
		for name, content := range folder.content {
			name, content = spoil(name, content)
			next.content[name] = content
		}
		stored(next, 2, "bbbbbbbb", 10, "k")
		next.content["20291230-cccccccc-0000"] = []byte("{\n")
		for range 2 {
			u := NewUsage(UsageConfig{Objects: next, Clock: clock.NewFake(noon)})
			if got := uses(t, u)["k"].Days30; got != 10 && got != 11 {
				t.Errorf("%s: %d", what, got)
			}
			if err := u.rollUp(t.Context()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	folder := newMemory()
	stored(folder, 3, "aaaaaaaa", 1, "k")
	folder.setDown(true)
	if err := NewUsage(UsageConfig{Objects: folder, Clock: clock.NewFake(noon)}).rollUp(t.Context()); err == nil {
		t.Error("a storage that is down is rolled up")
	}
}

// Many keys are in many objects, each of a size that all storages take.
func TestManyKeysAreRolledUpInParts(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory() // it panics if an object is too large
	var ids []string
	for i := range 3000 {
		ids = append(ids, fmt.Sprintf("%s-%04d", strings.Repeat("k", 100), i))
	}
	keys := countedKeys(ids...)
	u := newUsage(folder, c, manyKeys+1)
	for n := range 3 {
		for _, id := range ids[n*500:] {
			u.Used(keys[id], c.Now())
		}
		c.Advance(24 * time.Hour)
	}
	c.Advance(48 * time.Hour)
	rolled := must(u.newest(t.Context(), folder, must(folder.List(t.Context())), day(c.Now().Unix())))
	if len(rolled.Parts) < 2 {
		t.Errorf("%d parts", len(rolled.Parts))
	}
	got := uses(t, u)
	for i, id := range ids {
		if want := uint64(min(3, i/500+1)); got[id].Days30 != want {
			t.Fatalf("%s: %d, want %d", id[100:], got[id].Days30, want)
		}
	}
}
