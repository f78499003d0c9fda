//go:build unix

package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// asleepTime is how long the node sleeps: ASLEEP, or 4 s. From 5 minutes on what it knows is
// merged and deleted meanwhile.
func asleepTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("ASLEEP")
	if text == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// signal sends a signal to the process.
func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.command.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// A node that slept while a key was rolled, another deleted and a third disabled has them
// in memory, and stores again what the storage has lost. That brings no secret back.
func TestThreat56_ANodeThatSleptBringsNothingBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storage := options{global: clusterOptions(t, fileStorage(dir), "")}
	a := startNode(t, storage)
	a.untilReady(t, 20*time.Second)
	b := startNode(t, storage)
	b.untilReady(t, 20*time.Second)
	folder := filepath.Join(dir, "jwt", "default", "keys-partners")

	rolled, deleted, disabled, kept := a.mustCreateKey(t), a.mustCreateKey(t), a.mustCreateKey(t), a.mustCreateKey(t)
	lifted := a.mustRevoke(t, http.StatusCreated, "lifted")
	old := map[string]string{}
	for _, name := range objectsIn(t, folder) {
		old[name] = readFile(t, filepath.Join(folder, name))
	}
	if len(old) != 4 {
		t.Fatalf("%d objects; want one a key", len(old))
	}
	all := map[string]changeAnswer{"rolled": rolled, "deleted": deleted, "disabled": disabled, "kept": kept}
	for name, key := range all {
		b.becomes(t, name, spread(), func() exchange { return b.withAPIKey(key.Key) }, accepted)
	}
	time.Sleep(2 * syncInterval) // so that each has seen the objects in listings

	a.signal(syscall.SIGSTOP)
	fresh := b.must(t, http.StatusOK, http.MethodPut, "/jwt/api-keys/"+rolled.ID+"/secret", map[string]any{"overlap": "1s"})
	b.must(t, http.StatusOK, http.MethodDelete, "/jwt/api-keys/"+deleted.ID, nil)
	b.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+disabled.ID, map[string]any{"enabled": false})
	b.must(t, http.StatusOK, http.MethodDelete, "/jwt/revocations/"+lifted.ID+"?reason=test", nil)
	long := asleepTime(t) >= 5*time.Minute
	if long {
		for range 40 {
			b.mustCreateKey(t) // so many that they are merged
		}
	}
	time.Sleep(asleepTime(t))
	if long {
		for name := range old {
			if exists(filepath.Join(folder, name)) {
				t.Errorf("%s was not merged and deleted", name)
			}
		}
	}
	a.signal(syscall.SIGCONT)

	check := func(when string, nodes ...*node) {
		t.Helper()
		for _, n := range nodes {
			n.becomes(t, when+": the old secret", spread(), func() exchange { return n.withAPIKey(rolled.Key) }, isExpired)
			n.becomes(t, when+": the deleted key", spread(), func() exchange { return n.withAPIKey(deleted.Key) }, isUnknown)
			n.becomes(t, when+": the disabled key", spread(), func() exchange { return n.withAPIKey(disabled.Key) }, isDisabled)
			n.becomes(t, when+": the new secret", spread(), func() exchange { return n.withAPIKey(fresh.Key) }, accepted)
			n.becomes(t, when+": the other key", spread(), func() exchange { return n.withAPIKey(kept.Key) }, accepted)
			n.becomes(t, when+": the rule that was removed", spread(), func() exchange { return n.withToken(jtiToken(t, "lifted")) }, accepted)
		}
	}
	check("awake", a, b)

	// The storage loses the old objects, the nodes store them again.
	for name := range old {
		removeFile(t, filepath.Join(folder, name))
	}
	if !long {
		a.eventually("they are stored again", 6*spread(), func() bool {
			for name := range old {
				if !exists(filepath.Join(folder, name)) {
					return false
				}
			}
			return true
		}, func() string { return a.logs.String() })
	}
	check("healed", a, b)

	// Somebody restores them from a backup, and only they are read again.
	for name, content := range old {
		writeFile(t, filepath.Join(folder, name), content)
	}
	c := startNode(t, storage)
	c.untilReady(t, 20*time.Second)
	check("restored", a, b, c)
	a.kill()
	a.again()
	a.untilReady(t, 20*time.Second)
	check("started again", a)
}
