package apikey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// record is a record of the key whose text is "key of " and its id.
func record(id string) Record { return Record{ID: id, Hash: DigestOf("key of " + id)} }

// keyLines are the lines of a key file with these keys.
func keyLines(ids ...string) string {
	text := ""
	for _, id := range ids {
		text += string(must(json.Marshal(record(id)))) + "\n"
	}
	return text
}

// hasKeys says which of "a" to "z" a set holds.
func hasKeys(s *Set) string {
	text := ""
	for c := 'a'; c <= 'z'; c++ {
		if k, ok := s.Find(record(string(c)).Hash); ok {
			text += k.ID()
		}
	}
	return text
}

func TestAKeyIsFoundByItsDigest(t *testing.T) {
	t.Parallel()
	meta, err := claims.ParseObject([]byte(`{"plan":"gold","limit":10.0}`))
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := record("a"), record("b"), record("c")
	a.Consumer, a.Scopes, a.Meta = "partner", []string{"orders:read", "orders:write"}, meta
	b.Disabled, b.Scopes = true, []string{"orders:write", "orders:read"}
	c.Consumer, c.Scopes = "c", a.Scopes
	s, err := NewSet([]Record{a, b, c})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		id, consumer, scopes string
		enabled              bool
		claims               string
	}{
		{"a", "partner", "orders:read orders:write", true,
			`{"sub":"partner","scope":"orders:read orders:write","key_id":"a","meta":{"plan":"gold","limit":10.0}}`},
		{"b", "b", "orders:write orders:read", false, `{"sub":"b","scope":"orders:write orders:read","key_id":"b"}`},
		{"c", "c", "orders:read orders:write", true, `{"sub":"c","scope":"orders:read orders:write","key_id":"c"}`},
	} {
		k, ok := s.Find(DigestOf("key of " + row.id))
		if !ok {
			t.Errorf("%s is not found", row.id)
			continue
		}
		if k.ID() != row.id || k.Consumer() != row.consumer || strings.Join(k.Scopes(), " ") != row.scopes || k.Enabled() != row.enabled {
			t.Errorf("%s: %s %s %v %v", row.id, k.ID(), k.Consumer(), k.Scopes(), k.Enabled())
		}
		if got := string(k.Claims().AppendJSON(nil)); got != row.claims {
			t.Errorf("%s: claims %s, want %s", row.id, got, row.claims)
		}
	}
	if s.Len() != 3 {
		t.Errorf("%d keys", s.Len())
	}
	for what, d := range map[string]Digest{
		"an unknown key": DigestOf("key of d"), "the zero digest": {}, "threat 31: the hash as a key": DigestOf(a.Hash.String()),
	} {
		if _, ok := s.Find(d); ok {
			t.Errorf("%s is found", what)
		}
	}
	if empty := must(NewSet(nil)); empty.Len() != 0 {
		t.Error("a set of nothing holds something")
	} else if _, ok := empty.Find(a.Hash); ok {
		t.Error("a set of nothing finds something")
	}
}

// The longest of everything: lengths must not wrap.
func TestTheLargestRecordInASet(t *testing.T) {
	t.Parallel()
	large := record(strings.Repeat("i", 128))
	large.Consumer = strings.Repeat("c", 1024)
	large.Meta = must(claims.ParseObject([]byte(`{"a":"` + strings.Repeat("x", 8192-8) + `"}`)))
	next := record("next")
	s := must(NewSet([]Record{large, next}))
	k, _ := s.Find(large.Hash)
	if k.ID() != large.ID || k.Consumer() != large.Consumer || k.meta() != string(large.Meta.AppendJSON(nil)) {
		t.Errorf("%d characters of id, %d of consumer, %d of meta", len(k.ID()), len(k.Consumer()), len(k.meta()))
	}
	if k, _ := s.Find(next.Hash); k.ID() != "next" || k.Consumer() != "next" || k.meta() != "" {
		t.Errorf("%s %s %s", k.ID(), k.Consumer(), k.meta())
	}
}

func TestTheScopesOfAKeyCantGrowIntoAnothers(t *testing.T) {
	t.Parallel()
	a := record("a")
	a.Scopes = []string{"x"}
	s := must(NewSet([]Record{a}))
	k, _ := s.Find(a.Hash)
	a.Scopes[0] = "admin"
	_ = append(k.Scopes(), "admin")
	if again, _ := s.Find(a.Hash); !reflect.DeepEqual(again.Scopes(), []string{"x"}) {
		t.Errorf("%v", again.Scopes())
	}
	if cap(k.Scopes()) != 1 {
		t.Errorf("room for %d scopes", cap(k.Scopes()))
	}
}

func TestAKeyExpiresToTheMillisecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 1, 0, 0, 0, 123e6, time.UTC)
	a := record("a")
	a.Expires = at
	k, _ := must(NewSet([]Record{a})).Find(a.Hash)
	for now, expired := range map[time.Time]bool{
		at.Add(-time.Millisecond): false, at.Add(-1): false, at: true, at.Add(time.Millisecond): true,
		at.In(time.FixedZone("", 3600)): true, at.AddDate(100, 0, 0): true, {}: false,
	} {
		if k.Expired(now) != expired {
			t.Errorf("at %s: expired %v", now, k.Expired(now))
		}
	}
	if !k.Expires().Equal(at) {
		t.Errorf("expires %s", k.Expires())
	}
	b := record("b")
	k, _ = must(NewSet([]Record{b})).Find(b.Hash)
	if k.Expired(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)) || !k.Expires().IsZero() {
		t.Error("a key without an end has one")
	}
	before := record("c")
	before.Expires = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)
	k, _ = must(NewSet([]Record{before})).Find(before.Hash)
	if !k.Expired(time.Now()) || !k.Expires().Equal(before.Expires) {
		t.Error("a key of before 1970 is still good")
	}
}

func TestThreat34_TwoKeysOfOneIDOrHash(t *testing.T) {
	t.Parallel()
	sameHash := record("other")
	sameHash.Hash = record("a").Hash
	sameID := record("a")
	sameID.Hash = DigestOf("another")
	for what, row := range map[string]struct {
		record Record
		want   string
	}{
		"one hash":        {sameHash, "keys.jsonl:5: the keys a (line 2) and other (line 5) have the same hash"},
		"one id":          {sameID, "keys.jsonl:5: duplicate id a, first used by a (line 2)"},
		"the same record": {record("a"), "keys.jsonl:5: the keys a (line 2) and a (line 5) have the same hash"},
	} {
		text := "\n" + keyLines("a", "b") + "\n" + string(must(json.Marshal(row.record))) + "\n"
		_, err := readSet(strings.NewReader(text), "keys.jsonl", int64(len(text)))
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", what, err, row.want)
		}
		if _, err := NewSet([]Record{record("a"), row.record}); err == nil {
			t.Errorf("%s: NewSet gives no error", what)
		}
		if _, err := parseEdit(strings.NewReader(text), "keys.jsonl"); err == nil {
			t.Errorf("%s: a command reads it", what)
		}
	}
}

// Whatever comes again is noticed, though the set has grown meanwhile.
func TestABuilderTellsKeysApart(t *testing.T) {
	t.Parallel()
	b := newBuilder(0, 0)
	add := func(id, hash string) error {
		r := record(id)
		r.Hash = DigestOf(hash)
		return b.add(&r, len(b.lineNumbers)+1)
	}
	var ids []string
	for n := range 1000 {
		ids = append(ids, fmt.Sprintf("k%d", n))
	}
	for _, id := range ids {
		if err := add(id, "key of "+id); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	for n, id := range ids {
		if err := add(id, "another key of "+id); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("duplicate id %s, first used by %s (line %d)", id, id, n+1)) {
			t.Errorf("the id %s again: %v", id, err)
		}
		if err := add("another-"+id, "key of "+id); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the keys %s (line %d)", id, n+1)) {
			t.Errorf("the hash of %s again: %v", id, err)
		}
	}
	if err := add("d", "key of d"); err != nil {
		t.Error(err)
	}
	s := b.set()
	for _, id := range append(ids, "d") {
		if k, ok := s.Find(DigestOf("key of " + id)); !ok || k.ID() != id {
			t.Errorf("%s is not found", id)
		}
	}
}

func TestKeyFilesThatAreRead(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct{ text, keys string }{
		"one key":              {keyLines("a"), "a"},
		"one empty line":       {"\n", ""},
		"one of Windows":       {"\r\n", ""},
		"empty lines between":  {"\n\n" + keyLines("a") + " \t\n" + keyLines("b") + "\n", "ab"},
		"lines of Windows":     {strings.ReplaceAll(keyLines("a", "b"), "\n", "\r\n"), "ab"},
		"spaces around":        {"  " + strings.ReplaceAll(keyLines("a"), "\n", "  \n"), "a"},
		"a line of 64 KiB":     {padded(keyLines("a"), maxLine), "a"},
		"another size as hint": {keyLines("a", "b", "c"), "abc"},
		"a byte order mark":    {"\ufeff" + keyLines("a", "b"), "ab"},
	} {
		for _, size := range []int64{0, int64(len(row.text)), 7} {
			s, err := readSet(strings.NewReader(row.text), "keys.jsonl", size)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			} else if got := hasKeys(s); got != row.keys || s.Len() != len(row.keys) {
				t.Errorf("%s: %s, want %s", what, got, row.keys)
			}
		}
	}
}

