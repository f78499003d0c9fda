package replica

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
)

const testPath = "jwt/default/revocations"

// mustDo ends the test if what can't fail has.
func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustLoad returns the content of an object that is there.
func mustLoad(t *testing.T, o Objects, name string) string {
	t.Helper()
	content, err := o.Load(context.Background(), name)
	mustDo(t, err)
	return string(content)
}

// expectNames compares a listing, whose error is none.
func expectNames(t *testing.T, o Objects, want ...string) {
	t.Helper()
	got, err := o.List(context.Background())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("listed %q, %v; want %q", got, err, want)
	}
}

func TestAFolderOfFilesHoldsObjects(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	o := Folder(storagetest.Files(t), testPath)
	expectNames(t, o)
	if err := o.Probe(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a probe without the marker: %v", err)
	}
	mustDo(t, o.Store(ctx, markerName, []byte("marker\n")))
	mustDo(t, o.Store(ctx, "1-b", []byte("B")))
	mustDo(t, o.Store(ctx, "1-a", []byte("A")))
	expectNames(t, o, "1-a", "1-b", markerName)
	if got := mustLoad(t, o, "1-a"); got != "A" {
		t.Error(got)
	}
	mustDo(t, o.Probe(ctx))
	mustDo(t, o.Delete(ctx, "1-a"))
	mustDo(t, o.Delete(ctx, "1-a"))
	expectNames(t, o, "1-b", markerName)
	if _, err := o.Load(ctx, "1-a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was deleted: %v", err)
	}
}

func TestNamesAndPathsThatNotEveryStorageCanHaveAreRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	storage := storagetest.Files(t)
	all := func(o Objects, name string) map[string]error {
		_, loaded := o.Load(ctx, name)
		return map[string]error{"Load": loaded, "Store": o.Store(ctx, name, []byte("x")), "Delete": o.Delete(ctx, name)}
	}
	o := Folder(storage, testPath)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a_b", "A", "a.b", "ä", "1234567890", strings.Repeat("a", 65), "a\n", "a:b", `a\b`} {
		for method, err := range all(o, name) {
			if !errors.Is(err, ErrName) {
				t.Errorf("%s of %q: %v", method, name, err)
			}
		}
	}
	for _, name := range []string{"a", "-", "0-1", strings.Repeat("a", 64)} {
		mustDo(t, o.Store(ctx, name, []byte("x")))
	}
	for _, path := range []string{"", ".", "..", "../jwt", "jwt/..", "jwt/../..", "jwt//a", "/jwt", "jwt/", "./jwt", `jwt\a`, "c:jwt"} {
		o := Folder(storage, path)
		errs := all(o, "a")
		_, errs["List"] = o.List(ctx)
		errs["Probe"] = o.Probe(ctx)
		for method, err := range errs {
			if !errors.Is(err, ErrPath) {
				t.Errorf("%s in %q: %v", method, path, err)
			}
		}
	}
	if _, err := Folder(nil, testPath).List(ctx); err == nil {
		t.Error("no storage is no error")
	}
}

func TestNothingEmptyIsAnObject(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	storage := storagetest.Files(t)
	o := Folder(storage, testPath)
	if err := o.Store(ctx, "a", nil); !errors.Is(err, ErrEmpty) {
		t.Errorf("storing nothing: %v", err)
	}
	expectNames(t, o)
	mustDo(t, storage.Store(ctx, testPath+"/a", nil))
	if _, err := o.Load(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file: %v", err)
	}
}

// plain is a storage of some type.
type plain struct {
	certmagic.Storage
	_ []int // not comparable
}

func TestWhatIsTheSameStorage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(path string) certmagic.Storage { return &certmagic.FileStorage{Path: path} }
	for _, c := range []struct {
		name string
		a, b certmagic.Storage
		want bool
	}{
		{"the same path", file(dir), file(dir), true},
		{"the same path, written differently", file(dir), file(dir + "/./"), true},
		{"another path", file(dir), file(dir + "/a"), false},
		{"the file system and another type", file(dir), plain{}, false},
		{"another type and the file system", plain{}, file(dir), false},
		{"two of another type", plain{}, plain{}, true},
		{"pointer and value", &plain{}, plain{}, false},
		{"none", nil, nil, false},
		{"one and none", file(dir), nil, false},
	} {
		if got := SameStorage(c.a, c.b); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	if !IsLocal(file(dir)) || IsLocal(plain{}) || IsLocal(nil) {
		t.Error("only the file system is local")
	}
}

func TestSomeStoragesNeedAWarning(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"caddy.storage.dynamodb":    "whole table",
		"caddy.storage.mysql":       "MEDIUMBLOB",
		"caddy.storage.redis":       "",
		"caddy.storage.file_system": "",
		"":                          "",
	} {
		if got := Warning(id); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", id, got)
		}
	}
}
