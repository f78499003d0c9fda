package apikey

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadEach(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	line := func(id string) string {
		return `{"id":"` + id + `","hash":"` + DigestOf(id+" with a long secret").String() + `"}` + "\n"
	}
	if err := os.WriteFile(path, []byte(line("b")+line("a")+"\n"+line("c")), 0o600); err != nil {
		t.Fatal(err)
	}
	var ids []string
	errEnough := errors.New("enough")
	visit := func(r Record) error {
		if ids = append(ids, r.ID); r.ID == "c" {
			return errEnough
		}
		return nil
	}
	if err := ReadEach(path, visit); !errors.Is(err, errEnough) || !slices.Equal(ids, []string{"b", "a", "c"}) {
		t.Error(err, ids)
	}
	if err := os.WriteFile(path, []byte(line("b")+"nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if bad, ok := errors.AsType[*LineError](ReadEach(path, func(Record) error { return nil })); !ok || bad.Line != 2 {
		t.Error(bad)
	}
	if err := ReadEach(path+".gone", visit); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAllKeysOfASet(t *testing.T) {
	t.Parallel()
	var records []Record
	for _, id := range []string{"a", "b", "c", "d"} {
		records = append(records, Record{ID: id, Consumer: "of " + id, Hash: DigestOf(id)})
	}
	set, err := NewSet(records)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for k := range set.All() {
		all = append(all, k.Consumer())
	}
	slices.Sort(all)
	if !slices.Equal(all, []string{"of a", "of b", "of c", "of d"}) {
		t.Error(all)
	}
	for range set.All() {
		break // which must end it
	}
}

func TestContainsKey(t *testing.T) {
	t.Parallel()
	text, _ := New("cj")
	for _, with := range []string{text, "the key " + text + ".", text[:len(text)-1] + "x"} {
		if !ContainsKey(with) {
			t.Errorf("%q", with)
		}
	}
	for _, without := range []string{"", "acme", text[:len(text)-1], strings.ReplaceAll(text, "_", "-")} {
		if ContainsKey(without) {
			t.Errorf("%q", without)
		}
	}
}
