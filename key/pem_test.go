package key

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate returns a self-signed certificate in PEM, valid in the given year.
func certificate(t testing.TB, private crypto.Signer, year int) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("CERTIFICATE", der)
}

func TestPublicKeysAreReadFromPEM(t *testing.T) {
	t.Parallel()
	public := func(family string) string { return publicPEM(t, privates()[family][0].Public()) }
	pkcs1 := pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(privates()["RSA"][0].Public().(*rsa.PublicKey)))
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	rsaKey, p256, p384, p521, ed := public("RSA"), public("P-256"), public("P-384"), public("P-521"), public("Ed25519")
	for _, c := range []struct {
		name string
		text string
		want []string // the families of its keys
	}{
		{"RSA as PKIX", rsaKey, []string{"RSA"}},
		{"RSA as PKCS #1", pkcs1, []string{"RSA"}},
		{"P-256", p256, []string{"P-256"}},
		{"P-384", p384, []string{"P-384"}},
		{"P-521", p521, []string{"P-521"}},
		{"Ed25519", ed, []string{"Ed25519"}},
		{"a certificate of RSA", certificate(t, privates()["RSA"][0], 2100), []string{"RSA"}},
		{"a certificate of P-256", certificate(t, privates()["P-256"][0], 2100), []string{"P-256"}},
		{"a certificate of Ed25519", certificate(t, privates()["Ed25519"][0], 2100), []string{"Ed25519"}},
		{"a certificate that has long expired", certificate(t, privates()["P-256"][0], 2001), []string{"P-256"}},
		{"a certificate that is not valid yet", certificate(t, privates()["P-256"][0], 9998), []string{"P-256"}},
		{"several, in their order", p256 + rsaKey + ed, []string{"P-256", "RSA", "Ed25519"}},
		{"several forms", certificate(t, privates()["P-384"][0], 2100) + pkcs1 + p521, []string{"P-384", "RSA", "P-521"}},
		{"one key twice", p256 + p256, []string{"P-256", "P-256"}},
		{"words before, between and after", "# The keys of 2024\n" + p256 + "and the next:\n\nsubject=CN = test\n" + ed + "\nend", []string{"P-256", "Ed25519"}},
		{"no line end at the end", strings.TrimSpace(p256), []string{"P-256"}},
		{"line ends of Windows", crlf(p256 + ed), []string{"P-256", "Ed25519"}},
		{"empty lines around", "\n\n" + p256 + "\n\n" + ed + "\n\n", []string{"P-256", "Ed25519"}},
		{"the dashes of a rule between", p256 + "----------\n" + ed, []string{"P-256", "Ed25519"}},
		{"a header in a block", strings.Replace(p256, "KEY-----\n", "KEY-----\nComment: mine\n\n", 1), []string{"P-256"}},
		{"NUL bytes between", p256 + "\x00\x00\n" + ed, []string{"P-256", "Ed25519"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePEM([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d keys, want %d", len(got), len(c.want))
			}
			for i, k := range got {
				if k.Family() != c.want[i] || k.ID() != "" || k.Algorithm() != 0 {
					t.Errorf("key %d: family %s, kid %q, alg %q; want %s without kid and alg", i, k.Family(), k.ID(), k.Algorithm(), c.want[i])
				}
				if want := newKey(t, c.want[i], 0, Options{}).Fingerprint(); k.Fingerprint() != want {
					t.Errorf("key %d is another key", i)
				}
			}
		})
	}
}

