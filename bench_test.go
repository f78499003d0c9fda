package caddyjwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// benchTokens is how many different tokens a run goes round: enough for no
// branch predictor or cache line to know them.
const benchTokens = 256

// BenchmarkTokenNeverSeen is a token whose signature has to be verified, beside
// golang-jwt's parser with keyfunc on the same tokens and key.
func BenchmarkTokenNeverSeen(b *testing.B) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	ec := map[string]*ecdsa.PrivateKey{}
	for name, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if ec[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	secret := make([]byte, 64)
	if _, err := rand.Read(secret); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		method  jwt.SigningMethod
		private any
		public  any
	}{
		{jwt.SigningMethodRS256, rsaKey, &rsaKey.PublicKey}, {jwt.SigningMethodRS384, rsaKey, &rsaKey.PublicKey}, {jwt.SigningMethodRS512, rsaKey, &rsaKey.PublicKey},
		{jwt.SigningMethodPS256, rsaKey, &rsaKey.PublicKey}, {jwt.SigningMethodPS384, rsaKey, &rsaKey.PublicKey}, {jwt.SigningMethodPS512, rsaKey, &rsaKey.PublicKey},
		{jwt.SigningMethodES256, ec["ES256"], &ec["ES256"].PublicKey}, {jwt.SigningMethodES384, ec["ES384"], &ec["ES384"].PublicKey}, {jwt.SigningMethodES512, ec["ES512"], &ec["ES512"].PublicKey},
		{jwt.SigningMethodEdDSA, ed, ed.Public()},
		{jwt.SigningMethodHS256, secret, secret}, {jwt.SigningMethodHS384, secret, secret}, {jwt.SigningMethodHS512, secret, secret},
	} {
		alg := c.method.Alg()
		tokens := benchSign(b, c.method, c.private)
		b.Run(alg+"/caddy-jwt", func(b *testing.B) {
			v := benchValidator(b, alg, c.public)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := v.Validate(context.Background(), tokens[i%benchTokens]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
		b.Run(alg+"/golang-jwt+keyfunc", func(b *testing.B) {
			k := benchKeyfunc(b, alg, c.public)
			parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(benchIssuer), jwt.WithAudience(benchAudience),
				jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(time.Minute), jwt.WithStrictDecoding())
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := parser.Parse(tokens[i%benchTokens], k.Keyfunc); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

const (
	benchIssuer   = "https://issuer.example/"
	benchAudience = "https://api.example"
)

// benchSign makes tokens with the claims of a usual access token.
func benchSign(b *testing.B, method jwt.SigningMethod, private any) []string {
	b.Helper()
	tokens := make([]string, benchTokens)
	for i := range tokens {
		t := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": benchIssuer, "aud": []string{benchAudience}, "sub": fmt.Sprintf("auth0|%024d", i), "azp": "my-client-id-of-32-characters-xx",
			"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "scope": "openid profile email read:orders write:orders",
			"roles": []string{"admin", "editor"}, "jti": fmt.Sprintf("%032d", i),
		})
		t.Header["kid"] = "bench"
		var err error
		if tokens[i], err = t.SignedString(private); err != nil {
			b.Fatal(err)
		}
	}
	return tokens
}

func benchValidator(b *testing.B, alg string, public any) *validator.Validator {
	b.Helper()
	a, _ := key.ParseAlgorithm(alg)
	var k key.Key
	var err error
	if a.Symmetric() {
		k, err = key.NewSecret(public.([]byte), key.Options{ID: "bench"}, key.NewAlgorithms(a))
	} else {
		k, err = key.NewPublic(public, key.Options{ID: "bench", Algorithm: a})
	}
	if err != nil {
		b.Fatal(err)
	}
	v, err := validator.New([]validator.Policy{{
		Issuer: benchIssuer, Audience: []string{benchAudience}, Keys: keystore.NewStatic(keystore.NewSet([]key.Key{k})),
		Algorithms: key.NewAlgorithms(a), Symmetric: a.Symmetric(), Leeway: time.Minute,
	}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// benchKeyfunc is keyfunc over its own storage, as its users have it.
func benchKeyfunc(b *testing.B, alg string, public any) keyfunc.Keyfunc {
	b.Helper()
	jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: "bench", ALG: jwkset.ALG(alg), USE: jwkset.UseSig},
		Marshal:  jwkset.JWKMarshalOptions{Private: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	storage := jwkset.NewMemoryStorage()
	if err := storage.KeyWrite(context.Background(), jwk); err != nil {
		b.Fatal(err)
	}
	k, err := keyfunc.New(keyfunc.Options{Storage: storage})
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// BenchmarkHandler is the whole handler: an accepted token, refusals before a
// signature is looked at, and a forged signature. Each round also prepares a
// request as Caddy's server does; "nothing", a handler that only calls the
// next, is what that costs, to be taken off the others.
func BenchmarkHandler(b *testing.B) {
	s := newSite(b, "claim roles")
	s.logger = zap.NewNop()
	good := signed(b, nil)
	b.Run("nothing", func(b *testing.B) {
		benchServe(b, middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
			return next.ServeHTTP(w, r)
		}), []string{good}, http.StatusOK)
	})
	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"accepted", good, http.StatusOK},
		{"refused/empty", "", http.StatusBadRequest},
		{"refused/garbage", "garbage", http.StatusUnauthorized},
		{"refused/16KiB_of_dots", strings.Repeat(".", 16<<10), http.StatusUnauthorized},
		{"refused/expired", signed(b, map[string]any{"exp": 1000}), http.StatusUnauthorized},
		{"refused/unknown_issuer", signed(b, map[string]any{"iss": "https://other.example"}), http.StatusUnauthorized},
		{"refused/forged_signature", good[:len(good)-8] + "AAAAAAAA", http.StatusUnauthorized},
	} {
		b.Run(c.name, func(b *testing.B) { benchServe(b, s.Handler, []string{c.token}, c.status) })
	}
	b.Run("refused/unknown_kid", func(b *testing.B) { benchUnknownKID(b) })
}

// benchUnknownKID is a flood of tokens with kids that the issuer's set does not
// have, in the window in which none of them causes a fetch.
func benchUnknownKID(b *testing.B) {
	public, err := signer().PublicKey.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":%q,"y":%q}]}`, enc(public[1:33]), enc(public[33:]))
	var fetches atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		_, _ = w.Write([]byte(set))
	}))
	defer server.Close()

	h := new(Handler)
	text := "jwt {\nissuer https://issuer.example/ {\njwks_url " + server.URL + "\naudience https://api.example\n}\n}"
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		b.Fatal(err)
	}
	h.logger, h.app = zap.NewNop(), testApp(b)
	if err := h.provision(); err != nil {
		b.Fatal(err)
	}
	claims := b64JSON(b, map[string]any{"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "x", "exp": time.Now().Add(time.Hour).Unix()})
	tokens := make([]string, benchTokens)
	for i := range tokens {
		tokens[i] = b64JSON(b, map[string]string{"alg": "ES256", "kid": fmt.Sprint(i)}) + "." + claims + ".AAAA"
		// The first empty the bucket.
		if _, err := h.validator.Validate(context.Background(), tokens[i]); err == nil {
			b.Fatal("accepted")
		}
	}
	benchServe(b, h, tokens, http.StatusUnauthorized)
	if n := fetches.Load(); n > 10 {
		b.Errorf("%d fetches", n)
	}
}

func benchServe(b *testing.B, h caddyhttp.MiddlewareHandler, tokens []string, status int) {
	server := new(caddyhttp.Server)
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	template := bearer("")
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := *template
		r.Header = http.Header{"Authorization": {"Bearer " + tokens[i%len(tokens)]}, "Accept": {"*/*"}}
		clear(w.header)
		w.status = 0
		if err := h.ServeHTTP(w, caddyhttp.PrepareRequest(&r, caddy.NewReplacer(), w, server), next); err != nil {
			b.Fatal(err)
		}
		if w.status != status {
			b.Fatalf("status %d, want %d", w.status, status)
		}
		i++
	}
}

// discard is a ResponseWriter that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkIssuerChoice is a token whose issuer is one of 1 and of 1,000. The
// token is refused in the cheapest check behind the choice, so that what is
// measured is not the signature.
func BenchmarkIssuerChoice(b *testing.B) {
	public, err := key.NewPublic(signer().Public(), key.Options{})
	if err != nil {
		b.Fatal(err)
	}
	set := keystore.NewStatic(keystore.NewSet([]key.Key{public}))
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			policies := make([]validator.Policy, n)
			for i := range policies {
				policies[i] = validator.Policy{Issuer: fmt.Sprintf("https://issuer-%d.example/", i), AnyAudience: true, Keys: set}
			}
			v, err := validator.New(policies, nil)
			if err != nil {
				b.Fatal(err)
			}
			token := signed(b, map[string]any{"iss": fmt.Sprintf("https://issuer-%d.example/", n/2), "exp": 1000})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Validate(context.Background(), token); err != validator.Expired {
					b.Fatal(err)
				}
			}
		})
	}
}
