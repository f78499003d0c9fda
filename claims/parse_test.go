package claims

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestObjectsThatAreAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		text string
		want string // as encoding/json reads it, "" for the same text
	}{
		{"an empty object", `{}`, ``},
		{"space everywhere", " \t\r\n{ \"a\"\t:\r1 \n, \"b\" : [ 1 , { } , [ ] ] }\n\n", `{"a":1,"b":[1,{},[]]}`},
		{"every kind", `{"a":null,"b":true,"c":false,"d":0,"e":"","f":[],"g":{}}`, ``},
		{"an empty name", `{"":1}`, ``},
		{"names that differ in case", `{"exp":1,"EXP":2,"Exp":3}`, ``},
		{"names that differ in their normal form alone", "{\"\u00e9\":1,\"e\u0301\":2}", ``},
		{"one name at several levels", `{"a":{"a":{"a":[{"a":1},{"a":2}]}}}`, ``},
		{"16 members", many(16), ``},
		{"17 members", many(17), ``},
		{"1,000 members", many(1000), ``},
		{"more members than the buffer holds, nested", `{"a":[` + strings.Repeat(`{"b":[1,2,3]},`, 100) + `{}]}`, ``},
		{"depth 32, arrays", nested(32), ``},
		{"depth 32, objects", strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat(`}`, 31), ``},
		{"depth 32 with values inside", strings.Replace(nested(32), "[]", `["x",1,null]`, 1), ``},
		{"depth 32 many times", `{"a":[` + strings.Repeat(strings.Repeat("[", 30)+strings.Repeat("]", 30)+",", 50) + `0]}`, ``},

		{"every escape", `{"a":"\"\\\/\b\f\n\r\t"}`, `{"a":"\"\\/\u0008\u000c\u000a\u000d\u0009"}`},
		{"escapes in a name", `{"\u0061\n":1}`, `{"a\n":1}`},
		{"hexadecimal digits of either case", `{"a":"\u00e9\u00E9\uabCD"}`, `{"a":"éé\uabcd"}`},
		{"an escaped NUL", `{"a":"\u0000"}`, ``},
		{"escaped control characters", `{"a":"\u0001\u001f\u007f"}`, ``},
		{"a surrogate pair", `{"a":"\ud83d\ude00"}`, `{"a":"😀"}`},
		{"the first and last surrogate pair", `{"a":"\ud800\udc00\udbff\udfff"}`, "{\"a\":\"\U00010000\U0010ffff\"}"},
		{"two surrogate pairs", `{"a":"\ud83d\ude00\ud83d\ude01"}`, `{"a":"😀😁"}`},
		{"the code points around the surrogates", `{"a":"\ud7ff\ue000\uffff"}`, ``},
		{"the replacement character itself", `{"a":"\ufffd` + "\ufffd" + `"}`, `{"a":"\ufffd\ufffd"}`},
		{"a backslash before a u", `{"a":"\\ud800"}`, ``},
		{"text before and after escapes", `{"a":"x\u0041y\nz"}`, `{"a":"xAy\nz"}`},
		{"UTF-8 of two, three and four bytes", `{"é":"é€😀"}`, ``},
		{"UTF-8 before and after an escape", `{"a":"é\n😀"}`, ``},
		{"DEL, which JSON allows", "{\"a\":\"\x7f\"}", `{"a":"\u007f"}`},
		{"C1 controls and line separators, which JSON allows", "{\"a\":\"\u0085\u2028\u2029\"}", ``},
		{"a byte order mark inside a string", "{\"a\":\"\ufeff\"}", ``},
		{"noncharacters", "{\"a\":\"\uffff\U0010fffe\"}", ``},
		{"a string of 100,000 bytes", `{"a":"` + strings.Repeat("x", 100_000) + `"}`, ``},

		{"numbers, digit for digit", `{"a":[0,-0,1,-1,10,1.0,1.50,0.1,-0.0,1e5,1E5,1e+5,1e-5,1.5E-10,1e999,12345678901234567890,0.1234567890123456789,0e0,0E+00]}`, ``},
		{"a number of 1,000 digits", `{"a":` + strings.Repeat("9", 1000) + `}`, ``},
		{"a usual token", typicalClaims, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, err := ParseObject([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				c.want = c.text
			}
			want, err := decode([]byte(c.want))
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(v); !reflect.DeepEqual(got, want) {
				t.Errorf("%#v, want %#v", got, want)
			}
			if broken := restrictions([]byte(c.text)); broken != nil {
				t.Errorf("the test's own check finds %q", broken)
			}
		})
	}
}

