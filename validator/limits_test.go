package validator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// kidless_keys is for tokens without kid; several keys under one kid are tried all the same.
func TestKidlessKeysIsNotForOneKid(t *testing.T) {
	set, private := pairs(t, 2, func(int) key.Options { return key.Options{ID: "k"} })
	last := private[1]
	p := basePolicy()
	p.Keys, p.KidlessKeys = set, 1
	v := newValidator(t, p)
	token := sign(t, jwt.SigningMethodES256, last, `{"alg":"ES256","kid":"k"}`, goodClaims)
	if _, err := v.Validate(context.Background(), token); err != nil {
		t.Errorf("kidless_keys 1, two keys under the token's kid: %#v", err)
	}
}

// A provider set up again, with a key of another type under the old kid.
func TestANewTypeUnderAnOldKidIsTold(t *testing.T) {
	old, _ := pairs(t, 1, func(int) key.Options { return key.Options{ID: "k"} })
	fresh, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &doubter{keySet: old}
	p := basePolicy()
	p.Keys = d
	v := newValidator(t, p)
	token := sign(t, jwt.SigningMethodES384, fresh, `{"alg":"ES384","kid":"k"}`, goodClaims)
	_, err = v.Validate(context.Background(), token)
	if d.told == 0 {
		t.Errorf("no fetch: %v", err)
	}
}

// TestALimitHoldsForCachedTokens checks that a token that one validator allows and caches is
// refused by another one with a smaller limit.
func TestALimitHoldsForCachedTokens(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	small := newValidator(t, basePolicy()).Cached(memory)
	large := newValidator(t, basePolicy()).Limited(20 << 10).Cached(memory)
	token := es256(t, goodHeader, strings.Replace(goodClaims, `"iat"`, `"n":[1`+strings.Repeat(`,1000`, 2099)+`],"iat"`, 1))
	for range 2 {
		if _, err := large.Validate(t.Context(), token); err != nil {
			t.Errorf("the larger limit: %v", err)
		}
		if _, err := small.Validate(t.Context(), token); !errors.Is(err, reason.MalformedToken) {
			t.Errorf("the smaller limit: %v", err)
		}
	}
}
