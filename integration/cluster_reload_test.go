package integration

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// statelessSites are those of a node without shared state.
const statelessSites = `
http://api.example.test {
	jwt {
		issuer corp
		audience https://api.example.test
	}
	respond "in"
	import reasons
}
http://open.example.test {
	respond "open"
}
`

// statelessOptions are the global options for them.
func statelessOptions(t *testing.T, storage string) string {
	t.Helper()
	return fmt.Sprintf("%s\n\tjwt {\n\t\tissuer corp %s {\n\t\t\tpublic_key %s\n\t\t}\n\t}", storage, clusterIssuer, keys(t).ES256.PublicFile(t))
}

// use replaces sites and global options.
func (n *node) use(t *testing.T, sites, global string) {
	t.Helper()
	n.sites = sites
	if err := n.reload(global); err != nil {
		t.Fatalf("%v\n%s", err, n.logs)
	}
}

// generationOptions are those of clusterOptions with something that differs each time.
func generationOptions(global string, i int) string {
	return strings.Replace(global, "\t\tstate {", fmt.Sprintf("\t\tstate {\n\t\t\tmax_stale %dm", 60+i), 1)
}

// watched sends a good token all the time, and what was revoked, and wants the same answers
// all the time.
func (n *node) watched(t *testing.T, good, bad, badWants string) (stop func()) {
	t.Helper()
	goods := n.loadWithoutPause(2, func(int) exchange {
		defer time.Sleep(2 * time.Millisecond)
		return n.withToken(good)
	})
	bads := n.loadWithoutPause(1, func(int) exchange {
		defer time.Sleep(2 * time.Millisecond)
		return n.withToken(bad)
	})
	return func() {
		t.Helper()
		for want, all := range map[string][]exchange{accepted: goods.stop(), badWants: bads.stop()} {
			wrong, failed := 0, 0
			for _, e := range all {
				switch e.String() {
				case want:
				default:
					if e.err != nil {
						failed++ // Caddy's listeners are replaced, too
					} else if wrong++; wrong == 1 {
						t.Errorf("an answer is %s; want %s", e, want)
					}
				}
			}
			t.Logf("%d requests that are answered %s, %d without a connection, %d wrong", len(all), want, failed, wrong)
			if wrong > 0 || failed > 3+len(all)/20 {
				t.Errorf("%d of %d answers are wrong, %d requests had no connection", wrong, len(all), failed)
			}
		}
	}
}

