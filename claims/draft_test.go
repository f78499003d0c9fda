package claims

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestDraftsShareNothing checks that values taken from a draft do not change when
// another text is read into the same memory.
func TestDraftsShareNothing(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			type kept struct {
				user, escaped string
				whole         Value
				text          string
			}
			var before []kept
			for i := range 300 {
				user := fmt.Sprintf("user %d of %d", i, n)
				text := fmt.Sprintf(`{"sub":%q,"\u0061b":"\u00e9 %d.%d","list":[%d,{"a":%q}],"n":%d,"t":true,"z":null%s}`,
					user, n, i, i, user, i, strings.Repeat(fmt.Sprintf(`,"more%d":{"a":[1,2,3]}`, i), i%2))
				var d Draft
				if err := d.Read([]byte(text), MaxValues); err != nil {
					t.Errorf("%s: %v", text, err)
					return
				}
				k := kept{text: text}
				for i := range d.Len() {
					switch name, v := d.Member(i); name {
					case "sub":
						k.user, _ = v.Text()
					case "ab":
						k.escaped, _ = v.Text()
					}
				}
				if i%3 > 0 {
					k.whole = d.Value()
				}
				d.Free()
				if want := fmt.Sprintf("é %d.%d", n, i); k.user != user || k.escaped != want {
					t.Errorf("%q and %q, want %q and %q", k.user, k.escaped, user, want)
				}
				before = append(before, k)
			}
			for i, k := range before {
				if want := fmt.Sprintf("user %d of %d", i, n); k.user != want {
					t.Errorf("%q has become %q", want, k.user)
				}
				if want := fmt.Sprintf("é %d.%d", n, i); k.escaped != want {
					t.Errorf("%q has become %q", want, k.escaped)
				}
				if i%3 == 0 {
					continue
				}
				if again, err := ParseObject([]byte(k.text)); err != nil || string(again.AppendJSON(nil)) != string(k.whole.AppendJSON(nil)) {
					t.Errorf("%s has become %s", k.text, k.whole.AppendJSON(nil))
				}
			}
		})
	}
	all.Wait()
}

// TestDraftMembers checks that a draft has the members of its object, without the
// elements of arrays and objects, which would not stay valid.
func TestDraftMembers(t *testing.T) {
	t.Parallel()
	const text = `{"s":"a\nb","d":-1.50e2,"yes":true,"no":false,"none":null,"list":["x"],"object":{"a":1},"":"empty"}`
	var d Draft
	if err := d.Read([]byte(text), MaxValues); err != nil {
		t.Fatal(err)
	}
	whole := d.Value()
	if d.Len() != whole.Len() || d.Len() != 8 {
		t.Fatalf("%d members, and %d", d.Len(), whole.Len())
	}
	for i := range d.Len() {
		name, v := d.Member(i)
		want := whole.At(i)
		if name != whole.NameAt(i) || v.Kind() != want.Kind() {
			t.Errorf("%q is a %d, want %q, a %d", name, v.Kind(), whole.NameAt(i), want.Kind())
		}
		switch v.Kind() {
		case Array, Object:
			if v.Len() != 0 || want.Len() != 1 {
				t.Errorf("%s: %d elements, and %d", name, v.Len(), want.Len())
			}
		default:
			if string(v.AppendJSON(nil)) != string(want.AppendJSON(nil)) {
				t.Errorf("%s: %s, want %s", name, v.AppendJSON(nil), want.AppendJSON(nil))
			}
		}
	}
	d.Free()
	defer func() {
		if recover() == nil {
			t.Error("a freed draft is read")
		}
	}()
	d.Member(0)
}

func TestInvalidDrafts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "[]", "{", `{"a":1,"a":2}`, `{"a":1}x`, "{\"a\":\"\xff\"}", "{" + strings.Repeat(`"a":[`, 40)} {
		var d Draft
		if err := d.Read([]byte(text), MaxValues); !isError(err) {
			t.Errorf("%s: %v", text, err)
		}
		if d.buffer != nil {
			t.Errorf("%s: its memory is not returned", text)
		}
	}
}

func TestTheMemoryOfLargeTextsIsNotKept(t *testing.T) {
	t.Parallel()
	if _, err := ParseLarge([]byte(`{"a":[`+strings.Repeat("0,", 5*maxBuffer)+`0]}`), 6*maxBuffer); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if b := buffers.Get().(*buffer); cap(b.stack) > maxBuffer || cap(b.nodes) > maxBuffer {
			t.Fatalf("room for %d and %d nodes is kept", cap(b.stack), cap(b.nodes))
		}
	}
}
