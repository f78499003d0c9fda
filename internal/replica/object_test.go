package replica

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const set = "jwt/default/test"

// lines returns n lines of facts.
func lines(n int) [][]byte {
	var all [][]byte
	for i := range n {
		all = append(all, words{}.Append(nil, w("word %d", i)))
	}
	return distinct(all)
}

// zipped compresses a content.
func zipped(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

func TestAnObjectIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	for _, n := range []int{0, 1, 20, 5000} {
		for _, keys := range [][][]byte{nil, {key}} {
			h := header{T: 1795949912, Last: 1796000000, Replaces: []string{nameOf(1, nil), nameOf(2, nil)}}
			name, stored := seal(h, lines(n), set, keys)
			if again, same := seal(h, lines(n), set, keys); again != name || !bytes.Equal(same, stored) {
				t.Errorf("%d facts: written twice, they differ", n)
			}
			if !isName(name) || timeOf(name) != h.T {
				t.Errorf("%d facts: name %q", n, name)
			}
			if isZip := stored[0] == 0x1f; isZip != (n == 5000) {
				t.Errorf("%d facts: compressed is %v", n, isZip)
			}
			o, err := open(name, stored, set, keys)
			if err != nil {
				t.Fatal(err)
			}
			if o.N != n || len(o.lines) != n || o.Last != h.Last || len(o.Replaces) != 2 || o.signed != (keys != nil) || o.first != o.signed {
				t.Errorf("%d facts: read as %+v", n, o.header)
			}
		}
	}
}

func TestOneFactIsASmallObject(t *testing.T) {
	t.Parallel()
	_, stored := seal(header{T: 1, Last: 2}, lines(1), set, nil)
	if want := "{\"jwt\":1,\"n\":1,\"t\":1,\"last\":2}\n{\"w\":\"word 0\"}\n"; string(stored) != want {
		t.Errorf("%q", stored)
	}
}

