package integration

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// manyKeys is a file with a great many keys, whose texts are made again from
// their numbers.
type manyKeys struct {
	path string
	seed string
	n    int
}

func newManyKeys(t *testing.T) *manyKeys {
	t.Helper()
	m := &manyKeys{filepath.Join(t.TempDir(), "keys.jsonl"), peers.NewAPIKey(t, "seed", nil).Text, 1_000_000}
	if raceEnabled {
		m.n = 50_000 // the detector makes each some ten times as dear
	}
	return m
}

func (m *manyKeys) key(n int) *peers.APIKey {
	return &peers.APIKey{Text: fmt.Sprintf("%s-%08d", m.seed, n)}
}

// write writes the keys from first on, and takes the place of the file before. It
// returns its size.
func (m *manyKeys) write(t *testing.T, first int) int64 {
	t.Helper()
	f, err := os.Create(m.path + ".new")
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	text := []byte(m.key(0).Text)
	for n := first; n < first+m.n; n++ {
		text = fmt.Appendf(text[:len(text)-8], "%08d", n)
		fmt.Fprintf(w, `{"id":"key-%d","consumer":"customer-%d","hash":"sha256:%x","scopes":["plan-%d"]}`+"\n", n, n%1000, sha256.Sum256(text), n%7)
	}
	if err := errors.Join(w.Flush(), f.Close(), os.Rename(m.path+".new", m.path)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(m.path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// bytesRead is how many bytes the process has read so far, of files and
// connections.
func (c *caddy) bytesRead(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", c.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return int64(number(t, text, `rchar: (\d+)`))
}

// A million keys: they load, they serve while a new file is read, and a reload
// does not read the file again.
func TestAMillionAPIKeys(t *testing.T) {
	needProc(t)
	many := newManyKeys(t)
	size := many.write(t, 0)
	begun := time.Now()
	s, _ := newAPIKeyFixture(t, keySite, options{level: "INFO", env: map[string]string{"KEYS": many.path}})
	t.Logf("%d keys in %d MB: Caddy serves after %s, with %.0f MiB resident and %.0f MiB of live heap", many.n, size/1_000_000,
		time.Since(begun).Round(time.Millisecond), s.residentMiB(t), s.heapMiB(t))

	for _, n := range []int{0, many.n / 2, many.n - 1} {
		checkHeaders(t, s.passes(t, s.withKey(t, many.key(n)), many.key(n)), map[string]string{
			"X-Key-Id": fmt.Sprintf("key-%d", n), "X-User": fmt.Sprintf("customer-%d", n%1000), "X-Scopes": fmt.Sprintf("plan-%d", n%7),
		})
	}
	s.refused(t, s.withKey(t, many.key(many.n)), http.StatusUnauthorized, "unknown_api_key")

	t.Run("a changed file is read while requests go on", func(t *testing.T) {
		going := s.loadAtRate(200, func(n int) exchange {
			return s.exchangeWith(s.http, site, "/", apiKey(many.key(1+n%(many.n-1)).Text))
		})
		many.write(t, 1) // without the first key, and with one more
		begun := time.Now()
		s.eventually("the new key works", 60*time.Second, func() bool {
			return s.withKey(t, many.key(many.n)).status == http.StatusOK
		}, s.logs.String)
		took := time.Since(begun)
		s.upstream.Take()
		all := going.stop()
		s.upstream.Take()
		s.refused(t, s.withKey(t, many.key(0)), http.StatusUnauthorized, "unknown_api_key")
		if bad := withOtherStatus(all, http.StatusOK); len(bad) != 0 || len(all) == 0 {
			t.Errorf("%d of %d requests failed; the first: %+v", len(bad), len(all), bad[:min(len(bad), 1)])
		}
		t.Logf("taken over after %s; %d requests meanwhile, p99 %s; %.0f MiB resident", took.Round(time.Millisecond), len(all), p99(all), s.residentMiB(t))
	})
	t.Run("a reload does not read it again", func(t *testing.T) {
		loaded, read := s.keyFiles(t)[many.path].LoadedAt, s.bytesRead(t)
		begun := time.Now()
		if err := s.caddy.reload(snippets + keySnippets + keySite + "https://other.example.test {\n\tjwt {\n\t\tapi_keys {$KEYS}\n\t}\n}\n"); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		if n := s.bytesRead(t) - read; n > size/10 {
			t.Errorf("Caddy has read %d bytes; want far fewer than the file's %d", n, size)
		}
		if now := s.keyFiles(t)[many.path]; !now.LoadedAt.Equal(loaded) || now.Keys != many.n {
			t.Errorf("the status is %+v; want it loaded at %s", now, loaded)
		}
		s.passes(t, s.withKey(t, many.key(many.n)), many.key(many.n))
		t.Logf("the reload took %s; %.0f MiB resident, %.0f MiB of live heap", took.Round(time.Millisecond), s.residentMiB(t), s.heapMiB(t))
	})
}
