package claims

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPath says what is wrong with a claim path, or nil. A path is not empty,
// has no control characters, no spaces at its ends and no braces, which would
// be a placeholder; anything else may be the literal name of a claim.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("a claim path is empty; write the claim's name, such as sub or realm_access.roles")
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("a claim path holds a control character or is no UTF-8; write the claim's name, such as sub or realm_access.roles")
	case strings.TrimSpace(path) != path:
		return errors.New("the claim path " + strconv.Quote(path) + " begins or ends with a space; remove it")
	case strings.ContainsAny(path, "{}"):
		return errors.New("the claim path " + strconv.Quote(path) + " holds a brace; placeholders are not possible in it, write the claim's name itself")
	}
	return nil
}

// PathName is the last step of a path: the name that a claim has when none is
// given. Behind the last slash of a claim named by a URL only the dots count.
func PathName(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 && i+1 < len(path) {
		path = path[i+1:]
	}
	if i := strings.LastIndexByte(path, '.'); i >= 0 && i+1 < len(path) {
		path = path[i+1:]
	}
	return path
}

// Lookup finds the value at a path. Steps are divided by dots, arrays are
// stepped into by index. At each step the longest member name that the rest of
// the path begins with wins, without going back, so that a claim named
// "https://x.example/roles" is found as it is written and one name never has
// two meanings.
func (v Value) Lookup(path string) (Value, bool) {
	// Most paths are a name, and a name as long as the path is the longest.
	if found, ok := v.Member(path); ok && path != "" {
		return found, true
	}
	for path != "" {
		var (
			next  Value
			taken = -1
		)
		switch v.kind {
		case Object:
			for i := range v.Len() {
				name := v.NameAt(i)
				if len(name) > taken && strings.HasPrefix(path, name) &&
					(len(name) == len(path) || path[len(name)] == '.') {
					next, taken = v.At(i), len(name)
				}
			}
		case Array:
			step, _, _ := strings.Cut(path, ".")
			if i, ok := index(step); ok && i < v.Len() {
				next, taken = v.At(i), len(step)
			}
		}
		if taken < 0 {
			return Value{}, false
		}
		v = next
		if taken == len(path) {
			return v, true
		}
		path = path[taken+1:]
		if path == "" { // a dot at the end names nothing
			return Value{}, false
		}
	}
	return Value{}, false
}

// index reads an array index: digits without a sign or leading zeros.
func index(step string) (int, bool) {
	if step == "" || len(step) > 6 || (step[0] == '0' && step != "0") {
		return 0, false
	}
	n := 0
	for _, c := range []byte(step) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
