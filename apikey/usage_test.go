package apikey

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// countedKeys are keys to count the uses of.
func countedKeys(ids ...string) map[string]Key {
	var records []Record
	for _, id := range ids {
		records = append(records, record(id))
	}
	set, keys := must(NewSet(records)), map[string]Key{}
	for _, r := range records {
		keys[r.ID], _ = set.Find(r.Hash)
	}
	return keys
}

func newUsage(folder *memory, c clock.Clock, keys int) *Usage {
	u := NewUsage(UsageConfig{Objects: folder, Keys: func() int { return keys }, Clock: c})
	u.Start()
	return u
}

func uses(t *testing.T, u *Usage) map[string]Uses {
	t.Helper()
	all, err := u.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUsesOfAllNodesAreCounted(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	keys := countedKeys("a", "b", "c")
	one, two := newUsage(folder, c, 3), newUsage(folder, c, 3)
	for range 5 {
		one.Used(keys["a"], c.Now())
	}
	c.Advance(10 * time.Second)
	two.Used(keys["a"], c.Now())
	two.Used(keys["b"], c.Now())
	if got := uses(t, two); got["a"] != (Uses{noon.Add(10 * time.Second), 1, 1}) {
		t.Errorf("its own are not counted before they are stored: %+v", got)
	}
	c.Advance(time.Minute)
	want := map[string]Uses{"a": {noon.Add(10 * time.Second), 6, 6}, "b": {noon.Add(10 * time.Second), 1, 1}}
	for what, u := range map[string]*Usage{"one": one, "two": two, "a third": newUsage(folder, c, 3)} {
		if got := uses(t, u); !maps.Equal(got, want) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if one.Total() != 5 || two.Total() != 2 {
		t.Errorf("%d and %d", one.Total(), two.Total())
	}
	// One is killed, and what it has counted since the last minute is gone, and no more.
	one.Used(keys["a"], c.Now())
	c.Advance(time.Minute)
	killedAt := c.Now()
	one.Used(keys["c"], killedAt)
	one.cancel()
	again := newUsage(folder, c, 3)
	again.Used(keys["a"], killedAt)
	two.Close(t.Context())
	two.Close(t.Context())
	again.Close(t.Context())
	if got := uses(t, newUsage(folder, c, 3)); got["a"] != (Uses{killedAt, 8, 8}) || got["c"] != (Uses{}) {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestUsesAtMidnight(t *testing.T) {
	t.Parallel()
	midnight := noon.Add(12 * time.Hour)
	c, folder := clock.NewFake(midnight.Add(-30*time.Second)), newMemory()
	key := countedKeys("a")["a"]
	u := newUsage(folder, c, 1)
	before := c.Now()
	u.Used(key, before)
	u.Used(key, before)
	c.Advance(40 * time.Second)
	u.Used(key, c.Now())
	c.Advance(time.Minute)
	want := Uses{midnight.Add(10 * time.Second), 1, 3}
	if got := uses(t, newUsage(folder, c, 1))["a"]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// A request that began before midnight is of that day, and not the last.
	u.Used(key, midnight.Add(-time.Second))
	want.Days30++
	if got := uses(t, u)["a"]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOnlyWhatHasChangedIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	for keys, interval := range map[int]time.Duration{20_000: time.Minute, 20_001: 5 * time.Minute} {
		c, folder := clock.NewFake(noon), newMemory()
		var ids []string
		for i := range 5000 {
			ids = append(ids, fmt.Sprintf("%s-%04d", strings.Repeat("k", 100), i))
		}
		all := countedKeys(ids...)
		u := newUsage(folder, c, keys)
		for _, id := range ids {
			u.Used(all[id], c.Now())
		}
		c.Advance(interval - 1)
		if stored := folder.take(); len(stored) > 0 {
			t.Errorf("%d keys: it is written sooner", keys)
		}
		c.Advance(1)
		if stored := folder.take(); len(stored) != 4 { // of 180 bytes each
			t.Errorf("%d keys: %d objects", keys, len(stored))
		}
		c.Advance(interval)
		if stored := folder.take(); len(stored) != 0 {
			t.Errorf("%d keys: %d objects, though no key was used", keys, len(stored))
		}
		for range 100 {
			u.Used(all[ids[4000]], c.Now())
			c.Advance(interval / 100)
		}
		c.Advance(interval)
		if stored := folder.take(); len(stored) != 1 {
			t.Errorf("%d keys: %q", keys, stored)
		}
		if got := uses(t, newUsage(folder, c, keys)); len(got) != 5000 || got[ids[4000]].Today != 101 || got[ids[0]].Today != 1 {
			t.Errorf("%d keys: %d are read", keys, len(got))
		}
	}
}

func TestUsesOutliveAnOutage(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	key := countedKeys("a")["a"]
	u := newUsage(folder, c, 1)
	folder.setDown(true)
	for range 3 * 24 {
		u.Used(key, c.Now())
		c.Advance(time.Hour)
	}
	if _, err := u.Read(t.Context()); err == nil {
		t.Error("a storage that is down is read as empty")
	}
	folder.setDown(false)
	c.Advance(time.Minute)
	if got := uses(t, newUsage(folder, c, 1))["a"]; got.Days30 != 72 || got.Today != 12 {
		t.Errorf("%+v", got)
	}
	// A Store that fails though it was made is repeated, not added.
	folder.lose = func(after bool) bool { return after }
	u.Used(key, c.Now())
	c.Advance(5 * time.Minute)
	folder.lose = nil
	c.Advance(time.Minute)
	if got := uses(t, newUsage(folder, c, 1))["a"]; got.Days30 != 73 {
		t.Errorf("%+v", got)
	}
	// Another storage gets what is in memory.
	other := newMemory()
	u.Rebind(other)
	c.Advance(time.Minute)
	if got := uses(t, newUsage(other, c, 1))["a"]; got.Today != 13 {
		t.Errorf("%+v", got)
	}
}

func TestCloseDoesNotWaitForAStorageThatHangs(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	folder.hang = make(chan struct{})
	u := newUsage(folder, c, 1)
	u.Used(countedKeys("a")["a"], c.Now())
	done := make(chan struct{})
	go func() {
		c.Advance(time.Minute)
		close(done)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u.Close(ctx)
	<-done
}

// A clock that is set back by days does not make a process overwrite what it has stored.
func TestAClockSetBackTakesNoUsesAway(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	keys := countedKeys("a", "b")
	u := newUsage(folder, c, 1)
	u.Used(keys["a"], c.Now())
	c.Advance(3 * 24 * time.Hour)
	u.Used(keys["a"], c.Now())
	c.Advance(time.Minute)
	c.Set(noon)
	u.Used(keys["b"], c.Now())
	u.Close(t.Context())
	c.Set(noon.AddDate(0, 0, 3))
	got := uses(t, newUsage(folder, c, 1))
	if got["a"].Days30 != 2 || got["b"].Days30 != 1 {
		t.Errorf("%+v", got)
	}
}

func TestUsesAreCountedByManyAtOnce(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	var ids []string
	for i := range 2000 {
		ids = append(ids, fmt.Sprint("k", i))
	}
	keys := countedKeys(ids...)
	u := newUsage(folder, c, 1)
	var running sync.WaitGroup
	for w := range 4 {
		running.Go(func() {
			for i := range 20_000 {
				u.Used(keys[ids[(i*7+w)%len(ids)]], noon)
			}
		})
	}
	for range 5 {
		c.Advance(time.Minute)
		uses(t, u)
	}
	running.Wait()
	u.Close(t.Context())
	sum := uint64(0)
	for id, n := range uses(t, newUsage(folder, c, 1)) {
		if n.Today != 40 {
			t.Errorf("%s: %d", id, n.Today)
		}
		sum += n.Today
	}
	if sum != 80_000 || u.Total() != 80_000 {
		t.Errorf("%d of %d", sum, u.Total())
	}
}

func TestCountingCostsNoAllocation(t *testing.T) { // not parallel, for AllocsPerRun
	u := newUsage(newMemory(), clock.NewFake(noon), 1)
	key := countedKeys("a")["a"]
	u.Used(key, noon)
	if n := testing.AllocsPerRun(1000, func() { u.Used(key, noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUsed(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprintf("k%09d", i))
		}
		var keys []Key
		for _, k := range countedKeys(ids...) {
			keys = append(keys, k)
		}
		u := NewUsage(UsageConfig{Objects: newMemory()})
		for _, k := range keys {
			u.Used(k, noon)
		}
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				u.Used(keys[i%n], noon)
			}
		})
		b.Run(fmt.Sprintf("keys=%d/parallel", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(n); pb.Next(); i++ {
					u.Used(keys[i%n], noon)
				}
			})
		})
		b.Run(fmt.Sprintf("keys=%d/id alone", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if keys[i%n].ID()[0] != 'k' {
					b.Fatal()
				}
			}
		})
	}
}
