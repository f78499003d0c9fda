package recognize

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"regexp"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// PublicKeys returns the public keys in a text: PEM (public keys and certificates), a JWK or
// a key set. A private key or a secret is refused: it must not leave the one who signs.
func PublicKeys(text []byte) ([]*key.Public, error) { return publicKeys(text, false) }

// PublicParts is PublicKeys, but of private keys it returns the public parts. Secrets have
// none, and are refused.
func PublicParts(text []byte) ([]*key.Public, error) { return publicKeys(text, true) }

func publicKeys(data []byte, parts bool) ([]*key.Public, error) {
	text, err := keyText(data)
	if err != nil {
		return nil, err
	}
	switch f := formOf(text); f {
	case formPublicPEM, formCertificate:
		return publicPEM(text)
	case formKeySet:
		return keySet(text, parts)
	case formJWK:
		return keySet(`{"keys":[`+text+`]}`, parts)
	case formPrivatePEM, formPrivateJWK:
		if !parts {
			return nil, notPublic(f)
		}
		if f == formPrivateJWK {
			return keySet(`{"keys":[`+text+`]}`, parts)
		}
		private, err := privatePEM(text, 0)
		if err != nil {
			return nil, err
		}
		// Without an alg: RSA keys verify with several.
		public, err := key.NewPublic(private.Public.Material(), key.Options{})
		return []*key.Public{public}, err
	default:
		return nil, notPublic(f)
	}
}

// notPublic says what a text is that has no public key.
func notPublic(f form) error {
	e := &Error{"it is " + names[f] + ", not a public key", "name a PEM file (-----BEGIN PUBLIC KEY-----), a certificate, a JWK or a key set"}
	switch f {
	case formPrivatePEM, formPrivateJWK:
		e.Do = "it must not leave the one who signs: caddy jwt jwks FILE prints the public part, which goes to those who verify"
	case formSecretJWK:
		e.What, e.Do = "it is an HMAC secret, which has no public part", "anyone who verifies needs the secret itself, which must not be published"
	case formEncryptedPEM:
		e.Do = "decrypt it: openssl pkey -in FILE -out private.pem"
	case formOpenSSHPrivate:
		e.Do = "convert a copy of it to PEM: ssh-keygen -p -m PKCS8 -f COPY"
	case formSSHPublic:
		e.Do = "convert it: ssh-keygen -e -m PKCS8 -f key.pub > public.pem"
	case formPuTTY:
		e.Do = "convert it: puttygen FILE -O private-openssh -o private.pem"
	case formCSR:
		e.Do = "take the key out of it: openssl req -in FILE -noout -pubkey > public.pem"
	case formBrokenPEM:
		e.What, e.Do = "it is PEM that is damaged, or has something else than a key", "copy it again as a whole, from the line with BEGIN to the one with END"
	case formMetadata:
		e.Do = "save what its jwks_uri answers: curl -o keys.json URL"
	case formURL:
		e.Do = "nothing is fetched here: curl -o keys.json URL saves it"
	case formHTML:
		e.Do = "is the address of the key set the right one?"
	case formOther:
		e.What = "it has no public key"
	}
	return e
}

// publicPEM reads public keys and certificates.
func publicPEM(text string) ([]*key.Public, error) {
	keys, err := key.ParsePEM([]byte(text))
	if err != nil {
		return nil, &Error{"the PEM has no key that can verify tokens", "RSA keys of at least 2048 bits, EC on P-256, P-384 or P-521, and Ed25519 can; is it complete?"}
	}
	return keys, nil
}

