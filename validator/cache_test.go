package validator

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// memory is a minimal Cache that counts hits and puts.
type memory struct {
	mu         sync.Mutex
	tokens     map[[sha256.Size]byte]*Verified
	hits, puts int
}

func newMemory() *memory { return &memory{tokens: map[[sha256.Size]byte]*Verified{}} }

func (m *memory) Get(d [sha256.Size]byte) (*Verified, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tokens[d]
	if ok {
		m.hits++
	}
	return t, ok
}

func (m *memory) Put(d [sha256.Size]byte, t *Verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[d] = t
	m.puts++
}

// changing is a key set that a test can replace.
type changing struct {
	mu  sync.Mutex
	set KeySet
	// changes counts the replacements.
	changes uint64
}

func (c *changing) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.Keys(ctx, kid)
}

func (c *changing) become(set KeySet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = set
	c.changes++
}

// Version returns 0 if the keys are unavailable, like a source in an outage.
func (c *changing) Version(kid string, now time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set.Version(kid, now) == 0 {
		return 0
	}
	return c.changes + 1
}

// unavailable is a key set whose source can't be reached.
type unavailable struct{}

func (unavailable) Keys(context.Context, string) ([]key.Key, error) { return nil, key.ErrUnavailable }

func (unavailable) Version(string, time.Time) uint64 { return 0 }

// another returns another RSA key with this kid.
func another(t *testing.T, id string, algorithm key.Algorithm) *key.Public {
	t.Helper()
	k, err := key.NewPublic(keys()["rsa2"].private.Public(), key.Options{ID: id, Algorithm: algorithm})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantErr(t *testing.T, v *Validator, token string, want error) {
	t.Helper()
	if _, err := v.Validate(t.Context(), token); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

func TestCachedTokenIsJudgedAnew(t *testing.T) {
	t.Parallel()
	signer := keys()["rsa"].public
	token := sign(t, jwt.SigningMethodRS256, keys()["rsa"].private, `{"alg":"RS256","kid":"rsa"}`, goodClaims)
	for name, c := range map[string]struct {
		after KeySet
		later time.Duration
		want  error
	}{
		"nothing has changed":                  {keySet{signer}, 0, nil},
		"the token has expired":                {keySet{signer}, time.Hour, reason.Expired},
		"the clock was turned back":            {keySet{signer}, -time.Hour, reason.IssuedInFuture},
		"the key is gone":                      {keySet{keys()["p256"].public}, 0, reason.UnknownKey},
		"another key has the kid":              {keySet{another(t, "rsa", 0)}, 0, reason.BadSignature},
		"the key has another alg":              {keySet{sameKeyWith(t, key.PS256)}, 0, reason.AlgorithmNotAllowed},
		"the keys can't be had":                {unavailable{}, 0, reason.KeysUnavailable},
		"the key came back under another kid":  {keySet{withID(t, "other")}, 0, reason.UnknownKey},
		"the key is one of two":                {keySet{another(t, "rsa", 0), signer}, 0, nil},
		"there are too many keys without kid":  {keySet{withID(t, ""), rsa2(t, 1), rsa2(t, 2), rsa2(t, 3), rsa2(t, 4)}, 0, reason.UnknownKey},
		"the key is there without a kid alone": {keySet{withID(t, "")}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			set := &changing{set: keySet{signer}}
			policy, at := basePolicy(), now
			policy.Keys = set
			v, err := New([]Policy{policy}, func() time.Time { return at })
			if err != nil {
				t.Fatal(err)
			}
			cache := newMemory()
			v = v.Cached(cache)
			wantErr(t, v, token, nil)
			set.become(c.after)
			at = now.Add(c.later)
			wantErr(t, v, token, c.want)
			if cache.hits != 1 {
				t.Errorf("%d hits, want 1", cache.hits)
			}
			// And as it was.
			set.become(keySet{signer})
			at = now
			wantErr(t, v, token, nil)
		})
	}
}

// moreKeys are RSA keys that no issuer uses.
var moreKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	var list []*rsa.PrivateKey
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		list = append(list, k)
	}
	return list
})

