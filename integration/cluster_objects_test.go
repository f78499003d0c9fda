package integration

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// object is an object of a set, made without the code under test.
type madeObject struct {
	name    string
	content []byte
}

// newObject makes an object of the facts' lines. It is compressed if the name of the test
// that wants it says so.
func newObject(version int, at time.Time, replaces []string, packed bool, lines ...string) madeObject {
	head := fmt.Sprintf(`{"jwt":%d,"n":%d,"t":%d,"last":0`, version, len(lines), at.Unix())
	if len(replaces) > 0 {
		head += fmt.Sprintf(`,"replaces":["%s"]`, strings.Join(replaces, `","`))
	}
	content := []byte(head + "}\n" + strings.Join(append(lines, ""), "\n"))
	if packed {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(content)
		_ = z.Close()
		content = b.Bytes()
	}
	sum := sha256.Sum256(content)
	return madeObject{fmt.Sprintf("%010d-%s", at.Unix(), hex.EncodeToString(sum[:16])), content}
}

func (o madeObject) put(t *testing.T, folder string) {
	t.Helper()
	writeFile(t, filepath.Join(folder, o.name), string(o.content))
}

// ruleLine is a rule for a jti as an object has it.
func ruleLine(id int, jti string, more string) string {
	return fmt.Sprintf(`{"id":%d,"k":"jti","v":"%s","iss":"%s","why":"by hand","at":%d%s}`, id, jti, clusterIssuer, time.Now().Unix(), more)
}

// objectsIn are the names of the objects in a folder.
func objectsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name()) == 43 {
			names = append(names, e.Name())
		}
	}
	return names
}