// keySet reads a key set (RFC 7517 section 5), and the public parts of private keys in it if
// parts is true.
func keySet(text string, parts bool) ([]*key.Public, error) {
	broken := &Error{"the key set can't be read", `it must be {"keys": […]} in strict JSON, without duplicate members, with at most 1000 keys`}
	document, err := claims.ParseLarge([]byte(text), MaxSize)
	if err != nil {
		return nil, broken
	}
	list, _ := document.Member("keys")
	if list.Kind() != claims.Array {
		return nil, broken
	}
	var out bytes.Buffer
	for i := range list.Len() {
		if i > 0 {
			out.WriteByte(',')
		}
		public, err := publicMembers(list.At(i), parts)
		if err != nil {
			return nil, err
		}
		out.Write(public)
	}
	set, err := keystore.ParseJWKS([]byte(`{"keys":[`+out.String()+`]}`), keystore.JWKSOptions{Local: true, MaxKeys: keystore.MostKeys})
	switch {
	case err != nil:
		return nil, &Error{"there is no key in it that can verify tokens", "RSA keys of at least 2048 bits, EC on P-256, P-384 or P-521, and Ed25519 can, if use is sig and alg one of RS, PS, ES and EdDSA"}
	case len(set.Problems()) > 0:
		return nil, &Error{"one of its keys is damaged", "copy the key set again as a whole; the key's members must be complete and in base64url"}
	}
	var keys []*key.Public
	for _, k := range set.Keys() {
		keys = append(keys, k.(*key.Public))
	}
	return keys, nil
}

// publicMembers returns a JWK without its private members (RFC 7518 section 6). key_ops and
// use sign of a private key become those of the public one.
func publicMembers(jwk claims.Value, parts bool) ([]byte, error) {
	if kty, _ := jwk.Member("kty"); kty.Kind() == claims.String {
		if name, _ := kty.Text(); name == "oct" {
			return nil, notPublic(formSecretJWK)
		}
	}
	_, private := jwk.Member("d")
	if private && !parts {
		return nil, notPublic(formPrivateJWK)
	}
	var members []claims.Member
	for i := range jwk.Len() {
		if jwk.Kind() != claims.Object {
			break
		}
		switch name := jwk.NameAt(i); name {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
		case "key_ops":
			if !private {
				members = append(members, claims.Member{Name: name, Value: jwk.At(i)})
			}
		default:
			members = append(members, claims.Member{Name: name, Value: jwk.At(i)})
		}
	}
	return claims.ObjectValue(members...).AppendJSON(nil), nil
}

// keyText returns the text of a key: PEM with its lines in order again, if it comes from a
// variable, where ends of lines are written as \n or have become spaces; PEM in base64, as
// in the variables of CI systems; JSON without quotes around it.
func keyText(data []byte) (string, error) {
	text, err := plain(data, "key")
	if err != nil {
		return "", err
	}
	for range 2 {
		if text = trimQuotes(text); hasPrefix(text, "LS0tLS1CRUdJTi") { // -----BEGIN
			if inner := decoded(strings.NewReplacer("\n", "", " ", "").Replace(text)); inner != nil {
				if text, err = plain(inner, "key"); err != nil {
					return "", err
				}
			}
		}
	}
	if strings.Contains(text, "-----BEGIN ") && !strings.Contains(text, "Proc-Type:") {
		text = pemBlock.ReplaceAllStringFunc(text, repairPEM)
	}
	return text, nil
}

// trimQuotes removes quotes around a text, and the name of a variable before PEM.
func trimQuotes(text string) string {
	if name := variable.FindString(text); name != "" && strings.Contains(text[len(name):], "-----BEGIN ") {
		text = text[len(name):]
	}
	for _, quote := range []string{`"`, "'"} {
		if inner, ok := strings.CutPrefix(text, quote); ok && strings.HasSuffix(inner, quote) {
			text = strings.TrimSuffix(inner, quote)
		}
	}
	return strings.TrimSpace(text)
}

var pemBlock = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\\nr\s]*)-----END ([A-Z0-9 ]+)-----`)

// repairPEM writes a PEM block as RFC 7468 wants it. What it can't, it leaves as it is.
func repairPEM(block string) string {
	m := pemBlock.FindStringSubmatch(block)
	body := strings.NewReplacer(`\r`, "", `\n`, "", " ", "", "\t", "", "\n", "").Replace(m[2])
	der, err := base64.StdEncoding.DecodeString(body)
	if err != nil || m[1] != m[3] || len(der) == 0 {
		return block
	}
	return "\n" + strings.TrimSuffix(string(pem.EncodeToMemory(&pem.Block{Type: m[1], Bytes: der})), "\n") + "\n"
}
