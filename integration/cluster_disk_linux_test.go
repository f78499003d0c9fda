package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of half a MiB.
type smallDisk struct {
	t   *testing.T
	dir string
}

// newSmallDisk mounts one until the end of the test. Only root can, and not in every
// container: there the test is skipped, and fails on CI.
func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	d := &smallDisk{t, t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=512k"); err != nil {
		reason := fmt.Sprintf("a file system that is full or read-only can't be mounted here: %v", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// fill leaves no room.
func (d *smallDisk) fill() {
	d.t.Helper()
	file, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d *smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// readOnly makes it read-only, or not.
func (d *smallDisk) readOnly(yes bool) {
	d.t.Helper()
	flags := uintptr(syscall.MS_REMOUNT)
	if yes {
		flags |= syscall.MS_RDONLY
	}
	var err error
	for range 100 { // files that are just being written
		if err = syscall.Mount("tmpfs", d.dir, "tmpfs", flags, "size=512k"); !errors.Is(err, syscall.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// A disk that takes nothing more: nobody is refused for it, what is revoked holds, and is
// stored when there is room.
func TestThreat37_ADiskThatIsFullOrReadOnly(t *testing.T) {
	t.Parallel()
	d := newSmallDisk(t)
	n := startNode(t, options{global: clusterOptions(t, fileStorage(d.dir), "")})
	n.untilReady(t, 20*time.Second)
	key := n.mustCreateKey(t)
	n.mustRevoke(t, http.StatusCreated, "before")
	good := jtiToken(t, "good")
	load := n.loadAtRate(100, func(i int) exchange {
		if i%2 == 0 {
			return n.withToken(good)
		}
		return n.withAPIKey(key.Key)
	})
	for name, faulty := range map[string]struct{ begin, end func() }{
		"full":      {d.fill, func() { removeFile(t, d.filler()) }},
		"read-only": {func() { d.readOnly(true) }, func() { d.readOnly(false) }},
	} {
		faulty.begin()
		for i := range 5 {
			jti := fmt.Sprintf("%s-%d", name, i)
			c := n.mustRevoke(t, http.StatusAccepted, jti)
			if c.Stored == nil || *c.Stored {
				t.Errorf("%s: %+v", name, c)
			}
			n.is(t, jti, n.withToken(jtiToken(t, jti)), isRevoked)
		}
		if c, err := n.createKey(); err != nil || c.status != http.StatusServiceUnavailable {
			t.Errorf("%s: creating a key: status %d, %s, %v; want 503", name, c.status, c.Error, err)
		}
		time.Sleep(2 * syncInterval)
		if s := n.set(t, "revocations"); s.Unstored == 0 || s.Refuses || !s.Ready {
			t.Errorf("%s: %+v", name, s)
		}
		faulty.end()
		n.untilSet(t, name+": all is stored when there is room", "revocations", 2*spread(), func(s setStatus) bool { return s.Unstored == 0 })
		n.mustRevoke(t, http.StatusCreated, name+"-after")
	}
	all := load.stop()
	if bad := withOtherStatus(all, http.StatusOK); len(bad) > 0 {
		t.Errorf("%d of %d requests were not served, the first: %s", len(bad), len(all), bad[0])
	}

	// It starts with a disk on which it can write nothing, and has what is there.
	n.kill()
	d.readOnly(true)
	n.again()
	for _, jti := range []string{"before", "full-0", "full-4", "read-only-2", "full-after", "read-only-after"} {
		n.is(t, jti, n.withToken(jtiToken(t, jti)), isRevoked)
	}
	n.is(t, "a good token", n.withToken(good), accepted)
	n.is(t, "a key", n.withAPIKey(key.Key), accepted)
}

// A disk on which nothing can be written or listed refuses nobody where no state is asked
// for, and everybody where it is and there was never any.
func TestThreat66_ReadOnlyStorage(t *testing.T) {
	t.Parallel()
	d := newSmallDisk(t)
	without := startStateless(t, options{global: statelessOptions(t, fileStorage(d.dir))})
	without.kill()
	d.readOnly(true)
	without.again()
	with := startNode(t, options{global: clusterOptions(t, fileStorage(d.dir), "")})
	token := jtiToken(t, "good")
	for range 3 {
		without.is(t, "without state", without.withToken(token), accepted)
		with.is(t, "with state", with.withToken(token), unavailable)
	}
	without.is(t, "without jwt", without.send("open.example.test"), accepted)
	with.is(t, "without jwt, with state", with.send("open.example.test"), accepted)
	if s := with.set(t, "revocations"); s.Ready || s.Error == "" || !s.Refuses {
		t.Errorf("%+v", s)
	}
	d.readOnly(false)
	with.becomes(t, "when it can be written", 10*time.Second, func() exchange { return with.withToken(token) }, accepted)
}
