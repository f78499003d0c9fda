package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// writeFile replaces the content of a file.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tempFile makes a file in a folder of the test's own and returns its path.
func tempFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	writeFile(t, path, content)
	return path
}

// readFile returns the content of a file.
func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// removeFile removes a file, if it is there.
func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// toJSON encodes a value.
func toJSON(t *testing.T, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// checkStatus compares the status of an answer.
func checkStatus(t *testing.T, a answer, want int) {
	t.Helper()
	if a.status != want {
		t.Errorf("status %d, reason %q; want %d", a.status, a.header.Get("X-Reason"), want)
	}
}

// checkReason compares the status of an answer and the reason that an error route
// shows.
func checkReason(t *testing.T, a answer, status int, reason string) {
	t.Helper()
	if got := a.header.Get("X-Reason"); a.status != status || got != reason {
		t.Errorf("status %d, reason %q; want %d, %s", a.status, got, status, reason)
	}
}

// checkHeaders requires these headers, empty where they must be missing.
func checkHeaders(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s is %q; want %q", name, got.Get(name), value)
		}
	}
}
