package claims

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRender(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		text string
		want string
	}{
		{"null is nothing", `null`, ``},
		{"true", `true`, `true`},
		{"false", `false`, `false`},
		{"text is unchanged", `"alice"`, `alice`},
		{"empty text", `""`, ``},
		{"escapes in text are decoded", `"a\"b\\c\/d\u00e9"`, `a"b\c/dé`},
		{"line ends are line ends: who forwards them looks first", `"a\r\nb\u0000"`, "a\r\nb\x00"},
		{"a placeholder in text is text", `"{env.HOME}"`, `{env.HOME}`},
		{"text that is JSON", `"{\"a\":1}"`, `{"a":1}`},
		{"a comma in text", `"a,b"`, `a,b`},

		{"an integer", `5`, `5`},
		{"a number too long for any type", `12345678901234567890123`, `12345678901234567890123`},
		{"a number with an end of zeros", `1.50`, `1.50`},
		{"an integer written as a fraction", `1.0`, `1.0`},
		{"an exponent stays one", `1E+5`, `1E+5`},
		{"minus zero", `-0`, `-0`},
		{"a number that no float can hold", `1e999`, `1e999`},

		{"an empty array", `[]`, ``},
		{"an array of one", `["admin"]`, `admin`},
		{"an array of text", `["admin","user"]`, `admin,user`},
		{"an array of all kinds", `["a",1,true,false,null,"b"]`, `a,1,true,false,,b`},
		{"nulls alone", `[null,null]`, `,`},
		{"one null", `[null]`, ``},
		{"an empty text among others", `["a","","b"]`, `a,,b`},
		{"a comma in an element is not escaped", `["a,b","c"]`, `a,b,c`},
		{"an array in an array is JSON", `["a",["b","c"]]`, `a,["b","c"]`},
		{"an array in an array of one is JSON", `[["b"]]`, `["b"]`},
		{"an empty array in an array", `[[],[]]`, `[],[]`},
		{"an object in an array is JSON", `["a",{"b":"c"}]`, `a,{"b":"c"}`},
		{"an object in an array of one is JSON", `[{"b":["c"]}]`, `{"b":["c"]}`},
		{"numbers in an array, digit for digit", `[1.0,1e2]`, `1.0,1e2`},

		{"an empty object", `{}`, `{}`},
		{"an object is compact JSON in its order", `{ "b" : [ 1 , 2.0 ] , "a" : { "c" : null } }`, `{"b":[1,2.0],"a":{"c":null}}`},
		{"line ends in an object are escaped", `{"a\n":"b\r\n\t\u0000\u001f\u007f"}`, `{"a\n":"b\r\n\t\u0000\u001f\u007f"}`},
		{"letters beyond ASCII are themselves", `{"\u00e9":"\ud83d\ude00"}`, `{"é":"😀"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := value(t, c.text).Render(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		text string
		want string // "" for the same text
	}{
		{"null", `null`, ``},
		{"true", `true`, ``},
		{"false", `false`, ``},
		{"a number", `-12.50e+07`, ``},
		{"text", `"alice"`, ``},
		{"an empty array", `[]`, ``},
		{"an empty object", `{}`, ``},
		{"members in their order", `{"z":1,"a":2,"m":3}`, ``},
		{"no space", "[ 1 ,\n{ \"a\" : null } ]", `[1,{"a":null}]`},
		{"quotes and backslashes", `"\"\\"`, ``},
		{"the short escapes", `"\n\r\t"`, ``},
		{"the other control characters", `"\b\f\u0000\u000b\u001b\u001f\u007f"`, `"\u0008\u000c\u0000\u000b\u001b\u001f\u007f"`},
		{"escapes side by side and apart", `"\na\n\nb\n"`, ``},
		{"a slash", `"\/"`, `"/"`},
		{"what HTML would mind", `"<&>'"`, ``},
		{"letters beyond ASCII", `"\u00e9\u2028\ud83d\ude00"`, "\"é\u2028😀\""},
		{"names are escaped too", `{"a\"\n":1}`, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.want == "" {
				c.want = c.text
			}
			v := value(t, c.text)
			if got := string(v.AppendJSON(nil)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := string(v.AppendJSON([]byte("before"))); got != "before"+c.want {
				t.Errorf("after other text: %s", got)
			}
			checkJSON(t, v)
		})
	}
	t.Run("invalid UTF-8 is replaced everywhere", func(t *testing.T) {
		t.Parallel()
		// The parser refuses all of these; this is the second line of defence.
		for text, want := range map[string]string{
			"\xff": "\"\ufffd\"", "\xff\n": "\"\ufffd\\n\"", "\n\xff": "\"\\n\ufffd\"", "a\xffb\"c\xfed": "\"a\ufffdb\\\"c\ufffdd\"", "\xc3\"\xa9": "\"\ufffd\\\"\ufffd\"",
		} {
			for _, v := range []Value{TextValue(text), ObjectValue(Member{Name: text})} {
				got := string(v.AppendJSON(nil))
				if !utf8.ValidString(got) || !json.Valid([]byte(got)) || !strings.Contains(got, want) {
					t.Errorf("%q: %q, want %q", text, got, want)
				}
			}
		}
	})
}

// checkJSON checks that encoding/json and ParseObject read what AppendJSON writes
// as the same value, on one line and without raw control characters.
func checkJSON(t testing.TB, v Value) {
	t.Helper()
	out := v.AppendJSON(nil)
	if !utf8.Valid(out) || bytes.ContainsFunc(out, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		t.Errorf("%q is not one line of text", out)
	}
	got, err := decode(out)
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if want := tree(v); !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %#v, want %#v", out, got, want)
	}
	if v.Kind() != Object {
		return
	}
	again, err := ParseObject(out)
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if !same(v, again) {
		t.Errorf("%q is another value", out)
	}
	if second := again.AppendJSON(nil); !bytes.Equal(second, out) {
		t.Errorf("%q is written %q the next time", out, second)
	}
}

// same reports whether two values are equal, with their members in the same order.
func same(a, b Value) bool {
	if a.Kind() != b.Kind() || a.text != b.text || a.truth != b.truth || a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if a.NameAt(i) != b.NameAt(i) || !same(a.At(i), b.At(i)) {
			return false
		}
	}
	return true
}

// FuzzRender uses each text twice: as JSON, of which each value is rendered and
// parsed again, and as the text of a string value.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		`{}`, typicalClaims, many(17), `{"a":["b",["c",{"d":null}],1.50,true]}`, "{\"a\":\"\\u0000\\u007f\\\"\\\\\"}", "{\"é\":\"\\ud83d\\ude00\"}",
		"plain", "a\xffb\"c", "\x00\x1f\x7f\u2028", "\xed\xa0\x80", `\`, `"`, "{\"a\":[[],[[]],{}]}", `{"":{"":""}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		own := TextValue(string(text))
		out := own.AppendJSON(nil)
		var read string
		if err := json.Unmarshal(out, &read); err != nil || !utf8.Valid(out) {
			t.Fatalf("%q is written %q: %v", text, out, err)
		}
		if want := strings.ToValidUTF8(string(text), "\ufffd"); read != want {
			t.Errorf("%q is read as %q", text, read)
		}
		if own.Render() != string(text) {
			t.Errorf("%q is rendered %q", text, own.Render())
		}
		v, err := ParseObject(text)
		if err != nil {
			return
		}
		checkJSON(t, v)
		checkRender(t, v)
	})
}

// checkRender checks Render for a value and all values in it.
func checkRender(t testing.TB, v Value) {
	t.Helper()
	var want string
	switch v.Kind() {
	case Null:
	case Bool:
		want = map[bool]string{true: "true", false: "false"}[v.truth]
	case Number, String:
		want = v.text
	case Object:
		want = string(v.AppendJSON(nil))
	case Array:
		var parts []string
		for i := range v.Len() {
			if e := v.At(i); e.Kind() == Array {
				parts = append(parts, string(e.AppendJSON(nil)))
			} else {
				parts = append(parts, e.Render())
			}
		}
		want = strings.Join(parts, ",")
	}
	if got := v.Render(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range v.Len() {
		checkRender(t, v.At(i))
	}
}
