package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// fullDisk is a storage that can be made to store nothing.
type fullDisk struct {
	*certmagic.FileStorage
	full atomic.Bool
}

func (d *fullDisk) Store(ctx context.Context, key string, value []byte) error {
	if d.full.Load() {
		return errDisk
	}
	return d.FileStorage.Store(ctx, key, value)
}

// node is a site of a cluster: with rules and a store that it shares through a storage.
type node struct {
	*site
	disk *fullDisk
	set  *revocation.Set
	keys *apikey.Store
}

// newNode makes one, that is ready.
func newNode(t *testing.T, folder string) *node {
	t.Helper()
	n := &node{site: newSite(t), disk: &fullDisk{FileStorage: &certmagic.FileStorage{Path: folder}}}
	n.clock.Advance(time.Since(noon)) // the sets tell the time by the process's clock
	binding := func(place string) replica.Binding {
		return replica.Binding{Objects: replica.Folder(n.disk, place), Interval: time.Hour, Local: true}
	}
	revocations, partners := shared.RevocationsPlace("default"), shared.KeysPlace("default", "partners")
	n.set = revocation.NewSet(revocation.Config{Name: revocations, Binding: binding(revocations), Learned: LearnedRules(n.logs.logger())})
	n.keys = apikey.NewStore(apikey.StoreConfig{Name: "partners", Place: partners, Binding: binding(partners)})
	n.set.Start()
	n.keys.Start()
	t.Cleanup(func() {
		n.set.Close(context.Background())
		n.keys.Close(context.Background())
	})
	for _, ready := range []<-chan struct{}{n.set.Ready(), n.keys.Ready()} {
		select {
		case <-ready:
		case <-time.After(20 * time.Second):
			t.Fatal("a set does not become ready")
		}
	}
	n.state.rules, n.state.stores = n.set, []Store{n.keys}
	return n
}

func (n *node) sync() {
	n.t.Helper()
	if err := errors.Join(n.set.Sync(n.t.Context()), n.keys.Sync(n.t.Context())); err != nil {
		n.t.Fatal(err)
	}
}

// TestTwoNodes: what one is told, the other does.
func TestTwoNodes(t *testing.T) {
	folder := t.TempDir()
	one, two := newNode(t, folder), newNode(t, folder)
	two.state.node = "node-2"

	rule := want[RevocationAnswer](one.site, 201, "POST", "/jwt/revocations", `{"kind":"key","value":"k1","store":"partners","reason":"leaked"}`)
	made := want[KeyAnswer](one.site, 201, "POST", "/jwt/api-keys", `{"id":"k1","consumer":"acme","scopes":["a","b"],"meta":{"plan":"gold"}}`)
	if made.State != keyRevoked || made.Key == "" {
		t.Errorf("%+v", made)
	}
	two.sync()
	page := want[RevocationPage](two.site, 200, "GET", "/jwt/revocations?kind=key&value=k1", "")
	if len(page.Items) != 1 || page.Items[0].ID != rule.ID || page.Items[0].Reason != "leaked" || page.Items[0].Node != "node-1" || page.Items[0].By != "127.0.0.1" {
		t.Errorf("%+v", page)
	}
	if !strings.Contains(two.logs.String(), `"action":"learned"`) {
		t.Error("the other's rule is not in the audit log")
	}
	if k := want[KeyItem](two.site, 200, "GET", "/jwt/api-keys/k1", ""); k.State != keyRevoked || k.Consumer != "acme" || string(k.Meta) == "" {
		t.Errorf("%+v", k)
	}
	want[RevocationItem](two.site, 200, "DELETE", "/jwt/revocations/"+rule.ID+"?reason=found", "")
	one.sync()
	if k := want[KeyItem](one.site, 200, "GET", "/jwt/api-keys/k1", ""); k.State != keyEnabled {
		t.Errorf("%+v", k)
	}
	one.fails(404, "there is no rule with this id; GET /jwt/revocations and caddy jwt revocations list them", "DELETE", "/jwt/revocations/"+rule.ID+"?reason=found", "")

	rolled := want[KeyAnswer](two.site, 200, "PUT", "/jwt/api-keys/k1/secret", `{"overlap":"1h"}`)
	if rolled.Secrets != 2 || rolled.OldUntil.IsZero() || rolled.Key == made.Key {
		t.Errorf("%+v", rolled)
	}
	one.sync()
	for _, text := range []string{made.Key, rolled.Key} {
		if _, code := one.keys.Find(apikey.DigestOf(text), time.Now()); code != "" {
			t.Error(code)
		}
	}
	if k := want[KeyAnswer](one.site, 200, "PATCH", "/jwt/api-keys/k1", `{"scopes":["a"],"expires":"2099-01-01T00:00:00Z"}`); len(k.Scopes) != 1 || k.Secrets != 2 {
		t.Errorf("%+v", k)
	}
	if k := want[KeyAnswer](one.site, 200, "PATCH", "/jwt/api-keys/k1", `{"enabled":false}`); k.State != keyDisabled {
		t.Errorf("%+v", k)
	}
	two.sync()
	if k := want[KeyAnswer](two.site, 200, "PATCH", "/jwt/api-keys/k1", `{"enabled":true}`); k.State != keyEnabled || len(k.Scopes) != 1 {
		t.Errorf("%+v", k)
	}
	want[KeyAnswer](two.site, 200, "DELETE", "/jwt/api-keys/k1", "")
	one.sync()
	one.fails(410, "was deleted", "GET", "/jwt/api-keys/k1", "")
	one.fails(409, "was deleted, which is final", "POST", "/jwt/api-keys", `{"id":"k1"}`)
	one.noSecrets(made.Key, rolled.Key)
	two.noSecrets(made.Key, rolled.Key)
}

