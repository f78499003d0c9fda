package revocation

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sizes are the numbers of rules with which benchmarks run. Ten million need a gigabyte of
// memory and half a minute, and so BENCH_LARGE=1.
func sizes(from ...int) []int {
	if os.Getenv("BENCH_LARGE") != "" {
		return append(from, 10_000_000)
	}
	return from
}

func sizeName(n int) string {
	if n >= 1_000_000 {
		return fmt.Sprintf("%dM", n/1_000_000)
	}
	if n >= 1000 {
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// benchRules are n rules, a seventh of each kind, or all of one.
func benchRules(only int, first, last int) []Rule {
	facts := make([]Rule, last-first)
	for i := range facts {
		n := first + i
		r := Rule{ID: uint32(n), Kind: Kind(n % kinds), Value: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n*7), End: noon.Add(1000 * time.Hour), At: noon}
		if only >= 0 {
			r.Kind = Kind(only)
		}
		switch r.Kind {
		case KindKid:
			r.Issuer = "https://login.example.com/"
		case KindIssuer:
			r.NotBefore = noon
		case KindToken:
			r.Value = fmt.Sprintf("%s%064x", digestPrefix, n*7)
		}
		facts[i] = r
	}
	return facts
}

// batch is the number of rules of a large object.
const batch = 4000

// benchInForce takes n rules into force, in batches as from objects.
func benchInForce(only, n int) *rules {
	r := newRules(func() bool { return true }, func() time.Time { return noon })
	for first := 0; first < n; first += batch {
		r.apply(benchRules(only, first, min(first+batch, n)), nil)
	}
	r.folds.Wait()
	return r
}

// benchSubjects are tokens that no rule is about.
func benchSubjects(n int) []*Subject {
	subjects := make([]*Subject, n)
	for i := range subjects {
		subjects[i] = NewSubject(&Token{
			Issuer: "https://issuer.example/", ID: fmt.Sprintf("%032x", i), Subject: fmt.Sprint("user-", i), KeyID: fmt.Sprint("key-", i%3),
			Clients: [4]string{fmt.Sprint("client-", i%100)}, Signed: fmt.Sprint("header.", i), Issued: noon,
		})
	}
	return subjects
}

// BenchmarkRevocation is a look-up of a token that is not revoked, with rules of all seven
// kinds, and what a rule takes of the memory.
func BenchmarkRevocation(b *testing.B) {
	subjects := benchSubjects(1 << 14)
	for _, n := range sizes(0, 1000, 100_000, 1_000_000) {
		b.Run(sizeName(n), func(b *testing.B) {
			r, bytes := measured(func() *rules { return benchInForce(-1, n) })
			benchLookup(b, r.snapshot.Load(), subjects)
			if n > 0 {
				b.ReportMetric(float64(bytes)/float64(n), "B/rule")
			}
		})
		if n > 0 {
			b.Run("jti/"+sizeName(n), func(b *testing.B) {
				r, bytes := measured(func() *rules { return benchInForce(int(KindJTI), n) })
				benchLookup(b, r.snapshot.Load(), subjects)
				b.ReportMetric(float64(bytes)/float64(n), "B/rule")
			})
		}
	}
}

// BenchmarkRevocationGrowth is the same look-up by the number of rules, for a plot.
func BenchmarkRevocationGrowth(b *testing.B) {
	subjects := benchSubjects(1 << 14)
	for _, n := range sizes(1, 10, 100, 1000, 10_000, 100_000, 1_000_000) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchLookup(b, benchInForce(-1, n).snapshot.Load(), subjects)
		})
	}
}

// measured returns what make makes and how much memory that takes.
func measured[T any](make func() T) (T, uint64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return made, after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}

func benchLookup(b *testing.B, s *Snapshot, subjects []*Subject) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; s.Revokes(subjects[i%len(subjects)], "corp/alice", noon) {
			b.Fatal("revoked")
		}
	}
}

