package command_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
)

var signAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}

// keygen makes a key, and returns the file of the private key or secret and that of the key
// set; the latter is empty for a secret.
func keygen(t *testing.T, alg string) (private, set string) {
	t.Helper()
	dir := t.TempDir()
	private = filepath.Join(dir, "key")
	args := []string{"keygen", "--alg", alg, "--out", private}
	if !strings.HasPrefix(alg, "HS") {
		set = filepath.Join(dir, "keys.json")
		args = append(args, "--jwks", set)
	}
	runJWT(t, "", args...).want(t, 0)
	return private, set
}

// signFlag is the flag for a key of an algorithm.
func signFlag(alg string) string {
	if strings.HasPrefix(alg, "HS") {
		return "--secret-file"
	}
	return "--key"
}

// material is what golang-jwt verifies with.
func material(t *testing.T, private, set string) any {
	t.Helper()
	if set == "" {
		return []byte(readFile(t, private))
	}
	keys, err := recognize.PublicKeys([]byte(readFile(t, set)))
	if err != nil {
		t.Fatal(err)
	}
	return keys[0].Material()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatKeygenMakesSigns(t *testing.T) {
	t.Parallel()
	for _, alg := range signAlgorithms {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			private, set := keygen(t, alg)
			info, err := os.Stat(private)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
			r := runJWT(t, "", "sign", signFlag(alg), private, "--alg", alg, "--iss", "my-app", "--sub", "42", "--aud", "a", "--expires", "1h").want(t, 0)
			if r.err != "" || strings.Count(r.out, "\n") != 1 {
				t.Errorf("%q %q", r.out, r.err)
			}
			token, err := jwt.Parse(strings.TrimSpace(r.out), func(*jwt.Token) (any, error) { return material(t, private, set), nil },
				jwt.WithValidMethods([]string{alg}), jwt.WithIssuer("my-app"), jwt.WithAudience("a"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
			if err != nil {
				t.Fatal(err)
			}
			if set != "" && !strings.Contains(readFile(t, set), `"kid": "`+token.Header["kid"].(string)+`"`) {
				t.Error("the kid is another than in the key set")
			}
			if d := decodeJSON(t, r.out); d.Claims["sub"] != "42" || d.Header["alg"] != alg || d.Header["typ"] != "JWT" || len(d.Notes) != 0 {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestKeygenNeverOverwrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("there"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	links := []string{"link", "nowhere"}
	if os.Symlink(at("there"), at("link")) != nil || os.Symlink(at("new"), at("nowhere")) != nil {
		links = nil // no right to make links
	}
	for _, name := range append([]string{"there"}, links...) {
		runJWT(t, "", "keygen", "--out", at(name)).want(t, 1, "never overwritten")
		runJWT(t, "", "keygen", "--alg", "HS256", "--out", at(name)).want(t, 1, "never overwritten")
		runJWT(t, "", "keygen", "--out", at("fresh"), "--jwks", at(name)).want(t, 1, "never overwritten")
		runJWT(t, "", "keygen", "--out", at(name), "--jwks", at("fresh")).want(t, 1, "never overwritten")
		runJWT(t, "", "keygen", "--out", at(name), "--force").want(t, 2)
		runJWT(t, goodSigner(t), "sign", "--key", "-", "--expires", "1h", "--out", at(name)).want(t, 1, "never overwritten")
	}
	if text := readFile(t, at("there")); text != "precious" {
		t.Errorf("it was overwritten: %q", text)
	}
	for _, name := range []string{"fresh", "new"} {
		if _, err := os.Lstat(at(name)); !os.IsNotExist(err) {
			t.Errorf("%s was left or made: %v", name, err)
		}
	}
	runJWT(t, "", "keygen", "--out", at("no/such/folder")).want(t, 1, "no such file")
}

// goodSigner is a private key in PEM.
func goodSigner(t *testing.T) string {
	t.Helper()
	private, _ := keygen(t, "ES256")
	return readFile(t, private)
}

func TestKeygenIsMisused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	for args, says := range map[string]string{
		"":                                    "--out",
		"--out -":                             "is not printed",
		"--out FILE --alg none":               "write one of ES256",
		"--out FILE --alg es256":              "write one of ES256",
		"--out FILE --alg HS256 --jwks FILE2": "no public part",
		"--out FILE --jwks FILE":              "the same file",
		"--out FILE --kid a":                  "--kid goes with --jwks",
		"--out FILE --bits 4096":              "--bits goes with RSA",
		"--out FILE --alg RS256 --bits 1024":  "2048 to",
		"--out FILE extra":                    "usage",
		"--out= --alg ES256":                  "--out is empty",
	} {
		runJWT(t, "", append([]string{"keygen"}, strings.Fields(strings.ReplaceAll(args, "FILE", file))...)...).want(t, 2, says)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

func TestKeygenSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	private, set := filepath.Join(dir, "my key.pem"), filepath.Join(dir, "keys.json")
	r := runJWT(t, "", "keygen", "--alg", "PS256", "--bits", "3072", "--out", private, "--jwks", set, "--kid", "2027", "--json").want(t, 0)
	var made struct {
		Alg, Kid, File, Caddyfile string
		JWKSFile                  string `json:"jwks_file"`
		JWK                       map[string]string
	}
	if err := json.Unmarshal([]byte(r.out), &made); err != nil || made.Alg != "PS256" || made.Kid != "2027" || made.File != private || made.JWKSFile != set || made.JWK["kid"] != "2027" || made.JWK["d"] != "" || len(made.JWK["n"]) != 512 {
		t.Errorf("%v in %s", err, r.out)
	}
	if !strings.Contains(made.Caddyfile, "jwks_file ") || !strings.Contains(made.Caddyfile, set) {
		t.Error(made.Caddyfile)
	}
	for _, secret := range strings.Fields(readFile(t, private))[3:6] {
		if strings.Contains(r.out+r.err, secret) {
			t.Error("the private key is printed")
		}
	}
	secret := filepath.Join(dir, "secret")
	r = runJWT(t, "", "keygen", "--alg", "HS512", "--out", secret).want(t, 0, "can sign too")
	if text := readFile(t, secret); len(text) != 128 || strings.Contains(r.out+r.err, text) || !strings.Contains(r.out, "algorithms HS512") || !strings.Contains(r.out, "secret {file."+secret+"}") {
		t.Errorf("%d characters; %s", len(text), r.out)
	}
	r = runJWT(t, "", "keygen", "--alg", "EdDSA", "--out", filepath.Join(dir, "ed")).want(t, 0)
	if !strings.Contains(r.out, "public_key <<PEM") || strings.Contains(r.out, "algorithms") {
		t.Error(r.out)
	}
}

func TestSignMakesTheClaimsThatItIsTold(t *testing.T) {
	t.Parallel()
	private, _ := keygen(t, "EdDSA")
	base := []string{"sign", "--key", private, "--iss", "my-app", "--sub", "42", "--aud", "a"}
	sign := func(more ...string) decodedJSON {
		t.Helper()
		r := runJWT(t, `{"team":"blue","n":12345678901234567890}`, append(slices.Clone(base), more...)...).want(t, 0)
		return decodeJSON(t, r.out)
	}
	d := sign("--expires", "90d", "--aud", "b", "--scope", "read write", "--scope", "admin", "--jti", "auto", "--not-before", "now", "--typ", "at+jwt", "--kid", "mine",
		"--claim", "name=Alice = 1", "--claim", `roles:=["x",{"y":1.50}]`, "--claim", "flag:=true", "--claims", "@-")
	seconds := func(name string) time.Time { return time.Unix(int64(d.Claims[name].(float64)), 0) }
	if exp := time.Until(seconds("exp")).Round(time.Hour); exp != 90*24*time.Hour || time.Since(seconds("iat")) > time.Minute*10 || !seconds("nbf").Equal(seconds("iat")) {
		t.Errorf("%v", d.Claims)
	}
	if jti, _ := d.Claims["jti"].(string); len(jti) != 26 {
		t.Errorf("jti %q", jti)
	}
	for _, name := range []string{"exp", "nbf", "iat", "jti", "n"} {
		delete(d.Claims, name)
	}
	want := map[string]any{
		"iss": "my-app", "sub": "42", "aud": []any{"a", "b"}, "scope": "read write admin", "team": "blue", "name": "Alice = 1",
		"roles": []any{"x", map[string]any{"y": 1.5}}, "flag": true,
	}
	if !reflect.DeepEqual(d.Claims, want) || d.Header["typ"] != "at+jwt" || d.Header["kid"] != "mine" {
		t.Errorf("%v %v", d.Header, d.Claims)
	}
	// Numbers stay what they are, digit for digit.
	r := runJWT(t, `{"team":"blue","n":12345678901234567890}`, append(slices.Clone(base), "--expires", "1h", "--claims", "@-", "--json")...).want(t, 0)
	if !strings.Contains(r.out, `"n": 12345678901234567890`) || !strings.Contains(r.out, `"token": "ey`) || !strings.Contains(r.out, `"expires": "2`) {
		t.Error(r.out)
	}
	file := filepath.Join(t.TempDir(), "token")
	if r := runJWT(t, "", append(slices.Clone(base), "--expires", "1h", "--out", file)...).want(t, 0, file); r.out != "" {
		t.Error(r.out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(readFile(t, file), "ey") {
		t.Errorf("%v %v", info, err)
	}
}

func TestSignRefusesWhatNoServerWouldTake(t *testing.T) {
	t.Parallel()
	private, _ := keygen(t, "ES256")
	secret, _ := keygen(t, "HS256")
	long := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		args, claims string
		code         int
		says         string
	}{
		"no end":                 {"--key KEY", "", 2, "--no-expiry"},
		"an end that is past":    {"--key KEY --expires 2020-01-01T00:00:00Z", "", 2, "in the past"},
		"an end of nonsense":     {"--key KEY --expires soon", "", 2, "--expires"},
		"both ends":              {"--key KEY --no-expiry --expires 1h", "", 2, "remove one"},
		"never valid":            {"--key KEY --expires 1h --not-before 2h", "", 1, "never be valid"},
		"milliseconds":           {"--key KEY --claims @-", fmt.Sprintf(`{"exp":%d}`, long.UnixMilli()), 1, "in milliseconds"},
		"a time as a text":       {"--key KEY --claims @-", `{"exp":"tomorrow"}`, 1, "no time"},
		"an empty issuer":        {"--key KEY --expires 1h --iss=", "", 2, "--iss is empty"},
		"an empty iss in JSON":   {"--key KEY --expires 1h --claims @-", `{"iss":""}`, 1, "iss is empty"},
		"an empty audience":      {"--key KEY --expires 1h --aud=", "", 2, "--aud is empty"},
		"an aud of numbers":      {"--key KEY --expires 1h --claims @-", `{"aud":[1]}`, 1, "aud is empty, or neither"},
		"no aud in a list":       {"--key KEY --expires 1h --claims @-", `{"aud":[]}`, 1, "aud is empty, or neither"},
		"a claim twice":          {"--key KEY --expires 1h --sub a --claims @-", `{"sub":"b"}`, 2, "duplicate"},
		"a flag and a claim":     {"--key KEY --expires 1h --sub a --claim sub=b", "", 2, "duplicate"},
		"duplicates in JSON":     {"--key KEY --expires 1h --claims @-", `{"a":1,"a":2}`, 1, "two members of one name"},
		"claims of no JSON":      {"--key KEY --expires 1h --claims @-", `[]`, 1, "can't be read"},
		"a claim without name":   {"--key KEY --expires 1h --claim a", "", 2, "name=text"},
		"a claim of broken JSON": {"--key KEY --expires 1h --claim a:=x", "", 2, "is not JSON"},
		"more than one value":    {`--key KEY --expires 1h --claim a:=1,"b":2`, "", 2, "is not JSON"},
		"a bad scope":            {`--key KEY --expires 1h --scope a"b`, "", 2, "RFC 6749"},
		"no key":                 {"--expires 1h", "", 2, "--secret-file"},
		"both keys":              {"--key KEY --secret-file SECRET --expires 1h", "", 2, "exclude each other"},
		"a secret as a key":      {"--key SECRET --expires 1h", "", 1, "--secret-file"},
		"a key as a secret":      {"--secret-file KEY --expires 1h", "", 1, "--key"},
		"another algorithm":      {"--key KEY --alg RS256 --expires 1h", "", 1, "is for ES256, not for RS256"},
		"a pair's for a secret":  {"--secret-file SECRET --alg ES256 --expires 1h", "", 2, "needs a key pair"},
		"a secret's for a pair":  {"--key KEY --alg HS256 --expires 1h", "", 1, "is for ES256, not for HS256"},
		"a longer hash":          {"--secret-file SECRET --alg HS512 --expires 1h --base64", "", 1, "at least the 64"},
		"an unknown algorithm":   {"--key KEY --alg none --expires 1h", "", 2, "write one of"},
		"standard input twice":   {"--key - --claims @- --expires 1h", "", 2, "only once"},
		"a key in argv":          {`--key {"kty":"EC"} --expires 1h`, "", 2, "history"},
		"a file that is missing": {"--key /no/such/file --expires 1h", "", 1, "no such file"},
		"a token of an argument": {"--key KEY --expires 1h extra", "", 2, "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Fields(strings.NewReplacer("KEY", private, "SECRET", secret).Replace(c.args))
			r := runJWT(t, c.claims, append([]string{"sign"}, args...)...).want(t, c.code, c.says)
			if r.out != "" {
				t.Error(r.out)
			}
		})
	}
}

func TestSignNotesWhatServersRefuse(t *testing.T) {
	t.Parallel()
	private, _ := keygen(t, "ES256")
	for args, says := range map[string]string{
		"--no-expiry":                                   "allow_no_expiry",
		`--claims {"exp":1577836800}`:                   "expired already",
		"--expires 1h --iss a --aud b":                  "there is no sub",
		"--expires 1h --iss a --sub b":                  "there is no aud",
		"--expires 1h --aud a --sub b":                  "there is no iss",
		"--expires 500d --iss a --sub b --aud c":        "more than a year",
		`--expires 1h --claims {"iat":32503680000}`:     "iat is in the future",
		"--expires 1h --iss a --aud b --sub c --json":   "",
		"--expires 1h --iss a --aud b --sub c --jti 17": "",
	} {
		r := runJWT(t, "", append([]string{"sign", "--key", private}, strings.Fields(args)...)...).want(t, 0, says)
		if says == "" && r.err != "" {
			t.Errorf("%s: %s", args, r.err)
		}
	}
}

// A public key may be read by everybody: what is wrong is that it can't sign.
func TestSignNamesAPublicKey(t *testing.T) {
	t.Parallel()
	public := filepath.Join(t.TempDir(), "public.pem")
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&pair.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	r := runJWT(t, "", "sign", "--key", public, "--expires", "1h").want(t, 1, "it is a public key in PEM, not a private key")
	if strings.Contains(r.err, "chmod") {
		t.Error(r.err)
	}
}

func TestSignRefusesKeysThatOthersCanRead(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "HS256"} {
		private, _ := keygen(t, alg)
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o644, 0o777, 0o610} {
			if err := os.Chmod(private, mode); err != nil {
				t.Fatal(err)
			}
			r := runJWT(t, "", "sign", signFlag(alg), private, "--expires", "1h").want(t, 1, "others can read", "chmod 600")
			if r.out != "" {
				t.Error(r.out)
			}
			runJWT(t, "", "sign", signFlag(alg), private, "--expires", "1h", "--force").want(t, 0)
		}
		for _, mode := range []fs.FileMode{0o600, 0o400, 0o700} {
			if err := os.Chmod(private, mode); err != nil {
				t.Fatal(err)
			}
			runJWT(t, "", "sign", signFlag(alg), private, "--expires", "1h").want(t, 0)
		}
		runJWT(t, readFile(t, private), "sign", signFlag(alg), "-", "--expires", "1h").want(t, 0)
	}
}

func TestJWKSMakesAKeySetOfAnything(t *testing.T) {
	t.Parallel()
	type jwks struct{ Keys []map[string]string }
	set := func(in string, args ...string) (s jwks) {
		t.Helper()
		r := runJWT(t, in, append([]string{"jwks"}, args...)...).want(t, 0)
		if err := json.Unmarshal([]byte(r.out), &s); err != nil || strings.Contains(r.out, `"d"`) {
			t.Fatalf("%v in %s", err, r.out)
		}
		return s
	}
	ec, ecSet := keygen(t, "ES384")
	rsa, rsaSet := keygen(t, "PS256")
	made := set("", ecSet)
	if again := set("", ec); !reflect.DeepEqual(again, made) || made.Keys[0]["alg"] != "ES384" || made.Keys[0]["use"] != "sig" {
		t.Errorf("%v, of its private key %v", made, again)
	}
	if again := set(readFile(t, ec), "-"); !reflect.DeepEqual(again, made) {
		t.Errorf("%v", again)
	}
	if both := set("", "@"+ec, ecSet, rsaSet, "--json"); len(both.Keys) != 2 || both.Keys[1]["alg"] != "PS256" {
		t.Errorf("%v", both)
	}
	if one := set("", rsa); one.Keys[0]["alg"] != "" || one.Keys[0]["kid"] != set("", rsaSet).Keys[0]["kid"] {
		t.Errorf("%v", one)
	}
	if one := set("", rsa, "--alg", "RS512", "--kid", "2027"); one.Keys[0]["alg"] != "RS512" || one.Keys[0]["kid"] != "2027" {
		t.Errorf("%v", one)
	}
	if one := set("", rsa, "--no-kid"); one.Keys[0]["kid"] != "" {
		t.Errorf("%v", one)
	}
	named := filepath.Join(t.TempDir(), "named")
	other, _ := keygen(t, "ES256")
	if err := os.WriteFile(named, []byte(runJWT(t, "", "jwks", other, "--kid", made.Keys[0]["kid"]).want(t, 0).out), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, _ := keygen(t, "HS256")
	for name, c := range map[string]struct {
		in   string
		args []string
		code int
		says string
	}{
		"nothing":              {"", nil, 2, "usage"},
		"an address":           {"", []string{"https://auth.example.com/jwks.json"}, 2, "nothing is fetched"},
		"a secret":             {"", []string{secret}, 1, "no public key"},
		"a secret JWK":         {`{"kty":"oct","k":"AAAA"}`, []string{"-"}, 1, "no public part"},
		"a token":              {unsignedToken(`{}`, `{}`), []string{"-"}, 1, "no public key"},
		"two keys with one id": {"", []string{ec, named}, 1, "the same id"},
		"one id for two":       {"", []string{ec, rsa, "--kid", "a"}, 2, "--kid names one key"},
		"both about the id":    {"", []string{ec, "--kid", "a", "--no-kid"}, 2, "exclude each other"},
		"a secret's algorithm": {"", []string{rsa, "--alg", "HS256"}, 2, "for secrets"},
		"another algorithm":    {"", []string{rsa, "--alg", "ES256"}, 1, "another type of key"},
		"stdin twice":          {"", []string{"-", "@-"}, 2, "only once"},
		"a missing file":       {"", []string{"/no/such/file"}, 1, "no such file"},
	} {
		if r := runJWT(t, c.in, append([]string{"jwks"}, c.args...)...).want(t, c.code, c.says); r.out != "" {
			t.Errorf("%s: %s", name, r.out)
		}
	}
}
