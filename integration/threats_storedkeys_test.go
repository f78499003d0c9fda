package integration

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// storeSite is a site with the keys of a store.
const storeSite = `
https://api.example.test {
	jwt {
		api_keys partners
	}
	import keyholder
	import reasons
}
`

// A stored key that has expired, is disabled, deleted, revoked or rolled is refused with the
// next request, by all that is known of it.
func TestThreat32_StoredKeysThatAreNoLongerGood(t *testing.T) {
	t.Parallel()
	s := newSharedFixture(t, storeSite, options{})
	refused := func(t *testing.T, k storedKey, reason string) {
		t.Helper()
		s.upstream.Take()
		s.refused(t, s.withKey(t, k.peer()), http.StatusUnauthorized, reason)
	}
	good := func(t *testing.T, k storedKey) {
		t.Helper()
		s.passes(t, s.withKey(t, k.peer()), k.peer())
	}
	t.Run("disabled", func(t *testing.T) {
		k := s.makeKey(t, nil)
		good(t, k)
		s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+k.ID, object{"enabled": false}, http.StatusOK, nil)
		refused(t, k, "api_key_disabled")
		s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+k.ID, object{"enabled": true}, http.StatusOK, nil)
		good(t, k)
	})
	t.Run("deleted", func(t *testing.T) {
		k := s.makeKey(t, nil)
		good(t, k)
		s.mustAsk(t, http.MethodDelete, "/jwt/api-keys/"+k.ID, nil, http.StatusOK, nil)
		refused(t, k, "unknown_api_key")
		if a := s.ask(t, http.MethodPost, "/jwt/api-keys", toJSON(t, object{"id": k.ID})); a.status != http.StatusConflict {
			t.Errorf("its id is used again: %d %s", a.status, a.body)
		}
		for _, change := range []object{{"enabled": true}, {"name": "x"}} {
			if a := s.ask(t, http.MethodPatch, "/jwt/api-keys/"+k.ID, toJSON(t, change)); a.status < 400 || a.status > 499 {
				t.Errorf("it is changed: %d %s", a.status, a.body)
			}
		}
		refused(t, k, "unknown_api_key")
	})
	t.Run("expired between two requests", func(t *testing.T) {
		expires := time.Now().Add(3 * time.Second).Truncate(time.Second)
		k := s.makeKey(t, object{"expires": expires.UTC().Format(time.RFC3339)})
		for passed := 0; ; time.Sleep(20 * time.Millisecond) {
			begun := time.Now()
			a := s.withKey(t, k.peer())
			ended := time.Now()
			if a.status == http.StatusOK && begun.Before(expires) {
				passed++
				continue
			}
			if a.status == http.StatusOK || ended.Before(expires) {
				t.Fatalf("status %d, %s after it expired", a.status, ended.Sub(expires))
			}
			if passed == 0 {
				t.Error("it never passed")
			}
			break
		}
		refused(t, k, "api_key_expired")
	})
	t.Run("given an expiry in the past", func(t *testing.T) {
		k := s.makeKey(t, nil)
		good(t, k)
		s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+k.ID, object{"expires": "2020-01-02T03:04:05Z"}, http.StatusOK, nil)
		refused(t, k, "api_key_expired")
	})
	t.Run("rolled", func(t *testing.T) {
		k := s.makeKey(t, nil)
		for n := range 3 { // each roll without overlap ends all secrets before
			next := s.rollKey(t, k.ID, "0s")
			if refused(t, k, "api_key_expired"); next.Key == k.Key || next.ID != k.ID {
				t.Errorf("roll %d made %+v", n, next)
			}
			good(t, next)
			k = next
		}
	})
	t.Run("rolled past its overlap", func(t *testing.T) {
		k := s.makeKey(t, nil)
		next := s.rollKey(t, k.ID, "2s")
		for passed := 0; ; time.Sleep(20 * time.Millisecond) {
			begun := time.Now()
			a := s.withKey(t, k.peer())
			ended := time.Now()
			if a.status == http.StatusOK && begun.Before(next.OldUntil) {
				passed++
				continue
			}
			if a.status == http.StatusOK || ended.Before(next.OldUntil) {
				t.Fatalf("status %d, %s after the overlap", a.status, ended.Sub(next.OldUntil))
			}
			if passed == 0 {
				t.Error("it never passed")
			}
			break
		}
		refused(t, k, "api_key_expired")
		good(t, next)
	})
	t.Run("an overlap is never prolonged by another roll", func(t *testing.T) {
		k := s.makeKey(t, nil)
		until := s.rollKey(t, k.ID, "1h").OldUntil
		if again := s.rollKey(t, k.ID, "0s"); !again.OldUntil.IsZero() && again.OldUntil.After(until) {
			t.Errorf("the secret is accepted until %s after it was until %s", again.OldUntil, until)
		}
		refused(t, k, "api_key_expired")
	})
}

// From outside, a stored key that was revoked, is disabled, deleted, rolled or has expired
// looks like one that never was: status, body and headers are the same in each format.
func TestThreat50_StoredKeysCantBeToldApart(t *testing.T) {
	t.Parallel()
	at := func(host, more string) string {
		return "https://" + host + " {\n\tjwt {\n\t\tapi_keys partners\n\t\t" + more + "\n\t}\n\timport keyholder\n}\n"
	}
	sites := map[string]string{
		"json.example.test": "", "aws.example.test": "error_format aws", "none.example.test": "error_format none", "grpc.example.test": "error_format grpc",
		"both.example.test": "import issuer", "basic.example.test": "api_key_from basic",
	}
	text := ""
	for _, host := range slices.Sorted(maps.Keys(sites)) {
		text += at(host, sites[host])
	}
	s := newSharedFixture(t, text, options{}, keys(t).RS256)
	made := map[string]storedKey{}
	for _, name := range []string{"revoked", "disabled", "deleted", "rolled", "expired", "revoked and disabled", "good"} {
		made[name] = s.makeKey(t, nil)
	}
	for _, name := range []string{"revoked", "revoked and disabled"} {
		s.addRule(t, object{"kind": "key", "value": made[name].ID})
	}
	for _, name := range []string{"disabled", "revoked and disabled"} {
		s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+made[name].ID, object{"enabled": false}, http.StatusOK, nil)
	}
	s.mustAsk(t, http.MethodDelete, "/jwt/api-keys/"+made["deleted"].ID, nil, http.StatusOK, nil)
	s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+made["expired"].ID, object{"expires": "2020-01-02T03:04:05Z"}, http.StatusOK, nil)
	s.rollKey(t, made["rolled"].ID, "0s")
	texts := map[string]string{"unknown": peers.NewAPIKey(t, "unknown", nil).Text, "short": "x"}
	for name, k := range made {
		texts[name] = k.Key
	}
	for host := range sites {
		t.Run(host, func(t *testing.T) {
			in := apiKey
			if host == "basic.example.test" {
				in = basicAuth
			}
			seen := map[string][]string{}
			for name, text := range texts {
				a := s.send(t, s.http, http.MethodGet, host, "/", in(text))
				if name == "good" {
					checkStatus(t, a, http.StatusOK)
					continue
				}
				a.header.Del("Date")
				whole := fmt.Sprintf("%d %q %q", a.status, a.body, a.header)
				if seen[whole] = append(seen[whole], name); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
					t.Errorf("%s: status %d", name, a.status)
				}
				if strings.Contains(whole, "revoked") {
					t.Errorf("%s: the answer says revoked: %s", name, whole)
				}
			}
			if len(seen) != 1 {
				t.Errorf("there are %d different answers: %v", len(seen), seen)
			}
		})
	}
}
