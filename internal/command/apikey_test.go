package command_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // what the quickstart runs

	caddyjwt "github.com/caddy-jwt/caddy-jwt"
	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/command"
)

// ran is what came of a command.
type ran struct {
	code     int
	out, err string // standard output; standard error and the command's error
}

// run runs caddy jwt api-key with standard input and arguments.
func run(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	return runJWT(t, stdin, append([]string{"api-key"}, args...)...)
}

// runJWT runs caddy jwt with standard input and arguments.
func runJWT(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	return runCommand(t, command.New(nil), stdin, args...)
}

// runCommand runs the command caddy jwt with standard input and arguments.
func runCommand(t *testing.T, jwt caddycmd.Command, stdin string, args ...string) ran {
	t.Helper()
	return runWith(t, jwt, stdin, append([]string{"jwt"}, args...)...)
}

// runRoot runs caddy with arguments.
func runRoot(t *testing.T, args ...string) ran {
	t.Helper()
	return runWith(t, command.New(nil), "", args...)
}

// runWith runs caddy, with this command jwt, with standard input and arguments.
func runWith(t *testing.T, jwt caddycmd.Command, stdin string, args ...string) ran {
	t.Helper()
	caddy := treeOf(jwt).Parent()
	var out, notes strings.Builder
	caddy.SetIn(strings.NewReader(stdin))
	caddy.SetOut(&out)
	caddy.SetErr(&notes)
	caddy.SetArgs(args)
	err := caddy.Execute()
	r := ran{out: out.String(), err: notes.String()}
	if err != nil {
		r.code = 1
		r.err += err.Error()
		// Caddy's error with an exit code has no public type.
		if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct && v.FieldByName("ExitCode").IsValid() {
			r.code = int(v.FieldByName("ExitCode").Int())
		}
	}
	return r
}

// want checks the exit code, and what standard error has in it.
func (r ran) want(t *testing.T, code int, texts ...string) ran {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d: %s", r.code, code, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.err, text) {
			t.Errorf("standard error is\n%s\nwant in it: %s", r.err, text)
		}
	}
	if code != 0 && r.out != "" && !strings.HasPrefix(r.out, "LINE") { // but for the report of an import
		t.Errorf("standard output is %q", r.out)
	}
	return r
}

// madeRecord is what new --json prints.
type madeRecord struct {
	Key, ID, Caddyfile string
	Record             json.RawMessage
}

func parseJSON[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func records(t *testing.T, path string) []apikey.Record {
	t.Helper()
	f, err := apikey.OpenEdit(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Records()
}

// write writes a file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newFile is the path of a file that is not there yet.
func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "keys.jsonl")
}

func TestAPIKeyNewPrintsTheKeyOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	for n, args := range [][]string{
		{"new"},
		{"new", "--append", path, "--no-wait"},
		{"new", "--append", path, "--no-wait", "--consumer", "partner", "--scopes", "a,b", "--meta", "plan=gold", "--prefix", "acme_live", "--name", "Partner", "--description", "x"},
	} {
		r := run(t, "", args...).want(t, 0, "This is the key, shown once.")
		key, ok := strings.CutSuffix(r.out, "\n")
		if !ok || apikey.CheckText(key) != nil || apikey.Weak(key) || strings.ContainsAny(key, " \n") {
			t.Fatalf("standard output is %q", r.out)
		}
		id, ok := apikey.IDOf(key)
		if !ok || !strings.Contains(r.err, id) {
			t.Errorf("the key has the id %q; standard error: %s", id, r.err)
		}
		secret := key[strings.LastIndex(key, "_")+1:]
		if strings.Contains(r.err, key) || strings.Contains(r.err, secret) {
			t.Errorf("the key is on standard error too: %s", r.err)
		}
		if n == 0 {
			if hash := apikey.DigestOf(key).String(); strings.Count(r.err, hash) != 2 || !strings.Contains(r.err, "\napi_key "+id+" "+hash+"\n") {
				t.Errorf("record and Caddyfile are missing: %s", r.err)
			}
			continue
		}
		if text := contentOf(t, path); strings.Contains(text, key) || strings.Contains(text, secret) {
			t.Errorf("the key is in the file: %s", text)
		}
		list := records(t, path)
		if len(list) != n || list[n-1].ID != id || list[n-1].Hash != apikey.DigestOf(key) {
			t.Errorf("the file has %v", list)
		}
	}
	if info, err := os.Stat(path); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v %v", info.Mode(), err)
	}
	last := records(t, path)[1]
	if last.Consumer != "partner" || last.Name != "Partner" || last.Description != "x" || !slices.Equal(last.Scopes, []string{"a", "b"}) || string(last.Meta.AppendJSON(nil)) != `{"plan":"gold"}` {
		t.Errorf("the record is %+v", last)
	}
	if age := time.Since(last.Created); age < -time.Minute || age > time.Hour || last.Disabled || !last.Expires.IsZero() {
		t.Errorf("the record is %+v", last)
	}
}

