package key

import (
	"bytes"
	"crypto"

	//lint:ignore SA1019 it must be refused
	"crypto/dsa"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// fits is the rule of Key.Fits, restated over names: a key with an alg may verify
// that one; a key without, the default of its type or, if the issuer lists
// algorithms, all of its type; in both cases only what the list has.
func fits(family, fallback, own, alg string, allowed []string) bool {
	var may []string
	switch {
	case own != "":
		may = []string{own}
	case len(allowed) == 0:
		may = []string{fallback}
	default:
		for _, e := range every {
			if e.family == family {
				may = append(may, e.name)
			}
		}
	}
	return slices.Contains(may, alg) && (len(allowed) == 0 || slices.Contains(allowed, alg))
}

func TestThreat03_AKeyFitsItsOwnAlgorithmsAlone(t *testing.T) {
	t.Parallel()
	// Every list of none, one, two, all but one and all algorithms.
	lists := [][]string{nil}
	var all []string
	for i, e := range every {
		all = append(all, e.name)
		lists = append(lists, []string{e.name})
		for _, other := range every[:i] {
			lists = append(lists, []string{e.name, other.name})
		}
	}
	for i := range all {
		lists = append(lists, slices.Delete(slices.Clone(all), i, i+1))
	}
	lists = append(lists, all)

	for _, f := range families {
		owns := []string{""}
		for _, e := range every {
			if e.family == f.name {
				owns = append(owns, e.name)
			}
		}
		for _, own := range owns {
			alg, _ := ParseAlgorithm(own)
			k := newKey(t, f.name, 0, Options{ID: "x", Algorithm: alg})
			if k.Algorithm() != alg || k.ID() != "x" || k.Family() != f.name {
				t.Fatalf("%s key with alg %q says alg %s, kid %s, family %s", f.name, own, k.Algorithm(), k.ID(), k.Family())
			}
			for _, list := range lists {
				allowed, err := ParseAlgorithms(list)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range every {
					want := fits(f.name, f.usual, own, e.name, list)
					if got := k.Fits(e.alg, allowed); got != want {
						t.Errorf("%s key with alg %q, list %v: fits %s is %t, want %t", f.name, own, list, e.name, got, want)
					}
				}
			}
		}
	}
}

func TestThreat03_Examples(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		family  string
		own     Algorithm
		allowed Algorithms
		want    []Algorithm
	}{
		{"an RSA key without alg takes RS256 alone", "RSA", 0, 0, []Algorithm{RS256}},
		{"an RSA key with alg PS256 takes that alone", "RSA", PS256, 0, []Algorithm{PS256}},
		{"a list replaces the default", "RSA", 0, NewAlgorithms(PS256, PS384), []Algorithm{PS256, PS384}},
		{"a list narrows an alg", "RSA", RS256, NewAlgorithms(RS256, PS256), []Algorithm{RS256}},
		{"a list without the alg leaves nothing", "RSA", RS256, NewAlgorithms(PS256), nil},
		{"a list of other types leaves nothing", "RSA", 0, NewAlgorithms(ES256, HS256, EdDSA), nil},
		{"P-256 takes ES256 alone", "P-256", 0, 0, []Algorithm{ES256}},
		{"P-384 takes ES384 alone", "P-384", 0, 0, []Algorithm{ES384}},
		{"P-521 takes ES512 alone", "P-521", 0, 0, []Algorithm{ES512}},
		{"P-256 never takes ES384", "P-256", 0, NewAlgorithms(ES256, ES384, ES512), []Algorithm{ES256}},
		{"Ed25519 takes EdDSA alone", "Ed25519", 0, 0, []Algorithm{EdDSA}},
		{"a secret without alg takes HS256 alone", "secret", 0, 0, []Algorithm{HS256}},
		{"a secret with alg HS512 takes that alone", "secret", HS512, 0, []Algorithm{HS512}},
		{"a secret never takes RS256", "secret", 0, NewAlgorithms(RS256, HS256), []Algorithm{HS256}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newKey(t, c.family, 0, Options{Algorithm: c.own})
			for a := range 256 {
				a := Algorithm(a)
				if got, want := k.Fits(a, c.allowed), slices.Contains(c.want, a); got != want {
					t.Errorf("fits %d %s: %t", a, a, got)
				}
			}
		})
	}
}

