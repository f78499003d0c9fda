package replica

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// rule is a fact as the rules of revocations are: no texts.
type rule struct {
	hash uint64
	id   uint32
	end  int64
}

// rules is a Language that is as cheap as one can be.
type rules struct{ seed maphash.Seed }

func (l rules) Parse(line []byte) (rule, error) {
	return rule{hash: maphash.Bytes(l.seed, field(line, `"v":"`, '"')), id: uint32(number(field(line, `"id":`, ','))), end: number(field(line, `"end":`, '}'))}, nil
}

func (rules) Append(line []byte, r rule) []byte { return fmt.Appendf(line, "%v", r) }
func (rules) End(r rule) int64                  { return r.end }
func (rules) Merge(facts []rule) []rule         { return facts }

func field(line []byte, from string, to byte) []byte {
	_, rest, _ := bytes.Cut(line, []byte(from))
	n := max(0, bytes.IndexByte(rest, to))
	return rest[:n]
}

func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}

// BenchmarkLoad loads 1,000,000 rules of random ids in full objects: the start of a node. It
// tells how many bytes a rule takes in the storage, and how much of the memory the replica
// keeps for itself.
func BenchmarkLoad(b *testing.B) {
	const n = 1_000_000
	m := newMemory()
	m.put(marker, markerContent(set, nil))
	rnd := rand.New(rand.NewPCG(1, 2))
	w := New(Config[rule]{Name: set, Binding: Binding{Objects: m}, Language: rules{}, Apply: func([]rule) {}})
	var lines []line
	stored := 0
	for i := range n {
		text := fmt.Appendf(nil, `{"id":%d,"k":"jti","v":"%08x-%04x-4%03x-a%03x-%012x","iss":"https://id.example.com","end":%d}`,
			rnd.Uint32(), rnd.Uint32(), rnd.Uint32()&0xffff, rnd.Uint32()&0xfff, rnd.Uint32()&0xfff, rnd.Uint64()&0xffffffffffff, noon.Unix()+1_000_000_000+int64(i%3600))
		if lines = append(lines, line{text: text, end: 1}); len(lines) == 20_000 || i == n-1 {
			for len(lines) > 10_000 || i == n-1 && len(lines) > 0 {
				p := w.pack(lines, maxStored-reserve)
				m.put(p.object.name, p.stored)
				stored += len(p.stored)
				lines = lines[p.took:]
			}
		}
	}
	for b.Loop() {
		facts := 0
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := New(Config[rule]{
			Name: set, Binding: Binding{Objects: m, Interval: time.Second}, Language: rules{maphash.MakeSeed()},
			Apply: func(f []rule) { facts += len(f) },
		})
		if err := r.Sync(b.Context()); err != nil || facts != n {
			b.Fatal(err, facts)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024, "KiB-kept")
		b.ReportMetric(float64(len(m.names())), "objects")
		runtime.KeepAlive(r)
	}
	b.ReportMetric(float64(stored)/n, "B/rule")
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rules/s")
}