func TestThreat37_ReloadsOfTheSharedState(t *testing.T) {
	t.Parallel()
	for name, storage := range map[string]func(t *testing.T) (one, other string){
		"files": func(t *testing.T) (string, string) { return fileStorage(t.TempDir()), fileStorage(t.TempDir()) },
		"Redis": func(t *testing.T) (string, string) {
			need(t, redisPlugin)
			return startRedis(t).option(), fileStorage(t.TempDir())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := storage(t)
			with := clusterOptions(t, one, "")
			good, bad, more := jtiToken(t, "good"), jtiToken(t, "bad"), jtiToken(t, "more")
			n := startStateless(t, options{global: statelessOptions(t, one), level: "INFO"})
			if c, err := n.revoke("bad"); err != nil || c.status != http.StatusConflict || !strings.Contains(c.Error, "state") {
				t.Errorf("revoking without state: status %d, %s, %v; want 409 with the line to add", c.status, c.Error, err)
			}

			stop := n.watched(t, good, good, accepted)
			n.use(t, clusterSites, with)
			n.untilReady(t, 20*time.Second)
			time.Sleep(200 * time.Millisecond)
			stop()

			n.mustRevoke(t, http.StatusCreated, "bad")
			key := n.mustCreateKey(t)
			stop = n.watched(t, good, bad, isRevoked)
			mark := n.logs.mark()
			for i := range 5 {
				n.use(t, clusterSites, generationOptions(with, i))
				n.mustRevoke(t, http.StatusCreated, fmt.Sprintf("reload-%d", i))
			}
			if got := n.logged(mark, "is accepted again") + n.logged(mark, "storage has changed"); got != 0 {
				t.Errorf("%d lines warn of reloads that change nothing of the state", got)
			}
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			// A config that can't be started: a port is taken. The one before goes on, in its
			// storage.
			for i := range 3 {
				n.sites = strings.Replace(clusterSites, "http://open.example.test {", fmt.Sprintf("http://open.example.test, http://open.example.test:%d {", taken.Addr().(*net.TCPAddr).Port), 1)
				global := generationOptions(with, 20+i)
				if i == 2 {
					global = clusterOptions(t, other, "")
				}
				if err := n.reload(global); err == nil {
					t.Error("a config was loaded that can't be started")
				}
				n.sites = clusterSites
				if c := n.mustRevoke(t, http.StatusCreated, fmt.Sprintf("failed-%d", i)); !c.kept() {
					t.Errorf("after a failed reload: %+v", c)
				}
				n.is(t, "a key after a failed reload", n.withAPIKey(key.Key), accepted)
			}
			n.use(t, clusterSites, generationOptions(with, 30))

			// To another storage and back. What was revoked stays so, on both.
			mark = n.logs.mark()
			n.use(t, clusterSites, clusterOptions(t, other, ""))
			n.is(t, "a key of the storage before", n.withAPIKey(key.Key), accepted)
			if n.logged(mark, "storage has changed") == 0 {
				t.Error("no line says that the storage has changed")
			}
			n.eventually("it is in step with the other storage", 20*time.Second, func() bool {
				c, err := n.revoke("more")
				return err == nil && c.status == http.StatusCreated
			}, func() string { return n.logs.String() })
			n.is(t, "revoked in the other storage", n.withToken(more), isRevoked)
			n.use(t, clusterSites, with)
			time.Sleep(3 * syncInterval)
			n.is(t, "revoked in the other storage, back in the first", n.withToken(more), isRevoked)
			n.mustRevoke(t, http.StatusCreated, "back")
			stop()

			// The storage holds what was revoked in it, whatever was loaded meanwhile.
			n.kill()
			n.again()
			n.is(t, "bad", n.withToken(bad), isRevoked)
			for _, jti := range []string{"back", "reload-4", "failed-0", "failed-1", "failed-2"} {
				n.is(t, jti, n.withToken(jtiToken(t, jti)), isRevoked)
			}

			mark = n.logs.mark()
			n.use(t, statelessSites, statelessOptions(t, one))
			n.is(t, "without state", n.withToken(bad), accepted)
			n.eventually("the log warns", 5*time.Second, func() bool { return n.logged(mark, "is accepted again") > 0 },
				func() string { return n.logs.String() })
			stop = n.watched(t, good, good, accepted)
			n.use(t, clusterSites, with)
			n.becomes(t, "with state again", 10*time.Second, func() exchange { return n.withToken(bad) }, isRevoked)
			stop()
		})
	}
}

func TestReloadsWithSharedStateLeakNothing(t *testing.T) {
	needProc(t)
	t.Parallel()
	for name, opts := range clusterStorages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := opts(t)
			o.level = "INFO"
			n := startNode(t, o)
			n.untilReady(t, 20*time.Second)
			n.mustRevoke(t, http.StatusCreated, "bad")
			with := n.opts.global
			reloads := func(from, to int) {
				for i := from; i < to; i++ {
					n.use(t, clusterSites, generationOptions(with, i))
				}
			}
			reloads(0, 10)
			n.client.CloseIdleConnections()
			adminChanges.CloseIdleConnections()
			time.Sleep(1500 * time.Millisecond) // the grace period
			before := n.size(t)
			stop := n.watched(t, jtiToken(t, "good"), jtiToken(t, "bad"), isRevoked)
			reloads(10, 60)
			stop()
			n.client.CloseIdleConnections()
			after := n.settled(t, before)
			t.Logf("%+v to %+v", before, after)
			if after.goroutines > before.goroutines+5 || after.files > before.files+5 {
				t.Errorf("%+v before, %+v after:\n%s", before, after, n.profile(t, "goroutine?debug=1"))
			}
		})
	}
}

// Nobody asked for shared state: nothing of it is read or written, whatever the storage
// is like.
func TestThreat66_WithoutStateTheStorageDoesNotMatter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir+"/jwt", "no folder") // neither list nor write can succeed
	n := startStateless(t, options{global: statelessOptions(t, fileStorage(dir))})
	token := keys(t).ES256.Token(t, peers.Claims(clusterIssuer, audience, nil), nil)
	for range 50 {
		n.is(t, "a token", n.withToken(token), accepted)
	}
	a, err := n.adminGet("/jwt/status")
	if err != nil || strings.Contains(a, `"state"`) && strings.Contains(a, `"sets"`) {
		t.Errorf("the status has shared state, or none at all: %v %s", err, a)
	}
	for name := range n.metrics(t) {
		if strings.HasPrefix(name, "caddy_jwt_state_") {
			t.Errorf("there is a metric %s", name)
		}
	}
	if n.logged(0, "shared state") != 0 {
		t.Error("the log speaks of shared state")
	}
}
