package admin

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

func TestCreateAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	answer := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", `{"store":"partners","id":"Acme0000id","name":"Acme","description":"Their\nkey",
		"consumer":"acme","scopes":["orders:read","orders:write"],"expires":"2027-01-01T00:00:00+01:00","meta":{"plan":"gold","limit":10000000000000000000001},"prefix":"acme_live"}`)
	if id, ok := apikey.IDOf(answer.Key); !ok || id != "Acme0000id" || !strings.HasPrefix(answer.Key, "acme_live_") {
		t.Errorf("%q %v", id, ok)
	}
	stored := s.store("partners").keys["Acme0000id"]
	if stored.Consumer != "acme" || stored.Name != "Acme" || stored.Description != "Their\nkey" || !slices.Equal(stored.Scopes, []string{"orders:read", "orders:write"}) ||
		!stored.Created.Equal(noon) || !stored.Expires.Equal(time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)) || string(stored.Meta.AppendJSON(nil)) != `{"plan":"gold","limit":10000000000000000000001}` {
		t.Errorf("%+v", stored)
	}
	if !answer.Stored || answer.State != "enabled" || answer.Secrets != 1 || answer.Store != "partners" || answer.Consumer != "acme" ||
		string(answer.Meta) == "" || len(answer.Scopes) != 2 {
		t.Errorf("%+v", answer)
	}
	if line := s.last(); line.Action != "key_create" || line.Outcome != "stored" || line.ID != "Acme0000id" || line.Store != "partners" || line.Key == nil || line.Key.Consumer != "acme" {
		t.Errorf("%+v", line)
	}
	if !slices.Equal(s.state.changed, []string{"partners/Acme0000id created"}) {
		t.Error(s.state.changed)
	}
	least := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", `{"store":"staff"}`)
	if id, ok := apikey.IDOf(least.Key); !ok || id != least.ID || least.Consumer != least.ID || !strings.HasPrefix(least.Key, "cj_") {
		t.Errorf("%+v", least)
	}
	other := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", `{"store":"staff","id":"an-id.of-theirs","expires":null,"meta":null}`)
	if _, ok := apikey.IDOf(other.Key); !ok || other.ID != "an-id.of-theirs" {
		t.Errorf("%+v", other)
	}
	s.state.stores = s.state.stores[:1]
	if only := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", `{}`); only.Store != "partners" {
		t.Errorf("%+v", only)
	}
	s.noSecrets(answer.Key, least.Key, other.Key)
}

func TestKeysThatAreNotMade(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		status     int
		body, part string
	}{
		"no store of two":       {400, `{}`, "store: it is missing, and there are several; there are: partners, staff"},
		"an unknown store":      {400, `{"store":"partner"}`, `store: there is no store "partner"`},
		"a file":                {409, `{"store":"legacy"}`, "run `caddy jwt api-key new --append /etc/keys.jsonl`"},
		"a number as store":     {400, `{"store":1}`, "store: it must be a string"},
		"an id with a space":    {400, `{"store":"staff","id":"a b"}`, "id: "},
		"an id of dots":         {400, `{"store":"staff","id":".."}`, "id: "},
		"an id that is a key":   {400, `{"store":"staff","id":"` + someKey + `"}`, "id: there is an API key in it"},
		"a name that is a key":  {400, `{"store":"staff","name":"` + someKey + `"}`, "name: there is an API key in it"},
		"a token as a name":     {400, `{"store":"staff","name":"` + jwt(`{"a":1}`) + `"}`, "name: there is a token in it"},
		"a long name":           {400, `{"store":"staff","name":"` + long(1025) + `"}`, "name: "},
		"a name with a control": {400, `{"store":"staff","name":"a\u001bb"}`, "name: "},
		"a long description":    {400, `{"store":"staff","description":"` + long(4097) + `"}`, "description: "},
		"a blank consumer":      {400, `{"store":"staff","consumer":" "}`, "consumer: "},
		"a hidden character":    {400, `{"store":"staff","consumer":"a\u200bb"}`, "consumer: "},
		"scopes as a text":      {400, `{"store":"staff","scopes":"a b"}`, "scopes: it must be an array of strings"},
		"scopes as numbers":     {400, `{"store":"staff","scopes":[1]}`, "scopes: it must be an array of strings"},
		"two scopes in one":     {400, `{"store":"staff","scopes":["a b"]}`, "scopes: "},
		"too many scopes":       {400, `{"store":"staff","scopes":[` + strings.Repeat(`"a",`, 100) + `"a"]}`, "scopes: there are 101"},
		"a key as a scope":      {400, `{"store":"staff","scopes":["` + someKey + `"]}`, "scopes: there is an API key in it"},
		"a time in the past":    {400, `{"store":"staff","expires":"2026-03-04T12:00:00Z"}`, "expires: it is in the past"},
		"a duration":            {400, `{"store":"staff","expires":"90d"}`, "expires: "},
		"meta as a text":        {400, `{"store":"staff","meta":"x"}`, "meta: it must be an object"},
		"a token as a scope":    {400, `{"store":"staff","scopes":["` + jwt(`{"a":1}`) + `"]}`, "scopes: there is a token in it"},
		"meta with a token":     {400, `{"store":"staff","meta":{"x":"` + jwt(`{"a":1}`) + `"}}`, "meta: there is a token in it"},
		"large meta":            {400, `{"store":"staff","meta":{"x":"` + long(8<<10) + `"}}`, "meta: it has"},
		"a bad prefix":          {400, `{"store":"staff","prefix":"a-b"}`, "prefix: "},
		"a hash":                {400, `{"store":"staff","hash":"sha256:00"}`, "unknown member"},
		"a key":                 {400, `{"store":"staff","key":"` + someKey + `"}`, "unknown member"},
		"a key as a member":     {400, `{"store":"staff","` + someKey + `":1}`, "a credential: unknown member"},
		"enabled":               {400, `{"store":"staff","enabled":false}`, "unknown member"},
		"an id that is taken":   {409, `{"store":"staff","id":"k1"}`, "there is a key with this id"},
		"an id of a deleted":    {409, `{"store":"staff","id":"gone"}`, "id: a key with this id was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.withKey("staff", "k1")
			s.store("staff").deleted = []string{"gone"}
			s.app.files = []KeyFile{{Path: "/etc/keys.jsonl", Names: []string{"legacy"}}}
			s.fails(c.status, c.part, "POST", "/jwt/api-keys", c.body)
			if s.unchanged(); len(s.store("staff").keys) != 1 {
				t.Error("a key was made")
			}
			if line := s.last(); line.Outcome != "refused" || line.Status != c.status || line.Key != nil {
				t.Errorf("%+v", line)
			}
			s.noSecrets(someKey, jwt(`{"a":1}`))
		})
	}
}

// TestWhatIsNotStoredIsNotMade: anyone who gets a secret must be able to use it.
func TestWhatIsNotStoredIsNotMade(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/jwt/api-keys", `{"store":"partners"}`}, {"PUT", "/jwt/api-keys/k1/secret", `{"overlap":"0s"}`},
		{"PATCH", "/jwt/api-keys/k1", `{"enabled":true}`}, {"PATCH", "/jwt/api-keys/k1", `{"scopes":["admin"]}`},
	} {
		s := newSite(t)
		s.withKey("partners", "k1")
		s.store("partners").err = fmt.Errorf("storing: %w", replica.ErrNotStored)
		w := s.send(c.method, c.path, c.body)
		if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "may still appear") || strings.Contains(w.Body.String(), "cj_") {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		if line := s.last(); line.Outcome != "failed" || line.Status != 503 {
			t.Errorf("%+v", line)
		}
		s.unchanged()
	}
}

func TestEditAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, action, change string
		want                 func(k apikey.StoredKey) bool
	}{
		"name":          {`{"name":"New"}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Name == "New" && k.Consumer == "acme" }},
		"no name":       {`{"name":""}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Name == "" }},
		"description":   {`{"description":"d"}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Description == "d" }},
		"consumer":      {`{"consumer":"bob"}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Consumer == "bob" }},
		"scopes":        {`{"scopes":[]}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return len(k.Scopes) == 0 }},
		"expires":       {`{"expires":"2026-03-04T11:00:00Z"}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Expires.Equal(noon.Add(-time.Hour)) }},
		"never expires": {`{"expires":null}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Expires.IsZero() }},
		"meta":          {`{"meta":{"a":[1]}}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return string(k.Meta.AppendJSON(nil)) == `{"a":[1]}` }},
		"no meta":       {`{"meta":null}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Meta.Len() == 0 }},
		"disable":       {`{"enabled":false}`, "key_disable", "disabled", func(k apikey.StoredKey) bool { return k.Disabled }},
		"enable":        {`{"enabled":true}`, "key_enable", "enabled", func(k apikey.StoredKey) bool { return !k.Disabled }},
		"several":       {`{"name":"a","scopes":["x"]}`, "key_edit", "edited", func(k apikey.StoredKey) bool { return k.Name == "a" && slices.Equal(k.Scopes, []string{"x"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.withKey("partners", "k1", func(k *apikey.StoredKey) {
				k.Name, k.Expires, k.Disabled = "Old", noon.Add(time.Hour), c.change == "enabled"
			})
			answer := want[KeyAnswer](s, 200, "PATCH", "/jwt/api-keys/k1", c.body)
			if k := s.store("partners").keys["k1"]; !c.want(k) || !answer.Stored || answer.Name != k.Name {
				t.Errorf("%+v %+v", k, answer)
			}
			if line := s.last(); line.Action != c.action || line.Outcome != "stored" || line.Key == nil || line.Key.State != answer.State {
				t.Errorf("%+v", line)
			}
			if !slices.Equal(s.state.changed, []string{"partners/k1 " + c.change}) {
				t.Error(s.state.changed)
			}
			s.store("partners").stored = false
			status := 202
			if c.change == "enabled" {
				status = 200
			}
			if answer = want[KeyAnswer](s, status, "PATCH", "/jwt/api-keys/k1", c.body); answer.Stored != (status == 200) {
				t.Errorf("%+v", answer)
			}
		})
	}
	s := newSite(t)
	s.withKey("partners", "k1")
	for body, part := range map[string]string{
		`{}`: "the body changes nothing", `{"enabled":false,"name":"x"}`: "enabled: it stands alone", `{"enabled":"no"}`: "enabled: it must be true or false",
		`{"enabled":null}`: "enabled: it must be", `{"name":null}`: "name: it must be a string", `{"id":"k2"}`: "unknown member", `{"hash":"sha256:0"}`: "unknown member",
		`{"consumer":"a\u0000"}`: "consumer: ", `{"name":"` + strings.Repeat("x", 1025) + `"}`: "name: ", `{"expires":""}`: "expires: ", `{"store":"staff"}`: "unknown member",
	} {
		s.fails(400, part, "PATCH", "/jwt/api-keys/k1", body)
	}
	s.unchanged()
}

func TestRollAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withKey("partners", "Acme0000id")
	path := "/jwt/api-keys/Acme0000id/secret"
	answer := want[KeyAnswer](s, 200, "PUT", path, `{"overlap":"1d"}`)
	if id, ok := apikey.IDOf(answer.Key); !ok || id != "Acme0000id" || !answer.OldUntil.Equal(noon.Add(24*time.Hour)) || answer.Secrets != 2 {
		t.Errorf("%+v", answer)
	}
	if line := s.last(); line.Action != "key_roll" || line.Outcome != "stored" || line.ID != "Acme0000id" {
		t.Errorf("%+v", line)
	}
	if none := want[KeyAnswer](s, 200, "PUT", path, `{"overlap":"0s","prefix":"acme"}`); !none.OldUntil.IsZero() || !strings.HasPrefix(none.Key, "acme_") {
		t.Errorf("%+v", none)
	}
	for body, part := range map[string]string{
		`{}`: "overlap: it is missing", `{"overlap":""}`: "overlap: it is missing", `{"overlap":3600}`: "overlap: it must be a string", `{"overlap":"soon"}`: "overlap: ",
		`{"overlap":"-1s"}`: "overlap: ", `{"overlap":"1h","prefix":"-"}`: "prefix: ", `{"overlap":"1h","key":"x"}`: "unknown member",
	} {
		s.fails(400, part, "PUT", path, body)
	}
	s.noSecrets(answer.Key)
}

