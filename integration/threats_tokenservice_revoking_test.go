package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A client that issues and revokes without end fills nothing, and revokes nobody else's tokens.
func TestThreat73_RevokingIsBounded(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	key, other := n.newClientKey(t, nil), n.newClientKey(t, nil)
	revoke := func(token string, by changeAnswer) answer {
		return n.form(t, revokePath, []string{"token", token}, clientBasic(by.ID, by.Key))
	}
	rules := func() int {
		sum := 0
		for _, count := range n.shared(t).Rules {
			sum += count
		}
		return sum
	}
	t.Run("tokens of others", func(t *testing.T) {
		theirs := n.minted(t, other)
		revoke(theirs, key).noToken(t, "unauthorized_client")
		n.form(t, revokePath, []string{"token", theirs}).noToken(t, "invalid_client")
		n.form(t, revokePath, asserted(assertion(t, "console", nil, nil), "token", theirs)[2:]).noToken(t, "unauthorized_client")
		n.is(t, "it", n.at(site, theirs), accepted)
		if got := rules(); got != 0 {
			t.Errorf("%d rules; want none", got)
		}
		if a := revoke(theirs, other); a.status != http.StatusOK {
			t.Errorf("its own client: status %d, %s", a.status, a.body)
		}
		n.is(t, "revoked", n.at(site, theirs), isRevoked)
	})
	t.Run("what need not be revoked", func(t *testing.T) {
		before := rules()
		token := n.minted(t, key)
		forged := token[:len(token)-4] + "AAAA"
		for what, text := range map[string]string{
			"garbage": "garbage", "a token whose signature is wrong": forged, "a foreign token": people(t, firstIDP, nil), "an API key": other.Key,
			"no signature": token[:strings.LastIndexByte(token, '.')+1], "large": strings.Repeat("a", 4<<10),
		} {
			if a := revoke(text, key); a.status != http.StatusOK {
				t.Errorf("%s: status %d, %s", what, a.status, a.body)
			}
		}
		n.is(t, "the token", n.at(site, token), accepted)
		n.is(t, "the key", n.withAPIKey(other.Key), accepted)
		for range 5 {
			if a := revoke(token, key); a.status != http.StatusOK {
				t.Errorf("status %d, %s", a.status, a.body)
			}
		}
		if got := rules() - before; got != 1 {
			t.Errorf("%d rules for one token", got)
		}
	})
	t.Run("without end", func(t *testing.T) {
		before, began := rules(), time.Now()
		var (
			mu             sync.Mutex
			revoked, later int
		)
		load := n.loadWithoutPause(4, func(int) exchange {
			a := n.withKeyOf(t, key)
			if a.status != http.StatusOK {
				t.Errorf("minting: status %d, %s", a.status, a.body)
				time.Sleep(100 * time.Millisecond)
				return exchange{}
			}
			token := a.token(t)
			a = revoke(token, key)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.status == http.StatusOK:
				revoked++
				n.is(t, "a revoked token", n.at(site, token), isRevoked)
			case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
				later++
				n.is(t, "one that is not", n.at(site, token), accepted)
			default:
				t.Errorf("revoking: status %d, %v, %s", a.status, a.header, a.body)
			}
			return exchange{}
		})
		time.Sleep(1500 * time.Millisecond)
		theirs := n.minted(t, other)
		if a := revoke(theirs, other); a.status != http.StatusOK {
			t.Errorf("another client meanwhile: status %d, %s", a.status, a.body)
		}
		time.Sleep(1500 * time.Millisecond)
		load.stop()
		most := 10*int(time.Since(began)/time.Second+1) + 10 // and those that it may have saved up
		if made := rules() - before - 1; revoked == 0 || revoked > most || made > most {
			t.Errorf("%d revoked and %d rules in %s; want at most %d", revoked, made, time.Since(began), most)
		}
		t.Logf("%d revoked, %d told to come again", revoked, later)
	})
}

