package recognize

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// pair is a key pair in all its forms.
type pair struct {
	alg                           key.Algorithm
	id                            string
	pkcs8, old, public, cert, csr string // PEM
	jwk, publicJWK                string
}

func inPEM(name string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: name, Bytes: der}))
}

// pairs are made once for all tests.
var pairs = sync.OnceValue(func() (list []pair) {
	for _, alg := range []key.Algorithm{key.RS256, key.ES256, key.ES384, key.ES512, key.EdDSA} {
		list = append(list, pairOf(alg))
	}
	return list
})

func pairOf(alg key.Algorithm) pair {
	s, err := key.GenerateSigner(alg, 0)
	if err != nil {
		panic(err)
	}
	der, err := s.PKCS8()
	if err != nil {
		panic(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		panic(err)
	}
	p := pair{alg: alg, id: s.ID(), pkcs8: inPEM("PRIVATE KEY", der, nil)}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		p.old = inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k), nil)
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		p.old = inPEM("EC PARAMETERS", []byte{6, 1, 0}, nil) + inPEM("EC PRIVATE KEY", der, err)
	}
	der, err = x509.MarshalPKIXPublicKey(s.Public().Material())
	p.public = inPEM("PUBLIC KEY", der, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotAfter: time.Unix(4e9, 0)}
	der, err = x509.CreateCertificate(rand.Reader, template, template, s.Public().Material(), private)
	p.cert = inPEM("CERTIFICATE", der, err)
	der, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	p.csr = inPEM("CERTIFICATE REQUEST", der, err)
	jwk, err := jwkset.NewJWKFromKey(private, jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: true}})
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(jwk.Marshal())
	if err != nil {
		panic(err)
	}
	p.jwk, p.publicJWK = string(text), string(s.Public().AppendJWK(nil))
	return p
}

// mangled are what variables, editors and systems make of a text.
func mangled(text string) map[string]string {
	return map[string]string{
		"as it is":              text,
		"Windows' ends of line": strings.ReplaceAll(text, "\n", "\r\n"),
		"literal \\n":           strings.ReplaceAll(text, "\n", `\n`),
		"literal \\n, quoted":   `"` + strings.ReplaceAll(text, "\n", `\n`) + `"`,
		"a variable in a file":  `KEY="` + strings.ReplaceAll(text, "\n", `\n`) + `"`,
		"one line, with spaces": strings.ReplaceAll(text, "\n", " "),
		"indented":              "    " + strings.ReplaceAll(text, "\n", "\n    "),
		"in base64":             base64.StdEncoding.EncodeToString([]byte(text)),
		"a byte order mark":     "\ufeff" + text,
		"UTF-16":                string(utf16Of(text, true, false)),
	}
}

func TestAPrivateKeyIsReadInAnyForm(t *testing.T) {
	t.Parallel()
	for _, p := range pairs() {
		forms := mangled(p.pkcs8)
		if p.old != "" {
			for name, text := range mangled(p.old) {
				forms["of old, "+name] = text
			}
		}
		forms["behind a certificate"] = p.cert + p.pkcs8
		forms["a JWK"], forms["a JWK in quotes"] = p.jwk, "'"+p.jwk+"'\n"
		for name, text := range forms {
			private, err := PrivateKey([]byte(text), 0)
			if err != nil {
				t.Errorf("%s, %s: %v", p.alg, name, err)
				continue
			}
			signature, err := private.Sign([]byte("text"))
			if err != nil || private.ID != p.id || private.Algorithm() != p.alg || private.Public.Verify(p.alg, "text", signature) != nil {
				t.Errorf("%s, %s: %s %s %v", p.alg, name, private.ID, private.Algorithm(), err)
			}
			if text := fmt.Sprintf("%v %+v %#v", private, private, private); len(text) > 2000 || strings.Contains(text, "Precomputed") || strings.Contains(text, " D:") {
				t.Errorf("it shows itself: %s", text)
			}
		}
	}
	rsa := pairs()[0]
	for _, alg := range []key.Algorithm{key.RS512, key.PS256} {
		if private, err := PrivateKey([]byte(rsa.pkcs8), alg); err != nil || private.Algorithm() != alg {
			t.Errorf("%s: %v", alg, err)
		}
	}
	named := strings.Replace(rsa.jwk, "{", `{"kid":"mine","alg":"PS384",`, 1)
	if private, err := PrivateKey([]byte(named), 0); err != nil || private.ID != "mine" || private.Algorithm() != key.PS384 {
		t.Errorf("%s: %v", private.ID, err)
	}
	secret := `{"kty":"oct","kid":"s","alg":"HS512","k":"` + base64.RawURLEncoding.EncodeToString([]byte(goodSecret)) + `"}`
	if private, err := PrivateKey([]byte(secret), 0); err != nil || private.ID != "s" || private.Algorithm() != key.HS512 || private.Public != nil {
		t.Errorf("%s: %v", private.ID, err)
	}
}

