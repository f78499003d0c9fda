//go:build unix && !solaris && !illumos && !aix

package apikey

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// The test binary is started again as another process by these variables.
const (
	childTask = "KEYSTORE_TEST_TASK"
	childFile = "KEYSTORE_TEST_FILE"
)

// child is this test binary as another process that does a task.
func child(t *testing.T, task, path string) *exec.Cmd {
	t.Helper()
	c := exec.Command(must(os.Executable()), "-test.run=^TestInAnotherProcess$")
	c.Env = append(os.Environ(), childTask+"="+task, childFile+"="+path)
	c.Stderr = os.Stderr
	return c
}

// TestInAnotherProcess is what the other processes do, and nothing by itself.
func TestInAnotherProcess(t *testing.T) {
	path := os.Getenv(childFile)
	switch task := os.Getenv(childTask); task {
	case "":
	case "hold":
		_, err := Update(path, true, func(*Edit) error {
			fmt.Println("holding")
			select {} // until it is killed
		})
		t.Fatal(err)
	default:
		for n := range 10 {
			if _, err := Update(path, true, put(fmt.Sprintf("k%s-%d", task, n))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestChangesOfSeveralProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.jsonl")
	var processes []*exec.Cmd
	for n := range 4 {
		c := child(t, fmt.Sprint(n+1), path)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		processes = append(processes, c)
	}
	for _, c := range processes {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got := len(must(OpenEdit(path)).Records()); got != 40 {
		t.Errorf("%d keys, want 40", got)
	}
	onlyIn(t, dir, "keys.jsonl")
}

// Not parallel: it sets how long a command waits.
func TestALockGoesWithItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	holder := child(t, "hold", path)
	out := must(holder.StdoutPipe())
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "holding" {
	}

	before := lockWait
	t.Cleanup(func() { lockWait = before })
	lockWait = 50 * time.Millisecond
	_, err := Update(path, true, put("a"))
	if err == nil || !strings.Contains(err.Error(), path+" is being changed by another command") {
		t.Errorf("while it is held: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("while it is held the file was written: %v", err)
	}

	lockWait = time.Minute // it comes free at once
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // "signal: killed"
	update(t, path, true, put("a"))
	if got := content(t, path); got != keyLines("a") {
		t.Error(got)
	}
}

func TestAKeyFileKeepsItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.jsonl")
	must(0, os.WriteFile(path, []byte(keyLines("a")), 0o640))
	owner := func() string {
		s := must(os.Stat(path)).Sys().(*syscall.Stat_t)
		return fmt.Sprint(s.Uid, ":", s.Gid)
	}
	// Root gives it to somebody else; anyone else who runs this, to one of the
	// groups that he is in, or to himself.
	uid, gid := os.Getuid(), os.Getgid()
	if groups := must(os.Getgroups()); len(groups) > 0 {
		gid = groups[len(groups)-1]
	}
	if uid == 0 {
		uid, gid = 12345, 54321
	}
	must(0, os.Chown(path, uid, gid))
	update(t, path, false, put("b"))
	if got, want := owner(), fmt.Sprint(uid, ":", gid); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := content(t, path); got != keyLines("a", "b") {
		t.Error(got)
	}
	onlyIn(t, dir, "keys.jsonl")
}

// A pipe would keep anyone who opens it waiting, and a device has no end.
func TestWhatIsNoOrdinaryFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	must(0, syscall.Mkfifo(pipe, 0o600))
	socket := filepath.Join(dir, "socket")
	listener := must(net.Listen("unix", socket))
	t.Cleanup(func() { must(0, listener.Close()) })
	for _, path := range []string{pipe, socket, "/dev/null"} {
		_, loaded := NewFile(FileConfig{Path: path})
		_, opened := OpenEdit(path)
		errs := []error{loaded, opened}
		if path != "/dev/null" {
			_, updated := Update(path, true, put("a"))
			errs = append(errs, updated)
		}
		for _, err := range errs {
			if !errors.Is(err, filewatch.ErrNotRegular) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	s := newFixture(t)
	must(0, os.Remove(s.path))
	must(0, syscall.Mkfifo(s.path, 0o600))
	s.expect(t, "a pipe in its place", failing, "abc")
	s.expect(t, "still", "", "abc")
	s.replace(t, keyLines("x"))
	s.expect(t, "a file again", recovered, "x")
}

func TestAKeyFileOfTooManyBytesIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	must(0, os.WriteFile(path, nil, 0o600))
	must(0, os.Truncate(path, maxFile+1)) // sparse
	if _, err := OpenEdit(path); err == nil || !strings.Contains(err.Error(), "larger than 4 GiB") {
		t.Error(err)
	}
}

func TestALockThatIsNoOrdinaryFileIsNotUsed(t *testing.T) {
	t.Parallel()
	for what, plant := range map[string]func(lock string) error{
		"a link": func(lock string) error { return os.Symlink("elsewhere", lock) },
		"a pipe": func(lock string) error { return syscall.Mkfifo(lock, 0o600) },
		"folder": func(lock string) error { return os.Mkdir(lock, 0o700) },
	} {
		dir := t.TempDir()
		must(0, plant(filepath.Join(dir, ".keys.jsonl.lock")))
		if _, err := Update(filepath.Join(dir, "keys.jsonl"), true, put("a")); err == nil || !strings.Contains(err.Error(), "not a regular file; remove it") {
			t.Errorf("%s: %v", what, err)
		}
		onlyIn(t, dir)
	}
}

// A command that root runs once must not lock the owner of the file out.
func TestALockBelongsToTheOwnerOfTheKeyFile(t *testing.T) {
	t.Parallel()
	uid, gid := os.Getuid(), os.Getgid()
	if groups := must(os.Getgroups()); len(groups) > 0 {
		gid = groups[len(groups)-1]
	}
	if uid == 0 {
		uid, gid = 12345, 54321
	}
	for what, there := range map[string]bool{"of the file": true, "of its folder": false} {
		dir := t.TempDir()
		path := filepath.Join(dir, "keys.jsonl")
		of := dir
		if there {
			must(0, os.WriteFile(path, []byte(keyLines("b")), 0o600))
			of = path
		}
		must(0, os.Chown(of, uid, gid))
		update(t, path, true, put("a"))
		s := must(os.Stat(filepath.Join(dir, ".keys.jsonl.lock"))).Sys().(*syscall.Stat_t)
		if int(s.Uid) != uid || int(s.Gid) != gid {
			t.Errorf("%s: it belongs to %d:%d, want %d:%d", what, s.Uid, s.Gid, uid, gid)
		}
	}
}
