package integration

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// signingKeyItem is a key in an answer about signing keys, as far as tests read it.
type signingKeyItem struct {
	Kid       string
	State     string
	SignsFrom time.Time `json:"signs_from"`
}

// rotated is the answer of POST /jwt/signing-keys.
type rotated struct {
	Signing, Next signingKeyItem
	Retired       []string
	Rules         []string
	Stored        bool
}

func (n *node) rotate(t *testing.T, body object) (r rotated) {
	t.Helper()
	n.mustAsk(t, http.MethodPost, "/jwt/signing-keys", body, http.StatusOK, &r)
	return r
}

// kidOf is the id of the key that signed a token.
func kidOf(t *testing.T, token string) string { return fmt.Sprint(headerOf(t, token)["kid"]) }

// While keys rotate on two nodes no request is refused, and every token is one that a verifier
// accepts which has fetched the key set an hour before.
func TestThreat77_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	storage, sites := fileStorage(t.TempDir()), attackedSites(t)
	yesterday := startService(t, storage, sites, nil)
	var made []string
	yesterday.eventually("there are a key that signs and the next one", longWait, func() bool {
		made = yesterday.keySet(t, "/.well-known/jwks.json").ids(t)
		return len(made) == 2
	}, func() string { return fmt.Sprint(made) })
	yesterday.stop()
	today := map[string]string{"TEST_CLOCK_AHEAD": "25h"}
	a, b := startService(t, storage, sites, today), startService(t, storage, sites, today)
	key := a.newClientKey(t, nil)
	b.becomes(t, "the key is known", spread(), func() exchange { return b.withAPIKey(key.Key) }, accepted)
	fetched := a.keySet(t, "/.well-known/jwks.json")
	before := a.minted(t, key)
	if list := fetched.ids(t); !slices.Contains(list, made[0]) || !slices.Contains(list, made[1]) {
		t.Fatalf("the keys %q are not those of yesterday, %q", list, made)
	}
	if !issuedAhead(t, before, 24*time.Hour) {
		return // the next key would sign tomorrow
	}

	var (
		mu     sync.Mutex
		signed = map[string]int{} // tokens by key and node
		faults []string
	)
	fault := func(format string, values ...any) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, fmt.Sprintf(format, values...))
	}
	nodes := []*node{a, b}
	load := a.loadWithoutPause(4, func(worker int) exchange {
		from := nodes[worker%2]
		token, err := from.tryToken(key)
		if err != nil {
			fault("%v", err)
			time.Sleep(50 * time.Millisecond)
			return exchange{}
		}
		if err := fetched.verifies(token, authIssuer, audience); err != nil {
			fault("a verifier with a key set of an hour ago: %v", err)
		}
		for i, n := range nodes {
			if e := n.at(site, token); e.status != http.StatusOK {
				fault("node %d, of a token of node %d: %s", i, worker%2, e)
			}
		}
		mu.Lock()
		signed[fmt.Sprint(worker%2, " ", kidOf(t, token))]++
		mu.Unlock()
		return exchange{}
	})
	time.Sleep(300 * time.Millisecond)
	old := kidOf(t, before)
	first := a.rotate(t, object{"issuer": authIssuer})
	if first.Signing.Kid == old || !slices.Contains(made, first.Signing.Kid) || slices.Contains(made, first.Next.Kid) || len(first.Retired) > 0 {
		t.Errorf("%+v; want the other one of %q to sign, and a new one to be the next", first, made)
	}
	b.eventually("the other node signs with the next key", spread(), func() bool {
		token, err := b.tryToken(key)
		return err == nil && kidOf(t, token) == first.Signing.Kid
	}, b.logs.String)
	// The next key is new, so that it can't sign before a day is over, no matter who asks for it.
	second := b.rotate(t, object{"issuer": authIssuer})
	if second.Signing.Kid != first.Signing.Kid || time.Until(second.Next.SignsFrom) < 47*time.Hour {
		t.Errorf("%+v; want %s to sign on for a day", second, first.Signing.Kid)
	}
	time.Sleep(spread())
	load.stop()
	for _, f := range faults[:min(len(faults), 10)] {
		t.Error(f)
	}
	for i := range nodes {
		for _, kid := range made {
			if signed[fmt.Sprint(i, " ", kid)] == 0 {
				t.Errorf("node %d signed nothing with %s: %v", i, kid, signed)
			}
		}
	}
	t.Logf("%v; %d faults", signed, len(faults))
	for _, n := range nodes {
		n.is(t, "a token of the key before", n.at(site, before), accepted)
		for _, kid := range append(made, first.Next.Kid) {
			if list := n.keySet(t, "/.well-known/jwks.json").ids(t); !slices.Contains(list, kid) {
				t.Errorf("%s is not published: %q", kid, list)
			}
		}
	}
}

