package recognize

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// signed is a token with a signature that nobody checks here.
func signed(header, body string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(body)) + "." + e(bytes.Repeat([]byte("s"), 64))
}

var plainToken = signed(`{"alg":"ES256","kid":"k"}`, `{"iss":"https://auth.example.com","sub":"alice","exp":4102444800}`)

func utf16Of(text string, mark bool, big bool) []byte {
	var out []byte
	units := utf16.Encode([]rune(text))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}

func TestATokenIsFoundInWhatPeopleHandOver(t *testing.T) {
	t.Parallel()
	apiKey, _ := apikey.New("cj")
	for name, c := range map[string]struct {
		text, token string
		kind        Kind
		note        string
	}{
		"alone":                            {plainToken, plainToken, JWT, ""},
		"with an end of line":              {plainToken + "\n", plainToken, JWT, ""},
		"with Windows' ends of lines":      {"\r\n" + plainToken + "\r\n", plainToken, JWT, ""},
		"with spaces around it":            {" \t" + plainToken + "  ", plainToken, JWT, ""},
		"in double quotes":                 {`"` + plainToken + `"`, plainToken, JWT, ""},
		"in single quotes":                 {`'` + plainToken + `'`, plainToken, JWT, ""},
		"in a word processor's quotes":     {"“" + plainToken + "”", plainToken, JWT, ""},
		"with Bearer":                      {"Bearer " + plainToken, plainToken, JWT, ""},
		"with bearer, in small letters":    {"bearer  " + plainToken, plainToken, JWT, ""},
		"with DPoP":                        {"DPoP " + plainToken, plainToken, JWT, ""},
		"with the header's name":           {"Authorization: Bearer " + plainToken + "\r\n", plainToken, JWT, ""},
		"as an argument of curl":           {`-H "Authorization: Bearer ` + plainToken + `"`, plainToken, JWT, ""},
		"as a variable":                    {"TOKEN=" + plainToken, plainToken, JWT, ""},
		"as a variable of a shell":         {"export TOKEN='" + plainToken + "'", plainToken, JWT, ""},
		"with a byte order mark":           {"\ufeff" + plainToken, plainToken, JWT, ""},
		"in UTF-16 with a mark":            {string(utf16Of(plainToken+"\r\n", true, false)), plainToken, JWT, ""},
		"in UTF-16, the other way round":   {string(utf16Of(plainToken, true, true)), plainToken, JWT, ""},
		"in UTF-16 without a mark":         {string(utf16Of(plainToken, false, false)), plainToken, JWT, ""},
		"the answer of a token endpoint":   {`{"access_token":"` + plainToken + `","token_type":"Bearer","expires_in":300}`, plainToken, JWT, "access_token"},
		"the answer, with an ID token":     {`{"id_token":"x","access_token":"` + plainToken + `"}`, plainToken, JWT, "access_token"},
		"an API key of ours":               {apiKey, apiKey, APIKey, ""},
		"an API key, with its header":      {"X-API-Key: " + apiKey, apiKey, APIKey, ""},
		"an API key as a variable":         {"KEY=" + apiKey, apiKey, APIKey, ""},
		"an opaque token":                  {"ya29.a0AfB_byC", "ya29.a0AfB_byC", Opaque, ""},
		"an opaque token that ends with =": {"c2VjcmV0IG9mIDMyIGJ5dGVz==", "c2VjcmV0IG9mIDMyIGJ5dGVz==", Opaque, ""},
		"an API key of others":             {"sk_live_0123456789abcdef", "sk_live_0123456789abcdef", Opaque, ""},
		"PASETO":                           {"v4.public.eyJkYXRhIjoidGhpcyI.x", "v4.public.eyJkYXRhIjoidGhpcyI.x", Opaque, ""},
		"a JWE":                            {jwe, jwe, JWE, ""},
		"two parts of a token":             {cutToken(2), cutToken(2), JWT, ""},
		"alg none, without signature":      {cutToken(2) + ".", cutToken(2) + ".", JWT, ""},
		"a token whose header is no JSON":  {"abcd.efgh.ijkl", "abcd.efgh.ijkl", JWT, ""},
		"an ID token with at_hash":         {idToken(`"at_hash":"x"`), idToken(`"at_hash":"x"`), IDToken, ""},
		"an ID token with a nonce":         {idToken(`"nonce":"x"`), idToken(`"nonce":"x"`), IDToken, ""},
		"an ID token of who asked":         {idToken(`"azp":"app"`), idToken(`"azp":"app"`), IDToken, ""},
		"an ID token of Cognito":           {idToken(`"token_use":"id"`), idToken(`"token_use":"id"`), IDToken, ""},
		"an ID token of Keycloak":          {idToken(`"typ":"ID"`), idToken(`"typ":"ID"`), IDToken, ""},
		"an access token with a nonce":     {idToken(`"nonce":"x","scope":"read"`), idToken(`"nonce":"x","scope":"read"`), JWT, ""},
		"Keycloak's access token":          {idToken(`"typ":"Bearer","azp":"app"`), idToken(`"typ":"Bearer","azp":"app"`), JWT, ""},
		"an access token of RFC 9068":      {signed(`{"alg":"ES256","typ":"at+jwt"}`, `{"sub":"a","nonce":"x"}`), signed(`{"alg":"ES256","typ":"at+jwt"}`, `{"sub":"a","nonce":"x"}`), JWT, ""},
	} {
		found, err := FindToken([]byte(c.text))
		if err != nil || found.Text != c.token || found.Kind != c.kind || (c.note == "") != (found.Note == "") || !strings.Contains(found.Note, c.note) {
			t.Errorf("%s: %q %q %q %v", name, found.Text, found.Kind, found.Note, err)
		}
		if token, kind, err := Token([]byte(c.text)); token != c.token || kind != c.kind || err != nil {
			t.Errorf("%s: %q %q %v", name, token, kind, err)
		}
	}
}

