package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A restart in the middle of an outage of the issuer is not noticed: the last
// good keys are in Caddy's storage, and the first request is answered from them.
func TestRestartDuringAnOutage(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256, k.ES256.With(map[string]any{"use": "enc"}))
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	if status := s.statusOf(t, s.issuer.URL); status.State != "fresh" || status.Restored {
		t.Errorf("state %q, restored %t; want fresh, false", status.State, status.Restored)
	}
	s.restart(s.issuer.Down)

	start := time.Now()
	s.accepts(t, site, good)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the first request took %s", took)
	}
	s.accepts(t, site, k.RS256.Token(t, s.claims(map[string]any{"sub": "somebody new"}), nil))
	t.Run("the status says so", func(t *testing.T) {
		s.eventually("the source is stale", 5*time.Second, func() bool {
			return s.statusOf(t, s.issuer.URL).State == "stale"
		}, func() string { return s.statusOf(t, s.issuer.URL).State })
		status := s.statusOf(t, s.issuer.URL)
		if !status.Restored || status.LastError == "" || len(status.Keys) != 1 || status.Keys[0].KID != k.RS256.KID {
			t.Errorf("restored %t, last error %q, keys %v; want true, one, %s alone", status.Restored, status.LastError, status.Keys, k.RS256.KID)
		}
	})
	t.Run("what the keys do not verify is still refused", func(t *testing.T) {
		s.refuses(t, site, k.Stranger.Token(t, s.claims(nil), nil), "bad_signature")
		s.unavailable(t, site, k.EdDSA.Token(t, s.claims(nil), nil))
	})
	t.Run("a second restart is no different", func(t *testing.T) {
		s.restart(nil)
		s.accepts(t, site, good)
	})
	t.Run("the first good answer takes their place", func(t *testing.T) {
		s.issuer.Publish(k.EdDSA)
		s.issuer.Up()
		s.mustRefresh(t, s.issuer.URL)
		if status := s.statusOf(t, s.issuer.URL); status.State != "fresh" || status.Restored || status.LastError != "" {
			t.Errorf("state %q, restored %t, last error %q; want fresh, false, none", status.State, status.Restored, status.LastError)
		}
		s.accepts(t, site, k.EdDSA.Token(t, s.claims(nil), nil))
		s.refuses(t, site, good, "unknown_key")
	})
	t.Run("in the storage too", func(t *testing.T) {
		s.eventually("the new keys are in the storage", 5*time.Second, func() bool {
			return strings.Contains(s.storedKeys(t)[0].text, `"`+k.EdDSA.KID+`"`)
		}, func() string { return s.storedKeys(t)[0].text })
		s.restart(s.issuer.Down)
		s.accepts(t, site, k.EdDSA.Token(t, s.claims(nil), nil))
		s.unavailable(t, site, good)
	})
}

// A key that was fetched a moment ago is in the storage when Caddy has stopped: what was
// accepted before a restart is accepted after it, though the issuer is down by then.
func TestAStopRightAfterARotation(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	for n := range 2 {
		next := peers.NewKey(t, "ES256", fmt.Sprintf("rotation-%d", n))
		token := next.Token(t, s.claims(nil), nil)
		s.issuer.Publish(k.RS256, next)
		s.accepts(t, site, token)
		s.restart(s.issuer.Down)
		s.accepts(t, site, token)
		s.issuer.Up()
		s.mustRefresh(t, s.issuer.URL)
	}
}

// storedSet is one object of the storage.
type storedSet struct{ path, text string }

func (c *caddy) storedKeys(t *testing.T) []storedSet {
	t.Helper()
	paths, err := filepath.Glob(c.dataFile("jwt", "keys", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no key set in the storage: %v", err)
	}
	var sets []storedSet
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, storedSet{path, string(text)})
	}
	return sets
}

// storedCase is a way in which a stored set may be wrong.
type storedCase struct {
	name string
	edit func(stored string) string
	used bool
}