// Tokens that a key got with its old secret end with that, where it is a client of a token
// service.
func TestARollWithoutOverlapRevokesTheKeysTokens(t *testing.T) {
	t.Parallel()
	const path, body = "/jwt/api-keys/Acme0000id/secret", `{"overlap":"0s"}`
	s := newSite(t)
	s.withKey("partners", "Acme0000id")
	s.withKey("staff", "other")
	s.app.leeway = 30 * time.Second
	s.app.services = map[string][]string{"partners": {"https://auth.example", "https://auth2.example"}}
	want[KeyAnswer](s, 200, "PUT", path, `{"overlap":"1h"}`)
	want[KeyAnswer](s, 200, "PUT", "/jwt/api-keys/other/secret", body)
	if len(s.rules.rules) > 0 {
		t.Fatalf("with an overlap, or of no service: %+v", s.rules.rules)
	}
	answer := want[KeyAnswer](s, 200, "PUT", path, body)
	if !slices.Equal(answer.Notes, []string{"the tokens that the key got before are revoked"}) {
		t.Errorf("%q", answer.Notes)
	}
	if len(s.rules.rules) != 2 || len(s.state.revoked) != 2 {
		t.Fatalf("%+v", s.rules.rules)
	}
	for i, issuer := range s.app.services["partners"] {
		rule, actor := s.rules.rules[i], s.last()
		wanted := revocation.Rule{
			ID: rule.ID, Kind: revocation.KindClient, Value: "Acme0000id", Issuer: issuer, NotBefore: noon, At: noon,
			End: noon.Add(24*time.Hour + 90*time.Second), Reason: "rolled without overlap", By: rule.By, Node: actor.Node,
		}
		if rule != wanted || rule.By == "" {
			t.Errorf("%+v, want %+v", rule, wanted)
		}
	}
	s.rules.stored = false
	if answer = want[KeyAnswer](s, 200, "PUT", path, body); len(answer.Notes) != 2 || !strings.Contains(answer.Notes[1], "this node only") {
		t.Errorf("%q", answer.Notes)
	}
	// The key is rolled then, and its holder needs the secret.
	s.rules.err = errors.New("disk full")
	answer = want[KeyAnswer](s, 200, "PUT", path, body)
	if answer.Key == "" || len(answer.Notes) != 1 || !strings.Contains(answer.Notes[0], "caddy jwt revoke --client Acme0000id --not-before now --issuer https://auth.example`") {
		t.Errorf("%+v", answer)
	}
	if line := s.last(); line.Outcome != "stored" || !strings.Contains(line.Error, "disk full") {
		t.Errorf("%+v", line)
	}
	// Nothing is revoked for a key that is not rolled.
	s.rules.err, s.store("partners").err = nil, replica.ErrNotStored
	before := len(s.rules.rules)
	s.fails(503, "", "PUT", path, body)
	if len(s.rules.rules) != before {
		t.Error("the roll failed, and the tokens are revoked")
	}
}

func TestDeleteAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withKey("partners", "k1")
	s.withKey("partners", "k2")
	answer := want[KeyAnswer](s, 200, "DELETE", "/jwt/api-keys/k1", "")
	if answer.ID != "k1" || !answer.Stored || len(s.store("partners").keys) != 1 {
		t.Errorf("%+v", answer)
	}
	if line := s.last(); line.Action != "key_delete" || line.Outcome != "stored" || line.Key == nil {
		t.Errorf("%+v", line)
	}
	for _, c := range changes[2:4] {
		s.fails(410, "was deleted", c.method, c.path, c.body)
	}
	s.fails(410, "was deleted", "DELETE", "/jwt/api-keys/k1", "")
	s.fails(410, "was deleted", "GET", "/jwt/api-keys/k1", "")
	s.store("partners").stored = false
	if answer = want[KeyAnswer](s, 202, "DELETE", "/jwt/api-keys/k2", ""); answer.Stored || s.last().Outcome != "node_only" {
		t.Errorf("%+v", answer)
	}
}

func TestWhereAKeyIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	line := `{"id":"filed","hash":"sha256:` + strings.Repeat("a", 64) + `","name":"In a file","scopes":["x"]}` + "\n"
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.app.files = []KeyFile{{Path: path, Names: []string{"legacy"}}, {Path: path + ".gone"}}
	s.withKey("partners", "both")
	s.withKey("staff", "both")
	s.withKey("staff", "one")
	for _, c := range []struct{ method, sub, body, command string }{
		{"PATCH", "", `{"name":"x"}`, "edit"}, {"PATCH", "", `{"enabled":false}`, "disable"}, {"PATCH", "", `{"enabled":true}`, "enable"},
		{"PUT", "/secret", `{"overlap":"1h"}`, "roll"}, {"DELETE", "", "", "delete"},
	} {
		s.fails(409, "in several stores; add ?store= with one of: partners, staff", c.method, "/jwt/api-keys/both"+c.sub, c.body)
		s.fails(404, "there is no key with this id", c.method, "/jwt/api-keys/none"+c.sub, c.body)
		s.fails(404, "there is no key with this id", c.method, "/jwt/api-keys/one"+c.sub+"?store=partners", c.body)
		s.fails(404, `there is no store "x"; there are: partners, staff`, c.method, "/jwt/api-keys/one"+c.sub+"?store=x", c.body)
		s.fails(400, "the id in the path", c.method, "/jwt/api-keys/a%20b"+c.sub, c.body)
		s.fails(400, "looks like an API key", c.method, "/jwt/api-keys/"+someKey+c.sub, c.body)
		for _, store := range []string{"", "?store=legacy"} {
			s.fails(409, "run `caddy jwt api-key "+c.command+" filed --file "+path+"`", c.method, "/jwt/api-keys/filed"+c.sub+store, c.body)
		}
	}
	s.unchanged()
	s.noSecrets(someKey)
	s.fails(409, "in several stores", "GET", "/jwt/api-keys/both", "")
	s.fails(404, "there is no key with this id", "GET", "/jwt/api-keys/none", "")
	if k := want[KeyItem](s, 200, "GET", "/jwt/api-keys/both?store=staff", ""); k.Store != "staff" {
		t.Errorf("%+v", k)
	}
	if k := want[KeyItem](s, 200, "GET", "/jwt/api-keys/filed", ""); k.File != path || k.Store != "legacy" || k.Name != "In a file" || k.State != "enabled" {
		t.Errorf("%+v", k)
	}
	want[KeyAnswer](s, 200, "DELETE", "/jwt/api-keys/both?store=staff", "")
	if len(s.store("partners").keys) != 1 {
		t.Error("the other was deleted")
	}
}

