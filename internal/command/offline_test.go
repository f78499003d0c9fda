package command_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// offline is a config whose server is down, and its storage.
type offline struct {
	config, root string
	storage      certmagic.Storage
}

// newOffline makes a config with these members of the app jwt, and the sets that a server
// with it would have made.
func newOffline(t *testing.T, app string, sets ...string) offline {
	t.Helper()
	o := offline{root: filepath.Join(t.TempDir(), "storage")}
	o.storage = &certmagic.FileStorage{Path: o.root}
	o.config = write(t, fmt.Sprintf(`{"admin":{"listen":%q},"storage":{"module":"file_system","root":%q},"apps":{"jwt":{%s},"http":{"servers":{"a":{"routes":[
		{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"jwt","issuer":[{"iss":"https://i/"},{"iss":"https://j/"}]}]}]}]}]}}}}}`, closedAddress(t), o.root, app))
	for _, set := range sets {
		o.serve(t, set)
	}
	return o
}

// serve makes a set, as a server does at its start.
func (o offline) serve(t *testing.T, set string) {
	t.Helper()
	s := revocation.NewSet(revocation.Config{Name: set, Binding: o.binding(set)})
	s.Start()
	select {
	case <-s.Ready():
	case <-time.After(10 * time.Second):
		t.Fatalf("the set %s is not ready: %v", set, s.Status().Err)
	}
	s.Close(t.Context())
}

func (o offline) binding(set string) replica.Binding {
	return replica.Binding{Objects: replica.Folder(o.storage, set), Local: true, Interval: time.Second}
}

