package key

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/golang-jwt/jwt/v5"
)

// plain is a secret that is recognised wherever it leaks.
const plain = "Kq7-thats-what-nobody-may-ever-see-Zx4-in-any-log-or-config-dump"

func TestThreat17_SecretsThatAreRefused(t *testing.T) {
	t.Parallel()
	hs := func(a ...Algorithm) Algorithms { return NewAlgorithms(a...) }
	for _, c := range []struct {
		name       string
		secret     string
		own        Algorithm
		algorithms Algorithms
		want       string // "" is accepted
	}{
		{"empty, as of an unset variable", "", 0, 0, "empty; make one with: openssl rand -hex 32"},
		{"empty for HS512", "", 0, hs(HS512), "openssl rand -hex 64"},
		{"one byte", "x", 0, 0, "has 1 bytes; it must have at least the 32"},
		{"a password", "hunter2-hunter2", 0, 0, "has 15 bytes"},
		{"31 bytes", plain[:31], 0, 0, "has 31 bytes; it must have at least the 32"},
		{"32 bytes", plain[:32], 0, 0, ""},
		{"32 bytes under a list of HS256", plain[:32], 0, hs(HS256), ""},
		{"31 bytes under a list of HS256", plain[:31], 0, hs(HS256), "at least the 32"},
		{"47 bytes for HS384", plain[:47], 0, hs(HS384), "has 47 bytes; it must have at least the 48"},
		{"48 bytes for HS384", plain[:48], 0, hs(HS384), ""},
		{"63 bytes for HS512", plain[:63], 0, hs(HS512), "has 63 bytes; it must have at least the 64"},
		{"64 bytes for HS512", plain[:64], 0, hs(HS512), ""},
		{"32 bytes where HS256 and HS512 are listed: the longest counts", plain[:32], 0, hs(HS256, HS512), "at least the 64"},
		{"63 bytes where all three are listed", plain[:63], 0, hs(HS256, HS384, HS512), "at least the 64"},
		{"64 bytes where all three are listed", plain[:64], 0, hs(HS256, HS384, HS512), ""},
		{"32 bytes with RS256 listed too", plain[:32], 0, hs(RS256, HS256), ""},
		{"its own alg counts: HS512", plain[:63], HS512, 0, "at least the 64"},
		{"its own alg counts: HS384", plain[:47], HS384, 0, "at least the 48"},
		{"its own alg is narrower than the list", plain[:32], HS256, hs(HS256, HS512), ""},
		{"its own alg is not in the list", plain, HS256, hs(HS384), "include no HMAC algorithm for this secret"},
		{"a list without HMAC", plain, 0, hs(RS256, ES256), "include no HMAC algorithm for this secret"},
		{"empty under a list without HMAC", "", 0, hs(EdDSA), "include no HMAC algorithm"},
		{"an alg for public keys", plain, RS256, 0, "alg RS256 is for another type of key"},
		{"one byte repeated", strings.Repeat("a", 64), 0, 0, "fewer than 8 different bytes"},
		{"zeros", strings.Repeat("\x00", 32), 0, 0, "fewer than 8 different bytes"},
		{"7 different bytes", strings.Repeat("abcdefg", 10), 0, 0, "fewer than 8 different bytes"},
		{"a word repeated", strings.Repeat("hunter", 11), 0, 0, "fewer than 8 different bytes"},
		{"a word and zeros", "hunter" + strings.Repeat("\x00", 58), 0, 0, "fewer than 8 different bytes"},
		{"8 different bytes", "ahcbgdfe" + "hbfagced" + "gdaecfbh" + "fchgadeb", 0, 0, ""},
		{"8 different bytes repeated", strings.Repeat("ahcbgdfe", 10), 0, 0, "repeats a short text"},
		{"a password repeated, cut off", (strings.Repeat("password1", 5))[:40], 0, 0, "repeats a short text"},
		{"half of it twice", plain[:32] + plain[:32], 0, 0, "repeats a short text"},
		{"the alphabet and again", "abcdefghijklmnopqrstuvwxyzabcdef", 0, 0, "counts up or down"},
		{"any bytes, NUL and 0xff among them", "\x00\xff\xfe\x01" + plain[:28], 0, 0, ""},
		{"spaces for the length", "hunter2" + strings.Repeat(" ", 57), 0, 0, "counts up or down"},
		{"zeros for the length", strings.Repeat("0", 32) + "abcdefg", 0, 0, "counts up or down"},
		{"a kilobyte", long(1 << 10), 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k, err := NewSecret([]byte(c.secret), Options{ID: "k", Algorithm: c.own}, c.algorithms)
			if c.want == "" {
				if err != nil || k.ID() != "k" || k.Algorithm() != c.own {
					t.Fatalf("%v, %v", k, err)
				}
				return
			}
			refused(t, err, c.want)
			if k != nil {
				t.Error("there is a key with the error")
			}
			if n := min(len(c.secret), 6); n > 1 && strings.Contains(err.Error(), c.secret[:n]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// long returns n bytes without a pattern.
func long(n int) string {
	b := make([]byte, n)
	for i, sum := 0, sha256.Sum256([]byte("long")); i < n; i += copy(b[i:], sum[:]) {
		sum = sha256.Sum256(append(sum[:], byte(i)))
	}
	return string(b)
}

// TestThreat17_RandomSecretsAreNotRefused checks that no rule against patterns
// refuses a secret that is made as the errors advise.
func TestThreat17_RandomSecretsAreNotRefused(t *testing.T) {
	t.Parallel()
	for n := range 2000 {
		b := make([]byte, 32)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{string(b), hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b)} {
			if _, err := NewSecret([]byte(secret), Options{}, 0); err != nil {
				t.Fatalf("random secret %d: %v", n, err)
			}
		}
	}
}

func TestThreat17_PublishedSamples(t *testing.T) {
	t.Parallel()
	published := func(t *testing.T, secret []byte) {
		t.Helper()
		_, err := NewSecret(secret, Options{}, 0)
		refused(t, err, "published sample that everybody knows")
		if err != nil && (bytes.Contains([]byte(err.Error()), secret) || len(err.Error()) > 200) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	seen := map[string]bool{}
	for _, s := range samples {
		t.Run(s, func(t *testing.T) {
			if seen[s] {
				t.Error("it is a duplicate")
			}
			seen[s] = true
			// Each of them needs the list: no other rule refuses it.
			if len(s) < 32 || countDistinct([]byte(s)) < minDistinct {
				t.Error("it is refused without the list")
			}
			for _, form := range []string{s, s + "\n", s + "\r\n", " " + s + "\t", "\n\n" + s} {
				published(t, []byte(form))
			}
			for _, form := range []string{s + ".", `"` + s + `"`, "'" + s + "'", strings.ToUpper(s[:1]) + s[1:]} {
				published(t, []byte(form))
			}
			if err := func() error { _, err := NewSecret([]byte(s+"-and-more-of-our-own"), Options{}, 0); return err }(); err != nil {
				t.Errorf("with more after it is another secret, but: %v", err)
			}
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
				if raw, err := encoding.DecodeString(s); err == nil && len(raw) >= 32 {
					published(t, raw)
				}
			}
		})
	}
	for name, secret := range map[string][]byte{
		"jwt.io":             []byte("a-string-secret-at-least-256-bits-long"),
		"FastAPI":            []byte("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"),
		"Mercure":            []byte("!ChangeThisMercureHubJWTSecretKey!"),
		"caddy-jwt, decoded": []byte("NFL5*0Bc#9U6E@tnmC&E7SUN6GwHfLmY"),
		"Nacos, decoded":     []byte("ThisIsMyCustomSecretKey012345678"),
		// The octets as RFC 7515 appendix A.1.1 prints them.
		"RFC 7515": {
			3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40, 230, 240, 84, 201, 40, 169, 15, 132, 178, 210, 80, 46, 191,
			211, 251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195, 119, 98, 61, 34, 61, 46, 33, 114, 5, 46, 79, 8, 192, 205, 154, 245, 103, 208, 128, 163,
		},
	} {
		t.Run(name, func(t *testing.T) { published(t, secret) })
	}
}

func TestASecretIsCopied(t *testing.T) {
	t.Parallel()
	own := bytes.Clone(secretBytes()[0])
	k, err := NewSecret(own, Options{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	clear(own)
	if err := k.Verify(HS256, signedText, sign(t, jwt.SigningMethodHS256, "secret", 0)); err != nil {
		t.Errorf("the key changed with the caller's bytes: %v", err)
	}
}

// leaks returns the start of the secret if text contains it, in any form in which
// fmt or an encoder could write it, or "".
func leaks(text, secret string) string {
	start := []byte(secret[:6])
	needles := []string{string(start), base64.StdEncoding.EncodeToString(start), base64.URLEncoding.EncodeToString(start), strings.ToLower(string(start))}
	for _, verb := range verbs {
		needles = append(needles, strings.Trim(fmt.Sprintf(verb, start), "[]{}()\"`"))
	}
	for _, needle := range needles {
		if len(needle) > 5 && strings.Contains(text, needle) {
			return needle
		}
	}
	return ""
}

var verbs = []string{
	"%v", "%+v", "%#v", "%s", "%+s", "%#s", "%q", "%+q", "%#q", "%x", "% x", "%#x", "%# x", "%X", "% X", "%d", "%o", "%O", "%b", "%c", "%U", "%#U",
	"%e", "%g", "%t", "%w", "%z", "%20v", "%-20s", "%.3s", "%08d",
}

type (
	exported struct {
		Pointer *Secret
		Value   Secret
		Any     any
		Key     Key
	}
	unexported struct {
		pointer *Secret
		value   Secret
		any     any
		key     Key
	}
	embedding  struct{ Secret }
	embeddingP struct{ *Secret }
)

func TestThreat38_ASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s, err := NewSecret([]byte(plain), Options{ID: "kid"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if leaks("", plain) != "" || leaks(plain, plain) == "" || leaks(fmt.Sprint([]byte(plain)), plain) == "" || leaks(fmt.Sprintf("%#v", []byte(plain)), plain) == "" {
		t.Fatal("the test would see no leak")
	}
	holders := map[string]any{
		"a pointer": s, "a value": *s, "a pointer to the pointer": &s, "as a Key": Key(s), "nil": (*Secret)(nil), "the zero value": Secret{},
		"in exported fields": exported{s, *s, s, s}, "a pointer to exported fields": &exported{s, *s, *s, s},
		"in unexported fields": unexported{s, *s, s, s}, "a pointer to unexported fields": &unexported{s, *s, *s, s},
		"embedded": embedding{*s}, "embedded as a pointer": embeddingP{s}, "a pointer to an embedding": &embedding{*s},
		"in a slice": []*Secret{s}, "in a slice of values": []Secret{*s}, "in an array": [1]Secret{*s}, "in a slice of keys": []Key{s},
		"in a map": map[string]*Secret{"a": s}, "in a map of values": map[string]Secret{"a": *s}, "as a map's key": map[*Secret]int{s: 1},
		"two levels down":     []any{map[string]any{"a": unexported{s, *s, *s, s}}},
		"wrapped in an error": fmt.Errorf("load: %w: %v", errors.New("x"), s),
	}
	check := func(t *testing.T, how, text string) {
		t.Helper()
		if found := leaks(text, plain); found != "" {
			t.Errorf("%s shows %q", how, found)
		}
	}
	for name, holder := range holders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range append(slices.Clone(verbs), "%p", "%T", "%v %v", "%[2]v", "%*d", "no verb", "%!") {
				check(t, verb, fmt.Sprintf(verb, holder))
				check(t, verb+" of an error", fmt.Errorf(verb, holder).Error())
			}
			check(t, "Sprint", fmt.Sprint(holder)+fmt.Sprintln(holder))
			if out, err := json.Marshal(holder); err == nil {
				check(t, "json", string(out))
			}
			if out, err := json.MarshalIndent(map[string]any{"a": holder}, "", " "); err == nil {
				check(t, "indented json", string(out))
			}
			if out, err := xml.Marshal(holder); err == nil {
				check(t, "xml", string(out))
			}
			var log bytes.Buffer
			for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
				slog.New(handler).Info("x", "secret", holder, slog.Group("g", "secret", holder))
			}
			check(t, "slog", log.String())
			var page bytes.Buffer
			if err := template.Must(template.New("").Parse(`{{.}} {{printf "%v %s %x" . . .}}`)).Execute(&page, holder); err == nil {
				check(t, "a template", page.String())
			}
		})
	}
	t.Run("what is printed says what it is", func(t *testing.T) {
		t.Parallel()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			for _, holder := range []any{s, *s} {
				if got := fmt.Sprintf(verb, holder); got != "key.Secret" {
					t.Errorf("%s: %q", verb, got)
				}
			}
		}
		if s.String() != "key.Secret" || s.GoString() != "key.Secret" {
			t.Errorf("%q %q", s.String(), s.GoString())
		}
	})
	t.Run("json has nothing of it, not even the kid", func(t *testing.T) {
		t.Parallel()
		for _, holder := range []any{s, *s, Key(s)} {
			out, err := json.Marshal(holder)
			if err != nil || string(out) != "{}" {
				t.Errorf("%s, %v", out, err)
			}
		}
	})
}
