package apikey

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
	"testing"
)

// sixDigits is a base62 number of six digits, worked out another way than the
// code does.
func sixDigits(n uint32) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := ""
	for range 6 {
		text, n = string(digits[n%62])+text, n/62
	}
	return text
}

func TestTheFormatOfAPIKeys(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"cj", "a", "acme_live", "A_b_9", strings.Repeat("x", 32)} {
		text, id := New(prefix)
		form := regexp.MustCompile(`^` + prefix + `_([0-9A-Za-z]{10})_[0-9A-Za-z]{43}([0-9A-Za-z]{6})$`)
		parts := form.FindStringSubmatch(text)
		if parts == nil {
			t.Fatalf("prefix %s: a key of %d characters is none of the form", prefix, len(text))
		}
		if parts[1] != id {
			t.Errorf("prefix %s: the id is %s, and %s in the key", prefix, id, parts[1])
		}
		if want := sixDigits(crc32.ChecksumIEEE([]byte(text[:len(text)-6]))); parts[2] != want {
			t.Errorf("prefix %s: checksum %s, want %s", prefix, parts[2], want)
		}
		if got, ok := IDOf(text); !ok || got != id {
			t.Errorf("prefix %s: IDOf gives %q, %v", prefix, got, ok)
		}
		if err := CheckText(text); err != nil {
			t.Errorf("prefix %s: %v", prefix, err)
		}
		if Weak(text) {
			t.Errorf("prefix %s: it counts as weak", prefix)
		}
		if err := CheckID(id); err != nil {
			t.Error(err)
		}
	}
}

// Known answers. CRC-32 of "123456789" is cbf43926 (the check value of its
// definition), which is 3,421,780,262 = 3·62⁵ + 45·62⁴ + 35·62³ + 19·62² + ….
func TestTheChecksumOfAPIKeys(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint32]string{0: "000000", 61: "00000z", 62: "000010", 3844: "000100", 1<<32 - 1: "4gfFC3"} {
		if got := sixDigits(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	if got, want := checksum("123456789"), sixDigits(0xcbf43926); got != want || len(got) != 6 {
		t.Errorf("%s, want %s", got, want)
	}
	if got := checksum(""); got != "000000" {
		t.Errorf("of nothing: %s", got)
	}
	// A text whose CRC-32 is ffffffff.
	if got := checksum("\xff\xff\xff\xff"); got != "4gfFC3" {
		t.Errorf("the largest: %s", got)
	}
}

func TestATypingErrorInAnAPIKeyIsNoticed(t *testing.T) {
	t.Parallel()
	text, _ := New("acme_live")
	for at := range len(text) {
		for _, c := range []byte("0aZ_- \x00") {
			if text[at] == c {
				continue
			}
			wrong := text[:at] + string(rune(c)) + text[at+1:]
			if id, ok := IDOf(wrong); ok {
				t.Errorf("%q in place %d: id %s", c, at, id)
			}
		}
		if id, ok := IDOf(text[:at] + text[at+1:]); ok {
			t.Errorf("without the character in place %d: id %s", at, id)
		}
		if at > 0 && text[at] != text[at-1] {
			swapped := text[:at-1] + text[at:at+1] + text[at-1:at] + text[at+1:]
			if id, ok := IDOf(swapped); ok {
				t.Errorf("the characters %d and %d swapped: id %s", at-1, at, id)
			}
		}
	}
	for what, other := range map[string]string{
		"nothing": "", "no prefix": text[len("acme_live"):], "no prefix and no _": text[len("acme_live_"):],
		"doubled": text + text, "a character more": text + "0", "an AWS key": "abcdefghij0123456789abcdefghij0123456789",
	} {
		if id, ok := IDOf(other); ok {
			t.Errorf("%s: id %s", what, id)
		}
	}
	// Right as a number, and still no prefix that a key can have.
	_, tail, _ := strings.Cut(text[:len(text)-6], "acme_live")
	for _, prefix := range []string{"_a", "a_", "a-b", "ä", strings.Repeat("x", 33)} {
		if id, ok := IDOf(prefix + tail + checksum(prefix+tail)); ok {
			t.Errorf("prefix %q: id %s", prefix, id)
		}
	}
}

func TestPrefixesOfAPIKeys(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"cj", "a", "0", "acme_live", "a__b", strings.Repeat("x", 32)} {
		if err := CheckPrefix(prefix); err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	for _, prefix := range []string{"", "_", "_a", "a_", "a b", "a-b", "a.b", "ä", "a\n", strings.Repeat("x", 33)} {
		if err := CheckPrefix(prefix); err == nil {
			t.Errorf("%q: no error", prefix)
		}
	}
}

func TestAPIKeysDiffer(t *testing.T) {
	t.Parallel()
	const n = 2000
	keys, ids := map[string]bool{}, map[string]bool{}
	seen := map[byte]int{}
	for range n {
		text, id := New("cj")
		keys[text], ids[id] = true, true
		// Without the first character, which is a small one as 62⁴³ is
		// more than 2²⁵⁶.
		for _, c := range []byte(text[len("cj_")+10+1+1 : len(text)-6]) {
			seen[c]++
		}
	}
	if len(keys) != n || len(ids) != n {
		t.Errorf("%d keys with %d ids, want %d", len(keys), len(ids), n)
	}
	// 84,000 characters are 1,355 of each, ±37. Ten times that is no chance.
	for _, c := range []byte(base62) {
		if k := seen[c]; k < 985 || k > 1725 {
			t.Errorf("%c comes %d times", c, k)
		}
	}
	if len(seen) != 62 {
		t.Errorf("%d different characters", len(seen))
	}
}

func TestTheTextOfAPIKeys(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("abcdefgh12", n/10) + strings.Repeat("x", n%10) }
	for _, row := range []struct {
		what, text string
		good       bool
	}{
		{"19 characters", long(19), false},
		{"20 characters", long(20), true},
		{"512 characters", long(512), true},
		{"513 characters", long(513), false},
		{"nothing", "", false},
		{"first and last of visible ASCII", "!" + long(20) + "~", true},
		{"a space", long(20) + " x", false},
		{"a space at the end", long(20) + " ", false},
		{"a tab", long(20) + "\t", false},
		{"a newline", long(20) + "\n", false},
		{"NUL", long(20) + "\x00", false},
		{"DEL", long(20) + "\x7f", false},
		{"a letter outside ASCII", long(20) + "é", false},
		{"a byte that is no UTF-8", long(20) + "\xff", false},
		{"a hash", DigestOf("x").String(), false},
		{"a hash in capitals", strings.ToUpper(DigestOf("x").String()), false},
		{"a hash that is cut off", "sha256:0123456789abcdef", false},
	} {
		err := CheckText(row.text)
		if (err == nil) != row.good {
			t.Errorf("%s: %v", row.what, err)
		}
		if err != nil && len(row.text) > 8 && strings.Contains(err.Error(), row.text[:8]) {
			t.Errorf("%s: the error shows the key: %v", row.what, err)
		}
	}
}

