package keystore

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// loaded is a Remote with a set in hand.
func loaded(tb testing.TB, document []byte) *Remote {
	tb.Helper()
	r := remote(tb, &host{answer: answers(200, document)}, nil)
	if err := r.Refresh(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestRemoteKnownKidCostsNoAllocation(t *testing.T) { // not parallel, for AllocsPerRun
	r := loaded(t, ec("a", "b"))
	ctx := context.Background()
	k := inHand(r).Keys()[0]
	if n := testing.AllocsPerRun(1000, func() {
		if keys, err := r.Keys(ctx, "b"); err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		if keys, err := r.Keys(ctx, ""); err != nil || len(keys) != 2 {
			t.Fatal(keys, err)
		}
		if !inHand(r).contains(k) {
			t.Fatal("not there")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRemoteKnownKidTakesNoLock(t *testing.T) {
	t.Parallel()
	r := loaded(t, ec("a"))
	r.mu.Lock() // had Keys to take it, the test would hang
	defer r.mu.Unlock()
	if keys, err := r.Keys(context.Background(), "a"); err != nil || len(keys) != 1 {
		t.Error(keys, err)
	}
}

func BenchmarkRemoteKnownKid(b *testing.B) {
	r := loaded(b, ec("a", "b", "c"))
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Keys(ctx, "b"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRemoteUnknownKidInTheWindow(b *testing.B) {
	r := loaded(b, ec("a"))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Keys(ctx, "zz"); err == nil {
			b.Fatal("found")
		}
	}
}

func BenchmarkRemoteUnknownKidsAfterTheBucket(b *testing.B) {
	r := loaded(b, ec("a"))
	ctx := context.Background()
	kids := make([]string, 10_000)
	for i := range kids {
		kids[i] = fmt.Sprint("kid-", i)
	}
	var n atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Keys(ctx, kids[n.Add(1)%uint64(len(kids))]); err == nil {
				b.Error("found")
			}
		}
	})
}

// BenchmarkRemoteOfAThousandSources shows that the number of sources costs a
// request nothing.
func BenchmarkRemoteOfAThousandSources(b *testing.B) {
	document := ec("a")
	sources := make([]*Remote, 1000)
	for i := range sources {
		sources[i] = loaded(b, document)
	}
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := sources[i%len(sources)].Keys(ctx, "a"); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkParseJWKS(b *testing.B) {
	document := jwks(rsaJWK(rsaKeys()[0], "a"), rsaJWK(rsaKeys()[1], "b"), ecJWK(ecKeys()[0], "c"), edJWK("d"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseJWKS(document, JWKSOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