// BenchmarkRevocationLoad is what it takes to read the lines of so many rules and to take
// them into force, object by object.
func BenchmarkRevocationLoad(b *testing.B) {
	for _, n := range sizes(100_000, 1_000_000) {
		b.Run(sizeName(n), func(b *testing.B) {
			var lines []byte
			for i := range n {
				lines = append(append(lines, benchLine(i)...), '\n')
			}
			for b.Loop() {
				r := newRules(func() bool { return true }, func() time.Time { return noon })
				facts := make([]Rule, 0, batch)
				for rest := lines; len(rest) > 0; {
					facts = facts[:0]
					for len(rest) > 0 && len(facts) < batch {
						end := bytes.IndexByte(rest, '\n')
						f, err := language{}.Parse(rest[:end])
						if err != nil {
							b.Fatal(err)
						}
						facts, rest = append(facts, f), rest[end+1:]
					}
					r.apply(facts, nil)
				}
				r.folds.Wait()
				if r.snapshot.Load().Len(KindJTI) != n {
					b.Fatal("some are missing")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/rule")
		})
	}
}

// BenchmarkRevocationAdd is what one more rule costs.
func BenchmarkRevocationAdd(b *testing.B) {
	for _, n := range sizes(1000, 100_000, 1_000_000) {
		b.Run(sizeName(n), func(b *testing.B) {
			r := benchInForce(int(KindJTI), n)
			facts := benchRules(int(KindJTI), n, n+1)
			for b.Loop() {
				n++
				facts[0].ID, facts[0].Value = uint32(n), fmt.Sprint("more-", n)
				r.apply(facts, nil)
			}
			r.folds.Wait()
		})
	}
}

// BenchmarkRevocationBeside is how long look-ups take while nothing else is done, while folds
// run one after the other, and while a set is loaded.
func BenchmarkRevocationBeside(b *testing.B) {
	subjects := benchSubjects(1 << 14)
	for _, n := range sizes(100_000, 1_000_000) {
		r := benchInForce(-1, n)
		var done atomic.Bool
		var group sync.WaitGroup
		for _, beside := range []struct {
			name string
			work func()
		}{
			{"nothing", nil},
			{"folds", func() {
				for k := range r.kinds {
					r.mu.Lock()
					w := &r.kinds[k]
					w.folding = len(w.layers)
					f := newFold(w, noon, true)
					r.mu.Unlock()
					f.run()
					r.mu.Lock()
					w.install(f)
					r.publish()
					r.mu.Unlock()
				}
			}},
			{"load", func() { benchInForce(-1, 100_000) }},
			{"adding", func() { r.apply(benchRules(-1, n, n+1), nil); n++ }},
		} {
			b.Run(sizeName(n)+"/"+beside.name, func(b *testing.B) {
				done.Store(false)
				if beside.work != nil {
					group.Go(func() {
						for !done.Load() {
							beside.work()
						}
					})
				}
				taken := make([]time.Duration, 0, 1<<16)
				i := 0
				for b.Loop() {
					// Several look-ups, as a clock can't time one.
					began := time.Now()
					for range 16 {
						if i++; r.snapshot.Load().Revokes(subjects[i%len(subjects)], "corp/alice", noon) {
							b.Fatal("revoked")
						}
					}
					if d := time.Since(began) / 16; len(taken) < cap(taken) {
						taken = append(taken, d)
					} else {
						taken[i/16%len(taken)] = d
					}
				}
				done.Store(true)
				group.Wait()
				slices.Sort(taken)
				b.ReportMetric(float64(taken[len(taken)/2]), "p50-ns")
				b.ReportMetric(float64(taken[len(taken)*99/100]), "p99-ns")
			})
		}
	}
}

// BenchmarkSubject is what is done once for each token.
func BenchmarkSubject(b *testing.B) {
	token := alice
	token.Signed = string(make([]byte, 600))
	b.ReportAllocs()
	for b.Loop() {
		NewSubject(&token)
	}
}

// BenchmarkRevocationStart is how long a node takes from its start until it is ready, with
// so many rules in a storage that costs nothing.
func BenchmarkRevocationStart(b *testing.B) {
	for _, n := range sizes(100_000, 1_000_000) {
		b.Run(sizeName(n), func(b *testing.B) {
			shared := newFolder()
			writer := newNode(b, shared)
			for first := 0; first < n; first += batch {
				writer.add(b, benchRules(int(KindJTI), first, min(first+batch, n))...)
			}
			for b.Loop() {
				if s := newNode(b, shared).Snapshot(); s.Len(KindJTI) != n {
					b.Fatalf("%d rules", s.Len(KindJTI))
				}
			}
		})
	}
}
