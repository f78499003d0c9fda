package apikey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// update changes a key file, which must go well.
func update(t testing.TB, path string, create bool, change func(*Edit) error) {
	t.Helper()
	if _, err := Update(path, create, change); err != nil {
		t.Fatal(err)
	}
}

func put(ids ...string) func(*Edit) error {
	return func(f *Edit) error {
		for _, id := range ids {
			if err := f.Put(record(id)); err != nil {
				return err
			}
		}
		return nil
	}
}

func content(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// onlyIn checks that a folder holds these files and locks, and nothing that was
// left behind.
func onlyIn(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, entry := range must(os.ReadDir(dir)) {
		if name := entry.Name(); !strings.HasSuffix(name, ".lock") && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func TestAKeyFileInHand(t *testing.T) {
	t.Parallel()
	f := must(parseEdit(strings.NewReader(keyLines("a", "b", "c")), "keys.jsonl"))
	all := func() string {
		text := ""
		for _, r := range f.Records() {
			text += r.ID
		}
		return text
	}
	if got := all(); got != "abc" {
		t.Errorf("read: %s", got)
	}
	if r, ok := f.Find("b"); !ok || r.Hash != record("b").Hash {
		t.Errorf("b: %+v %v", r, ok)
	}
	if r, ok := f.FindHash(record("c").Hash); !ok || r.ID != "c" {
		t.Errorf("c by its hash: %+v %v", r, ok)
	}
	if _, ok := f.Find("d"); ok {
		t.Error("d is there")
	}
	if !f.Delete("b") || f.Delete("b") || f.Delete("d") {
		t.Error("deleting says the wrong thing")
	}
	if _, ok := f.Find("b"); ok {
		t.Error("b is still there")
	}
	if _, ok := f.FindHash(record("b").Hash); ok {
		t.Error("the hash of b is still there")
	}
	if got := all(); got != "ac" {
		t.Errorf("b deleted: %s", got)
	}
	// Its id and its hash are free again, for one key each.
	other := record("e")
	other.Hash = record("b").Hash
	if err := f.Put(other); err != nil {
		t.Error(err)
	}
	if err := f.Put(record("b")); err == nil || !strings.Contains(err.Error(), "already has this key, as e") {
		t.Errorf("a key twice: %v", err)
	}
	// A record with another hash sets the old one free.
	changed := record("a")
	changed.Hash = DigestOf("rolled")
	if err := f.Put(changed); err != nil {
		t.Error(err)
	}
	if _, ok := f.FindHash(record("a").Hash); ok {
		t.Error("the old hash of a is still there")
	}
	if r, ok := f.FindHash(DigestOf("rolled")); !ok || r.ID != "a" {
		t.Error("the new hash of a is not there")
	}
	if got := all(); got != "ace" {
		t.Errorf("in the end: %s, want the order kept", got)
	}
}

func TestUnchangedLinesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	odd := "  {\"hash\" :\t\"" + record("a").Hash.String() + "\",  \"id\":\"\\u0061\",\"meta\":{\"n\":1.00}, \"scopes\":[ ] } "
	same := strings.ToUpper(record("z").Hash.String())
	upper := `{"enabled":true,"id":"z","hash":"` + same + `"}`
	must(0, os.WriteFile(path, []byte(odd+"\n"+keyLines("b", "c")+upper+"\n"), 0o600))
	update(t, path, false, func(f *Edit) error {
		b, _ := f.Find("b")
		b.Disabled = true
		if !f.Delete("c") {
			return errors.New("c is not there")
		}
		return errors.Join(f.Put(b), f.Put(record("d")))
	})
	want := odd + "\n" + strings.Replace(keyLines("b"), `"enabled":true`, `"enabled":false`, 1) + upper + "\n" + keyLines("d")
	if got := content(t, path); got != want {
		t.Errorf("it is now\n%s, want\n%s", got, want)
	}
	update(t, path, false, func(*Edit) error { return nil })
	if got := content(t, path); got != want {
		t.Errorf("unchanged it is\n%s, want\n%s", got, want)
	}
	if s, info, held, err := loadSet(path, openFile); err != nil || s.Len() != 4 || info.Size() != int64(len(want)) {
		t.Errorf("read again: %v", err)
	} else {
		must(0, held.Close())
	}
}

func TestTheModeOfAKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mode := func(name string) fs.FileMode { return must(os.Stat(filepath.Join(dir, name))).Mode() }
	update(t, filepath.Join(dir, "new"), true, put("a"))
	if got := mode("new"); got != 0o600 {
		t.Errorf("a new one: %o", got)
	}
	for _, want := range []fs.FileMode{0o640, 0o644, 0o400} {
		name := fmt.Sprintf("old%o", want)
		must(0, os.WriteFile(filepath.Join(dir, name), []byte(keyLines("a")), 0o600))
		must(0, os.Chmod(filepath.Join(dir, name), want))
		update(t, filepath.Join(dir, name), true, put("b"))
		if got := mode(name); got != want {
			t.Errorf("an old one of %o: %o", want, got)
		}
	}
	onlyIn(t, dir, "new", "old640", "old644", "old400")
}

func TestAKeyFileBehindALinkIsReplacedThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(0, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	real, link := filepath.Join(dir, "real", "keys.jsonl"), filepath.Join(dir, "keys.jsonl")
	must(0, os.WriteFile(real, []byte(keyLines("a")), 0o600))
	must(0, os.Symlink(filepath.Join("real", "keys.jsonl"), link))
	update(t, link, false, put("b"))
	if to, err := os.Readlink(link); err != nil || to != filepath.Join("real", "keys.jsonl") {
		t.Errorf("the link is gone: %s %v", to, err)
	}
	if info := must(os.Lstat(real)); !info.Mode().IsRegular() {
		t.Errorf("the file is %s", info.Mode())
	}
	if got := content(t, real); got != keyLines("a", "b") {
		t.Error(got)
	}
	onlyIn(t, dir, "real", "keys.jsonl")
	onlyIn(t, filepath.Join(dir, "real"), "keys.jsonl")
}

func TestAKeyFileThatCantBeChangedStaysAsItIs(t *testing.T) {
	t.Parallel()
	errNo := errors.New("no")
	whole := keyLines("a", "b")
	large := record("c")
	large.Scopes = []string{strings.Repeat("s", maxLine)}
	wild := record("c")
	wild.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, row := range map[string]struct {
		before string
		change func(*Edit) error
		want   string
	}{
		"the change fails":      {whole, func(f *Edit) error { f.Delete("a"); return errNo }, "no"},
		"a broken line":         {whole + "{}\n", put("c"), "keys.jsonl:3: id is missing"},
		"emptied":               {"", put("c"), "it is empty, as if its content was lost"},
		"cut off":               {whole[:len(whole)-1], put("c"), "keys.jsonl:2: the last line does not end"},
		"two keys of one hash":  {whole + keyLines("a"), put("c"), "keys.jsonl:3: the keys a (line 1) and a (line 3)"},
		"a line of over 64 KiB": {whole, func(f *Edit) error { return f.Put(large) }, "c: the line is longer than 64 KiB"},
		"a time of year 10000":  {whole, func(f *Edit) error { return f.Put(wild) }, "year outside of range"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "keys.jsonl")
		must(0, os.WriteFile(path, []byte(row.before), 0o600))
		before := must(os.Stat(path))
		info, err := Update(path, true, row.change)
		if err == nil || !strings.Contains(err.Error(), row.want) || info != nil {
			t.Errorf("%s: %v, want %s", what, err, row.want)
		}
		if got := content(t, path); got != row.before {
			t.Errorf("%s: it is now\n%s", what, got)
		}
		if !(filewatch.State{before}).Unwritten(filewatch.State{must(os.Stat(path))}) {
			t.Errorf("%s: it is another file", what)
		}
		onlyIn(t, dir, "keys.jsonl")
	}
	t.Run("a missing one is not made", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		path := filepath.Join(dir, "keys.jsonl")
		if _, err := Update(path, false, put("a")); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if _, err := Update(path, true, func(*Edit) error { return errNo }); !errors.Is(err, errNo) {
			t.Error(err)
		}
		onlyIn(t, dir)
		if _, err := Update(filepath.Join(dir, "no", "keys.jsonl"), true, put("a")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("in a folder that is not there: %v", err)
		}
	})
	t.Run("a folder in its place", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		must(0, os.Mkdir(filepath.Join(dir, "keys.jsonl"), 0o700))
		if _, err := Update(filepath.Join(dir, "keys.jsonl"), true, put("a")); err == nil {
			t.Error("no error")
		}
		onlyIn(t, dir, "keys.jsonl")
	})
}

