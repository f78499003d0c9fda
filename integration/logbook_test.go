package integration

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
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

// mark is a place to read on from, once what came before has been written.
func (l *logBook) mark() int {
	at := l.length()
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		now := l.length()
		if now == at {
			break
		}
		at = now
	}
	return at
}

func (l *logBook) length() int {
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
	Issuer string `json:"issuer"`
	Error  string `json:"error"`
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

// aboveDebug keeps the lines that are not DEBUG, of loggers that the filter takes.
func aboveDebug(entries []entry, keep func(entry) bool) []entry {
	var found []entry
	for _, e := range entries {
		if e.Level != "debug" && keep(e) {
			found = append(found, e)
		}
	}
	return found
}

// pieceLength is how much of a credential is looked for: enough never to be
// there by chance, short enough to find one that was cut.
const pieceLength = 20

// forbid names a credential that must be in no line of the log. Of a token the
// claims and the signature are looked for; its header is no secret and often the
// same for all.
func (l *logBook) forbid(secret string) {
	pieces := strings.Split(secret, ".")
	if len(pieces) == 3 {
		pieces = pieces[1:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secrets == nil {
		l.secrets = map[string]struct{}{}
	}
	for _, piece := range pieces {
		if len(piece) >= pieceLength {
			l.secrets[piece[len(piece)-pieceLength:]] = struct{}{}
		}
	}
}

// ourRace finds the plugin's functions in a report of the race detector. Caddy
// has races of its own: its apps start in random order, and one that starts
// late is written to while certificates are already obtained for the other.
var ourRace = regexp.MustCompile(`(?m)^\s*github\.com/caddy-jwt/caddy-jwt[./]`)

// check fails the test for what no log may ever contain.
func (l *logBook) check(t *testing.T, secretsToo bool) {
	t.Helper()
	text := l.String()
	for _, bad := range []string{
		"\npanic: ",
		"http: panic serving",
		"fatal error: ",
		"runtime error: ",
	} {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("Caddy wrote %q:\n%s", bad, text[at:min(len(text), at+6000)])
		}
	}
	for report := range strings.SplitSeq(text, "==================") {
		if strings.Contains(report, "WARNING: DATA RACE") && ourRace.MatchString(report) {
			t.Errorf("Caddy raced:\n%s", report[:min(len(report), 6000)])
		}
	}
	if !secretsToo {
		return
	}
	if at := l.findSecret(text); at >= 0 {
		start := strings.LastIndexByte(text[:at], '\n') + 1
		t.Errorf("a credential is in the log:\n%s", text[start:min(len(text), at+2000)])
	}
}

// findSecret finds the first forbidden piece of a text, or -1. It walks the text once,
// since a test may send thousands of credentials.
func (l *logBook) findSecret(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.secrets) == 0 {
		return -1
	}
	for at := 0; at+pieceLength <= len(text); at++ {
		if _, found := l.secrets[text[at:at+pieceLength]]; found {
			return at
		}
	}
	return -1
}
