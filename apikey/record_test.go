package apikey

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

const someHash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// hashedAnd is a record with these members siblingError its hash.
func hashedAnd(members string) string { return `{"hash":"` + someHash + `",` + members + `}` }

func TestARecordWithEveryMember(t *testing.T) {
	t.Parallel()
	const line = `{"id":"k1","name":"Orders <of> \"A & B\"","description":"é","consumer":"partner 1","hash":"` + someHash + `",` +
		`"scopes":["orders:read","orders:write"],"enabled":false,"created":"2026-01-02T03:04:05Z","expires":"2030-12-31T23:59:59.123+02:00",` +
		`"meta":{"plan":"gold","limit":1e400,"exact":0.10,"big":123456789012345678901234567890,"list":[-0,null,true,{"a":"<"}]}}`
	r, err := ParseRecord([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != "k1" || r.Name != "Orders <of> \"A & B\"" || r.Description != "é" || r.Consumer != "partner 1" ||
		r.Hash.String() != someHash || fmt.Sprint(r.Scopes) != "[orders:read orders:write]" || !r.Disabled ||
		!r.Created.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) ||
		!r.Expires.Equal(time.Date(2030, 12, 31, 21, 59, 59, 123e6, time.UTC)) {
		t.Errorf("%+v", r)
	}
	again := roundTrip(t, r)
	want := `{"plan":"gold","limit":1e400,"exact":0.10,"big":123456789012345678901234567890,"list":[-0,null,true,{"a":"<"}]}`
	for _, meta := range []claims.Value{r.Meta, again.Meta} {
		if got := string(meta.AppendJSON(nil)); got != want {
			t.Errorf("meta %s, want %s", got, want)
		}
	}
}

// roundTrip writes a record and reads it again. It must be the same one.
func roundTrip(t testing.TB, r Record) Record {
	t.Helper()
	line, err := r.MarshalJSON()
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	again, err := ParseRecord(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if again.ID != r.ID || again.Name != r.Name || again.Description != r.Description || again.Consumer != r.Consumer || again.Hash != r.Hash ||
		strings.Join(again.Scopes, " ") != strings.Join(r.Scopes, " ") || again.Disabled != r.Disabled ||
		!again.Created.Equal(r.Created) || !again.Expires.Equal(r.Expires) ||
		string(again.Meta.AppendJSON(nil)) != string(r.Meta.AppendJSON(nil)) {
		t.Fatalf("written and read again:\n%+v, want\n%+v", again, r)
	}
	return again
}

func TestTheLeastRecord(t *testing.T) {
	t.Parallel()
	r, err := ParseRecord([]byte(hashedAnd(`"id":"a"`)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Disabled || !r.Created.IsZero() || !r.Expires.IsZero() || r.Scopes != nil || r.Meta.Kind() != claims.Null {
		t.Errorf("%+v", r)
	}
	line := must(r.MarshalJSON())
	if want := `{"id":"a","hash":"` + someHash + `","enabled":true}`; string(line) != want {
		t.Errorf("%s, want %s", line, want)
	}
	roundTrip(t, r)
}

func TestRecordsThatAreRead(t *testing.T) {
	t.Parallel()
	scopes := `"` + strings.Repeat(`s","`, 99) + `s"`
	for what, members := range map[string]string{
		"every character of ids":   `"id":"Az09._-"`,
		"the longest id":           `"id":"` + strings.Repeat("a", 128) + `"`,
		"the longest name":         `"id":"a","name":"` + strings.Repeat("é", 1024) + `"`,
		"the longest description":  `"id":"a","description":"` + strings.Repeat("é", 4096) + `"`,
		"the longest consumer":     `"id":"a","consumer":"` + strings.Repeat("c", 1024) + `"`,
		"no consumer":              `"id":"a","consumer":""`,
		"a consumer with a space":  `"id":"a","consumer":"Partner & Söhne"`,
		"no scopes":                `"id":"a","scopes":[]`,
		"the most scopes":          `"id":"a","scopes":[` + scopes + `]`,
		"null for times and meta":  `"id":"a","created":null,"expires":null,"meta":null`,
		"an empty meta":            `"id":"a","meta":{}`,
		"the largest meta":         `"id":"a","meta":{"a":"` + strings.Repeat("x", 8192-8) + `"}`,
		"spaces between":           ` "id" : "a" , "enabled" : true `,
		"a time with a fraction":   `"id":"a","expires":"2030-01-01T00:00:00.123456789-11:30"`,
		"a member with an escape":  `"\u0069d":"a"`,
		"a description of 2 lines": `"id":"a","description":"a\nb"`,
	} {
		r, err := ParseRecord([]byte(hashedAnd(members)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		roundTrip(t, r)
	}
}

func TestRecordsThatAreRefused(t *testing.T) {
	t.Parallel()
	hash := `"hash":"` + someHash + `"`
	for _, row := range []struct{ what, line, want string }{
		{"nothing", ``, "not a JSON object"},
		{"no object", `["a"]`, "not a JSON object"},
		{"a text", `"` + someHash + `"`, "not a JSON object"},
		{"half an object", `{"id":"a",` + hash, "not a JSON object"},
		{"two objects", hashedAnd(`"id":"a"`) + hashedAnd(`"id":"b"`), "not a JSON object"},
		{"a member twice", `{"id":"a","id":"b",` + hash + `}`, "a duplicate member"},
		{"a member twice, one with an escape", `{"id":"a","\u0069d":"b",` + hash + `}`, "a duplicate member"},
		{"the hash twice", `{"id":"a",` + hash + `,` + hash + `}`, "a duplicate member"},
		{"a member of meta twice", hashedAnd(`"id":"a","meta":{"a":1,"a":2}`), "a duplicate member"},
		{"a byte that is no UTF-8", hashedAnd(`"id":"a","name":"` + "\xff" + `"`), "not a JSON object"},
		{"no id", `{` + hash + `}`, "id is missing"},
		{"no hash", `{"id":"a"}`, "hash is missing"},
		{"another member", hashedAnd(`"id":"a","enable":false`), `"enable": unknown member`},
		{"another case of a member", hashedAnd(`"id":"a","Enabled":false`), `"Enabled": unknown member`},
		{"the hash as a member", `{"id":"a","` + someHash + `":1}`, "a hash: unknown member"},
		{"the plain key", hashedAnd(`"id":"a","key":"abcdefghijklmnopqrst"`), "key: a key is not stored, only its hash; `caddy jwt api-key hash` makes it"},

		{"a comment", `# keys of partners`, "comments are not allowed"},
		{"a comment of two slashes", `// keys of partners`, "comments are not allowed"},
		{"the first line of an array", `[`, "as if the file were an array"},
		{"the first line of one written over several", `{`, "over several lines"},
		{"a comma behind it", hashedAnd(`"id":"a"`) + ",", "over several lines"},
		{"a line of a CSV", `partner,abcdefghijklmnopqrst`, "a CSV is imported with `caddy jwt api-key import`"},
		{"an id of one dot", hashedAnd(`"id":"."`), `id: "." is not a valid id`},
		{"an id of two", hashedAnd(`"id":".."`), `id: ".." is not a valid id`},
		{"an invisible character in the consumer", hashedAnd(`"id":"a","consumer":"x\u200by"`), "consumer: "},
		{"one that turns the others around", hashedAnd(`"id":"a","consumer":"x\u202ey"`), "consumer: "},
		{"a line separator in the consumer", hashedAnd(`"id":"a","consumer":"x\u2028y"`), "consumer: "},
		{"a paragraph separator in the consumer", hashedAnd(`"id":"a","consumer":"x\u2029y"`), "consumer: "},
		{"a NUL in the name", hashedAnd(`"id":"a","name":"x\u0000y"`), "name: it contains the invisible character U+0000"},
		{"a DEL in the name", hashedAnd(`"id":"a","name":"x\u007fy"`), "name: it contains the invisible character U+007F"},
		{"an invisible character in the name", hashedAnd(`"id":"a","name":"x\u200by"`), "name: it contains the invisible character U+200B"},
		{"an escape in the description", hashedAnd(`"id":"a","description":"x\u001by"`), "description: it contains the invisible character U+001B"},
		{"an empty id", hashedAnd(`"id":""`), "id: "},
		{"an id with a space", hashedAnd(`"id":"a b"`), "id: "},
		{"an id with a slash", hashedAnd(`"id":"a/b"`), "id: "},
		{"an id outside ASCII", hashedAnd(`"id":"é"`), "id: "},
		{"too long an id", hashedAnd(`"id":"` + strings.Repeat("a", 129) + `"`), "id: "},
		{"a number as id", hashedAnd(`"id":1`), "id: it must be a string"},
		{"the hash as id", `{"id":"` + someHash + `",` + hash + `}`, "id: a hash is not a valid id"},
		{"null as id", hashedAnd(`"id":null`), "id: it must be a string"},

		{"a number as name", hashedAnd(`"id":"a","name":1`), "name: it must be a string"},
		{"too long a name", hashedAnd(`"id":"a","name":"` + strings.Repeat("é", 1025) + `"`), "name: it is longer than 1024"},
		{"an array as description", hashedAnd(`"id":"a","description":["x"]`), "description: it must be a string"},
		{"too long a description", hashedAnd(`"id":"a","description":"` + strings.Repeat("é", 4097) + `"`), "description: it is longer than 4096"},
		{"a truth as consumer", hashedAnd(`"id":"a","consumer":true`), "consumer: it must be a string"},
		{"a space before the consumer", hashedAnd(`"id":"a","consumer":" x"`), "consumer: "},
		{"a newline in the consumer", hashedAnd(`"id":"a","consumer":"x\ny"`), "consumer: "},
		{"too long a consumer", hashedAnd(`"id":"a","consumer":"` + strings.Repeat("x", 1025) + `"`), "consumer: "},

		{"a number as hash", `{"id":"a","hash":1}`, "hash: it must be a string"},
		{"a bare hash", `{"id":"a","hash":"` + someHash[7:] + `"}`, "hash: a hash is sha256:"},
		{"a short hash", `{"id":"a","hash":"` + someHash[:70] + `"}`, "hash: the hash has 63"},
		{"a hash with a g", `{"id":"a","hash":"` + someHash[:70] + `g"}`, "hash: the hash has a character"},

		{"a text as scopes", hashedAnd(`"id":"a","scopes":"a b"`), "scopes: it must be an array"},
		{"a number among scopes", hashedAnd(`"id":"a","scopes":["a",1]`), "scopes: it must be an array"},
		{"null as scopes", hashedAnd(`"id":"a","scopes":null`), "scopes: it must be an array"},
		{"an empty scope", hashedAnd(`"id":"a","scopes":[""]`), `scopes: "" is not a valid scope`},
		{"a scope of two words", hashedAnd(`"id":"a","scopes":["a b"]`), `scopes: "a b" is not a valid scope`},
		{"a scope with a quote", hashedAnd(`"id":"a","scopes":["a\"b"]`), "is not a valid scope"},
		{"a scope with a backslash", hashedAnd(`"id":"a","scopes":["a\\b"]`), "is not a valid scope"},
		{"a scope outside ASCII", hashedAnd(`"id":"a","scopes":["é"]`), "is not a valid scope"},
		{"too many scopes", hashedAnd(`"id":"a","scopes":["` + strings.Repeat(`s","`, 100) + `s"]`), "there are 101 scopes"},

		{"a text as enabled", hashedAnd(`"id":"a","enabled":"false"`), "enabled: it must be true or false"},
		{"null as enabled", hashedAnd(`"id":"a","enabled":null`), "enabled: it must be true or false"},
		{"0 as enabled", hashedAnd(`"id":"a","enabled":0`), "enabled: it must be true or false"},

		{"a number as a time", hashedAnd(`"id":"a","expires":1893456000`), "expires: it must be a time"},
		{"a day", hashedAnd(`"id":"a","expires":"2030-12-31"`), "expires: "},
		{"no zone", hashedAnd(`"id":"a","expires":"2030-12-31T23:59:59"`), "expires: "},
		{"no such day", hashedAnd(`"id":"a","expires":"2030-02-30T00:00:00Z"`), "expires: "},
		{"a zone that can't be written again", hashedAnd(`"id":"a","expires":"2030-01-01T00:00:00+24:00"`), "expires: "},
		{"an empty time", hashedAnd(`"id":"a","created":""`), "created: "},
		{"the zero time", hashedAnd(`"id":"a","expires":"0001-01-01T00:00:00Z"`), "expires: "},
		{"the hash as a time", hashedAnd(`"id":"a","expires":"` + someHash + `"`), "expires: a hash is not a valid time"},

		{"an array as meta", hashedAnd(`"id":"a","meta":[]`), "meta: it must be an object"},
		{"a text as meta", hashedAnd(`"id":"a","meta":"x"`), "meta: it must be an object"},
		{"too large a meta", hashedAnd(`"id":"a","meta":{"a":"` + strings.Repeat("x", 8192-7) + `"}`), "meta: it has 8193 bytes"},
	} {
		_, err := ParseRecord([]byte(row.line))
		if err == nil {
			t.Errorf("%s: no error", row.what)
			continue
		}
		if !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.what, err, row.want)
		}
		if strings.Contains(err.Error(), someHash[7:20]) || strings.Contains(err.Error(), "abcdefghijkl") {
			t.Errorf("%s: the error shows what nobody may see: %v", row.what, err)
		}
		if len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", row.what, len(err.Error()))
		}
	}
}

func TestALineErrorNamesFileAndLine(t *testing.T) {
	t.Parallel()
	_, err := readSet(strings.NewReader("\n"+hashedAnd(`"id":"a"`)+"\n\n{}\n"), "/etc/keys.jsonl", 0)
	var e *LineError
	if !errors.As(err, &e) || e.Line != 4 || e.Path != "/etc/keys.jsonl" || errors.Unwrap(e) == nil {
		t.Fatalf("%v", err)
	}
	if want := "/etc/keys.jsonl:4: id is missing"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// A key that was set down in the wrong place must not get into logs from there.
func TestThreat33_AKeyInThePlaceOfATextIsRefused(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"cj", "a", "acme_live"} {
		key, _ := New(prefix)
		hash := `"hash":"` + DigestOf(key).String() + `"`
		for what, line := range map[string]string{
			"the id":                    `{"id":"` + key + `",` + hash + `}`,
			"the name":                  `{"id":"a","name":"` + key + `",` + hash + `}`,
			"the description":           `{"id":"a","description":"` + key + `",` + hash + `}`,
			"the consumer":              `{"id":"a","consumer":"` + key + `",` + hash + `}`,
			"the id of another key":     hashedAnd(`"id":"` + key + `"`),
			"a part of an id":           hashedAnd(`"id":"x-` + key + `-y"`),
			"a member":                  hashedAnd(`"id":"a","` + key + `":1`),
			"a scope that can't be one": hashedAnd(`"id":"a","scopes":["` + key + ` x"]`),
			"a time":                    hashedAnd(`"id":"a","expires":"` + key + `"`),
			"a consumer that can't be":  hashedAnd(`"id":"a","consumer":" ` + key + `"`),
			"the line":                  key,
		} {
			_, err := ParseRecord([]byte(line))
			if err == nil || strings.Contains(err.Error(), key[len(key)-40:]) {
				t.Errorf("prefix %s, %s: %v", prefix, what, err)
			}
		}
	}
	other := awsKey(1)
	for _, member := range []string{"id", "name", "consumer", "description"} {
		line := `{"` + member + `":"` + other + `","hash":"` + DigestOf(other).String() + `","` + map[bool]string{true: "name", false: "id"}[member == "id"] + `":"x"}`
		if _, err := ParseRecord([]byte(line)); err == nil || !strings.Contains(err.Error(), member+": it is the key itself, which must not be stored") || strings.Contains(err.Error(), other) {
			t.Errorf("%s: %v", member, err)
		}
	}
}

func TestQuoteHidesKeysAndHashes(t *testing.T) {
	t.Parallel()
	key, _ := New("acme_live")
	for text, want := range map[string]string{
		"plain":                          `"plain"`,
		"x " + someHash:                  "a hash",
		strings.ToUpper(someHash):        "a hash",
		key:                              "an API key",
		"Bearer " + key + " or so":       "an API key",
		strings.Repeat("é", 65):          `"` + strings.Repeat("é", 64) + `…"`,
		"a_b_" + strings.Repeat("c", 40): `"a_b_` + strings.Repeat("c", 40) + `"`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