// plainObject is the content of an object, unpacked.
func plainObject(t *testing.T, path string) string {
	t.Helper()
	content := []byte(readFile(t, path))
	if !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		return string(content)
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whatever else is in the folder, what is good in it is used, and what can't be is counted.
func TestThreat60_OtherThingsInTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "")})
	n.untilReady(t, 20*time.Second)
	n.mustRevoke(t, http.StatusCreated, "good")
	folder := filepath.Join(dir, "jwt", "default", "revocations")
	now := time.Now()

	// Names that are none of objects are nothing to the node.
	for _, name := range []string{"README", "12345", ".new-1", "zz-caddy-jwt-2", "1795913000-short", "1795913000-" + strings.Repeat("A", 32),
		"%2e%2e", "..hidden", "..%2f..%2fx", "a b", "\u202e", strings.Repeat("x", 200)} {
		writeFile(t, filepath.Join(folder, name), "foreign")
	}
	if err := os.MkdirAll(filepath.Join(folder, "deeper", "still"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := n.set(t, "revocations"); got.Damaged != 0 {
		t.Errorf("foreign names: %+v", got)
	}

	// Those that are, with something else in them.
	whole := newObject(1, now, nil, false, ruleLine(1, "whole", ""))
	packed := newObject(1, now, nil, true, ruleLine(2, "packed", ""))
	torn := newObject(1, now, nil, false, ruleLine(3, "torn", ""))
	torn.content = torn.content[:len(torn.content)-9]
	altered := newObject(1, now, nil, false, ruleLine(4, "altered", ""))
	altered.content = bytes.Replace(altered.content, []byte("altered"), []byte("another"), 1)
	bomb := newObject(1, now, nil, true, strings.Repeat(" ", 80<<20))
	oversized := newObject(1, now, nil, false, ruleLine(5, "oversized", `,"by":"`+strings.Repeat("x", 300<<10)+`"`))
	fewer := newObject(1, now, nil, false, ruleLine(6, "fewer", "")+"\n"+ruleLine(7, "fewer-too", ""))
	fewer = rename(bytes.Replace(fewer.content, []byte(`"n":1`), []byte(`"n":7`), 1), now)
	noJSON := rename([]byte("\x00\x01\x02 no JSON\n"), now)
	climbing := rename([]byte(fmt.Sprintf(`{"jwt":1,"n":1,"t":%d,"last":0,"replaces":["../../../etc/passwd"]}`+"\n%s\n", now.Unix(), ruleLine(8, "climbing", ""))), now)
	bad := []madeObject{torn, altered, bomb, oversized, fewer, noJSON, climbing}
	for _, o := range append(bad, whole, packed) {
		o.put(t, folder)
	}
	asFolder := newObject(1, now, nil, false, ruleLine(9, "folder", ""))
	if err := os.Mkdir(filepath.Join(folder, asFolder.name), 0o700); err != nil {
		t.Fatal(err)
	}
	asPipe := newObject(1, now, nil, false, ruleLine(10, "pipe", ""))
	if err := syscall.Mkfifo(filepath.Join(folder, asPipe.name), 0o600); err != nil {
		t.Fatal(err)
	}
	mark := n.logs.mark()
	check := func(when string) {
		t.Helper()
		n.becomes(t, when+": a whole object", spread(), func() exchange { return n.withToken(jtiToken(t, "whole")) }, isRevoked)
		n.becomes(t, when+": a packed object", spread(), func() exchange { return n.withToken(jtiToken(t, "packed")) }, isRevoked)
		n.is(t, when+": the rule of before", n.withToken(jtiToken(t, "good")), isRevoked)
		for _, jti := range []string{"torn", "altered", "another", "oversized", "fewer", "fewer-too", "climbing", "folder", "pipe"} {
			n.is(t, when+": "+jti, n.withToken(jtiToken(t, jti)), accepted)
		}
		s := n.untilSet(t, when+": counted", "revocations", spread(), func(s setStatus) bool { return s.Damaged == len(bad)+2 })
		if !s.Ready || s.Error != "" {
			t.Errorf("%s: %+v", when, s)
		}
		if m := n.metrics(t)[`caddy_jwt_state_damaged{set="revocations"}`]; m != float64(len(bad)+2) {
			t.Errorf("%s: the metric shows %v damaged objects; want %d", when, m, len(bad)+2)
		}
	}
	check("running")
	for _, o := range append(bad, asFolder, asPipe) {
		if n.logged(mark, o.name) != 1 {
			t.Errorf("%d lines of the log name the object %s; want one", n.logged(mark, o.name), o.name)
		}
	}
	if mib := n.heapMiB(t); mib > 60 {
		t.Errorf("the heap has %.0f MiB", mib)
	}
	n.mustRevoke(t, http.StatusCreated, "after")
	n.kill()
	n.again()
	n.is(t, "a good token after the start", n.withToken(jtiToken(t, "fine")), accepted)
	check("started")
	n.is(t, "what was revoked among them", n.withToken(jtiToken(t, "after")), isRevoked)
}

// rename makes an object of a content, with the name that is right for it.
func rename(content []byte, at time.Time) madeObject {
	sum := sha256.Sum256(content)
	return madeObject{fmt.Sprintf("%010d-%s", at.Unix(), hex.EncodeToString(sum[:16])), content}
}

// Two clusters, and two stores, in one storage know nothing of each other.
func TestThreat60_OtherClustersAndStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	production := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "cluster production")})
	staging := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "cluster staging")})
	production.untilReady(t, 20*time.Second)
	staging.untilReady(t, 20*time.Second)
	key := staging.mustCreateKey(t)
	staging.mustRevoke(t, http.StatusCreated, "on-staging")
	production.mustRevoke(t, http.StatusCreated, "in-production")
	time.Sleep(2 * spread())
	staging.is(t, "its own key", staging.withAPIKey(key.Key), accepted)
	production.is(t, "a key of staging", production.withAPIKey(key.Key), isUnknown)
	production.is(t, "a token revoked on staging", production.withToken(jtiToken(t, "on-staging")), accepted)
	staging.is(t, "a token revoked in production", staging.withToken(jtiToken(t, "in-production")), accepted)

	// An object of one set in the folder of another is no fact of it.
	from, to := filepath.Join(dir, "jwt", "staging", "keys-partners"), filepath.Join(dir, "jwt", "production", "revocations")
	for _, name := range objectsIn(t, from) {
		writeFile(t, filepath.Join(to, name), readFile(t, filepath.Join(from, name)))
	}
	time.Sleep(spread())
	production.is(t, "a good token", production.withToken(jtiToken(t, "good")), accepted)
	production.is(t, "a token revoked in production", production.withToken(jtiToken(t, "in-production")), isRevoked)
	production.is(t, "a key of staging", production.withAPIKey(key.Key), isUnknown)
	if s := production.set(t, "revocations"); s.Unknown+s.Damaged == 0 || !s.Ready {
		t.Errorf("facts of API keys among the revocations: %+v", s)
	}
}

