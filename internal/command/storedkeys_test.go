package command_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

const madeKey = `{"id":"Partner001","store":"s","consumer":"acme","scopes":["a"],"state":"enabled","secrets":1,"key":"cj_made","stored":true}`

func TestStoredKeyNew(t *testing.T) {
	t.Parallel()
	f := answering(t, "POST /jwt/api-keys", http.StatusCreated, madeKey)
	args := []string{"new", "--store", "s", "--address", f.address, "--id", "Partner001", "--name", "N", "--description", "D", "--consumer", "acme", "--scopes", "a, b",
		"--expires", "2100-01-02T03:04:05Z", "--meta", "plan=gold", "--prefix", "acme"}
	r := run(t, "", args...).want(t, 0, "This is the key, shown once. Its id is Partner001, in the store s.\n")
	if r.out != "cj_made\n" || strings.Contains(r.err, "cj_made") {
		t.Errorf("%+v", r)
	}
	want := map[string]any{
		"store": "s", "id": "Partner001", "name": "N", "description": "D", "consumer": "acme", "scopes": []any{"a", "b"},
		"expires": "2100-01-02T03:04:05Z", "meta": map[string]any{"plan": "gold"}, "prefix": "acme",
	}
	if got := f.body(t, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("the server got %v", got)
	}
	r = run(t, "", append(args, "--json")...).want(t, 0)
	if want := "{\n\t\"id\": \"Partner001\",\n\t\"store\": \"s\",\n\t\"consumer\": \"acme\",\n\t\"scopes\": [\n\t\t\"a\"\n\t],\n\t\"state\": \"enabled\",\n\t\"secrets\": 1,\n\t\"key\": \"cj_made\",\n\t\"stored\": true\n}\n"; r.out != want || r.err != "" {
		t.Errorf("--json is %s%s", r.out, r.err)
	}
	// Without flags nothing is asked for that the server would choose itself.
	f = answering(t, "POST /jwt/api-keys", http.StatusCreated, madeKey)
	run(t, "", "new", "--store", "s", "--address", f.address).want(t, 0)
	if got := f.body(t, 0); !reflect.DeepEqual(got, map[string]any{"store": "s", "prefix": "cj"}) {
		t.Errorf("the server got %v", got)
	}
	for status, code := range map[int]int{400: 2, 409: 1, 503: 1} {
		f := answering(t, "POST /jwt/api-keys", status, `{"error":"no"}`)
		run(t, "", "new", "--store", "s", "--address", f.address).want(t, code, "no")
	}
}

func TestStoredKeyRoll(t *testing.T) {
	t.Parallel()
	rolled := strings.Replace(madeKey, `"secrets":1`, `"secrets":2,"old_until":"2026-01-02T03:04:05Z"`, 1)
	f := answering(t, "PUT /jwt/api-keys/Partner001/secret", http.StatusOK, rolled)
	r := run(t, "", "roll", "Partner001", "--store", "s", "--overlap", "1d", "--address", f.address).want(t, 0, "The secret until now is accepted until 2026-01-02T03:04:05Z.")
	if r.out != "cj_made\n" || strings.Contains(r.err, "cj_made") {
		t.Errorf("%+v", r)
	}
	r = run(t, "Partner001\n", "roll", "@-", "--store", "s", "--overlap", "0s", "--address", f.address, "--json").want(t, 0)
	if got := parseJSON[map[string]any](t, r.out); got["key"] != "cj_made" || got["id"] != "Partner001" || got["old_until"] != "2026-01-02T03:04:05Z" {
		t.Errorf("%s", r.out)
	}
	f.wantRequests(t, `PUT /jwt/api-keys/Partner001/secret?store=s {"overlap":"24h0m0s","prefix":"cj"}`, `PUT /jwt/api-keys/Partner001/secret?store=s {"overlap":"0s","prefix":"cj"}`)
	run(t, "a\nb\n", "roll", "@-", "--store", "s", "--overlap", "0s", "--address", f.address).want(t, 1, "roll one key at a time")
	if len(f.requests()) != 2 {
		t.Error("it has rolled one of two")
	}
}

