package caddyjwt_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// TestLoadAPIKeys is about what only the machine that runs the config can tell. No
// error shows a key or a hash.
func TestLoadAPIKeys(t *testing.T) {
	key, _ := apikey.New("test")
	other, _ := apikey.New("test")
	hash, otherHash := apikey.DigestOf(key).String(), apikey.DigestOf(other).String()
	const weak = "abcdefgabcdefgabcdefgabcdefg"
	for name, value := range map[string]string{
		"KEY": key, "HASH": hash, "OTHER": other, "SHORT": key[:19], "LONG": strings.Repeat(key, 10), "WEAK": weak, "SPACE": key + " x",
		"BADHASH": hash[:len(hash)-1], "NOHEX": hash[:len(hash)-1] + "g", "EMPTY": "",
	} {
		t.Setenv("CADDY_JWT_TEST_"+name, value)
	}
	written := func(keys ...string) string {
		return `{"api_key": [` + strings.Join(keys, ", ") + `]}`
	}
	of := func(id, hash string) string { return fmt.Sprintf(`{"id": %q, "hash": %q}`, id, hash) }
	env := func(name string) string { return of("partner", "{env.CADDY_JWT_TEST_"+name+"}") }
	inFile := func(text string) string { return `{"api_keys": [{"file": "` + write(t, text) + `"}]}` }
	record := func(id, hash string) string { return fmt.Sprintf(`{"id":%q,"hash":%q}`+"\n", id, hash) }
	for name, c := range map[string]struct {
		config string
		err    []string // none for a good one
	}{
		"a hash":                           {config: written(of("partner", hash))},
		"a hash in capitals":               {config: written(of("partner", "sha256:"+strings.ToUpper(hash[7:])))},
		"a variable with a key":            {config: written(env("KEY"))},
		"a variable with a hash":           {config: written(env("HASH"))},
		"a file with a key":                {config: written(of("partner", "{file."+write(t, key+"\n")+"}"))},
		"a file with a hash":               {config: written(of("partner", "{file."+write(t, hash+"\r\n")+"}"))},
		"two keys":                         {config: written(env("KEY"), of("other", otherHash))},
		"a key file":                       {config: inFile(record("a", hash) + record("b", otherHash))},
		"a key file without keys":          {config: inFile("\n")},
		"a key file with blank lines":      {config: inFile("\n" + record("a", hash) + "\r\n\n")},
		"a key in the config and the file": {config: `{"api_key": [` + of("a", hash) + `], "api_keys": [{"file": "` + write(t, record("a", hash)) + `"}]}`},

		"unset":                    {written(env("UNSET")), []string{"api_key partner: the environment variable CADDY_JWT_TEST_UNSET is not set or empty; set it before Caddy starts"}},
		"set to nothing":           {written(env("EMPTY")), []string{"api_key partner: the environment variable CADDY_JWT_TEST_EMPTY is not set or empty"}},
		"too short":                {written(env("SHORT")), []string{"api_key partner: {env.CADDY_JWT_TEST_SHORT}: an API key has at least 20 characters, this one has 19"}},
		"too long":                 {written(env("LONG")), []string{"api_key partner: {env.CADDY_JWT_TEST_LONG}: an API key has at most 512 characters"}},
		"weak":                     {written(env("WEAK")), []string{"api_key partner: {env.CADDY_JWT_TEST_WEAK}: the key has few different characters"}},
		"with a space":             {written(env("SPACE")), []string{"api_key partner: {env.CADDY_JWT_TEST_SPACE}: an API key is visible ASCII"}},
		"a short hash in env":      {written(env("BADHASH")), []string{"api_key partner: {env.CADDY_JWT_TEST_BADHASH}: the hash has 63 characters"}},
		"a malformed hash in env":  {written(env("NOHEX")), []string{"api_key partner: {env.CADDY_JWT_TEST_NOHEX}: the hash has a character that is not a hexadecimal digit"}},
		"an empty file":            {written(of("partner", "{file."+write(t, "\n")+"}")), []string{"api_key partner: "}},
		"no file":                  {written(of("partner", "{file./nowhere/key}")), []string{"api_key partner: open /nowhere/key: "}},
		"no file, relative":        {written(of("partner", "{file../nowhere}")), []string{"api_key partner: open ./nowhere: ", "(relative to " + here(t) + ", "}},
		"the same key by hash":     {written(env("KEY"), of("other", hash)), []string{"api_key other: it is the same key as partner; remove one of them"}},
		"the same key by variable": {written(of("other", hash), env("HASH")), []string{"api_key partner: it is the same key as other"}},
		"the same id":              {written(of("partner", otherHash), env("KEY")), []string{"api_key partner: duplicate id"}},
		"a plain key":              {written(of("partner", key)), []string{"api_key partner: an API key can't be written in the config"}},
		"no hash":                  {written(`{"id": "partner"}`), []string{"api_key partner: an API key can't be written in the config"}},
		"no id":                    {written(fmt.Sprintf(`{"hash": %q}`, hash)), []string{`api_key: "" is not a valid id`}},
		"null":                     {written("null"), []string{"api_key: an entry is null"}},
		"an unknown field":         {written(`{"id": "a", "key": "b"}`), []string{`unknown field "key"`}},
		"a bad time":               {written(fmt.Sprintf(`{"id": "a", "hash": %q, "expires": "tomorrow"}`, hash)), []string{`api_key a: expires: "tomorrow" is not a valid time`}},
		"a bad scope":              {written(fmt.Sprintf(`{"id": "a", "hash": %q, "scopes": ["a b"]}`, hash)), []string{`api_key a: scopes: "a b" is not a valid scope`}},
		"a bad consumer":           {written(fmt.Sprintf(`{"id": "a", "hash": %q, "consumer": "a\nb"}`, hash)), []string{`api_key a: consumer: `}},
		"meta too large":           {written(fmt.Sprintf(`{"id": "a", "hash": %q, "meta": {"a": %q}}`, hash, strings.Repeat("x", 9000))), []string{`api_key a: meta: it has 9008 bytes`}},

		"no key file":                {`{"api_keys": [{"file": "/nowhere/keys.jsonl"}]}`, []string{"api_keys: open /nowhere/keys.jsonl: "}},
		"no key file, relative":      {`{"api_keys": [{"file": "nowhere.jsonl"}]}`, []string{"api_keys: open ", "nowhere.jsonl"}},
		"a folder":                   {`{"api_keys": [{"file": "` + t.TempDir() + `"}]}`, []string{"api_keys: ", "it is a folder; name the key file in it"}},
		"a key file of 0 bytes":      {inFile(""), []string{"api_keys: ", "it is empty, as if its content was lost"}},
		"a line that is no JSON":     {inFile(record("a", hash) + "{\n"), []string{"api_keys: ", "/file:2: it is not a JSON object"}},
		"a line cut off":             {inFile(record("a", hash) + strings.TrimSpace(record("b", otherHash))), []string{"api_keys: ", "/file:2: the last line does not end with a newline"}},
		"an unknown member":          {inFile("\n" + `{"id":"a","hash":"` + hash + `","key":"` + key + `"}` + "\n"), []string{"/file:2: ", "key", ": a key is not stored, only its hash; `caddy jwt api-key hash` makes it"}},
		"a key where its hash is":    {inFile(record("a", key)), []string{"/file:1: hash: a hash is sha256:"}},
		"a duplicate id in the file": {inFile(record("a", hash) + record("a", otherHash)), []string{"/file:2: "}},
		"a duplicate hash":           {inFile(record("a", hash) + record("b", hash)), []string{"/file:2: "}},
		"an undeclared name":         {`{"api_keys": [{"name": "partners"}]}`, []string{"api_keys partners: no store of this name is declared"}},
		"name and file":              {`{"api_keys": [{"name": "partners", "file": "a"}]}`, []string{"api_keys: write the path of a key file, or the name of a store, not both"}},
		"neither":                    {`{"api_keys": [{}]}`, []string{"api_keys: write the path of a key file, or the name of a store"}},
		"a null store":               {`{"api_keys": [null]}`, []string{"api_keys: an entry is null"}},
		"a placeholder":              {`{"api_keys": [{"file": "{env.DIR}/keys"}]}`, []string{"api_keys: {env.DIR} is not possible in a path"}},
		"a file twice":               {`{"api_keys": [{"file": "/a/keys"}, {"file": "/a//keys"}]}`, []string{"api_keys: duplicate file /a//keys"}},
		"a prefix without keys":      {`{"api_key_user_prefix": "key:", "issuer": [{"iss": "https://auth.example.com/", "audience": ["api"]}]}`, []string{"api_key_user_prefix: no API key is configured"}},
		"a place without keys":       {`{"api_key_from": [{"from": "basic"}], "issuer": [{"iss": "https://auth.example.com/", "audience": ["api"]}]}`, []string{"api_key_from: there is no API key"}},
		"a null place":               {`{"api_key_from": [null], "api_key": [` + of("a", hash) + `]}`, []string{"api_key_from: an entry is null"}},
		"token_from without issuers": {`{"token_from": [{"from": "cookie", "name": "s"}], "api_key": [` + of("a", hash) + `]}`, []string{"token_from: there is no issuer"}},
		"audience without issuers":   {`{"audience": ["api"], "api_key": [` + of("a", hash) + `]}`, []string{"audience: it is for tokens"}},
		"neither keys nor issuers":   {`{"api_key": [], "api_keys": []}`, []string{"neither an issuer nor an API key is configured"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.config)
			if c.err == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, c.err...)
			for _, secret := range []string{key[:19], hash[7:40], otherHash[7:40], other[:19], weak} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("a key or hash shows in: %v", err)
				}
			}
		})
	}
}

