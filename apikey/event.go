package apikey

import "strings"

// EventKind is what happened to a key file.
type EventKind uint8

// The kinds of Event.
const (
	// Changed: keys that differ from the previous ones are in force.
	Changed EventKind = iota + 1
	// Failing: the file can't be used; the previous keys stay in use.
	Failing
	// Recovered: the file can be used, the first time since Failing.
	Recovered
)

// String returns the kind as a word.
func (k EventKind) String() string {
	switch k {
	case Changed:
		return "changed"
	case Failing:
		return "failing"
	case Recovered:
		return "recovered"
	default:
		return "unknown"
	}
}

// Event is a change of a key file's state, for a log line. It holds no hash.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// File is the path of the file.
	File string
	// Keys is the number of keys in use.
	Keys int
	// Err is what is wrong, with Failing.
	Err error
}

// cut shortens text to n characters on one line: it comes from outside and goes to
// logs.
func cut(text string, n int) string {
	text = strings.ReplaceAll(text, "\n", ": ")
	if len(text) <= n {
		return text
	}
	count := 0
	for i := range text {
		if count == n {
			return text[:i] + "…"
		}
		count++
	}
	return text
}
