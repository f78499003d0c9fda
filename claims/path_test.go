package claims

import (
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	const document = `{
		"sub": "alice", "null": null, "empty": "", "no": false,
		"realm_access": {"roles": ["admin", "user"], "level": {"n": 3}},
		"list": [10, [20, 21, [22]], {"a": "in list", "0": "zero", "a.b": "dotted"}, null],
		"none": [], "nothing": {},
		"https://x.example/roles": ["editor"], "https://x.example/": "slash", "https://x.example": {"roles": "shorter"},
		"a": {"b": {"c": "a then b then c"}, "b.c": {"d": "a then b.c then d"}, "x": 1},
		"a.b": {"e": "a.b then e"},
		"a.b.c.d.e": "literal",
		"dot.": "ends in a dot", ".dot": "begins with a dot", ".": "a dot", "..": "two dots",
		"": {"": "empty twice", "in": "in the empty name"}, "t": {"": "under t"},
		"0": "a number for a name", "-1": "minus one", "01": "leading zero", "1": {"2": "digits all the way"},
		"spaces in it": 1, "ROLES": "upper", "é": {"ü": "umlauts"}, "*": "star", "$": "dollar", "a[0]": "brackets", "a/b": "slash"
	}`
	v := parse(t, document)
	for _, c := range []struct {
		name string
		path string
		want string // the value as JSON, "" for not found
	}{
		{"a member", "sub", `"alice"`},
		{"null is found", "null", `null`},
		{"an empty text is found", "empty", `""`},
		{"false is found", "no", `false`},
		{"an object is found", "nothing", `{}`},
		{"a member that is not there", "nobody", ``},
		{"another case is another name", "SUB", ``},
		{"another case is another name, the other way", "roles", ``},
		{"the start of a name is not the name", "su", ``},
		{"a name and more is not the name", "subx", ``},
		{"spaces belong to the name", "spaces in it", `1`},
		{"spaces around are another name", " sub", ``},
		{"letters beyond ASCII", "é.ü", `"umlauts"`},

		{"a dot steps into an object", "realm_access.roles", `["admin","user"]`},
		{"two dots, two steps", "realm_access.level.n", `3`},
		{"no step into text", "sub.alice", ``},
		{"no step into text by index", "sub.0", ``},
		{"no step into null", "null.a", ``},
		{"no step into false", "no.a", ``},
		{"no step into a number", "realm_access.level.n.0", ``},
		{"no step into what is not there", "nobody.a", ``},
		{"no step into an empty object", "nothing.a", ``},

		{"a name with dots and slashes is found as it is written", "https://x.example/roles", `["editor"]`},
		{"and stepped into", "https://x.example/roles.0", `"editor"`},
		{"a name that ends in a slash", "https://x.example/", `"slash"`},
		{"the shorter of two names with a dot after it", "https://x.example.roles", `"shorter"`},
		{"a name is never cut at a slash", "https://x.example/groups", ``},
		{"a slash does not step", "realm_access/roles", ``},
		{"a name with a slash", "a/b", `"slash"`},

		{"the longest name that fits wins: a.b, not a", "a.b.e", `"a.b then e"`},
		{"and there is no going back to a when a.b has no c", "a.b.c", ``},
		{"nor to a when a.b has no b.c", "a.b.c.d", ``},
		{"the whole path is the longest name of all", "a.b.c.d.e", `"literal"`},
		{"which does not hide its neighbours", "a.x", `1`},
		{"a.b itself", "a.b", `{"e":"a.b then e"}`},

		{"the first element", "list.0", `10`},
		{"an element of an element", "list.1.0", `20`},
		{"three levels of arrays", "list.1.2.0", `22`},
		{"a member of an element", "list.2.a", `"in list"`},
		{"a member with a dot of an element", "list.2.a.b", `"dotted"`},
		{"digits name a member where there is an object", "list.2.0", `"zero"`},
		{"null in an array is found", "list.3", `null`},
		{"beyond the end", "list.4", ``},
		{"far beyond the end", "list.999999", ``},
		{"too many digits", "list.1000000", ``},
		{"more digits than an int has", "list.99999999999999999999", ``},
		{"2^64, which would wrap to 0", "list.18446744073709551616", ``},
		{"2^32", "list.4294967296", ``},
		{"a leading zero", "list.00", ``},
		{"a leading zero before a digit", "list.01", ``},
		{"a minus", "list.-1", ``},
		{"minus zero", "list.-0", ``},
		{"a plus", "list.+1", ``},
		{"a space before the index", "list. 1", ``},
		{"a hexadecimal index", "list.0x1", ``},
		{"an exponent for an index", "list.1e0", ``},
		{"a fraction for an index: a step into a number", "list.0.5", ``},
		{"digits of another script", "list.１", ``},
		{"brackets", "list[0]", ``},
		{"brackets after the dot", "list.[0]", ``},
		{"a star", "list.*", ``},
		{"the length", "list.length", ``},
		{"an empty array has no first element", "none.0", ``},
		{"a name where an index belongs", "list.a", ``},
		{"what looks like syntax elsewhere is a name here", "*", `"star"`},
		{"a dollar", "$", `"dollar"`},
		{"a name with brackets", "a[0]", `"brackets"`},

		{"digits as a name", "0", `"a number for a name"`},
		{"digits with a leading zero as a name", "01", `"leading zero"`},
		{"a negative number as a name", "-1", `"minus one"`},
		{"digits all the way", "1.2", `"digits all the way"`},

		{"no path at all", "", ``},
		{"a dot at the end names nothing", "sub.", ``},
		{"a dot at the end names nothing in an object", "realm_access.", ``},
		{"not even an empty name", "t.", ``},
		{"a dot at the end names nothing in an array", "list.", ``},
		{"a dot at the start steps into the empty name", ".in", `"in the empty name"`},
		{"and finds nothing that is not in it", ".sub", ``},
		{"two dots are an empty name between", "t..x", ``},
		{"a name that ends in a dot, written out", "dot.", `"ends in a dot"`},
		{"a name that begins with a dot, written out", ".dot", `"begins with a dot"`},
		{"a name that is a dot", ".", `"a dot"`},
		{"a name that is two dots", "..", `"two dots"`},
		{"three dots", "...", ``},
		{"a thousand dots", strings.Repeat(".", 1000), ``},
		{"a long path", strings.Repeat("a.", 1000) + "a", ``},
		{"a long index", "list." + strings.Repeat("1", 1000), ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := v.Lookup(c.path)
			if ok != (c.want != "") {
				t.Fatalf("found: %t, %s", ok, got.AppendJSON(nil))
			}
			if ok && string(got.AppendJSON(nil)) != c.want {
				t.Errorf("%s, want %s", got.AppendJSON(nil), c.want)
			}
			if !ok && got.Kind() != Null {
				t.Errorf("not found, but there is %s", got.AppendJSON(nil))
			}
		})
	}
}