func TestASignatureVerifiesWithItsKeyAndAlgorithmAlone(t *testing.T) {
	t.Parallel()
	type made struct {
		alg, family string
		signature   []byte
	}
	var signatures []made
	for _, e := range every {
		signatures = append(signatures, made{e.name, e.family, sign(t, e.method, e.family, 0)})
	}
	for _, f := range families {
		for number := range 2 {
			t.Run(fmt.Sprintf("%s key %d", f.name, number), func(t *testing.T) {
				t.Parallel()
				k := newKey(t, f.name, number, Options{})
				for _, e := range every {
					for _, s := range signatures {
						err := k.Verify(e.alg, signedText, s.signature)
						what := fmt.Sprintf("a signature of %s as %s", s.alg, e.name)
						switch good := number == 0 && s.family == f.name && s.alg == e.name; {
						case good && err != nil:
							t.Errorf("%s: %v", what, err)
						case !good && err == nil:
							t.Errorf("%s: accepted", what)
						case (e.family != f.name) != (err == ErrAlgorithm):
							t.Errorf("%s: error %v", what, err)
						}
					}
				}
			})
		}
	}
}

func TestAChangedTextOrSignatureIsRefused(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			k := newKey(t, e.family, 0, Options{Algorithm: e.alg})
			good := sign(t, e.method, e.family, 0)
			for name, text := range map[string]string{
				"nothing": "", "a byte more": signedText + "A", "a byte less": signedText[1:], "another": strings.ToUpper(signedText),
			} {
				if k.Verify(e.alg, text, good) == nil {
					t.Errorf("text with %s: accepted", name)
				}
			}
			flipped := bytes.Clone(good)
			flipped[len(good)/3] ^= 1
			for name, signature := range map[string][]byte{
				"nil": nil, "empty": {}, "one byte": good[:1], "half": good[:len(good)/2], "without its last byte": good[:len(good)-1],
				"without its first byte": good[1:], "a zero before": append([]byte{0}, good...), "a zero after": append(bytes.Clone(good), 0),
				"one bit changed": flipped, "twice": append(bytes.Clone(good), good...), "zeros": make([]byte, len(good)),
				"ones": bytes.Repeat([]byte{0xff}, len(good)), "a megabyte": make([]byte, 1<<20),
			} {
				if k.Verify(e.alg, signedText, signature) == nil {
					t.Errorf("signature %s: accepted", name)
				}
			}
			if err := k.Verify(e.alg, signedText, good); err != nil {
				t.Errorf("the good one: %v", err)
			}
		})
	}
}

