package admin

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// Import and IDOf make fakeStore complete. It knows the hashes of imported keys alone.
func (f *fakeStore) Import(_ context.Context, records []apikey.Record, _ apikey.Actor) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	for _, r := range records {
		f.keys[r.ID] = apikey.StoredKey{Record: r, Secrets: 1}
	}
	return nil
}

func (f *fakeStore) IDOf(d apikey.Digest) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, k := range f.keys {
		if k.Hash == d {
			return id, true
		}
	}
	return "", false
}

// record returns a record as a key file has it. Its hash is made of a digit.
func record(id string, digit int, more string) string {
	return fmt.Sprintf(`{"id":%q,"hash":"sha256:%s"%s}`, id, strings.Repeat(fmt.Sprint(digit), 64), more)
}

func importBody(records ...string) string {
	return `{"store":"partners","import":[` + strings.Join(records, ",") + `]}`
}

func TestImportTakesKeysOverByTheirHashes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.store("partners").deleted = []string{"gone"}
	send := func(records ...string) []ImportedKey {
		t.Helper()
		answer := want[KeyImportAnswer](s, http.StatusCreated, http.MethodPost, "/jwt/api-keys", importBody(records...))
		if !answer.Stored {
			t.Error("it is not stored")
		}
		return answer.Keys
	}
	got := send(record("a", 1, `,"scopes":["x"],"created":"2020-01-02T03:04:05Z"`), record("b", 2, `,"enabled":false`), record("gone", 3, ""))
	if want := []ImportedKey{{"a", "added", ""}, {"b", "added", ""}, {"gone", "skipped", "a key with this id was deleted, which is final"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if a := s.store("partners").keys["a"]; len(a.Scopes) != 1 || a.Created.Year() != 2020 || a.Hash[0] != 0x11 {
		t.Errorf("the record is %+v", a)
	}
	got = send(record("a", 1, `,"scopes":["x"],"created":"2020-01-02T03:04:05Z"`), record("b", 2, `,"name":"B"`), record("c", 4, ""))
	if want := []ImportedKey{{"a", "unchanged", ""}, {"b", "updated", "it is disabled here and stays so; `caddy jwt api-key enable b` enables it"}, {"c", "added", ""}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if b := s.store("partners").keys["b"]; !b.Disabled || b.Name != "B" {
		t.Errorf("the record is %+v", b)
	}
	got = send(record("d", 1, ""), record("a", 9, ""))
	if want := []ImportedKey{{"a", "skipped", "the store already has this key, as a"}, {"a", "skipped", "the store has another key with this id"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if k := s.store("partners").keys["a"]; len(s.store("partners").keys) != 3 || k.Hash[0] != 0x11 {
		t.Error("a key was replaced")
	}
	page := want[AuditPage](s, http.StatusOK, http.MethodGet, "/jwt/audit", "")
	line := page.Items[1]
	if line.Action != "key_import" || line.Store != "partners" || !reflect.DeepEqual(line.Imported, []string{"b", "c"}) {
		t.Errorf("the line is %+v", line)
	}
	if text := s.send(http.MethodGet, "/jwt/audit", "").Body.String(); strings.Contains(text, strings.Repeat("1", 64)) {
		t.Error("a hash is in the audit log")
	}
}

// TestImportRefused: nothing is imported.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	many := make([]string, maxImport+1)
	for i := range many {
		many[i] = "0"
	}
	for name, c := range map[string]struct{ body, err string }{
		"nothing":            {importBody(), "import: it must be an array of records"},
		"no array":           {`{"store":"partners","import":{}}`, "import: it must be an array of records"},
		"too many":           {importBody(many...), "import: it has 1001 records; at most 1000"},
		"an invalid record":  {importBody(record("a", 1, ""), record("a b", 2, "")), "import: record 2: id: "},
		"a key for its hash": {importBody(`{"id":"a","hash":"cj_0123456789abcdefghij"}`), "import: record 1: hash: "},
		"a token in a name":  {importBody(record("a", 1, `,"name":"`+jwt(`{"a":1}`)+`"`)), "import: record 1: there is a token in it"},
		"no hash":            {importBody(`{"id":"a"}`), "import: record 1: hash is missing"},
		"an id twice":        {importBody(record("a", 1, ""), record("a", 2, "")), "import: record 2: another record has the same id or hash"},
		"a hash twice":       {importBody(record("a", 1, ""), record("b", 1, "")), "import: record 2: another record has the same id or hash"},
		"a member too many":  {`{"store":"partners","id":"a","import":[` + record("a", 1, "") + `]}`, `"id": unknown member; the members are import, store`},
		"no store":           {`{"store":"nobody","import":[` + record("a", 1, "") + `]}`, "there is no store"},
		"a hash to make":     {`{"store":"partners","hash":"sha256:0"}`, `unknown member`},
	} {
		t.Run(name, func(t *testing.T) {
			s.fails(http.StatusBadRequest, c.err, http.MethodPost, "/jwt/api-keys", c.body)
		})
	}
	s.store("partners").err = replica.ErrNotStored
	s.fails(http.StatusServiceUnavailable, "did not confirm", http.MethodPost, "/jwt/api-keys", importBody(record("a", 1, "")))
	if len(s.store("partners").keys) != 0 {
		t.Error("a key was imported")
	}
}

// TestImportOfTheLargestBody: as many values as a body can hold are read.
func TestImportOfTheLargestBody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var records []string
	for i := range 500 {
		records = append(records, fmt.Sprintf(`{"id":"k%d","hash":"sha256:%064d","scopes":["a","b","c","d","e","f"]}`, i, i))
	}
	answer := want[KeyImportAnswer](s, http.StatusCreated, http.MethodPost, "/jwt/api-keys", importBody(records...))
	if len(answer.Keys) != 500 || len(s.store("partners").keys) != 500 {
		t.Errorf("%d keys", len(answer.Keys))
	}
}

// TestLocalClient: the requests of a client without a server are served for its app.
func TestLocalClient(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := LocalClient(s.app)
	made, err := c.CreateKey(t.Context(), KeyRequest{Store: "staff", ID: "a"})
	if err != nil || made.ID != "a" || made.Key == "" || len(s.store("staff").keys) != 1 {
		t.Errorf("%+v %v", made, err)
	}
	_, err = c.GetKey(t.Context(), "staff", "b")
	status, ok := err.(*StatusError)
	if !ok || status.Code != http.StatusNotFound || !strings.Contains(status.Message, "no key") {
		t.Errorf("%v", err)
	}
	if page, ready, err := c.Status(t.Context()); err != nil || page.State == nil || !ready {
		t.Errorf("%+v %v %v", page, ready, err)
	}
}