func TestAPIKeyNewJSON(t *testing.T) {
	t.Parallel()
	r := run(t, "", "new", "--json", "--id", "partner", "--expires", "90d", "--prefix", "acme_live", "--meta", "a=<b>&c", "--meta", "empty=").want(t, 0)
	made := parseJSON[madeRecord](t, r.out)
	record, err := apikey.ParseRecord(made.Record)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.out)
	}
	if made.ID != "partner" || record.ID != "partner" || record.Hash != apikey.DigestOf(made.Key) || !strings.HasPrefix(made.Key, "acme_live_") || !strings.HasPrefix(made.Caddyfile, "api_key partner sha256:") {
		t.Errorf("%s", r.out)
	}
	if got := string(record.Meta.AppendJSON(nil)); got != `{"a":"<b>&c","empty":""}` {
		t.Errorf("meta is %s", got)
	}
	if d := time.Until(record.Expires); d > 90*24*time.Hour || d < 90*24*time.Hour-time.Hour {
		t.Errorf("it expires in %s", d)
	}
	if strings.Count(r.out, made.Key) != 1 || r.err != "" {
		t.Errorf("%s\n%s", r.out, r.err)
	}
	// An id of the right form is in the key's text, another is in the record alone.
	for id, inside := range map[string]bool{"Partner001": true, "Partner01": false, "Partner-01": false} {
		made := parseJSON[madeRecord](t, run(t, "", "new", "--json", "--id", id, "--scopes", "a, b ,c").want(t, 0).out)
		got, ok := apikey.IDOf(made.Key)
		record, err := apikey.ParseRecord(made.Record)
		if !ok || (got == id) != inside || err != nil || record.ID != id || record.Hash != apikey.DigestOf(made.Key) || !slices.Equal(record.Scopes, []string{"a", "b", "c"}) {
			t.Errorf("--id %s: the key's id is %q (%v), the record %s", id, got, ok, made.Record)
		}
	}
	again := parseJSON[madeRecord](t, run(t, "", "new", "--json", "--expires", "2030-01-02T03:04:05+01:00").want(t, 0).out)
	if record, err := apikey.ParseRecord(again.Record); err != nil || !record.Expires.Equal(time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC)) {
		t.Errorf("%v %s", err, again.Record)
	}
}