// TestAFullDisk: what refuses more holds on the node, what refuses less is not done.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	n := newNode(t, t.TempDir())
	rule := want[RevocationAnswer](n.site, 201, "POST", "/jwt/revocations", `{"kind":"sub","value":"alice","any_issuer":true}`)
	key := want[KeyAnswer](n.site, 201, "POST", "/jwt/api-keys", `{"id":"k1","scopes":["a"]}`)
	n.disk.full.Store(true)
	held := want[RevocationAnswer](n.site, 202, "POST", "/jwt/revocations", `{"kind":"sub","value":"bob","any_issuer":true}`)
	if held.Stored || n.set.Snapshot().Len(revocation.KindSub) != 2 {
		t.Errorf("%+v", held)
	}
	const notMade = "may still appear"
	n.fails(503, notMade, "DELETE", "/jwt/revocations/"+rule.ID+"?reason=x", "")
	n.fails(503, notMade, "POST", "/jwt/api-keys", `{"id":"k2"}`)
	n.fails(503, notMade, "PUT", "/jwt/api-keys/k1/secret", `{"overlap":"0s"}`)
	n.fails(503, notMade, "PATCH", "/jwt/api-keys/k1", `{"scopes":["a","b"]}`)
	if _, code := n.keys.Find(apikey.DigestOf(key.Key), time.Now()); code != "" {
		t.Errorf("the key does not work: %s", code)
	}
	if k := want[KeyAnswer](n.site, 202, "PATCH", "/jwt/api-keys/k1", `{"scopes":[]}`); k.Stored || len(k.Scopes) != 0 {
		t.Errorf("%+v", k)
	}
	if k := want[KeyAnswer](n.site, 202, "PATCH", "/jwt/api-keys/k1", `{"enabled":false}`); k.Stored || k.State != keyDisabled {
		t.Errorf("%+v", k)
	}
	n.fails(503, notMade, "PATCH", "/jwt/api-keys/k1", `{"enabled":true}`)
	if k := want[KeyAnswer](n.site, 202, "DELETE", "/jwt/api-keys/k1", ""); k.Stored {
		t.Errorf("%+v", k)
	}
	if _, code := n.keys.Find(apikey.DigestOf(key.Key), time.Now()); code == "" {
		t.Error("the deleted key works")
	}
	n.disk.full.Store(false)
	n.sync()
	if status := n.set.Status(); status.Unstored != 0 {
		t.Errorf("%+v", status)
	}
}

// TestManyRules: with many at once each is acknowledged, and pages end.
func TestManyRules(t *testing.T) {
	t.Parallel()
	n := newNode(t, t.TempDir())
	const rules = 1001
	var wg sync.WaitGroup
	for part := range 7 {
		wg.Go(func() {
			for i := part; i < rules; i += 7 {
				n.send("POST", "/jwt/revocations", fmt.Sprintf(`{"kind":"jti","value":"v%d","any_issuer":true}`, i))
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for after := ""; ; {
		page := want[RevocationPage](n.site, 200, "GET", "/jwt/revocations?limit=100&after="+after, "")
		for _, item := range page.Items {
			if seen[item.ID] {
				t.Errorf("%s is listed twice", item.ID)
			}
			seen[item.ID] = true
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(seen) != rules || n.set.Snapshot().Len(revocation.KindJTI) != rules {
		t.Errorf("%d rules, %d in force", len(seen), n.set.Snapshot().Len(revocation.KindJTI))
	}
	if len(chained(t, n.logs.String())) != rules {
		t.Error("lines are missing")
	}
}

// TestStateOf: the endpoint works with the state that configs have.
func TestStateOf(t *testing.T) {
	t.Parallel()
	if StateOf(nil) != nil {
		t.Error("no state is a state")
	}
	s := newSite(t)
	sources := shared.New(s.logs.logger(), storagetest.Files(t), nil)
	st, err := sources.NewState(shared.StateSettings{
		Cluster: "test-" + strings.ToLower(t.Name()), Interval: time.Hour, MaxStale: time.Hour, Stores: []string{"partners"}, StorageModule: "caddy.storage.file_system",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.app.state = StateOf(st)
	s.fails(409, "add the line `state`", "GET", "/jwt/revocations", "") // not started
	sources.StartState(false)
	t.Cleanup(func() {
		sources.StopState(false)
		if err := sources.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 12_000 {
		if s.send("GET", "/jwt/status?ready", "").Code == 200 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.clock.Advance(time.Since(noon))
	want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"jti","value":"x","any_issuer":true}`)
	want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", `{}`)
	page := want[Page](s, 200, "GET", "/jwt/status", "")
	if st := page.State; st == nil || !st.ready() || len(st.Sets) != 2 || *st.Sets[1].Keys != 1 || st.Rules["jti"] != 1 || st.Cluster == "" || st.Storage == "" || st.Node == "" {
		t.Errorf("%+v", page.State)
	}
	if keys := want[KeyPage](s, 200, "GET", "/jwt/api-keys", ""); len(keys.Items) != 1 || keys.Items[0].Uses == nil {
		t.Errorf("%+v", keys)
	}
	s.fails(409, "the config has no key", "POST", "/jwt/state/accept", `{}`)
}
