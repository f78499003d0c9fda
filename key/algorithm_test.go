package key

import (
	"slices"
	"strings"
	"testing"
)

func TestAlgorithmsAreReadByTheirRegisteredNames(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		got, ok := ParseAlgorithm(e.name)
		if !ok || got != e.alg {
			t.Errorf("%s is read as %v, %t", e.name, got, ok)
		}
		if e.alg.String() != e.name {
			t.Errorf("%s is written %q", e.name, e.alg)
		}
		if want := e.family == "secret"; e.alg.Symmetric() != want {
			t.Errorf("%s is symmetric: %t, want %t", e.name, !want, want)
		}
	}
	t.Run("Ed25519 is another name of EdDSA, which is the one written", func(t *testing.T) {
		got, ok := ParseAlgorithm("Ed25519")
		if !ok || got != EdDSA || got.String() != "EdDSA" {
			t.Errorf("%v, %t", got, ok)
		}
	})
}

func TestThreat01_UnknownAlgorithms(t *testing.T) {
	t.Parallel()
	for name, spellings := range map[string][]string{
		"none":                      {"none", "None", "NONE", "nOnE", "nonE"},
		"none in disguise":          {" none", "none ", "none\x00", "none\n", "\uff4e\uff4f\uff4e\uff45", "n\u043ene", "\"none\"", "no\u200bne"},
		"nothing":                   {"", " ", "\x00"},
		"another case":              {"rs256", "Rs256", "hs256", "eddsa", "EDDSA", "ED25519", "ed25519", "es256"},
		"a space or more besides":   {" RS256", "RS256 ", "RS256\n", "RS256\x00", "RS256,ES256", "RS-256", "RS256RS256"},
		"registered, but not these": {"ES256K", "Ed448", "ESP256", "RSA1_5", "RSA-OAEP", "dir", "A128GCM", "ML-DSA-44", "RS1", "HS1"},
		"a hash, a curve or a type": {"SHA256", "sha-256", "P-256", "secp256k1", "RSA", "EC", "OKP", "oct"},
		"a number":                  {"0", "1", "256", "13"},
		"the start of a name":       {"RS", "RS25", "Ed", "EdDS", "HS"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range spellings {
				if a, ok := ParseAlgorithm(s); ok || a != 0 {
					t.Errorf("%q is read as %v, %t", s, a, ok)
				}
				if set, err := ParseAlgorithms([]string{"RS256", s}); err == nil || !set.Empty() {
					t.Errorf("%q in a list gives %v, %v", s, set.Names(), err)
				}
			}
		})
	}
	t.Run("none can not be written either", func(t *testing.T) {
		for a := range 256 {
			if strings.EqualFold(Algorithm(a).String(), "none") {
				t.Errorf("algorithm %d is called %s", a, Algorithm(a))
			}
		}
	})
}

func TestAnInvalidAlgorithmDoesNothing(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{0, EdDSA + 1, 15, 16, 64, 255} {
		if a.String() != "" || a.Symmetric() {
			t.Errorf("%d: %q, symmetric %t", a, a, a.Symmetric())
		}
		if names := NewAlgorithms(a).Names(); len(names) != 0 {
			t.Errorf("%d: names %q", a, names)
		}
		for _, f := range families {
			k := newKey(t, f.name, 0, Options{})
			// A set with it is not empty, as the empty set means the default.
			for _, set := range []Algorithms{0, NewAlgorithms(a), NewAlgorithms(a, RS256), ^Algorithms(0)} {
				if k.Fits(a, set) {
					t.Errorf("%d fits a key of family %s", a, f.name)
				}
			}
			if err := k.Verify(a, signedText, nil); err != ErrAlgorithm {
				t.Errorf("%d with a key of family %s: %v", a, f.name, err)
			}
		}
	}
}

func TestListsOfAlgorithms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		list              []string
		want              []string
		symmetric, public bool
	}{
		{"nil is the empty set", nil, []string{}, false, false},
		{"no name is the empty set", []string{}, []string{}, false, false},
		{"one public", []string{"ES384"}, []string{"ES384"}, false, true},
		{"one symmetric", []string{"HS512"}, []string{"HS512"}, true, false},
		{"one of each", []string{"HS256", "RS256"}, []string{"RS256", "HS256"}, true, true},
		{"a duplicate name counts once", []string{"RS256", "RS256"}, []string{"RS256"}, false, true},
		{"both names of EdDSA count once", []string{"Ed25519", "EdDSA"}, []string{"EdDSA"}, false, true},
		{"Ed25519 alone", []string{"Ed25519"}, []string{"EdDSA"}, false, true},
		{"in another order", []string{"EdDSA", "HS384", "PS512", "RS384"}, []string{"RS384", "PS512", "HS384", "EdDSA"}, true, true},
		{
			"all",
			[]string{"EdDSA", "HS512", "HS384", "HS256", "ES512", "ES384", "ES256", "PS512", "PS384", "PS256", "RS512", "RS384", "RS256"},
			[]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA"},
			true, true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseAlgorithms(c.list)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Names(), c.want) {
				t.Errorf("names %q, want %q", s.Names(), c.want)
			}
			if s.HasSymmetric() != c.symmetric || s.HasPublic() != c.public || s.Empty() != (len(c.want) == 0) {
				t.Errorf("symmetric %t, public %t, empty %t", s.HasSymmetric(), s.HasPublic(), s.Empty())
			}
			var same Algorithms
			for _, e := range every {
				if has := slices.Contains(c.want, e.name); s.Has(e.alg) != has {
					t.Errorf("has %s: %t", e.name, !has)
				} else if has {
					same |= NewAlgorithms(e.alg)
				}
			}
			if same != s {
				t.Errorf("NewAlgorithms makes %q of it", same.Names())
			}
		})
	}
	t.Run("zero is in no list", func(t *testing.T) {
		if (^Algorithms(0)).Has(0) {
			t.Error("it is")
		}
	})
}

func TestErrorsOfListsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		list []string
		want []string
	}{
		{"none", []string{"none"}, []string{"is not supported", "RS256 or ES256"}},
		{"none in another case after a good one", []string{"RS256", "NoNe"}, []string{"is not supported"}},
		{"a typo", []string{"RS265"}, []string{`"RS265"`, "supported are RS256, RS384, RS512, PS256", "HS512 and EdDSA (also written Ed25519)"}},
		{"the wrong case", []string{"rs256"}, []string{`"rs256"`, "supported are RS256"}},
		{"nothing", []string{""}, []string{`""`}},
		{"a long one is cut", []string{strings.Repeat("x", 10_000)}, []string{`"` + strings.Repeat("x", 40) + `…"`}},
		{"control characters are escaped", []string{"\x1b[31mRS256\r\n"}, []string{`"\x1b[31mRS256\r\n"`}},
		{"invalid UTF-8 is escaped", []string{"\xff\xfe"}, []string{`"\xff\xfe"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseAlgorithms(c.list)
			for _, want := range c.want {
				refused(t, err, want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}