// TestAPIKeyCommandsMisused: exit code 2 and, for what is a value, its flag.
func TestAPIKeyCommandsMisused(t *testing.T) {
	t.Parallel()
	path := write(t, "\n")
	for name, c := range map[string]struct {
		args []string
		err  string
	}{
		"no command":             {nil, "a command is missing; the commands are: delete, disable, edit, enable, hash, import, list, new, roll"},
		"no such command":        {[]string{"frobnicate"}, `unknown command "frobnicate"; the commands are: delete, `},
		"another word for one":   {[]string{"revoke", "x", "--file", "f"}, `unknown command "revoke" (is disable or delete meant?); the commands are: `},
		"a misspelled command":   {[]string{"disabel", "x", "-f", "f", "--json"}, `unknown command "disabel" (is disable meant?); the commands are: `},
		"a key for a command":    {[]string{"cj_0123456789_" + strings.Repeat("x", 49)}, "unknown command; the commands are: "},
		"a key for a flag":       {[]string{"hash", "--cj_0123456789_" + strings.Repeat("x", 49)}, "invalid flag; caddy help jwt api-key hash lists the flags"},
		"list: append":           {[]string{"list", "--append", path}, "list has no --append; use --file"},
		"delete: append":         {[]string{"delete", "one", "--append", path}, "delete has no --append; use --file"},
		"new: append and file":   {[]string{"new", "--file", path}, "--append and --file mean the same; remove one"},
		"new: time of the past":  {[]string{"new", "--expires", "2020-01-02T03:04:05Z"}, "--expires: 2020-01-02T03:04:05Z is in the past"},
		"new: a time, or how":    {[]string{"new", "--expires", "next year"}, ", or a duration such as 90d"},
		"new: no such config":    {[]string{"new", "--config", "/nowhere/Caddyfile"}, "finding the admin endpoint: "},
		"new: https":             {[]string{"new", "--address", "https://localhost:2019"}, `--address: "https://localhost:2019" is not a valid address of an admin endpoint; write host and port, such as localhost:2019`},
		"new: no port":           {[]string{"new", "--address", "localhost"}, "write host and port"},
		"new: a path":            {[]string{"new", "--address", "http://localhost:2019/jwt"}, "write host and port"},
		"disable: bad address":   {[]string{"disable", "a", "--file", path, "--address", "localhost:x"}, "write host and port"},
		"import: bad address":    {[]string{"import", path, "--file", path, "--address", "localhost:1-2"}, "write host and port"},
		"new: an argument":       {[]string{"new", "partner"}, "usage: caddy jwt api-key new [--append <file>]"},
		"new: an unknown flag":   {[]string{"new", "--scope", "a"}, "unknown flag: --scope; is --scopes meant?"},
		"new: bad id":            {[]string{"new", "--id", "a b"}, `--id: "a b" is not a valid id`},
		"new: bad time":          {[]string{"new", "--expires", "tomorrow"}, `--expires: "tomorrow" is not a valid time`},
		"new: time without zone": {[]string{"new", "--expires", "2030-01-02T03:04:05"}, "--expires: "},
		"new: negative time":     {[]string{"new", "--expires", "-1h"}, "--expires: -1h is not in the future"},
		"new: no time at all":    {[]string{"new", "--expires", "0s"}, "--expires: 0s is not in the future"},
		"new: meta without =":    {[]string{"new", "--meta", "plan"}, `--meta: "plan" is not a valid name=value`},
		"new: meta without name": {[]string{"new", "--meta", "=gold"}, `--meta: "=gold" is not a valid name=value`},
		"new: meta twice":        {[]string{"new", "--meta", "a=1", "--meta", "a=2"}, `--meta: duplicate "a"`},
		"new: meta too large":    {[]string{"new", "--meta", "a=" + strings.Repeat("x", 9000)}, "meta"},
		"new: bad scope":         {[]string{"new", "--scopes", "a b"}, "--scopes: "},
		"new: an empty scope":    {[]string{"new", "--scopes", "a,,b"}, "--scopes: "},
		"new: bad consumer":      {[]string{"new", "--consumer", " a"}, "consumer"},
		"new: bad prefix":        {[]string{"new", "--prefix", "a-b"}, `--prefix: "a-b" is not a valid prefix`},
		"new: no prefix":         {[]string{"new", "--prefix", ""}, `--prefix: "" is not a valid prefix`},
		"new: a long name":       {[]string{"new", "--name", strings.Repeat("x", 2000)}, "name"},
		"hash: nothing":          {[]string{"hash"}, "usage: caddy jwt api-key hash <key | @file | @->"},
		"hash: two":              {[]string{"hash", "a", "b"}, "usage: caddy jwt api-key hash"},
		"list: no file":          {[]string{"list"}, "name the key file with --file"},
		"list: an argument":      {[]string{"list", path}, "usage: caddy jwt api-key list --file <file>"},
		"disable: no file":       {[]string{"disable", "a"}, "name the key file with --file"},
		"disable: nothing":       {[]string{"disable", "--file", path}, "usage: caddy jwt api-key disable"},
		"enable: no file":        {[]string{"enable", "a"}, "name the key file with --file"},
		"delete: no file":        {[]string{"delete", "a"}, "name the key file with --file"},
		"delete: two":            {[]string{"delete", "a", "b", "--file", path}, "usage: caddy jwt api-key delete"},
		"import: no file":        {[]string{"import", path}, "name the key file to take the keys into with --append"},
		"import: nothing":        {[]string{"import", "--append", path}, "usage: caddy jwt api-key import"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			into := newFile(t)
			if len(args) > 1 && args[0] == "new" {
				args = append(slices.Clone(args), "--append", into, "--no-wait")
			}
			if r := run(t, "", args...).want(t, 2, c.err); strings.Contains(r.err, "cj_0123456789") {
				t.Error("the key shows")
			}
			if _, err := os.Stat(into); err == nil {
				t.Error("it has made the file")
			}
		})
	}
	if contentOf(t, path) != "\n" {
		t.Error("the file is changed")
	}
}

func TestAPIKeyHash(t *testing.T) {
	t.Parallel()
	key, _ := apikey.New("test")
	want := apikey.DigestOf(key).String()
	for name, r := range map[string]ran{
		"the key":                   run(t, "", "hash", key),
		"standard input":            run(t, key, "hash", "@-"),
		"standard input, a line":    run(t, key+"\n", "hash", "@-"),
		"a file":                    run(t, "", "hash", "@"+write(t, key)),
		"a file with a line's end":  run(t, "", "hash", "@"+write(t, key+"\n")),
		"a file of Windows":         run(t, "", "hash", "@"+write(t, key+"\r\n")),
		"JSON":                      run(t, "", "hash", "--json", key),
		"JSON, from standard input": run(t, key, "hash", "@-", "--json"),
	} {
		r.want(t, 0)
		got := strings.TrimSuffix(r.out, "\n")
		if strings.HasPrefix(name, "JSON") {
			got = parseJSON[struct{ Hash string }](t, r.out).Hash
		}
		if got != want || r.err != "" {
			t.Errorf("%s: %q %q", name, r.out, r.err)
		}
	}
	weak := run(t, "", "hash", strings.Repeat("abcdefg", 5)).want(t, 0, "The key has few different characters and could be guessed")
	if weak.out != apikey.DigestOf(strings.Repeat("abcdefg", 5)).String()+"\n" {
		t.Errorf("%q", weak.out)
	}
	for name, c := range map[string]struct{ stdin, arg, err string }{
		"short":             {"", key[:19], "an API key has at least 20 characters, this one has 19"},
		"long":              {"", strings.Repeat(key, 10), "at most 512 characters"},
		"a hash":            {"", want, "it is already a hash"},
		"two lines":         {key + "\n\n", "@-", "visible ASCII"},
		"a space":           {"", key + " ", "visible ASCII"},
		"nothing":           {"", "@-", "this one has 0"},
		"no file":           {"", "@/nowhere/key", "open /nowhere/key"},
		"a relative file":   {"", "@nope", "(relative to "},
		"a key for a file":  {"", "@" + key, "no file has this name; write a key itself without @"},
		"too much on stdin": {strings.Repeat("x", 2<<20), "@-", "standard input holds more than 1 MiB"},
	} {
		if r := run(t, c.stdin, "hash", c.arg).want(t, 1, c.err); strings.Contains(r.err, key[:19]) {
			t.Errorf("%s: the key shows in: %s", name, r.err)
		}
	}
}

