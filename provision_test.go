package caddyjwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"

	caddyjwt "github.com/caddy-jwt/caddy-jwt"
)

// goodSecret has 32 bytes and is new in each run.
var goodSecret = (rand.Text() + rand.Text())[:32]

// load loads a handler as Caddy does: fields that it does not know are an
// error, and it is cleaned up at the end.
func load(t *testing.T, config string) (*caddyjwt.Handler, error) {
	t.Helper()
	ctx, cancel := testContext(t)
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("http.handlers.jwt", json.RawMessage(config))
	if err != nil {
		return nil, err
	}
	return module.(*caddyjwt.Handler), nil
}

// issuerWith is a handler with one issuer that has these settings too.
func issuerWith(settings string) string {
	return `{"issuer": [{"iss": "https://auth.example.com/", "audience": ["api"], ` + settings + `}]}`
}

// write writes a file and returns its path, escaped for JSON.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(path)
}

// TestThreat17_WeakSecretsAreRefusedAtLoad: anyone who guesses or looks up a secret
// can forge tokens. No error repeats one.
func TestThreat17_WeakSecretsAreRefusedAtLoad(t *testing.T) {
	raw := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, c := range map[string]struct {
		secret   string
		base64   bool
		settings string
		err      string // "" for a good one
	}{
		"good":                                {secret: goodSecret},
		"good, in base64":                     {secret: raw(goodSecret), base64: true},
		"good, in base64url without padding":  {secret: strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(goodSecret)), "="), base64: true},
		"good, with a line's end":             {secret: goodSecret + "\n"},
		"good, with a line's end of Windows":  {secret: goodSecret + "\r\n"},
		"good, in base64, on Windows":         {secret: raw(goodSecret) + "\r\n", base64: true},
		"empty":                               {secret: "", err: "is"},
		"a line's end alone":                  {secret: "\r\n", err: "secret"},
		"spaces":                              {secret: strings.Repeat(" ", 40), err: "fewer than 8 different bytes"},
		"short":                               {secret: goodSecret[:31], err: "has 31 bytes; it must have at least the 32"},
		"short without its line's end":        {secret: goodSecret[:31] + "\n", err: "has 31 bytes"},
		"short without its line's end of two": {secret: goodSecret[:30] + "\r\n", err: "has 30 bytes"},
		"short once decoded":                  {secret: raw(goodSecret[:31]), base64: true, err: "has 31 bytes"},
		"short for HS512":                     {secret: goodSecret, settings: `"algorithms": ["HS512"],`, err: "at least the 64"},
		"of one byte":                         {secret: strings.Repeat("a", 64), err: "fewer than 8 different bytes"},
		"of seven bytes":                      {secret: strings.Repeat("abcdefg", 9), err: "fewer than 8 different bytes"},
		"jwt.io's sample":                     {secret: "a-string-secret-at-least-256-bits-long", err: "published sample"},
		"jwt.io's sample in base64":           {secret: raw("a-string-secret-at-least-256-bits-long"), base64: true, err: "published sample"},
		"Supabase's sample with a line's end": {secret: "your-super-secret-jwt-token-with-at-least-32-characters-long\n", err: "published sample"},
		"no base64":                           {secret: "not*base64*" + goodSecret, base64: true, err: "is not valid base64"},
		"base64 cut off":                      {secret: raw(goodSecret)[:41], base64: true, err: "is not valid base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CADDY_JWT_TEST_SECRET", c.secret)
			for _, value := range []string{"{env.CADDY_JWT_TEST_SECRET}", "{file." + write(t, c.secret) + "}"} {
				if strings.HasPrefix(value, "{env.") && strings.HasSuffix(c.secret, "\n") {
					continue // a line's end is no part of a file's secret, and no business of a variable's
				}
				_, err := load(t, issuerWith(fmt.Sprintf(`%s "secret": [{"value": %q, "base64": %v}]`, c.settings, value, c.base64)))
				if c.err == "" {
					if err != nil {
						t.Errorf("%s: %v", value, err)
					}
					continue
				}
				wantError(t, err, `issuer "https://auth.example.com/": secret: `, c.err)
				if secret := strings.TrimSpace(c.secret); err != nil && len(secret) > 8 && strings.Contains(err.Error(), secret[:8]) {
					t.Errorf("the secret shows in: %v", err)
				}
			}
		})
	}
	t.Run("unset", func(t *testing.T) {
		_, err := load(t, issuerWith(`"secret": [{"value": "{env.CADDY_JWT_TEST_UNSET}"}]`))
		wantError(t, err, "secret: the environment variable CADDY_JWT_TEST_UNSET is not set or empty; set it before Caddy starts")
	})
	for name, value := range map[string]string{
		"plain":              goodSecret,
		"plain with a brace": "{" + goodSecret + "}",
		"behind text":        goodSecret + "{env.CADDY_JWT_TEST_SECRET}",
		"two":                "{env.CADDY_JWT_TEST_SECRET}{env.CADDY_JWT_TEST_SECRET}",
		"of a request":       "{http.request.header.X-Secret}",
		"nothing":            "",
	} {
		t.Run("not pointed to: "+name, func(t *testing.T) {
			t.Setenv("CADDY_JWT_TEST_SECRET", goodSecret)
			_, err := load(t, issuerWith(fmt.Sprintf(`"secret": [{"value": %q}]`, value)))
			wantError(t, err, "secret: a secret can't be in the config", "write {env.NAME}")
			if err != nil && strings.Contains(err.Error(), goodSecret[:8]) {
				t.Errorf("the secret shows in: %v", err)
			}
		})
	}
}