const goodSecret = "7d9c0e4b1a2f83655e4d3c2b1a09f8e77d9c0e4b1a2f83655e4d3c2b1a09f8e7-"

func TestWhatIsNoPrivateKeyIsNamed(t *testing.T) {
	t.Parallel()
	rsa, ec, ed := pairs()[0], pairs()[1], pairs()[4]
	small, err := rsaOf(1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := pairs()[2]
	for name, c := range map[string]struct {
		text string
		alg  key.Algorithm
		says string
	}{
		"a public key":            {ec.public, 0, "can't sign any"},
		"a certificate":           {ec.cert, 0, "can't sign any"},
		"a public JWK":            {ec.publicJWK, 0, "can't sign any"},
		"a key set":               {`{"keys":[` + ec.publicJWK + `]}`, 0, "can't sign any"},
		"an encrypted key":        {inPEM("ENCRYPTED PRIVATE KEY", []byte("x"), nil), 0, "openssl pkey"},
		"OpenSSH's format":        {inPEM("OPENSSH PRIVATE KEY", []byte("x"), nil), 0, "ssh-keygen"},
		"PuTTY's":                 {"PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n", 0, "puttygen"},
		"a text":                  {"hunter2hunter2hunter2", 0, "--secret-file"},
		"half of a key":           {ec.pkcs8[:len(ec.pkcs8)/2], 0, "complete"},
		"a key without its end":   {strings.TrimSuffix(ec.pkcs8, "-----END PRIVATE KEY-----\n"), 0, "complete"},
		"nonsense in PEM":         {inPEM("PRIVATE KEY", []byte("nonsense"), nil), 0, "can't be read"},
		"a small RSA key":         {inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small), nil), 0, "1024 bits"},
		"a curve too many":        {pkcs8(p224), 0, "P-224"},
		"an alg of another key":   {ec.pkcs8, key.RS256, "is for ES256, not for RS256"},
		"a JWK for another alg":   {strings.Replace(rsa.jwk, "{", `{"alg":"RS256",`, 1), key.PS256, "leave --alg out"},
		"a JWK for encryption":    {strings.Replace(rsa.jwk, "{", `{"alg":"RSA-OAEP",`, 1), 0, "alg is none"},
		"a JWK with use enc":      {strings.Replace(rsa.jwk, "{", `{"use":"enc",`, 1), 0, "not for signatures"},
		"a JWK of two keys":       {mixed(ec.jwk, other.jwk), 0, ""},
		"a JWK with a broken d":   {strings.Replace(ed.jwk, `"d":"`, `"d":"!`, 1), 0, "can't be read"},
		"a JWK with an empty d":   {`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":""}`, 0, "can't be read"},
		"a short secret as a JWK": {`{"kty":"oct","k":"c2VjcmV0"}`, 0, "at least the 32"},
		"an API key set":          {`{"kty":"oct","k":"***"}`, 0, "can't be read"},
		"10 MB":                   {strings.Repeat("x", 10<<20), 0, "more than 1 MiB"},
		"empty":                   {"", 0, "empty"},
		"binary":                  {"\x00\x01\x02\x03", 0, "binary"},
	} {
		private, err := PrivateKey([]byte(c.text), c.alg)
		if err == nil || !strings.Contains(err.Error(), c.says) || private.Signs != nil {
			t.Errorf("%s: %v; want in it %q", name, err, c.says)
			continue
		}
		checkSays(t, name, err, c.text)
	}
}