// With a key, what somebody else has put into the storage counts for nothing.
func TestThreat60_UnsignedObjectsUnderAKey(t *testing.T) {
	t.Parallel()
	dir, stranger := t.TempDir(), t.TempDir()
	without := options{global: clusterOptions(t, fileStorage(dir), "")}
	secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	with := clusterOptions(t, fileStorage(dir), "key {env.STATE_KEY}")
	without.env = map[string]string{"STATE_KEY": secret}
	n := startNode(t, without)
	n.untilReady(t, 20*time.Second)
	rule := n.mustRevoke(t, http.StatusCreated, "rule")
	key := n.mustCreateKey(t)

	// A set that was made without the key is never taken for an empty one.
	n.kill()
	n.opts.global = with
	n.again()
	for range 3 {
		n.is(t, "not accepted yet: a revoked token", n.withToken(jtiToken(t, "rule")), unavailable)
		n.is(t, "not accepted yet: a good token", n.withToken(jtiToken(t, "good")), unavailable)
	}
	if s := n.set(t, "revocations"); !s.Unsigned || s.Ready {
		t.Errorf("%+v", s)
	}
	n.must(t, http.StatusOK, http.MethodPost, "/jwt/state/accept", map[string]any{})
	n.untilReady(t, 10*time.Second)
	n.is(t, "a revoked token", n.withToken(jtiToken(t, "rule")), isRevoked)
	n.is(t, "a good token", n.withToken(jtiToken(t, "good")), accepted)
	n.is(t, "a key", n.withAPIKey(key.Key), accepted)

	planted := plant(t, dir, stranger)
	damaged := func(name string) {
		t.Helper()
		n.untilSet(t, "it is counted", name, 2*spread(), func(s setStatus) bool { return s.Damaged > 0 })
	}
	damaged("keys-partners")
	damaged("revocations")
	n.is(t, "a planted key", n.withAPIKey(planted.Key), isUnknown)
	n.is(t, "a rule with a planted removal", n.withToken(jtiToken(t, "rule")), isRevoked)
	n.is(t, "a good token under a planted rule", n.withToken(jtiToken(t, "good")), accepted)
	n.kill()
	n.again()
	n.is(t, "after a start: a planted key", n.withAPIKey(planted.Key), isUnknown)
	n.is(t, "after a start: a rule with a planted removal", n.withToken(jtiToken(t, "rule")), isRevoked)
	n.is(t, "after a start: a good token under a planted rule", n.withToken(jtiToken(t, "good")), accepted)
	n.must(t, http.StatusOK, http.MethodDelete, "/jwt/revocations/"+rule.ID+"?reason=test", nil)
	n.is(t, "after its removal", n.withToken(jtiToken(t, "rule")), accepted)
	if strings.Contains(n.logs.String(), secret) {
		t.Error("the key of the state is in the log")
	}
}