// keyFileWith makes a key file of three keys: one, two (disabled), three (expired).
func keyFileWith(t *testing.T) (path string, keys [3]string) {
	t.Helper()
	text := ""
	for n, rest := range []string{`"consumer":"Corp","name":"The-first","scopes":["a","b"],"created":"2020-01-02T03:04:05Z"`, `"enabled":false`, `"expires":"2020-02-03T04:05:06Z"`} {
		keys[n], _ = apikey.New("test")
		text += fmt.Sprintf(`{"id":%q,"hash":%q,%s}`+"\n", []string{"one", "two", "three"}[n], apikey.DigestOf(keys[n]), rest)
	}
	return write(t, text), keys
}

func TestAPIKeyList(t *testing.T) {
	t.Parallel()
	path, keys := keyFileWith(t)
	r := run(t, "", "list", "--file", path).want(t, 0)
	for n, want := range []string{"ID NAME CONSUMER SCOPES STATE CREATED EXPIRES", "one The-first Corp a b enabled 2020-01-02 -", "two - two disabled - -", "three - three expired - 2020-02-03"} {
		if got := strings.Join(strings.Fields(strings.Split(r.out, "\n")[n]), " "); got != want {
			t.Errorf("line %d is %q, want %q", n+1, got, want)
		}
	}
	asJSON := run(t, "", "list", "-f", path, "--json").want(t, 0)
	list := parseJSON[[]struct {
		ID, Name, Consumer, State, Created, Expires string
		Scopes                                      []string
	}](t, asJSON.out)
	if len(list) != 3 || list[0].State != "enabled" || list[1].State != "disabled" || list[2].State != "expired" || list[0].Consumer != "Corp" || list[1].Consumer != "two" ||
		list[2].Expires != "2020-02-03T04:05:06Z" || list[0].Expires != "" || !slices.Equal(list[0].Scopes, []string{"a", "b"}) {
		t.Errorf("%s", asJSON.out)
	}
	for _, key := range keys {
		if hash := apikey.DigestOf(key).String()[7:]; strings.Contains(r.out+asJSON.out, hash) {
			t.Error("the hash is newListedKey")
		}
	}
	if got := run(t, "", "list", "--file", write(t, "\n"), "--json").want(t, 0); got.out != "[]\n" {
		t.Errorf("of no keys: %q", got.out)
	}
	run(t, "", "list", "--file", "/nowhere/keys").want(t, 1, "open /nowhere/keys")
	run(t, "", "list", "--file", "nope").want(t, 1, "open nope: no such file or directory (relative to ", ", the current folder)")
	run(t, "", "list", "--file", write(t, "\n{}\n")).want(t, 1, "file:2: id is missing")
}

