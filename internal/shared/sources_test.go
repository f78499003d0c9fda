package shared

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// signer is the issuer's key.
var signer = func() *ecdsa.PrivateKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return private
}()

// issuerServer serves signer's key, counts, and can be told to fail.
type issuerServer struct {
	*httptest.Server
	fetches atomic.Int64
	down    atomic.Bool
	kid     atomic.Value
}

func newIssuerServer(t *testing.T) *issuerServer {
	t.Helper()
	s := &issuerServer{}
	s.kid.Store("a")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		if s.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(signerSet(t, s.kid.Load().(string)))
	}))
	t.Cleanup(s.Close)
	return s
}

func signerSet(t *testing.T, kid string) []byte {
	t.Helper()
	point, err := signer.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}]}`, kid, b64(point[1:33]), b64(point[33:]))
}

func (s *issuerServer) settings() Settings { return Settings{JWKSURL: s.URL} }

// config are sources with a storage, as one config has them.
func config(t *testing.T, m *memory) (*Sources, *logcapture.ObservedLogs) {
	t.Helper()
	core, logs := logcapture.New(zapcore.DebugLevel)
	logger := zap.New(core)
	a := New(logger, nil, nil)
	if m != nil {
		a.store.storage = m
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, logs
}

func mustRemote(t *testing.T, a *Sources, iss string, s Settings) *Remote {
	t.Helper()
	r, err := a.Remote(iss, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within a minute: %s", what)
}

func hasKey(r *Remote, kid string) bool {
	_, err := r.Keys(context.Background(), kid)
	return err == nil
}

func TestOneSourceForAllWhoAskForTheSameKeys(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	one := mustRemote(t, a, "https://one.example", issuer.settings())
	if mustRemote(t, a, "https://two.example", issuer.settings()) != one {
		t.Error("the same settings give two sources")
	}
	for name, other := range map[string]Settings{
		"another URL": {JWKSURL: issuer.URL + "/2"}, "a CA": {JWKSURL: issuer.URL, CA: "digest"}, "a token": {JWKSURL: issuer.URL, BearerFile: "f"},
		"http": {JWKSURL: issuer.URL, InsecureHTTP: true}, "timing": {JWKSURL: issuer.URL, Refresh: time.Minute}, "age": {JWKSURL: issuer.URL, MaxStale: 2 * time.Hour},
	} {
		if mustRemote(t, a, "https://one.example", other) == one {
			t.Errorf("%s: other settings give the same source", name)
		}
	}
	for range 3 {
		if !hasKey(one, "a") {
			t.Fatal("no key")
		}
	}
	if n := issuer.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	list := a.List()
	if len(list) != 7 || strings.Join(list[0].Issuers, " ") == "" {
		t.Errorf("%d sources", len(list))
	}
}

func TestAReloadKeepsSourcesAndTheirKeys(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	before, _ := config(t, nil)
	source := mustRemote(t, before, "i", issuer.settings())
	if !hasKey(source, "a") {
		t.Fatal("no key")
	}
	issuer.down.Store(true)
	for range 3 {
		after, logs := config(t, nil)
		if mustRemote(t, after, "i", issuer.settings()) != source {
			t.Fatal("the reload made another source")
		}
		after.Start()
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		if !hasKey(source, "a") {
			t.Error("the keys are gone")
		}
		source.tell(keystore.Event{Kind: keystore.KeysChanged})
		if logs.Len() != 1 {
			t.Errorf("the config in force heard of %d events, not of one", logs.Len())
		}
		before = after
	}
	if issuer.fetches.Load() != 1 {
		t.Errorf("%d fetches", issuer.fetches.Load())
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if !hasKey(source, "a") {
		t.Error("a request in flight lost its keys")
	}
	again, _ := config(t, nil)
	if mustRemote(t, again, "i", issuer.settings()) == source {
		t.Error("a source that nobody used lived on")
	}
}

func TestAConfigThatFailsToLoadLeavesTheOldOneInForce(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	old, oldLogs := config(t, nil)
	source := mustRemote(t, old, "i", issuer.settings())
	failed, failedLogs := config(t, nil)
	mustRemote(t, failed, "i", issuer.settings())
	if err := failed.Close(); err != nil {
		t.Fatal(err)
	}
	source.tell(keystore.Event{Kind: keystore.KeysChanged})
	if oldLogs.Len() != 1 || failedLogs.Len() != 0 {
		t.Errorf("the old config heard of %d, the failed one of %d", oldLogs.Len(), failedLogs.Len())
	}
	if err := failed.Close(); err != nil { // Caddy may call it again
		t.Error(err)
	}
}

func TestNewTimingKeepsTheKeysAndOtherSettingsDoNot(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	if !hasKey(mustRemote(t, a, "i", issuer.settings()), "a") {
		t.Fatal("no key")
	}
	issuer.down.Store(true)
	timing, other := issuer.settings(), issuer.settings()
	timing.Refresh, timing.MaxStale = 5*time.Minute, 48*time.Hour
	other.InsecureHTTP = true
	b, _ := config(t, nil)
	if !hasKey(mustRemote(t, b, "i", timing), "a") {
		t.Error("new timing lost the keys")
	}
	if hasKey(mustRemote(t, b, "i", other), "a") {
		t.Error("other settings took the keys over")
	}
}

// It counts allocations, and so is not parallel.
func TestAKeyThatIsThereCostsNoAllocation(t *testing.T) {
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	r := mustRemote(t, a, "i", issuer.settings())
	if !hasKey(r, "a") {
		t.Fatal("no key")
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := r.Keys(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