// padded is a line of n bytes with its end.
func padded(line string, n int) string {
	return strings.TrimSuffix(line, "\n") + strings.Repeat(" ", n-len(line)) + "\n"
}

func TestKeyFilesThatAreBroken(t *testing.T) {
	t.Parallel()
	two := keyLines("a", "b")
	for what, row := range map[string]struct{ text, want string }{
		"nothing":                    {"", "keys.jsonl: it is empty"},
		"no end":                     {strings.TrimSuffix(two, "\n"), "keys.jsonl:2: the last line does not end with a newline"},
		"cut off in a line":          {two[:len(two)-20], "keys.jsonl:2: the last line does not end with a newline"},
		"a space without end":        {two + " ", "keys.jsonl:3: the last line does not end with a newline"},
		"one bad line":               {keyLines("a") + "oops\n" + keyLines("b"), "keys.jsonl:2: it is not a JSON object"},
		"an array":                   {"[" + strings.TrimSpace(keyLines("a")) + "]\n", "keys.jsonl:1: it is not a JSON object"},
		"two records in a line":      {strings.Replace(two, "\n", " ", 1), "keys.jsonl:1: it is not a JSON object"},
		"a record over two lines":    {strings.Replace(two, ",", ",\n", 1), "keys.jsonl:1: it is not a JSON object"},
		"a line of more than 64 KiB": {padded(keyLines("a"), maxLine+1), "keys.jsonl:1: the line is longer than 64 KiB"},
		"NULs, as a crash leaves":    {keyLines("a") + strings.Repeat("\x00", 99) + "\n", "keys.jsonl:2: it is not a JSON object"},
		"a byte order mark later":    {two + "\ufeff" + keyLines("c"), "keys.jsonl:3: it is not a JSON object"},
		"UTF-16, as PowerShell's":    {utf16LE(two), "keys.jsonl:1: the file is UTF-16; save it as UTF-8"},
		"a comment":                  {"# keys\n" + two, "keys.jsonl:1: it is not a JSON object"},
	} {
		_, err := readSet(strings.NewReader(row.text), "keys.jsonl", int64(len(row.text)))
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", what, err, row.want)
		}
	}
	reader := io.MultiReader(strings.NewReader(two), failingReader{})
	if _, err := readSet(reader, "keys.jsonl", 0); err == nil || !strings.Contains(err.Error(), errReset.Error()) {
		t.Errorf("a disk that fails: %v", err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errReset }

// A large file that is none may begin with a short line: room is made for the
// keys of a key file alone.
func TestALargeFileThatIsNoneTakesNoMemory(t *testing.T) { // not parallel: it counts memory
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readSet(strings.NewReader("#\n"), "keys.jsonl", 8<<20); err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("%d bytes", took)
	}
}

// realisticKeys writes the lines of n keys as they are in use: a name, a
// consumer, scopes, a plan, and times.
type realisticKeys struct {
	n, at int
	rest  []byte
	line  bytes.Buffer
}

func (r *realisticKeys) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.at == r.n {
			return 0, io.EOF
		}
		r.line.Reset()
		fmt.Fprintf(&r.line, `{"id":"k%09d","name":"Orders of customer %d","consumer":"customer-%d","hash":"%s","scopes":["orders:read","plan:%d"],"enabled":true,"created":"2026-01-02T03:04:05Z","expires":"2030-12-31T23:59:59Z","meta":{"plan":"gold","region":"eu-west-1"}}`+"\n",
			r.at, r.at, r.at, DigestOf(nthKey(r.at)), r.at%10)
		r.rest = r.line.Bytes()
		r.at++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// nthKey is as long as the keys that New makes.
func nthKey(n int) string { return fmt.Sprintf("cj_%010d_%049d", n, n) }

// heap is the memory in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the second frees what the first one's finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAKeyTakes300Bytes(t *testing.T) { // not parallel: it counts memory
	const n = 100_000
	content := must(io.ReadAll(&realisticKeys{n: n}))
	before := heap()
	s, err := readSet(bytes.NewReader(content), "keys.jsonl", int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	after := heap()
	if perKey := int64(after-before) / n; perKey > 300 || perKey < 40 { // a digest alone takes 32
		t.Errorf("%d bytes a key", perKey)
	}
	if k, ok := s.Find(DigestOf(nthKey(n - 1))); !ok || k.ID() != "k000099999" || k.Consumer() != "customer-99999" || k.Scopes()[1] != "plan:9" {
		t.Error("the last key is not there, or another")
	}
	runtime.KeepAlive(content)
}

