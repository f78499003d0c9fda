package revocation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestPublicIDsTellRulesApart(t *testing.T) {
	t.Parallel()
	rules := []Rule{
		{Kind: KindJTI, Value: "a"},
		{Kind: KindSub, Value: "a"},
		{Kind: KindJTI, Value: "a", Issuer: "i"},
		{Kind: KindKey, Value: "a"},
		{Kind: KindKey, Value: "a", Store: "i"},
		{Kind: KindJTI, Value: "ai"},
		{Kind: KindJTI, Value: "i", Issuer: "a"},
		{Kind: KindJTI, Value: "a", ID: 1},
	}
	seen := map[string]bool{}
	for _, r := range rules {
		id := r.PublicID()
		if seen[id] {
			t.Errorf("%s twice", id)
		}
		seen[id] = true
		if kind, number, err := ParseID(id); err != nil || kind != r.Kind || number != r.ID {
			t.Errorf("%s: %s, %d, %v", id, kind, number, err)
		}
	}
	// They are in logs and scripts, and so must not change.
	r := Rule{Kind: KindSub, Value: "alice", Issuer: "https://issuer.example", ID: 0xbeef}
	if id := r.PublicID(); id != "sub-1e3ef407632ec7370000beef" {
		t.Error(id)
	}
	first, second := made(t, rules[0]), made(t, rules[0])
	if first.PublicID() == second.PublicID() {
		t.Error("two rules for the same thing have one id")
	}
}

func TestOnlyPublicIDsAreTaken(t *testing.T) {
	t.Parallel()
	const good = "jti-0123456789abcdef01234567"
	if _, _, err := ParseID(good); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{
		"", "jti", "jti-", good[:len(good)-1], good + "0", strings.ToUpper(good), "JTI" + good[3:], " " + good, good + "\n",
		strings.Replace(good, "-", "_", 1), strings.Replace(good, "-", "--", 1), "jwt" + good[3:], strings.Replace(good, "a", "g", 1), "jti-+123456789abcdef01234567",
	} {
		_, _, err := ParseID(id)
		var invalid *InvalidError
		if !errors.As(err, &invalid) || invalid.Member != "id" {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func FuzzID(f *testing.F) {
	f.Add("jti-0123456789abcdef01234567")
	f.Add("token-")
	f.Fuzz(func(t *testing.T, id string) {
		kind, number, err := ParseID(id)
		if err != nil {
			return
		}
		r := Rule{Kind: kind, ID: number, Value: "a"}
		public := r.PublicID()
		if len(public) != len(id) || public[:strings.IndexByte(public, '-')] != id[:strings.IndexByte(id, '-')] || public[len(public)-8:] != id[len(id)-8:] {
			t.Errorf("%q is taken, and is like %q", id, public)
		}
	})
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// Anyone who holds a revoked token must not be able to make another of it.
func TestATokenWithAnotherSignatureIsTheSame(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := encoded(`{"alg":"ES256","typ":"JWT"}`) + "." + encoded(`{"sub":"alice"}`)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	flipped := new(big.Int).Sub(private.Params().N, s)
	if !ecdsa.Verify(&private.PublicKey, digest[:], r, flipped) {
		t.Fatal("the flipped signature is not valid, and so tests nothing")
	}
	bytes := make([]byte, 64)
	r.FillBytes(bytes[:32])
	s.FillBytes(bytes[32:])
	signature := base64.RawURLEncoding.EncodeToString(bytes)
	flipped.FillBytes(bytes[32:])
	want := TokenValue(signed + "." + signature)
	for name, other := range map[string]string{
		"flipped":                  base64.RawURLEncoding.EncodeToString(bytes),
		"padded":                   signature + "==",
		"of the other alphabet":    strings.NewReplacer("-", "+", "_", "/").Replace(signature),
		"with other bits left":     signature[:85] + string(signature[85]+1),
		"with a line break":        signature[:10] + "\n" + signature[10:],
		"empty":                    "",
		"that is no base64 at all": "%%%",
	} {
		if got := TokenValue(signed + "." + other); got != want {
			t.Errorf("%s: the token is another", name)
		}
	}
	if TokenValue(encoded(`{"alg":"ES256"}`)+"."+encoded(`{"sub":"bob"}`)+"."+signature) == want {
		t.Error("another token is the same")
	}
	if !isDigest(want) {
		t.Errorf("%s is not what New takes", want)
	}
}

func TestWhatIsNoJWTIsIdentifiedByAllOfIt(t *testing.T) {
	t.Parallel()
	header, payload := encoded(`{"alg":"none"}`), encoded(`{}`)
	for _, token := range []string{
		"", "opaque", "ory_at_abc.def", "v4.public.secret", "v4.local.secret", header + "." + payload, header + "." + payload + ".c.d.e",
		"a.b.c", encoded(`"text"`) + ".b.c", encoded(`{"alg"`) + ".b.c", ".." + "c", "eyJ=.b.c",
	} {
		if got := SignedPart(token); got != token {
			t.Errorf("%q: %q", token, got)
		}
	}
	for _, header := range []string{header, encoded(" {\"alg\":\"ES256\"}\n")} {
		if got := SignedPart(header + "." + payload + ".c"); got != header+"."+payload {
			t.Errorf("%q: %q", header, got)
		}
	}
}