// TestLoad is about what depends on the machine that runs the config. Each error
// names the issuer and the option.
func TestLoad(t *testing.T) {
	t.Parallel()
	public, private := keyPair(t)
	otherPublic, _ := keyPair(t)
	octet := `{"kty": "oct", "k": "` + base64.RawURLEncoding.EncodeToString([]byte(goodSecret)) + `"}`
	ec := ecJWK(t)
	for name, c := range map[string]struct {
		settings string
		err      []string // none for a good one
	}{
		"a public key":           {settings: file(t, "public_key", public)},
		"a public key in place":  {settings: fmt.Sprintf(`"public_key": [%q]`, public)},
		"public keys in one PEM": {settings: file(t, "public_key", public+otherPublic)},
		"a key set":              {settings: file(t, "jwks_file", `{"keys": [`+ec+`]}`)},
		"a key set of secrets":   {settings: `"algorithms": ["HS256"], ` + file(t, "jwks_file", `{"keys": [`+octet+`]}`)},

		"public_key: no file":           {`"public_key": ["/nowhere/public.pem"]`, []string{"public_key: stat /nowhere/public.pem: "}},
		"public_key: a directory":       {fmt.Sprintf(`"public_key": [%q]`, t.TempDir()), []string{"public_key: read "}},
		"public_key: no PEM":            {file(t, "public_key", "AAAA"), []string{"public_key: ", "there is no PEM block in it"}},
		"public_key: an SSH key":        {file(t, "public_key", "ssh-rsa AAAA"), []string{"public_key: ", "it is an SSH public key; convert it to PEM: ssh-keygen -e -m PKCS8 -f key.pub"}},
		"public_key: broken PEM":        {file(t, "public_key", strings.Replace(public, "M", "!", 1)), []string{"public_key: ", "PEM block"}},
		"public_key: broken DER":        {file(t, "public_key", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))), []string{"public_key: ", "PKIX"}},
		"public_key: a private key":     {file(t, "public_key", private), []string{"public_key: ", "it holds a private key", "openssl pkey"}},
		"public_key: both":              {file(t, "public_key", public+private), []string{"public_key: ", "it holds a private key"}},
		"public_key: private in place":  {fmt.Sprintf(`"public_key": [%q]`, private), []string{"public_key in the config: it holds a private key"}},
		"public_key: too large":         {file(t, "public_key", strings.Repeat(" ", 1<<20+1)), []string{"public_key: ", "larger than 1 MiB"}},
		"public_key: empty":             {`"public_key": [""]`, []string{"public_key: it is empty"}},
		"public_key: unset":             {`"public_key": ["{env.CADDY_JWT_TEST_UNSET}"]`, []string{"public_key: the environment variable CADDY_JWT_TEST_UNSET is not set"}},
		"public_key: unfit":             {`"algorithms": ["RS256"], ` + file(t, "public_key", public), []string{"algorithms: none of its keys can verify RS256"}},
		"jwks_file: no file":            {`"jwks_file": "/nowhere/jwks.json"`, []string{"jwks_file: stat /nowhere/jwks.json: "}},
		"jwks_file: PEM":                {file(t, "jwks_file", public), []string{"jwks_file: ", "it holds PEM, not a key set; write public_key instead of jwks_file"}},
		"jwks_file: relative":           {`"jwks_file": "nowhere/jwks.json"`, []string{"jwks_file: stat nowhere/jwks.json: ", "(relative to " + here(t) + ", where Caddy runs; write a full path)"}},
		"public_key: relative":          {`"public_key": ["nowhere.pem"]`, []string{"public_key: stat nowhere.pem: ", "(relative to " + here(t) + ", "}},
		"ca: relative":                  {`"ca": "nowhere.pem"`, []string{"ca: open nowhere.pem: ", "(relative to " + here(t) + ", "}},
		"secret: relative":              {`"secret": [{"value": "{file../nowhere}"}]`, []string{"secret: stat ./nowhere: ", "(relative to " + here(t) + ", "}},
		"secret: as Caddy rewrites it":  {`"secret": [{"value": "{http.request.uri.path.file.jwt_secret}"}]`, []string{"secret: to Caddy {file.jwt_secret} is part of the request's path; write {file../jwt_secret}"}},
		"jwks_file: a URL":              {`"jwks_file": "https://auth.example.com/keys"`, []string{"jwks_file: it is a URL; write jwks_url"}},
		"public_key: a URL":             {`"public_key": ["HTTPS://auth.example.com/key.pem"]`, []string{"public_key: it is a URL", "write jwks_url"}},
		"public_key: of a request":      {`"public_key": ["{http.request.host}"]`, []string{"public_key: {http.request.host} is not possible here: placeholders of requests", "write the path of a file"}},
		"public_key: a part of a path":  {`"public_key": ["{env.DIR}/key.pem"]`, []string{"public_key: {env.DIR} is not possible in a path; write {$DIR}"}},
		"public_key: {file.} in a path": {`"public_key": ["{file.a/b}.pem"]`, []string{"public_key: {file.a/b} is not possible in a path; write the path of the file alone"}},
		"ca: a placeholder":             {`"ca": "{env.DIR}/root.pem"`, []string{"ca: {env.DIR} is not possible in a path; write {$DIR}"}},
		"jwks_url: a path":              {`"jwks_url": "/etc/caddy/jwks.json"`, []string{"jwks_url: it is not a URL; for a file write jwks_file"}},
		"jwks_url: a file":              {`"jwks_url": "file:///etc/caddy/jwks.json"`, []string{"jwks_url: it is not a URL; for a file write jwks_file"}},
		"bearer_token_file: {file.}":    {`"bearer_token_file": "{file./run/token}"`, []string{"bearer_token_file: {file./run/token} is not possible in a path; write the path of the file alone"}},
		"jwks_file: a folder in braces": {`"jwks_file": "/nowhere/{b7c3}/jwks.json"`, []string{"jwks_file: stat /nowhere/{b7c3}/jwks.json: "}},
		"jwks_file: broken":             {file(t, "jwks_file", `{"keys": [`+ec), []string{"jwks_file: ", "not a strict JSON object"}},
		"jwks_file: no set":             {file(t, "jwks_file", ec), []string{"jwks_file: ", `no array "keys"`}},
		"jwks_file: empty":              {file(t, "jwks_file", `{"keys": []}`), []string{"jwks_file: ", "the key set is empty"}},
		"jwks_file: an empty file":      {file(t, "jwks_file", ""), []string{"jwks_file: ", "is empty and not a JSON object"}},
		"jwks_file: both kinds":         {`"algorithms": ["HS256"], ` + file(t, "jwks_file", `{"keys": [`+ec+`, `+octet+`]}`), []string{"jwks_file: ", "secrets (kty oct) and public keys"}},
		"jwks_file: a private key":      {file(t, "jwks_file", `{"keys": [`+strings.Replace(ec, `"kty"`, `"d": "AAAA", "kty"`, 1)+`]}`), []string{"jwks_file: ", "it is a private key"}},
		"jwks_file: unexpected secrets": {file(t, "jwks_file", `{"keys": [`+octet+`]}`), []string{"jwks_file: ", "algorithms HS256"}},
		"jwks_file: unfit":              {`"algorithms": ["HS256"], ` + file(t, "jwks_file", `{"keys": [`+ec+`]}`), []string{"algorithms: none of its keys can verify HS256"}},
		"ca: no file":                   {`"ca": "/nowhere/root.pem"`, []string{"ca: open /nowhere/root.pem: "}},
		"ca: no certificate":            {file(t, "ca", public), []string{"ca: the file ", "holds no certificate in PEM"}},
		"bearer_token_file: no file":    {`"bearer_token_file": "/nowhere/token"`, []string{"bearer_token_file: open /nowhere/token: "}},
		"bearer_token_file: empty":      {file(t, "bearer_token_file", "\n"), []string{"bearer_token_file: the file ", "must hold one token"}},
		"bearer_token_file: two tokens": {file(t, "bearer_token_file", unspeakable+" two"), []string{"bearer_token_file: the file ", "must hold one token"}},
		"jwks_url: unset":               {`"jwks_url": "https://{env.CADDY_JWT_TEST_UNSET}/keys"`, []string{"jwks_url: the environment variable CADDY_JWT_TEST_UNSET is not set"}},
		"jwks_url: of a request":        {`"jwks_url": "https://{http.request.host}/keys"`, []string{"jwks_url: {http.request.host} is not possible here"}},
		"jwks_url: http":                {`"jwks_url": "http://auth.example.com/keys"`, []string{"jwks_url: ", "is http"}},
		"discovery: unset":              {`"discovery": "https://{env.CADDY_JWT_TEST_UNSET}/"`, []string{"discovery: the environment variable CADDY_JWT_TEST_UNSET is not set"}},
		"secret: no file":               {`"secret": [{"value": "{file./nowhere/secret}"}]`, []string{"secret: stat /nowhere/secret: "}},
		"secret: null":                  {`"secret": [null]`, []string{"secret: a secret can't be in the config"}},
		"leeway: negative":              {`"leeway": -1`, []string{"leeway: it must be from 0 to 1h"}},
		"max_lifetime: negative":        {`"max_lifetime": -1`, []string{"max_lifetime: it must be above 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, issuerWith(c.settings))
			if c.err == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, append(c.err, `issuer "https://auth.example.com/": `)...)
			if err != nil && strings.Contains(err.Error(), unspeakable) {
				t.Errorf("a secret shows in: %v", err)
			}
		})
	}
}

