package claims

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// parse parses text that must be valid.
func parse(t testing.TB, text string) Value {
	t.Helper()
	v, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// value parses any JSON value by putting it into an object.
func value(t testing.TB, text string) Value {
	t.Helper()
	v, ok := parse(t, `{"v":`+text+`}`).Member("v")
	if !ok {
		t.Fatal("no member")
	}
	return v
}

// decode reads text as encoding/json does, keeping numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something after it: %v", err)
	}
	return v, nil
}

// tree converts a Value to what encoding/json returns for its text.
func tree(v Value) any {
	switch v.Kind() {
	case Bool:
		truth, _ := v.True()
		return truth
	case Number:
		digits, _ := v.Digits()
		return json.Number(digits)
	case String:
		text, _ := v.Text()
		return text
	case Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = tree(v.At(i))
		}
		return list
	case Object:
		members := make(map[string]any, v.Len())
		for i := range v.Len() {
			members[v.NameAt(i)] = tree(v.At(i))
		}
		return members
	default:
		return nil
	}
}

// restrictions returns the rules of ParseObject that text breaks, found in other
// ways than the parser's. The text must be valid for encoding/json.
func restrictions(text []byte) []string {
	var found []string
	if bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		found = append(found, "not an object")
	}
	if !utf8.Valid(text) {
		found = append(found, "invalid UTF-8")
	}
	if unpaired(text) {
		found = append(found, "half a surrogate pair")
	}
	depth, duplicate := shape(text)
	if depth > MaxDepth {
		found = append(found, "too deep")
	}
	if duplicate {
		found = append(found, "a duplicate name")
	}
	return found
}

// unpaired reports whether an escape is half a surrogate pair.
func unpaired(text []byte) bool {
	s := string(text)
	half := func(i int) (high, low bool) {
		if i+6 > len(s) || s[i:i+2] != `\u` {
			return false, false
		}
		n, err := strconv.ParseUint(s[i+2:i+6], 16, 16)
		return err == nil && n >= 0xd800 && n < 0xdc00, err == nil && n >= 0xdc00 && n < 0xe000
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		high, low := half(i)
		_, next := half(i + 6)
		switch {
		case low || high && !next:
			return true
		case high:
			i += 11
		default:
			i++ // the escaped character, which may be a backslash
		}
	}
	return false
}

// shape walks the tokens of encoding/json and returns how deep they are nested
// and whether an object has a duplicate name.
func shape(text []byte) (deepest int, duplicate bool) {
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a name is read, its value comes next
	}
	var stack []*level
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return deepest, duplicate
		}
		var top *level
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if name, ok := token.(string); ok && top != nil && top.names != nil && !top.value {
			duplicate = duplicate || top.names[name]
			top.names[name], top.value = true, true
			continue
		}
		if top != nil {
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, &level{names: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, &level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		deepest = max(deepest, len(stack))
	}
}

// nested returns an object with nested arrays, depth levels in all.
func nested(depth int) string {
	return `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

// many returns an object of n members, named a0 and so on.
func many(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"a%d":%d`, i, i)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// typicalClaims are the claims of an access token of a large identity provider.
const typicalClaims = `{"iss":"https://login.example.com/realms/main","sub":"auth0|5f7c8ec7c33c6c004bbafe82","aud":["https://api.example.com","https://login.example.com/userinfo"],` +
	`"azp":"my_client_id","exp":1800000600,"iat":1800000000,"jti":"8d2c9e6e-7c0b-4d0a-9c55-6f0d8c0f1d3a","typ":"Bearer","acr":"1","scope":"openid profile read:admin",` +
	`"realm_access":{"roles":["offline_access","admin","user"]},"email_verified":true,"name":"Zo\u00eb Müller","preferred_username":"zoe","email":"zoe@example.com"}`