func rsaOf(bits int) (*rsa.PrivateKey, error) {
	// crypto/rsa makes no such keys any more, but reads them.
	k := new(rsa.PrivateKey)
	for k.N == nil || k.N.BitLen() != bits {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(65537), phi)
		if d == nil {
			continue
		}
		k = &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q}}
	}
	k.Precompute()
	return k, nil
}

func pkcs8(private crypto.Signer) string {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return inPEM("PRIVATE KEY", der, err)
}

// mixed is the private part of one JWK with the public one of another.
func mixed(private, public string) string {
	var one, other map[string]any
	if json.Unmarshal([]byte(private), &one) != nil || json.Unmarshal([]byte(public), &other) != nil {
		panic("no JWK")
	}
	other["d"] = one["d"]
	text, err := json.Marshal(other)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestPublicKeysAreReadInAnyForm(t *testing.T) {
	t.Parallel()
	var all []string
	for _, p := range pairs() {
		all = append(all, p.publicJWK)
		forms := map[string]string{"a JWK": p.publicJWK, "a key set": `{"keys":[` + p.publicJWK + `]}`}
		for name, text := range mangled(p.public) {
			forms["PEM, "+name] = text
		}
		for name, text := range mangled(p.cert) {
			forms["a certificate, "+name] = text
		}
		for name, text := range forms {
			keys, err := PublicKeys([]byte(text))
			if err != nil || len(keys) != 1 || keys[0].Thumbprint() != p.id {
				t.Errorf("%s, %s: %v", p.alg, name, err)
			}
		}
		for name, text := range map[string]string{"PKCS #8": p.pkcs8, "of old": p.old, "a JWK": p.jwk, "a set": `{"keys":[` + p.jwk + `]}`} {
			if text == "" {
				continue
			}
			keys, err := PublicParts([]byte(text))
			if err != nil || len(keys) != 1 || keys[0].Thumbprint() != p.id {
				t.Errorf("%s, %s: %v", p.alg, name, err)
			} else if jwk := keys[0].AppendJWK(nil); bytes.Contains(jwk, []byte(`"d"`)) {
				t.Errorf("%s", jwk)
			}
			_, err = PublicKeys([]byte(text))
			if err == nil || !strings.Contains(err.Error(), "must not leave") {
				t.Errorf("%s, %s, where a public one is wanted: %v", p.alg, name, err)
				continue
			}
			checkSays(t, name, err, text)
		}
	}
	if keys, err := PublicKeys([]byte(`{"keys":[` + strings.Join(all, ",") + `]}`)); err != nil || len(keys) != len(all) {
		t.Errorf("a set of all: %v", err)
	}
	if keys, err := PublicKeys([]byte(pairs()[0].public + "\n" + pairs()[1].public)); err != nil || len(keys) != 2 {
		t.Errorf("two in a file: %v", err)
	}
}

func TestWhatIsNoPublicKeyIsNamed(t *testing.T) {
	t.Parallel()
	ec := pairs()[1]
	for name, c := range map[string]struct{ text, says string }{
		"a token":                 {plainToken, "no public key"},
		"an address":              {"https://auth.example.com/jwks.json", "nothing is fetched"},
		"metadata":                {`{"issuer":"https://a","jwks_uri":"https://a/jwks"}`, "jwks_uri"},
		"a web page":              {"<html></html>", "the right one"},
		"a secret":                {`{"kty":"oct","k":"AAAA"}`, "no public part"},
		"a secret in a set":       {`{"keys":[` + ec.publicJWK + `,{"kty":"oct","k":"AAAA"}]}`, "no public part"},
		"a private key in a set":  {`{"keys":[` + ec.publicJWK + `,` + ec.jwk + `]}`, "must not leave"},
		"an SSH key":              {"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ me", "ssh-keygen"},
		"a certificate request":   {ec.csr, "openssl req"},
		"a key for encryption":    {strings.Replace(ec.publicJWK, `"use":"sig"`, `"use":"enc"`, 1), "no key in it"},
		"no keys":                 {`{"keys":[]}`, "no key in it"},
		"keys that are no list":   {`{"keys":{}}`, "can't be read"},
		"keys that are no object": {`{"keys":[1]}`, "no key in it"},
		"a damaged one among two": {`{"keys":[` + ec.publicJWK + `,{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, "damaged"},
		"duplicate members":       {`{"keys":[],"keys":[]}`, ""},
		"half a key":              {ec.public[:80], "complete"},
		"two names in one block":  {strings.Replace(ec.public, "END PUBLIC", "END RSA PUBLIC", 1), "no key"},
		"an array of keys":        {"[" + ec.publicJWK + "]", "JSON, not a public key"},
	} {
		for _, read := range []func([]byte) ([]*key.Public, error){PublicKeys, PublicParts} {
			if name == "a private key in a set" {
				read = PublicKeys
			}
			keys, err := read([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) || keys != nil {
				t.Errorf("%s: %v; want in it %q", name, err, c.says)
				continue
			}
			checkSays(t, name, err, c.text)
		}
	}
}

func TestASecretIsReadAsTheServerReadsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		inBase64 bool
		alg      key.Algorithm
	}{
		"as it is":          {goodSecret, false, 0},
		"with an end":       {goodSecret + "\n", false, 0},
		"of Windows":        {goodSecret + "\r\n", false, 0},
		"in base64":         {base64.StdEncoding.EncodeToString([]byte(goodSecret)), true, 0},
		"in base64url":      {base64.RawURLEncoding.EncodeToString([]byte(goodSecret)) + "\n", true, 0},
		"for a longer hash": {goodSecret, false, key.HS512},
	} {
		private, err := Secret([]byte(c.text), c.alg, c.inBase64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		verifies, err := key.NewSecret([]byte(goodSecret), key.Options{}, key.NewAlgorithms(private.Algorithm()))
		if err != nil {
			t.Fatal(err)
		}
		signature, err := private.Sign([]byte("text"))
		if err != nil || verifies.Verify(private.Algorithm(), "text", signature) != nil || private.Public != nil || private.ID != "" {
			t.Errorf("%s: another secret signed", name)
		}
	}
	for name, c := range map[string]struct {
		text     string
		inBase64 bool
		alg      key.Algorithm
		says     string
	}{
		"a private key":        {pairs()[1].pkcs8, false, 0, "--key"},
		"a public key":         {pairs()[0].public, false, 0, "not a secret"},
		"a secret JWK":         {`{"kty":"oct","k":"AAAA"}`, false, 0, "--key"},
		"a short one":          {"secret", false, 0, "at least the 32"},
		"short for the hash":   {goodSecret[:40], false, key.HS512, "at least the 64"},
		"not base64":           {goodSecret + "!", true, 0, "not base64"},
		"for a key pair's":     {goodSecret, false, key.ES256, "HS256, HS384 or HS512"},
		"nothing":              {"\n", false, 0, "empty"},
		"of a tutorial":        {"your-256-bit-secret-your-256-bit-secret", false, 0, "published sample"},
		"10 MB":                {strings.Repeat("x", 10<<20), false, 0, "more than 1 MiB"},
		"one letter, 64 of it": {strings.Repeat("a", 64), false, 0, "guessed"},
	} {
		_, err := Secret([]byte(c.text), c.alg, c.inBase64)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want in it %q", name, err, c.says)
			continue
		}
		checkSays(t, name, err, c.text)
	}
}

// FuzzKeys: no text makes a reader panic, and what is read as a private key signs.
func FuzzKeys(f *testing.F) {
	for _, p := range []pair{pairOf(key.ES256), pairOf(key.EdDSA)} { // RSA is slow
		for _, text := range []string{p.pkcs8, p.old, p.public, p.cert, p.csr, p.jwk, p.publicJWK, `{"keys":[` + p.jwk + `]}`, strings.ReplaceAll(p.pkcs8, "\n", `\n`)} {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte(`{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(goodSecret)) + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		private, err := PrivateKey(data, 0)
		if err == nil {
			if _, err := private.Sign([]byte("text")); err != nil {
				t.Errorf("it signs nothing: %v", err)
			}
			if private.Public != nil {
				keys, err := PublicParts(data)
				if err != nil || keys[0].Fingerprint() != private.Public.Fingerprint() {
					t.Errorf("its public part is another: %v", err)
				}
			}
			if _, err := PublicKeys(data); err == nil {
				t.Error("it is taken for a public key")
			}
		} else if e, ok := err.(*Error); !ok || e.What == "" || e.Do == "" {
			t.Error(err)
		}
		if keys, err := PublicParts(data); (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		_, _ = Secret(data, 0, true)
	})
}