func TestStoredKeyEdit(t *testing.T) {
	t.Parallel()
	f := answering(t, "PATCH /jwt/api-keys/k", http.StatusOK, `{"id":"k","stored":true}`)
	for n, c := range []struct {
		args []string
		body map[string]any
	}{
		{[]string{"--name", "N", "--consumer", "c"}, map[string]any{"name": "N", "consumer": "c"}},
		{[]string{"--scopes", "a, b", "--expires", "2100-01-02T03:04:05Z"}, map[string]any{"scopes": []any{"a", "b"}, "expires": "2100-01-02T03:04:05Z"}},
		{[]string{"--meta", "a=1", "--meta", "b=2"}, map[string]any{"meta": map[string]any{"a": "1", "b": "2"}}},
		{[]string{"--scopes", "", "--expires", "never", "--meta", "", "--name", "", "--consumer", "", "--description", ""},
			map[string]any{"scopes": []any{}, "expires": nil, "meta": nil, "name": "", "consumer": "", "description": ""}},
	} {
		if r := run(t, "", append([]string{"edit", "k", "--store", "s", "--address", f.address}, c.args...)...).want(t, 0); r.out != "k: edited\n" {
			t.Errorf("%q", r.out)
		}
		if got := f.body(t, n); !reflect.DeepEqual(got, c.body) {
			t.Errorf("%v: the server got %v", c.args, got)
		}
	}
}

func TestKeyOfAFileEdit(t *testing.T) {
	t.Parallel()
	path, keys := keyFileWith(t)
	if r := run(t, "", "edit", "one", "--file", path, "--no-wait", "--name", "N", "--scopes", "", "--expires", "2100-01-02T03:04:05Z", "--meta", "a=1").want(t, 0); r.out != "one: edited\n" {
		t.Errorf("%q", r.out)
	}
	r := records(t, path)[0]
	if r.ID != "one" || r.Hash != apikey.DigestOf(keys[0]) || r.Name != "N" || len(r.Scopes) != 0 || r.Consumer != "Corp" || r.Expires.Year() != 2100 || string(r.Meta.AppendJSON(nil)) != `{"a":"1"}` {
		t.Errorf("%+v", r)
	}
	run(t, "", "edit", keys[0], "--file", path, "--no-wait", "--expires", "never", "--meta", "", "--consumer", "").want(t, 0)
	if r := records(t, path)[0]; !r.Expires.IsZero() || r.Meta.Len() != 0 || r.Consumer != "" || r.Name != "N" {
		t.Errorf("%+v", r)
	}
	run(t, "", "edit", "nobody", "--file", path, "--no-wait", "--name", "N").want(t, 1, "has no such key")
}

func TestStoredKeysList(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t, map[string][]answer{"GET /jwt/api-keys": {
		{http.StatusOK, `{"items":[{"id":"a","store":"s","name":"A","consumer":"c","scopes":["x","y"],"state":"enabled","created":"2026-01-02T03:04:05Z","expires":"2027-01-02T03:04:05Z","uses":{"last":"2026-02-03T04:05:06Z","today":1,"days_30":7}}],"next":"n"}`},
		{http.StatusOK, `{"items":[{"id":"b","store":"s","consumer":"b","scopes":[],"state":"disabled","old_until":"2026-01-02T03:04:05Z"}]}`},
	}})
	r := run(t, "", "list", "--store", "s", "--expiring", "14d", "--unused", "90d", "--address", f.address).want(t, 0)
	for n, want := range []string{
		"ID NAME CONSUMER SCOPES STATE CREATED EXPIRES LAST USED USES, 30 DAYS",
		"a A c x y enabled 2026-01-02 2027-01-02 2026-02-03 7", "b - b - disabled, rolled - - - -",
	} {
		if got := strings.Join(strings.Fields(strings.Split(r.out, "\n")[n]), " "); got != want {
			t.Errorf("line %d is %q, want %q", n+1, got, want)
		}
	}
	f.wantRequests(t, "GET /jwt/api-keys?expiring=14d&limit=1000&store=s&unused=90d", "GET /jwt/api-keys?after=n&expiring=14d&limit=1000&store=s&unused=90d")
	if r := run(t, "", "list", "--store", "s", "--json", "--address", f.address).want(t, 0); r.out != "[\n\t{\n\t\t\"id\": \"b\",\n\t\t\"store\": \"s\",\n\t\t\"consumer\": \"b\",\n\t\t\"scopes\": [],\n\t\t\"state\": \"disabled\",\n\t\t\"old_until\": \"2026-01-02T03:04:05Z\"\n\t}\n]\n" {
		t.Errorf("%s", r.out)
	}
	f = answering(t, "GET /jwt/api-keys", http.StatusOK, `{"items":[]}`)
	if r := run(t, "", "list", "--store", "s", "--json", "--address", f.address).want(t, 0); r.out != "[]\n" {
		t.Errorf("%q", r.out)
	}
}

func TestKeysOfAFileThatExpire(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(10 * 24 * time.Hour).UTC().Format(time.RFC3339)
	path, _ := keyFileWith(t)
	run(t, "", "new", "--append", path, "--id", "soon", "--expires", soon, "--no-wait").want(t, 0)
	run(t, "", "new", "--append", path, "--id", "later", "--expires", "100d", "--no-wait").want(t, 0)
	r := run(t, "", "list", "--file", path, "--expiring", "14d", "--json").want(t, 0)
	if list := parseJSON[[]struct{ ID string }](t, r.out); len(list) != 1 || list[0].ID != "soon" {
		t.Errorf("%s", r.out)
	}
}

