package claims

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPath returns an error if path is not a valid claim path. A path is not
// empty and has no control characters, no spaces at its ends and no braces, which
// would be a placeholder. Anything else may be the literal name of a claim.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("a claim path is empty; write the claim's name, such as sub or realm_access.roles")
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("a claim path has a control character or is not valid UTF-8; write the claim's name, such as sub or realm_access.roles")
	case strings.TrimSpace(path) != path:
		return errors.New("the claim path " + strconv.Quote(path) + " begins or ends with a space; remove it")
	case strings.ContainsAny(path, "{}"):
		return errors.New("the claim path " + strconv.Quote(path) + " contains a brace; it can't have placeholders, write the claim's name itself")
	}
	return nil
}

// PathName returns the last step of a path, the default name of its placeholder.
// In a claim named by a URL, only dots after the last slash separate steps.
func PathName(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 && i+1 < len(path) {
		path = path[i+1:]
	}
	if i := strings.LastIndexByte(path, '.'); i >= 0 && i+1 < len(path) {
		path = path[i+1:]
	}
	return path
}

// Lookup returns the value at a path. Dots separate its steps; the step into an
// array is an index. At each step the longest member name that is a prefix of the
// rest of the path is taken, without backtracking. So a claim named
// "https://x.example/roles" is found by its name, and a path has one meaning.
func (v Value) Lookup(path string) (Value, bool) {
	// Most paths are a name, and the whole path is the longest prefix of itself.
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
		if path == "" { // a trailing dot has no member after it
			return Value{}, false
		}
	}
	return Value{}, false
}

// index parses an array index: digits without a sign or leading zeros.
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
