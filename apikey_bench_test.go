package caddyjwt

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// BenchmarkAPIKey is the whole handler with an API key that it knows and with one
// that it does not: among 10 keys and among 1,000,000, whose times should differ by a cache line or two.
func BenchmarkAPIKey(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		s := served(makeSite(b, "api_key first sha256:"+fmt.Sprintf("%064x", 1)))
		var known []string
		s.apiKeys.Written, known = benchKeys(b, n)
		unknown := make([]string, len(known))
		for i := range unknown {
			unknown[i], _ = apikey.New("bench")
		}
		b.Run(fmt.Sprintf("%d/known", n), func(b *testing.B) { benchServeKeys(b, s.Handler, known, http.StatusOK) })
		b.Run(fmt.Sprintf("%d/unknown", n), func(b *testing.B) { benchServeKeys(b, s.Handler, unknown, http.StatusUnauthorized) })
	}
}

// benchKeys makes a set of n keys and returns the texts of some that lie all over
// it. The others have a random digest, which is what keys have.
func benchKeys(b *testing.B, n int) (*apikey.Set, []string) {
	b.Helper()
	records := make([]apikey.Record, n)
	var known []string
	every := max(1, n/benchTokens)
	for i := range records {
		r := apikey.Record{ID: fmt.Sprintf("key-%07d", i), Consumer: fmt.Sprintf("Consumer %d", i), Scopes: []string{"orders:read", "orders:write"}}
		if i%every == 0 {
			text, _ := apikey.New("bench")
			known, r.Hash = append(known, text), apikey.DigestOf(text)
		} else if _, err := rand.Read(r.Hash[:]); err != nil {
			b.Fatal(err)
		}
		records[i] = r
	}
	set, err := apikey.NewSet(records)
	if err != nil {
		b.Fatal(err)
	}
	return set, known
}

func benchServeKeys(b *testing.B, h caddyhttp.MiddlewareHandler, keys []string, status int) {
	i := -1
	benchServeEach(b, h, func() http.Header {
		i++
		// Copied, as a server has just read the text and has it at hand.
		return http.Header{"X-Api-Key": {strings.Clone(keys[i%len(keys)])}, "Accept": {"*/*"}}
	}, status)
}