func TestLookupDoesNotDependOnTheOrderOfMembers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"a":{"b":{"c":1}},"a.b":{"c":2},"a.b.c":3}`, `{"a.b.c":3,"a.b":{"c":2},"a":{"b":{"c":1}}}`, `{"a.b":{"c":2},"a.b.c":3,"a":{"b":{"c":1}}}`,
	} {
		for path, want := range map[string]string{"a.b.c": "3", "a.b": `{"c":2}`, "a": `{"b":{"c":1}}`} {
			if got, _ := parse(t, text).Lookup(path); string(got.AppendJSON(nil)) != want {
				t.Errorf("%s of %s: %s, want %s", path, text, got.AppendJSON(nil), want)
			}
		}
	}
}

func TestLookupInOtherKinds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`null`, `true`, `5`, `"text"`} {
		for _, path := range []string{"", "0", "a", ".", "text"} {
			if got, ok := value(t, text).Lookup(path); ok || got.Kind() != Null {
				t.Errorf("%s has %q: %s", text, path, got.AppendJSON(nil))
			}
		}
	}
	if got, ok := value(t, `["x"]`).Lookup("0"); !ok || got.Render() != "x" {
		t.Error("an array is not stepped into")
	}
}

func TestLookupFindsEachMemberByItsName(t *testing.T) {
	t.Parallel()
	// A name is its own path, unless a longer name begins with it.
	v := parse(t, typicalClaims)
	for i := range v.Len() {
		if got, ok := v.Lookup(v.NameAt(i)); !ok || got.Render() != v.At(i).Render() {
			t.Errorf("%s: %t, %s", v.NameAt(i), ok, got.Render())
		}
	}
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		want string // "" is fine
	}{
		{"sub", ""},
		{"realm_access.roles", ""},
		{"resource_access.my-app.roles.0", ""},
		{"https://x.example/roles", ""},
		{"cognito:groups", ""},
		{"urn:zitadel:iam:org:project:roles", ""},
		{"spaces in it", ""},
		{"é.ü", ""},
		{"$.a[0]*", ""},
		{".", ""},
		{"a.", ""},
		{`quo"te`, ""},
		{`back\slash`, ""},
		{strings.Repeat("a", 10_000), ""},

		{"", "is empty; write the claim's name"},
		{" sub", "begins or ends with a space"},
		{"sub ", "begins or ends with a space"},
		{" ", "begins or ends with a space"},
		{"\u00a0sub", "begins or ends with a space"},
		{"sub\u2003", "begins or ends with a space"},
		{"\u3000", "begins or ends with a space"},
		{"a\tb", "control character"},
		{"sub\n", "control character"},
		{"\rsub", "control character"},
		{"a\x00b", "control character"},
		{"a\x1bb", "control character"},
		{"a\x7fb", "control character"},
		{"a\u0085b", "control character"},
		{"a\u009bb", "control character"},
		{"a\xffb", "is not valid UTF-8"},
		{"\xed\xa0\x80", "is not valid UTF-8"},
		{"{env.SECRET}", "can't have placeholders"},
		{"{http.request.host}.roles", "can't have placeholders"},
		{"a{b", "can't have placeholders"},
		{"a}b", "can't have placeholders"},
		{"{}", "can't have placeholders"},
	} {
		t.Run(c.path[:min(len(c.path), 40)], func(t *testing.T) {
			t.Parallel()
			err := CheckPath(c.path)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && err == nil:
				t.Error("accepted")
			case c.want != "" && !strings.Contains(err.Error(), c.want):
				t.Errorf("%q, must say %q", err, c.want)
			case err != nil && strings.ContainsAny(err.Error(), "\x00\n\r\x1b"):
				t.Errorf("%q has control characters in it", err)
			}
		})
	}
}

func TestPathName(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"sub":                          "sub",
		"realm_access.roles":           "roles",
		"a.b.c":                        "c",
		"list.0":                       "0",
		"https://x.example/roles":      "roles",
		"https://x.example/roles.0":    "0",
		"https://x.example/a/b":        "b",
		"https://x.example/app.roles":  "roles",
		"realm.https://x.example/r":    "r",
		"cognito:groups":               "cognito:groups",
		"a/b":                          "b",
		"a.":                           "a.",
		"a.b.":                         "a.b.",
		".a":                           "a",
		".":                            ".",
		"a/":                           "a/",
		"/":                            "/",
		"/a":                           "a",
		"https://x.example/":           "example/", // the last slash has no name behind it
		"https://x.example/roles.list": "list",
		"":                             "",
	} {
		if got := PathName(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
