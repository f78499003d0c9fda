package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// script runs a shell script in which `caddy` is the binary under test, with this server's
// admin endpoint in $A, and returns what it prints.
func (c *caddy) script(t *testing.T, files map[string]string, text string) string {
	t.Helper()
	need(t, jq)
	dir := t.TempDir()
	if err := os.Symlink(caddyBinary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		writeFile(t, filepath.Join(dir, name), content)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-euc", text)
	shell.Dir = dir
	shell.Env = append(environment(dir, nil), "PATH="+dir+":"+os.Getenv("PATH"), "A="+c.adminAddress())
	var stderr strings.Builder
	shell.Stderr = &stderr
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// What commands do on one node, the other follows within its interval; and what one
// command prints as JSON can be handed on to the next.
func TestStoredKeysByCommandsOnTwoNodes(t *testing.T) {
	t.Parallel()
	a := newSharedFixture(t, storeSite, options{})
	b := a.secondNode(t, storeSite)
	key := &peers.APIKey{Text: a.script(t, nil, `caddy jwt api-key new --store partners --consumer acme --scopes orders:read --meta plan=gold --json --address "$A" | jq -r .key`)}
	// A new key need not wait for the interval: an unknown one brings the look at the storage forward.
	checkHeaders(t, b.passes(t, b.withKey(t, key), key), map[string]string{"X-User": "acme", "X-Scopes": "orders:read", "X-Plan": "gold"})
	const id = `$(caddy jwt api-key list --store partners --json --address "$A" | jq -r '.[] | select(.consumer == "acme").id')`
	for _, step := range []struct {
		what, script, prints string
		status               int
		reason               string
	}{
		{"disabled, by the list", `caddy jwt api-key list --store partners --json --address "$A" | jq -r '.[].id' | caddy jwt api-key disable @- --store partners --json --address "$A" | jq -r '.[].action'`,
			"disabled", http.StatusUnauthorized, "api_key_disabled"},
		{"enabled, by what was disabled", `caddy jwt api-key list --store partners --json --address "$A" | jq -r '.[] | select(.state == "disabled").id' | caddy jwt api-key enable @- --store partners --json --address "$A" | jq -r '.[].action'`,
			"enabled", http.StatusOK, ""},
		{"revoked", `caddy jwt revoke --key ` + id + ` --json --address "$A" | jq -r .stored`, "true", http.StatusUnauthorized, "revoked"},
		{"taken back", `caddy jwt revocations --kind key --json --address "$A" | jq -r '.[].id' | caddy jwt revocations delete @- --reason test --json --address "$A" | jq -r '.[].kind'`,
			"key", http.StatusOK, ""},
		{"expired", `caddy jwt api-key edit ` + id + ` --expires 1s --store partners --json --address "$A" | jq -r .action`, "edited", http.StatusUnauthorized, "api_key_expired"},
		{"given more time", `caddy jwt api-key list --store partners --json --address "$A" | jq -r '.[].id' | caddy jwt api-key edit @- --expires 90d --store partners --json --address "$A" | jq -r '.[].action'`,
			"edited", http.StatusOK, ""},
		{"deleted", `caddy jwt api-key delete ` + id + ` --store partners --json --address "$A" | jq -r .action`, "deleted", http.StatusUnauthorized, "unknown_api_key"},
	} {
		if got := a.script(t, nil, step.script); got != step.prints {
			t.Fatalf("%s: it prints %q; want %q", step.what, got, step.prints)
		}
		began := time.Now()
		if step.what != "expired" {
			if got := a.withKey(t, key); got.status != step.status || got.header.Get("X-Reason") != step.reason {
				t.Errorf("%s: on its own node: %d %s", step.what, got.status, got.header.Get("X-Reason"))
			}
		}
		b.follows(t, step.what, key, step.status, step.reason)
		t.Logf("%s: the other node followed in %s", step.what, time.Since(began).Round(10*time.Millisecond))
	}
	if got := a.script(t, nil, `caddy jwt api-key list --store partners --json --address "$A"`); got != "[]" {
		t.Errorf("the list is %s", got)
	}
	t.Run("the key itself in the place of its id", func(t *testing.T) {
		got := b.script(t, nil, `caddy jwt api-key new --store partners --address "$A" > key 2> /dev/null
			caddy jwt api-key disable @key --store partners --address "$A" > said
			caddy jwt api-key enable @- --store partners --address "$A" < key >> said
			caddy jwt api-key delete @key --store partners --address "$A" >> said
			sed 's/^[^:]*: //' said`)
		if got != "disabled\nenabled\ndeleted" {
			t.Errorf("it prints %q", got)
		}
	})
	t.Run("imports", func(t *testing.T) {
		inFile, inCSV := peers.NewAPIKey(t, "from-a-file", map[string]any{"consumer": "filed", "scopes": []string{"a"}}), peers.NewAPIKey(t, "", nil)
		got := a.script(t, map[string]string{
			"keys.jsonl": peers.KeyLines(t, inFile),
			"keys.csv":   "Name,Key,Description,Enabled,UsagePlanIds\nfrom-aws," + inCSV.Text + ",d,TRUE,plan1\nshort,abcdef,d,TRUE,\n",
		}, `caddy jwt api-key import keys.jsonl --store partners --json --address "$A" | jq -r .counts.added
			caddy jwt api-key import keys.csv --store partners --json --address "$A" | jq -r '.counts | "\(.added) \(.skipped)"'
			caddy jwt api-key import keys.csv --store partners --json --address "$A" | jq -r '.counts | "\(.added // 0)"'
			caddy jwt api-key list --store partners --json --address "$A" | jq -r '.[] | select(.id == "from-a-file" or .name == "from-aws").consumer' | sort`)
		if got != "1\n1 1\n0\nfiled\nfrom-aws" {
			t.Errorf("it prints %q", got)
		}
		for _, k := range []*peers.APIKey{inFile, inCSV} {
			a.passes(t, a.withKey(t, k), k)
			b.follows(t, "an imported key", k, http.StatusOK, "")
		}
	})
}

// A roll with an overlap lets both secrets in until it ends, on both nodes, without it the
// new one alone; two at once leave both of the new secrets good.
func TestStoredKeysAreRolledOnTwoNodes(t *testing.T) {
	t.Parallel()
	a := newSharedFixture(t, storeSite, options{})
	b := a.secondNode(t, storeSite)
	all := func(t *testing.T, what string, status int, secrets ...string) {
		t.Helper()
		for _, s := range []*fixture{a, b} {
			for _, secret := range secrets {
				k := &peers.APIKey{Text: secret}
				reason := map[int]string{http.StatusOK: "", http.StatusUnauthorized: "api_key_expired"}[status]
				s.follows(t, what, k, status, reason)
			}
		}
	}
	t.Run("with an overlap", func(t *testing.T) {
		first := a.makeKey(t, nil)
		second := b.rollKey(t, first.ID, "3s")
		all(t, "both secrets", http.StatusOK, second.Key)
		if a := a.withKey(t, first.peer()); a.status != http.StatusOK && time.Now().Before(second.OldUntil) {
			t.Errorf("the old secret is refused before its time: %s", a.header.Get("X-Reason"))
		}
		time.Sleep(time.Until(second.OldUntil.Add(10 * time.Millisecond))) // the nodes' own clocks
		for _, s := range []*fixture{a, b} {
			s.upstream.Take()
			s.refused(t, s.withKey(t, first.peer()), http.StatusUnauthorized, "api_key_expired")
		}
		all(t, "the new secret", http.StatusOK, second.Key)
	})
	t.Run("without", func(t *testing.T) {
		first := a.makeKey(t, nil)
		second := &peers.APIKey{Text: strings.TrimSpace(a.script(t, nil, "caddy jwt api-key roll "+first.ID+` --overlap 0s --store partners --address "$A"`))}
		all(t, "the old secret", http.StatusUnauthorized, first.Key)
		all(t, "the new secret", http.StatusOK, second.Text)
	})
	t.Run("at once on both nodes", func(t *testing.T) {
		for _, overlap := range []string{"1h", "0s"} {
			first := a.makeKey(t, nil)
			b.follows(t, "the key is there", first.peer(), http.StatusOK, "")
			var (
				group sync.WaitGroup
				mu    sync.Mutex
				made  []string
			)
			for n, s := range []*fixture{a, b} {
				group.Go(func() {
					answer, err := s.tryAsk(http.MethodPut, "/jwt/api-keys/"+first.ID+"/secret", fmt.Sprintf(`{"overlap":%q}`, overlap))
					var k storedKey
					if decode(t, answer.body, &k); err != nil || k.Key == "" {
						t.Errorf("node %d: %v %s", n, err, answer.body)
					}
					mu.Lock()
					defer mu.Unlock()
					made = append(made, k.Key)
				})
			}
			if group.Wait(); t.Failed() {
				return
			}
			time.Sleep(followTime / 2) // what a later look at the storage brings must not undo it
			if overlap == "1h" {
				made = append(made, first.Key)
			} else {
				all(t, "the old secret", http.StatusUnauthorized, first.Key)
			}
			for _, s := range []*fixture{a, b} {
				for _, secret := range made {
					k := &peers.APIKey{Text: secret}
					s.passes(t, s.withKey(t, k), k)
				}
			}
		}
	})
}

// What is known of keys outlives restarts, overlaps of hours end at their time, and the uses
// on all nodes add up.
func TestStoredKeysAfterRestarts(t *testing.T) {
	t.Parallel()
	a := newSharedFixture(t, storeSite, options{})
	b := a.secondNode(t, storeSite)
	used, unused, first := a.makeKey(t, object{"consumer": "used"}), a.makeKey(t, object{"consumer": "unused"}), a.makeKey(t, object{"consumer": "rolled"})
	second := a.rollKey(t, first.ID, "1h")
	disabled, deleted := a.makeKey(t, nil), a.makeKey(t, nil)
	a.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+disabled.ID, object{"enabled": false}, http.StatusOK, nil)
	a.mustAsk(t, http.MethodDelete, "/jwt/api-keys/"+deleted.ID, nil, http.StatusOK, nil)
	began := time.Now().Truncate(time.Second)
	for range 3 {
		a.passes(t, a.withKey(t, used.peer()), used.peer())
	}
	b.follows(t, "the key is there", used.peer(), http.StatusOK, "")
	b.passes(t, b.withKey(t, used.peer()), used.peer())
	ended := time.Now()
	for _, s := range []*fixture{a, b} { // one after the other, as in a cluster that is upgraded
		s.restart(nil)
		s.whenReady(t)
	}
	for name, s := range map[string]*fixture{"the first node": a, "the second": b} {
		t.Run(name, func(t *testing.T) {
			var shown storedKey
			if s.mustAsk(t, http.MethodGet, "/jwt/api-keys/"+used.ID, nil, http.StatusOK, &shown); shown.Uses.Days30 != 5 || shown.Uses.Last.Before(began) || shown.Uses.Last.After(ended) {
				t.Errorf("it was used %d times, the last time at %s; want 5, from %s to %s", shown.Uses.Days30, shown.Uses.Last, began, ended)
			}
			var not storedKey
			if s.mustAsk(t, http.MethodGet, "/jwt/api-keys/"+unused.ID, nil, http.StatusOK, &not); not.Uses.Days30 != 0 || !not.Uses.Last.IsZero() {
				t.Errorf("a key that was not used was used %d times, the last time at %s", not.Uses.Days30, not.Uses.Last)
			}
			for _, k := range []storedKey{first, second} {
				s.passes(t, s.withKey(t, k.peer()), k.peer())
			}
			s.upstream.Take()
			s.refused(t, s.withKey(t, disabled.peer()), http.StatusUnauthorized, "api_key_disabled")
			s.refused(t, s.withKey(t, deleted.peer()), http.StatusUnauthorized, "unknown_api_key")
		})
	}
	t.Run("an hour later", func(t *testing.T) {
		a.opts.env["TEST_CLOCK_AHEAD"] = "59m" // of the hour of the overlap
		a.restart(nil)
		a.whenReady(t)
		var audit struct{ Items []struct{ Time time.Time } }
		a.mustAsk(t, http.MethodDelete, "/jwt/api-keys/"+unused.ID, nil, http.StatusOK, nil)
		if a.mustAsk(t, http.MethodGet, "/jwt/audit", nil, http.StatusOK, &audit); time.Until(audit.Items[0].Time) < 30*time.Minute {
			t.Log("the clock of the binary in CADDY_BIN can't be set")
			return
		}
		for _, k := range []storedKey{first, second} {
			a.passes(t, a.withKey(t, k.peer()), k.peer())
		}
		a.opts.env["TEST_CLOCK_AHEAD"] = "61m"
		a.restart(nil)
		a.whenReady(t)
		a.passes(t, a.withKey(t, second.peer()), second.peer())
		a.upstream.Take()
		a.refused(t, a.withKey(t, first.peer()), http.StatusUnauthorized, "api_key_expired")
		b.passes(t, b.withKey(t, first.peer()), first.peer()) // by whose own clock the overlap has not ended
	})
}