// plant puts into a storage what a stranger might: a key of the stranger's own storage, the
// removal of the rule "rule", and a rule that refuses everybody.
func plant(t *testing.T, dir, stranger string) changeAnswer {
	t.Helper()
	other := startNode(t, options{global: clusterOptions(t, fileStorage(stranger), "")})
	other.untilReady(t, 20*time.Second)
	key := other.mustCreateKey(t)
	keysFolder, rulesFolder := filepath.Join(dir, "jwt", "default", "keys-partners"), filepath.Join(dir, "jwt", "default", "revocations")
	strangersKeys := filepath.Join(stranger, "jwt", "default", "keys-partners")
	for _, name := range objectsIn(t, strangersKeys) {
		writeFile(t, filepath.Join(keysFolder, name), readFile(t, filepath.Join(strangersKeys, name)))
	}
	removals := 0
	for _, name := range objectsIn(t, rulesFolder) {
		if lines := strings.SplitN(plainObject(t, filepath.Join(rulesFolder, name)), "\n", 3); len(lines) > 1 && strings.Contains(lines[1], `"rule"`) {
			gone := strings.Replace(lines[1], "{", `{"gone":true,`, 1)
			newObject(1, time.Now(), []string{name}, false, gone).put(t, rulesFolder)
			removals++
		}
	}
	if removals == 0 {
		t.Fatal("there is no rule to remove")
	}
	everybody := fmt.Sprintf(`{"id":1,"k":"issuer","v":"%s","nbf":%d,"at":1}`, clusterIssuer, time.Now().Add(time.Hour).Unix())
	newObject(1, time.Now(), nil, false, everybody).put(t, rulesFolder)
	return key
}

// Without a key, who can write to the storage has all rights, as docs/security.md says.
// What is planted works here, so that the test above is one of the key.
func TestWithoutAKeyTheStorageIsTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "")})
	n.untilReady(t, 20*time.Second)
	n.mustRevoke(t, http.StatusCreated, "rule")
	planted := plant(t, dir, t.TempDir())
	n.becomes(t, "a planted key", spread(), func() exchange { return n.withAPIKey(planted.Key) }, accepted)
	n.becomes(t, "a good token under a planted rule", spread(), func() exchange { return n.withToken(jtiToken(t, "good")) }, isRevoked)
	var rules int
	n.eventually("the planted removal counts", spread(), func() bool { rules = n.shared(t).Rules["jti"]; return rules == 0 },
		func() string { return fmt.Sprint(rules) })
}

// What a newer version wrote is kept by an older one that can't apply it, also when it
// merges; and an object that says that it replaces more than it holds replaces nothing. A
// node that has just started drops nothing that has ended: its clock may be wrong.
func TestThreat59_WhatANodeDoesNotKnowSurvivesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "")})
	n.untilReady(t, 20*time.Second)
	folder := filepath.Join(dir, "jwt", "default", "revocations")
	n.kill()

	at := time.Now().Add(-time.Hour)
	const dpop = `{"id":77,"k":"dpop","v":"thumbprint","future":{"a":[1,2,3]},"end":0}`
	ended := ruleLine(88, "ended", fmt.Sprintf(`,"end":%d`, time.Now().Add(-72*time.Hour).Unix()))
	held := newObject(1, at, nil, false, ruleLine(1, "held", ""), ruleLine(2, "held-too", ""))
	newer := newObject(2, at, nil, false, ruleLine(3, "newer", ""))
	greedy := newObject(1, at, []string{held.name, newer.name}, false, ruleLine(1, "held", ""))
	for _, o := range []madeObject{held, newer, greedy, newObject(1, at, nil, false, dpop), newObject(1, at, nil, false, ended)} {
		o.put(t, folder)
	}
	for i := range 40 {
		newObject(1, at, nil, false, ruleLine(100+i, fmt.Sprintf("small-%d", i), "")).put(t, folder)
	}
	n.again()
	n.untilReady(t, 20*time.Second)
	s := n.set(t, "revocations")
	if s.Unknown != 1 || s.Damaged != 1 {
		t.Errorf("an unknown fact and an unknown version: %+v", s)
	}
	check := func(n *node, when string) {
		t.Helper()
		for _, jti := range []string{"held", "held-too", "small-0", "small-39"} {
			n.is(t, when+": "+jti, n.withToken(jtiToken(t, jti)), isRevoked)
		}
	}
	check(n, "at first")

	// It merges within a minute, as there are many small objects.
	n.eventually("it merges", 75*time.Second, func() bool {
		return slices.ContainsFunc(objectsIn(t, folder), func(name string) bool {
			return strings.Count(plainObject(t, filepath.Join(folder, name)), "small-") > 30
		})
	}, func() string { return fmt.Sprint(len(objectsIn(t, folder))) })
	merges := 0
	for _, name := range objectsIn(t, folder) {
		text := plainObject(t, filepath.Join(folder, name))
		if strings.Count(text, "small-") < 30 {
			continue
		}
		merges++
		head, _, _ := strings.Cut(text, "\n")
		if strings.Contains(head, newer.name) {
			t.Error("the merge says that it replaces an object of an unknown version")
		}
		// The inputs go some minutes later; without them all must still be there.
		for what, line := range map[string]string{"an unknown fact": dpop, "a rule that has ended": `"ended"`, "a rule": `"held-too"`} {
			if !strings.Contains(text, line) {
				t.Errorf("the merge lacks %s", what)
			}
		}
	}
	if merges != 1 {
		t.Errorf("%d merges", merges)
	}
	if !exists(filepath.Join(folder, newer.name)) {
		t.Error("the object of an unknown version is gone")
	}
	n.kill()
	n.again()
	check(n, "after the merge")
	if s := n.untilSet(t, "ready", "revocations", 20*time.Second, func(s setStatus) bool { return s.Ready }); s.Unknown != 1 || s.Damaged != 1 {
		t.Errorf("after the merge: %+v", s)
	}
}