// What a client may not know of a token is the same as that there is no such token.
func TestThreat74_IntrospectionTellsNothingOfOthers(t *testing.T) {
	t.Parallel()
	n := startService(t, "", forwarding(t), nil)
	key, other := n.newClientKey(t, nil), n.newClientKey(t, nil)
	own, theirs := n.minted(t, key), n.minted(t, other)
	elsewhere := n.minted(t, other, "resource", reports)
	ended, disabled := n.minted(t, key), n.newClientKey(t, nil)
	ofDisabled := n.minted(t, disabled)
	n.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+disabled.ID, object{"enabled": false})
	if a := n.form(t, revokePath, []string{"token", ended}, clientBasic(key.ID, key.Key)); a.status != http.StatusOK {
		t.Fatalf("status %d, %s", a.status, a.body)
	}
	forwarded := n.upstreamOf(t, site, bearer(own))
	if headerOf(t, forwarded)["typ"] != "forward+jwt" {
		t.Fatal("it is no forwarded token")
	}
	ask := func(token string) answer {
		return n.form(t, introspectPath, []string{"token", token}, clientBasic(key.ID, key.Key))
	}
	const inactive = `{"active":false}`
	for what, token := range map[string]string{
		"another's": theirs, "another's for elsewhere": elsewhere, "an API key": other.Key, "its own API key": key.Key, "an id": other.ID,
		"a forwarded token": forwarded, "one like a refresh token": "rt_" + strings.Repeat("x1", 20), "revoked": ended,
		"of a client that is disabled": ofDisabled, "of an issuer that we trust elsewhere": people(t, firstIDP, nil), "a forged one": forgedFor(t, key.ID),
		"of an assertion": assertion(t, "console", nil, nil), "garbage": "garbage", "its own, cut off": own[:len(own)-1], "no signature": own[:strings.LastIndexByte(own, '.')+1],
	} {
		t.Run(what, func(t *testing.T) {
			for _, hint := range []string{"", "access_token", "refresh_token", "nonsense"} {
				fields := []string{"token", token}
				if hint != "" {
					fields = append(fields, "token_type_hint", hint)
				}
				a := n.form(t, introspectPath, fields, clientBasic(key.ID, key.Key))
				if a.status != http.StatusOK || strings.TrimSpace(a.body) != inactive || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("status %d, %s", a.status, a.body)
				}
			}
		})
	}
	t.Run("what it may know", func(t *testing.T) {
		console := func(token string) answer {
			return n.form(t, introspectPath, append(asserted(assertion(t, "console", nil, nil))[2:], "token", token))
		}
		for what, a := range map[string]answer{"its own": ask(own), "others' for its resource": console(theirs)} {
			var known struct {
				Active bool
				Client string `json:"client_id"`
			}
			if decode(t, a.body, &known); !known.Active || known.Client == "" {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
		}
		for what, a := range map[string]answer{"others' for another resource": console(elsewhere), "a forwarded one": console(forwarded), "of a disabled client": console(ofDisabled)} {
			if strings.TrimSpace(a.body) != inactive {
				t.Errorf("%s: %s", what, a.body)
			}
		}
		if got := n.shared(t).Rules; fmt.Sprint(got) == "map[]" {
			t.Error("the rule for the revoked token is gone")
		}
	})
	t.Run("without a client nothing is said", func(t *testing.T) {
		n.form(t, introspectPath, []string{"token", own}).noToken(t, "invalid_client")
		n.form(t, introspectPath, []string{"token", own}, bearer(own)).noToken(t, "invalid_client")
	})
}

// forgedFor is a token of the service with a key that is not the service's.
func forgedFor(t *testing.T, client string) string {
	t.Helper()
	return keys(t).ES256.Token(t, peers.Claims(authIssuer, audience, object{"sub": client, "client_id": client, "jti": "forged"}), object{"typ": "at+jwt"})
}