func TestWhatIsNoObjectIsAnErrorOfItsKind(t *testing.T) {
	t.Parallel()
	const head = `{"jwt":1,"n":1,"t":7,"last":0}` + "\n"
	fact := "{\"w\":\"a\"}\n"
	bomb := append(zipped([]byte(head)), bytes.Repeat(zipped(make([]byte, 1<<20)), maxPlain>>20)...)
	if len(bomb) > maxStored {
		t.Fatalf("the bomb has %d bytes and is refused for its size alone", len(bomb))
	}
	for _, c := range []struct {
		what    string
		content []byte
		want    error
	}{
		{"one that is right", []byte(head + fact), nil},
		{"one of tomorrow", []byte(`{"jwt":2,"lines":1,"t":7}` + "\n" + fact), ErrUnknownVersion},
		{"of version 0", []byte(`{"jwt":0,"n":1,"t":7,"last":0}` + "\n" + fact), ErrDamaged},
		{"empty", nil, ErrDamaged},
		{"without a header", []byte(fact), ErrDamaged},
		{"no JSON", []byte("hello\n"), ErrDamaged},
		{"a line too many", []byte(head + fact + fact), ErrDamaged},
		{"a line too few", []byte(head), ErrDamaged},
		{"an empty line", []byte(head + "\n"), ErrDamaged},
		{"cut off in a line", []byte(head + `{"w":"a"`), ErrDamaged},
		{"another time than in its name", []byte(strings.Replace(head, `"t":7`, `"t":8`, 1) + fact), ErrDamaged},
		{"negative", []byte(strings.Replace(head, `"n":1`, `"n":-1`, 1) + fact), ErrDamaged},
		{"far too many facts", []byte(strings.Replace(head, `"n":1`, `"n":1000000000`, 1) + fact), ErrDamaged},
		{"replaces no name", []byte(strings.Replace(head, `"last":0`, `"last":0,"replaces":["../../x"]`, 1) + fact), ErrDamaged},
		{"too large", append([]byte(head), bytes.Repeat([]byte{'a'}, maxStored)...), ErrDamaged},
		{"a long line", zipped([]byte(head + `{"w":"` + strings.Repeat("a", maxFact) + "\"}\n")), ErrDamaged},
		{"a gzip bomb", bomb, ErrDamaged},
		{"compressed and cut off", zipped([]byte(head + fact))[:30], ErrDamaged},
		{"compressed and nothing", []byte{0x1f, 0x8b}, ErrDamaged},
	} {
		if _, err := open(nameOf(7, c.content), c.content, set, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	good := []byte(head + fact)
	for _, name := range []string{"", "x", marker, nameOf(7, good)[:42], strings.ToUpper(nameOf(7, good)), nameOf(8, good), nameOf(7, []byte("else"))} {
		if _, err := open(name, good, set, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("named %q: %v", name, err)
		}
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	one, two, three := []byte("one"), []byte("two"), []byte("three")
	name, stored := seal(header{T: 7}, lines(3), set, [][]byte{one, two})
	forged := func(from, to string) (string, []byte) {
		changed := bytes.Replace(stored, []byte(from), []byte(to), 1)
		return nameOf(7, changed), changed
	}
	textName, text := forged("word 1", "word 9")
	macName, mac := forged(`{"mac":"`, `{"mac":"A`)
	bareName, bare := seal(header{T: 7}, lines(3), set, nil)
	for _, c := range []struct {
		what   string
		name   string
		stored []byte
		set    string
		keys   [][]byte
		want   error
		first  bool
	}{
		{"by the first key", name, stored, set, [][]byte{one}, nil, true},
		{"by the second key", name, stored, set, [][]byte{three, one}, nil, false},
		{"by another key", name, stored, set, [][]byte{two}, ErrUnsigned, false},
		{"of another set", name, stored, set + "2", [][]byte{one}, ErrUnsigned, false},
		{"with another fact", textName, text, set, [][]byte{one}, ErrUnsigned, false},
		{"with another signature", macName, mac, set, [][]byte{one}, ErrDamaged, false},
		{"without one", bareName, bare, set, [][]byte{one}, ErrUnsigned, false},
		{"signed, for who has no key", name, stored, set, nil, nil, false},
	} {
		o, err := open(c.name, c.stored, c.set, c.keys)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if err == nil && o.first != c.first {
			t.Errorf("%s: signed by the first key is %v", c.what, o.first)
		}
	}
	if verifyMAC(markerContent(set, [][]byte{one}), set, [][]byte{two, one}) != 1 || verifyMAC(markerContent(set, nil), set, [][]byte{one}) != -1 {
		t.Error("the marker's signature")
	}
	// The set's name and the content can't be moved into each other.
	if bytes.Equal(mac2("ab", "c"), mac2("a", "bc")) {
		t.Error("two sets have one signature")
	}
}

func mac2(set, content string) []byte { return mac([]byte(content), set, []byte("k")) }

func TestALargeChangeIsFilledIntoLargeObjects(t *testing.T) {
	t.Parallel()
	r := newNode(newMemory(), nil)
	var all []line
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		text := fmt.Sprintf(`{"w":"%016x%016x","id":%d}`, rnd.Uint64(), rnd.Uint64(), i+1)
		all = append(all, line{text: []byte(text)})
	}
	objects := 0
	for left := all; len(left) > 0; objects++ {
		p := r.pack(left, maxStored-reserve)
		if len(p.stored) > maxStored-reserve {
			t.Fatalf("%d bytes", len(p.stored))
		}
		if left = left[p.took:]; len(left) > 0 && len(p.stored) < maxStored*8/10 {
			t.Errorf("an object of %d bytes, although there is more", len(p.stored))
		}
	}
	if objects > 4 {
		t.Errorf("%d objects", objects)
	}
}

func FuzzObject(f *testing.F) {
	for _, n := range []int{0, 3, 500} {
		_, stored := seal(header{T: 7, Replaces: []string{nameOf(1, nil)}}, lines(n), set, [][]byte{[]byte("k")})
		f.Add(stored)
	}
	f.Add([]byte(`{"jwt":2}` + "\n"))
	f.Add([]byte(`{"jwt":1,"n":1,"t":7,"last":0}` + "\n" + `{"k":"new","w":1}` + "\n"))
	r := newNode(newMemory(), nil)
	f.Fuzz(func(t *testing.T, stored []byte) {
		name := nameOf(7, stored)
		o, err := open(name, stored, set, nil)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnknownVersion) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if len(o.lines) != o.N {
			t.Fatal("the header lies")
		}
		got := r.read(name, stored)
		if got.bad != nil {
			return
		}
		if len(got.facts)+got.object.unknown != o.N {
			t.Fatal("a fact is missing")
		}
		// What it says is kept when it is merged: an object holds what is merged of it alone.
		out, err := r.combine([]*object{got.object}, []*opened{o})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.stored) > maxStored {
			return
		}
		merged, err := open(out.object.name, out.stored, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := r.implied(merged, []*opened{o}); err != nil || !ok {
			t.Fatalf("%v, %v: the merge lacks something of %q", ok, err, stored)
		}
	})
}
