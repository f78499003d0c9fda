package caddyjwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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

	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// benchTokens is how many different tokens a run goes round: enough for no
// branch predictor or cache line to know them.
const benchTokens = 256

// BenchmarkTokenNeverSeen is a token whose signature has to be verified and which
// the cache then remembers, beside golang-jwt's parser with keyfunc on the same
// tokens and key.
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
		b.Run(alg, func(b *testing.B) {
			v := benchValidator(b, alg, c.public).Cached(&forgetful{Cache: tokencache.New(tokencache.DefaultSize)})
			k := benchKeyfunc(b, alg, c.public)
			parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(benchIssuer), jwt.WithAudience(benchAudience),
				jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(time.Minute), jwt.WithStrictDecoding())
			inTurn(b, tokens, func(token string) error {
				_, err := v.Validate(context.Background(), token)
				return err
			}, func(token string) error {
				_, err := parser.Parse(token, k.Keyfunc)
				return err
			})
		})
	}
}

// inTurn lets two ways of verifying the same tokens take turns (see takeTurns).
func inTurn(b *testing.B, tokens []string, ours, theirs func(token string) error) {
	of := func(verify func(string) error) func(int) error {
		return func(i int) error { return verify(tokens[i%len(tokens)]) }
	}
	takeTurns(b, of(ours), of(theirs))
}

// takeTurns lets two ways of doing the same take turns, a few times each, so that
// whatever else the machine does meets both, and reports the median of what one took,
// of both and of their ratios. Its ns/op are of no meaning.
func takeTurns(b *testing.B, ours, theirs func(i int) error) {
	few := 8
	i := 0
	run := func(once func(int) error) float64 {
		begin := time.Now()
		for n := range few {
			if err := once(i + n); err != nil {
				b.Fatal(err)
			}
		}
		return float64(time.Since(begin).Nanoseconds()) / float64(few)
	}
	for range 2 * benchTokens / few { // caches and pools fill
		run(ours)
		run(theirs)
		i += few
	}
	// What takes long can be timed alone, and a turn should be over before something
	// else on the machine begins or ends.
	if run(ours) > 100_000 {
		few = 1
	}
	var our, their, ratio []float64
	turn := func() {
		var x, y float64
		if len(ratio)%2 == 0 {
			x, y = run(ours), run(theirs)
		} else {
			y, x = run(theirs), run(ours)
		}
		our, their, ratio = append(our, x), append(their, y), append(ratio, x/y)
		i += few
	}
	for b.Loop() {
		turn()
	}
	for len(ratio) < fewestTurns {
		turn()
	}
	allocs := func(once func(int) error) float64 {
		return testing.AllocsPerRun(200, func() {
			_ = once(i)
			i++
		})
	}
	for _, f := range []struct {
		unit  string
		value float64
	}{
		{"ours-ns", median(our)}, {"theirs-ns", median(their)}, {"ratio", median(ratio)}, {"ours-allocs", allocs(ours)}, {"theirs-allocs", allocs(theirs)},
	} {
		b.ReportMetric(f.value, f.unit)
	}
}

// fewestTurns is how many there are where a benchmark's time is over sooner.
const fewestTurns = 101

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// forgetful is a cache to which every token is new.
type forgetful struct {
	*tokencache.Cache
	n uint64
}

func (f *forgetful) fresh(d [sha256.Size]byte) [sha256.Size]byte {
	binary.LittleEndian.PutUint64(d[:], f.n)
	return d
}

func (f *forgetful) Get(d [sha256.Size]byte) (*validator.Verified, bool) {
	f.n++
	return f.Cache.Get(f.fresh(d))
}

