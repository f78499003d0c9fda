package key

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

var signing = []Algorithm{ES256, EdDSA, RS256}

func newSignerFor(t testing.TB, alg Algorithm) *Signer {
	t.Helper()
	s, err := NewSigner(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignersSignWhatTheirPublicKeyVerifies(t *testing.T) {
	t.Parallel()
	for _, alg := range signing {
		s := newSignerFor(t, alg)
		if s.Algorithm() != alg || s.Public().Algorithm() != alg || s.ID() == "" || s.Public().ID() != s.ID() {
			t.Errorf("%s: %s %s", alg, s.Algorithm(), s.ID())
		}
		der, err := s.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSigner(der, alg)
		if err != nil {
			t.Fatal(err)
		}
		if again.ID() != s.ID() || again.Public().Fingerprint() != s.Public().Fingerprint() {
			t.Errorf("%s: another key is read", alg)
		}
		for _, signer := range []*Signer{s, again} {
			signature, err := signer.Sign([]byte(signedText))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Public().Verify(alg, signedText, signature); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
			if s.Public().Verify(alg, signedText+"x", signature) == nil {
				t.Errorf("%s: another text verifies", alg)
			}
			token := signedText + "." + base64.RawURLEncoding.EncodeToString(signature)
			if _, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{}); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}
		if other := newSignerFor(t, alg); other.ID() == s.ID() {
			t.Errorf("%s: two keys are the same", alg)
		}
	}
}

func TestWhatIsNoSigner(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{0, RS384, PS256, ES384, ES512, HS256, 99} {
		if s, err := NewSigner(alg); err == nil || s != nil {
			t.Errorf("a key for %q was made", alg)
		}
	}
	for name, private := range privates() {
		for _, k := range private {
			der, err := x509.MarshalPKCS8PrivateKey(k)
			if err != nil {
				t.Fatal(err)
			}
			for alg, family := range map[Algorithm]string{ES256: "P-256", EdDSA: "Ed25519", RS256: "RSA", PS256: "", ES384: "", HS256: "", 0: ""} {
				if _, err := ParseSigner(der, alg); (err == nil) != (family == name) {
					t.Errorf("%s for %s: %v", name, alg, err)
				}
			}
		}
	}
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	notSigning, err := x509.MarshalPKCS8PrivateKey(exchange)
	if err != nil {
		t.Fatal(err)
	}
	good, err := newSignerFor(t, ES256).PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	for what, der := range map[string][]byte{
		"nothing": nil, "text": []byte("secret"), "half": good[:len(good)/2], "a key exchange": notSigning,
	} {
		if _, err := ParseSigner(der, ES256); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestASignerShowsNothing prints signers in every way, and looks for their private parts.
func TestASignerShowsNothing(t *testing.T) {
	t.Parallel()
	for _, alg := range signing {
		s := newSignerFor(t, alg)
		var parts []*big.Int
		switch m := s.private().(type) {
		case *ecdsa.PrivateKey:
			raw, err := m.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, new(big.Int).SetBytes(raw))
		case ed25519.PrivateKey:
			parts = append(parts, new(big.Int).SetBytes(m.Seed()))
		case *rsa.PrivateKey:
			parts = append(append(parts, m.D), m.Primes...)
		}
		var out bytes.Buffer
		type holder struct {
			Signer  *Signer
			Value   Signer
			private *Signer
			inner   Signer
		}
		h := holder{s, *s, s, *s}
		for _, v := range []any{s, *s, h, &h, []*Signer{s}, map[string]Signer{"a": *s}, fmt.Errorf("it failed: %v", s)} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%w", "%T", "%t"} {
				fmt.Fprintf(&out, verb, v)
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(text)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("it", "key", v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("it", "key", v)
		}
		func() {
			defer func() { fmt.Fprint(&out, recover()) }()
			panic(s)
		}()
		text, err := s.MarshalText()
		if err != nil || string(text) != "key.Signer" || s.String() != "key.Signer" {
			t.Errorf("%s %v", text, err)
		}
		shown := out.String()
		for _, part := range parts {
			raw := part.Bytes()
			for _, form := range []string{
				part.String(), hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), string(raw), fmt.Sprint(raw),
				strings.Trim(fmt.Sprint(raw), "[]"), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
			} {
				if strings.Contains(shown, form) {
					t.Errorf("%s: the private key is shown", alg)
				}
			}
		}
	}
}

// The examples of RFC 7638 section 3.1 and RFC 8037 appendix A.3.
func TestThumbprintsAreThoseOfTheRFCs(t *testing.T) {
	t.Parallel()
	bytesOf := func(text string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	n := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	for want, material := range map[string]crypto.PublicKey{
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": &rsa.PublicKey{N: new(big.Int).SetBytes(bytesOf(n)), E: 65537},
		"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": ed25519.PublicKey(bytesOf("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
	} {
		if got := newPublic(t, material, Options{ID: "x"}).Thumbprint(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAPublicKeyIsWrittenAsAJWK(t *testing.T) {
	t.Parallel()
	for _, alg := range signing {
		s := newSignerFor(t, alg)
		var jwk map[string]string
		if err := json.Unmarshal(s.Public().AppendJWK(nil), &jwk); err != nil {
			t.Fatal(err)
		}
		if jwk["kid"] != s.ID() || jwk["alg"] != alg.String() || jwk["use"] != "sig" {
			t.Errorf("%s: %v", alg, jwk)
		}
		number := func(name string) *big.Int {
			raw, err := base64.RawURLEncoding.DecodeString(jwk[name])
			if err != nil || len(raw) == 0 {
				t.Fatalf("%s: %s %v", alg, name, err)
			}
			return new(big.Int).SetBytes(raw)
		}
		var material crypto.PublicKey
		switch alg {
		case RS256:
			material = &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
		case EdDSA:
			material = ed25519.PublicKey(number("x").FillBytes(make([]byte, 32)))
		case ES256:
			if len(jwk["x"]) != 43 || len(jwk["y"]) != 43 {
				t.Errorf("a coordinate has not 32 bytes: %v", jwk)
			}
			own := s.Public().Material().(*ecdsa.PublicKey)
			point := append(append([]byte{4}, number("x").FillBytes(make([]byte, 32))...), number("y").FillBytes(make([]byte, 32))...)
			parsed, err := ecdsa.ParseUncompressedPublicKey(own.Curve, point)
			if err != nil {
				t.Fatal(err)
			}
			material = parsed
		}
		if newPublic(t, material, Options{}).Fingerprint() != s.Public().Fingerprint() {
			t.Errorf("%s: another key is written", alg)
		}
		want := map[Algorithm]string{ES256: "alg crv kid kty use x y", EdDSA: "alg crv kid kty use x", RS256: "alg e kid kty n use"}[alg]
		if len(jwk) != len(strings.Fields(want)) {
			t.Errorf("%s: %v, want %s", alg, jwk, want)
		}
	}
	// One without an id and an algorithm, and one whose id needs escapes.
	plain := newPublic(t, privates()["P-384"][0].Public(), Options{})
	if jwk := string(plain.AppendJWK([]byte("x"))); !strings.HasPrefix(jwk, `x{"crv":"P-384","kty":"EC","x":"`) || strings.Contains(jwk, "kid") || strings.Contains(jwk, "alg") {
		t.Error(jwk)
	}
	odd := newPublic(t, privates()["P-256"][0].Public(), Options{ID: "a\"\n"})
	if !json.Valid(odd.AppendJWK(nil)) {
		t.Errorf("%s is no JSON", odd.AppendJWK(nil))
	}
}