func storedCases(t *testing.T) []storedCase {
	t.Helper()
	change := func(members map[string]any) func(string) string {
		return func(text string) string {
			var stored map[string]any
			if err := json.Unmarshal([]byte(text), &stored); err != nil {
				t.Fatal(err)
			}
			maps.Copy(stored, members)
			return toJSON(t, stored)
		}
	}
	fetched := func(d time.Duration) map[string]any {
		return map[string]any{"fetched_at": time.Now().Add(d).Format(time.RFC3339Nano)}
	}
	keySet := func(keys ...any) map[string]any { return map[string]any{"keys": map[string]any{"keys": keys}} }
	return []storedCase{
		{"untouched", func(text string) string { return text }, true},
		{"an hour old", change(fetched(-time.Hour)), true},
		{"older than max_stale", change(fetched(-25 * time.Hour)), false},
		{"from the future", change(fetched(time.Hour)), false},
		{"without a time", change(map[string]any{"fetched_at": nil}), false},
		{"of other settings", change(map[string]any{"source": "0123456789abcdef"}), false},
		{"cut off", func(text string) string { return text[:len(text)/2] }, false},
		{"empty", func(string) string { return "" }, false},
		{"no JSON", func(string) string { return "\x00\x01\x02" }, false},
		{"without keys", change(keySet([]any{}...)), false},
		{"null", func(string) string { return "null" }, false},
		{"with a secret", change(keySet(keys(t).HS256.Named("rs256").JWK())), false},
	}
}

// storedSetOf finds the stored set of an issuer. No name in a set says which issuer it
// belongs to, so that the issuer gets a key of its own first.
func (s *fixture) storedSetOf(t *testing.T, issuer *peers.KeyServer, marker string) storedSet {
	t.Helper()
	issuer.Publish(keys(t).RS256, peers.NewKey(t, "ES256", marker))
	s.mustRefresh(t, issuer.URL)
	var found storedSet
	s.eventually("the set is stored", 5*time.Second, func() bool {
		for _, set := range s.storedKeys(t) {
			if strings.Contains(set.text, `"`+marker+`"`) {
				found = set
				return true
			}
		}
		return false
	}, func() string { return marker })
	return found
}

// What is in the storage is checked before it is used. One issuer for each way
// in which it may be wrong, all restarted at once.
func TestStoredKeysThatAreNotUsed(t *testing.T) {
	t.Parallel()
	k := keys(t)
	table := storedCases(t)
	issuers, sites, env := newIssuers(t, peers.NewCA(t), len(table), k.RS256)
	s := newFixture(t, sites, options{env: env})
	good := func(t *testing.T, n int) string {
		return k.RS256.Token(t, peers.Claims(issuers[n].URL, audience, nil), nil)
	}
	for n := range table {
		s.accepts(t, site, good(t, n))
	}
	stored := make([]storedSet, len(table))
	for n := range table {
		stored[n] = s.storedSetOf(t, issuers[n], fmt.Sprintf("marker-%d", n))
	}
	mark := s.logs.mark()
	s.restart(func() {
		for n, c := range table {
			issuers[n].Down()
			writeFile(t, stored[n].path, c.edit(stored[n].text))
		}
	})
	for n, c := range table {
		t.Run(c.name, func(t *testing.T) {
			if c.used {
				s.accepts(t, site, good(t, n))
			} else {
				s.unavailable(t, site, good(t, n))
			}
			if status := s.statusOf(t, issuers[n].URL); status.Restored != c.used {
				t.Errorf("restored is %t; want %t", status.Restored, c.used)
			}
			issuers[n].Up()
			s.mustRefresh(t, issuers[n].URL)
			s.accepts(t, site, good(t, n))
		})
	}
	t.Run("the log names those that can't be read back", func(t *testing.T) {
		lines := aboveDebug(s.logs.since(mark), func(e entry) bool { return strings.Contains(e.Msg, "can't be read from storage") })
		if len(lines) < 5 {
			t.Errorf("%d lines; want one for each broken object", len(lines))
		}
	})
}