// here returns the folder that relative paths are relative to.
func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMissingFilesByFullPath: the error does not mention the working directory.
func TestMissingFilesByFullPath(t *testing.T) {
	t.Parallel()
	_, err := load(t, issuerWith(`"jwks_file": "/nowhere/jwks.json"`))
	if err == nil || strings.Contains(err.Error(), "relative to") {
		t.Error(err)
	}
}

// TestLoadJSON tests configs that no Caddyfile adapts to.
func TestLoadJSON(t *testing.T) {
	t.Parallel()
	const issuer = `"issuer": [{"iss": "https://auth.example.com/", "audience": ["api"]}]`
	for name, c := range map[string]struct {
		config string
		err    string
	}{
		"nothing":                     {`{}`, "neither an issuer"},
		"null":                        {`null`, "cannot be null"},
		"a null issuer":               {`{"issuer": [null]}`, "issuer: an entry is null"},
		"a null token_from":           {`{"token_from": [null], ` + issuer + `}`, "token_from: an entry is null"},
		"a null claim":                {`{"claim": [null], ` + issuer + `}`, "claim: an entry is null"},
		"an empty token_from":         {`{"token_from": [{}], ` + issuer + `}`, "token_from: unknown place \"\" for a token"},
		"an empty claim":              {`{"claim": [{}], ` + issuer + `}`, "claim: a claim path is empty"},
		"an empty iss":                {`{"issuer": [{"audience": ["api"]}]}`, "it is empty; write the exact iss"},
		"the metadata's URL":          {`{"issuer": [{"iss": "https://auth.example.com/a/.well-known/openid-configuration", "audience": ["api"]}]}`, "it is the URL of the issuer's metadata; write the issuer that it names, https://auth.example.com/a or https://auth.example.com/a/"},
		"the metadata's URL, 8414":    {`{"issuer": [{"iss": "https://auth.example.com/.well-known/oauth-authorization-server/a", "audience": ["api"]}]}`, "write the issuer that it names, https://auth.example.com/a or"},
		"a key set's URL":             {`{"issuer": [{"iss": "https://auth.example.com/keys.json", "audience": ["api"]}]}`, "write it as jwks_url into an issuer block"},
		"an issuer without https":     {`{"issuer": [{"iss": "auth.example.com", "audience": ["api"]}]}`, "write https://auth.example.com/, exactly as iss in the tokens has it, or name where its keys are"},
		"a realm without https":       {`{"issuer": [{"iss": "auth.example.com/realms/main/", "audience": ["api"]}]}`, "write https://auth.example.com/realms/main/, exactly"},
		"an issuer that is no host":   {`{"issuer": [{"iss": "a b.c", "audience": ["api"]}]}`, "its metadata can't be found; name where its keys are"},
		"a null audience":             {`{"issuer": [{"iss": "https://auth.example.com/", "audience": [null]}]}`, "audience: a value is empty"},
		"an unset audience":           {`{"issuer": [{"iss": "https://auth.example.com/", "audience": ["{env.CADDY_JWT_TEST_UNSET}"]}]}`, "audience: the environment variable CADDY_JWT_TEST_UNSET is not set"},
		"an unset iss":                {`{"issuer": [{"iss": "{env.CADDY_JWT_TEST_UNSET}", "audience": ["api"]}]}`, "the environment variable CADDY_JWT_TEST_UNSET is not set"},
		"an unused audience":          {`{"audience": ["*", "api"], ` + issuer + `}`, "audience: * disables the check, so it must be the only value"},
		"an unknown field":            {`{"isuser": []}`, `unknown field "isuser"`},
		"an unknown field of issuer":  {`{"issuer": [{"jwks_uri": ""}]}`, `unknown field "jwks_uri"`},
		"an unknown field of secret":  {`{"issuer": [{"secret": [{"text": "x"}]}]}`, `unknown field "text"`},
		"an unknown field of a place": {`{"token_from": [{"form": "header"}]}`, `unknown field "form"`},
		"one text for a list":         {`{"issuer": [{"audience": "api"}]}`, "cannot unmarshal string"},
		"the same iss twice":          {`{"issuer": [{"iss": "https://auth.example.com/", "audience": ["a"]}, {"iss": "https://auth.example.com/", "audience": ["b"]}]}`, "duplicate issuer"},
		"a bad realm":                 {`{"realm": "a\nb", ` + issuer + `}`, "realm: "},
		"a bad error_format":          {`{"error_format": "xml", ` + issuer + `}`, "error_format: "},
		"a bad origin":                {`{"token_from": [{"from": "cookie", "name": "s"}], "trusted_origins": ["x"], ` + issuer + `}`, "trusted_origins: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, c.config)
			wantError(t, err, c.err)
		})
	}
}