func TestTheLastKeyIsDeleted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	update(t, path, true, put("a"))
	f := must(NewFile(FileConfig{Path: path}))
	t.Cleanup(f.Close)
	update(t, path, false, func(f *Edit) error { f.Delete("a"); return nil })
	if got := content(t, path); got != "\n" {
		t.Errorf("it is %q", got)
	}
	must(f.Reread())()
	if n := f.Set().Len(); n != 0 {
		t.Errorf("%d keys", n)
	}
	update(t, path, false, put("b"))
	if got := content(t, path); got != keyLines("b") {
		t.Errorf("with a key again it is %q", got)
	}
}

func TestUpdateTellsTheStateOfTheNewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	info := must(Update(path, true, put("a", "b")))
	if !(filewatch.State{info}).Unwritten(filewatch.State{must(os.Stat(path))}) {
		t.Errorf("%s of %d bytes is not what is there", info.Name(), info.Size())
	}
}

func TestChangesAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.jsonl")
	const writers, each = 8, 6
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				if _, err := Update(path, true, put(fmt.Sprintf("k%d-%d", w, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := len(must(OpenEdit(path)).Records()); got != writers*each {
		t.Errorf("%d keys, want %d", got, writers*each)
	}
	onlyIn(t, dir, "keys.jsonl")
}

func TestALinkThatLeadsNowhereIsNoKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "keys.jsonl")
	must(0, os.Symlink("gone/keys.jsonl", link))
	if _, err := Update(link, true, put("a")); err == nil || !strings.Contains(err.Error(), "leads to gone/keys.jsonl") {
		t.Error(err)
	}
	onlyIn(t, dir, "keys.jsonl")
}

// With & and < as escapes of six bytes a line that was good would grow too long.
func TestARewrittenLineDoesNotGrow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	r := record("a")
	for n := range 20 {
		r.Scopes = append(r.Scopes, fmt.Sprint(n, strings.Repeat("&<>", 900)))
	}
	update(t, path, true, func(f *Edit) error { return f.Put(r) })
	before := content(t, path)
	r.Disabled = true
	update(t, path, false, func(f *Edit) error { return f.Put(r) })
	if got, want := content(t, path), strings.Replace(before, `"enabled":true`, `"enabled":false`, 1); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}