func TestAPIKeyDisableEnableDelete(t *testing.T) {
	t.Parallel()
	path, keys := keyFileWith(t)
	lines := func() []string { return strings.Split(contentOf(t, path), "\n") }
	before := lines()
	steps := []struct {
		stdin string
		args  []string
		out   string
		state []bool // enabled
	}{
		{"", []string{"disable", "one"}, "one: disabled\n", []bool{false, false, true}},
		{"", []string{"disable", "one"}, "one: disabled\n", []bool{false, false, true}},
		{"", []string{"enable", keys[0]}, "one: enabled\n", []bool{true, false, true}},
		{keys[1] + "\n", []string{"enable", "@-"}, "two: enabled\n", []bool{true, true, true}},
		{"", []string{"disable", "@" + write(t, keys[2]+"\n"), "--json"}, "{\n\t\"id\": \"three\",\n\t\"action\": \"disabled\"\n}\n", []bool{true, true, false}},
		{"", []string{"delete", "two"}, "two: deleted\n", []bool{true, false}},
		{"", []string{"delete", keys[2], "--json"}, "{\n\t\"id\": \"three\",\n\t\"action\": \"deleted\"\n}\n", []bool{true}},
	}
	for n, step := range steps {
		r := run(t, step.stdin, append(step.args, "--file", path, "--no-wait")...).want(t, 0)
		if r.out != step.out {
			t.Errorf("step %d: %q", n, r.out)
		}
		var state []bool
		for _, record := range records(t, path) {
			state = append(state, !record.Disabled)
		}
		if !slices.Equal(state, step.state) {
			t.Errorf("step %d: enabled are %v, want %v", n, state, step.state)
		}
		for _, key := range keys {
			if strings.Contains(r.out+r.err+contentOf(t, path), key) {
				t.Errorf("step %d: the key shows", n)
			}
		}
		if n < 4 && lines()[2] != before[2] {
			t.Errorf("step %d has changed another key's line: %s", n, lines()[2])
		}
	}
	if r := records(t, path)[0]; r.ID != "one" || r.Hash != apikey.DigestOf(keys[0]) || r.Consumer != "Corp" || len(r.Scopes) != 2 || r.Created.IsZero() {
		t.Errorf("the record has lost something: %+v", r)
	}
	run(t, "", "delete", "one", "--file", path, "--no-wait").want(t, 0)
	if contentOf(t, path) != "\n" {
		t.Errorf("a file without keys is %q", contentOf(t, path))
	}
}

// TestAPIKeyCommandsLeaveTheFile: whatever goes wrong, it stays as it was.
func TestAPIKeyCommandsLeaveTheFile(t *testing.T) {
	t.Parallel()
	unknown, _ := apikey.New("test")
	good, _ := keyFileWith(t)
	broken := write(t, contentOf(t, good)+"{\n")
	cut := write(t, strings.TrimSuffix(contentOf(t, good), "\n"))
	row := "Name,Key\npartner," + unknown + "\n"
	for name, c := range map[string]struct {
		stdin string
		args  []string
		file  string
		err   string
	}{
		"new: a taken id":               {"", []string{"new", "--id", "one", "--append"}, good, "already has a key with the id one; choose another"},
		"new: a broken file":            {"", []string{"new", "--append"}, broken, "file:4: it is not a JSON object"},
		"new: a file cut off":           {"", []string{"new", "--append"}, cut, "file:3: the last line does not end with a newline"},
		"new: no such folder":           {"", []string{"new", "--append"}, "/nowhere/keys.jsonl", "the folder /nowhere does not exist; make it first"},
		"disable: a consumer":           {"", []string{"disable", "Corp", "--file"}, good, "as a consumer or name it belongs to the key with the id: one"},
		"disable: a broken file":        {"", []string{"disable", "one", "--file"}, broken, "; nothing was changed"},
		"import: a folder":              {"", []string{"import", t.TempDir(), "--append"}, good, "is not a regular file; write @- to import"},
		"import: a key for a file":      {"", []string{"import", "@" + unknown, "--append"}, good, "no file has this name"},
		"disable: a key for a file":     {"", []string{"disable", "@" + unknown, "--file"}, good, "no file has this name; write a key itself without @"},
		"disable: an unknown id":        {"", []string{"disable", "four", "--file"}, good, "has no such key; caddy jwt api-key list --file"},
		"disable: an unknown key":       {"", []string{"disable", unknown, "--file"}, good, "has no such key"},
		"enable: an unknown key":        {unknown, []string{"enable", "@-", "--file"}, good, "has no such key"},
		"delete: an unknown key":        {"", []string{"delete", unknown, "--file"}, good, "has no such key"},
		"delete: a broken file":         {"", []string{"delete", "one", "--file"}, broken, "file:4: it is not a JSON object"},
		"import: a broken file":         {row, []string{"import", "@-", "--append"}, broken, "file:4: it is not a JSON object"},
		"import: another program's CSV": {"a,b\n1,2\n", []string{"import", "@-", "--append"}, good, "column Name is missing"},
		"import: nothing":               {"", []string{"import", "@-", "--append"}, good, "it is empty"},
		"import: no row that is good":   {"Name,Key\n\x1b[2Jx,short\n", []string{"import", "@-", "--append"}, good, "nothing was written, as no row can be imported"},
		"import: strict, a bad row":     {row + "x,short\n", []string{"import", "@-", "--strict", "--append"}, good, "nothing was written, as rows would be skipped"},
		"import: no file":               {"", []string{"import", "/nowhere/keys.csv", "--append"}, good, "/nowhere/keys.csv: no such file"},
	} {
		before, _ := os.ReadFile(c.file)
		r := run(t, c.stdin, append(slices.Clone(c.args), c.file, "--no-wait")...).want(t, 1, c.err)
		if after, _ := os.ReadFile(c.file); !bytes.Equal(after, before) {
			t.Errorf("%s: the file is changed", name)
		}
		if strings.Contains(r.out, "\x1b") {
			t.Errorf("%s: what a file says can move the cursor: %q", name, r.out)
		}
		if strings.Contains(r.out+r.err, "added") {
			t.Errorf("%s: it reads as if keys were added: %s%s", name, r.out, r.err)
		}
		if strings.Contains(r.out+r.err, unknown) {
			t.Errorf("%s: the key shows: %s%s", name, r.out, r.err)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(c.file), ".file.*")); err != nil || slices.ContainsFunc(left, func(p string) bool { return !strings.HasSuffix(p, ".lock") }) {
			t.Errorf("%s: it has left %s", name, left)
		}
	}
	for _, args := range [][]string{{"disable", "a", "--file"}, {"enable", "a", "--file"}, {"delete", "a", "--file"}} {
		path := newFile(t)
		run(t, "", append(args, path, "--no-wait")...).want(t, 1, "no such file")
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s has made the file", args[0])
		}
	}
}