func TestALookUpCostsNoAllocation(t *testing.T) { // not parallel, for AllocsPerRun
	s := must(NewSet([]Record{record("a"), record("b")}))
	now := time.Now()
	text := "key of a"
	if n := testing.AllocsPerRun(1000, func() {
		k, ok := s.Find(DigestOf(text))
		if !ok || !k.Enabled() || k.Expired(now) || k.Consumer() != "a" || len(k.Scopes()) != 0 {
			t.Fatal("not there")
		}
		if _, ok := s.Find(DigestOf("another")); ok {
			t.Fatal("there")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A sparse file can claim any size.
func TestTheSizeOfAFileAloneTakesNoMemory(t *testing.T) { // not parallel: it counts memory
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := readSet(strings.NewReader(keyLines("a")), "keys.jsonl", maxFile)
	runtime.ReadMemStats(&after)
	if err != nil || s.Len() != 1 {
		t.Fatal(err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 32<<20 {
		t.Errorf("%d MiB", taken>>20)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		s, err := readSet(&realisticKeys{n: n}, "keys.jsonl", int64(n)*280)
		if err != nil {
			b.Fatal(err)
		}
		// Many, so that what is looked up is not in the processor's cache for
		// having been looked up before.
		texts := make([]string, 1<<16)
		for what, first := range map[string]int{"known": 0, "unknown": n} {
			for i := range texts {
				texts[i] = nthKey(first + int(uint64(i)*2654435761%uint64(n)))
			}
			b.Run(fmt.Sprintf("keys=%d/%s", n, what), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, ok := s.Find(DigestOf(texts[i&(1<<16-1)])); ok != (first == 0) {
						b.Fatal(ok)
					}
				}
			})
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	const n = 1_000_000
	content := must(io.ReadAll(&realisticKeys{n: n}))
	b.SetBytes(int64(len(content)))
	var s *Set
	before := heap()
	for b.Loop() {
		s = nil
		var err error
		if s, err = readSet(bytes.NewReader(content), "keys.jsonl", int64(len(content))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(int64(heap()-before))/n, "heap-B/key")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/load")
	if s.Len() != n {
		b.Fatal(s.Len())
	}
	runtime.KeepAlive(content)
}

// TestTheFingerprintOfAKey: it changes with each value of the record that says who holds
// the key and what it may do, and with the place, and with nothing else.
func TestTheFingerprintOfAKey(t *testing.T) {
	t.Parallel()
	of := func(place func(*Set), change func(*Record)) uint64 {
		r := record("a")
		r.Consumer, r.Scopes, r.Expires = "partner", []string{"read", "write"}, time.UnixMilli(1e12)
		r.Meta = claims.ObjectValue(claims.Member{Name: "plan", Value: claims.TextValue("gold")})
		change(&r)
		s := must(NewSet([]Record{record("z"), r}))
		place(s)
		k, ok := s.Find(r.Hash)
		if !ok {
			t.Fatal("no key")
		}
		return k.Fingerprint()
	}
	anywhere := func(*Set) {}
	first := of(anywhere, func(*Record) {})
	for name, change := range map[string]func(*Record){
		"nothing": func(*Record) {}, "the hash": func(r *Record) { r.Hash = DigestOf("another secret") }, "a text for people": func(r *Record) { r.Name = "x" },
	} {
		if of(anywhere, change) != first {
			t.Errorf("%s changes it", name)
		}
	}
	for name, change := range map[string]func(*Record){
		"the id": func(r *Record) { r.ID = "b" }, "the consumer": func(r *Record) { r.Consumer = "partners" }, "no consumer": func(r *Record) { r.Consumer = "" },
		"scopes": func(r *Record) { r.Scopes = r.Scopes[:1] }, "no scopes": func(r *Record) { r.Scopes = nil }, "scopes in one": func(r *Record) { r.Scopes = []string{"readwrite"} },
		"the expiry": func(r *Record) { r.Expires = time.UnixMilli(1e12 + 1) }, "no expiry": func(r *Record) { r.Expires = time.Time{} },
		"meta": func(r *Record) {
			r.Meta = claims.ObjectValue(claims.Member{Name: "plan", Value: claims.TextValue("silver")})
		},
		"no meta": func(r *Record) { r.Meta = claims.Value{} },
	} {
		if of(anywhere, change) == first {
			t.Errorf("%s does not change it", name)
		}
	}
	if of(func(s *Set) { s.store = "partners" }, func(*Record) {}) == first || of(func(s *Set) { s.file = "partners" }, func(*Record) {}) == first ||
		of(func(s *Set) { s.store = "x" }, func(*Record) {}) == of(func(s *Set) { s.file = "x" }, func(*Record) {}) {
		t.Error("the place does not change it")
	}
}

// utf16LE is a text as PowerShell writes it.
func utf16LE(text string) string {
	out := "\xff\xfe"
	for _, c := range []byte(text) {
		out += string([]byte{c, 0})
	}
	return out
}
