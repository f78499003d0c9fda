package integration

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publicPEM is a public key in PEM.
func publicPEM(t *testing.T, material any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(material)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Nothing of a key is left anywhere but in its file, whatever becomes of the command.
func TestDesk_NothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	var said strings.Builder
	run := func(code int, args ...string) keyCommand {
		t.Helper()
		r := jwtCommandIn(t, dir, nil, args...)
		if r.code != code {
			t.Errorf("%q: %s", args, r)
		}
		said.WriteString(r.stdout + r.stderr)
		return r
	}
	run(0, "keygen", "--out", at("key"), "--jwks", at("set"))
	run(0, "keygen", "--alg", "HS256", "--out", at("secret"), "--json")
	for name, mode := range map[string]fs.FileMode{"key": 0o600, "secret": 0o600} {
		if info, err := os.Stat(at(name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	private, secret := readFile(t, at("key")), readFile(t, at("secret"))
	run(1, "keygen", "--out", at("key"))
	run(1, "keygen", "--alg", "HS256", "--out", at("secret"))
	run(2, "keygen", "--out", at("key"), "--force")
	if err := os.Symlink(at("target"), at("link")); err != nil {
		t.Fatal(err)
	}
	run(1, "keygen", "--out", at("link"))
	run(1, "keygen", "--out", at("other"), "--jwks", at("link"))
	for _, name := range []string{"target", "other"} {
		if _, err := os.Lstat(at(name)); !os.IsNotExist(err) {
			t.Errorf("%s was made or left: %v", name, err)
		}
	}
	run(0, "sign", "--key", at("key"), "--expires", "1h", "--out", at("token"))
	run(1, "sign", "--key", at("secret"), "--expires", "1h")
	run(1, "sign", "--secret-file", at("key"), "--expires", "1h")
	run(1, "decode", "@"+at("key"))
	run(1, "decode", "@"+at("secret"))
	run(1, "jwks", at("secret"))
	run(0, "jwks", at("key"))
	if err := os.Chmod(at("key"), 0o640); err != nil {
		t.Fatal(err)
	}
	run(1, "sign", "--key", at("key"), "--expires", "1h")
	if readFile(t, at("key")) != private || readFile(t, at("secret")) != secret {
		t.Error("a file was overwritten")
	}
	lines := strings.Split(private, "\n")
	for _, part := range []string{lines[1][40:], lines[2], secret[:20]} {
		if strings.Contains(said.String(), part) {
			t.Errorf("a part of a key was printed")
		}
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Type()&fs.ModeSymlink != 0 || path == at("key") || path == at("secret") {
			return err
		}
		if text := readFile(t, path); strings.Contains(text, lines[1][40:]) || strings.Contains(text, secret[:20]) {
			t.Errorf("%s has a part of a key", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