func TestThreat15_OneFormOfASignature(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		family string
		method *jwt.SigningMethodECDSA
		alg    Algorithm
	}{
		{"P-256", jwt.SigningMethodES256, ES256}, {"P-384", jwt.SigningMethodES384, ES384}, {"P-521", jwt.SigningMethodES512, ES512},
	} {
		t.Run(c.method.Name, func(t *testing.T) {
			t.Parallel()
			k := newKey(t, c.family, 0, Options{})
			private := privates()[c.family][0].(*ecdsa.PrivateKey)
			size, n := c.method.KeySize, private.Params().N
			pair := func(r, s *big.Int) []byte {
				out := make([]byte, 2*size)
				r.FillBytes(out[:size])
				s.FillBytes(out[size:])
				return out
			}
			good := sign(t, c.method, c.family, 0)
			r, s := new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:])
			hash := c.method.Hash.New()
			hash.Write([]byte(signedText))
			der, err := ecdsa.SignASN1(rand.Reader, private, hash.Sum(nil))
			if err != nil {
				t.Fatal(err)
			}
			zero, one := new(big.Int), big.NewInt(1)
			for name, signature := range map[string][]byte{
				"r and s zero": pair(zero, zero), "r zero": pair(zero, s), "s zero": pair(r, zero),
				"r = n": pair(n, s), "s = n": pair(r, n), "r one above n": pair(new(big.Int).Add(n, one), s), "s one above n": pair(r, new(big.Int).Add(n, one)),
				"r and s one": pair(one, one), "s and r exchanged": pair(s, r), "DER": der, "DER made longer": append(bytes.Clone(der), make([]byte, 2*size)...)[:2*size],
			} {
				if k.Verify(c.alg, signedText, signature) == nil {
					t.Errorf("%s: accepted", name)
				}
			}
			if c.family == "P-521" {
				// 521 bits leave room above n in the 66 bytes.
				if k.Verify(c.alg, signedText, pair(r, new(big.Int).Add(s, n))) == nil {
					t.Error("s + n: accepted")
				}
			}
			if err := k.Verify(c.alg, signedText, pair(r, s)); err != nil {
				t.Errorf("the good one: %v", err)
			}
		})
	}
	t.Run("RSA: a signature above the modulus", func(t *testing.T) {
		t.Parallel()
		k := newKey(t, "RSA", 0, Options{})
		n := privates()["RSA"][0].(*rsa.PrivateKey).N
		for _, m := range []struct {
			alg    Algorithm
			method jwt.SigningMethod
		}{{RS256, jwt.SigningMethodRS256}, {PS256, jwt.SigningMethodPS256}} {
			s := new(big.Int).SetBytes(sign(t, m.method, "RSA", 0))
			if above := s.Add(s, n).Bytes(); k.Verify(m.alg, signedText, above) == nil {
				t.Errorf("%s: accepted", m.alg)
			}
		}
	})
	t.Run("PSS: another salt length than the hash's", func(t *testing.T) {
		t.Parallel()
		k := newKey(t, "RSA", 0, Options{})
		for _, c := range []struct {
			alg    Algorithm
			method *jwt.SigningMethodRSAPSS
		}{{PS256, jwt.SigningMethodPS256}, {PS384, jwt.SigningMethodPS384}, {PS512, jwt.SigningMethodPS512}} {
			size := c.method.Hash.Size()
			for _, salt := range []int{1, 20, size - 1, size, size + 1, 100, rsa.PSSSaltLengthAuto} {
				m := &jwt.SigningMethodRSAPSS{SigningMethodRSA: c.method.SigningMethodRSA, Options: &rsa.PSSOptions{SaltLength: salt}}
				if err := k.Verify(c.alg, signedText, sign(t, m, "RSA", 0)); (err == nil) != (salt == size) {
					t.Errorf("%s with a salt of %d: %v", c.alg, salt, err)
				}
			}
		}
	})
	t.Run("Ed25519: S not reduced", func(t *testing.T) {
		t.Parallel()
		k := newKey(t, "Ed25519", 0, Options{})
		// The order of the base point (RFC 8032 section 5.1). S + L is the
		// same scalar and must not be another valid signature (section 5.1.7).
		order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
		good := sign(t, jwt.SigningMethodEdDSA, "Ed25519", 0)
		little := bytes.Clone(good[32:])
		slices.Reverse(little)
		sum := new(big.Int).Add(new(big.Int).SetBytes(little), order).FillBytes(make([]byte, 32))
		slices.Reverse(sum)
		if k.Verify(EdDSA, signedText, append(bytes.Clone(good[:32]), sum...)) == nil {
			t.Error("accepted")
		}
	})
}

