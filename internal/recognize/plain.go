package recognize

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// plain returns bytes as UTF-8 text without white space around it: without a byte order
// mark, decoded from UTF-16 as PowerShell writes it, and with \n alone at the ends of lines.
// wanted is what the caller reads, for errors.
func plain(data []byte, wanted string) (string, error) {
	if len(data) > MaxSize {
		return "", &Error{"it has more than 1 MiB, and no token or key is that long", "name the file with the " + wanted + " alone"}
	}
	text := string(data)
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		text = string(data[3:])
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		text = fromUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		text = fromUTF16(data[2:], binary.BigEndian)
	case len(data) >= 4 && len(data)%2 == 0 && data[0] != 0 && data[1] == 0 && data[3] == 0:
		text = fromUTF16(data, binary.LittleEndian) // without a mark
	}
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r", "\n"))
	if text == "" {
		return "", &Error{"it is empty", "is the file the right one, and the variable set?"}
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
		what, do := nameBinary(data, wanted)
		return "", &Error{what, do}
	}
	return text, nil
}

func isControl(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f }

func fromUTF16(data []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

// nameBinary says what bytes are that are no text.
func nameBinary(data []byte, wanted string) (what, do string) {
	if bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return "it is compressed with gzip", "unpack it with gunzip"
	}
	if len(data) > 2 && data[0] == 0x30 { // a SEQUENCE of ASN.1
		switch {
		case isPKCS12(data):
			return "it is a PKCS #12 file, which is encrypted", "take the key out of it: openssl pkcs12 -in FILE -nodes -nocerts -out private.pem"
		case parses(x509.ParseCertificate, data):
			return "it is a certificate in DER", "convert it to PEM: openssl x509 -inform DER -in FILE -out cert.pem"
		case parses(x509.ParsePKIXPublicKey, data), parses(x509.ParsePKCS1PublicKey, data):
			return "it is a public key in DER", "convert it to PEM: openssl pkey -pubin -inform DER -in FILE -out public.pem"
		case parses(x509.ParsePKCS8PrivateKey, data), parses(x509.ParsePKCS1PrivateKey, data), parses(x509.ParseECPrivateKey, data):
			return "it is a private key in DER", "convert it to PEM: openssl pkey -inform DER -in FILE -out private.pem"
		}
	}
	return "it is binary, not text", "name the file with the " + wanted + "; what was hashed, encrypted or decoded from base64 can't be read"
}

func parses[T any](parse func([]byte) (T, error), data []byte) bool {
	_, err := parse(data)
	return err == nil
}

// isPKCS12 reports whether data begins as a PFX does (RFC 7292 section 4): a SEQUENCE with the
// INTEGER 3.
func isPKCS12(data []byte) bool {
	at := 2
	if data[1] >= 0x80 {
		at += int(data[1] & 0x7f)
	}
	return bytes.HasPrefix(data[min(at, len(data)):], []byte{2, 1, 3, 0x30})
}