// TestLoadErrorsOfAPIKeysNameTheSite: of many sites, the one with the mistake.
func TestLoadErrorsOfAPIKeysNameTheSite(t *testing.T) {
	key, _ := apikey.New("test")
	good := write(t, `{"id":"a","hash":"`+apikey.DigestOf(key).String()+`"}`+"\n")
	broken := write(t, "\n{\n")
	site := "orders.example.com {\njwt {\napi_keys " + good + "\n}\n}\nbills.example.com {\njwt {\n%s\n}\n}"
	for name, c := range map[string]struct {
		option string
		err    []string
	}{
		"a broken file":      {"api_keys " + broken, []string{"jwt at bills.example.com: api_keys: " + broken + ":2: it is not a JSON object"}},
		"a missing file":     {"api_keys /nowhere/keys.jsonl", []string{"jwt at bills.example.com: api_keys: open /nowhere/keys.jsonl: "}},
		"an unset variable":  {"api_key partner {env.CADDY_JWT_TEST_UNSET}", []string{"jwt at bills.example.com: api_key partner: the environment variable CADDY_JWT_TEST_UNSET"}},
		"a duplicate of env": {"api_key a {env.CADDY_JWT_TEST_ONE}\napi_key b {env.CADDY_JWT_TEST_TWO}", []string{"jwt at bills.example.com: api_key b: it is the same key as a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CADDY_JWT_TEST_ONE", key)
			t.Setenv("CADDY_JWT_TEST_TWO", apikey.DigestOf(key).String())
			wantError(t, validate(t, fmt.Sprintf(site, c.option)), c.err...)
		})
	}
	if err := validate(t, fmt.Sprintf(site, "api_keys "+good)); err != nil {
		t.Errorf("two sites with one file: %v", err)
	}
}

