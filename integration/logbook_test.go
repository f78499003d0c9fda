package integration

import (
	"bytes"
	"encoding/json"
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

// ourRace reports whether the plugin's code is part of a race: in one of the report's
// stacks it stands in front of any of Caddy's, which it may have called, but for the
// functions that read and write a request's variables. Caddy has races of its own: its
// apps start in random order, and one that starts late is written to while certificates
// are already obtained for the other; and reverse_proxy writes the request's variables
// while the dialing goroutine of one before it, whose request went over another
// connection, may still read them.
func ourRace(report string) bool {
	for stack := range strings.SplitSeq(report, "\n\n") {
		for line := range strings.Lines(stack) {
			frame := strings.TrimSpace(line)
			if strings.HasPrefix(frame, "github.com/caddy-jwt/caddy-jwt") {
				return true
			}
			if strings.HasPrefix(frame, "github.com/caddyserver/caddy/v2") && !strings.HasSuffix(frame, "/caddyhttp.SetVar()") && !strings.HasSuffix(frame, "/caddyhttp.GetVar()") {
				break
			}
		}
	}
	return false
}

// TestOurRace checks that a race of the plugin is told from one of Caddy below it.
func TestOurRace(t *testing.T) {
	t.Parallel()
	const (
		caddys = "WARNING: DATA RACE\nWrite at 0x0 by goroutine 1:\n  runtime.mapassign_faststr()\n      map.go:263 +0x0\n  github.com/caddyserver/caddy/v2/modules/caddyhttp.SetVar()\n      vars.go:478 +0xbb\n" +
			"  github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy.Handler.prepareRequest()\n      reverseproxy.go:925 +0x1\n  github.com/caddy-jwt/caddy-jwt.(*errorHead).ServeHTTP()\n      errorguard.go:160 +0x2\n\n" +
			"Previous read at 0x0 by goroutine 2:\n  runtime.mapaccess1_faststr()\n      map.go:101 +0x0\n  github.com/caddyserver/caddy/v2/modules/caddyhttp.GetVar()\n      vars.go:457 +0x1\n  net/http.(*Transport).dial()\n      transport.go:1307 +0xe6\n"
		byUs = "WARNING: DATA RACE\nWrite at 0x0 by goroutine 1:\n  runtime.mapassign_faststr()\n      map.go:263 +0x0\n  github.com/caddyserver/caddy/v2/modules/caddyhttp.SetVar()\n      vars.go:478 +0xbb\n  github.com/caddy-jwt/caddy-jwt.requestState()\n      state.go:33 +0x2\n"
		read = "WARNING: DATA RACE\nRead at 0x0 by goroutine 1:\n  github.com/caddyserver/caddy/v2.x()\n      x.go:1 +0x0\n\nPrevious write at 0x0 by goroutine 2:\n  net/http.Header.Del()\n      header.go:1 +0x0\n  github.com/caddy-jwt/caddy-jwt/internal/header.ClearHeaders()\n      clear.go:1 +0x0\n"
	)
	if ourRace(caddys) || !ourRace(byUs) || !ourRace(read) {
		t.Error(ourRace(caddys), ourRace(byUs), ourRace(read))
	}
}

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
		if strings.Contains(report, "WARNING: DATA RACE") && ourRace(report) {
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
