package apikey

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

func numbered(from, to int) []Record {
	var records []Record
	for i := from; i < to; i++ {
		r := record(fmt.Sprintf("k%06d", i))
		r.Consumer, r.Scopes = fmt.Sprint("customer-", i%100), []string{"orders:read", fmt.Sprint("plan:", i%10)}
		r.Name, r.Created, r.Expires = fmt.Sprint("Orders of customer ", i), noon, noon.AddDate(1, 0, 0)
		r.Meta = must(claims.ParseObject([]byte(`{"plan":"gold","region":"eu-west-1"}`)))
		records = append(records, r)
	}
	return records
}

func TestImport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, folder := clock.NewFake(noon), newMemory()
	one := newNode(t, folder, c)
	folder.take()
	records := numbered(0, 6_000)
	records[7].Disabled = true
	if err := one.Import(ctx, records, ann); err != nil {
		t.Fatal(err)
	}
	if n := len(folder.take()); n > 25 { // each at most 256 KiB, and some 4,000 facts
		t.Errorf("%d objects", n)
	}
	two := newNode(t, folder, c)
	for _, s := range []*Store{one, two} {
		s.folds.Wait()
		if s.Len() != len(records) {
			t.Errorf("%d keys", s.Len())
		}
		for i, r := range records {
			k, code := s.Find(r.Hash, noon)
			if want := map[bool]reason.Code{true: reason.APIKeyDisabled}[i == 7]; code != want || k.ID() != r.ID || k.Consumer() != r.Consumer {
				t.Fatalf("%s: %q %s", r.ID, code, k.ID())
			}
		}
	}
	// The same again changes nothing, another profile is taken over; one that is disabled
	// is not enabled by the way.
	if err := one.Import(ctx, records[:1], ann); err != nil || len(folder.take()) > 0 {
		t.Errorf("the same again: %v", err)
	}
	again := slices.Clone(records[:10])
	again[3].Scopes, again[5].Disabled, again[7].Disabled, again[7].Name = []string{"x"}, true, false, "seven"
	if err := one.Import(ctx, again, ann); err != nil || len(folder.take()) != 1 {
		t.Errorf("the same again: %v", err)
	}
	synced(t, two)
	if k, _ := two.Find(again[3].Hash, noon); !slices.Equal(k.Scopes(), []string{"x"}) {
		t.Errorf("%v", k.Scopes())
	}
	wants(t, "disabled", "key of "+again[5].ID, noon, reason.APIKeyDisabled, two)
	wants(t, "disabled", "key of "+again[7].ID, noon, reason.APIKeyDisabled, two)
	if got := must(two.Get(again[7].ID, noon)); got.Name != "seven" {
		t.Errorf("%+v", got)
	}

	otherHash, otherID, same := record(records[1].ID), record("other"), record("n1")
	otherHash.Hash, otherID.Hash = Digest{9}, records[1].Hash
	broken := record("n2")
	broken.Scopes = []string{"two words"}
	leaked := record("n3")
	leaked.Name, leaked.Hash = strings.Repeat("secret", 4), DigestOf(strings.Repeat("secret", 4))
	before := one.dump()
	for what, row := range map[string]struct {
		records []Record
		want    error
	}{
		"the id of another":     {[]Record{record("n"), otherHash}, ErrKeyExists},
		"the secret of another": {[]Record{record("n"), otherID}, ErrKeyExists},
		"the same twice":        {[]Record{same, same}, nil},
		"an invalid scope":      {[]Record{record("n"), broken}, nil},
		"a key as its name":     {[]Record{record("n"), leaked}, nil},
		"no hash":               {[]Record{record("n"), {ID: "n4"}}, nil},
		"no id":                 {[]Record{record("n"), {Hash: Digest{8}}}, nil},
	} {
		err := one.Import(ctx, row.records, ann)
		if err == nil || row.want != nil && !errors.Is(err, row.want) || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%s: %v", what, err)
		}
		if last := row.records[len(row.records)-1]; what != "the same twice" {
			if err := one.Create(ctx, last, ann); err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if one.dump() != before {
		t.Error("something was imported")
	}
}

// An import that ends half-way leaves no key that can't be made any more.
func TestAnImportThatFailedCanBeRepeated(t *testing.T) {
	t.Parallel()
	for fails := range 2 {
		c, folder := clock.NewFake(noon), newMemory()
		s := newNode(t, folder, c)
		n := 0
		folder.lose = func(after bool) bool {
			if !after {
				n++
			}
			return n > fails
		}
		records := numbered(0, 6_000)
		if err := s.Import(t.Context(), records, ann); !errors.Is(err, replica.ErrNotStored) {
			t.Fatalf("%d: %v", fails, err)
		}
		folder.lose = nil
		if err := s.Import(t.Context(), records, ann); err != nil {
			t.Fatalf("%d: %v", fails, err)
		}
		other := newNode(t, folder, c)
		if s.Len() != len(records) || other.dump() != s.dump() {
			t.Errorf("%d: %d keys", fails, s.Len())
		}
	}
}

