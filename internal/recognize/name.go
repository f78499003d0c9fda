package recognize

import (
	"regexp"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// form is what a text is, besides a token.
type form int

const (
	formOther form = iota
	formPublicPEM
	formCertificate
	formCSR
	formPrivatePEM
	formEncryptedPEM
	formOpenSSHPrivate
	formSSHPublic
	formPuTTY
	formPGP
	formBrokenPEM
	formJWK
	formPrivateJWK
	formSecretJWK
	formKeySet
	formMetadata
	formJSON
	formURL
	formHTML
	formHash
)

// names are what the forms are called.
var names = map[form]string{
	formPublicPEM:      "a public key in PEM",
	formCertificate:    "a certificate",
	formCSR:            "a certificate request",
	formPrivatePEM:     "a private key",
	formEncryptedPEM:   "an encrypted private key",
	formOpenSSHPrivate: "a private key in OpenSSH's own format",
	formSSHPublic:      "an SSH public key",
	formPuTTY:          "a private key of PuTTY",
	formPGP:            "an OpenPGP text",
	formBrokenPEM:      "PEM that is damaged",
	formJWK:            "a JWK, a public key in JSON",
	formPrivateJWK:     "a private key, a JWK",
	formSecretJWK:      "an HMAC secret, a JWK",
	formKeySet:         "a key set",
	formMetadata:       "the metadata of an issuer",
	formJSON:           "JSON",
	formURL:            "an address",
	formHTML:           "a web page",
	formHash:           "the hash of an API key",
}

// pemForms are the forms of PEM blocks by their names.
var pemForms = map[string]form{
	"PUBLIC KEY": formPublicPEM, "RSA PUBLIC KEY": formPublicPEM,
	"CERTIFICATE": formCertificate, "TRUSTED CERTIFICATE": formCertificate, "X509 CERTIFICATE": formCertificate,
	"CERTIFICATE REQUEST": formCSR, "NEW CERTIFICATE REQUEST": formCSR,
	"PRIVATE KEY": formPrivatePEM, "RSA PRIVATE KEY": formPrivatePEM, "EC PRIVATE KEY": formPrivatePEM,
	"ENCRYPTED PRIVATE KEY": formEncryptedPEM, "OPENSSH PRIVATE KEY": formOpenSSHPrivate,
}

var pemBegin = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----`)

// formOf returns what a text is. It decides by how the text looks; anyone who reads it finds
// out whether it is valid.
func formOf(text string) form {
	switch {
	case strings.HasPrefix(text, "{"):
		return jsonForm(text)
	case strings.HasPrefix(text, "["):
		return formJSON
	case strings.HasPrefix(text, "sha256:"):
		return formHash
	case strings.HasPrefix(text, "<"):
		return formHTML
	case hasPrefix(text, "https://", "http://"):
		return formURL
	case hasPrefix(text, "ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2"):
		return formSSHPublic
	case strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return formPuTTY
	case strings.Contains(text, "-----BEGIN PGP "):
		return formPGP
	}
	if !strings.Contains(text, "-----BEGIN ") {
		return formOther
	}
	// The most secret of several blocks counts: openssl writes parameters before a key,
	// and a file for a web server has certificate and key.
	found := formBrokenPEM
	for _, block := range pemBegin.FindAllStringSubmatch(text, -1) {
		f, known := pemForms[block[1]]
		switch {
		case !known:
		case f == formPrivatePEM && strings.Contains(text, "Proc-Type: 4,ENCRYPTED"):
			return formEncryptedPEM // RFC 1421, as old openssl writes it
		case f == formPrivatePEM, f == formEncryptedPEM, f == formOpenSSHPrivate:
			return f
		case found == formBrokenPEM:
			found = f
		}
	}
	return found
}

func hasPrefix(text string, prefixes ...string) bool {
	for _, p := range prefixes {
		if len(text) >= len(p) && strings.EqualFold(text[:len(p)], p) {
			return true
		}
	}
	return false
}

// jsonForm returns what JSON is.
func jsonForm(text string) form {
	object, err := claims.ParseLarge([]byte(text), MaxSize)
	if err != nil {
		return formJSON
	}
	has := func(name string) bool { _, ok := object.Member(name); return ok }
	kty, _ := object.Member("kty")
	switch name, _ := kty.Text(); {
	case has("keys"):
		return formKeySet
	case name == "oct":
		return formSecretJWK
	case name != "" && has("d"):
		return formPrivateJWK
	case name != "":
		return formJWK
	case has("jwks_uri") || has("token_endpoint"):
		return formMetadata
	}
	return formJSON
}
