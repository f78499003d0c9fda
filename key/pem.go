package key

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePEM parses one or more public keys in PEM: PKIX ("PUBLIC KEY"), PKCS #1
// ("RSA PUBLIC KEY") or X.509 certificates ("CERTIFICATE"). Only the key of a
// certificate is used: its dates, names and chain are not checked, as the config
// itself says that the key is trusted. A private key is refused, so that it does
// not stay where no secret is needed.
func ParsePEM(text []byte) ([]*Public, error) {
	var keys []*Public
	rest := text
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		material, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := NewPublic(material, Options{})
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	// pem.Decode skips what it can't read, as if it were a comment. A key that
	// was meant to be trusted must not be ignored silently.
	if countBegins(text) > len(keys) {
		return nil, errors.New("a PEM block is damaged: it is cut off, indented, or its BEGIN and END lines differ; paste it again as a whole")
	}
	if len(keys) == 0 {
		return nil, notPEMError(text)
	}
	return keys, nil
}

// notPEMError says how to convert other formats of public keys.
func notPEMError(text []byte) error {
	start := bytes.TrimSpace(text)
	for prefix, convert := range map[string]string{
		"ssh-rsa ":                        sshConvert,
		"ecdsa-sha2-":                     sshConvert,
		"---- BEGIN SSH2 PUBLIC KEY ----": "ssh-keygen -i -f key.pub > openssh.pub, then ssh-keygen -e -m PKCS8 -f openssh.pub > public.pem",
		"ssh-ed25519 ":                    "(echo MCowBQYDK2VwAyEA | base64 -d; cut -d' ' -f2 key.pub | base64 -d | tail -c 32) | openssl pkey -pubin -inform DER -out public.pem",
	} {
		if bytes.HasPrefix(start, []byte(prefix)) {
			return fmt.Errorf("it is an SSH public key; convert it to PEM: %s", convert)
		}
	}
	if _, err := x509.ParsePKIXPublicKey(text); err == nil {
		return errors.New(derKey)
	}
	if _, err := x509.ParsePKCS1PublicKey(text); err == nil {
		return errors.New(derKey)
	}
	if _, err := x509.ParseCertificate(text); err == nil {
		return errors.New("it is a certificate in DER; convert it to PEM: openssl x509 -inform DER -in cert.der -out cert.pem")
	}
	return errors.New(`there is no PEM block in it; a public key starts with "-----BEGIN PUBLIC KEY-----"`)
}

const (
	sshConvert = "ssh-keygen -e -m PKCS8 -f key.pub > public.pem"
	derKey     = "it is DER; convert it to PEM: openssl pkey -pubin -inform DER -in public.der -out public.pem"
)

// supportedKeys lists the supported keys if der is a complete key, which crypto/x509
// then refused for its kind or curve. Otherwise it returns "".
func supportedKeys(der []byte) string {
	var whole struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &whole); err != nil {
		return ""
	}
	return "; the keys that can verify tokens are RSA, EC on P-256, P-384 or P-521, and Ed25519"
}

// countBegins counts the lines that begin a PEM block, indented ones included.
func countBegins(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("-----BEGIN ")) {
			n++
		}
	}
	return n
}

func parseBlock(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the PEM block PUBLIC KEY does not hold a PKIX public key: %w%s", err, supportedKeys(block.Bytes))
		}
		return k, nil
	case "RSA PUBLIC KEY":
		k, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the PEM block RSA PUBLIC KEY does not hold a PKCS #1 public key: %w", err)
		}
		return k, nil
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the PEM block CERTIFICATE does not hold an X.509 certificate: %w", err)
		}
		return c.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY":
		return nil, fmt.Errorf("it holds a private key (%s); only the public key belongs here: openssl pkey -in private.pem -pubout -out public.pem", block.Type)
	default:
		return nil, fmt.Errorf("the PEM block %s is not a public key; PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE are", quote(block.Type))
	}
}
