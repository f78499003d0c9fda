package integration

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// logBook holds all that a Caddy writes.
type logBook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets map[string]struct{}
}

// Write takes a piece of Caddy's output.
func (l *logBook) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

// String is everything so far.
func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// mark is a place to read on from.
func (l *logBook) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// entry is one structured line.
type entry struct {
	Level  string `json:"level"`
	Logger string `json:"logger"`
	Msg    string `json:"msg"`
	Reason string `json:"jwt_reason"`
	line   string
}

// since returns the structured lines after a mark.
func (l *logBook) since(mark int) []entry {
	l.mu.Lock()
	text := string(l.text.Bytes()[mark:])
	l.mu.Unlock()
	var entries []entry
	for line := range strings.Lines(text) {
		e := entry{line: strings.TrimSpace(line)}
		if json.Unmarshal([]byte(line), &e) == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

// above keeps the lines that are not DEBUG, of loggers that the filter takes.
func above(entries []entry, keep func(entry) bool) []entry {
	var found []entry
	for _, e := range entries {
		if e.Level != "debug" && keep(e) {
			found = append(found, e)
		}
	}
	return found
}

// forbid names a credential that must be in no line of the log.
func (l *logBook) forbid(secret string) {
	// Pieces this short appear by chance.
	if len(secret) < 16 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secrets == nil {
		l.secrets = map[string]struct{}{}
	}
	l.secrets[secret] = struct{}{}
}

// judge fails the test for what no log may ever hold.
func (l *logBook) judge(t *testing.T) {
	t.Helper()
	text := l.String()
	for _, bad := range []string{
		"WARNING: DATA RACE",
		"\npanic: ",
		"http: panic serving",
		"fatal error: ",
		"runtime error: ",
	} {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("Caddy wrote %q:\n%s", bad, text[at:min(len(text), at+6000)])
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for secret := range l.secrets {
		if at := strings.Index(text, secret); at >= 0 {
			start := strings.LastIndexByte(text[:at], '\n') + 1
			t.Errorf("a credential is in the log:\n%s", text[start:min(len(text), at+2000)])
			return // one line tells enough
		}
	}
}
