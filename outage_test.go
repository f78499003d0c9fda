package caddyjwt

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// provider is an http.RoundTripper for an identity provider that can be down.
type provider struct {
	set  []byte
	down atomic.Bool
}

func (p *provider) RoundTrip(*http.Request) (*http.Response, error) {
	if p.down.Load() {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(p.set)), ContentLength: -1}, nil
}

// TestThreat35_AnOutageIsNoticedOnlyAfterADay simulates an outage of the provider with a
// fake clock.
func TestThreat35_AnOutageIsNoticedOnlyAfterADay(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	idp := &provider{set: signerSet(t, "a")}
	synctest.Test(t, func(t *testing.T) {
		remote, err := keystore.NewRemote(keystore.RemoteConfig{JWKSURL: "https://issuer.example/jwks", Transport: idp})
		if err != nil {
			t.Fatal(err)
		}
		defer remote.Close()
		h := *s.Handler
		if h.validator, err = validator.New([]validator.Policy{{
			Issuer: "https://issuer.example/", Audience: []string{"https://api.example"}, Keys: remote, Leeway: time.Minute,
		}}, time.Now); err != nil {
			t.Fatal(err)
		}
		ask := func() (int, string) {
			token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
				"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
			})
			token.Header["kid"] = "a"
			text, err := token.SignedString(signer())
			if err != nil {
				t.Fatal(err)
			}
			res := serve(t, bearer(text), nil, &h)
			if res.next != nil {
				return 200, ""
			}
			return res.Code, res.reason()
		}
		if code, reason := ask(); code != 200 {
			t.Fatalf("before: %d %s", code, reason)
		}
		fetched := remote.Status().FetchedAt
		idp.down.Store(true)
		for time.Since(fetched) < 23*time.Hour+55*time.Minute {
			time.Sleep(5 * time.Minute)
			// The last fetch before the outage may have been a refresh.
			fetched = remote.Status().FetchedAt
			if code, reason := ask(); code != 200 {
				t.Fatalf("%v into the outage: %d %s", time.Since(fetched), code, reason)
			}
		}
		time.Sleep(6 * time.Minute)
		for range 10 {
			if code, reason := ask(); code != 503 || reason != "keys_unavailable" {
				t.Fatalf("past a day: %d %s, must be 503", code, reason)
			}
			time.Sleep(time.Minute)
		}
		idp.down.Store(false)
		time.Sleep(5 * time.Second)
		if code, reason := ask(); code != 200 {
			t.Fatalf("5 s after the provider is back: %d %s", code, reason)
		}
	})
}