// refusedObjects are texts that ParseObject must refuse. Those with a rule are
// valid for encoding/json.
var refusedObjects = []struct {
	name string
	text string
	rule string
}{
	{"nothing", ``, ""},
	{"space alone", " \n", ""},
	{"an open brace", `{`, ""},
	{"a closing brace", `}`, ""},
	{"two closing braces", `{}}`, ""},
	{"null", `null`, "not an object"},
	{"true", `true`, "not an object"},
	{"a number", `5`, "not an object"},
	{"a string", `"{}"`, "not an object"},
	{"an array", `[]`, "not an object"},
	{"an array of an object", `[{}]`, "not an object"},

	{"something after", `{}x`, ""},
	{"another object after", `{}{}`, ""},
	{"a comma after", `{},`, ""},
	{"a NUL after", "{}\x00", ""},
	{"a NUL before", "\x00{}", ""},
	{"a byte order mark before", "\ufeff{}", ""},
	{"a byte order mark after", "{}\ufeff", ""},
	{"a no-break space before", "\u00a0{}", ""},
	{"a form feed for a space", "\f{}", ""},
	{"a vertical tab for a space", "{\v}", ""},
	{"a comment", `/**/{}`, ""},
	{"a comment inside", `{"a":1 // x` + "\n}", ""},

	{"a comma at the end of an object", `{"a":1,}`, ""},
	{"a comma at the start of an object", `{,"a":1}`, ""},
	{"a comma alone", `{,}`, ""},
	{"two commas", `{"a":1,,"b":2}`, ""},
	{"no comma", `{"a":1 "b":2}`, ""},
	{"a semicolon", `{"a":1;"b":2}`, ""},
	{"no colon", `{"a" 1}`, ""},
	{"two colons", `{"a"::1}`, ""},
	{"an equals sign", `{"a"=1}`, ""},
	{"no value", `{"a":}`, ""},
	{"no value, more members", `{"a":,"b":1}`, ""},
	{"a name alone", `{"a"}`, ""},
	{"a value alone", `{1}`, ""},
	{"a name without quotes", `{a:1}`, ""},
	{"a name in single quotes", `{'a':1}`, ""},
	{"a value in single quotes", `{"a":'b'}`, ""},
	{"a number for a name", `{1:1}`, ""},
	{"null for a name", `{null:1}`, ""},
	{"cut off after a name", `{"a"`, ""},
	{"cut off after a colon", `{"a":`, ""},
	{"cut off after a value", `{"a":1`, ""},
	{"cut off after a comma", `{"a":1,`, ""},
	{"an array that is not closed", `{"a":[`, ""},
	{"an array that is not closed, after a value", `{"a":[1}`, ""},
	{"an array closed as an object", `{"a":[1}}`, ""},
	{"an object closed as an array", `{"a":1]`, ""},
	{"a comma at the end of an array", `{"a":[1,]}`, ""},
	{"a comma at the start of an array", `{"a":[,1]}`, ""},
	{"no comma in an array", `{"a":[1 2]}`, ""},
	{"a colon in an array", `{"a":[1:2]}`, ""},

	{"True", `{"a":True}`, ""},
	{"TRUE", `{"a":TRUE}`, ""},
	{"tru", `{"a":tru}`, ""},
	{"truex", `{"a":truex}`, ""},
	{"nul", `{"a":nul}`, ""},
	{"undefined", `{"a":undefined}`, ""},
	{"fals", `{"a":fals`, ""},

	{"a number with a plus", `{"a":+1}`, ""},
	{"a number with a leading zero", `{"a":01}`, ""},
	{"a negative number with a leading zero", `{"a":-01}`, ""},
	{"two zeros", `{"a":00}`, ""},
	{"a minus alone", `{"a":-}`, ""},
	{"two minuses", `{"a":--1}`, ""},
	{"a point at the start", `{"a":.5}`, ""},
	{"a point at the end", `{"a":5.}`, ""},
	{"a point before the exponent", `{"a":5.e1}`, ""},
	{"two points", `{"a":1.2.3}`, ""},
	{"an exponent without digits", `{"a":1e}`, ""},
	{"an exponent with a sign alone", `{"a":1e+}`, ""},
	{"an exponent with a fraction", `{"a":1e1.5}`, ""},
	{"hexadecimal", `{"a":0x1F}`, ""},
	{"octal", `{"a":0o7}`, ""},
	{"grouped digits", `{"a":1_000}`, ""},
	{"digits of another script", `{"a":１}`, ""},
	{"NaN", `{"a":NaN}`, ""},
	{"Infinity", `{"a":Infinity}`, ""},
	{"minus Infinity", `{"a":-Infinity}`, ""},
	{"a number cut off", `{"a":1`, ""},

	{"a string that is not closed", `{"a":"b`, ""},
	{"a name that is not closed", `{"a`, ""},
	{"a string that ends in a backslash", `{"a":"b\`, ""},
	{"a string whose end is escaped", `{"a":"b\"}`, ""},
	{"a raw NUL in a string", "{\"a\":\"x\x00y\"}", ""},
	{"a raw NUL in a string with escapes", "{\"a\":\"\\n\x00\"}", ""},
	{"a raw NUL in a name", "{\"a\x00\":1}", ""},
	{"a raw NUL as an escape", "{\"a\":\"\\\x00\"}", ""},
	{"a raw line end in a string", "{\"a\":\"x\ny\"}", ""},
	{"a raw line end after an escape", "{\"a\":\"\\t\n\"}", ""},
	{"a raw tab in a string", "{\"a\":\"x\ty\"}", ""},
	{"the last raw control character", "{\"a\":\"\x1f\"}", ""},
	{"an unknown escape", `{"a":"\x41"}`, ""},
	{"an escaped single quote", `{"a":"\'"}`, ""},
	{"an escape of an upper-case letter", `{"a":"\N"}`, ""},
	{"an escape of a long code point", `{"a":"\U0001f600"}`, ""},
	{"an octal escape", `{"a":"\101"}`, ""},
	{"an escaped line end", "{\"a\":\"\\\n\"}", ""},
	{"no hexadecimal digit", `{"a":"\u"}`, ""},
	{"three hexadecimal digits", `{"a":"\u004"}`, ""},
	{"a letter among the digits", `{"a":"\u00g1"}`, ""},
	{"a plus among the digits", `{"a":"\u+041"}`, ""},
	{"a minus among the digits", `{"a":"\u-041"}`, ""},
	{"an underscore among the digits", `{"a":"\u0_41"}`, ""},
	{"a space among the digits", `{"a":"\u 041"}`, ""},
	{"braces around the digits", `{"a":"\u{41}"}`, ""},
	{"a hexadecimal prefix", `{"a":"\u0x41"}`, ""},
	{"cut off among the digits", `{"a":"\u00`, ""},
	{"cut off after half a pair", `{"a":"\ud83d`, ""},

	{"half a pair: the first", `{"a":"\ud83d"}`, "half a surrogate pair"},
	{"half a pair: the second", `{"a":"\ude00"}`, "half a surrogate pair"},
	{"half a pair before text", `{"a":"\ud83dx"}`, "half a surrogate pair"},
	{"half a pair before a line end", `{"a":"\ud83d\n"}`, "half a surrogate pair"},
	{"half a pair before a letter's escape", `{"a":"\ud83d\u0041"}`, "half a surrogate pair"},
	{"half a pair before an escaped backslash", `{"a":"\ud83d\\ude00"}`, "half a surrogate pair"},
	{"two first halves", `{"a":"\ud83d\ud83d"}`, "half a surrogate pair"},
	{"the halves exchanged", `{"a":"\ude00\ud83d"}`, "half a surrogate pair"},
	{"a pair and a half", `{"a":"\ud83d\ude00\ude00"}`, "half a surrogate pair"},
	{"half a pair in a name", `{"\ud83d":1}`, "half a surrogate pair"},
	{"half a pair before digits that are none", `{"a":"\ud83d\uzzzz"}`, ""},
	{"the first and the last of the halves", `{"a":"\udfff\ud800"}`, "half a surrogate pair"},

	{"an invalid UTF-8 byte", "{\"a\":\"\xff\"}", "invalid UTF-8"},
	{"an invalid UTF-8 byte, in a name", "{\"\xff\":1}", "invalid UTF-8"},
	{"an invalid UTF-8 byte, after an escape", "{\"a\":\"\\n\xff\"}", "invalid UTF-8"},
	{"an invalid UTF-8 byte, before an escape", "{\"a\":\"\xff\\n\"}", "invalid UTF-8"},
	{"a continuation byte alone", "{\"a\":\"\x80\"}", "invalid UTF-8"},
	{"a character cut off", "{\"a\":\"\xe2\x82\"}", "invalid UTF-8"},
	{"a character cut in two by an escape", "{\"a\":\"\xc3\\u0041\xa9\"}", "invalid UTF-8"},
	{"an overlong slash", "{\"a\":\"\xc0\xaf\"}", "invalid UTF-8"},
	{"an overlong NUL", "{\"a\":\"\xc0\x80\"}", "invalid UTF-8"},
	{"an overlong quote", "{\"a\":\"\xc0\xa2\"}", "invalid UTF-8"},
	{"a surrogate as bytes", "{\"a\":\"\xed\xa0\xbd\"}", "invalid UTF-8"},
	{"a surrogate pair as bytes (CESU-8)", "{\"a\":\"\xed\xa0\xbd\xed\xb8\x80\"}", "invalid UTF-8"},
	{"beyond the last character", "{\"a\":\"\xf4\x90\x80\x80\"}", "invalid UTF-8"},
	{"Latin-1", "{\"a\":\"caf\xe9\"}", "invalid UTF-8"},
	{"an invalid UTF-8 byte, outside of strings", "{\xff}", ""},
	{"UTF-16", "{\x00}\x00", ""},

	{"a duplicate name", `{"a":1,"a":2}`, "a duplicate name"},
	{"a duplicate name with one value", `{"a":1,"a":1}`, "a duplicate name"},
	{"a duplicate name, not side by side", `{"a":1,"b":2,"c":3,"a":4}`, "a duplicate name"},
	{"a name three times", `{"a":1,"a":2,"a":3}`, "a duplicate name"},
	{"a duplicate name, once escaped", `{"exp":1,"\u0065xp":2}`, "a duplicate name"},
	{"a duplicate name, a slash escaped", `{"a/b":1,"a\/b":2}`, "a duplicate name"},
	{"a duplicate name, both escaped", `{"\u0061":1,"\u0061":2}`, "a duplicate name"},
	{"a duplicate name, as a surrogate pair", `{"😀":1,"\ud83d\ude00":2}`, "a duplicate name"},
	{"the empty name twice", `{"":1,"":2}`, "a duplicate name"},
	{"a duplicate name in an object", `{"a":{"b":1,"b":2}}`, "a duplicate name"},
	{"a duplicate name in an array's object", `{"a":[1,{"b":1,"b":2}]}`, "a duplicate name"},
	{"a duplicate name at depth 32", strings.Repeat(`{"a":`, 31) + `{"b":1,"b":2}` + strings.Repeat(`}`, 31), "a duplicate name"},
	{"a duplicate name in the second of two objects", `{"a":{"b":1},"c":{"b":1,"b":2}}`, "a duplicate name"},
	{"a duplicate name around an object", `{"a":{"b":1},"a":2}`, "a duplicate name"},
	{"a duplicate name among 16", strings.Replace(many(16), `"a15"`, `"a0"`, 1), "a duplicate name"},
	{"a duplicate name among 17, first and last", strings.Replace(many(17), `"a16"`, `"a0"`, 1), "a duplicate name"},
	{"a duplicate name among 17, side by side", strings.Replace(many(17), `"a16"`, `"a15"`, 1), "a duplicate name"},
	{"a duplicate name among 17, once escaped", strings.Replace(many(17), `"a16"`, `"\u00615"`, 1), "a duplicate name"},
	{"a duplicate name among 1,000", strings.Replace(many(1000), `"a999"`, `"a500"`, 1), "a duplicate name"},
	{"a duplicate name among 17 in an object", `{"x":[` + strings.Replace(many(17), `"a16"`, `"a0"`, 1) + `]}`, "a duplicate name"},

	{"depth 33, arrays", nested(33), "too deep"},
	{"depth 33, objects", strings.Repeat(`{"a":`, 32) + `{}` + strings.Repeat(`}`, 32), "too deep"},
	{"depth 33 after many flat ones", `{"x":[[],[],[]],"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "too deep"},
	{"depth 33 that is never closed", strings.Repeat(`{"a":`, 33), ""},
	{"depth 10,000", nested(10_000), "too deep"},
	{"a million brackets", `{"a":` + strings.Repeat("[", 1_000_000), ""},
	{"a million braces", strings.Repeat(`{"a":`, 1_000_000), ""},
}

func TestThreat13_ObjectsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range refusedObjects {
		if c.rule != "a duplicate name" {
			t.Run(c.name, func(t *testing.T) { t.Parallel(); checkRefused(t, c.text, c.rule) })
		}
	}
	t.Run("nil", func(t *testing.T) {
		t.Parallel()
		if _, err := ParseObject(nil); !isError(err) {
			t.Error(err)
		}
	})
}

func TestThreat10_ANameTwice(t *testing.T) {
	t.Parallel()
	for _, c := range refusedObjects {
		if c.rule == "a duplicate name" {
			t.Run(c.name, func(t *testing.T) { t.Parallel(); checkRefused(t, c.text, c.rule) })
		}
	}
	t.Run("at every place of objects of 2 to 40 members", func(t *testing.T) {
		t.Parallel()
		for n := 2; n <= 40; n++ {
			for i := range n {
				for j := range i {
					names := make([]string, n)
					for k := range names {
						names[k] = `"` + string(rune('A'+k)) + `":0`
					}
					names[i] = names[j]
					if _, err := ParseObject([]byte("{" + strings.Join(names, ",") + "}")); !isError(err) {
						t.Errorf("%d members, %d and %d equal: %v", n, i, j, err)
					}
				}
			}
		}
	})
}

// checkRefused also asks encoding/json, so that each row shows what it says: a
// rule of ParseObject alone, or invalid JSON.
func checkRefused(t *testing.T, text, rule string) {
	t.Helper()
	v, err := ParseObject([]byte(text))
	if !isError(err) {
		t.Errorf("error %v", err)
	}
	if !reflect.DeepEqual(v, Value{}) {
		t.Errorf("there is a value with the error: %v", v)
	}
	var ignored any
	lenient := json.Unmarshal([]byte(text), &ignored) == nil
	if lenient != (rule != "") {
		t.Fatalf("encoding/json accepts it: %t", lenient)
	}
	if lenient {
		if broken := restrictions([]byte(text)); !slices.Equal(broken, []string{rule}) {
			t.Errorf("it breaks %q, want %q", broken, rule)
		}
	}
}

func TestThreat13_EveryByteAtEveryPlace(t *testing.T) {
	t.Parallel()
	// Each byte of a small object is replaced by each byte, and each byte is
	// inserted at each place. What is accepted must be what encoding/json accepts.
	const small = `{"a\n":[-1.5e+2,"é\u00e9\ud83d\ude00",{"":null},true,false]}`
	for i := range len(small) + 1 {
		for b := range 256 {
			inserted := small[:i] + string([]byte{byte(b)}) + small[i:]
			compare(t, []byte(inserted))
			if i < len(small) {
				compare(t, []byte(small[:i]+string([]byte{byte(b)})+small[i+1:]))
			}
		}
		compare(t, []byte(small[:i]))
		compare(t, []byte(small[i:]))
	}
}

// compare checks ParseObject against encoding/json: if it accepts a text, the
// trees are the same; if not, the text is invalid JSON or breaks a rule.
func compare(t testing.TB, text []byte) {
	t.Helper()
	before := bytes.Clone(text)
	v, err := ParseObject(text)
	if !bytes.Equal(before, text) {
		t.Fatalf("%q became %q", before, text)
	}
	want, lenient := decode(text)
	switch {
	case err == nil && lenient != nil:
		t.Errorf("%q: accepted, but encoding/json says %v", text, lenient)
	case err == nil:
		if got := tree(v); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, want %#v", text, got, want)
		}
		if broken := restrictions(text); broken != nil {
			t.Errorf("%q: accepted, but it breaks %q", text, broken)
		}
	case !isError(err):
		t.Errorf("%q: error %v", text, err)
	case lenient == nil && restrictions(text) == nil:
		t.Errorf("%q: refused, and no rule says so", text)
	}
}

func FuzzParseObject(f *testing.F) {
	for _, c := range refusedObjects {
		if len(c.text) < 10_000 {
			f.Add([]byte(c.text))
		}
	}
	for _, seed := range []string{
		`{}`, typicalClaims, many(16), many(17), nested(32), `{"a":"\ud83d\ude00\\\u0000"}`, ` { "a" : [ -0.0e-0 , "é" ] } `,
		strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat(`}`, 31), `{"a":{"b":[{"a":1},{"a":2}]},"c":"\/\b\f\n\r\t\""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, text) })
}

func TestAValueIsReadByItsKindAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		kind   Kind
		length int
	}{
		{`null`, Null, 0}, {`true`, Bool, 0}, {`false`, Bool, 0}, {`12.50`, Number, 0}, {`"12.50"`, String, 0}, {`""`, String, 0},
		{`[]`, Array, 0}, {`[1,[2,3],"x"]`, Array, 3}, {`{}`, Object, 0}, {`{"a":1,"b":{"c":2}}`, Object, 2},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			v := value(t, c.text)
			if v.Kind() != c.kind || v.Len() != c.length {
				t.Errorf("kind %d, length %d", v.Kind(), v.Len())
			}
			if text, ok := v.Text(); ok != (c.kind == String) || ok && text != strings.Trim(c.text, `"`) {
				t.Errorf("text %q, %t", text, ok)
			}
			if digits, ok := v.Digits(); ok != (c.kind == Number) || ok && digits != c.text {
				t.Errorf("digits %q, %t", digits, ok)
			}
			if truth, ok := v.True(); ok != (c.kind == Bool) || ok && truth != (c.text == "true") {
				t.Errorf("truth %t, %t", truth, ok)
			}
			if _, ok := v.Member("a"); ok != (c.length == 2) {
				t.Errorf("member a: %t", ok)
			}
			if _, ok := v.Member(""); ok {
				t.Error("it has a member without a name")
			}
		})
	}
	t.Run("the zero value is null", func(t *testing.T) {
		t.Parallel()
		if !reflect.DeepEqual(Value{}, value(t, `null`)) {
			t.Error("it is not")
		}
	})
	t.Run("members keep their order and their exact names", func(t *testing.T) {
		t.Parallel()
		v := parse(t, `{"b":1,"B":2,"a":3,"\u00e9":4}`)
		for i, name := range []string{"b", "B", "a", "é"} {
			digits, _ := v.At(i).Digits()
			member, ok := v.Member(name)
			if v.NameAt(i) != name || digits != string(rune('1'+i)) || !ok || !reflect.DeepEqual(member, v.At(i)) {
				t.Errorf("member %d is %s: %s", i, v.NameAt(i), digits)
			}
		}
		for _, name := range []string{"", "A", "b ", "e\u0301", "É", "\x00"} {
			if _, ok := v.Member(name); ok {
				t.Errorf("member %q is found", name)
			}
		}
	})
}

