package keystore

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/MicahParks/jwkset"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// otherPurpose is the error for a valid key that is not for verifying signatures
// here, and says what it is for. Many key sets have such keys, so it is reported only
// where the set has no other.
type otherPurpose string

func (p otherPurpose) Error() string { return string(p) }

func otherPurposef(format string, value string) error {
	return otherPurpose(fmt.Sprintf(format, cut(value, 64)))
}

// fatalError is an error of one key that makes the whole document invalid.
type fatalError struct{ error }

// parseJWK reads one key of a set (RFC 7517 section 4). Only the members that
// make up the key reach jwkset: certificates (x5c, x5t, x5u) are not used here, and an
// invalid one would make the key invalid.
func parseJWK(v claims.Value, opts JWKSOptions) (key.Key, error) {
	if v.Kind() != claims.Object {
		return nil, errors.New("it is not an object")
	}
	kty, _, err := text(v, "kty")
	if err != nil {
		return nil, err
	}
	// This check comes first: a leaked private key must be reported whatever its
	// use.
	if kty != "oct" {
		if err := refusePrivate(v, opts.Local); err != nil {
			return nil, err
		}
	}
	options, err := purpose(v)
	if err != nil {
		return nil, err
	}
	marshal, err := members(v, kty)
	if err != nil {
		return nil, err
	}
	if kty == "oct" {
		return parseSecret(marshal, options, opts)
	}
	jwk, err := jwkset.NewJWKFromMarshal(marshal, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, parseError(err)
	}
	return key.NewPublic(jwk.Key().(crypto.PublicKey), options)
}

// refusePrivate looks for the members of a private key (RFC 7518 sections
// 6.2.2 and 6.3.2, RFC 8037 section 2) and of a secret in a public key.
func refusePrivate(v claims.Value, local bool) error {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := v.Member(name); !ok {
			continue
		}
		if local {
			return &fatalError{fmt.Errorf("it is a private key (member %q); a key set file needs only public keys: remove the members d, p, q, dp, dq, qi, oth and k", name)}
		}
		return fmt.Errorf("it is published with its private part (member %q), so anybody can sign with it; it is not used", name)
	}
	return nil
}

// maxThumbprint is the length of the longer thumbprint of a certificate, in base64url.
const maxThumbprint = 43

// noIssuer is what a key has whose "issuer" is no text: no tenant of an issuer of many is
// called so, and for all other issuers the member means nothing.
const noIssuer = "none"

// purpose reads the members that say what a key is for. It must have been
// made for verifying signatures: a use or key_ops that says otherwise, or an
// alg that does not exist here, rule it out (RFC 7517 sections 4.2 to 4.4).
func purpose(v claims.Value) (key.Options, error) {
	var o key.Options
	id, _, err := text(v, "kid")
	if err != nil {
		return o, err
	}
	// Texts share the document's memory, which must not live as long as the
	// key.
	o.ID = strings.Clone(id)
	for name, to := range map[string]*string{"x5t": &o.X5T, "x5t#S256": &o.X5TS256} {
		thumbprint, _, err := text(v, name)
		if err == nil && len(thumbprint) <= maxThumbprint { // a broken one chooses nothing
			*to = strings.Clone(thumbprint)
		}
	}
	// Entra writes whose key it is.
	if issuer, ok, err := text(v, "issuer"); err != nil || ok && issuer == "" {
		o.Issuer = noIssuer
	} else {
		o.Issuer = strings.Clone(issuer)
	}
	if use, ok, err := text(v, "use"); err != nil {
		return o, err
	} else if ok && use != "sig" {
		return o, otherPurposef("its use is %q and not sig", use)
	}
	if ops, ok := v.Member("key_ops"); ok {
		verify, err := hasText(ops, "verify")
		if err != nil {
			return o, err
		}
		if !verify {
			return o, otherPurpose("its key_ops have no verify")
		}
	}
	if name, ok, err := text(v, "alg"); err != nil {
		return o, err
	} else if ok {
		if o.Algorithm, ok = key.ParseAlgorithm(name); !ok {
			return o, otherPurposef("its alg %q is not supported", name)
		}
	}
	return o, nil
}