// TestStoredKeyChangesWait: a change that the storage does not take is in force, and the
// command fails after all of them were made.
func TestStoredKeyChangesWait(t *testing.T) {
	t.Parallel()
	page := func(unstored int) answer {
		return answer{http.StatusOK, fmt.Sprintf(`{"state":{"sets":[{"name":"keys-s","unstored":%d},{"name":"revocations","unstored":5}]}}`, unstored)}
	}
	held := []answer{{http.StatusAccepted, `{"id":"a","stored":false}`}}
	f := newFakeServer(t, map[string][]answer{"PATCH /jwt/api-keys/a": held, "DELETE /jwt/api-keys/a": held, "DELETE /jwt/api-keys/b": held, "GET /jwt/status": {page(1), page(0)}})
	if r := run(t, "", "disable", "a", "--store", "s", "--address", f.address).want(t, 0); r.out != "a: disabled\n" {
		t.Errorf("%q", r.out)
	}
	if got := f.body(t, 0); !reflect.DeepEqual(got, map[string]any{"enabled": false}) {
		t.Errorf("%v", got)
	}
	f.mu.Lock()
	f.answers["GET /jwt/status"] = []answer{page(1)}
	f.mu.Unlock()
	r := run(t, "a\nb", "delete", "@-", "--store", "s", "--address", f.address)
	if r.code != 1 || r.out != "a: deleted\nb: deleted\n" || !strings.Contains(r.err, "holds on this node only") {
		t.Errorf("%+v", r)
	}
	r = run(t, "", "delete", "a", "--store", "s", "--address", f.address, "--no-wait", "--json")
	if r.code != 1 || r.out != "{\n\t\"id\": \"a\",\n\t\"action\": \"deleted\",\n\t\"stored\": false\n}\n" || !strings.Contains(r.err, "holds on this node only") {
		t.Errorf("%+v", r)
	}
	r = run(t, "a\nb\n", "delete", "@-", "--store", "s", "--address", f.address, "--no-wait", "--json")
	if got := parseJSON[[]map[string]any](t, r.out); r.code != 1 || len(got) != 2 || got[1]["id"] != "a" && got[1]["id"] != "b" {
		t.Errorf("%+v", r)
	}
}

// TestStoredKeysByTheirText: a key is named by its id alone, as paths of requests are
// logged.
func TestStoredKeysByTheirText(t *testing.T) {
	t.Parallel()
	key, _ := apikey.New("cj")
	id, _ := apikey.IDOf(key)
	f := newFakeServer(t, map[string][]answer{
		"PATCH /jwt/api-keys/" + id:                    {{http.StatusOK, `{"id":"x","stored":true}`}},
		"PATCH /jwt/api-keys/AnIdOf24CharactersAtMost": {{http.StatusOK, `{"id":"x","stored":true}`}},
		"GET /jwt/api-keys":                            {{http.StatusOK, `{"items":[{"id":"a"},{"id":"AnIdOf24CharactersAtMost"}]}`}},
	})
	if r := run(t, " "+key+" \n", "disable", "@-", "--store", "s", "--address", f.address).want(t, 0); r.out != id+": disabled\n" {
		t.Errorf("%q", r.out)
	}
	run(t, "", "disable", "AnIdOf24CharactersAtMost", "--store", "s", "--address", f.address).want(t, 0)
	foreign := "OfAWS0123456789abcdefghijklmnopqrstuvwxy"
	for _, args := range [][]string{{"disable", foreign}, {"delete", foreign}, {"edit", foreign, "--name", "N"}, {"roll", foreign, "--overlap", "1h"}} {
		r := run(t, "", append(args, "--store", "s", "--address", f.address)...).want(t, 1, "the store s has no such key")
		if strings.Contains(r.err, foreign) {
			t.Errorf("the key shows: %s", r.err)
		}
	}
	if all := strings.Join(f.requests(), "\n"); strings.Contains(all, foreign) || strings.Contains(all, key) {
		t.Errorf("the key was sent: %s", all)
	}
	run(t, "", "disable", "a b", "--store", "s", "--address", f.address).want(t, 1, "it is not a valid id")
}