func TestWhatIsSharedWithTheText(t *testing.T) {
	t.Parallel()
	// The caller must not change the text. This shows why: strings without
	// escapes and numbers share its memory.
	text := []byte(`{"plain":"alice","escaped":"al\u0069ce","number":123}`)
	v := parse(t, string(text))
	shared, err := ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		text[i] = 'Z'
	}
	if shared.NameAt(0) != "ZZZZZ" || shared.At(0).Render() != "ZZZZZ" || shared.At(2).Render() != "ZZZ" {
		t.Error("the text is copied; the comment of ParseObject says that it is shared")
	}
	if shared.At(1).Render() != "alice" {
		t.Error("a string with escapes is part of the text, which has no such part")
	}
	t.Run("values share nothing that can be written to", func(t *testing.T) {
		out := v.AppendJSON(nil)
		for i := range out {
			out[i] = 'Z'
		}
		inner, _ := v.Member("plain")
		if inner.Render() != "alice" || string(v.AppendJSON(nil)) != `{"plain":"alice","escaped":"alice","number":123}` {
			t.Error("what was rendered is part of the value")
		}
	})
}

func TestParsingATokenAllocatesLittle(t *testing.T) {
	text := []byte(typicalClaims)
	// Measured: 7. The buffer for unfinished members, a slice for each array and
	// object (aud, roles, realm_access and the whole), and two for the name,
	// which has an escape; encoding/json takes 76. Header and claims are parsed
	// before the signature is paid for, so that this is also what a flood of
	// refused tokens costs the collector. One more is allowed, for other compilers.
	const most = 8
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParseObject(text); err != nil {
			t.Fatal(err)
		}
	}); n > most {
		t.Errorf("%v allocations, at most %d", n, most)
	}
	header := []byte(`{"alg":"RS256","typ":"at+jwt","kid":"2024-05-01"}`)
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseObject(header) }); n > 2 {
		t.Errorf("a header takes %v allocations, at most 2", n)
	}
	v := parse(t, typicalClaims)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := v.Lookup("realm_access.roles.1"); !ok {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("looking up a claim takes %v allocations", n)
	}
}

func BenchmarkParseObject(b *testing.B) {
	text := []byte(typicalClaims)
	b.Run("claims", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := ParseObject(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var v map[string]any
			if err := json.Unmarshal(text, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json_UseNumber", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := decode(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func isError(err error) bool {
	_, ok := err.(Error)
	return ok
}

// TestErrorsSayWhatIsWrong checks that each error is told from a plain mistake of syntax.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Error{
		"{\"a\":\"M\xfcller\"}": ErrUTF8, "{\"a\":\"\\n\xfc\"}": ErrUTF8, "{\"\xfc\":1}": ErrUTF8,
		`{"a":1,"a":2}`: ErrDuplicate, `{"b":{"a":1,"\u0061":2}}`: ErrDuplicate,
		strings.Repeat(`{"a":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1): ErrDepth,
		`{"a":[` + strings.Repeat("0,", MaxValues) + `0]}`:                          ErrValues,
		`{"a":1`: ErrSyntax, `[]`: ErrSyntax, ``: ErrSyntax, `{"a":"\ud800"}`: ErrSyntax,
	} {
		if _, err := ParseObject([]byte(text)); err != want {
			t.Errorf("%.40q: %v, want %v", text, err, want)
		}
	}
}
