package store

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

const (
	bytes     = 64 << 20
	entrySize = 2048
	fit       = bytes / entrySize
)

// BenchmarkStore measures what a request costs: a token that is there, one that
// is not, and one that comes for the first time when the store is full.
func BenchmarkStore(b *testing.B) {
	for _, kind := range Kinds {
		b.Run(kind.Name+"/hit", func(b *testing.B) {
			s := filled(kind, fit/2)
			n := 0
			for b.Loop() {
				if _, ok := s.Get(NumberOf(0, n)); !ok {
					b.Fatal("it is not there")
				}
				if n++; n == fit/8 {
					n = 0
				}
			}
		})
		b.Run(kind.Name+"/hit_on_all_processors", func(b *testing.B) {
			s := filled(kind, fit/2)
			var worker atomic.Int64
			b.RunParallel(func(p *testing.PB) {
				n := int(worker.Add(1)) * 1000
				for p.Next() {
					s.Get(NumberOf(0, n%(fit/8)))
					n++
				}
			})
		})
		b.Run(kind.Name+"/miss", func(b *testing.B) {
			s := filled(kind, fit/2)
			n := 0
			for b.Loop() {
				if _, ok := s.Get(NumberOf(1, n)); ok {
					b.Fatal("it is there")
				}
				n++
			}
		})
		b.Run(kind.Name+"/new_token_when_full", func(b *testing.B) {
			s := filled(kind, 2*fit)
			entry := &Entry{Size: entrySize}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				s.Put(NumberOf(1, n), entry)
				n++
			}
		})
	}
}

// BenchmarkSteadyTokens is a thousand tokens in steady use, each asked for once in
// 100,000 requests, while all other requests bring tokens that never come again:
// how many of the steady ones are found, in percent.
func BenchmarkSteadyTokens(b *testing.B) {
	const steady, requests, warm = 1000, 4_000_000, 1_000_000
	for _, kind := range Kinds {
		b.Run(kind.Name, func(b *testing.B) {
			for b.Loop() {
				s := kind.New(bytes, entrySize)
				asked, found := 0, 0
				for n := range requests {
					d := NumberOf(1, n)
					if n%100 == 0 {
						d = NumberOf(0, n/100%steady)
					}
					_, ok := s.Get(d)
					if !ok {
						s.Put(d, &Entry{Size: entrySize})
					}
					if n%100 == 0 && n >= warm {
						asked++
						if ok {
							found++
						}
					}
				}
				b.ReportMetric(100*float64(found)/float64(asked), "%found")
			}
		})
	}
}

// BenchmarkOverhead is the memory that a store takes for each entry besides the
// entry, in bytes.
func BenchmarkOverhead(b *testing.B) {
	for _, kind := range Kinds {
		b.Run(kind.Name, func(b *testing.B) {
			for b.Loop() {
				entry := &Entry{Size: entrySize}
				before := heap()
				s := kind.New(bytes, entrySize)
				for n := range fit {
					s.Put(NumberOf(0, n), entry)
				}
				after := heap()
				b.ReportMetric(float64(after-before)/fit, "B/entry")
				runtime.KeepAlive(s)
			}
		})
	}
}

// filled is a store into which so many entries were put, and asked for.
func filled(kind Kind, n int) Store {
	s := kind.New(bytes, entrySize)
	for i := range n {
		s.Put(NumberOf(0, i), &Entry{Size: entrySize})
	}
	for i := range n {
		s.Get(NumberOf(0, i))
	}
	return s
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Each store keeps what is put into it, and bounds itself.
func TestStores(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s := kind.New(1<<20, 1024)
			first := &Entry{Size: 1024}
			s.Put(NumberOf(0, 0), first)
			if e, ok := s.Get(NumberOf(0, 0)); !ok || e != first {
				t.Error("what was put is not there")
			}
			for n := range 10_000 {
				s.Put(NumberOf(1, n), &Entry{Size: 1024})
			}
			count := func() (found int) {
				for n := range 10_000 {
					if _, ok := s.Get(NumberOf(1, n)); ok {
						found++
					}
				}
				return found
			}
			found := count()
			// A store may throw out what is too much on a goroutine of its own.
			for end := time.Now().Add(10 * time.Second); found > 1100 && time.Now().Before(end); found = count() {
				time.Sleep(10 * time.Millisecond)
			}
			if found == 0 || found > 1100 {
				t.Errorf("%d entries of 1 KiB are in 1 MiB", found)
			}
		})
	}
}