// TestStoredKeysMisused: exit code 2, and the server is not asked for anything.
func TestStoredKeysMisused(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t, nil)
	path := write(t, "\n")
	for name, c := range map[string]struct {
		args []string
		err  string
	}{
		"file and store":        {[]string{"disable", "a", "--file", path, "--store", "s"}, "--file and --store exclude each other"},
		"neither":               {[]string{"edit", "a", "--name", "N"}, "or the store with --store"},
		"new in both":           {[]string{"new", "--append", path, "--store", "s"}, "--file and --store exclude each other"},
		"new in an empty store": {[]string{"new", "--store", ""}, "--store is empty"},
		"new: bad scope":        {[]string{"new", "--store", "s", "--scopes", "a b,c"}, "--scopes: "},
		"import into both":      {[]string{"import", path, "--append", path, "--store", "s"}, "--file and --store exclude each other"},
		"list of both":          {[]string{"list", "--file", path, "--store", "s"}, "--file and --store exclude each other"},
		"list: unused in files": {[]string{"list", "--file", path, "--unused", "90d"}, "--unused goes with --store"},
		"list: bad expiring":    {[]string{"list", "--store", "s", "--expiring", "soon"}, `--expiring: "soon" is not a valid duration`},
		"list: no time":         {[]string{"list", "--store", "s", "--unused", "0s"}, "--unused: it must be a duration above 0"},
		"edit nothing":          {[]string{"edit", "a", "--store", "s"}, "what is to be changed is missing"},
		"edit: bad expiry":      {[]string{"edit", "a", "--store", "s", "--expires", "2020-01-02T03:04:05Z"}, "--expires: 2020-01-02T03:04:05Z is in the past"},
		"edit: no expiry":       {[]string{"edit", "a", "--store", "s", "--expires", ""}, "write never for a key"},
		"edit: bad consumer":    {[]string{"edit", "a", "--store", "s", "--consumer", " a"}, "--consumer: "},
		"edit: bad scopes":      {[]string{"edit", "a", "--file", path, "--scopes", "a b"}, "--scopes: "},
		"edit: bad meta":        {[]string{"edit", "a", "--store", "s", "--meta", "x"}, "--meta: "},
		"edit: a long name":     {[]string{"edit", "a", "--file", path, "--name", strings.Repeat("x", 2000)}, "name: "},
		"roll in a file":        {[]string{"roll", "a", "--file", path, "--overlap", "1h"}, "a key in a file has one secret"},
		"roll without store":    {[]string{"roll", "a", "--overlap", "1h"}, "name the store with --store"},
		"roll without overlap":  {[]string{"roll", "a", "--store", "s"}, "--overlap is missing"},
		"roll: bad overlap":     {[]string{"roll", "a", "--store", "s", "--overlap", "-1h"}, "--overlap: "},
		"roll: bad prefix":      {[]string{"roll", "a", "--store", "s", "--overlap", "1h", "--prefix", "-"}, "--prefix: "},
		"another word":          {[]string{"rotate", "a"}, `unknown command "rotate" (is roll meant?)`},
		"and another":           {[]string{"update", "a"}, `unknown command "update" (is edit meant?)`},
		"bad address":           {[]string{"list", "--store", "s", "--address", "localhost"}, "write host and port"},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if name != "bad address" && name != "another word" && name != "and another" {
				args = append(append([]string(nil), c.args...), "--address", f.address)
			}
			run(t, "", args...).want(t, 2, c.err)
		})
	}
	f.wantRequests(t)
	if contentOf(t, path) != "\n" {
		t.Error("the file is changed")
	}
}

// TestImportIntoAStoreThatFails: the report tells which keys were imported.
func TestImportIntoAStoreThatFails(t *testing.T) {
	t.Parallel()
	var lines []string
	first := []string{}
	for n := range 201 {
		lines = append(lines, fmt.Sprintf(`{"id":"k%d","hash":"sha256:%064d"}`, n, n+1))
		if n < 200 {
			first = append(first, fmt.Sprintf(`{"id":"k%d","action":"added"}`, n))
		}
	}
	f := newFakeServer(t, map[string][]answer{"POST /jwt/api-keys": {
		{http.StatusCreated, `{"keys":[` + strings.Join(first, ",") + `],"stored":true}`}, {http.StatusServiceUnavailable, `{"error":"the storage did not confirm the change"}`},
	}})
	r := run(t, strings.Join(lines, "\n"), "import", "@-", "--store", "s", "--address", f.address)
	if r.code != 1 || !strings.Contains(r.err, "201 rows: 200 added, 0 updated, 0 unchanged, 0 superseded, 1 skipped") || !strings.Contains(r.err, "did not confirm") ||
		!strings.Contains(r.out, "the import ended before it") {
		t.Errorf("%+v", r)
	}
	f = answering(t, "POST /jwt/api-keys", http.StatusServiceUnavailable, `{"error":"the storage did not confirm the change"}`)
	run(t, lines[0], "import", "@-", "--store", "s", "--address", f.address).want(t, 1, "did not confirm")
}
