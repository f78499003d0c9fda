package recognize

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/MicahParks/jwkset"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// Signs signs a JWS signing input: a *key.Signer or a *key.MAC.
type Signs interface {
	Algorithm() key.Algorithm
	Sign(input []byte) ([]byte, error)
}

// Private is a private key or a secret that signs.
type Private struct {
	Signs
	// ID is the kid of a JWK that has one; else the thumbprint (RFC 7638) of the public
	// key; empty for a secret.
	ID string
	// Public is what verifies; nil for a secret.
	Public *key.Public
}

// PrivateKey returns the private key in a text: PEM (PKCS #8, PKCS #1, SEC 1) or a JWK, which
// may be a secret. alg is what it is to sign with; zero is what the JWK says, else RS256,
// EdDSA, HS256, or the one of the curve. The error shows nothing of the key.
func PrivateKey(data []byte, alg key.Algorithm) (Private, error) {
	text, err := keyText(data)
	if err != nil {
		return Private{}, err
	}
	switch f := formOf(text); f {
	case formPrivatePEM:
		return privatePEM(text, alg)
	case formPrivateJWK, formSecretJWK:
		return privateJWK(text, alg)
	default:
		return Private{}, notPrivate(f)
	}
}

// notPrivate says what a text is that has no private key.
func notPrivate(f form) error {
	e := &Error{"it is " + names[f] + ", not a private key", "name a private key in PEM (-----BEGIN PRIVATE KEY-----) or as a JWK; caddy jwt keygen makes one"}
	switch f {
	case formPublicPEM, formCertificate, formJWK, formKeySet, formSSHPublic:
		e.Do = "it verifies tokens and can't sign any; name the private key that belongs to it"
	case formEncryptedPEM:
		e.What, e.Do = "the private key is encrypted", "decrypt it: openssl pkey -in FILE | caddy jwt sign --key - …"
	case formOpenSSHPrivate:
		e.What, e.Do = "it is a private key in OpenSSH's own format", "convert a copy of it to PEM: ssh-keygen -p -m PKCS8 -f COPY"
	case formPuTTY:
		e.What, e.Do = "it is a private key of PuTTY", "convert it: puttygen FILE -O private-openssh -o private.pem"
	case formBrokenPEM:
		e.What, e.Do = "it is PEM that is damaged, or has something else than a key", "copy it again as a whole, from the line with BEGIN to the one with END"
	case formOther:
		e.What = "it has no private key"
		e.Do += "; a secret is named with --secret-file"
	}
	return e
}

var errPrivate = &Error{"the private key can't be read", "is it complete, from the line with BEGIN to the one with END?"}

func privatePEM(text string, alg key.Algorithm) (Private, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return Private{}, errPrivate
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // parameters of a curve, the certificate
		}
		private, err := parsePrivate(block)
		if err != nil {
			return Private{}, errPrivate // the cause may have numbers of the key
		}
		return signing(private, alg, "")
	}
}

func parsePrivate(block *pem.Block) (any, error) {
	switch block.Type {
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
}

// signing returns a key that signs, with the id of its JWK.
func signing(private any, alg key.Algorithm, id string) (Private, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Private{}, &Error{"the private key is not for signatures", "it must be RSA, EC or Ed25519; X25519 is for encryption"}
	}
	s, err := key.SignerOf(signer, alg)
	if err != nil {
		return Private{}, &Error{err.Error(), "caddy jwt keygen makes a key"}
	}
	if id == "" {
		id = s.ID()
	}
	return Private{Signs: s, ID: id, Public: s.Public()}, nil
}

func privateJWK(text string, alg key.Algorithm) (Private, error) {
	broken := &Error{"the JWK can't be read", "is it complete, with all members of RFC 7518 section 6 in base64url?"}
	object, err := claims.ParseLarge([]byte(text), claims.MaxValues)
	if err != nil {
		return Private{}, broken
	}
	member := func(name string) string {
		v, _ := object.Member(name)
		text, _ := v.Text()
		return text
	}
	if name := member("alg"); name != "" {
		own, ok := key.ParseAlgorithm(name)
		switch {
		case !ok:
			return Private{}, &Error{"the JWK's alg is none that tokens are signed with here", "caddy jwt keygen makes a key"}
		case alg != 0 && alg != own:
			return Private{}, &Error{fmt.Sprintf("the JWK is for %s, not for %s", own, alg), "leave --alg out, or name another key"}
		}
		alg = own
	}
	if use := member("use"); use != "" && use != "sig" {
		return Private{}, &Error{"the JWK is not for signatures, as its use is not sig", "name another key"}
	}
	if member("kty") == "oct" {
		secret, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(member("k"), "="))
		if err != nil {
			return Private{}, broken
		}
		return mac(secret, alg, member("kid"))
	}
	var m jwkset.JWKMarshal
	for name, to := range map[string]*string{
		"n": &m.N, "e": &m.E, "d": &m.D, "p": &m.P, "q": &m.Q, "dp": &m.DP, "dq": &m.DQ, "qi": &m.QI, "x": &m.X, "y": &m.Y,
	} {
		*to = member(name)
	}
	m.KTY, m.CRV = jwkset.KTY(member("kty")), jwkset.CRV(member("crv"))
	if _, more := object.Member("oth"); more {
		return Private{}, &Error{"the RSA key has more than two primes", "such keys are not supported; caddy jwt keygen makes another"}
	}
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return Private{}, broken // the cause may have a part of the key
	}
	return signing(jwk.Key(), alg, member("kid"))
}

// Secret returns a secret that signs, from a file as the option `secret` reads it: its bytes
// without an end of line or, with inBase64, what they are in base64 or base64url. alg is
// HS256 if it is zero. The error shows nothing of the secret.
func Secret(data []byte, alg key.Algorithm, inBase64 bool) (Private, error) {
	if len(data) > MaxSize {
		return Private{}, &Error{"it has more than 1 MiB, and no secret is that long", "name the file with the secret alone"}
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch f := formOf(strings.TrimSpace(text)); f {
	case formPrivatePEM, formPrivateJWK, formSecretJWK:
		return Private{}, &Error{"it is " + names[f] + ", not a secret alone", "name it with --key"}
	case formOther:
	default:
		// A public key as a secret is the oldest attack on JWTs (RFC 8725 section 2.1).
		return Private{}, &Error{"it is " + names[f] + ", not a secret", "caddy jwt keygen --alg HS256 makes a secret"}
	}
	secret := []byte(text)
	if inBase64 {
		if secret = decoded(strings.TrimSpace(text)); secret == nil {
			return Private{}, &Error{"the secret is not base64", "leave --base64 out if the text itself is the secret"}
		}
	}
	return mac(secret, alg, "")
}

func mac(secret []byte, alg key.Algorithm, id string) (Private, error) {
	if alg == 0 {
		alg = key.HS256
	}
	m, err := key.NewMAC(secret, alg)
	if err != nil {
		what, do, _ := strings.Cut(err.Error(), "; ")
		if do == "" {
			do = "name a private key with --key"
		}
		return Private{}, &Error{what, do}
	}
	return Private{Signs: m, ID: id}, nil
}

// MarshalJSON implements json.Marshaler, and hides the key.
func (p Private) MarshalJSON() ([]byte, error) { return json.Marshal("recognize.Private") }