// TestLoadErrorsNameTheSite: the error names the site with the mistake.
func TestLoadErrorsNameTheSite(t *testing.T) {
	t.Setenv("CADDY_JWT_TEST_EMPTY", "")
	t.Setenv("CADDY_JWT_TEST_SECRET", unspeakable)
	const good = "jwt https://auth.example.com/ https://api.example.com"
	for name, c := range map[string]struct {
		sites string
		err   []string
	}{
		"the second site": {
			"orders.example.com {\n" + good + "\n}\nbills.example.com {\njwt {env.CADDY_JWT_TEST_UNSET} api\n}",
			[]string{"jwt at bills.example.com: issuer ", "CADDY_JWT_TEST_UNSET is not set or empty"},
		},
		"a site with several names": {
			"bills.example.com, invoices.example.com {\njwt {env.CADDY_JWT_TEST_EMPTY} api\n}",
			[]string{"jwt at bills.example.com, invoices.example.com: ", "CADDY_JWT_TEST_EMPTY is not set or empty"},
		},
		"a handler deep inside": {
			"orders.example.com {\nhandle /api/* {\nroute {\n" + good + "\n}\n}\n}\nbills.example.com {\nhandle /api/* {\nroute {\njwt /x/* {\nissuer a {\npublic_key /nowhere/key.pem\n}\naudience b\n}\n}\n}\n}",
			[]string{`jwt at bills.example.com: issuer "a": public_key: stat /nowhere/key.pem`},
		},
		"another server": {
			"orders.example.com {\n" + good + "\n}\nbills.example.com:8443 {\njwt {\nissuer a {\nsecret {file./nowhere/secret}\n}\naudience b\n}\n}",
			[]string{`jwt at bills.example.com: issuer "a": secret: stat /nowhere/secret`},
		},
		"a site without a name": {
			":8080 {\njwt {\nissuer a {\nsecret base64 {env.CADDY_JWT_TEST_SECRET}\n}\naudience b\n}\n}",
			[]string{`jwt at :8080: issuer "a": secret: `, "{env.CADDY_JWT_TEST_SECRET}"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, c.sites)
			wantError(t, err, c.err...)
			if err != nil && strings.Contains(err.Error(), unspeakable) {
				t.Errorf("a secret shows in: %v", err)
			}
		})
	}
}

