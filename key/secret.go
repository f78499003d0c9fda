package key

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Secret is an HMAC secret. Only Verify reads its bytes: it has no accessor, and
// prints as a fixed text.
type Secret struct {
	base
	// The bytes are in a closure, which nothing can print. Methods alone do not
	// suffice: fmt reads unexported fields of structs that contain a Secret, and
	// calls no method for an invalid verb, such as %w.
	bytes func() []byte
}

// minDistinct is how many different bytes a secret must have at least. 32 random
// bytes have 30 on average; fewer than 8 is "aaaa…" or a repeated word.
const minDistinct = 8

// NewSecret returns a Secret with a copy of raw bytes. forAlgorithms is the issuer's
// list, empty for the default (HS256, or the key's own alg): RFC 7518 section 3.2
// requires a secret at least as long as the hash of each. The errors say what is
// wrong and how to make a good secret, but never repeat the secret.
func NewSecret(secret []byte, o Options, forAlgorithms Algorithms) (*Secret, error) {
	b, err := o.base(familySecret, HS256)
	if err != nil {
		return nil, err
	}
	need := 0
	for _, alg := range []Algorithm{HS256, HS384, HS512} {
		if b.Fits(alg, forAlgorithms) {
			need = algorithms[alg].hash.Size()
		}
	}
	if need == 0 {
		return nil, errors.New("the algorithms include no HMAC algorithm for this secret; add HS256, or remove the secret")
	}
	switch {
	case len(secret) == 0:
		return nil, fmt.Errorf("the secret is empty; make one with: openssl rand -hex %d", need)
	case len(secret) < need:
		return nil, fmt.Errorf("the secret has %d bytes; it must have at least the %d of its hash (RFC 7518 section 3.2); make one with: openssl rand -hex %d", len(secret), need, need)
	case countDistinct(secret) < minDistinct:
		return nil, fmt.Errorf("the secret has fewer than %d different bytes, so it can be guessed; make one with: openssl rand -hex %d", minDistinct, need)
	case isSample(secret):
		return nil, fmt.Errorf("the secret is a published sample that everybody knows; make your own with: openssl rand -hex %d", need)
	case isRepeated(secret) || isSequence(secret):
		return nil, fmt.Errorf("the secret repeats a short text or counts up or down, so it can be guessed; make one with: openssl rand -hex %d", need)
	}
	b.fingerprint = sha256.Sum256(append([]byte("secret\x00"), secret...))
	own := bytes.Clone(secret)
	return &Secret{base: b, bytes: func() []byte { return own }}, nil
}

// Verify implements Key.
func (k *Secret) Verify(alg Algorithm, signed string, signature []byte) error {
	if !alg.Symmetric() {
		return ErrAlgorithm
	}
	return algorithms[alg].method.Verify(signed, signature, k.bytes())
}

// String implements fmt.Stringer, and hides the secret.
func (k Secret) String() string { return "key.Secret" }

// GoString implements fmt.GoStringer, and hides the secret from %#v.
func (k Secret) GoString() string { return "key.Secret" }

