package caddyjwt

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// These benchmarks show how cost grows.

// BenchmarkTokenSeen is the whole handler with tokens that are in the cache, one
// forward and one require scope.
func BenchmarkTokenSeen(b *testing.B) {
	tokens := benchSign(b, jwt.SigningMethodES256, signer())
	b.Run("jwt", func(b *testing.B) {
		s := cachedSite(b, "forward user X-User\nrequire scope read:orders")
		benchServe(b, s.Handler, tokens, http.StatusOK)
	})
}

// BenchmarkForgedSignature is the whole handler with a forged signature under the
// issuer's key, beside one check of that signature by the key.
func BenchmarkForgedSignature(b *testing.B) {
	good := signed(b, nil)
	forged := good[:len(good)-8] + "AAAAAAAA"
	b.Run("jwt", func(b *testing.B) {
		benchServe(b, cachedSite(b, "").Handler, []string{forged}, http.StatusUnauthorized)
	})
	b.Run("one_check", func(b *testing.B) {
		public, err := key.NewPublic(signer().Public(), key.Options{})
		if err != nil {
			b.Fatal(err)
		}
		dot := strings.LastIndexByte(forged, '.')
		signature, err := base64.RawURLEncoding.DecodeString(forged[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if public.Verify(key.ES256, forged[:dot], signature) == nil {
				b.Fatal("accepted")
			}
		}
	})
}

// nothing is a handler that only calls the next.
func nothing() caddyhttp.MiddlewareHandler {
	return middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		return next.ServeHTTP(w, r)
	})
}

// cachedSite is a site with a cache of its own, and without a log.
func cachedSite(b *testing.B, options string) *site {
	s := served(newSite(b, options))
	s.validator = s.validator.Cached(tokencache.New(tokencache.DefaultSize))
	return s
}

// served is a handler as it stands in a server that writes no access log and has no
// other handler that authenticates.
func served(s *site) *site {
	s.logger, s.Handler.logs, s.conflict = zap.NewNop(), false, routes.NewConflict(new(caddyhttp.Server), "")
	return s
}

func BenchmarkGrowthIssuers(b *testing.B) {
	public, err := key.NewPublic(signer().Public(), key.Options{})
	if err != nil {
		b.Fatal(err)
	}
	set := keystore.NewStatic(keystore.NewSet([]key.Key{public}))
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			policies := make([]validator.Policy, n)
			for i := range policies {
				policies[i] = validator.Policy{Issuer: fmt.Sprintf("https://issuer-%d.example/", i), Audience: []string{benchAudience}, Keys: set}
			}
			v, err := validator.New(policies, nil)
			if err != nil {
				b.Fatal(err)
			}
			s := cachedSite(b, "forward user X-User")
			s.validator = v.Cached(tokencache.New(tokencache.DefaultSize))
			tokens := make([]string, benchTokens)
			for i := range tokens {
				tokens[i] = signed(b, map[string]any{"iss": fmt.Sprintf("https://issuer-%d.example/", i*n/benchTokens)})
			}
			benchServe(b, s.Handler, tokens, http.StatusOK)
		})
	}
}

func BenchmarkGrowthAPIKeys(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000, 100_000, 1_000_000} {
		s := served(makeSite(b, "api_key first sha256:"+fmt.Sprintf("%064x", 1)+"\nforward user X-User"))
		var known []string
		s.apiKeys.Written, known = benchKeys(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchServeKeys(b, s.Handler, known, http.StatusOK) })
	}
}

// manyTokens are a million different tokens.
var manyTokens = sync.OnceValue(func() []string {
	list := make([]string, 1_000_000)
	var group sync.WaitGroup
	for worker := range runtime.NumCPU() {
		group.Go(func() {
			for i := worker; i < len(list); i += runtime.NumCPU() {
				var err error
				list[i], err = jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
					"iss": benchIssuer, "aud": benchAudience, "sub": fmt.Sprintf("user-%d", i), "exp": time.Now().Add(12 * time.Hour).Unix(),
					"iat": time.Now().Unix(), "scope": "openid profile email read:orders", "jti": fmt.Sprintf("%032d", i),
				}).SignedString(signer())
				if err != nil {
					panic(err)
				}
			}
		})
	}
	group.Wait()
	return list
})

// BenchmarkGrowthTokens is tokens in use side by side, each as often as any other:
// up to what fits into the cache, and beyond.
func BenchmarkGrowthTokens(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 5000, 10_000, 20_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tokens := manyTokens()[:n]
			s := cachedSite(b, "forward user X-User")
			for i := range min(n, 60_000) {
				if _, err := s.validator.Validate(b.Context(), tokens[i]); err != nil {
					b.Fatal(err)
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			benchServeEach(b, s.Handler, func() http.Header {
				return http.Header{"Authorization": {"Bearer " + tokens[random.IntN(n)]}, "Accept": {"*/*"}}
			}, http.StatusOK)
		})
	}
}

// BenchmarkGrowthClaims is tokens with claims of so many bytes.
func BenchmarkGrowthClaims(b *testing.B) {
	for _, size := range []int{200, 500, 1000, 2000, 4000, 8000} {
		tokens := make([]string, 64)
		for i := range tokens {
			tokens[i] = tokenOfSize(b, size, i)
		}
		for name, cache := range map[string]validator.Cache{"seen": tokencache.New(tokencache.DefaultSize), "never_seen": &forgetful{Cache: tokencache.New(tokencache.DefaultSize)}} {
			b.Run(fmt.Sprintf("%d/%s", size, name), func(b *testing.B) {
				s := served(newSite(b, "forward user X-User"))
				s.validator = s.validator.Cached(cache)
				benchServe(b, s.Handler, tokens, http.StatusOK)
			})
		}
	}
}

// tokenOfSize is a token whose claims have about so many bytes: an array of roles
// fills them, as it does in life.
func tokenOfSize(b *testing.B, size, n int) string {
	b.Helper()
	all := map[string]any{"sub": fmt.Sprintf("user-%d", n)}
	length := func() int {
		text := signed(b, all)
		return len(text[strings.IndexByte(text, '.')+1:strings.LastIndexByte(text, '.')]) * 3 / 4
	}
	var roles []string
	for fill := size - length() - len(`,"roles":[]`); fill > 0; fill -= len(`"role-0000000000",`) {
		roles = append(roles, fmt.Sprintf("role-%010d", len(roles)))
	}
	if len(roles) > 0 {
		all["roles"] = roles
	}
	return signed(b, all)
}