// TestAKeyThatAnotherNodeHasMade: before a key is said to be missing, the storage is asked.
func TestAKeyThatAnotherNodeHasMade(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.store("partners").late = map[string]apikey.StoredKey{"late": {Record: apikey.Record{ID: "late"}}}
	if k := want[KeyItem](s, 200, "GET", "/jwt/api-keys/late", ""); k.ID != "late" {
		t.Errorf("%+v", k)
	}
	s.store("staff").syncErr = errors.New("connection refused")
	s.fails(503, "the storage can't be asked: connection refused", "DELETE", "/jwt/api-keys/none", "")
	// What can be done all the same to refuse the key.
	s.fails(503, "POST /jwt/revocations with the kind key", "DELETE", "/jwt/api-keys/none", "")
	s.fails(503, "POST /jwt/revocations with the kind key", "PATCH", "/jwt/api-keys/none", `{"enabled":false}`)
	s.store("staff").syncErr = nil
	s.store("staff").unready = true
	s.fails(503, "the store staff is not in step with the storage yet", "DELETE", "/jwt/api-keys/none", "")
	s.fails(404, "there is no key with this id", "DELETE", "/jwt/api-keys/none?store=partners", "")
}

func TestListingKeys(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := newSite(t)
	for i := range 150 {
		s.withKey("partners", fmt.Sprintf("p%03d", i), func(k *apikey.StoredKey) {
			if i%3 == 0 {
				k.Expires = noon.Add(time.Duration(i) * 24 * time.Hour)
			}
			k.Created = noon.Add(-time.Duration(i) * 24 * time.Hour)
		})
	}
	for i := range 30 {
		s.withKey("staff", fmt.Sprintf("s%03d", i))
	}
	s.state.usage = map[string]fakeUsage{"partners": {uses: map[string]apikey.Uses{"p140": {Last: noon.Add(-time.Hour), Today: 3, Days30: 500}}}}
	for n, name := range []string{"b.jsonl", "a.jsonl"} {
		var lines strings.Builder
		for i := range 40 {
			fmt.Fprintf(&lines, `{"id":"f%d-%03d","hash":"sha256:%02d%062d","expires":"2026-03-%02dT00:00:00Z","enabled":%v}`+"\n", n, (i*7)%40, n, i, i%28+1, i > 0)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		s.app.files = append(s.app.files, KeyFile{Path: path})
	}
	s.app.files[0].Names = []string{"legacy"}
	for query, n := range map[string]int{
		"": 260, "limit=1": 260, "limit=7": 260, "limit=1000": 260, "store=partners": 150, "store=staff&limit=30": 30, "store=legacy&limit=11": 40,
		"expiring=14d&store=partners": 4, "expiring=14d": 4 + 2*22, "unused=90d": 58, "unused=90d&limit=5": 58, "unused=0s&store=partners": 149, "expiring=100d&unused=90d&store=partners": 3,
	} {
		var got []string
		for after := ""; ; {
			page := want[KeyPage](s, 200, "GET", "/jwt/api-keys?"+query+"&after="+after, "")
			for _, item := range page.Items {
				got = append(got, item.Store+" "+item.File+" "+item.ID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(got) != n {
			t.Errorf("%q: %d keys, not %d", query, len(got), n)
		}
		if slices.Sort(got); len(slices.Compact(got)) != n {
			t.Errorf("%q: duplicate keys", query)
		}
	}
	page := want[KeyPage](s, 200, "GET", "/jwt/api-keys?store=partners&limit=1000", "")
	if k := page.Items[140]; k.Uses == nil || k.Uses.Days30 != 500 || k.Uses.Today != 3 || k.State != "enabled" || page.Items[0].State != "expired" {
		t.Errorf("%+v", k)
	}
	if strings.Contains(s.send("GET", "/jwt/api-keys?limit=1000", "").Body.String(), "sha256") {
		t.Error("there is a hash in the list")
	}
	s.fails(404, `there is no store "x"`, "GET", "/jwt/api-keys?store=x", "")

	s.state.usage["partners"] = fakeUsage{err: errDisk}
	s.store("staff").unready = true
	if err := os.WriteFile(s.app.files[0].Path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	page = want[KeyPage](s, 200, "GET", "/jwt/api-keys?limit=1000", "")
	notes := strings.Join(page.Notes, "\n")
	for _, part := range []string{"the store staff is not in step", errDisk.Error(), "b.jsonl"} {
		if !strings.Contains(notes, part) {
			t.Errorf("%q is not in %q", part, notes)
		}
	}
	s.fails(503, errDisk.Error(), "GET", "/jwt/api-keys?unused=1d&store=partners", "")
}

func TestTheStatusOfState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if w := s.send("GET", "/jwt/status?ready", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"cluster": "default"`) {
		t.Error(w.Code, w.Body)
	}
	s.state.sets = append(s.state.sets, setStatus("revocations", true, nil), setStatus("keys-partners", false, fmt.Errorf("dial: \x1b[2J")))
	s.withKey("partners", "k1")
	w := s.send("GET", "/jwt/status?ready", "")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Error(w.Code)
	}
	page := want[Page](s, 200, "GET", "/jwt/status", "")
	if page.State == nil || len(page.State.Sets) != 2 || page.State.Node != "node-1" || len(page.State.Nodes) != 2 || page.State.Storage == "" {
		t.Fatalf("%+v", page.State)
	}
	if one := page.State.Sets[1]; one.Ready || one.Keys == nil || *one.Keys != 1 || strings.Contains(one.Error, "\x1b") || one.AgeSeconds != 60 {
		t.Errorf("%+v", one)
	}
	if rules := page.State.Rules; len(rules) != 7 {
		t.Errorf("%v", rules)
	}
	s.app.state = nil
	if w := s.send("GET", "/jwt/status?ready", ""); w.Code != 200 || strings.Contains(w.Body.String(), `"state"`) {
		t.Error(w.Code, w.Body)
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.state.accepted = 7
	if answer := want[AcceptAnswer](s, 200, "POST", "/jwt/state/accept", "{}"); answer.Signed != 7 || s.last().Action != "accept" || s.last().Outcome != "stored" {
		t.Errorf("%+v", answer)
	}
	s.state.err = errDisk
	s.fails(503, errDisk.Error(), "POST", "/jwt/state/accept", "{}")
}