func TestThreat02_NoFormOfAPublicKeyIsASecret(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		if f.name == "secret" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			material := privates()[f.name][0].Public()
			der, err := x509.MarshalPKIXPublicKey(material)
			if err != nil {
				t.Fatal(err)
			}
			text := []byte(pemBlock("PUBLIC KEY", der))
			forms := [][]byte{
				{}, der, text, bytes.TrimSpace(text), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
				[]byte(base64.StdEncoding.EncodeToString(der)), []byte(base64.RawURLEncoding.EncodeToString(der)), fmt.Append(nil, material),
			}
			switch m := material.(type) {
			case *rsa.PublicKey:
				forms = append(forms, m.N.Bytes(), []byte(m.N.String()), x509.MarshalPKCS1PublicKey(m))
			case *ecdsa.PublicKey:
				raw, err := m.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				forms = append(forms, raw, raw[1:], raw[1:len(raw)/2+1])
			case ed25519.PublicKey:
				forms = append(forms, m)
			}
			for _, own := range []Algorithm{0, named(t, f.usual)} {
				k := newPublic(t, material, Options{Algorithm: own})
				for _, m := range []struct {
					alg    Algorithm
					method jwt.SigningMethod
				}{{HS256, jwt.SigningMethodHS256}, {HS384, jwt.SigningMethodHS384}, {HS512, jwt.SigningMethodHS512}} {
					for _, form := range forms {
						signature, err := m.method.Sign(signedText, form)
						if err != nil {
							t.Fatal(err)
						}
						if err := k.Verify(m.alg, signedText, signature); err != ErrAlgorithm {
							t.Errorf("%s made with %d bytes of the key: %v", m.alg, len(form), err)
						}
					}
					if k.Fits(m.alg, 0) || k.Fits(m.alg, NewAlgorithms(m.alg)) {
						t.Errorf("%s fits", m.alg)
					}
				}
			}
		})
	}
	t.Run("and a secret verifies nothing but HMAC", func(t *testing.T) {
		t.Parallel()
		k := newKey(t, "secret", 0, Options{})
		for _, e := range every {
			if e.family == "secret" {
				continue
			}
			if err := k.Verify(e.alg, signedText, sign(t, e.method, e.family, 0)); err != ErrAlgorithm {
				t.Errorf("%s: %v", e.name, err)
			}
		}
	})
}