func TestAPIKeyImport(t *testing.T) {
	t.Parallel()
	one, _ := apikey.New("a")
	two, _ := apikey.New("b")
	csv := "name,key,description,Enabled,usageplanIds\nOne," + one + ",first,TRUE,plan1\nTwo," + two + ",,false,\"plan1,plan2\"\nBad,short,,,\n"
	path := newFile(t)
	r := run(t, csv, "import", "@-", "--append", path, "--no-wait").want(t, 0, "3 rows: 2 added, 0 updated, 0 unchanged, 0 superseded, 1 skipped")
	list := records(t, path)
	if len(list) != 2 || list[0].Name != "One" || list[0].Consumer != "One" || list[0].Hash != apikey.DigestOf(one) || list[0].Disabled || !list[1].Disabled || !slices.Equal(list[1].Scopes, []string{"plan1", "plan2"}) {
		t.Errorf("the file has %+v", list)
	}
	if lines := strings.Split(r.out, "\n"); len(lines) != 5 || !strings.HasPrefix(lines[0], "LINE") || !strings.Contains(lines[3], "skipped") {
		t.Errorf("the report is %q", r.out)
	}
	refused := run(t, csv, "import", "-", "--file", newFile(t), "--strict")
	if lines := strings.Split(refused.want(t, 1, "nothing was written").out, "\n"); len(lines) != 3 || !strings.Contains(lines[1], "skipped") || strings.Contains(refused.err, "rows:") {
		t.Errorf("the report of what was refused is %q, %q", refused.out, refused.err)
	}
	again := run(t, "", "import", write(t, csv), "--append", path, "--no-wait", "--json").want(t, 0)
	report := parseJSON[struct {
		Written bool
		Rows    int
		Counts  map[string]int
		Keys    []struct{ ID, Action string }
	}](t, again.out)
	if !report.Written || report.Rows != 3 || report.Counts["unchanged"] != 2 || report.Counts["skipped"] != 1 || len(report.Keys) != 3 || report.Keys[0].ID != list[0].ID {
		t.Errorf("%s", again.out)
	}
	// The file itself is a file of keys that can be imported.
	other := newFile(t)
	run(t, "", "import", "@"+path, "--append", other, "--no-wait").want(t, 0, "2 rows: 2 added")
	if contentOf(t, other) != contentOf(t, path) {
		t.Errorf("the copy is\n%swant\n%s", contentOf(t, other), contentOf(t, path))
	}
	for _, text := range []string{r.out, r.err, again.out, again.err, contentOf(t, path)} {
		if strings.Contains(text, one) || strings.Contains(text, two) {
			t.Errorf("a key shows: %s", text)
		}
	}
}

// TestAPIKeyImportOfShortKeys: they are taken over only with --allow-short, counted, and
// work.
func TestAPIKeyImportOfShortKeys(t *testing.T) {
	t.Parallel()
	long, _ := apikey.New("a")
	csv := "name,key\nLong," + long + "\nShort,aB3xY9\nToo short,aB3xY\n"
	path := newFile(t)
	r := run(t, csv, "import", "@-", "--append", path, "--no-wait").want(t, 0, "3 rows: 1 added, 0 updated, 0 unchanged, 0 superseded, 2 skipped")
	if !strings.Contains(r.out, "--allow-short") || strings.Contains(r.err, "shorter") {
		t.Errorf("the report is %q, %q", r.out, r.err)
	}
	run(t, csv, "import", "@-", "--append", path, "--no-wait", "--allow-short").want(t, 0,
		"3 rows: 1 added, 0 updated, 1 unchanged, 0 superseded, 1 skipped; 1 of the keys are shorter than 20 characters")
	if list := records(t, path); len(list) != 2 || list[1].Hash != apikey.DigestOf("aB3xY9") {
		t.Errorf("the file has %+v", list)
	}
	again := run(t, csv, "import", "@-", "--append", path, "--no-wait", "--allow-short", "--json").want(t, 0)
	report := parseJSON[struct{ Counts map[string]int }](t, again.out)
	if report.Counts["short"] != 1 || report.Counts["unchanged"] != 2 {
		t.Errorf("%s", again.out)
	}
}

