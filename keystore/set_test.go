package keystore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/key"
)

func TestSetFindsKeysByKid(t *testing.T) { // not parallel, for AllocsPerRun
	a := public(t, &rsaKeys()[0].PublicKey, key.Options{ID: "a"})
	alsoA := public(t, &ecKeys()[0].PublicKey, key.Options{ID: "a"})
	b := public(t, &rsaKeys()[1].PublicKey, key.Options{ID: "b"})
	none := public(t, &ecKeys()[1].PublicKey, key.Options{})
	third := public(t, edKey().Public(), key.Options{ID: "a"})
	s := NewSet([]key.Key{a, alsoA, b, none, third})

	for name, c := range map[string]struct {
		kid  string
		want []key.Key
	}{
		"keys of three families may share a kid":   {"a", []key.Key{a, alsoA, third}},
		"one kid, one key":                         {"b", []key.Key{b}},
		"an unknown kid finds those without any":   {"c", []key.Key{none}},
		"no kid finds all":                         {"", []key.Key{a, alsoA, b, none, third}},
		"kids are compared byte for byte":          {"A", []key.Key{none}},
		"a kid is not trimmed":                     {"a ", []key.Key{none}},
		"a kid is not a prefix of another":         {"b\x00", []key.Key{none}},
		"a very long kid is just an unknown other": {strings.Repeat("a", 8192), []key.Key{none}},
	} {
		if got := s.find(c.kid); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %s", name, ids(got))
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.find("a"); s.find("zz"); s.contains(b) }); n != 0 {
		t.Errorf("Find and Contains allocate %v times", n)
	}
	if got := append(s.find("a"), b); &got[0] == &s.find("a")[0] {
		t.Error("an append of a caller's would write into the set")
	}
}

func TestSetDropsDuplicates(t *testing.T) {
	t.Parallel()
	one, two := &rsaKeys()[0].PublicKey, &rsaKeys()[1].PublicKey
	for name, c := range map[string]struct {
		keys     []key.Key
		want     string
		problems int
	}{
		"identical keys are one": {
			[]key.Key{public(t, one, key.Options{ID: "a"}), public(t, one, key.Options{ID: "a"})}, "a/RSA ", 0,
		},
		"the same key under two kids is two": {
			[]key.Key{public(t, one, key.Options{ID: "a"}), public(t, one, key.Options{ID: "b"})}, "a/RSA b/RSA ", 0,
		},
		"the same key for two algorithms is two": {
			[]key.Key{public(t, one, key.Options{ID: "a", Algorithm: key.RS256}), public(t, one, key.Options{ID: "a", Algorithm: key.PS256})}, "a/RSA a/RSA ", 0,
		},
		"different keys under one kid stay": {
			[]key.Key{public(t, one, key.Options{ID: "a"}), public(t, two, key.Options{ID: "a"}), public(t, one, key.Options{ID: "a"}), public(t, &ecKeys()[0].PublicKey, key.Options{ID: "a"})}, "a/RSA a/RSA a/P-256 ", 0,
		},
		"different keys without kid stay": {
			[]key.Key{public(t, one, key.Options{}), public(t, two, key.Options{})}, "/RSA /RSA ", 0,
		},
	} {
		s := NewSet(c.keys)
		if got := ids(s.Keys()); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if len(s.Problems()) != c.problems {
			t.Errorf("%s: problems %v", name, s.Problems())
		}
	}
}

func TestSetFingerprintTellsSetsApart(t *testing.T) {
	t.Parallel()
	one, two := &rsaKeys()[0].PublicKey, &rsaKeys()[1].PublicKey
	a, b := public(t, one, key.Options{ID: "a"}), public(t, two, key.Options{ID: "b"})
	base := NewSet([]key.Key{a, b})
	if NewSet([]key.Key{b, a, b}).fingerprint != base.fingerprint {
		t.Error("order and repetition must not matter")
	}
	for name, other := range map[string][]key.Key{
		"a key less":    {a},
		"another kid":   {a, public(t, two, key.Options{ID: "c"})},
		"another alg":   {a, public(t, two, key.Options{ID: "b", Algorithm: key.RS256})},
		"swapped kids":  {public(t, two, key.Options{ID: "a"}), public(t, one, key.Options{ID: "b"})},
		"a kid no more": {a, public(t, two, key.Options{})},
		"an issuer":     {a, public(t, two, key.Options{ID: "b", Issuer: "https://idp.example"})},
	} {
		if NewSet(other).fingerprint == base.fingerprint {
			t.Errorf("%s: not told apart", name)
		}
	}
	for name, c := range map[string]struct {
		k    key.Key
		want bool
	}{
		"a key of the set":              {a, true},
		"an equal key made again":       {public(t, one, key.Options{ID: "a"}), true},
		"the same key by another kid":   {public(t, one, key.Options{ID: "b"}), false},
		"the same key for one alg only": {public(t, one, key.Options{ID: "a", Algorithm: key.RS256}), false},
		"the same key without kid":      {public(t, one, key.Options{}), false},
		"the same key for one issuer":   {public(t, one, key.Options{ID: "a", Issuer: "https://idp.example"}), false},
	} {
		if got := base.contains(c.k); got != c.want {
			t.Errorf("Contains, %s: %v", name, got)
		}
	}
}

func TestSetSurvivesBeingWrittenAndRead(t *testing.T) {
	t.Parallel()
	s := NewSet([]key.Key{
		public(t, &rsaKeys()[0].PublicKey, key.Options{ID: "r", Algorithm: key.PS384}),
		public(t, &rsaKeys()[1].PublicKey, key.Options{}),
		public(t, &ecKeys()[0].PublicKey, key.Options{ID: "e"}),
		public(t, edKey().Public(), key.Options{ID: "ö\"\n"}),
		public(t, edKey().Public(), key.Options{ID: "d", Algorithm: key.EdDSA}),
	})
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseJWKS(text, JWKSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if back.fingerprint != s.fingerprint {
		t.Errorf("got %s from %s", ids(back.Keys()), text)
	}
	secret, err := ParseJWKS(jwks(octJWK("s")), JWKSOptions{Local: true, Algorithms: key.NewAlgorithms(key.HS256)})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(secret); err == nil {
		t.Errorf("a secret was written: %s", text)
	}
}

func TestStaticSetsHaveVersionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	keys := []key.Key{public(t, &ecKeys()[0].PublicKey, key.Options{ID: "a"})}
	a, b := NewStatic(NewSet(keys)), NewStatic(NewSet(keys))
	if a.Version("", noon) == 0 || a.Version("", noon) == b.Version("", noon) {
		t.Errorf("versions %d and %d", a.Version("", noon), b.Version("", noon))
	}
}

func TestStaticGivesKeysOrUnknown(t *testing.T) {
	t.Parallel()
	s := NewStatic(NewSet([]key.Key{public(t, &ecKeys()[0].PublicKey, key.Options{ID: "a"})}))
	if keys, err := s.Keys(context.Background(), "a"); err != nil || len(keys) != 1 {
		t.Errorf("got %v, %v", keys, err)
	}
	if keys, err := s.Keys(context.Background(), "b"); !errors.Is(err, key.ErrUnknown) || keys != nil {
		t.Errorf("got %v, %v", keys, err)
	}
	if _, err := NewStatic(NewSet(nil)).Keys(context.Background(), ""); !errors.Is(err, key.ErrUnknown) {
		t.Errorf("an empty set: %v", err)
	}
}