func TestWeakAPIKeys(t *testing.T) {
	t.Parallel()
	for text, weak := range map[string]bool{
		"":                        true,
		"aaaaaaaaaaaaaaaaaaaaaaa": true,
		"12345671234567123456712": true,  // seven
		"12345678123456781234567": false, // eight
		"AWSAWSAWSawsawsawsAWSAW": true,
	} {
		if got := Weak(text); got != weak {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	text, _ := New("cj")
	sum := sha256.Sum256([]byte(text))
	want := "sha256:" + hex.EncodeToString(sum[:])
	d := DigestOf(text)
	if d.String() != want || fmt.Sprint(d) != want {
		t.Errorf("%s, want %s", d, want)
	}
	for _, form := range []string{want, strings.ToUpper(want), "Sha256:" + want[7:]} {
		if got, err := ParseDigest(form); err != nil || got != d {
			t.Errorf("%s: %v", form, err)
		}
	}
	for what, wrong := range map[string]string{
		"nothing": "", "a key": text, "a key behind sha256:": "sha256:" + text, "64 characters of a key": "sha256:" + text[:62] + "zz",
		"without sha256:": want[7:], "another hash": "sha512:" + want[7:], "one digit less": want[:len(want)-1], "one more": want + "0",
		"a space in front": " " + want, "a newline behind": want + "\n", "0x": "sha256:0x" + want[9:],
	} {
		_, err := ParseDigest(wrong)
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		for at := 0; at+10 <= len(wrong); at++ {
			if strings.Contains(err.Error(), wrong[at:at+10]) {
				t.Errorf("%s: the error shows it: %v", what, err)
				break
			}
		}
	}
}