func TestKeysAreListed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, folder := clock.NewFake(noon), newMemory()
	s := newNode(t, folder, c)
	list := func(after string, limit int) string {
		keys, next := s.List(after, limit, noon)
		text := ""
		for _, k := range keys {
			if k.Hash != (Digest{}) {
				t.Errorf("%s shows its hash", k.ID)
			}
			text += k.ID
		}
		return text + ">" + next
	}
	if got := list("", 5); got != ">" {
		t.Error(got)
	}
	for _, id := range strings.Split("gdbfac", "") {
		if err := s.Create(ctx, record(id), ann); err != nil {
			t.Fatal(err)
		}
	}
	must(s.Delete(ctx, "c", ann))
	for _, row := range []struct {
		after string
		limit int
		want  string
	}{{"", 10, "abdfg>"}, {"", 5, "abdfg>"}, {"", 2, "ab>b"}, {"b", 2, "df>f"}, {"c", 2, "df>f"}, {"f", 2, "g>"}, {"g", 2, ">"}, {"x", 2, ">"}} {
		if got := list(row.after, row.limit); got != row.want {
			t.Errorf("%d after %s: %s, want %s", row.limit, row.after, got, row.want)
		}
	}
	for _, id := range []string{"e", "0", "z"} {
		if err := s.Create(ctx, record(id), ann); err != nil {
			t.Fatal(err)
		}
	}
	if got := list("", 10); got != "0abdefgz>" {
		t.Error(got)
	}
}

func TestEditKeepsWhatItMayNotChange(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, folder := clock.NewFake(noon), newMemory()
	s := newNode(t, folder, c)
	if err := s.Create(ctx, record("a"), ann); err != nil {
		t.Fatal(err)
	}
	must(s.Roll(ctx, "a", DigestOf("the text of the new key"), time.Hour, ann))
	folder.take()
	for what, change := range map[string]func(*Record) error{
		"an error":         func(*Record) error { return errReset },
		"an invalid scope": func(r *Record) error { r.Scopes = []string{"a b"}; return nil },
		"a key":            func(r *Record) error { r.Name = "the text of the new key"; return nil },
		"a form of keys":   func(r *Record) error { r.Consumer, _ = New(DefaultPrefix); r.Scopes = []string{r.Consumer}; return nil },
	} {
		if _, err := s.Edit(ctx, "a", change, ann); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	stored, err := s.Edit(ctx, "a", func(r *Record) error {
		if r.Hash != (Digest{}) {
			t.Error("it is told the hash")
		}
		r.ID, r.Hash, r.Disabled, r.Created = "b", Digest{1}, true, noon.AddDate(-1, 0, 0)
		return nil
	}, ann)
	if err != nil || !stored || len(folder.take()) > 0 {
		t.Errorf("%v", err)
	}
	wants(t, "it is the same", "key of a", noon, valid, s)
	if got := must(s.Get("a", noon)); !got.Created.Equal(noon) || got.Disabled {
		t.Errorf("%+v", got)
	}
	// The clock may be behind that of the node that made the last edit.
	must(s.Edit(ctx, "a", func(r *Record) error { r.Name = "1"; return nil }, ann))
	c.Set(noon.AddDate(-1, 0, 0))
	must(s.Edit(ctx, "a", func(r *Record) error { r.Name = "2"; return nil }, ann))
	other := newNode(t, folder, c)
	if got := must(other.Get("a", noon)); got.Name != "2" {
		t.Errorf("%+v", got)
	}
}

// Disabling, deleting and requests wait for nobody: not for a storage that hangs, nor for
// other changes.
func TestDisablingWaitsForNobody(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	s := newNode(t, folder, c)
	if err := s.Import(t.Context(), []Record{record("a"), record("b")}, ann); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	folder.mu.Lock()
	folder.hang = release
	folder.mu.Unlock()
	var hanging sync.WaitGroup
	hanging.Go(func() { _, _ = s.Roll(t.Context(), "a", DigestOf("new"), 0, ann) })
	hanging.Go(func() { _ = s.Import(t.Context(), numbered(0, 10), ann) })
	hanging.Go(func() { _, _ = s.Disable(t.Context(), "a", ann) })
	hanging.Go(func() { _, _ = s.Delete(t.Context(), "b", ann) })
	for s.Has(DigestOf("key of b")) || must(s.Get("a", noon)).Disabled == false {
		runtime.Gosched()
	}
	s.mu.Lock()
	wants(t, "a", "key of a", noon, reason.APIKeyDisabled, s)
	wants(t, "b", "key of b", noon, reason.UnknownAPIKey, s)
	s.mu.Unlock()
	close(release)
	hanging.Wait()
	folder.mu.Lock()
	folder.hang = nil
	folder.mu.Unlock()
}

// Keys are made, rolled and deleted while others are looked up and the base is made again.
func TestChangesWhileKeysAreLookedUp(t *testing.T) {
	t.Parallel()
	s := deaf()
	lasting := numbered(0, 100)
	add := func(from, to int) {
		var facts []fact
		for _, r := range numbered(from, to) {
			facts = append(facts, fact{kind: factKey, key: r.ID, rev: 1, record: &r}, fact{kind: factSecret, key: r.ID, hash: r.Hash})
		}
		s.apply(facts)
	}
	add(0, 100)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if k, code := s.Find(lasting[i%100].Hash, noon); code != valid || k.ID() != lasting[i%100].ID {
					t.Errorf("%s: %q", lasting[i%100].ID, code)
					return
				}
			}
		})
	}
	for from := 100; from < 12_000; from += 1000 {
		add(from, from+1000)
		s.apply([]fact{{kind: factDead, key: fmt.Sprintf("k%06d", from)}, {kind: factOff, key: fmt.Sprintf("k%06d", from+1), id: 1}})
		wants(t, "deleted", fmt.Sprintf("key of k%06d", from), noon, reason.UnknownAPIKey, s)
		wants(t, "disabled", fmt.Sprintf("key of k%06d", from+1), noon, reason.APIKeyDisabled, s)
	}
	close(stop)
	running.Wait()
	s.folds.Wait()
	for i := range 12_000 {
		want := map[bool]reason.Code{true: map[int]reason.Code{100: reason.UnknownAPIKey, 101: reason.APIKeyDisabled}[i%1000]}[i >= 100]
		wants(t, "at the end", fmt.Sprintf("key of k%06d", i), noon, want, s)
	}
	if v := s.view.Load(); v.base.Len() < 6_000 || v.foldable() {
		t.Errorf("%d keys in the base, %d in the delta", v.base.Len(), v.n)
	}
}