// rules returns what a server finds in the storage.
func (o offline) rules(t *testing.T) []revocation.Rule {
	t.Helper()
	const set = "jwt/default/revocations"
	s := revocation.NewSet(revocation.Config{Name: set, Binding: o.binding(set)})
	for range 2 {
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rules, _, err := s.List(t.Context(), revocation.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func (o offline) store(t *testing.T, name string) *apikey.Store {
	t.Helper()
	set := "jwt/default/keys-" + name
	s := apikey.NewStore(apikey.StoreConfig{Name: name, Place: set, Binding: o.binding(set)})
	for range 2 {
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// files lists all that is in the storage.
func (o offline) files(t *testing.T) (list []string) {
	t.Helper()
	err := filepath.WalkDir(o.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

const (
	someState = `"state":{}`
	someStore = `"state":{},"api_keys":{"partners":{"storage":true},"files":{"file":"/nowhere"}}`
)

func TestRevokeOffline(t *testing.T) {
	t.Parallel()
	o := newOffline(t, someState, "jwt/default/revocations")
	r := runJWT(t, "", "revoke", "--sub", "alice", "--issuer", "https://i/", "--reason", "left", "--config", o.config).want(t, 0)
	rules := o.rules(t)
	if len(rules) != 1 || rules[0].Value != "alice" || rules[0].Issuer != "https://i/" || rules[0].Reason != "left" || r.out != rules[0].PublicID()+"\n" {
		t.Fatalf("%+v\n%+v", rules, r)
	}
	if strings.Contains(r.err, "tokens that this server has seen") || strings.Contains(r.err, "cache") {
		t.Errorf("there is no server: %s", r.err)
	}
	if !strings.Contains(rules[0].By, "@") || !strings.Contains(rules[0].Node, "offline") {
		t.Errorf("by %q, on %q", rules[0].By, rules[0].Node)
	}
	list := runJWT(t, "", "revocations", "--config", o.config).want(t, 0)
	if !strings.Contains(list.out, "alice") || !strings.Contains(list.out, "left") {
		t.Errorf("%s", list.out)
	}
	runJWT(t, "", "revoke", "--sub", "bob", "--config", o.config).want(t, 2, "the config has 2 issuers")
	runJWT(t, r.out, "revocations", "delete", "@-", "--reason", "wrong", "--config", o.config).want(t, 0)
	if rules := o.rules(t); len(rules) != 0 {
		t.Errorf("%+v", rules)
	}
}

// TestOfflineFilesBelongToTheServer: what the command stores has the mode of what the server
// made, no matter who runs the command.
func TestOfflineFilesBelongToTheServer(t *testing.T) {
	t.Parallel()
	if os.PathSeparator != '/' {
		return
	}
	o := newOffline(t, someState, "jwt/default/revocations")
	marker := o.files(t)[0]
	if err := os.Chmod(marker, 0o640); err != nil {
		t.Fatal(err)
	}
	runJWT(t, "", "revoke", "--sub", "alice", "--any-issuer", "--config", o.config).want(t, 0)
	files := o.files(t)
	if len(files) != 2 {
		t.Fatalf("%v", files)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

// TestOfflineNeverMakesASet: a storage without the set is not the server's.
func TestOfflineNeverMakesASet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app  string
		sets []string
		args []string
		err  []string
	}{
		"no set":         {someState, nil, []string{"revoke", "--sub", "a", "--any-issuer"}, []string{"jwt/default/revocations in the storage caddy.storage.file_system at ", "/storage", "nothing was changed", "HOME"}},
		"another's":      {`"state":{"cluster":"b"}`, []string{"jwt/default/revocations"}, []string{"revoke", "--sub", "a", "--any-issuer"}, []string{"jwt/b/revocations"}},
		"to list":        {someState, nil, []string{"revocations"}, []string{"jwt/default/revocations"}},
		"to take back":   {someState, nil, []string{"revocations", "delete", "sub-0123", "--reason", "r"}, []string{"jwt/default/revocations"}},
		"no store":       {someStore, []string{"jwt/default/revocations"}, []string{"api-key", "new", "--store", "partners"}, []string{"jwt/default/keys-partners"}},
		"to accept":      {someStore, nil, []string{"state", "accept"}, []string{"jwt/default/revocations"}},
		"another store":  {someStore, nil, []string{"api-key", "list", "--store", "staff"}, []string{`the config has no store "staff" in the storage`, "api_keys <name> { storage }"}},
		"a key file":     {someStore, nil, []string{"api-key", "list", "--store", "files"}, []string{`the config has no store "files" in the storage`}},
		"without state":  {``, nil, []string{"revoke", "--sub", "a", "--any-issuer"}, []string{"the config has no shared state; add the line state"}},
		"a bad key":      {`"state":{"key":["{env.CADDY_JWT_NOT_SET}"]}`, nil, []string{"revoke", "--sub", "a", "--any-issuer"}, []string{"state: key 1: "}},
		"a key in plain": {`"state":{"key":["c2VjcmV0c2VjcmV0"]}`, nil, []string{"revoke", "--sub", "a", "--any-issuer"}, []string{"state: key 1: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffline(t, c.app, c.sets...)
			before := o.files(t)
			r := runJWT(t, "", append(c.args, "--config", o.config)...).want(t, 1, c.err...)
			if strings.Contains(r.err, "c2VjcmV0") {
				t.Errorf("the key shows: %s", r.err)
			}
			if after := o.files(t); !slices.Equal(before, after) {
				t.Errorf("there are %v, were %v", after, before)
			}
		})
	}
}

// TestOfflineOnlyWithoutServer: a server that answers is asked, whatever it answers.
func TestOfflineOnlyWithoutServer(t *testing.T) {
	t.Parallel()
	o := newOffline(t, someState, "jwt/default/revocations")
	f := newFakeServer(t, nil)
	config := write(t, strings.Replace(contentOf(t, o.config), `"listen":"`, `"listen":"`+f.address+`","x":"`, 1))
	text := contentOf(t, config)
	var c map[string]any
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	c["admin"] = map[string]any{"listen": f.address}
	set := func() string {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, string(text))
	}
	runJWT(t, "", "revoke", "--sub", "a", "--any-issuer", "--config", set()).want(t, 1, "there is nothing at this path")
	if len(f.requests()) != 1 || len(o.rules(t)) != 0 {
		t.Errorf("%v, %v", f.requests(), o.rules(t))
	}
	runJWT(t, "", "revoke", "--sub", "a", "--any-issuer", "--address", closedAddress(t), "--config", set()).want(t, 1, "no server answers")
	// Without an admin endpoint, another server's is not asked.
	c["admin"] = map[string]any{"disabled": true, "listen": f.address}
	runJWT(t, "", "revoke", "--sub", "a", "--any-issuer", "--config", set()).want(t, 0)
	if len(f.requests()) != 1 || len(o.rules(t)) != 1 {
		t.Errorf("%v, %v", f.requests(), o.rules(t))
	}
}

func TestStoredKeysOffline(t *testing.T) {
	t.Parallel()
	o := newOffline(t, someStore, "jwt/default/revocations", "jwt/default/keys-partners")
	on := []string{"--store", "partners", "--config", o.config}
	key := func(stdin string, args ...string) ran {
		t.Helper()
		return run(t, stdin, append(args, on...)...).want(t, 0)
	}
	made := key("", "new", "--id", "Partner001", "--consumer", "acme", "--scopes", "a, b", "--expires", "90d", "--meta", "plan=gold", "--prefix", "acme_live")
	secret := strings.TrimSuffix(made.out, "\n")
	find := func() (apikey.Key, string) {
		k, code := o.store(t, "partners").Find(apikey.DigestOf(secret), time.Now())
		return k, string(code)
	}
	if id, ok := apikey.IDOf(secret); !ok || id != "Partner001" || !strings.HasPrefix(secret, "acme_live_") || strings.Contains(made.err, secret) {
		t.Fatalf("%+v", made)
	}
	if k, code := find(); code != "" || k.Consumer() != "acme" || len(k.Scopes()) != 2 {
		t.Errorf("%s", code)
	}
	list := parseJSON[[]struct {
		ID, Consumer, State string
		Scopes              []string
		Secrets             int
	}](t, key("", "list", "--json").out)
	if len(list) != 1 || list[0].ID != "Partner001" || list[0].Consumer != "acme" || list[0].State != "enabled" || list[0].Secrets != 1 {
		t.Errorf("%+v", list)
	}
	if out := key("", "list", "--expiring", "14d").out; strings.Contains(out, "Partner001") {
		t.Errorf("it does not expire within 14 days: %s", out)
	}
	if out := key("", "list", "--expiring", "100d").out; !strings.Contains(out, "Partner001") {
		t.Errorf("it expires within 100 days: %s", out)
	}
	key("", "edit", "Partner001", "--scopes", "c", "--expires", "never", "--name", "N", "--meta", "")
	if k, code := find(); code != "" || !slices.Equal(k.Scopes(), []string{"c"}) || !k.Expires().IsZero() {
		t.Errorf("%s %v %s", code, k.Scopes(), k.Expires())
	}
	if r := key(secret+"\n", "disable", "@-"); r.out != "Partner001: disabled\n" {
		t.Errorf("%q", r.out)
	}
	if _, code := find(); code != "api_key_disabled" && code == "" {
		t.Errorf("disabled: %q", code)
	}
	if r := key("", "enable", "Partner001", "--json"); r.out != "{\n\t\"id\": \"Partner001\",\n\t\"action\": \"enabled\",\n\t\"stored\": true\n}\n" {
		t.Errorf("%s", r.out)
	}
	rolled := strings.TrimSuffix(key("", "roll", "Partner001", "--overlap", "24h").out, "\n")
	if _, code := find(); code != "" || rolled == secret {
		t.Errorf("in the overlap: %s", code)
	}
	key("", "roll", "Partner001", "--overlap", "0s")
	if _, code := find(); code == "" {
		t.Error("the old secret is accepted after a roll without overlap")
	}
	other := parseJSON[struct{ ID, Key string }](t, key("", "new", "--json").out)
	if r := key("Partner001\n"+other.ID+"\n", "delete", "@-"); r.out != "Partner001: deleted\n"+other.ID+": deleted\n" {
		t.Errorf("%q", r.out)
	}
	if n := o.store(t, "partners").Len(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	run(t, "", append([]string{"disable", "nobody"}, on...)...).want(t, 1, "the store partners has no such key")
	foreign := "ForeignKey0123456789abcdefABCDEF" // one that was made elsewhere
	if r := run(t, "", append([]string{"disable", foreign}, on...)...).want(t, 1, "the store partners has no such key"); strings.Contains(r.err, foreign) {
		t.Errorf("%s", r.err)
	}
}

// A token service makes a state of its own, and the tokens of its clients end with a roll.
func TestARollOfAServicesClientOffline(t *testing.T) {
	t.Parallel()
	const handlers = `"api_keys":{"partners":{"storage":true},"staff":{"storage":true}},"services":[` +
		`{"handler":"jwt_authorization_server","issuer":"https://auth.example","api_keys":[{"name":"partners"},{"file":"staff"}]},` +
		`{"handler":"jwt_authorization_server","issuer":"https://auth2.example"}]`
	o := newOffline(t, handlers, "jwt/default/revocations", "jwt/default/keys-partners", "jwt/default/keys-staff")
	for _, store := range []string{"partners", "staff"} {
		on := []string{"--store", store, "--config", o.config}
		run(t, "", append([]string{"new", "--id", "Partner001"}, on...)...).want(t, 0)
		run(t, "", append([]string{"roll", "Partner001", "--overlap", "1h"}, on...)...).want(t, 0)
		rolled := run(t, "", append([]string{"roll", "Partner001", "--overlap", "0s"}, on...)...).want(t, 0)
		if noted := strings.Contains(rolled.err, "Note: the tokens that the key got before are revoked"); noted != (store == "partners") {
			t.Errorf("%s: %s", store, rolled.err)
		}
	}
	rules := o.rules(t)
	if len(rules) != 1 || rules[0].Kind != revocation.KindClient || rules[0].Value != "Partner001" || rules[0].Issuer != "https://auth.example" || rules[0].NotBefore.IsZero() {
		t.Errorf("%+v", rules)
	}
	alone := newOffline(t, `"services":[{"handler":"jwt_authorization_server","issuer":"https://auth.example"}]`, "jwt/default/revocations")
	runJWT(t, "", "revocations", "--config", alone.config).want(t, 0)
}

func TestImportIntoAStoreOffline(t *testing.T) {
	t.Parallel()
	o := newOffline(t, someStore, "jwt/default/revocations", "jwt/default/keys-partners")
	path, keys := keyFileWith(t)
	on := []string{"--store", "partners", "--config", o.config}
	r := run(t, "", append([]string{"import", path}, on...)...).want(t, 0, "3 rows: 3 added, 0 updated, 0 unchanged, 0 superseded, 0 skipped")
	if strings.Count(r.out, "added") != 3 {
		t.Errorf("%s", r.out)
	}
	for n, want := range []bool{true, false, false} {
		if _, code := o.store(t, "partners").Find(apikey.DigestOf(keys[n]), time.Now()); (code == "") != want {
			t.Errorf("key %d: %q", n, code)
		}
	}
	run(t, "", append([]string{"import", path}, on...)...).want(t, 0, "0 added, 0 updated, 3 unchanged")
	csv := "Name,Key,Enabled\nOne," + keys[0] + ",TRUE\nNew,abcdefghij0123456789XYZ,TRUE\nBad,short,TRUE\n"
	report := parseJSON[struct {
		Written bool
		Rows    int
		Counts  map[string]int
		Keys    []struct{ ID, Action, Note string }
	}](t, run(t, csv, append([]string{"import", "@-", "--json"}, on...)...).want(t, 0).out)
	if !report.Written || report.Rows != 3 || report.Counts["added"] != 1 || report.Counts["skipped"] != 2 || report.Keys[0].Note != "the store already has this key, as one" || report.Keys[0].ID != "one" {
		t.Errorf("%+v", report)
	}
	if _, code := o.store(t, "partners").Find(apikey.DigestOf("abcdefghij0123456789XYZ"), time.Now()); code != "" {
		t.Errorf("the key of the CSV: %q", code)
	}
	before := o.files(t)
	if r := run(t, csv, append([]string{"import", "@-", "--strict"}, on...)...); r.code != 1 || !strings.Contains(r.err, "nothing was written, as rows would be skipped") {
		t.Errorf("%+v", r)
	}
	if after := o.files(t); !slices.Equal(before, after) {
		t.Error("it has changed something")
	}
	r = run(t, "Name,Key\nOne,"+keys[0]+"\n", append([]string{"import", "@-"}, on...)...)
	if r.code != 1 || !strings.Contains(r.err, "nothing was written, as no row can be imported") {
		t.Errorf("of keys that are there: %+v", r)
	}
}

func TestImportOfManyKeys(t *testing.T) {
	t.Parallel()
	o := newOffline(t, someStore, "jwt/default/revocations", "jwt/default/keys-partners")
	var text strings.Builder
	for n := range 1001 {
		fmt.Fprintf(&text, `{"id":"k%d","hash":"sha256:%064d","description":%q}`+"\n", n, n+1, strings.Repeat("x", 600))
	}
	run(t, text.String(), "import", "@-", "--store", "partners", "--config", o.config).want(t, 0, "1001 rows: 1001 added")
	if n := o.store(t, "partners").Len(); n != 1001 {
		t.Errorf("%d keys", n)
	}
}

func TestStateAcceptOffline(t *testing.T) {
	t.Setenv("CADDY_JWT_TEST_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	o := newOffline(t, someState, "jwt/default/revocations")
	runJWT(t, "", "revoke", "--sub", "a", "--any-issuer", "--config", o.config).want(t, 0)
	signed := write(t, strings.Replace(contentOf(t, o.config), `"state":{}`, `"state":{"key":["{env.CADDY_JWT_TEST_KEY}"]}`, 1))
	runJWT(t, "", "revoke", "--sub", "b", "--any-issuer", "--config", signed).want(t, 1, "caddy jwt state accept")
	if r := runJWT(t, "", "state", "accept", "--config", signed).want(t, 0); r.out != "1 object signed\n" && r.out != "2 objects signed\n" {
		t.Errorf("%q", r.out)
	}
	runJWT(t, "", "revoke", "--sub", "b", "--any-issuer", "--config", signed).want(t, 0)
	if list := runJWT(t, "", "revocations", "--config", signed, "--json").want(t, 0); strings.Count(list.out, `"kind"`) != 2 {
		t.Errorf("%s", list.out)
	}
}
