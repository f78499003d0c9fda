package caddyjwt

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

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
	point, err := signer().PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}]}`, kid, b64(point[1:33]), b64(point[33:]))
}

// TestChangesOfStateAreEvents is not parallel, as Caddy writes to variables of the
// process where it makes a context.
func TestChangesOfStateAreEvents(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:      &caddy.AdminConfig{Disabled: true},
		Logging:    &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}},
		StorageRaw: fmt.Appendf(nil, `{"module":"file_system","root":%q}`, t.TempDir()),
	})
	if err != nil {
		t.Fatal(err)
	}
	events, err := ctx.App("events")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan caddy.Event, 10)
	for _, name := range []string{"key_set_changed", "key_source_failing"} {
		if err := events.(*caddyevents.App).On(name, hear(heard)); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := ctx.App("jwt")
	if err != nil {
		t.Fatal(err)
	}
	a := loaded.(*App).sources
	t.Cleanup(func() { _ = a.Close() })
	issuer := newIssuerServer(t)
	r, err := a.Remote("https://issuer.example", shared.Settings{JWKSURL: issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Keys(context.Background(), "a"); err != nil {
		t.Fatal(err)
	}
	expect := func(name string, data map[string]any) {
		t.Helper()
		select {
		case e := <-heard:
			if e.Name() != name {
				t.Fatalf("event %s, want %s", e.Name(), name)
			}
			for k, want := range data {
				if got := fmt.Sprint(e.Data[k]); got != want {
					t.Errorf("%s: %s is %s, want %s", name, k, got, want)
				}
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no %s", name)
		}
	}
	issuer.kid.Store("b")
	_, _ = r.Keys(context.Background(), "b")
	expect("key_set_changed", map[string]any{"issuer": "https://issuer.example", "keys": "1", "added": `[kid "b" (P-256)]`, "removed": `[kid "a" (P-256)]`})
	issuer.down.Store(true)
	if r.Refresh(context.Background()) == nil {
		t.Fatal("no error")
	}
	expect("key_source_failing", map[string]any{"issuer": "https://issuer.example", "keys": "1"})
	_ = r.Refresh(context.Background())
	select {
	case e := <-heard:
		t.Errorf("a second event %s for one outage", e.Name())
	case <-time.After(50 * time.Millisecond):
	}
}

type hear chan caddy.Event

func (h hear) Handle(_ context.Context, e caddy.Event) error {
	h <- e
	return nil
}