// members picks the members that make up the key itself.
func members(v claims.Value, kty string) (jwkset.JWKMarshal, error) {
	m := jwkset.JWKMarshal{KTY: jwkset.KTY(kty)}
	type part struct {
		name string
		to   *string
	}
	var need []part
	switch m.KTY {
	case jwkset.KtyRSA:
		need = []part{{"n", &m.N}, {"e", &m.E}}
	case jwkset.KtyEC:
		need = []part{{"x", &m.X}, {"y", &m.Y}}
	case jwkset.KtyOKP:
		need = []part{{"x", &m.X}}
	case jwkset.KtyOct:
		need = []part{{"k", &m.K}}
	case "":
		return m, errors.New(`it has no "kty" (RFC 7517 section 4.1)`)
	default:
		return m, otherPurposef("its kty %q is not supported", kty)
	}
	if m.KTY == jwkset.KtyEC || m.KTY == jwkset.KtyOKP {
		crv, _, err := text(v, "crv")
		if err != nil {
			return m, err
		}
		switch m.CRV = jwkset.CRV(crv); m.CRV {
		case jwkset.CrvP256, jwkset.CrvP384, jwkset.CrvP521, jwkset.CrvEd25519:
		case "":
			return m, errors.New(`it has no "crv" (RFC 7518 section 6.2.1.1)`)
		default: // X25519, Ed448, secp256k1 and what may come
			return m, otherPurposef("its curve %q is not supported", crv)
		}
	}
	for _, p := range need {
		s, ok, err := text(v, p.name)
		if err != nil {
			return m, err
		}
		if !ok || s == "" {
			return m, fmt.Errorf("it has no %q", p.name)
		}
		*p.to = s
	}
	return m, nil
}

func parseSecret(m jwkset.JWKMarshal, options key.Options, opts JWKSOptions) (key.Key, error) {
	if !opts.Local {
		return nil, errors.New("it is a secret (kty oct) in a key set that anybody can read; it is not used")
	}
	if !opts.Algorithms.HasSymmetric() {
		return nil, &fatalError{errors.New("it is a secret (kty oct); to accept tokens signed with it, name the HMAC algorithm: algorithms HS256")}
	}
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, parseError(err)
	}
	// A weak secret is guessed offline from one token: the operator must hear
	// of it when the file is loaded, not find the key missing later.
	secret, err := key.NewSecret(jwk.Key().([]byte), options, opts.Algorithms)
	if err != nil {
		return nil, &fatalError{err}
	}
	return secret, nil
}

// parseError returns a short form of an error of jwkset.
func parseError(err error) error {
	var corrupt base64.CorruptInputError
	switch {
	case errors.As(err, &corrupt):
		return errors.New("a member is not base64url (RFC 7515 section 2)")
	case errors.Is(err, jwkset.ErrUnsupportedKey):
		return otherPurpose("its type is not supported")
	case errors.Is(err, jwkset.ErrInvalidKey):
		// jwkset's error ends with what is wrong, after where in its code it was found.
		text := err.Error()
		return errors.New("the key is not valid:" + text[strings.LastIndex(text, ": ")+1:])
	default:
		return err
	}
}

// text returns a member that must be a string where it is present.
func text(v claims.Value, name string) (s string, ok bool, err error) {
	m, ok := v.Member(name)
	if !ok {
		return "", false, nil
	}
	s, isText := m.Text()
	if !isText {
		return "", true, fmt.Errorf("its member %q is not a string", name)
	}
	return s, true, nil
}

// hasText reports whether an array of strings contains want.
func hasText(v claims.Value, want string) (bool, error) {
	if v.Kind() != claims.Array {
		return false, errors.New(`its member "key_ops" is not an array`)
	}
	found := false
	for i := range v.Len() {
		s, ok := v.At(i).Text()
		if !ok {
			return false, errors.New(`its member "key_ops" holds something that is not a string`)
		}
		found = found || s == want
	}
	return found, nil
}

// idOf returns a key's kid for messages, "" if it has none.
func idOf(v claims.Value) string {
	id, _, _ := text(v, "kid")
	return id
}