// Format implements fmt.Formatter, and hides the secret from every other verb.
func (k Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key.Secret")) }

func countDistinct(b []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// samples are secrets of at least 32 bytes from documentation and starter
// projects, which therefore end up in production.
var samples = []string{
	// Specifications.
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", // RFC 7515 appendix A.1
	"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",                                            // RFC 7520 section 3.5

	// jwt.io.
	"a-string-secret-at-least-256-bits-long",                                  // HS256
	"a-valid-string-secret-that-is-at-least-384-bits-long",                    // HS384
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long", // HS512
	"your-256-bit-secret-your-256-bit-secret",                                 // the old one, doubled to pass length checks
	"your-256-bit-secretyour-256-bit-secret",                                  // the same

	// Servers and gateways: documentation and default configs.
	"TkZMNSowQmMjOVU2RUB0bm1DJkU3U1VONkd3SGZMbVk=",                          // ggicci/caddy-jwt, README
	"383aca9a-1c39-4d7a-b4d8-67ba4718dd3f",                                  // greenpau/caddy-auth-jwt, README
	"0e2fdcf8-6868-41a7-884b-7308795fc286",                                  // greenpau/caddy-auth-portal, examples
	"01ee2688-36e4-47f9-8c06-d18483702520",                                  // greenpau/caddy-security, examples
	"!ChangeThisMercureHubJWTSecretKey!",                                    // Mercure, documentation
	"C50k0bcahDhLNhLKSUBSR1OMiFGzNZ7X",                                      // Kong, JWT plugin
	"jack-hs256-secret-that-is-very-long",                                   // Apache APISIX, jwt-auth plugin
	"bbe7d157-a253-4094-9759-06a8236543f9",                                  // Centrifugo, documentation
	"reallyreallyreallyreallyverysafe",                                      // PostgREST tutorial
	"3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R",   // Hasura, documentation
	"0f987876650b4a085e64594fae9219e7781b17506bec02489ad061fba8cb22db",      // Nhost CLI
	"super-secret-jwt-token-with-at-least-32-characters-long",               // Supabase, local development
	"your-super-secret-jwt-token-with-at-least-32-characters-long",          // Supabase, self-hosting
	"SecretKey012345678901234567890123456789012345678901234567890123456789", // Nacos, default config
	"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=",                          // Nacos, documentation
	"FXQXbJtbCLxODc6tGci732pkH1cyf8Qg",                                      // Apache HugeGraph
	"6116487b-cda1-52c2-b5b5-c8022c45e263",                                  // Directus, Docker guide
	"replace-with-secure-random-value",                                      // Directus, Docker guide
	"16f8c0ef4a5d391b26034086c628469d3f9f497f08163ab9b40137092f2909ef",      // LibreChat, .env.example
	"eaa5191f2914e30b9387fd84e254e4ba6fc51b4654968a9b0803b456a54b8418",      // LibreChat, .env.example
	"5lrMXKKWCVocS/uerPsl7V+TX/aaUaI7iDkgl3tSmLE=",                          // Infisical, .env.example
	"CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",                                  // Apache Superset

	// Libraries and frameworks: documentation and starter kits.
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", // FastAPI, tutorial
	"cc7e0d44fd473002f1c42167459001140ec6389b7353f8088f4d9a95f2f596f2", // jose for JavaScript
	"example_key_of_sufficient_length",                                 // firebase/php-jwt
	"mBC5v1sOKVvbdEitdSBenu59nfNfhwkedkJVNabosTw=",                     // lcobucci/jwt
	"hiG8DlOKvtih6AxlZn5XKImZ06yu8I3mkOzaJrEuW8yAv8Jnkw330uMt8AEqQ5LB", // lcobucci/jwt
	"my-secret-token-to-change-in-production",                          // JHipster
	"SecretKeyOfDoomThatMustBeAMinimumNumberOfBytes",                   // eShopOnWeb
	"QsJbczCNysv/5SGh+U7sxedX8C07TPQPBdsnSDKZ/aE=",                     // fullstackhero
	// NestJS, documentation
	"DO NOT USE THIS VALUE. INSTEAD, CREATE A COMPLEX SECRET AND KEEP IT SAFE OUTSIDE OF THE SOURCE CODE.",

	// Tutorials of Node.js and ASP.NET Core.
	"THIS IS USED TO SIGN AND VERIFY JWT TOKENS, REPLACE IT WITH YOUR OWN SECRET, IT CAN BE ANY STRING",
	"JWTAuthenticationHIGHsecuredPasswordVVVp1OH7Xzyr",
	"Yh2k7QSu4l8CZg5p6X3Pna9L0Miy4D3Bvt0JVr87UcOj69Kqw5R2Nmf4FWs03Hdx",
	"PDv7DrqznYL6nv7DrqzjnQYO9JxIsWdcjnQYL6nu0f",
	"ijurkbdlhmklqacwqzdxmkkhvqowlyqa",
	"this is my custom Secret key for authentication",
	"this is my custom Secret key for authnetication", // as it was first written

	// Tutorials of Java and Spring Boot.
	"404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
	"5367566B59703373367639792F423F4528482B4D6251655468576D5A71347437",
	"357638792F423F4428472B4B6250655368566D597133743677397A2443264629",
	"3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b",
	"9a4f2c8d3b7a1e6f45c8a0b3f267d8b1d4e6f3c8a9d2b5f8e3a9c8b5f6v8a3d9",
	"daf66e01593f61a15b857cf433aae03a005812b31234e149036bcc8dee755dbb",
	"======================BezKoder=Spring===========================",
	"926D96C90030DD58429D2751AC1BDBBC",
	"04ca023b39512e46d0c2cf4b48d5aac61d34302994c87ed4eff225dcf3b0a218739f3897051a057f9b846a69ea2927a587044164b7bae5e1306219d50b588cb1",
	"9SyECk96oDsTmXfogIieDI0cD/8FpnojlYSUJT5U9I/FGVmBz5oskmjOR8cbXTvoPjX+Pq/T/b1PqpHX0lYm0oCBjXWICA==",
	"cr666N7wIV+KJ2xOQpWtcfAekL4YXd9gbnJMs8SJ9sI=",
	"Yn2kjibddFAWtnPJ2AFlL8WXmohJMCvigQggaEypa5E=",
	"7f-j&CKk=coNzZc0y7_4obMP?#TfcYq%fcD0mDpenW2nc!lfGoZ|d?f&RNbDHUX6",
	"asdfSFS34wfsdfsdfSDSD32dfsddDDerQSNCK34SOWEK5354fdgdf4",

	// Placeholders that many a starter project has in its .env.example.
	"your-super-secret-jwt-key-change-this-in-production",
	"your-super-secret-jwt-key-change-in-production",
	"your-super-secret-key-change-in-production",
	"your-secret-key-change-this-in-production",
	"your-secret-key-change-in-production",
	"your-secret-key-at-least-32-characters-long",
	"my-32-character-ultra-secure-and-ultra-long-secret",
	"this-is-a-secret-key-that-is-at-least-32-characters",
	"this-is-a-secret-key-that-is-at-least-32-characters-long",
	"mysecretkeymysecretkeymysecretkeymysecretkey",
	"abcdefghijklmnopqrstuvwxyz123456",
	"abcdefghijklmnopqrstuvwxyz0123456789",
	"0123456789abcdef0123456789abcdef",
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	"01234567890123456789012345678901",
	"12345678901234567890123456789012",
}

// sampleDigests has each sample as text and, if it is valid base64, decoded, as
// tutorials use the same text in both ways.
var sampleDigests = func() map[[sha256.Size]byte]bool {
	m := make(map[[sha256.Size]byte]bool, 2*len(samples))
	for _, s := range samples {
		m[sha256.Sum256([]byte(s))] = true
		m[sha256.Sum256(normalize([]byte(s)))] = true
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if raw, err := enc.DecodeString(strings.TrimRight(s, "=")); err == nil {
				m[sha256.Sum256(raw)] = true
			}
		}
	}
	return m
}()

// isSample reports whether a secret is a sample, ignoring case and the white space
// and punctuation that may be copied with it.
func isSample(secret []byte) bool {
	return sampleDigests[sha256.Sum256(secret)] || sampleDigests[sha256.Sum256(normalize(secret))]
}

// normalize lowercases a secret and trims what may surround it in a file.
func normalize(secret []byte) []byte {
	return bytes.ToLower(bytes.Trim(secret, " \t\r\n\"'`.,;"))
}

// isRepeated reports whether a secret is a shorter text repeated at least twice.
func isRepeated(secret []byte) bool {
	for period := 1; period <= len(secret)/2; period++ {
		if bytes.Equal(secret[period:], secret[:len(secret)-period]) {
			return true
		}
	}
	return false
}

// isSequence reports whether at least three quarters of a secret's bytes differ
// from the byte before them by at most one: "aaaab", "abcdef". In random bytes, and
// in random text in hexadecimal, less than a fifth do.
func isSequence(secret []byte) bool {
	n := 0
	for i := 1; i < len(secret); i++ {
		if d := int(secret[i]) - int(secret[i-1]); d >= -1 && d <= 1 {
			n++
		}
	}
	return 4*n >= 3*len(secret)
}
