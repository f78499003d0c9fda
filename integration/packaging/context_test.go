//go:build container

package packaging

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyContext copies what a build sees of the repository.
func copyContext(t *testing.T, to string) {
	t.Helper()
	matcher := ignored(t)
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == repository {
			return err
		}
		name, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		out, err := matcher.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && out && !strings.HasPrefix(name, "examples"):
			return fs.SkipDir // the patterns take nothing back below
		case d.IsDir() || out:
			return nil
		}
		return copyFile(path, filepath.Join(to, name))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copyFile copies a file, with its mode, into a folder that need not exist.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}
