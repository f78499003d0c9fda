package caddyjwt

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
)

// BenchmarkForwardJWT is what a token for the upstream costs more, at a site that forwards
// the user already: for a credential that was seen in the last half minute, and for one that
// was not, whose token is signed. The other handler is the same without forward_jwt.
func BenchmarkForwardJWT(b *testing.B) {
	const plain, signing = "forward user X-User\n", "forward user X-User\nforward_jwt X-Identity https://orders.internal\n"
	text, hash := newAPIKey()
	apiKey := "api_key partner " + hash + " {\nscopes orders:read orders:write\n}\n"
	of := func(s *site) *site {
		served(s)
		if s.validator != nil {
			s.validator = s.validator.Cached(tokencache.New(tokencache.DefaultSize))
		}
		if len(s.ForwardJWT) > 0 {
			signsWith(b, s)
		}
		return s
	}
	token := signed(b, map[string]any{"scope": "orders:read orders:write", "role": "admin"})
	withToken := http.Header{"Authorization": {"Bearer " + token}}
	b.Run("token", func(b *testing.B) {
		benchServeHeader(b, of(newSite(b, signing)).Handler, of(newSite(b, plain)).Handler, withToken)
	})
	b.Run("api_key", func(b *testing.B) {
		benchServeHeader(b, of(makeSite(b, apiKey+signing)).Handler, of(makeSite(b, apiKey+plain)).Handler, http.Header{"X-Api-Key": {text}})
	})
	b.Run("token_and_api_key", func(b *testing.B) {
		both := http.Header{"Authorization": {"Bearer " + token}, "X-Api-Key": {text}}
		benchServeHeader(b, of(newSite(b, apiKey+signing)).Handler, of(newSite(b, apiKey+plain)).Handler, both)
	})
	b.Run("signed", func(b *testing.B) {
		s := of(newSite(b, signing))
		tokens := make([]string, 4096)
		for i := range tokens {
			tokens[i] = signed(b, map[string]any{"n": fmt.Sprint(i)})
		}
		i := 0
		benchServeBeside(b, s.Handler, of(newSite(b, plain)).Handler, func() http.Header {
			i++
			return http.Header{"Authorization": {"Bearer " + tokens[i/2%len(tokens)]}, "Accept": {"*/*"}}
		}, http.StatusOK)
	})
}
