package tokenservice

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// store is a store of API keys, of which a test says how each stands.
type store struct {
	name string

	mu      sync.Mutex
	keys    map[string]apikey.Standing
	news    map[string]apikey.Standing // what a sync brings
	away    bool
	syncs   int
	byText  *apikey.Set
	waiting func(ctx context.Context) // called in a sync
}

func (s *store) Name() string { return s.name }
func (s *store) Unavailable(context.Context, time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}
func (s *store) Find(d apikey.Digest, now time.Time) (apikey.Key, reason.Code) {
	if s.byText != nil {
		if k, ok := s.byText.Find(d); ok {
			return k, ""
		}
	}
	return apikey.Key{}, reason.UnknownAPIKey
}
func (s *store) Has(apikey.Digest) bool                 { return false }
func (s *store) AwaitNews(context.Context, string) bool { return false }
func (s *store) FindID(id string, _ time.Time) apikey.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[id]
}
func (s *store) AwaitID(ctx context.Context, id string) bool {
	if s.waiting != nil {
		s.waiting(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	for id, standing := range s.news {
		s.keys[id] = standing
	}
	return len(s.news) > 0
}

func (s *store) set(id string, standing apikey.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = standing
}

func newStore(name string, keys map[string]apikey.Standing) *store {
	return &store{name: name, keys: keys}
}

// withStores makes a world whose API keys are in stores.
func withStores(t testing.TB, stores ...*store) *world {
	return newWorld(t, func(c *Config) {
		c.APIKeys = nil
		for _, s := range stores {
			c.APIKeys = append(c.APIKeys, KeyClients{Name: s.name, Keys: &apikey.Lookup{Stores: []apikey.Stored{s}}})
		}
	})
}

func TestATokenDiesWithItsClient(t *testing.T) {
	t.Parallel()
	s := newStore("partners", map[string]apikey.Standing{
		"valid": apikey.StandingValid, "disabled": apikey.StandingDisabled, "expired": apikey.StandingExpired,
		"deleted": apikey.StandingDeleted, "revoked": apikey.StandingValid, "revoked-elsewhere": apikey.StandingValid,
		"ci": apikey.StandingDeleted,
	})
	w := withStores(t, s)
	w.rules.rules = []revocation.Rule{
		{Kind: revocation.KindKey, Value: "revoked", Store: "partners"},
		{Kind: revocation.KindKey, Value: "revoked-elsewhere", Store: "others"},
		{Kind: revocation.KindKey, Value: "ci"},
	}
	for id, want := range map[string]reason.Code{
		"valid": "", "disabled": reason.Revoked, "expired": reason.Revoked, "deleted": reason.Revoked,
		"revoked": reason.Revoked, "revoked-elsewhere": "", "unknown": reason.Revoked, "": reason.Revoked, "Valid": reason.Revoked,
		// Clients of the config are as long as the config has them, and have their ids alone.
		"deploy-bot": "", "ci": "", "gone-from-the-config": reason.Revoked,
	} {
		if got := w.service.CheckClient(t.Context(), id, noon); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	s.away = true
	for id, want := range map[string]reason.Code{"valid": reason.APIKeysUnavailable, "unknown": reason.APIKeysUnavailable, "ci": ""} {
		if got := w.service.CheckClient(t.Context(), id, noon); got != want {
			t.Errorf("the store is away: %q: %q, want %q", id, got, want)
		}
	}
	w.rules.unknown = true
	for _, id := range []string{"valid", "unknown", "ci"} {
		if got := w.service.CheckClient(t.Context(), id, noon); got != reason.RevocationsUnavailable {
			t.Errorf("rules are not known: %q: %q", id, got)
		}
	}
}

// A key that was made on another node a moment ago is asked for once.
func TestAnUnknownClientBringsASyncForward(t *testing.T) {
	t.Parallel()
	s := newStore("partners", map[string]apikey.Standing{"old": apikey.StandingValid})
	s.news = map[string]apikey.Standing{"new": apikey.StandingValid}
	w := withStores(t, s)
	if got := w.service.CheckClient(t.Context(), "old", noon); got != "" || s.syncs != 0 {
		t.Errorf("a known one: %q, %d syncs", got, s.syncs)
	}
	if got := w.service.CheckClient(t.Context(), "new", noon); got != "" || s.syncs != 1 {
		t.Errorf("a new one: %q, %d syncs", got, s.syncs)
	}
	if got := w.service.CheckClient(t.Context(), "none", noon); got != reason.Revoked || s.syncs != 2 {
		t.Errorf("none: %q, %d syncs", got, s.syncs)
	}
	s.set("new", apikey.StandingDisabled)
	if got := w.service.CheckClient(t.Context(), "new", noon); got != reason.Revoked || s.syncs != 2 {
		t.Errorf("a disabled one: %q, %d syncs", got, s.syncs)
	}
	s.waiting = func(ctx context.Context) {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) > awaitTime {
			t.Error("a sync is awaited without a limit")
		}
	}
	w.service.CheckClient(t.Context(), "none", noon)
}

// Ids are one namespace: the first place that knows one decides, even if it is deleted there.
func TestTheFirstStoreWithAnIDDecides(t *testing.T) {
	t.Parallel()
	first := newStore("first", map[string]apikey.Standing{"gone": apikey.StandingDeleted, "both": apikey.StandingValid})
	second := newStore("second", map[string]apikey.Standing{"gone": apikey.StandingValid, "both": apikey.StandingDisabled, "second": apikey.StandingValid})
	w := withStores(t, first, second)
	for id, want := range map[string]reason.Code{"gone": reason.Revoked, "both": "", "second": ""} {
		if got := w.service.CheckClient(t.Context(), id, noon); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if !w.service.HasStore("second") || w.service.HasStore("third") || w.service.HasStore("") {
		t.Error("it does not know its stores")
	}
}

// TestThreat67_AKeyWithTheIDOfAnotherIsNoClient: its token would be refused, or live on, with
// the other key.
func TestThreat67_AKeyWithTheIDOfAnotherIsNoClient(t *testing.T) {
	t.Parallel()
	const secret = "the-second-store's-own-secret"
	set, err := apikey.NewSet([]apikey.Record{{ID: "twin", Hash: apikey.DigestOf(secret)}})
	if err != nil {
		t.Fatal(err)
	}
	first, second := newStore("", map[string]apikey.Standing{}), newStore("", map[string]apikey.Standing{"twin": apikey.StandingValid})
	second.byText = set
	w := withStores(t, first, second)
	ask := func() (status int) { return w.ask(basic(tokenRequest(clientCredentials), "twin", secret)).Code }
	if got := ask(); got != 200 {
		t.Fatalf("alone: %d", got)
	}
	for _, standing := range []apikey.Standing{apikey.StandingValid, apikey.StandingDisabled, apikey.StandingDeleted} {
		first.set("twin", standing)
		if got := ask(); got != 401 {
			t.Errorf("the id is that of another key: %d", got)
		}
	}
	if len(w.warnings) != 1 || w.warnings[0].Client != "twin" {
		t.Errorf("%+v", w.warnings)
	}
}

func TestCheckingAClientAllocatesNothing(t *testing.T) { // not parallel, for AllocsPerRun
	w := newWorld(t, nil)
	w.service.config.Rules = calm{}
	for _, id := range []string{"partner001", "ci"} {
		if n := testing.AllocsPerRun(100, func() {
			if code := w.service.CheckClient(t.Context(), id, noon); code != "" {
				t.Fatal(code)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", id, n)
		}
	}
}

// calm are rules that are known, and none.
type calm struct{ noRules }

func (calm) Await(context.Context, time.Time) bool       { return false }
func (calm) Revokes(*revocation.Subject, time.Time) bool { return false }
func (calm) RevokesKey(string, string, time.Time) bool   { return false }

// BenchmarkCheckClient is what each request with a token of the service pays for its client.
func BenchmarkCheckClient(b *testing.B) {
	w := newWorld(b, nil)
	w.service.config.Rules = calm{}
	for _, id := range []string{"partner001", "ci"} {
		b.Run(id, func(b *testing.B) {
			for b.Loop() {
				if w.service.CheckClient(b.Context(), id, noon) != "" {
					b.Fatal("it is refused")
				}
			}
		})
	}
}