// adaptedKeys adapts a Caddyfile with this option in a jwt block, and returns the
// keys of the handler.
func adaptedKeys(t *testing.T, option string) []*caddyjwt.APIKey {
	t.Helper()
	text := "jwt {\n\t" + option + "\n}\n"
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("example.com {\n"+text+"}\n"), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	apps := parseJSON[struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct{ Routes caddyhttp.RouteList }
			}
		}
	}](t, string(config))
	inner := apps.Apps.HTTP.Servers["srv0"].Routes[0].HandlersRaw[0]
	site := parseJSON[struct{ Routes caddyhttp.RouteList }](t, string(inner))
	handler := parseJSON[caddyjwt.Handler](t, string(site.Routes[0].HandlersRaw[0]))
	return handler.APIKey
}

// TestAPIKeyCaddyfileRoundTrip: what new prints for a Caddyfile adapts into the
// same record, or it prints nothing for it.
func TestAPIKeyCaddyfileRoundTrip(t *testing.T) {
	t.Setenv("CADDY_JWT_TEST_SECRET", "correct-horse-battery-staple")
	for name, c := range map[string]struct {
		args   []string
		absent bool
	}{
		"nothing":               {args: nil},
		"all":                   {args: []string{"--consumer", "partner", "--scopes", "orders:read,orders:write", "--expires", "2030-01-02T03:04:05Z", "--meta", "plan=gold", "--meta", "b=c"}},
		"an id of signs":        {args: []string{"--id", "a.b_c-D"}},
		"a fraction of seconds": {args: []string{"--expires", "2030-01-02T03:04:05.678+02:00"}},
		"spaces":                {args: []string{"--consumer", "Partner  Ltd.", "--meta", "a b= c "}},
		"a non-breaking space":  {args: []string{"--consumer", "Partner\u00a0Ltd."}},
		"quotes":                {args: []string{"--consumer", `the "partner"`, "--meta", `a="b"`, "--meta", "c=`d`"}},
		"all kinds of quotes":   {args: []string{"--consumer", "a \"b\" `c`"}},
		"braces":                {args: []string{"--consumer", "{", "--meta", "a=}", "--meta", "b={ }", "--meta", "c={x} y"}},
		"a placeholder":         {args: []string{"--consumer", "{env.HOME}", "--meta", "a=x {env.HOME}{file./etc/passwd}"}},
		"backslashes":           {args: []string{"--consumer", `a\b`, "--meta", `a=\`, "--meta", `b=a b\`, "--meta", `c=\\"`, "--meta", `d=\"`, "--meta", `e=\n`}},
		"a comment":             {args: []string{"--consumer", "#1", "--meta", "#a=#b"}},
		"a heredoc":             {args: []string{"--consumer", "<<END", "--meta", "a=<<END"}},
		"an escaped heredoc":    {args: []string{"--meta", `a=\<<END`}},
		"lines":                 {args: []string{"--meta", "a=b\nc", "--meta", "d=\n}\n", "--meta", "t=\t"}},
		"an empty value":        {args: []string{"--meta", "a="}},
		"an equals sign":        {args: []string{"--meta", "a=b=c"}},
		"import":                {args: []string{"--consumer", "import", "--meta", "import=*"}},
		"scopes of signs":       {args: []string{"--scopes", "#a,{,},`b,<<c,{x}"}},
		"not ASCII":             {args: []string{"--consumer", "Pärtner 東京", "--meta", "名=値"}},
		"JSON":                  {args: []string{"--meta", `a={"b":["c"]}`}},

		"a variable that Caddy replaces":    {args: []string{"--meta", "a={$CADDY_JWT_TEST_SECRET}"}, absent: true},
		"an unset one":                      {args: []string{"--meta", "a={$CADDY_JWT_TEST_UNSET:b}"}, absent: true},
		"a short name that Caddy replaces":  {args: []string{"--meta", "a={host}"}, absent: true},
		"a pattern of one":                  {args: []string{"--consumer", "{header.X}"}, absent: true},
		"a scope that Caddy replaces":       {args: []string{"--scopes", "{host}"}, absent: true},
		"backticks and a backslash at last": {args: []string{"--meta", "a=` \\"}, absent: true},
		"what a terminal does not show":     {args: []string{"--meta", "a=x\r\ny"}, absent: true},
	} {
		t.Run(name, func(t *testing.T) {
			made := parseJSON[madeRecord](t, run(t, "", append([]string{"new", "--json"}, c.args...)...).want(t, 0).out)
			if c.absent {
				if made.Caddyfile != "" {
					t.Errorf("it prints %s", made.Caddyfile)
				}
				if r := run(t, "", append([]string{"new"}, c.args...)...).want(t, 0, "a Caddyfile can't express"); strings.Contains(r.err, "api_key ") {
					t.Errorf("it prints %s", r.err)
				}
				return
			}
			want, err := apikey.ParseRecord(made.Record)
			if err != nil {
				t.Fatal(err)
			}
			got := adaptedKeys(t, made.Caddyfile)
			if len(got) != 1 {
				t.Fatalf("%d keys", len(got))
			}
			k := got[0]
			if k.ID != want.ID || k.Hash != want.Hash.String() || k.Consumer != want.Consumer || !slices.Equal(k.Scopes, want.Scopes) || len(k.Meta) != want.Meta.Len() {
				t.Errorf("%s\ngot  %+v\nwant %s", made.Caddyfile, k, made.Record)
			}
			if expires, err := apikey.ParseTime(k.Expires); k.Expires != "" && err != nil || !expires.Equal(want.Expires) {
				t.Errorf("it expires at %q, want %s (%v)", k.Expires, want.Expires, err)
			}
			for i := range want.Meta.Len() {
				if text, _ := want.Meta.At(i).Text(); k.Meta[want.Meta.NameAt(i)] != text {
					t.Errorf("meta %q is %q, want %q\n%s", want.Meta.NameAt(i), k.Meta[want.Meta.NameAt(i)], text, made.Caddyfile)
				}
			}
		})
	}
}

// TestAPIKeyCommandsWaitForTheServer: what they say and exit with, by what the
// server at the admin endpoint answers.
func TestAPIKeyCommandsWaitForTheServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	// status is the page of a server that says this of a file.
	status := func(file string, more map[string]any) string {
		of := map[string]any{"file": file}
		maps.Copy(of, more)
		page, err := json.Marshal(map[string]any{"issuers": []any{}, "api_keys": []any{of}})
		if err != nil {
			t.Error(err)
		}
		return string(page)
	}
	said := func(text string) func(string) string { return func(string) string { return text } }
	later := time.Now().Add(time.Hour)
	var asked atomic.Int32
	for name, c := range map[string]struct {
		status int
		answer func(path string) string // none for no server
		code   int
		err    string
	}{
		"nobody":                {0, nil, 1, "the file is changed, but no server answers to apply the change: asking " + nobody},
		"a server without us":   {200, said(`<html>`), 1, "its answer is not a status page of caddy-jwt"},
		"Caddy without plugin":  {404, said("404 page not found"), 0, "has no jwt handler, so it does not use this file."},
		"no site with it":       {503, said(`{"error":"no config with a jwt handler is running"}`), 0, "has no jwt handler, so it does not use this file."},
		"a server that fails":   {500, said(`{}`), 1, "HTTP 500"},
		"a server without keys": {200, said(`{"issuers":[],"api_keys":[]}`), 0, "does not use this file."},
		"another file":          {200, said(status(write(t, "\n"), nil)), 0, "does not use this file."},
		"taken over": {200, func(path string) string {
			info, _ := os.Stat(path)
			return status(path, map[string]any{"modified": info.ModTime(), "size": info.Size(), "loaded_at": time.Now()})
		}, 0, "The running server has applied the change."},
		"somebody else's": {200, func(path string) string {
			info, _ := os.Stat(path)
			return status(path, map[string]any{"modified": info.ModTime().Add(time.Second), "size": info.Size() + 1, "loaded_at": time.Now()})
		}, 0, "The running server has applied the change."},
		"failing": {200, func(path string) string {
			return status(path, map[string]any{"last_error": "it is broken", "last_error_at": later})
		}, 1, "the file is changed, but the running server has not applied the change: it is broken"},
		// The file of before was of the future, as one from a machine whose clock is
		// ahead, and the new one can't be used.
		"a file of the future": {200, func(path string) string {
			of := map[string]any{"modified": later, "size": 1, "loaded_at": time.Now().Add(-time.Hour)}
			if asked.Add(1) > 1 {
				of["last_error"], of["last_error_at"] = "it is broken now", later
			}
			return status(path, of)
		}, 1, "it is broken now"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := keyFileWith(t)
			address := nobody
			if c.answer != nil {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/jwt/status" || r.Method != http.MethodGet {
						t.Errorf("it asks %s %s", r.Method, r.URL)
					}
					w.WriteHeader(c.status)
					_, _ = w.Write([]byte(c.answer(path)))
				}))
				t.Cleanup(server.Close)
				address = server.URL // http://host:port is taken, too
			}
			r := run(t, "", "disable", "one", "--file", path, "--address", address)
			if r.code != c.code || !strings.Contains(r.err, c.err) || r.out != "one: disabled\n" {
				t.Errorf("%+v", r)
			}
			if r := run(t, "", "disable", "one", "--file", path, "--address", address, "--no-wait"); r.code != 0 || r.err != "" {
				t.Errorf("with --no-wait: %+v", r)
			}
		})
	}
	path, _ := keyFileWith(t)
	made := run(t, "", "new", "--append", path, "--address", nobody)
	if made.code != 1 || apikey.CheckText(strings.TrimSpace(made.out)) != nil {
		t.Errorf("%+v", made)
	}
}
