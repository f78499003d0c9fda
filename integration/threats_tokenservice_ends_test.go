package integration

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// twoServices are two nodes with a token service on one storage.
func twoServices(t *testing.T, sites string, env map[string]string) (a, b *node) {
	t.Helper()
	storage := fileStorage(t.TempDir())
	a = startService(t, storage, sites, env)
	return a, startService(t, storage, sites, env)
}

// ending is a way in which a key ends that has tokens.
type ending struct {
	what string
	end  func(key changeAnswer) (secret string)

	key    changeAnswer
	tokens []string // one of each node
}

// What was issued for a key ends with it: with the next request on the node where the key was
// ended, within the interval and a second on another one, also where the tokens are cached. It
// gets no token from then on.
func TestThreat63_TokensEndWithTheirKey(t *testing.T) {
	t.Parallel()
	a, b := twoServices(t, attackedSites(t), nil)
	rule := func(members object) func(changeAnswer) string {
		return func(key changeAnswer) string {
			all := object{"value": key.ID, "reason": "test"}
			for name, value := range members {
				all[name] = value
			}
			a.must(t, http.StatusCreated, http.MethodPost, "/jwt/revocations", all)
			return key.Key
		}
	}
	change := func(method, path string, body any) func(changeAnswer) string {
		return func(key changeAnswer) string {
			a.must(t, http.StatusOK, method, "/jwt/api-keys/"+key.ID+path, body)
			return key.Key
		}
	}
	endings := []*ending{
		{what: "deleted", end: change(http.MethodDelete, "", nil)},
		{what: "disabled", end: change(http.MethodPatch, "", object{"enabled": false})},
		{what: "expired", end: func(key changeAnswer) string {
			soon := time.Now().Add(time.Second).UTC().Truncate(time.Second)
			change(http.MethodPatch, "", object{"expires": soon.Format(time.RFC3339)})(key)
			time.Sleep(time.Until(soon) + 10*time.Millisecond)
			return key.Key
		}},
		{what: "rolled without an overlap", end: change(http.MethodPut, "/secret", object{"overlap": "0s"})},
		{what: "revoked as a key", end: rule(object{"kind": "key", "store": "partners"})},
		{what: "revoked as a client", end: rule(object{"kind": "client", "issuer": authIssuer})},
	}
	for _, e := range endings {
		e.key = a.newClientKey(t, nil)
	}
	for _, e := range endings {
		for _, n := range []*node{a, b} {
			n.becomes(t, e.what+": the key is known", spread(), func() exchange { return n.withAPIKey(e.key.Key) }, accepted)
			e.tokens = append(e.tokens, n.minted(t, e.key))
		}
		for _, n := range []*node{a, b} {
			for _, token := range e.tokens {
				n.is(t, e.what+": before", n.at(site, token), accepted)
			}
		}
	}
	for _, e := range endings {
		secret := e.end(e.key)
		began := time.Now()
		for i, token := range e.tokens {
			a.is(t, fmt.Sprintf("%s: token %d with the next request", e.what, i), a.at(site, token), isRevoked)
		}
		ended := e.key
		ended.Key = secret
		a.withKeyOf(t, ended).noToken(t, "invalid_client")
		for i, token := range e.tokens {
			left := spread() - time.Since(began)
			b.becomes(t, fmt.Sprintf("%s: token %d on the other node", e.what, i), left, func() exchange { return b.at(site, token) }, isRevoked)
		}
		// Keys and rules are two sets, one of which may be known a little before the other.
		b.eventually(e.what+": the other node issues none", max(spread()-time.Since(began), time.Millisecond), func() bool {
			return b.withKeyOf(t, ended).status != http.StatusOK
		}, b.logs.String)
		b.withKeyOf(t, ended).noToken(t, "invalid_client")
		t.Logf("%s: the other node follows within %s", e.what, time.Since(began).Round(10*time.Millisecond))
	}
	t.Run("nothing comes back", func(t *testing.T) {
		for _, n := range []*node{a, b} {
			for _, e := range endings {
				n.is(t, e.what, n.at(site, e.tokens[0]), isRevoked)
			}
		}
	})
}

// A token that is asked for right after a key was rolled is good, though what was issued before
// that very second is not; and no token outlives its key, or the secret that asked for it.
func TestThreat63_TokensOfTheSameSecond(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	key := n.newClientKey(t, nil)
	for round := range 3 {
		before := n.minted(t, key)
		rolled := n.must(t, http.StatusOK, http.MethodPut, "/jwt/api-keys/"+key.ID+"/secret", object{"overlap": "0s"})
		after := changeAnswer{ID: key.ID, Key: rolled.Key}
		token := n.minted(t, after)
		n.is(t, fmt.Sprintf("round %d: before the roll", round), n.at(site, before), isRevoked)
		n.is(t, fmt.Sprintf("round %d: after it", round), n.at(site, token), accepted)
		n.withKeyOf(t, key).noToken(t, "invalid_client")
		key = after
	}
	lifetime := func(token string) time.Duration {
		end, err := claimsOf(t, token).GetExpirationTime()
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(end.Time)
	}
	within := func(what string, got, most time.Duration) {
		t.Helper()
		if got > most || got < most-time.Minute {
			t.Errorf("%s: it lives for %s; want %s at most, and little less", what, got, most)
		}
	}
	within("a token", lifetime(n.minted(t, key)), 15*time.Minute)
	rolled := n.must(t, http.StatusOK, http.MethodPut, "/jwt/api-keys/"+key.ID+"/secret", object{"overlap": "5m"})
	within("asked for with the old secret", lifetime(n.minted(t, key)), 5*time.Minute)
	key.Key = rolled.Key
	within("with the new one", lifetime(n.minted(t, key)), 15*time.Minute)
	n.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+key.ID, object{"expires": time.Now().Add(3 * time.Minute).UTC().Format(time.RFC3339)})
	within("of a key that ends soon", lifetime(n.minted(t, key)), 3*time.Minute)
}
