package shared

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// desk is an introspection endpoint that counts, and can be told to fail.
type desk struct {
	*httptest.Server
	calls  atomic.Int64
	down   atomic.Bool
	secret atomic.Value
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := new(desk)
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.calls.Add(1)
		_, secret, _ := r.BasicAuth()
		d.secret.Store(secret)
		if d.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active":true,"token_type":"Bearer"}`)
	}))
	t.Cleanup(d.Server.Close)
	return d
}

// settings read the secret from a file.
func (d *desk) settings(t *testing.T) IntrospectionSettings {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	writeSecret(t, path, "first")
	return IntrospectionSettings{Issuer: "https://issuer.example", URL: d.URL, ClientID: "api", ClientSecret: "{file." + path + "}"}
}

func writeSecret(t *testing.T, path, secret string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustIntrospection(t *testing.T, a *Sources, iss string, s IntrospectionSettings) *Introspection {
	t.Helper()
	i, err := a.Introspection(iss, s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func opaqueToken(n int) string { return fmt.Sprintf("opaque_%032d", n) }

func isActive(i *Introspection, n int) bool {
	_, active, err := i.Introspect(context.Background(), opaqueToken(n))
	return active && err == nil
}

func TestOneIntrospectionForAllWhoAskTheSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.settings(t)
	a, _ := config(t, nil)
	one := mustIntrospection(t, a, "https://one.example", s)
	if mustIntrospection(t, a, "https://two.example", s) != one || mustIntrospection(t, a, "https://one.example", s) != one {
		t.Error("the same settings give two")
	}
	others := map[string]func(*IntrospectionSettings){
		"another URL":    func(s *IntrospectionSettings) { s.URL += "/2" },
		"another issuer": func(s *IntrospectionSettings) { s.Issuer += "/" },
		"discovery":      func(s *IntrospectionSettings) { s.URL, s.Discovery = "", s.URL },
		"a CA":           func(s *IntrospectionSettings) { s.CA = "digest" },
		"http":           func(s *IntrospectionSettings) { s.InsecureHTTP = true },
		"another client": func(s *IntrospectionSettings) { s.ClientID = "b" },
		"another secret": func(s *IntrospectionSettings) { s.ClientSecret = "{env.SECRET}" },
		"another cache":  func(s *IntrospectionSettings) { s.Cache = 1 },
		"untyped":        func(s *IntrospectionSettings) { s.AllowUntyped = true },
	}
	for name, change := range others {
		other := s
		change(&other)
		if mustIntrospection(t, a, "https://one.example", other) == one {
			t.Errorf("%s: other settings give the same", name)
		}
	}
	list := a.Introspections()
	if len(list) != 1+len(others) {
		t.Errorf("%d are listed", len(list))
	}
	for _, used := range list {
		if used.Introspection == one && strings.Join(used.Issuers, " ") != "https://one.example https://two.example" {
			t.Errorf("it is of %q", used.Issuers)
		}
	}
	if _, err := a.Introspection("https://one.example", IntrospectionSettings{URL: "ftp://x"}); err == nil {
		t.Error("settings that make no sense are taken")
	}
}

func TestAReloadKeepsAnswersAndPauses(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.settings(t)
	before, _ := config(t, nil)
	i := mustIntrospection(t, before, "i", s)
	if !isActive(i, 1) {
		t.Fatal("not active")
	}
	d.down.Store(true)
	for n := range 5 {
		_ = isActive(i, 10+n)
	}
	calls := d.calls.Load()
	for range 3 {
		after, logs := config(t, nil)
		if mustIntrospection(t, after, "i", s) != i {
			t.Fatal("the reload made another one")
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		if !isActive(i, 1) {
			t.Error("the answers are gone")
		}
		i.tell(keystore.IntrospectionEvent{Kind: keystore.IntrospectionRecovered})
		if logs.Len() != 1 {
			t.Errorf("the config in force heard of %d events, not of one", logs.Len())
		}
		before = after
	}
	if i.Status().Failures != 5 || d.calls.Load() != calls {
		t.Errorf("%d failures, %d calls more", i.Status().Failures, d.calls.Load()-calls)
	}
	// One that fails to load leaves the old one in force.
	failed, _ := config(t, nil)
	mustIntrospection(t, failed, "i", s)
	if err := errors.Join(failed.Close(), failed.Close()); err != nil {
		t.Error(err)
	}
	if after, _ := config(t, nil); mustIntrospection(t, after, "i", s) != i {
		t.Error("it is gone with a config that failed")
	} else if err := after.Close(); err != nil {
		t.Error(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := config(t, nil)
	if mustIntrospection(t, again, "i", s) == i {
		t.Error("one that nobody used lived on")
	}
}

func TestASecretThatIsReplacedNeedsNoReload(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.settings(t)
	a, _ := config(t, nil)
	i := mustIntrospection(t, a, "i", s)
	path := strings.TrimSuffix(strings.TrimPrefix(s.ClientSecret, "{file."), "}")
	for n, secret := range []string{"second", "third"} {
		writeSecret(t, path, secret)
		if !isActive(i, n) || d.secret.Load() != secret {
			t.Errorf("the secret sent is not the %s", secret)
		}
	}
}

func TestIntrospectionTellsOfItsFailure(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.down.Store(true)
	core, logs := logcapture.New(zapcore.DebugLevel)
	type emitted struct {
		name string
		data map[string]any
	}
	events := make(chan emitted, 10)
	a := New(zap.New(core), nil, func(name string, data func() map[string]any) { events <- emitted{name, data()} })
	t.Cleanup(func() { _ = a.Close() })
	i := mustIntrospection(t, a, "https://issuer.example", d.settings(t))
	for n := range 20 {
		_ = isActive(i, n)
	}
	e := <-events
	if e.name != "introspection_failing" || e.data["issuer"] != "https://issuer.example" || e.data["id"] != i.ID || e.data["source"] != d.URL || !strings.Contains(e.data["error"].(string), "status 500") {
		t.Errorf("%+v", e)
	}
	lines := logs.AllUntimed()
	if len(lines) != 1 || lines[0].Level != zapcore.ErrorLevel || !strings.Contains(lines[0].Message, "can't be asked about tokens") {
		t.Fatalf("%v", lines)
	}
	for name, want := range map[string]any{"issuer": "https://issuer.example", "id": i.ID, "source": d.URL} {
		if got := lines[0].ContextMap()[name]; got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
}

func TestLookingAsksNobody(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	look := new(Look)
	a := New(zap.NewNop(), look.Storage(nil), nil)
	t.Cleanup(func() { _ = a.Close() })
	s := d.settings(t)
	i := mustIntrospection(t, a, "https://issuer.example", s)
	for range 2 {
		if _, active, err := i.Introspect(context.Background(), opaqueToken(1)); active || !errors.Is(err, key.ErrUnavailable) {
			t.Errorf("%v, %v", active, err)
		}
	}
	if d.calls.Load() != 0 {
		t.Errorf("%d calls", d.calls.Load())
	}
	if notes := look.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "https://issuer.example") || !strings.Contains(notes[0], "--introspect") {
		t.Errorf("%q", notes)
	}
	// What no server would ask about needs no call to know.
	if _, active, err := i.Introspect(context.Background(), "too short"); active || err != nil {
		t.Errorf("%v, %v", active, err)
	}
	look.Introspect = true
	if !isActive(i, 1) || d.calls.Load() != 1 {
		t.Errorf("with --introspect %d calls", d.calls.Load())
	}
	// It shares nothing with a server's.
	server, _ := config(t, nil)
	if mustIntrospection(t, server, "https://issuer.example", s) == i {
		t.Error("it is in the pool")
	}
}
