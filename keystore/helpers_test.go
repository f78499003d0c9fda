package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"sync"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Keys are made at run time, once: RSA ones take a while.
var (
	rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey {
		keys := make([]*rsa.PrivateKey, 2)
		for i := range keys {
			keys[i] = must(rsa.GenerateKey(rand.Reader, 2048))
		}
		return keys
	})
	smallRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKeys   = sync.OnceValue(func() []*ecdsa.PrivateKey {
		keys := make([]*ecdsa.PrivateKey, 3)
		for i := range keys {
			keys[i] = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		}
		return keys
	})
	edKey = sync.OnceValue(func() ed25519.PrivateKey {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return must(private, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type object map[string]any

// with returns a copy with members added.
func (o object) with(members object) object {
	c := maps.Clone(o)
	maps.Copy(c, members)
	return c
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(k *rsa.PrivateKey, kid string) object {
	return object{"kty": "RSA", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func ecJWK(k *ecdsa.PrivateKey, kid string) object {
	point := must(k.PublicKey.Bytes()) // 4, x, y
	return object{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[1:33]), "y": b64(point[33:])}
}

func edJWK(kid string) object {
	return object{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(edKey().Public().(ed25519.PublicKey))}
}

func octJWK(kid string) object {
	return object{"kty": "oct", "kid": kid, "k": b64([]byte("e7f0a1c2d3b4958677fedcba98765432!"))}
}

// plainly is a key without kid.
func plainly(o object) object {
	c := maps.Clone(o)
	delete(c, "kid")
	return c
}

func jwks(keys ...any) []byte {
	return must(json.Marshal(object{"keys": append([]any{}, keys...)}))
}

// ec is a key set of EC keys, one for each kid.
func ec(kids ...string) []byte {
	keys := make([]any, len(kids))
	for i, kid := range kids {
		keys[i] = ecJWK(ecKeys()[i%3], kid)
	}
	return jwks(keys...)
}

func public(t testing.TB, material any, o key.Options) *key.Public {
	t.Helper()
	k, err := key.NewPublic(material, o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ids(keys []key.Key) string {
	text := ""
	for _, k := range keys {
		text += k.ID() + "/" + k.Family() + " "
	}
	return text
}

// host is a fake of the network: it answers requests by a function that a
// test may replace, and keeps count.
type host struct {
	mu       sync.Mutex
	answer   func(*http.Request) (*http.Response, error)
	requests []*http.Request
}

func (h *host) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.requests = append(h.requests, r)
	answer := h.answer
	h.mu.Unlock()
	return answer(r)
}

func (h *host) set(answer func(*http.Request) (*http.Response, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}

func (h *host) urls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var urls []string
	for _, r := range h.requests {
		urls = append(urls, r.URL.String())
	}
	return urls
}

// response is an answer with a status, a body and headers in pairs.
func response(status int, body []byte, headers ...string) *http.Response {
	h := make(http.Header)
	for i := 0; i+1 < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Header: h, ContentLength: -1,
		Body: io.NopCloser(bytes.NewReader(body)),
	}
}

func answers(status int, body []byte, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return response(status, body, headers...), nil }
}

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

var errReset = errors.New("read: connection reset by peer")

func resets(*http.Request) (*http.Response, error) { return nil, errReset }

// endless is a body that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Close() error { return nil }

// stuck is a body that never comes.
type stuck struct{ r *http.Request }

func (s stuck) Read([]byte) (int, error) {
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}

func (s stuck) Close() error { return nil }

// witness collects events.
type witness struct {
	mu     sync.Mutex
	events []Event

	fetched int // KeysFetched, not among events
}

func (w *witness) observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Every good answer has one; the tests are about changes of state.
	if e.Kind == KeysFetched {
		w.fetched++
		return
	}
	w.events = append(w.events, e)
}

func (w *witness) kinds() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for _, e := range w.events {
		text += fmt.Sprintf("%s ", e.Kind)
	}
	return text
}

// remote makes a Remote over a fake host and closes it after the test.
func remote(t testing.TB, h *host, change func(*RemoteConfig)) *Remote {
	t.Helper()
	c := RemoteConfig{JWKSURL: "https://idp.example/jwks", Transport: h}
	if change != nil {
		change(&c)
	}
	r, err := NewRemote(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// inHand is the set that a Remote serves, or nil.
func inHand(r *Remote) *Set {
	if h := r.serving(r.client.Clock.Now()); h != nil {
		return h.set
	}
	return nil
}