// What many keys of a store take besides what is in the storage.
func TestAStoredKeyTakes900Bytes(t *testing.T) { // not parallel: it counts memory
	const n = 20_000
	s := deaf()
	before := heap()
	for from := 0; from < n; from += 1000 {
		var facts []fact
		for _, r := range numbered(from, from+1000) {
			facts = append(facts, fact{kind: factKey, key: r.ID, rev: 1, record: &r}, fact{kind: factSecret, key: r.ID, hash: r.Hash})
		}
		s.apply(facts)
	}
	s.folds.Wait()
	all := int64(heap()-before) / n
	base := s.view.Load().fold("")
	with := heap()
	found := base.Len()
	runtime.KeepAlive(base)
	base = nil
	look := int64(with-heap()) / n
	if all > 900 || look > 300 || look < 40 || found != n {
		t.Errorf("%d bytes a key, %d of them for look-ups", all, look)
	}
	t.Logf("%d bytes a key, %d of them for look-ups", all, look)
	runtime.KeepAlive(s)
}

func TestALookUpInAStoreCostsNoAllocation(t *testing.T) { // not parallel, for AllocsPerRun
	s := deaf(fact{kind: factKey, key: "a", record: &Record{}, rev: 1}, fact{kind: factSecret, key: "a", hash: DigestOf("key of a")})
	l := &Lookup{Stores: []Stored{opened{s}}, Clock: clock.NewFake(noon)}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, code := l.Find(ctx, "key of a"); code != valid {
			t.Fatal(code)
		}
		if _, code := l.Find(ctx, "another"); code != reason.UnknownAPIKey {
			t.Fatal(code)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		s := deaf()
		for from := 0; from < n; from += 2000 {
			var facts []fact
			for i := from; i < min(n, from+2000); i++ {
				r := Record{ID: fmt.Sprintf("k%09d", i), Consumer: fmt.Sprint("customer-", i), Scopes: []string{"orders:read"}}
				facts = append(facts, fact{kind: factKey, key: r.ID, rev: 1, record: &r}, fact{kind: factSecret, key: r.ID, hash: DigestOf(nthKey(i))})
			}
			s.apply(facts)
		}
		s.folds.Wait()
		l := &Lookup{Stores: []Stored{opened{s}}}
		texts := make([]string, 1<<16)
		for what, first := range map[string]int{"known": 0, "unknown": n} {
			for i := range texts {
				texts[i] = nthKey(first + int(uint64(i)*2654435761%uint64(n)))
			}
			b.Run(fmt.Sprintf("keys=%d/%s", n, what), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, code := l.Find(b.Context(), texts[i&(1<<16-1)]); (code == valid) != (first == 0) {
						b.Fatal(code)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("keys=%d/change", n), func(b *testing.B) {
			for i := uint64(1); b.Loop(); i++ {
				s.apply([]fact{{kind: factOff, key: fmt.Sprintf("k%09d", i%uint64(n)), id: i}})
			}
		})
		b.Run(fmt.Sprintf("keys=%d/fold", n), func(b *testing.B) {
			for b.Loop() {
				s.view.Load().fold("")
			}
		})
	}
}
