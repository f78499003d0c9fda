package tokenservice

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkToken compares a token for an API key with the bare signature that it has.
func BenchmarkToken(b *testing.B) {
	for _, alg := range []key.Algorithm{key.ES256, key.EdDSA, key.RS256} {
		signer := signers()[alg]
		b.Run(alg.String()+"/bare signature", func(b *testing.B) {
			b.ReportAllocs()
			input := bytes.Repeat([]byte("x"), 400)
			for b.Loop() {
				if _, err := signer.Sign(input); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg.String()+"/token", func(b *testing.B) {
			w := newWorld(b, func(c *Config) {
				c.Keys, c.Observe, c.Clock = signingKeys{signer: signer}, nil, clock.Real{}
				c.APIKeys[0].Keys.Clock = clock.Real{}
			})
			body := []byte(clientCredentials.Encode())
			reader := bytes.NewReader(body)
			r := httptest.NewRequest(http.MethodPost, testIssuer+"/oauth2/token", reader)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			basic(r, "partner001", partnerKey)
			r.Body = io.NopCloser(reader)
			out := &discard{header: http.Header{}}
			from := Request{Path: "/oauth2/token", Host: "auth.example.com", Secure: true, Client: address}
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				if !w.service.Serve(out, r, from) || out.status != http.StatusOK {
					b.Fatal(out.status)
				}
			}
		})
	}
}
