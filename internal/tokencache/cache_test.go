package tokencache

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// signer is the key of the issuer.
var signer = sync.OnceValue(func() *ecdsa.PrivateKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return private
})

// signed makes a token of claims over the usual ones; a nil value removes a claim.
func signed(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := jwt.MapClaims{"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, all).SignedString(signer())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newValidator makes a validator of signer's tokens with a cache. Options change its
// policy.
func newValidator(t *testing.T, cache validator.Cache, options ...func(*validator.Policy)) *validator.Validator {
	t.Helper()
	public, err := key.NewPublic(signer().Public(), key.Options{})
	if err != nil {
		t.Fatal(err)
	}
	policy := validator.Policy{
		Issuer: "https://issuer.example/", Audience: []string{"https://api.example"},
		Keys: keystore.NewStatic(keystore.NewSet([]key.Key{public})),
	}
	for _, change := range options {
		change(&policy)
	}
	v, err := validator.New([]validator.Policy{policy}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Cached(cache)
}

// A token in use stays, whatever comes past once; and the size holds.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	cache := New(bound)
	v := newValidator(t, cache)
	steady := signed(t, map[string]any{"sub": "steady"})
	validate := func(token string) {
		t.Helper()
		if _, err := v.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		validate(steady)
	}
	for i := range 4000 {
		validate(signed(t, map[string]any{"sub": fmt.Sprint("once-", i)}))
		if i%10 == 0 {
			validate(steady)
		}
	}
	// Nobody has to clean up for it: the upkeep is put off for a few tokens alone.
	taken, largest := 0, 0
	for _, token := range cache.store.All() {
		taken += token.size()
		largest = max(largest, token.size())
	}
	if over := taken - bound; taken == 0 || over > 2*putsPerUpkeep*largest {
		t.Errorf("the tokens in the cache take %d bytes, bound %d", taken, bound)
	}
	cache.store.CleanUp()
	if size := cache.Size(); size == 0 || size > bound {
		t.Errorf("the cache takes %d bytes, bound %d", size, bound)
	}
	misses := cache.misses.Load()
	if validate(steady); cache.misses.Load() != misses {
		t.Error("the token in steady use is gone")
	}
	cache.Resize(0)
	if n := cache.Len(); n != 0 {
		t.Errorf("%d tokens are left after the cache was ended", n)
	}
}

// An entry outlives its token by minutes and no more.
func TestTokensLeaveTheCacheBehindTheirExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cache := New(DefaultSize)
	v := newValidator(t, cache, func(p *validator.Policy) { p.Leeway, p.AllowNoExpiry = time.Hour, true })
	tokens := map[string]string{}
	for name, exp := range map[string]any{
		"an hour to come": now.Add(time.Hour).Unix(), "over for a minute": now.Add(-time.Minute).Unix(), "over for 11 minutes": now.Add(-11 * time.Minute).Unix(),
		"the year 9999": 253402300799, "none": nil,
	} {
		tokens[name] = signed(t, map[string]any{"exp": exp, "sub": name})
		if _, err := v.Validate(t.Context(), tokens[name]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	there := func() string {
		var names []string
		for name, token := range tokens {
			if _, ok := cache.store.GetEntryQuietly(sha256.Sum256([]byte(token))); ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return strings.Join(names, ", ")
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "an hour to come, none, over for a minute, the year 9999"},
		{15 * time.Minute, "an hour to come, none, the year 9999"},
		{69 * time.Minute, "an hour to come, none, the year 9999"},
		{71 * time.Minute, "none, the year 9999"},
	} {
		if cache.sweep(now.Add(c.after)); there() != c.want {
			t.Errorf("after %s there are %s; want %s", c.after, there(), c.want)
		}
	}
}

var _ validator.Cache = (*Cache)(nil)

// The upkeep of the store is put off, but not for ever: not where tokens are only
// found, and not where several processors put tokens in at once.
func TestTheStoreIsKeptUp(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	cache := New(bound)
	v := newValidator(t, cache)
	tokens := make([]string, 1200)
	for i := range tokens {
		tokens[i] = signed(t, map[string]any{"sub": fmt.Sprint("user-", i)})
	}
	var wait sync.WaitGroup
	for n := range 4 {
		wait.Go(func() {
			for i := range tokens {
				if _, err := v.Validate(t.Context(), tokens[(i*7+n*300)%len(tokens)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	taken := 0
	for _, token := range cache.store.All() {
		taken += token.size()
	}
	if taken > bound+bound/4 {
		t.Errorf("the tokens in the cache take %d bytes, bound %d", taken, bound)
	}
	// Tokens that are found in the store, as more are in use than the front has
	// places for them.
	waited := false
	for n := 0; n < 40*hitsPerUpkeep || cache.storeHits.Load()%hitsPerUpkeep != 0; n++ {
		cache.recent = recentTable{}
		if _, err := v.Validate(t.Context(), tokens[len(tokens)-1-n%10]); err != nil {
			t.Fatal(err)
		}
		waited = waited || cache.upkeep.Load() != nil
	}
	if !waited || cache.upkeep.Load() != nil {
		t.Errorf("the store asked for upkeep: %v; it waits for it still: %v", waited, cache.upkeep.Load() != nil)
	}
}