// TestLoadMakesNoConnection: a config loads even if the issuers can't be reached,
// and caddy validate makes no connections.
func TestLoadMakesNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int32
	first := make(chan struct{}, 1)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
			select {
			case first <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { listener.Close() })
	here := "http://" + listener.Addr().String()
	if err := validate(t, fmt.Sprintf(`api.example.com {
	jwt %[1]s api {
		issuer https://one.invalid/ {
			discovery %[1]s/openid
		}
		issuer https://two.invalid/ {
			jwks_url %[1]s/keys
		}
		issuer https://three.invalid/
		audience api
	}
}`, here)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first:
		t.Errorf("%d connections", connections.Load())
	case <-time.After(200 * time.Millisecond):
	}
}

// TestCleanup: Caddy also calls Cleanup after a failed Provision.
func TestCleanup(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"nothing":      `{}`,
		"half way":     `{"audience": ["api"], "issuer": [{"iss": "https://auth.example.com/"}, {"iss": "a", "public_key": ["/nowhere/key.pem"]}]}`,
		"at the end":   `{"error_format": "xml", "audience": ["api"], "issuer": [{"iss": "https://auth.example.com/"}]}`,
		"good":         `{"audience": ["api"], "issuer": [{"iss": "https://auth.example.com/"}]}`,
		"a null entry": `{"audience": ["api"], "issuer": [{"iss": "https://auth.example.com/"}, null]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := new(caddyjwt.Handler)
			if err := json.Unmarshal([]byte(config), h); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := testContext(t)
			defer cancel()
			err := h.Provision(ctx)
			if (err == nil) != (name == "good") {
				t.Errorf("got %v", err)
			}
			cancel() // cleans the app up, which logs and panics if it can't
		})
	}
}

// provisioning keeps tests apart while Caddy writes to its variables.
var provisioning sync.Mutex

// testContext is the context of a config without apps. Cancelling it cleans up
// what was loaded in it.
func testContext(t *testing.T) (caddy.Context, context.CancelFunc) {
	t.Helper()
	provisioning.Lock()
	defer provisioning.Unlock()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:      &caddy.AdminConfig{Disabled: true},
		Logging:    &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}},
		StorageRaw: json.RawMessage(fmt.Sprintf(`{"module":"file_system","root":%q}`, t.TempDir())),
	})
	if err != nil {
		t.Fatal(err)
	}
	return caddy.NewContext(ctx)
}

// TestReload: the last config that loaded serves requests, and one that does not
// load changes nothing.
func TestReload(t *testing.T) {
	// A test's own temporary folder may be too long a path for a socket.
	dir, err := os.MkdirTemp("", "cj")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	t.Setenv("CADDY_JWT_TEST_SECRET", goodSecret)
	config := func(audience, variable string) []byte {
		return adaptSites(t, fmt.Sprintf(`http:// {
	bind unix/%s
	jwt {
		issuer a {
			secret {env.%s}
		}
		issuer https://never.invalid/
		audience %s
	}
	respond "hello {http.auth.user.id}"
}`, socket, variable, audience))
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "a", "aud": "orders", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(goodSecret))
	if err != nil {
		t.Fatal(err)
	}
	status := func() int {
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := transport.RoundTrip(r)
		if err != nil {
			return 0
		}
		res.Body.Close()
		return res.StatusCode
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	for n, step := range []struct {
		audience, variable string
		status             int
	}{
		{"orders", "CADDY_JWT_TEST_SECRET", http.StatusOK},
		{"orders", "CADDY_JWT_TEST_SECRET", http.StatusOK},
		{"bills", "CADDY_JWT_TEST_SECRET", http.StatusUnauthorized},
		{"orders", "CADDY_JWT_TEST_UNSET", http.StatusUnauthorized},
		{"orders", "CADDY_JWT_TEST_SECRET", http.StatusOK},
	} {
		err := caddy.Load(config(step.audience, step.variable), true)
		if (err != nil) != (step.variable == "CADDY_JWT_TEST_UNSET") {
			t.Fatalf("load %d: %v", n, err)
		}
		// Load returns before the last server has ended, which still takes
		// some connections of a socket that the two share.
		deadline := time.Now().Add(10 * time.Second)
		for got := status(); got != step.status; got = status() {
			if time.Now().After(deadline) {
				t.Fatalf("load %d: got %d, want %d", n, got, step.status)
			}
		}
	}
}

// validate does what caddy validate does.
func validate(t *testing.T, sites string) error {
	t.Helper()
	var config *caddy.Config
	if err := caddy.StrictUnmarshalJSON(adaptSites(t, sites), &config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(config)
}

// adaptSites adapts sites for tests that touch nothing outside of them.
func adaptSites(t *testing.T, sites string) []byte {
	t.Helper()
	config, _, err := adapt(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	storage file_system %q
	log {
		output discard
	}
}
%s
`, filepath.ToSlash(storageDir(t)), sites))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("it is accepted; want an error with %q", texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got: %v\nwant in it: %s", err, text)
		}
	}
}