var jwe = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + ".a.b.c.d"

func cutToken(parts int) string { return strings.Join(strings.Split(plainToken, ".")[:parts], ".") }

func idToken(members string) string {
	return signed(`{"alg":"RS256"}`, `{"iss":"https://auth.example.com","sub":"alice","aud":"app",`+members+`}`)
}

// files are what else people hand over, with what its names have in them.
func files(t testing.TB) map[string]struct{ text, says string } {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	inPEM := func(name string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: name, Bytes: der}))
	}
	token, pair := plainToken, plainToken+"\n"+plainToken
	return map[string]struct{ text, says string }{
		"nothing":                          {"", "it is empty"},
		"white space":                      {" \r\n\t", "it is empty"},
		"quotes around nothing":            {`""`, "no token in it"},
		"Bearer alone":                     {`Authorization: Bearer `, ""},
		"10 MB":                            {strings.Repeat("x", 10<<20), "more than 1 MiB"},
		"binary":                           {"\x7fELF\x02\x01\x01\x00\x00", "binary"},
		"random bytes":                     {"\x8f\x93\xfe\x01\x44\x00\xc0", "binary"},
		"gzip":                             {"\x1f\x8b\x08\x00\x00\x00\x00\x00", "gunzip"},
		"PKCS #12":                         {"\x30\x82\x04\x00\x02\x01\x03\x30\x82\x03\xff", "PKCS #12"},
		"a private key in DER":             {string(pkcs8), "a private key in DER"},
		"a public key in DER":              {string(public), "a public key in DER"},
		"five tokens":                      {strings.Repeat(token+"\n", 5), "there are 5 tokens in it"},
		"two tokens":                       {pair, "head -n 1"},
		"a token that a mail has wrapped":  {token[:70] + "\n" + token[70:], "wrapped"},
		"a token with a space at the dot":  {strings.Replace(token, ".", ". ", 1), "wrapped"},
		"a token and a word":               {token + " <- this one", "other words"},
		"a sentence":                       {"please let me in", "several lines"},
		"a public key":                     {inPEM("PUBLIC KEY", public), "a public key in PEM, not a token"},
		"a private key":                    {inPEM("PRIVATE KEY", pkcs8), "must not leave"},
		"a private key with literal \\n":   {strings.ReplaceAll(inPEM("PRIVATE KEY", pkcs8), "\n", `\n`), "must not leave"},
		"an encrypted private key":         {inPEM("ENCRYPTED PRIVATE KEY", pkcs8), "an encrypted private key"},
		"a certificate":                    {inPEM("CERTIFICATE", public), "a certificate"},
		"an SSH public key":                {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH me@host", "an SSH public key"},
		"an SSH private key":               {inPEM("OPENSSH PRIVATE KEY", pkcs8), "OpenSSH"},
		"a JWK":                            {`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, "a JWK, a public key"},
		"a private JWK":                    {`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}`, "must not leave"},
		"a secret JWK":                     {`{"kty":"oct","k":"AA"}`, "must not leave"},
		"a key set":                        {`{"keys":[]}`, "a key set, not a token"},
		"an issuer's metadata":             {`{"issuer":"https://a","jwks_uri":"https://a/jwks"}`, "metadata"},
		"the address of a key set":         {"https://auth.example.com/jwks.json", "nothing is fetched"},
		"a web page":                       {"<!DOCTYPE html><html><body>Log in</body></html>", "a web page"},
		"claims alone":                     {`{"iss":"x","sub":"secret-subject"}`, "caddy jwt sign --claims"},
		"a header alone":                   {`{"alg":"RS256"}`, "header of a token alone"},
		"a JWS in JSON":                    {`{"payload":"AA","protected":"AA","signature":"AA"}`, "compact form"},
		"a JWE in JSON":                    {`{"ciphertext":"AA","iv":"AA"}`, "encrypted"},
		"an error of a token endpoint":     {`{"error":"invalid_client"}`, "error_description"},
		"an answer with an ID token alone": {`{"id_token":"` + token + `"}`, "ID token alone"},
		"other JSON":                       {`{"user":"alice"}`, "without an access_token"},
		"an array":                         {`["` + token + `"]`, "JSON"},
		"broken JSON":                      {`{"access_token":`, "can't be read"},
		"the hash of an API key":           {"sha256:" + strings.Repeat("ab", 32), "the hash of an API key"},
		"a token with letters of others":   {strings.Replace(token, "e", "е", 1), "outside ASCII"},
		"a certificate and its key":        {inPEM("CERTIFICATE", public) + inPEM("PRIVATE KEY", pkcs8), "must not leave"},
		"a key that OpenSSL encrypted":     {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----", "an encrypted private key"},
	}
}

// Each is one sentence that says what it is and what to do, and has nothing of what was read.
func TestWhatIsNoTokenIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range files(t) {
		if name == "Bearer alone" {
			continue // the word is a token as far as its form goes
		}
		_, err := FindToken([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want in it %q", name, err, c.says)
			continue
		}
		checkSays(t, name, err, c.text)
	}
}

// checkSays checks that an error has both halves, in one line, and nothing of what was read.
func checkSays(t testing.TB, name string, err error, read string) {
	t.Helper()
	e, ok := err.(*Error)
	if !ok || e.What == "" || e.Do == "" || strings.Contains(e.Error(), "\n") || len(e.Error()) > 400 {
		t.Errorf("%s: %v", name, err)
		return
	}
	for i := 0; i+12 <= min(len(read), 1<<16); i++ {
		part := read[i : i+12]
		if strings.Trim(part, base64URL) == "" && strings.Contains(e.Error(), part) {
			t.Errorf("%s: the error has %q of what was read", name, part)
		}
	}
}

// FuzzToken: whatever is read, one of both comes of it, and the error repeats nothing.
func FuzzToken(f *testing.F) {
	for _, c := range files(f) {
		if len(c.text) < 1<<16 {
			f.Add([]byte(c.text))
		}
	}
	f.Add([]byte("Authorization: Bearer " + plainToken))
	f.Add(utf16Of(plainToken, true, false))
	f.Add([]byte(`{"access_token":"` + plainToken + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := FindToken(data)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.What == "" || e.Do == "" || found != (Found{}) {
				t.Errorf("%v %v", found, err)
			}
			return
		}
		if found.Text == "" || found.Kind == "" || strings.ContainsFunc(found.Text, func(c rune) bool { return c < '!' || c > '~' }) {
			t.Errorf("%q is a %q", found.Text, found.Kind)
		}
		// What was found is found again, alone and as JSON.
		again, err := FindToken([]byte(found.Text))
		if err != nil || again.Text != found.Text || again.Kind != found.Kind {
			t.Errorf("%q, then %q %v", found.Text, again.Text, err)
		}
		text, err := json.Marshal(map[string]string{"access_token": found.Text})
		if err != nil {
			t.Fatal(err)
		}
		if again, err = FindToken(text); err != nil || again.Text != found.Text {
			t.Errorf("in JSON: %q, then %q %v", found.Text, again.Text, err)
		}
	})
}