func TestPEMThatIsRefused(t *testing.T) {
	t.Parallel()
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	rsaPrivate := privates()["RSA"][0].(*rsa.PrivateKey)
	ecPrivate := privates()["P-256"][0].(*ecdsa.PrivateKey)
	p256 := publicPEM(t, ecPrivate.Public())
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(ecPrivate))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const (
		noBlock = `there is no PEM block in it; a public key starts with "-----BEGIN PUBLIC KEY-----"`
		private = "only the public key belongs here: openssl pkey -in private.pem -pubout -out public.pem"
		damaged = "a PEM block is damaged: it is cut off, indented, or its BEGIN and END lines differ"
	)
	for _, c := range []struct {
		name string
		text string
		want string
	}{
		{"nothing", "", noBlock},
		{"spaces", " \r\n\t\n", noBlock},
		{"a path instead of its content", "/etc/keys/public.pem", noBlock},
		{"a secret", string(secretBytes()[0]), noBlock},
		{"JSON", `{"keys":[]}`, noBlock},
		{"base64 without its lines", strings.Split(p256, "\n")[1], noBlock},
		{"DER", string(must(x509.MarshalPKIXPublicKey(ecPrivate.Public()))), "it is DER; convert it to PEM: openssl pkey -pubin"},
		{"DER, PKCS #1", string(x509.MarshalPKCS1PublicKey(&rsaPrivate.PublicKey)), "it is DER; convert it to PEM: openssl pkey -pubin"},
		{"DER of a private key", string(pkcs8), noBlock},
		{"DER of a certificate", derOf(t, certificate(t, ecPrivate, 2100)), "it is a certificate in DER; convert it to PEM: openssl x509"},
		{"an SSH key, Ed25519", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ alice@example.com", "it is an SSH public key; convert it to PEM: (echo MCowBQYDK2VwAyEA | base64 -d"},
		{"an SSH key, RSA", "ssh-rsa AAAAB3NzaC1yc2E alice@example.com\n", "it is an SSH public key; convert it to PEM: ssh-keygen -e -m PKCS8"},
		{"an SSH key, EC", "ecdsa-sha2-nistp256 AAAAE2VjZHNh alice@example.com", "ssh-keygen -e -m PKCS8"},
		{"an SSH key of RFC 4716", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2E\n---- END SSH2 PUBLIC KEY ----\n", "ssh-keygen -i -f"},

		{"a private key, PKCS #8", pemBlock("PRIVATE KEY", pkcs8), private},
		{"a private key, PKCS #1", pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPrivate)), private},
		{"a private key, SEC 1", pemBlock("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecPrivate))), private},
		{"a private key, encrypted", pemBlock("ENCRYPTED PRIVATE KEY", pkcs8), private},
		{"a private key of ssh", pemBlock("OPENSSH PRIVATE KEY", pkcs8), private},
		{"a private key after a public one", p256 + pemBlock("PRIVATE KEY", pkcs8), private},
		{"a private key before a public one", pemBlock("PRIVATE KEY", pkcs8) + p256, private},
		{"a private key that calls itself public", pemBlock("PUBLIC KEY", pkcs8), "does not hold a PKIX public key"},
		{"a private key that is cut off, after a public one", p256 + pemBlock("PRIVATE KEY", pkcs8)[:60], damaged},

		{"cut off in its first line", p256[:20], damaged},
		{"cut off in its body", p256[:len(p256)/2], damaged},
		{"cut off in its last line", p256[:len(p256)-8], damaged},
		{"cut off after a good one", p256 + p256[:len(p256)/2], damaged},
		{"cut off before a good one", p256[:len(p256)/2] + "\n" + p256, damaged},
		{"indented", strings.ReplaceAll("\n"+p256, "\n", "\n\t\t"), damaged},
		{"on one line", strings.ReplaceAll(p256, "\n", " "), damaged},
		{"with its line ends spelled out", strings.ReplaceAll(p256, "\n", `\n`), damaged},
		{"another type at its end", strings.Replace(p256, "END PUBLIC", "END PRIVATE", 1), damaged},
		{"an invalid base64 character", strings.Replace(p256, "M", "!", 1), damaged},

		{"bytes cut off inside", pemBlock("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(ecPrivate.Public()))[:50]), "does not hold a PKIX public key"},
		{"empty", pemBlock("PUBLIC KEY", nil), "does not hold a PKIX public key"},
		{"PKCS #1 that calls itself PKIX", pemBlock("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaPrivate.PublicKey)), "does not hold a PKIX public key"},
		{"PKIX that calls itself PKCS #1", pemBlock("RSA PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&rsaPrivate.PublicKey))), "does not hold a PKCS #1 public key"},
		{"a key that calls itself a certificate", pemBlock("CERTIFICATE", must(x509.MarshalPKIXPublicKey(ecPrivate.Public()))), "does not hold an X.509 certificate"},
		{"a certificate request", pemBlock("CERTIFICATE REQUEST", nil), `"CERTIFICATE REQUEST" is not a public key; PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE are`},
		{"parameters", pemBlock("EC PARAMETERS", []byte{6, 8}), `"EC PARAMETERS" is not a public key`},
		{"a type with a terminal's commands", pemBlock("\x1b[2J", nil), `"\x1b[2J" is not a public key`},
		{"a bad block after a good one", p256 + pemBlock("PUBLIC KEY", nil), "does not hold a PKIX public key"},

		{"RSA 1024", publicPEM(t, rsaOf(1024, 65537)), "has 1024 bits; it needs 2048"},
		{"RSA 1024 as PKCS #1", pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaOf(1024, 65537))), "has 1024 bits"},
		{"RSA with exponent 1", publicPEM(t, rsaOf(2048, 1)), "exponent"},
		{"P-224", publicPEM(t, p224.Public()), "on curve P-224"},
		{"a certificate of P-224", certificate(t, p224, 2100), "on curve P-224"},
		{"secp256k1", secp256k1, "the keys that can verify tokens are RSA, EC on P-256, P-384 or P-521, and Ed25519"},
		{"X25519", publicPEM(t, x25519.PublicKey()), "cannot verify tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePEM([]byte(c.text))
			refused(t, err, c.want)
			if got != nil {
				t.Errorf("%d keys with the error", len(got))
			}
		})
	}
}

// secp256k1 is a public key on a curve that the standard library lacks.
const secp256k1 = `-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEk7urnajKkd7lDPddDlqWf+SYNn7qxsv6
2QzpD89ECMddpOBydAZqlMGf1NkZQUU3hlra5yw9hlvX9e2Ep+CBpA==
-----END PUBLIC KEY-----
`

func derOf(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	return string(block.Bytes)
}

// FuzzParsePEM checks that accepted text has one valid key for each PEM block, and
// that each key can be written and parsed again.
func FuzzParsePEM(f *testing.F) {
	p256 := publicPEM(f, privates()["P-256"][0].Public())
	ed := publicPEM(f, privates()["Ed25519"][0].Public())
	for _, seed := range []string{
		"", p256, ed, p256 + ed, "words\n" + p256 + "more\n" + ed, p256[:100], "\n " + p256, strings.ReplaceAll(p256, "\n", "\r\n"),
		publicPEM(f, rsaOf(2048, 65537)), publicPEM(f, rsaOf(1024, 65537)), pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaOf(2048, 3))),
		certificate(f, privates()["Ed25519"][0], 2001), pemBlock("PRIVATE KEY", []byte{1}), pemBlock("", nil),
		"-----BEGIN PUBLIC KEY-----\nA: b\n\n-----END PUBLIC KEY-----\n", "-----BEGIN -----\n-----END -----\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		keys, err := ParsePEM(text)
		if !bytes.Equal(before, text) {
			t.Error("the text is changed")
		}
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and error %v", len(keys), err)
		}
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if blocks := bytes.Count(text, []byte("-----BEGIN ")); len(keys) > blocks {
			t.Errorf("%d keys of %d blocks", len(keys), blocks)
		}
		for _, k := range keys {
			if k.ID() != "" || k.Algorithm() != 0 || k.Family() == "secret" {
				t.Errorf("kid %q, alg %q, family %s", k.ID(), k.Algorithm(), k.Family())
			}
			der, err := x509.MarshalPKIXPublicKey(k.Material())
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParsePEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			if err != nil || len(again) != 1 || again[0].Fingerprint() != k.Fingerprint() {
				t.Errorf("written and read again: %v, %v", again, err)
			}
			if k.Verify(HS256, "", nil) != ErrAlgorithm {
				t.Error("it takes HMAC")
			}
		}
	})
}