// An issuer's server shows that this node's clock is two days wrong: it says so.
func TestThreat61_ANodeLooksAtOthersClocks(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"behind": 48 * time.Hour, "ahead": -48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			issuer := peers.NewKeyServer(t, peers.NewCA(t), keys(t).RS256)
			issuer.Answer("/dated", &peers.Answer{
				Header: map[string]string{"Date": time.Now().Add(off).UTC().Format(http.TimeFormat)}, Body: peers.JWKS(t, keys(t).RS256),
			})
			global := strings.Replace(clusterOptions(t, fileStorage(dir), ""), "\tjwt {", "\tjwt {\n\t\tissuer dated "+issuer.URL+" {\n\t\t\tjwks_url "+issuer.URL+"/dated\n\t\t\tca {$CA}\n\t\t}", 1)
			n := newNode(t, options{global: global, env: map[string]string{"CA": issuer.CA.File}})
			n.sites = strings.Replace(clusterSites, "issuer corp\n", "issuer corp\n\t\tissuer dated\n", 1)
			n.begin()
			n.waitUntilItRuns()
			n.untilReady(t, 20*time.Second)
			n.eventually("the metric shows it", 10*time.Second, func() bool {
				skew := n.metrics(t)["caddy_jwt_clock_skew_seconds"]
				return skew > off.Seconds()-60 && skew < off.Seconds()+60
			}, func() string { return fmt.Sprint(n.metrics(t)["caddy_jwt_clock_skew_seconds"]) })
			n.eventually("the log says so", 10*time.Second, func() bool { return n.logged(0, "clock differs") == 1 }, func() string { return n.logs.String() })
			// Nothing that has ended, as far as this node can tell, is removed.
			folder := filepath.Join(dir, "jwt", "default", "revocations")
			ended := newObject(1, time.Now().Add(-96*time.Hour), nil, false, ruleLine(1, "ended", fmt.Sprintf(`,"end":%d`, time.Now().Add(-48*time.Hour).Unix())))
			ended.put(t, folder)
			time.Sleep(3 * spread())
			if !exists(filepath.Join(folder, ended.name)) {
				t.Error("a rule was removed that may not have ended")
			}
			n.mustRevoke(t, http.StatusCreated, "late")
			n.is(t, "revoked", n.withToken(jtiToken(t, "late")), isRevoked)
		})
	}
}
