package keystore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// A key that is not fit is skipped and the good one beside it used, silently
// where it is merely for something else.
func TestThreat16_BadKeysAreSkippedAndGoodOnesUsed(t *testing.T) {
	t.Parallel()
	r, e := rsaJWK(rsaKeys()[0], "x"), ecJWK(ecKeys()[1], "x")
	d := b64(bytes.Repeat([]byte{7}, 32))
	for name, c := range map[string]struct {
		bad     any
		problem string // a part of it; empty for silence
	}{
		"RSA of 1024 bits":                   {rsaJWK(smallRSA(), "x"), "1024 bits"},
		"RSA of 24 bits":                     {r.with(object{"n": "2Ahj"}), "24 bits"},
		"RSA with exponent 1":                {r.with(object{"e": "AQ"}), `"e" is out of range`},
		"RSA with an exponent beyond int64":  {r.with(object{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}), "E in marshal"},
		"RSA with an even exponent":          {r.with(object{"e": "BA"}), "exponent"},
		"RSA without n":                      {object{"kty": "RSA", "kid": "x", "e": "AQAB"}, `"n"`},
		"RSA with n as a number":             {r.with(object{"n": 5}), `"n"`},
		"bad base64":                         {r.with(object{"n": "!!!"}), "base64url"},
		"standard base64":                    {r.with(object{"n": "++//" + strings.Repeat("A", 400)}), "base64url"},
		"EC off its curve":                   {e.with(object{"x": d}), "not on the specified curve"},
		"EC at infinity":                     {e.with(object{"x": "AA", "y": "AA"}), "not on the specified curve"},
		"EC with coordinates of 1 KiB":       {e.with(object{"x": b64(bytes.Repeat([]byte{9}, 1024))}), "not on the specified curve"},
		"EC without y":                       {object{"kty": "EC", "crv": "P-256", "x": d}, `"y"`},
		"EC without crv":                     {object{"kty": "EC", "x": d, "y": d}, `"crv"`},
		"Ed25519 of 31 bytes":                {edJWK("x").with(object{"x": b64(make([]byte, 31))}), "32 bytes"},
		"no kty":                             {object{"kid": "x"}, `"kty"`},
		"kty as a number":                    {object{"kty": 7}, `"kty"`},
		"kid as a number":                    {r.with(object{"kid": 7}), `"kid"`},
		"kid null":                           {r.with(object{"kid": nil}), `"kid"`},
		"use as an array":                    {r.with(object{"use": []string{"sig"}}), `"use"`},
		"alg as a number":                    {r.with(object{"alg": 256}), `"alg"`},
		"key_ops as text":                    {r.with(object{"key_ops": "verify"}), `"key_ops"`},
		"key_ops with a number":              {r.with(object{"key_ops": []any{"verify", 1}}), `"key_ops"`},
		"alg of another type":                {r.with(object{"alg": "ES256"}), "another type"},
		"alg of another curve":               {e.with(object{"alg": "ES384"}), "another type"},
		"HS256 on a public key":              {r.with(object{"alg": "HS256"}), "another type"},
		"a secret":                           {octJWK("x"), "secret"},
		"a secret without kid":               {plainly(octJWK("")), "secret"},
		"a private RSA key":                  {r.with(object{"d": d}), "private part"},
		"RSA with a prime":                   {r.with(object{"p": d}), "private part"},
		"RSA with other primes":              {r.with(object{"oth": []any{}}), "private part"},
		"a private EC key":                   {e.with(object{"d": d}), "private part"},
		"a private Ed25519 key":              {edJWK("x").with(object{"d": d}), "private part"},
		"a private member of a wrong type":   {e.with(object{"d": nil}), "private part"},
		"a private key for encryption":       {e.with(object{"d": d, "use": "enc"}), "private part"},
		"a private key of an unknown curve":  {e.with(object{"d": d, "crv": "secp256k1"}), "private part"},
		"a public key with a secret":         {e.with(object{"k": d}), "private part"},
		"text in place of a key":             {"key", "not an object"},
		"null in place of a key":             {nil, "not an object"},
		"use enc":                            {r.with(object{"use": "enc"}), ""},
		"use unknown":                        {r.with(object{"use": "verify"}), ""},
		"use empty":                          {r.with(object{"use": ""}), ""},
		"key_ops without verify":             {r.with(object{"key_ops": []string{"encrypt", "wrapKey"}}), ""},
		"key_ops empty":                      {r.with(object{"key_ops": []string{}}), ""},
		"alg for encryption":                 {r.with(object{"alg": "RSA-OAEP"}), ""},
		"alg unknown":                        {r.with(object{"alg": "XX1"}), ""},
		"alg none":                           {r.with(object{"alg": "none"}), ""},
		"alg in another case":                {r.with(object{"alg": "rs256"}), ""},
		"kty unknown":                        {object{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}, ""},
		"kty in another case":                {r.with(object{"kty": "rsa"}), ""},
		"crv secp256k1":                      {e.with(object{"crv": "secp256k1"}), ""},
		"crv X25519":                         {edJWK("x").with(object{"crv": "X25519"}), ""},
		"crv Ed448":                          {edJWK("x").with(object{"crv": "Ed448", "x": b64(make([]byte, 57))}), ""},
		"an Edwards curve under EC":          {e.with(object{"crv": "Ed25519"}), ""},
		"an encryption key with broken data": {r.with(object{"use": "enc", "n": "!"}), ""},
	} {
		for _, place := range []string{"before", "after"} {
			good := ecJWK(ecKeys()[0], "good")
			document := jwks(c.bad, good)
			if place == "after" {
				document = jwks(good, c.bad)
			}
			s, err := ParseJWKS(document, JWKSOptions{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := ids(s.Keys()); got != "good/P-256 " {
				t.Errorf("%s: the set is %q", name, got)
			}
			switch problems := fmt.Sprint(s.Problems()); {
			case c.problem == "" && len(s.Problems()) > 0:
				t.Errorf("%s: not silent: %s", name, problems)
			case c.problem != "" && (len(s.Problems()) != 1 || !strings.Contains(problems, c.problem)):
				t.Errorf("%s: problems %s, want %q", name, problems, c.problem)
			case strings.Contains(problems, d) || strings.Contains(problems, "\n") || len(problems) > 400:
				t.Errorf("%s: unfit for a log: %s", name, problems)
			}
		}
		if _, err := ParseJWKS(jwks(c.bad), JWKSOptions{}); err == nil {
			t.Errorf("%s: a set of it alone is accepted", name)
		}
	}
}

func TestDifferentKeysUnderOneKidAreUsed(t *testing.T) {
	t.Parallel()
	s, err := ParseJWKS(jwks(rsaJWK(rsaKeys()[0], "x"), rsaJWK(rsaKeys()[1], "x"), ecJWK(ecKeys()[0], "good")), JWKSOptions{})
	if err != nil || ids(s.Keys()) != "x/RSA x/RSA good/P-256 " || len(s.Problems()) != 0 {
		t.Errorf("got %v, %v", s, err)
	}
	// What does not fit is dropped first.
	s, err = ParseJWKS(jwks(rsaJWK(smallRSA(), "x"), rsaJWK(rsaKeys()[1], "x").with(object{"use": "enc"}), rsaJWK(rsaKeys()[0], "x")), JWKSOptions{})
	if err != nil || ids(s.Keys()) != "x/RSA " {
		t.Errorf("got %v, %v", s, err)
	}
}

// TestThumbprintsSurviveStorage checks that a stored set is the same as the fetched one.
func TestThumbprintsSurviveStorage(t *testing.T) {
	t.Parallel()
	s := must(ParseJWKS(jwks(ecJWK(ecKeys()[0], "").with(object{"x5t": "a-thumbprint", "x5t#S256": "another"}), ecJWK(ecKeys()[1], "").with(object{"x5t": 7})), JWKSOptions{}))
	back := must(ParseJWKS(must(json.Marshal(s)), JWKSOptions{}))
	x5t, x5tS256 := back.Keys()[0].Thumbprints()
	if x5t != "a-thumbprint" || x5tS256 != "another" || back.fingerprint != s.fingerprint || len(s.Keys()) != 2 {
		t.Errorf("%q %q, %v", x5t, x5tS256, back.fingerprint == s.fingerprint)
	}
	other := must(ParseJWKS(jwks(ecJWK(ecKeys()[0], ""), ecJWK(ecKeys()[1], "")), JWKSOptions{}))
	if other.fingerprint == s.fingerprint {
		t.Error("a set with other thumbprints is the same")
	}
}

// TestIssuersOfKeysSurviveStorage: whose a key is, as Entra's key sets say, is read, and a
// stored set says it too. A key that two issuers have is two keys.
func TestIssuersOfKeysSurviveStorage(t *testing.T) {
	t.Parallel()
	one, many := "https://login.example/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", "https://login.example/{tenantid}/v2.0"
	var list []any
	for _, issuer := range []any{many, one, nil, 7, []string{many}, ""} {
		list = append(list, ecJWK(ecKeys()[0], "k").with(object{"issuer": issuer}))
	}
	s := must(ParseJWKS(jwks(append(list, ecJWK(ecKeys()[0], "k"))...), JWKSOptions{}))
	back := must(ParseJWKS(must(json.Marshal(s)), JWKSOptions{}))
	for _, set := range []*Set{s, back} {
		var got []string
		for _, k := range set.Keys() {
			got = append(got, k.Issuer())
		}
		if want := []string{many, one, noIssuer, ""}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if back.fingerprint != s.fingerprint || len(s.Problems()) != 0 {
		t.Errorf("the stored set differs, or has problems: %v", s.Problems())
	}
}

// TestWhatIsNoKeySetIsNamed checks that an operator reads what came instead, or why no
// key is used.
func TestWhatIsNoKeySetIsNamed(t *testing.T) {
	t.Parallel()
	ec := ecJWK(ecKeys()[0], "a")
	for document, want := range map[string]string{
		``: "is empty", "  \n": "is empty",
		`<!doctype html><title>Sign in</title>`: "is a page (HTML or XML)",
		"-----BEGIN PUBLIC KEY-----\n":          "is PEM and not JSON; write public_key",
		"\x1f\x8b\x08\x00":                      "is compressed (gzip), but its Content-Encoding does not say so",
		`[]`:                                    "is an array and not an object",
		`{"keys":[],"keys":[]}`:                 "two members of one name",
		"{\"a\":\"\xfc\"}":                      "not UTF-8",
		string(jwks(ec.with(object{"crv": "secp256k1", "alg": "ES256K"}))): `kid "a": its alg "ES256K" is not supported`,
		string(jwks(ec.with(object{"crv": "secp256k1"}))):                  `its curve "secp256k1" is not supported`,
		string(jwks(ec.with(object{"use": "jwt-svid"}))):                   `its use "jwt-svid" and not sig`,
		string(jwks(ec.with(object{"key_ops": []string{"sign"}}))):         "its key_ops have no verify",
		string(jwks(object{"kty": "AKP"})):                                 `key 1, which has no kid: its kty "AKP" is not supported`,
	} {
		_, err := ParseJWKS([]byte(document), JWKSOptions{})
		want = strings.Replace(want, `its use "jwt-svid"`, `its use is "jwt-svid"`, 1)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", document, err, want)
		}
	}
	long := strings.Repeat("x", 5000)
	if _, err := ParseJWKS(jwks(ec.with(object{"use": long, "kid": long})), JWKSOptions{}); err == nil || len(err.Error()) > 400 {
		t.Errorf("a long use is not cut: %v", err)
	}
}

func TestMaxKeys(t *testing.T) {
	t.Parallel()
	many := make([]any, 150)
	for i := range many {
		many[i] = ecJWK(ecKeys()[0], fmt.Sprint(i))
	}
	if _, err := ParseJWKS(jwks(many...), JWKSOptions{}); err == nil || !strings.Contains(err.Error(), "150 keys; the limit is 100, which max_keys changes") {
		t.Error(err)
	}
	if s, err := ParseJWKS(jwks(many...), JWKSOptions{MaxKeys: 150}); err != nil || len(s.Keys()) != 150 {
		t.Error(err)
	}
	if _, err := ParseJWKS(jwks(many[:3]...), JWKSOptions{MaxKeys: 2}); err == nil {
		t.Error("three keys for a limit of two")
	}
}

func TestParseJWKSTakesGoodKeys(t *testing.T) {
	t.Parallel()
	r := rsaJWK(rsaKeys()[0], "x")
	for name, c := range map[string]struct {
		jwk object
		alg key.Algorithm
		id  string
	}{
		"RSA":                      {r, 0, "x"},
		"RSA with alg":             {r.with(object{"alg": "PS512"}), key.PS512, "x"},
		"use sig":                  {r.with(object{"use": "sig"}), 0, "x"},
		"key_ops with verify":      {r.with(object{"key_ops": []string{"sign", "verify"}}), 0, "x"},
		"kid empty is none":        {r.with(object{"kid": ""}), 0, ""},
		"no kid":                   {plainly(r), 0, ""},
		"a bad x5c":                {r.with(object{"x5c": []any{"!", 7}}), 0, "x"},
		"x5c of a wrong type":      {r.with(object{"x5c": "!", "x5t": 7, "x5t#S256": nil}), 0, "x"},
		"x5u to http":              {r.with(object{"x5u": "http://169.254.169.254/"}), 0, "x"},
		"unknown members":          {r.with(object{"N": "x", "nbf": 1e300, "ext": true}), 0, "x"},
		"trailing padding":         {r.with(object{"e": "AQAB"}), 0, "x"},
		"EdDSA":                    {edJWK("x").with(object{"alg": "EdDSA"}), key.EdDSA, "x"},
		"EdDSA named by RFC 9864":  {edJWK("x").with(object{"alg": "Ed25519", "use": "sig"}), key.EdDSA, "x"},
		"EC":                       {ecJWK(ecKeys()[0], "x").with(object{"alg": "ES256"}), key.ES256, "x"},
		"kid with odd characters":  {r.with(object{"kid": "../../etc/passwd' OR 1=1 --\u0001"}), 0, "../../etc/passwd' OR 1=1 --\u0001"},
		"kid of eight KiB":         {r.with(object{"kid": strings.Repeat("k", 8192)}), 0, strings.Repeat("k", 8192)},
		"members in another case":  {r.with(object{"D": "AA", "USE": "enc"}), 0, "x"},
		"a modulus led by zeros":   {r.with(object{"n": b64(append([]byte{0, 0}, rsaKeys()[0].N.Bytes()...))}), 0, "x"},
		"an exponent led by zeros": {r.with(object{"e": "AAEAAQ"}), 0, "x"},
	} {
		s, err := ParseJWKS(jwks(c.jwk), JWKSOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if k := s.Keys()[0]; len(s.Keys()) != 1 || k.Algorithm() != c.alg || k.ID() != c.id || len(s.Problems()) > 0 {
			t.Errorf("%s: got alg %q kid %q problems %v", name, k.Algorithm(), k.ID(), s.Problems())
		}
	}
}

func TestParseJWKSRefusesWhatIsNoKeySet(t *testing.T) {
	t.Parallel()
	good := string(must(json.Marshal(ecJWK(ecKeys()[0], "a"))))
	many := make([]any, maxKeys+1)
	for i := range many {
		many[i] = ecJWK(ecKeys()[0], fmt.Sprint(i))
	}
	for name, document := range map[string]string{
		"empty":                   ``,
		"HTML":                    `<html><body>Sign in</body></html>`,
		"an empty object":         `{}`,
		"null":                    `null`,
		"an array":                `[]`,
		"an array of keys":        `[` + good + `]`,
		"one bare key":            good,
		"no keys":                 `{"keys":[]}`,
		"keys null":               `{"keys":null}`,
		"keys an object":          `{"keys":{"a":` + good + `}}`,
		"keys in another case":    `{"Keys":[` + good + `]}`,
		"trailing data":           `{"keys":[` + good + `]} x`,
		"two documents":           `{"keys":[` + good + `]}{"keys":[]}`,
		"keys twice":              `{"keys":[` + good + `],"keys":[]}`,
		"a member twice":          `{"keys":[{"kty":"EC","kty":"RSA"},` + good + `]}`,
		"bad UTF-8":               "{\"keys\":[" + good + "],\"a\":\"\xff\"}",
		"too deep":                `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,"keys":[` + good + `]}`,
		"more than a hundred":     string(jwks(many...)),
		"more than a mebibyte":    `{"keys":[` + good + `]` + strings.Repeat(" ", maxDocumentBytes) + `}`,
		"half of it":              string(jwks(ecJWK(ecKeys()[0], "a")))[:60],
		"only secrets":            string(jwks(octJWK("a"))),
		"only for encryption":     string(jwks(ecJWK(ecKeys()[0], "a").with(object{"use": "enc"}))),
		"comments":                `{"keys":[` + good + `]/* */}`,
		"single quotes":           `{'keys':[]}`,
		"a set inside a set":      `{"jwks":{"keys":[` + good + `]}}`,
		"metadata in its place":   `{"issuer":"https://idp.example","jwks_uri":"https://idp.example/jwks"}`,
		"an error in JSON":        `{"error":"rate limited"}`,
		"a kid with half a pair":  `{"keys":[{"kid":"\ud800"},` + good + `]}`,
		"a NUL behind the object": `{"keys":[` + good + "]}\x00",
	} {
		if s, err := ParseJWKS([]byte(document), JWKSOptions{}); err == nil {
			t.Errorf("%s: accepted as %s", name, ids(s.Keys()))
		}
	}
	if _, err := ParseJWKS(jwks(many[:maxKeys]...), JWKSOptions{}); err != nil {
		t.Errorf("a hundred keys: %v", err)
	}
	if _, err := ParseJWKS([]byte("\ufeff{\"keys\":["+good+"]}"), JWKSOptions{}); err != nil {
		t.Errorf("a byte order mark: %v", err)
	}
	for _, text := range []string{"\xff\xfe{\x00}\x00", "\xfe\xff\x00{\x00}"} {
		if _, err := ParseJWKS([]byte(text), JWKSOptions{}); err == nil || !strings.Contains(err.Error(), "is UTF-16 and not UTF-8") {
			t.Errorf("UTF-16: %v", err)
		}
	}
}

func TestParseJWKSOfALocalFile(t *testing.T) {
	t.Parallel()
	e := ecJWK(ecKeys()[0], "e")
	hs, both := key.NewAlgorithms(key.HS256), key.NewAlgorithms(key.HS256, key.ES256)
	for name, c := range map[string]struct {
		document []byte
		allowed  key.Algorithms
		want     string
		err      string
	}{
		"public keys":               {jwks(e, rsaJWK(rsaKeys()[0], "r")), 0, "e/P-256 r/RSA ", ""},
		"a secret":                  {jwks(octJWK("s")), hs, "s/secret ", ""},
		"a broken key beside":       {jwks(e, object{"kty": "EC"}), 0, "e/P-256 ", ""},
		"a secret, no algorithm":    {jwks(octJWK("s")), 0, "", "algorithms HS256"},
		"a secret, public ones":     {jwks(octJWK("s")), key.NewAlgorithms(key.RS256), "", "algorithms HS256"},
		"secrets and public keys":   {jwks(octJWK("s"), e), both, "", "two files"},
		"a private key":             {jwks(e, e.with(object{"kid": "p", "d": "AA"})), 0, "", `kid "p": it is a private key`},
		"a short secret":            {jwks(octJWK("s").with(object{"k": "AAEC"})), hs, "", "at least the 32"},
		"a secret too short for it": {jwks(octJWK("s")), key.NewAlgorithms(key.HS512), "", "at least the 64"},
		"a published secret":        {jwks(octJWK("s").with(object{"k": b64([]byte("0123456789abcdef0123456789abcdef"))})), hs, "", "published sample"},
		"a secret that is no text":  {jwks(octJWK("s").with(object{"k": 7})), hs, "", `"k"`},
		"a secret, bad base64":      {jwks(octJWK("s").with(object{"k": "!" + strings.Repeat("A", 50)})), hs, "", "base64url"},
	} {
		s, err := ParseJWKS(c.document, JWKSOptions{Local: true, Algorithms: c.allowed})
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.err == "" && ids(s.Keys()) != c.want:
			t.Errorf("%s: got %q", name, ids(s.Keys()))
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
	}
}

func TestSetDoesNotKeepTheDocumentAlive(t *testing.T) {
	t.Parallel()
	document := ec("abcdef")
	s, err := ParseJWKS(document, JWKSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clear(document)
	if got := ids(s.find("abcdef")); got != "abcdef/P-256 " {
		t.Errorf("the kid shares the document's memory: %q", got)
	}
}

// FuzzParseJWKS: no document makes the parser panic, and what it accepts holds
// only keys that are fit.
func FuzzParseJWKS(f *testing.F) {
	f.Add(ec("a", "b", "a"), false)
	f.Add(jwks(rsaJWK(rsaKeys()[0], "a"), edJWK("b"), octJWK("c")), false)
	f.Add(jwks(octJWK("c")), true)
	f.Add(jwks(ecJWK(ecKeys()[0], "a").with(object{"use": "enc", "key_ops": []string{"verify"}, "alg": "ES256", "d": "AA"})), false)
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""},null,7]}`), true)
	f.Add(jwks(ecJWK(ecKeys()[0], "a").with(object{"issuer": "https://login.example/{tenantid}/v2.0"}), ecJWK(ecKeys()[0], "a").with(object{"issuer": 7})), false)
	f.Fuzz(func(t *testing.T, document []byte, local bool) {
		s, err := ParseJWKS(document, JWKSOptions{Local: local, Algorithms: key.NewAlgorithms(key.HS256)})
		if err != nil {
			if s != nil {
				t.Fatal("a set beside an error")
			}
			return
		}
		if len(s.Keys()) == 0 || len(s.Keys()) > maxKeys {
			t.Fatalf("%d keys", len(s.Keys()))
		}
		secrets := 0
		for _, k := range s.Keys() {
			switch k := k.(type) {
			case *key.Secret:
				secrets++
			case *key.Public:
				if _, err := key.NewPublic(k.Material(), key.Options{ID: k.ID(), Algorithm: k.Algorithm(), Issuer: k.Issuer()}); err != nil {
					t.Fatalf("an unfit key: %v", err)
				}
			}
			if !s.contains(k) {
				t.Fatal("the set does not find its own key")
			}
		}
		if secrets > 0 && (!local || secrets < len(s.Keys())) {
			t.Fatal("secrets where they must not be")
		}
		if secrets == 0 {
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParseJWKS(text, JWKSOptions{})
			if err != nil || back.fingerprint != s.fingerprint {
				t.Fatalf("written and read it differs: %v", err)
			}
		}
	})
}