// file is a setting of an issuer that names a file with that text.
func file(t *testing.T, option, text string) string {
	t.Helper()
	if option == "public_key" {
		return fmt.Sprintf(`"public_key": [%q]`, write(t, text))
	}
	return fmt.Sprintf("%q: %q", option, write(t, text))
}

// keyPair returns an Ed25519 key as PEM.
func keyPair(t *testing.T) (public, private string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
}

// ecJWK returns a public key as a JWK.
func ecJWK(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"kty": "EC", "crv": "P-256", "x": %q, "y": %q}`,
		base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:]))
}

// storageDir is a folder for Caddy's storage. Caddy may still be cleaning it in
// the background when a test ends, so that its removal may fail.
func storageDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "caddy-jwt-storage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestTenantsOfTheEnvironment: what an environment variable has of tenants is checked when the
// config loads, as what is written is before.
func TestTenantsOfTheEnvironment(t *testing.T) {
	const tenant = "11111111-2222-3333-4444-555555555555"
	t.Setenv("ENTRA", "https://login.example/{tid}/")
	t.Setenv("PLAIN", "https://login.example/")
	t.Setenv("TENANT", tenant)
	t.Setenv("CAPITALS", "AAAAAAAA-2222-3333-4444-555555555555")
	config := func(iss, more string) string {
		return `{"issuer": [{"iss": "` + iss + `", "audience": ["api"]` + more + `}]}`
	}
	for name, c := range map[string]struct{ config, err string }{
		"an issuer and a tenant": {config("{env.ENTRA}", `, "tenants": ["{env.TENANT}"]`), ""},
		"no tenants":             {config("{env.ENTRA}", ""), "nothing says which are accepted"},
		"no {tid}":               {config("{env.PLAIN}", `, "tenants": ["`+tenant+`"]`), "tenants is for an issuer with a name for each tenant"},
		"capitals":               {config("{env.ENTRA}", `, "tenants": ["{env.CAPITALS}"]`), "has capitals"},
		"the same tenant":        {config("{env.ENTRA}", `, "tenants": ["{env.TENANT}", "`+tenant+`"]`), "is there twice"},
		"beside all":             {config("{env.ENTRA}", `, "tenants": ["*", "{env.TENANT}"]`), "* stands for all tenants"},
		"no text":                {config("{env.ENTRA}", `, "tenants": [""]`), "a value is empty"},
		"an email as the user":   {config("{env.ENTRA}", `, "tenants": ["*"], "user_claim": ["email"]`), "user_claim"},
	} {
		_, err := load(t, c.config)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}
