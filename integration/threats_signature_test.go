package integration

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func TestThreat15_SignaturesHaveOneForm(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.published()...)
	s.accepts(t, site, k.ES256.Token(t, s.claims(nil), nil))
	s.accepts(t, site, k.PS256.Token(t, s.claims(nil), nil))

	input := k.ES256.SigningInput(t, s.claims(nil), nil)
	digest := sha256.Sum256([]byte(input))
	private := k.ES256.Private.(*ecdsa.PrivateKey)
	r, sig, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	zero, one := new(big.Int), big.NewInt(1)
	rBytes, sBytes := fill(r, 32), fill(sig, 32)
	good := append(rBytes, sBytes...)
	s.accepts(t, site, peers.WithSignature(input, good))
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, sig})
	if err != nil {
		t.Fatal(err)
	}
	var table []forgery
	for name, signature := range map[string][]byte{
		"r and s zero":       append(fill(zero, 32), fill(zero, 32)...),
		"r zero":             append(fill(zero, 32), sBytes...),
		"s zero":             append(fill(r, 32), fill(zero, 32)...),
		"r and s one":        append(fill(one, 32), fill(one, 32)...),
		"r and s are n":      append(fill(n, 32), fill(n, 32)...),
		"s is n":             append(fill(r, 32), fill(n, 32)...),
		"all ones":           bytes.Repeat([]byte{0xff}, 64),
		"DER":                der,
		"a byte short":       good[:63],
		"a byte long":        append(append([]byte{}, good...), 0),
		"a leading zero":     append([]byte{0}, good...),
		"r and s of 33":      append(fill(r, 33), fill(sig, 33)...),
		"twice the lengths":  append(fill(r, 64), fill(sig, 64)...),
		"one byte":           {1},
		"s and r exchanged":  append(fill(sig, 32), fill(r, 32)...),
		"one bit turned":     append(append([]byte{}, good[:63]...), good[63]^1),
		"RSA's 256 bytes":    bytes.Repeat([]byte{1}, 256),
		"the digest's bytes": append(digest[:], digest[:]...),
	} {
		table = append(table, forgery{"ES256 with " + name, peers.WithSignature(input, signature), because("bad_signature", "malformed_token")})
	}

	pssInput := k.PS256.SigningInput(t, s.claims(nil), nil)
	pssDigest := sha256.Sum256([]byte(pssInput))
	for name, salt := range map[string]int{
		"no salt":                 0,
		"a salt of 20 bytes":      20,
		"a salt of 31 bytes":      31,
		"a salt of 33 bytes":      33,
		"the longest salt":        rsa.PSSSaltLengthAuto,
		"a salt of SHA-512's len": 64,
	} {
		signature, err := signPSS(k.PS256, pssDigest[:], salt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Nothing but the salt may be wrong with it.
		if err := rsa.VerifyPSS(k.PS256.Private.Public().(*rsa.PublicKey), crypto.SHA256, pssDigest[:], signature, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		table = append(table, forgery{"PS256 with " + name, peers.WithSignature(pssInput, signature), because("bad_signature")})
	}
	s.refusesEach(t, site, table)
}

// signPSS signs with a salt of any length. The standard library takes zero for
// "as long as possible", so an empty salt is made through its reader.
func signPSS(key *peers.Key, digest []byte, salt int) ([]byte, error) {
	private := key.Private.(*rsa.PrivateKey)
	if salt == 0 {
		return emptySaltPSS(private, digest), nil
	}
	return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt})
}

// emptySaltPSS is EMSA-PSS (RFC 8017 §9.1.1) with an empty salt, and the RSA
// operation on it.
func emptySaltPSS(private *rsa.PrivateKey, digest []byte) []byte {
	const hashLength = sha256.Size
	bits := private.N.BitLen() - 1
	length := (bits + 7) / 8
	hash := sha256.Sum256(append(make([]byte, 8), digest...))
	block := make([]byte, length-hashLength-1)
	block[len(block)-1] = 1
	for i, counter := 0, byte(0); i < len(block); counter++ { // MGF1
		mask := sha256.Sum256(append(hash[:], 0, 0, 0, counter))
		for j := 0; j < len(mask) && i < len(block); i, j = i+1, j+1 {
			block[i] ^= mask[j]
		}
	}
	block[0] &= 0xff >> (8*length - bits)
	message := append(append(block, hash[:]...), 0xbc)
	signature := new(big.Int).Exp(new(big.Int).SetBytes(message), private.D, private.N)
	return fill(signature, private.Size())
}

func fill(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }
