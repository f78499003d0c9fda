package shared

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

const testIssuer = "https://auth.example.com"

func signingSettings(alg key.Algorithm) tokenservice.SigningSettings {
	return tokenservice.SigningSettings{Issuer: testIssuer, Algorithm: alg, Rotate: 30 * 24 * time.Hour, Lifetime: 15 * time.Minute}
}

func addSigning(t *testing.T, st *State, settings tokenservice.SigningSettings) *Signing {
	t.Helper()
	s, err := st.AddSigning(settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signs(t *testing.T, s *Signing) *key.Signer {
	t.Helper()
	signer, err := s.Signer(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestSigningKeysAreAddedUntilTheStart(t *testing.T) {
	t.Parallel()
	storage := storagetest.Files(t)
	sources, st, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster = "adds" })
	s := addSigning(t, st, signingSettings(key.ES256))
	if st.Signing()[testIssuer] != s || len(st.Signing()) != 1 || s.SigningKeys() != nil {
		t.Error("it is not added")
	}
	if _, err := st.AddSigning(signingSettings(key.EdDSA)); err == nil || !strings.Contains(err.Error(), testIssuer) {
		t.Errorf("the same issuer again: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Signer(ctx, time.Now()); !errors.Is(err, tokenservice.ErrKeysUnavailable) {
		t.Error(err)
	}
	if _, err := s.Published(ctx, time.Now()); !errors.Is(err, tokenservice.ErrKeysUnavailable) {
		t.Error(err)
	}
	if _, err := s.Keys(ctx, "x"); !errors.Is(err, key.ErrUnavailable) || s.Version("", time.Now()) != 0 {
		t.Error(err)
	}
	if files, err := os.ReadDir(storage.Path); err != nil || len(files) > 0 {
		t.Errorf("%v, %v are in the storage before the start", files, err)
	}
	sources.StartState(false)
	other := signingSettings(key.ES256)
	other.Issuer += "/forward"
	if _, err := st.AddSigning(other); err == nil {
		t.Error("one is added after the start")
	}
	signer := signs(t, s)
	keys, err := s.Keys(t.Context(), signer.ID())
	if err != nil || len(keys) != 1 || keys[0].ID() != signer.ID() || s.Version(signer.ID(), time.Now()) == 0 {
		t.Errorf("%v %v", keys, err)
	}
	text, err := s.Published(t.Context(), time.Now())
	if err != nil || !json.Valid(text) || !strings.Contains(string(text), signer.ID()) {
		t.Errorf("%s %v", text, err)
	}
	place := SigningPlace("adds", testIssuer)
	if !slices.ContainsFunc(st.Sets(time.Now()), func(set SetStatus) bool {
		return set.Name == filepath.Base(place) && strings.HasPrefix(set.Name, "signing-") && len(set.Name) == len("signing-")+16 && set.Ready && !set.RefusesAt.IsZero()
	}) {
		t.Errorf("the sets are %+v", st.Sets(time.Now()))
	}
	// Nobody else may read what signs.
	files := 0
	err = filepath.WalkDir(filepath.Join(storage.Path, PrivateKeysPlace("adds", testIssuer)), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		info, err := e.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d private keys: %v", files, err)
	}
}

func TestSigningKeysOutliveConfigs(t *testing.T) {
	t.Parallel()
	storage := storagetest.Files(t)
	cluster := func(s *StateSettings) { s.Cluster = "signing-outlives" }
	first, st1, _ := stateOf(t, storage, cluster)
	one := addSigning(t, st1, signingSettings(key.ES256))
	first.StartState(false)
	signer := signs(t, one)
	second, st2, _ := stateOf(t, storage, cluster)
	two := addSigning(t, st2, signingSettings(key.EdDSA))
	if two.SigningKeys() != one.SigningKeys() {
		t.Error("a reload has keys of its own")
	}
	second.StartState(false)
	first.StopState(true)
	if signs(t, two).ID() != signer.ID() {
		t.Error("a reload makes other keys")
	}
	until(t, "the next key is for the new algorithm", func() bool {
		r, err := two.SigningKeys().Rotate(t.Context(), "me", "here")
		return err == nil && slices.ContainsFunc(two.SigningKeys().List(time.Now()), func(k tokenservice.SigningKey) bool {
			return k.Algorithm == key.EdDSA && k.State == "next"
		}) && r.Signing.ID == signer.ID()
	})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second.StopState(false)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	// The next process, without the service first.
	third, _, _ := stateOf(t, storage, cluster)
	third.StartState(false)
	fourth, st4, logs := stateOf(t, storage, cluster)
	four := addSigning(t, st4, signingSettings(key.ES256))
	fourth.StartState(false)
	third.StopState(true)
	if signs(t, four).ID() != signer.ID() || four.SigningKeys() == one.SigningKeys() {
		t.Error("the keys are not read from the storage")
	}
	if joined := logs.FilterMessage("joined the shared state").FilterField(zap.String("issuer", testIssuer)); joined.Len() != 1 {
		t.Errorf("%v", logs.All())
	}
}

func TestSigningKeysWithoutAStorage(t *testing.T) {
	t.Parallel()
	files := storagetest.Files(t)
	before, made, _ := stateOf(t, &certmagic.FileStorage{Path: files.Path}, func(s *StateSettings) { s.Cluster = "signing-down" })
	s := addSigning(t, made, signingSettings(key.ES256))
	before.StartState(false)
	signer := signs(t, s)
	before.StopState(false)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	storage := &holding{Storage: files}
	storage.down.Store(true)
	sources, st, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster = "signing-down" })
	s = addSigning(t, st, signingSettings(key.ES256))
	sources.StartState(false)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Signer(ctx, time.Now()); !errors.Is(err, tokenservice.ErrKeysUnavailable) {
		t.Errorf("a key at the start: %v", err)
	}
	if _, err := s.Keys(ctx, signer.ID()); !errors.Is(err, key.ErrUnavailable) {
		t.Error(err)
	}
	storage.down.Store(false)
	until(t, "it signs", func() bool {
		got, err := s.Signer(t.Context(), time.Now())
		return err == nil && got.ID() == signer.ID()
	})
	// Away again, it goes on until max_stale. What was signed still verifies then.
	storage.down.Store(true)
	until(t, "it is away", func() bool { return s.SigningKeys().Status().Err != nil })
	if got, err := s.Signer(t.Context(), time.Now().Add(time.Minute)); err != nil || got.ID() != signer.ID() {
		t.Error(err)
	}
	late := time.Now().Add(2 * time.Hour)
	if _, err := s.Signer(t.Context(), late); !errors.Is(err, tokenservice.ErrKeysUnavailable) {
		t.Errorf("past max_stale: %v", err)
	}
	if _, err := s.Keys(t.Context(), signer.ID()); err != nil || s.Version(signer.ID(), late) == 0 {
		t.Error(err)
	}
	if _, err := s.Published(t.Context(), late); err != nil {
		t.Error(err)
	}
	serving, st2, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster, s.Serve = "signing-down", true })
	s = addSigning(t, st2, signingSettings(key.ES256))
	serving.StartState(false)
	if _, err := s.Signer(t.Context(), late); err != nil {
		t.Errorf("on_stale serve: %v", err)
	}
}

// TestChangesOfSigningKeysAreTold looks at log lines and events, in which there is no private
// key.
func TestChangesOfSigningKeysAreTold(t *testing.T) {
	t.Parallel()
	files := storagetest.Files(t)
	var mu sync.Mutex
	var events []string
	var told []tokenservice.KeyEvent
	sources, st, logs := stateOf(t, &certmagic.FileStorage{Path: files.Path}, func(s *StateSettings) {
		s.Cluster, s.Keys = "signing-told", [][]byte{make([]byte, 32)}
		s.RotatedKeys = func(e tokenservice.KeyEvent) { mu.Lock(); told = append(told, e); mu.Unlock() }
	})
	st.emit = func(name string, data func() map[string]any) {
		d := data()
		mu.Lock()
		defer mu.Unlock()
		if name == "signing_key_changed" && d["issuer"] == testIssuer && d["kid"] != "" {
			events = append(events, d["change"].(string))
		}
	}
	s := addSigning(t, st, signingSettings(key.ES256))
	sources.StartState(false)
	signer := signs(t, s)
	r, err := s.SigningKeys().RetireNow(t.Context(), "ann", "host-1")
	if err != nil || len(r.Retired) != 2 {
		t.Fatal(r, err)
	}
	count := func(change string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if e == change {
				n++
			}
		}
		return n
	}
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() {
			t.Logf("%v %+v", events, told)
		}
	}()
	until(t, "told", func() bool { return count("made") == 4 && count("retired") == 2 && count("signs") >= 1 })
	mu.Lock()
	by := slices.ContainsFunc(told, func(e tokenservice.KeyEvent) bool {
		return e.Change == "retired" && e.KeyID == signer.ID() && e.By == "ann" && e.Node == "host-1" && e.Issuer == testIssuer
	})
	mu.Unlock()
	if !by {
		t.Errorf("%+v", told)
	}
	if logs.FilterMessage("a signing key was retired; what it signed is refused").Len() != 2 || logs.FilterMessage("a signing key was made").Len() != 4 {
		t.Errorf("%v", logs.All())
	}
	// A private key that is lost is told of, once, and only here.
	s.set.rotated(tokenservice.KeyEvent{Issuer: testIssuer, KeyID: "x", Change: "unreadable", Err: errors.New("it\nfailed")})
	s.set.rotated(tokenservice.KeyEvent{Issuer: testIssuer, KeyID: "x", Change: "removed"})
	lost := logs.FilterMessage("a private signing key can't be read, so that this node does not sign with it").All()
	if len(lost) != 1 || lost[0].Level != zap.ErrorLevel || strings.Contains(lost[0].ContextMap()["error"].(string), "\n") {
		t.Errorf("%v", lost)
	}
	// Only the private folder has what signs, and not in the clear.
	der, err := signs(t, s).PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(files.Path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "pkcs8") || strings.Contains(string(content), string(der[36:60])) {
			t.Errorf("%s has a private key", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
