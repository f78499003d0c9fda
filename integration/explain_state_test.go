package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestExplainWhileTheStateIsAway asks a node that could not read the shared state since its
// start, and refuses everybody therefore; and the node beside it that could.
func TestExplainWhileTheStateIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := options{global: clusterOptions(t, fileStorage(dir), "")}
	n := startNode(t, opts)
	n.untilReady(t, longWait)
	key, off := n.mustCreateKey(t), n.mustCreateKey(t)
	n.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+off.ID, map[string]any{"enabled": false})
	n.mustRevoke(t, http.StatusCreated, "bad")
	good, bad := jtiToken(t, "good"), jtiToken(t, "bad")

	questions := map[string]object{
		"a good token":    {"site": site, "token": good},
		"a revoked token": {"site": site, "token": bad},
		"a key":           {"site": site, "api_key": key.Key},
		"a disabled key":  {"site": site, "api_key": off.Key},
	}
	each := func(t *testing.T, what string, n *node, want map[string]string) {
		t.Helper()
		for name, question := range questions {
			e := n.mustExplain(t, question)
			if got := e.Verdict + " " + e.Reason; got != want[name] {
				t.Errorf("%s, %s: %s; want %s\n%s", what, name, got, want[name], e)
			}
		}
	}
	known := map[string]string{
		"a good token": "accepted ", "a revoked token": "refused revoked", "a key": "accepted ", "a disabled key": "refused api_key_disabled",
	}
	each(t, "the first node", n, known)

	// Another node follows it, from the same storage.
	second := startNode(t, opts)
	second.untilReady(t, longWait)
	late := n.mustCreateKey(t)
	n.mustRevoke(t, http.StatusCreated, "late")
	token := jtiToken(t, "late")
	second.becomes(t, "the second node knows the rule", longWait, func() exchange { return second.withToken(token) }, isRevoked)
	second.becomes(t, "and the key", longWait, func() exchange { return second.withAPIKey(late.Key) }, accepted)
	each(t, "the second node", second, known)
	if e := second.mustExplain(t, object{"site": site, "token": token}); e.Reason != "revoked" {
		t.Errorf("a rule of the other node: %s", e)
	}

	hide(t, dir)
	n.kill()
	n.again()
	away := map[string]string{}
	for name := range questions {
		away[name] = "refused revocations_unavailable"
	}
	away["a key"], away["a disabled key"] = "refused api_keys_unavailable", "refused api_keys_unavailable"
	n.is(t, "a token", n.withToken(good), unavailable)
	n.is(t, "a key", n.withAPIKey(key.Key), "503 api_keys_unavailable")
	each(t, "the first node, started again", n, away)

	// Without a server, what can't be known is not said to be one or the other.
	for name, question := range questions {
		q := asked{host: site}
		q.token, _ = question["token"].(string)
		q.key, _ = question["api_key"].(string)
		e := q.byCommand(t, n.dir, n.opts.env, "--config", filepath.Join(n.dir, "Caddyfile"))
		if e.Verdict != "undecided" && e.Verdict != "refused" || e.Verdict == "refused" && e.Status != http.StatusServiceUnavailable {
			t.Errorf("%s, offline: %s", name, e)
		}
	}
}

// hide puts files in the place of the folders of the shared state in a storage.
func hide(t *testing.T, storage string) {
	t.Helper()
	for _, name := range []string{"revocations", "keys-partners"} {
		folder := filepath.Join(storage, "jwt", "default", name)
		if err := os.Rename(folder, filepath.Join(storage, name+"-away")); err != nil {
			t.Fatal(err)
		}
		writeFile(t, folder, "no folder") // rights are not asked of root
	}
}

// TestExplainDuringReloads asks while the config is replaced again and again: each answer is
// that of one config, and none is an error.
func TestExplainDuringReloads(t *testing.T) {
	t.Parallel()
	d := newExplainer(t, explainSiteOnly, options{})
	k := keys(t)
	token := k.ES256.Token(t, d.claims(map[string]any{"scope": "read"}), nil)
	withRule := shown + `
http://api.example.test {
	jwt {
		import from_issuer
		require scope write
	}
	import in
	import shown
}
http://open.example.test {
	respond "open"
}
`
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 12 {
			sites := d.sites
			if n%2 == 0 {
				sites = withRule
			}
			if err := d.caddy.reload(sites); err != nil {
				t.Errorf("reload: %v", err)
			}
		}
	}()
	verdicts := map[string]int{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		a, err := d.tryAsk(http.MethodPost, "/jwt/explain", toJSON(t, object{"site": site, "token": token}))
		if err != nil {
			continue // the endpoint of before took the connection, and ended with it
		}
		var e explained
		if a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
			break
		}
		decode(t, a.body, &e)
		verdicts[e.Verdict+" "+e.Reason]++
		if e.Verdict != "accepted" && e.Reason != "insufficient_scope" {
			t.Errorf("%s", a.body)
			break
		}
	}
	<-done
	if len(verdicts) != 2 {
		t.Errorf("the answers were %v", verdicts)
	}
	deadline := time.Now().Add(longWait)
	for e := d.mustExplain(t, object{"site": site, "token": token}); e.Verdict != "accepted"; e = d.mustExplain(t, object{"site": site, "token": token}) {
		if time.Now().After(deadline) {
			t.Fatalf("after the last reload: %s", e)
		}
	}
}