// privateKeys are the private keys in a storage, by id, and their files.
func privateKeys(t *testing.T, storage string) (keys map[string]crypto.Signer, files map[string]string) {
	t.Helper()
	keys, files = map[string]crypto.Signer{}, map[string]string{}
	err := filepath.WalkDir(storage, func(path string, item fs.DirEntry, err error) error {
		if err != nil || !item.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			if os.IsNotExist(err) {
				return nil // it was just deleted
			}
			return err
		}
		var stored struct {
			Kid   string `json:"kid"`
			PKCS8 []byte `json:"pkcs8"`
		}
		if json.Unmarshal(content, &stored) != nil || stored.PKCS8 == nil {
			return nil
		}
		private, err := x509.ParsePKCS8PrivateKey(stored.PKCS8)
		if err != nil {
			return err
		}
		signer, ok := private.(crypto.Signer)
		if !ok {
			return fmt.Errorf("%s is of no signer", path)
		}
		keys[stored.Kid], files[stored.Kid] = signer, path
		return nil
	})
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d private keys in the storage, %v", len(keys), err)
	}
	return keys, files
}

// put copies a folder over another one.
func put(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, item fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if item.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			if os.IsNotExist(err) {
				return nil // an object was just merged
			}
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Keys that are retired at once are dead on all nodes, no matter who has a copy of the storage, and
// also if that is put back.
func TestThreat77_AStolenStorageSignsNoMore(t *testing.T) {
	t.Parallel()
	dir, stolen := t.TempDir(), t.TempDir()
	sites := attackedSites(t)
	a := startService(t, fileStorage(dir), sites, nil)
	b := startService(t, fileStorage(dir), sites, nil)
	key := a.newClientKey(t, nil)
	b.becomes(t, "the key is known", spread(), func() exchange { return b.withAPIKey(key.Key) }, accepted)
	a.eventually("there are a key that signs and the next one", longWait, func() bool {
		there, _ := privateKeys(t, dir)
		return len(there) == 2
	}, a.logs.String)
	put(t, dir, stolen)
	old, _ := privateKeys(t, stolen)
	tokens := map[string]string{"a token of the first node": a.minted(t, key), "a token of the second": b.minted(t, key)}
	forge := func() map[string]string {
		forged := map[string]string{}
		for kid, private := range old {
			thief := &peers.Key{KID: kid, Alg: "ES256", Private: private}
			forged["forged with "+kid] = thief.Token(t, peers.Claims(authIssuer, audience, object{"sub": key.ID, "client_id": key.ID, "jti": fmt.Sprint("forged-", time.Now().UnixNano())}), object{"typ": "at+jwt"})
		}
		return forged
	}
	signing := kidOf(t, tokens["a token of the first node"])
	for what, token := range forge() {
		tokens[what] = token
	}
	for what, token := range tokens {
		for _, n := range []*node{a, b} {
			want := accepted
			if kidOf(t, token) != signing {
				// Of the next key it is already known: nothing else tells it from a good one.
				want = n.at(site, token).String()
			}
			n.is(t, what+", before", n.at(site, token), want)
		}
	}
	result := a.rotate(t, object{"issuer": authIssuer, "retire_now": true})
	began := time.Now()
	for kid := range old {
		if !slices.Contains(result.Retired, kid) {
			t.Errorf("%s is not retired: %+v", kid, result)
		}
	}
	if len(result.Rules) == 0 || !result.Stored || old[result.Signing.Kid] != nil || old[result.Next.Kid] != nil {
		t.Errorf("%+v", result)
	}
	dead := func(e exchange) exchange {
		// It does not matter by which of its defences.
		if slices.Contains([]string{"revoked", "unknown_key"}, e.reason) {
			e.reason = "dead"
		}
		return e
	}
	isDead := func(what string, n *node, token string) {
		t.Helper()
		n.is(t, what, dead(n.at(site, token)), "401 dead")
	}
	for what, token := range tokens {
		isDead(what+" at once", a, token)
	}
	for what, token := range tokens {
		b.becomes(t, what+" on the other node", spread()-time.Since(began), func() exchange { return dead(b.at(site, token)) }, "401 dead")
	}
	t.Logf("refused on the other node within %s", time.Since(began).Round(10*time.Millisecond))
	alive := func(what string) {
		t.Helper()
		for i, n := range []*node{a, b} {
			n.eventually(fmt.Sprintf("%s: node %d signs with a new key", what, i), spread(), func() bool {
				token, err := n.tryToken(key)
				return err == nil && kidOf(t, token) == result.Signing.Kid
			}, n.logs.String)
			token := n.minted(t, key)
			a.is(t, what+": a new token", a.at(site, token), accepted)
			b.is(t, what+": a new token on the other node", b.at(site, token), accepted)
			for kid := range old {
				if slices.Contains(n.keySet(t, "/.well-known/jwks.json").ids(t), kid) {
					t.Errorf("%s: %s is published by node %d", what, kid, i)
				}
			}
		}
	}
	gone := func(what string) {
		t.Helper()
		var left map[string]crypto.Signer
		a.eventually(what+": no private key of before is left", 2*spread(), func() bool {
			left, _ = privateKeys(t, dir)
			return left[result.Signing.Kid] != nil && left[result.Next.Kid] != nil && len(left) == 2
		}, func() string { return fmt.Sprintf("%q", slices.Collect(maps.Keys(left))) })
	}
	alive("after the rotation")
	gone("after the rotation")

	t.Run("a Caddy on the copy", func(t *testing.T) {
		thief := startService(t, fileStorage(stolen), sites, nil)
		token := thief.minted(t, key)
		for _, n := range []*node{a, b} {
			isDead("a token of its own", n, token)
		}
	})
	put(t, stolen, dir)
	time.Sleep(2 * syncInterval)
	for _, n := range []*node{a, b} {
		for what, token := range forge() {
			isDead(what+", with the copy put back", n, token)
		}
	}
	alive("with the copy put back")
	gone("with the copy put back")
	b.stop()
	b.again()
	b.untilIssuing(t)
	for what, token := range forge() {
		isDead(what+", after a restart", b, token)
	}
	alive("after a restart")
}

// Two nodes that are the first of their storage agree on the keys, and take each other's tokens
// meanwhile.
func TestThreat77_TwoFirstNodesAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nodes := make([]*node, 2)
	for i := range nodes {
		nodes[i] = newNode(t, options{global: serviceOptions(t, fileStorage(dir))})
		nodes[i].sites = attackedSites(t)
		nodes[i].begin()
	}
	var tokens []string
	for _, n := range nodes {
		n.waitUntilItRuns()
		n.untilIssuing(t)
	}
	key := nodes[0].newClientKey(t, nil)
	for _, n := range nodes {
		n.becomes(t, "the key is known", spread(), func() exchange { return n.withAPIKey(key.Key) }, accepted)
		tokens = append(tokens, n.minted(t, key))
	}
	for range 3 {
		for i, n := range nodes {
			for j, token := range tokens {
				n.is(t, fmt.Sprintf("token %d at node %d", j, i), n.at(site, token), accepted)
			}
			tokens = append(tokens, n.minted(t, key))
		}
		time.Sleep(syncInterval / 2)
	}
	nodes[0].eventually("both have the same keys and sign with the same one", 2*spread(), func() bool {
		var sets []string
		for _, n := range nodes {
			ids := n.keySet(t, "/.well-known/jwks.json").ids(t)
			slices.Sort(ids)
			sets = append(sets, fmt.Sprint(ids, kidOf(t, n.minted(t, key))))
		}
		return sets[0] == sets[1]
	}, nodes[0].logs.String)
	set := nodes[1].keySet(t, "/.well-known/jwks.json")
	for i, token := range tokens {
		if err := set.verifies(token, authIssuer, audience); err != nil {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

// While the storage is away nodes issue and accept on, and a key that they can't look up is not
// known to be a wrong one: 503 and not 401. A node that starts has no keys, and says so.
func TestThreat77_TheStorageIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startService(t, fileStorage(dir), attackedSites(t), nil)
	key := n.newClientKey(t, nil)
	before := n.minted(t, key)
	unknown := keys(t).ES256.Named(strings.Repeat("A", 42)+"E").Token(t, peers.Claims(authIssuer, audience, object{"client_id": key.ID, "jti": "unknown"}), object{"typ": "at+jwt"})
	isUnknown := func(what string) {
		t.Helper()
		n.becomes(t, what, longWait, func() exchange { return n.at(site, unknown) }, "401 unknown_key")
	}
	isUnknown("an unknown key")
	folder, away := filepath.Join(dir, "jwt", "default"), filepath.Join(dir, "away")
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	writeFile(t, folder, "no folder") // rights are not asked of root
	n.becomes(t, "an unknown key while the storage is away", longWait, func() exchange { return n.at(site, unknown) }, "503 keys_unavailable")
	n.is(t, "a token of before", n.at(site, before), accepted)
	n.is(t, "a new one", n.at(site, n.minted(t, key)), accepted)
	n.kill()
	n.again()
	a := n.withKeyOf(t, key)
	if a.noToken(t, "temporarily_unavailable"); a.header.Get("Retry-After") == "" {
		t.Errorf("it does not say when to come again: %v", a.header)
	}
	if e := n.at(site, before); e.status != http.StatusServiceUnavailable {
		t.Errorf("a token after the start: %s", e)
	}
	if a := n.request(t, http.MethodGet, authHost, "/.well-known/jwks.json", ""); a.status != http.StatusServiceUnavailable || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the key set: status %d, %v, %s", a.status, a.header, a.body)
	}
	removeFile(t, folder)
	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	n.becomes(t, "a token of before, once it is back", longWait, func() exchange { return n.at(site, before) }, accepted)
	n.is(t, "a new one", n.at(site, n.minted(t, key)), accepted)
	isUnknown("an unknown key once it is back")
}