func (f *forgetful) Put(d [sha256.Size]byte, t *validator.Verified) { f.Cache.Put(f.fresh(d), t) }

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
// signature is looked at, and a forged signature.
func BenchmarkHandler(b *testing.B) {
	s := served(newSite(b, "claim roles"))
	good := signed(b, nil)
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
	if err := h.provision(bareContext()); err != nil {
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
	benchServe(b, served(&site{Handler: h}).Handler, tokens, http.StatusUnauthorized)
	if n := fetches.Load(); n > 10 {
		b.Errorf("%d fetches", n)
	}
}

// benchServe sends requests with these tokens, one after the other.
func benchServe(b *testing.B, h caddyhttp.MiddlewareHandler, tokens []string, status int) {
	i := -1
	benchServeEach(b, h, func() http.Header {
		i++
		return http.Header{"Authorization": {"Bearer " + tokens[i%len(tokens)]}, "Accept": {"*/*"}}
	}, status)
}

// benchServeEach sends requests with headers that are made for each, beside a handler
// that only calls the next.
func benchServeEach(b *testing.B, h caddyhttp.MiddlewareHandler, header func() http.Header, status int) {
	benchServeBeside(b, h, nothing(), header, status)
}

// benchServeBeside sends requests through h and through another handler, which lets
// all pass. They take turns, so that whatever else the machine does meets both. net-ns
// is the median of what a request took more with h; ns/op is of no meaning.
func benchServeBeside(b *testing.B, h, other caddyhttp.MiddlewareHandler, header func() http.Header, status int) {
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	benchServeRequests(b, h, other, next, func(r *http.Request) { r.Header = header() }, status)
}

// benchServeRequests is benchServeBeside with requests of any kind, and with what is behind
// both handlers. set makes one out of a GET without a body.
func benchServeRequests(b *testing.B, h, other caddyhttp.MiddlewareHandler, next caddyhttp.Handler, set func(*http.Request), status int) {
	server := new(caddyhttp.Server)
	template := request("", "", "", "")
	w := &discard{header: http.Header{}}
	serve := func(h caddyhttp.MiddlewareHandler, status int) {
		r := *template
		set(&r)
		clear(w.header)
		w.status = 0
		if err := h.ServeHTTP(w, caddyhttp.PrepareRequest(&r, caddy.NewReplacer(), w, server), next); err != nil {
			b.Fatal(err)
		}
		if w.status != status {
			b.Fatalf("status %d, want %d", w.status, status)
		}
	}
	const few = 17 // odd, so that each token comes to both
	run := func(h caddyhttp.MiddlewareHandler, status int) float64 {
		begin := time.Now()
		for range few {
			serve(h, status)
		}
		return float64(time.Since(begin).Nanoseconds()) / few
	}
	for range 2 * benchTokens / few { // caches and pools fill
		run(h, status)
		run(other, http.StatusOK)
	}
	var net []float64
	for turn := 0; b.Loop(); turn++ {
		var with, without float64
		if turn%2 == 0 {
			with, without = run(h, status), run(other, http.StatusOK)
		} else {
			without, with = run(other, http.StatusOK), run(h, status)
		}
		net = append(net, with-without)
	}
	b.ReportMetric(median(net), "net-ns")
	b.ReportMetric(testing.AllocsPerRun(200, func() { serve(h, status) })-testing.AllocsPerRun(200, func() { serve(other, http.StatusOK) }), "net-allocs")
}

// BenchmarkAuthorization is the whole handler with rules and forwarded headers, for
// an API key and for a token that is in the cache, with an expression of two terms
// besides; "expression" is what that takes more.
func BenchmarkAuthorization(b *testing.B) {
	const options = "require scope orders:read\nrequire claim %s\nforward user X-User\nforward scopes X-Scopes\nforward %s X-Plan\n"
	text, hash := newAPIKey()
	token := signed(b, map[string]any{"scope": "orders:read orders:write", "role": "admin", "plan": "gold", "age": 18})
	apiKey := "api_key partner " + hash + " {\nscopes orders:read orders:write\nmeta plan gold\n}\n" + fmt.Sprintf(options, "meta.plan gold", "meta.plan")
	forToken := fmt.Sprintf(options, "role admin", "plan")
	run := func(name string, s *site, h http.Header) {
		served(s)
		if s.validator != nil {
			s.validator = s.validator.Cached(tokencache.New(tokencache.DefaultSize))
		}
		b.Run(name, func(b *testing.B) { benchServeHeader(b, s.Handler, nothing(), h) })
	}
	run("api_key", makeSite(b, apiKey), http.Header{"X-Api-Key": {text}})
	run("api_key+expression", makeSite(b, apiKey+requiring(`claims.meta.plan == "gold" && "orders:read" in scopes`)), http.Header{"X-Api-Key": {text}})
	withToken := http.Header{"Authorization": {"Bearer " + token}}
	plain, expression := newSite(b, forToken), newSite(b, forToken+requiring(`claims.age > 17 && "orders:read" in scopes`))
	run("token", plain, withToken)
	run("token+expression", expression, withToken)
	b.Run("expression", func(b *testing.B) { benchServeHeader(b, expression.Handler, plain.Handler, withToken) })
}

// benchServeHeader sends requests with these headers, which must pass.
func benchServeHeader(b *testing.B, h, other caddyhttp.MiddlewareHandler, header http.Header) {
	benchServeBeside(b, h, other, func() http.Header {
		all := http.Header{"Accept": {"*/*"}}
		maps.Copy(all, header)
		return all
	}, http.StatusOK)
}

// discard is a ResponseWriter that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func (d *discard) WriteHeader(status int) { d.status = status }

// BenchmarkIssuerChoice are tokens of 1,000 issuers beside as many of one: "ours" are
// those of 1,000. They are refused in the cheapest check behind the choice, so that
// what is measured is not the signature.
func BenchmarkIssuerChoice(b *testing.B) {
	public, err := key.NewPublic(signer().Public(), key.Options{})
	if err != nil {
		b.Fatal(err)
	}
	set := keystore.NewStatic(keystore.NewSet([]key.Key{public}))
	among := func(n int) func(i int) error {
		policies := make([]validator.Policy, n)
		for i := range policies {
			policies[i] = validator.Policy{Issuer: fmt.Sprintf("https://issuer-%03d.example/", i), AnyAudience: true, Keys: set}
		}
		v, err := validator.New(policies, nil)
		if err != nil {
			b.Fatal(err)
		}
		tokens := make([]string, benchTokens)
		for i := range tokens {
			tokens[i] = signed(b, map[string]any{"iss": policies[i*n/benchTokens].Issuer, "exp": 1000})
		}
		return func(i int) error {
			if _, err := v.Validate(context.Background(), tokens[i%benchTokens]); err != reason.Expired {
				return fmt.Errorf("%v, want it expired", err)
			}
			return nil
		}
	}
	takeTurns(b, among(1000), among(1))
}
