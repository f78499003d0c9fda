package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fileIssuer is the issuer of tokens that the keys of a file sign.
const fileIssuer = "https://file.example.test"

// settleTime is how long a file must have been left alone before it is read.
const settleTime = 500 * time.Millisecond

// pickupTime is how long a changed file may take to count: the interval of looking
// and the time for which a file must have been left alone, twice over.
func pickupTime() time.Duration {
	if raceEnabled {
		return 5 * time.Second // the detector and other tests share the processors
	}
	return 2500 * time.Millisecond
}

// keyFile is a file of keys that changes while Caddy runs, by one of the ways in
// which files do.
type keyFile struct {
	path  string
	write func(t *testing.T, content string)
}

// inPlace is a file that an editor or a shell writes to.
func inPlace(t *testing.T, name string) keyFile {
	path := filepath.Join(t.TempDir(), name)
	return keyFile{path, func(t *testing.T, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}}
}

// replaced is a file that a careful program renames another one over.
func replaced(t *testing.T, name string) keyFile {
	path := filepath.Join(t.TempDir(), name)
	return keyFile{path, func(t *testing.T, content string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}}
}

// configMap is a file as Kubernetes mounts one: a link to ..data/<name>, and
// ..data a link to a folder, which is swapped as a whole.
func configMap(t *testing.T, name string) keyFile {
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := os.Symlink(filepath.Join("..data", name), path); err != nil {
		t.Fatal(err)
	}
	last := ""
	return keyFile{path, func(t *testing.T, content string) {
		t.Helper()
		folder, err := os.MkdirTemp(dir, "..2026_")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(filepath.Base(folder), link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		if last != "" {
			if err := os.RemoveAll(last); err != nil {
				t.Fatal(err)
			}
		}
		last = folder
	}}
}