// TestLoadNamedStores: what the app jwt declares, in JSON.
func TestLoadNamedStores(t *testing.T) {
	key, _ := apikey.New("test")
	good := write(t, `{"id":"a","hash":"`+apikey.DigestOf(key).String()+`"}`+"\n")
	for name, c := range map[string]struct{ app, err string }{
		"good":          {`{"api_keys": {"partners": {"file": "` + good + `"}}}`, ""},
		"unused":        {`{"api_keys": {"partners": {"file": "` + good + `"}, "other": {"file": "/nowhere/keys"}}}`, ""},
		"null":          {`{"api_keys": {"partners": null}}`, "jwt: api_keys partners: it has neither a file nor storage"},
		"without file":  {`{"api_keys": {"partners": {}}}`, "jwt: api_keys partners: it has neither a file nor storage; write file"},
		"a bad name":    {`{"api_keys": {"a.b": {"file": "` + good + `"}}}`, `jwt: "a.b" is not a valid store name`},
		"a placeholder": {`{"api_keys": {"partners": {"file": "{env.DIR}/a"}}}`, "jwt: api_keys partners: {env.DIR} is not possible in a path"},
		"another":       {`{"api_keys": {"others": {"file": "` + good + `"}}}`, "api_keys partners: no store of this name is declared"},
		"a broken file": {`{"api_keys": {"partners": {"file": "` + write(t, "{") + `"}}}`, ":1: the last line does not end with a newline"},
		"unknown":       {`{"api_keys": {"partners": {"path": "` + good + `"}}}`, `unknown field "path"`},
	} {
		t.Run(name, func(t *testing.T) {
			config := fmt.Sprintf(`{"admin": {"disabled": true}, "logging": {"logs": {"default": {"level": "PANIC"}}}, "storage": {"module": "file_system", "root": %q}, "apps": {"jwt": %s,
				"http": {"servers": {"s": {"listen": ["unix//nowhere"], "routes": [{"handle": [{"handler": "jwt", "api_keys": [{"name": "partners"}]}]}]}}}}}`, storageDir(t), c.app)
			var parsed *caddy.Config
			if err := caddy.StrictUnmarshalJSON([]byte(config), &parsed); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(parsed)
			if c.err != "" {
				wantError(t, err, c.err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAKeyOfAVariableWorks: it is the key in the variable that is asked for, and
// not the variable's text as it is at the request.
func TestAKeyOfAVariableWorks(t *testing.T) {
	key, _ := apikey.New("test")
	for name, value := range map[string]string{"key": key, "hash": apikey.DigestOf(key).String()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CADDY_JWT_TEST_KEY", value)
			h, err := load(t, `{"api_key": [{"id": "partner", "hash": "{env.CADDY_JWT_TEST_KEY}"}]}`)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Setenv("CADDY_JWT_TEST_KEY", "other"); err != nil {
				t.Fatal(err)
			}
			for presented, want := range map[string]bool{key: true, "other": false, apikey.DigestOf(key).String(): false, "{env.CADDY_JWT_TEST_KEY}": false} {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("X-API-Key", presented)
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
				passed := false
				err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
					passed = true
					return nil
				}))
				if err != nil || passed != want {
					t.Errorf("passed %v, want %v: %v", passed, want, err)
				}
			}
		})
	}
}
