package keystore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
)

func sign(method jwt.SigningMethod, material any, kid any) string {
	t := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice"})
	if kid != nil {
		t.Header["kid"] = kid
	}
	return must(t.SignedString(material))
}

func TestKeyfuncShowsOnlyKeysThatFit(t *testing.T) {
	t.Parallel()
	r0, r1, e0 := rsaKeys()[0], rsaKeys()[1], ecKeys()[0]
	set := must(ParseJWKS(jwks(
		rsaJWK(r0, "both"), ecJWK(e0, "both"),
		rsaJWK(r1, "ps").with(object{"alg": "PS256"}),
		rsaJWK(r1, "enc").with(object{"use": "enc"}),
		edJWK("ed"),
		plainly(ecJWK(ecKeys()[1], "")), plainly(rsaJWK(r1, "")),
	), JWKSOptions{}))
	all := key.NewAlgorithms(key.RS256, key.PS256, key.ES256, key.EdDSA)
	for name, c := range map[string]struct {
		allowed key.Algorithms
		token   string
		good    bool
	}{
		"RSA of two under a kid":                {0, sign(jwt.SigningMethodRS256, r0, "both"), true},
		"EC of two under a kid":                 {0, sign(jwt.SigningMethodES256, e0, "both"), true},
		"the key's own alg":                     {0, sign(jwt.SigningMethodPS256, r1, "ps"), true},
		"Ed25519":                               {0, sign(jwt.SigningMethodEdDSA, edKey(), "ed"), true},
		"another kid: those without":            {0, sign(jwt.SigningMethodRS256, r1, "zz"), true},
		"without kid":                           {0, sign(jwt.SigningMethodRS256, r0, nil), true},
		"without kid, EC":                       {0, sign(jwt.SigningMethodES256, ecKeys()[1], nil), true},
		"an empty kid":                          {0, sign(jwt.SigningMethodRS256, r0, ""), true},
		"not the usual alg":                     {0, sign(jwt.SigningMethodPS256, r0, "both"), false},
		"not the key's alg":                     {0, sign(jwt.SigningMethodRS256, r1, "ps"), false},
		"not the usual alg without kid":         {0, sign(jwt.SigningMethodPS512, r0, nil), false},
		"an encryption key":                     {0, sign(jwt.SigningMethodPS256, r1, "enc"), false},
		"an algorithm named":                    {all, sign(jwt.SigningMethodPS256, r0, "both"), true},
		"an algorithm not named":                {key.NewAlgorithms(key.ES256), sign(jwt.SigningMethodRS256, r0, "both"), false},
		"one not named without kid":             {key.NewAlgorithms(key.ES256), sign(jwt.SigningMethodRS256, r0, nil), false},
		"HMAC with a public key":                {0, sign(jwt.SigningMethodHS256, []byte(b64(r0.N.Bytes())), "both"), false},
		"HMAC without kid":                      {key.NewAlgorithms(key.HS256), sign(jwt.SigningMethodHS256, []byte(b64(r0.N.Bytes())), nil), false},
		"none":                                  {0, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), false},
		"a forged signature":                    {0, sign(jwt.SigningMethodRS256, r1, "both"), false},
		"a kid that is a number":                {0, sign(jwt.SigningMethodRS256, r0, 7), false},
		"an alg that the key is too narrow for": {all, sign(jwt.SigningMethodRS256, r1, "ps"), false},
	} {
		k, err := Keyfunc(NewStatic(set), c.allowed)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from what was made before
			if _, err := jwt.Parse(c.token, k.Keyfunc); (err == nil) != c.good {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestStorageIsReadOnlyAndShowsNoSecret(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	secrets := must(ParseJWKS(jwks(octJWK("s")), JWKSOptions{Local: true, Algorithms: key.NewAlgorithms(key.HS256)}))
	s := NewStorage(NewStatic(secrets), key.NewAlgorithms(key.HS256))
	if all, err := s.KeyReadAll(ctx); err != nil || len(all) != 0 {
		t.Errorf("secrets shown: %v %v", all, err)
	}
	if _, err := s.KeyRead(ctx, "s"); !errors.Is(err, jwkset.ErrKeyNotFound) {
		t.Errorf("a secret shown: %v", err)
	}
	for name, write := range map[string]func() (any, error){
		"JSON":        func() (any, error) { return s.JSON(ctx) },
		"JSONPublic":  func() (any, error) { return s.JSONPublic(ctx) },
		"JSONPrivate": func() (any, error) { return s.JSONPrivate(ctx) },
		"JSONWithOptions": func() (any, error) {
			return s.JSONWithOptions(ctx, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		},
	} {
		v, err := write()
		if err != nil || strings.Contains(fmt.Sprintf("%s", v), "oct") {
			t.Errorf("%s: %s %v", name, v, err)
		}
	}
	if _, err := s.KeyDelete(ctx, "s"); err == nil {
		t.Error("KeyDelete")
	}
	if err := s.KeyWrite(ctx, jwkset.JWK{}); err == nil {
		t.Error("KeyWrite")
	}
	if err := s.KeyReplaceAll(ctx, nil); err == nil {
		t.Error("KeyReplaceAll")
	}
}

func TestStorageReads(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	set := must(ParseJWKS(jwks(rsaJWK(rsaKeys()[0], "r"), edJWK("e"), plainly(ecJWK(ecKeys()[0], "")), plainly(ecJWK(ecKeys()[1], ""))), JWKSOptions{}))
	k := must(Keyfunc(NewStatic(set), key.NewAlgorithms(key.RS256, key.ES256)))
	s := k.Storage()
	if jwk, err := s.KeyRead(ctx, "r"); err != nil || jwk.Marshal().ALG != jwkset.AlgRS256 || jwk.Marshal().KID != "r" {
		t.Errorf("got %+v %v", jwk.Marshal(), err)
	}
	if _, err := s.KeyRead(ctx, "e"); !errors.Is(err, jwkset.ErrKeyNotFound) || !errors.Is(err, key.ErrUnknown) {
		t.Errorf("a key that does not fit: %v", err)
	}
	if _, err := s.KeyRead(ctx, "zz"); !errors.Is(err, ErrSeveral) {
		t.Errorf("two without kid: %v", err)
	}
	if all, err := s.KeyReadAll(ctx); err != nil || len(all) != 3 {
		t.Errorf("got %d keys, %v", len(all), err)
	}
	if all, err := k.VerificationKeySet(ctx); err != nil || len(all.Keys) != 3 {
		t.Errorf("got %d keys, %v", len(all.Keys), err)
	}
	if m, err := s.MarshalWithOptions(ctx, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{}); err != nil || len(m.Keys) != 3 {
		t.Errorf("got %+v, %v", m, err)
	}
	text, err := s.JSON(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseJWKS(text, JWKSOptions{}); err != nil || len(back.Keys()) != 3 {
		t.Errorf("read back: %v", err)
	}
	down := remote(t, &host{answer: resets}, nil)
	if _, err := NewStorage(down, 0).KeyRead(ctx, "r"); !errors.Is(err, key.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