// rsa2 returns a key without kid, a different one for each n.
func rsa2(t *testing.T, n int) key.Key {
	t.Helper()
	if n == 1 {
		return another(t, "", 0)
	}
	k, err := key.NewPublic(moreKeys()[n-2].Public(), key.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sameKeyWith(t *testing.T, a key.Algorithm) *key.Public {
	t.Helper()
	k, err := key.NewPublic(keys()["rsa"].private.Public(), key.Options{ID: "rsa", Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func withID(t *testing.T, id string) *key.Public {
	t.Helper()
	k, err := key.NewPublic(keys()["rsa"].private.Public(), key.Options{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A token that one site has put into the cache is checked against the policy of the other.
func TestCachedTokenAtAnotherSite(t *testing.T) {
	t.Parallel()
	token := sign(t, jwt.SigningMethodPS256, keys()["rsa"].private, `{"alg":"PS256","kid":"rsa","typ":"at+jwt"}`, goodClaims)
	ps, err := key.ParseAlgorithms([]string{"RS256", "PS256"})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := key.ParseAlgorithms([]string{"RS256"})
	if err != nil {
		t.Fatal(err)
	}
	generous := func() Policy {
		p := basePolicy()
		p.Keys, p.Algorithms = keySet{keys()["rsa"].public}, ps
		return p
	}
	cache := newMemory()
	wantErr(t, newValidator(t, generous()).Cached(cache), token, nil)
	for name, c := range map[string]struct {
		change func(*Policy)
		want   error
	}{
		"the same":               {func(*Policy) {}, nil},
		"another audience":       {func(p *Policy) { p.Audience = []string{"https://other.example"} }, reason.WrongAudience},
		"another issuer":         {func(p *Policy) { p.Issuer = "https://other.example/" }, reason.UnknownIssuer},
		"another typ":            {func(p *Policy) { p.Types = []string{"JWT"} }, reason.WrongType},
		"other algorithms":       {func(p *Policy) { p.Algorithms = rs }, reason.AlgorithmNotAllowed},
		"the default algorithms": {func(p *Policy) { p.Algorithms = key.NewAlgorithms() }, reason.AlgorithmNotAllowed},
		"other keys":             {func(p *Policy) { p.Keys = keySet{keys()["rsa2"].public} }, reason.UnknownKey},
		"a shorter lifetime":     {func(p *Policy) { p.MaxLifetime = time.Minute }, reason.LifetimeTooLong},
		"another user claim":     {func(p *Policy) { p.UserClaims = []string{"email"} }, reason.MissingClaim},
	} {
		t.Run(name, func(t *testing.T) {
			p := generous()
			c.change(&p)
			before := cache.hits
			wantErr(t, newValidator(t, p).Cached(cache), token, c.want)
			if cache.hits != before+1 {
				t.Error("it was not in the cache")
			}
		})
	}
}

// A token without a valid signature is not cached.
func TestCacheHoldsOnlySignedTokens(t *testing.T) {
	t.Parallel()
	cache := newMemory()
	v := newValidator(t, basePolicy()).Cached(cache)
	good := es256(t, goodHeader, goodClaims)
	for _, bad := range []string{
		"", "x", "a.b.c", good[:len(good)-8] + "AAAAAAAA", strings.Repeat("a", MaxLength+1),
		b64(`{"alg":"none"}`) + "." + b64(goodClaims) + ".AAAA", es256(t, `{"alg":"ES256","kid":"nobody"}`, goodClaims),
		es256(t, goodHeader, strings.Replace(goodClaims, "1800000600", "1000", 1)),
	} {
		if _, err := v.Validate(t.Context(), bad); err == nil {
			t.Error("accepted")
		}
	}
	if cache.puts != 0 {
		t.Errorf("%d tokens are cached; want none", cache.puts)
	}
	for range 3 {
		wantErr(t, v, good, nil)
	}
	if cache.puts != 1 || cache.hits != 2 {
		t.Errorf("%d puts and %d hits; want 1 and 2", cache.puts, cache.hits)
	}
	for _, entry := range cache.tokens {
		if entry.Size() < len(good) || entry.Size() > 15*len(good) {
			t.Errorf("a token of %d bytes is said to take %d", len(good), entry.Size())
		}
	}
}

func TestCacheUnderConcurrentChange(t *testing.T) {
	t.Parallel()
	set := &changing{set: keySet{keys()["p256"].public}}
	policy := basePolicy()
	policy.Keys = set
	v := newValidator(t, policy).Cached(newMemory())
	tokens := make([]string, 8)
	for i := range tokens {
		tokens[i] = es256(t, goodHeader, strings.Replace(goodClaims, "alice", fmt.Sprint("user-", i), 1))
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if token, err := v.Validate(context.Background(), tokens[i%len(tokens)]); err != nil && !errors.Is(err, reason.UnknownKey) {
					t.Errorf("%v", err)
				} else if err == nil && token.User() != fmt.Sprint("user-", i%len(tokens)) {
					t.Errorf("the user is %s", token.User())
				}
			}
		})
	}
	for range 200 {
		set.become(keySet{keys()["rsa"].public})
		// From here on all tokens must be refused.
		wantErr(t, v, tokens[0], reason.UnknownKey)
		set.become(keySet{keys()["p256"].public})
		wantErr(t, v, tokens[0], nil)
	}
	close(done)
	wait.Wait()
}

// The counted size of a token is that of its text and claims, so its issuer must share
// their memory, even if it is written with escapes, as PHP does with slashes.
func TestTheIssuerOfATokenTakesNoMemory(t *testing.T) {
	t.Parallel()
	for what, claims := range map[string]string{
		"as it is": goodClaims, "with escapes": strings.Replace(goodClaims, "https://", `https:\/\/`, 1),
	} {
		cache := newMemory()
		v := newValidator(t, basePolicy()).Cached(cache)
		check(t, v, es256(t, goodHeader, claims), "")
		for _, token := range cache.tokens {
			of, _ := token.body.Member("iss")
			text, _ := of.Text()
			if token.issuer != testIssuer || text != testIssuer || unsafe.StringData(text) != unsafe.StringData(token.issuer) {
				t.Errorf("%s: %q is kept beside %q", what, token.issuer, text)
			}
		}
		if len(cache.tokens) != 1 {
			t.Errorf("%s: %d tokens are in the cache", what, len(cache.tokens))
		}
	}
}