func TestSignaturesOfOthers(t *testing.T) {
	t.Parallel()
	raw := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	point := append([]byte{4}, append(raw("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), raw("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")...)...)
	p256, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		key   crypto.PublicKey
		alg   Algorithm
		token string
	}{
		{
			"RFC 7515 appendix A.3 (ES256)", p256, ES256,
			"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		},
		{
			"RFC 8037 appendix A.4 (EdDSA)", ed25519.PublicKey(raw("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")), EdDSA,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cut := strings.LastIndexByte(c.token, '.')
			if err := newPublic(t, c.key, Options{}).Verify(c.alg, c.token[:cut], raw(c.token[cut+1:])); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	p256 := privates()["P-256"][0].Public().(*ecdsa.PublicKey)
	g := elliptic.P256().Params()
	moved := func(curve elliptic.Curve, x, y *big.Int) *ecdsa.PublicKey {
		//lint:ignore SA1019 a point that is not on the curve can be made in no other way
		return &ecdsa.PublicKey{Curve: curve, X: x, Y: y}
	}
	even := rsaOf(2048, 65537)
	even.N.SetBit(even.N, 0, 0)
	negative := rsaOf(2048, 65537)
	negative.N.Neg(negative.N)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256ECDH, err := p256.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	// On 32 bits they wrap to negative numbers, which are refused too.
	var large, largest int64 = 1<<31 + 1, 1<<63 - 1
	above := new(big.Int).Add(g.Gx, g.P)
	impostor := *g
	for _, c := range []struct {
		name string
		key  any
		want string
	}{
		{"RSA 512", rsaOf(512, 65537), "has 512 bits; it needs 2048 to 16384"},
		{"RSA 1024", rsaOf(1024, 65537), "has 1024 bits"},
		{"RSA 2047", rsaOf(2047, 65537), "has 2047 bits"},
		{"RSA 16385", rsaOf(16385, 65537), "has 16385 bits"},
		{"RSA of a million bits", rsaOf(1_000_000, 65537), "has 1000000 bits"},
		{"RSA modulus 0", &rsa.PublicKey{N: new(big.Int), E: 65537}, "has 0 bits"},
		{"RSA modulus even", even, "not a positive odd number"},
		{"RSA modulus negative", negative, "not a positive odd number"},
		{"RSA exponent 0", rsaOf(2048, 0), "exponent"},
		{"RSA exponent 1, under which every text is its own signature", rsaOf(2048, 1), "exponent"},
		{"RSA exponent negative", rsaOf(2048, -3), "exponent"},
		{"RSA exponent 2", rsaOf(2048, 2), "exponent"},
		{"RSA exponent even", rsaOf(2048, 65536), "exponent"},
		{"RSA exponent 2^31 and 1", rsaOf(2048, int(large)), "below 2^31"},
		{"RSA exponent the largest int", rsaOf(2048, int(largest)), "below 2^31"},
		{"RSA without a modulus", &rsa.PublicKey{E: 65537}, "no modulus"},
		{"RSA nil", (*rsa.PublicKey)(nil), "no modulus"},
		{"RSA by value", *rsaOf(2048, 65537), "a rsa.PublicKey cannot verify"},
		{"P-224", p224.Public(), "on curve P-224; it must be P-256, P-384 or P-521"},
		{"a curve of one's own", moved(&elliptic.CurveParams{Name: "secp256k1"}, g.Gx, g.Gy), "on curve secp256k1"},
		{"a curve that only calls itself P-256", moved(&impostor, g.Gx, g.Gy), "not a point on its curve"},
		{"EC without a curve", moved(nil, big.NewInt(1), big.NewInt(1)), "no curve"},
		{"EC without a point", moved(elliptic.P256(), nil, nil), "no point"},
		{"EC without x", moved(elliptic.P256(), nil, big.NewInt(1)), "no point"},
		{"EC without y", moved(elliptic.P256(), big.NewInt(1), nil), "no point"},
		{"EC off its curve", moved(elliptic.P256(), big.NewInt(1), big.NewInt(1)), "not a point on its curve"},
		{"EC on another curve", moved(elliptic.P384(), g.Gx, g.Gy), "not a point on its curve"},
		{"EC at infinity", moved(elliptic.P256(), new(big.Int), new(big.Int)), "not a point on its curve"},
		{"EC with a negative coordinate", moved(elliptic.P256(), big.NewInt(-1), big.NewInt(1)), "not a point on its curve"},
		{"EC with a coordinate not reduced", moved(elliptic.P256(), above, g.Gy), "not a point on its curve"},
		{"EC nil", (*ecdsa.PublicKey)(nil), "no curve"},
		{"EC by value", *p256, "a ecdsa.PublicKey cannot verify"},
		{"EC for key agreement", p256ECDH, "a *ecdh.PublicKey cannot verify"},
		{"Ed25519 nil", ed25519.PublicKey(nil), "has 0 bytes; it needs 32"},
		{"Ed25519 31 bytes", ed25519.PublicKey(make([]byte, 31)), "has 31 bytes"},
		{"Ed25519 33 bytes", ed25519.PublicKey(make([]byte, 33)), "has 33 bytes"},
		{"Ed25519 of a private key's length", ed25519.PublicKey(make([]byte, 64)), "has 64 bytes"},
		{"X25519", x25519.PublicKey(), "a *ecdh.PublicKey cannot verify"},
		{"DSA", &dsa.PublicKey{}, "a *dsa.PublicKey cannot verify"},
		{"an RSA private key", privates()["RSA"][0], "a *rsa.PrivateKey cannot verify"},
		{"an EC private key", privates()["P-256"][0], "a *ecdsa.PrivateKey cannot verify"},
		{"an Ed25519 private key", privates()["Ed25519"][0], "a ed25519.PrivateKey cannot verify"},
		{"bytes, which would be a secret", secretBytes()[0], "a []uint8 cannot verify"},
		{"text", "-----BEGIN PUBLIC KEY-----", "a string cannot verify"},
		{"nil", nil, "cannot verify"},
		{"another key of this package", newKey(t, "P-256", 0, Options{}), "a *key.Public cannot verify"},
		{"a secret of this package", newKey(t, "secret", 0, Options{}), "a *key.Secret cannot verify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k, err := NewPublic(c.key, Options{})
			refused(t, err, c.want)
			if k != nil {
				t.Error("there is a key with the error")
			}
		})
	}
	t.Run("the limits themselves are fit", func(t *testing.T) {
		t.Parallel()
		for _, m := range []*rsa.PublicKey{rsaOf(minRSABits, 3), rsaOf(minRSABits, 1<<31-1), rsaOf(3072, 17), rsaOf(maxRSABits, 65537)} {
			k := newPublic(t, m, Options{})
			// crypto/rsa must be able to use a key that is accepted.
			if err := k.Verify(RS256, signedText, make([]byte, m.Size())); err != rsa.ErrVerification {
				t.Errorf("%d bits, exponent %d: %v", m.N.BitLen(), m.E, err)
			}
		}
	})
}

func TestAnAlgOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		for _, e := range every {
			var err error
			if f.name == "secret" {
				_, err = NewSecret(secretBytes()[0], Options{Algorithm: e.alg}, 0)
			} else {
				_, err = NewPublic(privates()[f.name][0].Public(), Options{Algorithm: e.alg})
			}
			if f.name != e.family {
				refused(t, err, "alg "+e.name+" is for another type of key")
			} else if err != nil {
				t.Errorf("%s with alg %s: %v", f.name, e.name, err)
			}
		}
		if _, err := (Options{Algorithm: 99}).base(familyRSA, RS256); err == nil {
			t.Error("an alg that does not exist is accepted")
		}
	}
}

func TestFingerprintsTellKeysApart(t *testing.T) {
	t.Parallel()
	seen := map[[sha256.Size]byte]string{}
	for _, f := range families {
		for number := range 2 {
			name := fmt.Sprint(f.name, number)
			k := newKey(t, f.name, number, Options{})
			if other, ok := seen[k.Fingerprint()]; ok {
				t.Errorf("%s and %s have one fingerprint", name, other)
			}
			seen[k.Fingerprint()] = name
			same := newKey(t, f.name, number, Options{ID: "another", Algorithm: named(t, f.usual)})
			if same.Fingerprint() != k.Fingerprint() {
				t.Errorf("%s: kid and alg change the fingerprint", name)
			}
		}
	}
	t.Run("the same key from another source is the same", func(t *testing.T) {
		t.Parallel()
		for _, f := range families[:5] {
			material := privates()[f.name][0].Public()
			parsed, err := ParsePEM([]byte(publicPEM(t, material)))
			if err != nil {
				t.Fatal(err)
			}
			if parsed[0].Fingerprint() != newPublic(t, material, Options{}).Fingerprint() {
				t.Errorf("%s: another fingerprint", f.name)
			}
		}
	})
	t.Run("a modulus with another exponent is another key", func(t *testing.T) {
		t.Parallel()
		if newPublic(t, rsaOf(2048, 3), Options{}).Fingerprint() == newPublic(t, rsaOf(2048, 5), Options{}).Fingerprint() {
			t.Error("it is the same")
		}
	})
	t.Run("a secret never has a public key's fingerprint", func(t *testing.T) {
		t.Parallel()
		der, err := x509.MarshalPKIXPublicKey(privates()["P-256"][0].Public())
		if err != nil {
			t.Fatal(err)
		}
		k, err := NewSecret(der, Options{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if k.Fingerprint() == newKey(t, "P-256", 0, Options{}).Fingerprint() {
			t.Error("it is")
		}
	})
}

func TestMaterialIsTheKey(t *testing.T) {
	t.Parallel()
	for _, f := range families[:5] {
		want := privates()[f.name][0].Public().(interface{ Equal(crypto.PublicKey) bool })
		if !want.Equal(newKey(t, f.name, 0, Options{}).(*Public).Material()) {
			t.Errorf("%s: another key", f.name)
		}
	}
}
