package integration

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// traces are what looking could leave behind on a server and around it.
type traces struct {
	files      map[string]string // names, sizes and times of all that it has stored
	metrics    map[string]float64
	keys       string // API keys with their last use
	rules      string
	config     string
	hits       int // of the issuer's keys
	dials      int // connections to the issuer
	auditLines int
}

// traces reads all of them.
func (d *explainFixture) traces(t *testing.T) traces {
	t.Helper()
	read := func(path string) string {
		t.Helper()
		a := d.ask(t, http.MethodGet, path, "")
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		return a.body
	}
	var audit struct{ Items []object }
	decode(t, read("/jwt/audit?limit=1000"), &audit)
	r := traces{
		files: d.files(t), metrics: d.metrics(t), keys: read("/jwt/api-keys"), rules: read("/jwt/revocations"), config: read("/config/"),
		hits: d.issuer.Hits(peers.KeySetPath) + d.issuer.Hits(peers.MetadataPath), dials: d.issuer.Dials(), auditLines: len(audit.Items),
	}
	// Ages in seconds go on by themselves, and so do attempts to reach an issuer that is down.
	maps.DeleteFunc(r.metrics, func(name string, _ float64) bool {
		return strings.Contains(name, "_seconds") || strings.Contains(name, "down.example.test")
	})
	return r
}

// files are the files of the server's data and config folders, each with its size and time.
func (d *explainer) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{"data", "config"} {
		err := filepath.WalkDir(filepath.Join(d.dir, dir), func(path string, item fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := item.Info()
			if err != nil {
				return err
			}
			if !item.IsDir() {
				files[path] = fmt.Sprintf("%d %s %s", info.Size(), info.Mode(), info.ModTime().Format(time.RFC3339Nano))
			} else {
				files[path] = info.Mode().String()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// checkSame requires that nothing is another than before, but for as many lines in the audit
// log as were asked for.
func (before traces) checkSame(t *testing.T, after traces, auditLines int) {
	t.Helper()
	for _, c := range []struct{ what, before, after string }{
		{"the API keys", before.keys, after.keys}, {"the rules", before.rules, after.rules}, {"the config", before.config, after.config},
		{"the issuer's requests", fmt.Sprint(before.hits), fmt.Sprint(after.hits)}, {"the issuer's connections", fmt.Sprint(before.dials), fmt.Sprint(after.dials)},
		{"the audit log", fmt.Sprint(before.auditLines + auditLines), fmt.Sprint(after.auditLines)},
	} {
		if c.before != c.after {
			t.Errorf("%s: %s; before %s", c.what, c.after, c.before)
		}
	}
	checkSameMap(t, "metric", before.metrics, after.metrics)
	checkSameMap(t, "file", before.files, after.files)
}

func checkSameMap[V comparable](t *testing.T, what string, before, after map[string]V) {
	t.Helper()
	for name, value := range after {
		if old, ok := before[name]; !ok || old != value {
			t.Errorf("the %s %s is %v; before %v", what, name, value, old)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("the %s %s is gone", what, name)
		}
	}
}

// TestNothingHappensByLooking explains every kind of request on a server and without it,
// decodes and watches, and compares what the server has before and after. Nothing that was
// handed over, and no secret of the config, is in what is said and logged.
func TestNothingHappensByLooking(t *testing.T) {
	t.Parallel()
	d := newExplainFixture(t)
	kinds := slices.Concat(d.badTokens(t), d.badRequests(t), d.goodOnes(t))
	secrets := d.secrets(t)
	for _, secret := range secrets {
		d.logs.forbid(secret)
	}
	// What requests set going is over: the keys are fetched, and no bucket is empty.
	if _, err := d.serve(asked{host: site, token: keys(t).RS256.Token(t, d.claims(nil), nil)}); err != nil {
		t.Fatal(err)
	}
	d.logs.mark()
	before := d.traces(t)

	said := map[string]string{}
	questions := 0
	for _, c := range kinds {
		if c.reason == "unknown_key" || c.reason == "keys_unavailable" {
			continue // these ask for keys, as requests do: see below
		}
		for _, inHeaders := range []bool{false, true} {
			said["explain: "+c.name] += d.mustExplain(t, c.question(inHeaders)).text
			questions++
		}
	}
	after := d.traces(t)
	before.checkSame(t, after, questions)

	t.Run("without the server", func(t *testing.T) {
		for n, c := range kinds {
			if n%8 != 0 {
				continue
			}
			said["offline: "+c.name] = d.offline(t, c.asked).text
			if c.token != "" {
				decoded := jwtCommandIn(t, d.dir, d.opts.env, "decode", "--json", "@"+tempFile(t, "token", c.token))
				// What is decoded is shown, but for the signature.
				said["decode: "+c.name] = decoded.stderr
			}
		}
		after.checkSame(t, d.traces(t), 0)
	})
	t.Run("watching", func(t *testing.T) {
		a := d.ask(t, http.MethodGet, "/jwt/refusals", "")
		if a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
		if questions := strings.Count(a.body, `"seq"`); questions != 0 {
			t.Errorf("what was asked is among the refusals: %s", a.body)
		}
		after.checkSame(t, d.traces(t), 0)
	})
	t.Run("the audit log", func(t *testing.T) { d.checkAuditOfLooking(t, questions, secrets) })
	for what, text := range said {
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s is in the answer:\n%s", what, name, text)
			}
		}
		for _, c := range kinds {
			if parts := strings.Split(c.token, "."); len(parts) == 3 && len(parts[2]) > 20 && strings.Contains(text, parts[2]) {
				t.Errorf("%s: a signature is in the answer:\n%s", what, text)
			}
		}
	}
	for path, text := range d.contents(t) {
		for name, secret := range secrets {
			if strings.Contains(text, secret) && !strings.Contains(name, "hash") {
				t.Errorf("%s has %s", path, name)
			}
		}
	}
}

// secrets are what no answer and no line of the log may have.
func (d *explainFixture) secrets(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{
		"the secret":              d.opts.env["HMAC_SECRET"],
		"a stored key":            d.stored.Key,
		"a disabled stored key":   d.storedOff.Key,
		"a revoked stored key":    d.storedRevoked.Key,
		"a hash of a stored key":  strings.TrimPrefix((&peers.APIKey{Text: d.stored.Key}).Hash(), "sha256:"),
		"the hash of revoked key": strings.TrimPrefix((&peers.APIKey{Text: d.storedRevoked.Key}).Hash(), "sha256:"),
	}
	for _, k := range []*peers.APIKey{d.held, d.disabled, d.expired, d.written, d.nobody} {
		all["the key "+fmt.Sprint(k.Record["id"])] = k.Text
		all["the hash of "+fmt.Sprint(k.Record["id"])] = strings.TrimPrefix(k.Hash(), "sha256:")
	}
	return all
}

// contents are the small files of the server's data and config folders.
func (d *explainFixture) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path := range d.files(t) {
		if filepath.Ext(path) != "" {
			all[path] = readFile(t, path)
		}
	}
	if len(all) == 0 {
		t.Error("it has stored nothing")
	}
	return all
}

// checkAuditOfLooking requires a line for each question that says who asked and what the
// answer was, and nothing of what was asked about.
func (d *explainFixture) checkAuditOfLooking(t *testing.T, questions int, secrets map[string]string) {
	t.Helper()
	a := d.ask(t, http.MethodGet, "/jwt/audit?limit=1000", "")
	var audit struct{ Items []object }
	decode(t, a.body, &audit)
	lines, verdicts := 0, map[any]int{}
	for _, item := range audit.Items {
		if item["action"] != "explain" {
			continue
		}
		lines++
		told, _ := item["explained"].(map[string]any)
		verdicts[told["verdict"]]++
		if who, _ := item["who"].(string); who != "127.0.0.1" {
			t.Errorf("asked by %q: %v", who, item)
		}
	}
	if lines != questions || len(verdicts) < 4 {
		t.Errorf("%d lines, %v, for %d questions", lines, verdicts, questions)
	}
	text := a.body
	for name, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the audit log", name)
		}
	}
	if strings.Contains(text, "eyJ") || strings.Contains(text, "user-1") {
		t.Errorf("tokens or claims are in the audit log:\n%s", text)
	}
	if logged := d.logged(0, `"action":"explain"`); logged != questions {
		t.Errorf("%d lines of the log for %d questions", logged, questions)
	}
}

// TestExplainAsksForKeysAsRequestsDo asks about tokens with unknown kids: all of the questions
// and requests together lead to no more fetches than requests alone may.
func TestExplainAsksForKeysAsRequestsDo(t *testing.T) {
	t.Parallel()
	d := newExplainer(t, explainSiteOnly, options{})
	k := keys(t)
	if e := d.mustExplain(t, asked{host: site, token: k.RS256.Token(t, d.claims(nil), nil)}.question(false)); e.Verdict != "accepted" {
		t.Errorf("before any request: %s", e)
	}
	before, start := d.issuer.Hits(peers.KeySetPath), time.Now()
	for n := range 300 {
		q := asked{host: site, token: k.ES256.Named(fmt.Sprintf("unknown-%d", n)).Token(t, d.claims(nil), nil)}
		if n%3 == 0 {
			if s, err := d.serve(q); err != nil || s.reason != "unknown_key" {
				t.Fatalf("%+v, %v", s, err)
			}
			continue
		}
		if e := d.mustExplain(t, q.question(n%2 == 0)); e.Reason != "unknown_key" {
			t.Fatalf("%s", e)
		}
	}
	allowed := 5 + int(time.Since(start)/(10*time.Second)) + 1 // a bucket of five, refilled by one in ten seconds
	if fetches := d.issuer.Hits(peers.KeySetPath) - before; fetches > allowed {
		t.Errorf("%d fetches; requests alone lead to %d", fetches, allowed)
	}
}

const explainSiteOnly = `
http://api.example.test {
	jwt {
		import from_issuer
	}
	import in
	import shown
}
`

// TestThreat90_TokensLeadNowhere explains and decodes tokens that name places to get keys from.
func TestThreat90_TokensLeadNowhere(t *testing.T) {
	t.Parallel()
	trap := newDialCounter(t)
	k := keys(t)
	sites := explainSiteOnly + "http://any.example.test {\n\tjwt {\n\t\tissuer * {\n\t\t\tpublic_key {$KEY}\n\t\t}\n\t\taudience *\n\t}\n\timport in\n\timport shown\n}\n"
	d := newExplainer(t, sites, options{env: map[string]string{"KEY": k.ES256.PublicFile(t)}})
	url := "http://" + trap.addr
	for name, token := range map[string]string{
		"jku":          k.RS256.Token(t, d.claims(nil), map[string]any{"jku": url + "/jwks.json", "kid": "theirs"}),
		"x5u":          k.RS256.Token(t, d.claims(nil), map[string]any{"x5u": url + "/cert.pem"}),
		"kid as a URL": k.RS256.Named(url).Token(t, d.claims(nil), nil),
		"iss":          k.RS256.Token(t, d.claims(map[string]any{"iss": url}), nil),
		"iss with TLS": k.RS256.Token(t, d.claims(map[string]any{"iss": "https://" + trap.addr}), nil),
		"_claim_sources": k.ES256.Token(t, d.claims(map[string]any{
			"iss": "https://" + trap.addr, "_claim_sources": map[string]any{"a": map[string]any{"endpoint": url}},
		}), map[string]any{"jku": url}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []string{site, "any.example.test"} {
				q := asked{host: host, token: token}
				d.mustExplain(t, q.question(false))
				d.offline(t, q)
			}
			file := "@" + tempFile(t, "token", token)
			if c := jwtCommandIn(t, d.dir, d.opts.env, "decode", file); c.code != 0 {
				t.Errorf("decode: %s", c)
			}
		})
	}
	if n := trap.count(); n != 0 {
		t.Errorf("%d connections to where the tokens point", n)
	}
}

// TestExplainUsesNoAssertionUp explains and decodes a client's assertion, which can be used
// once at the token service: it can be used after that.
func TestExplainUsesNoAssertionUp(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	text := assertion(t, "deployer", nil, nil)
	for range 2 {
		e := n.mustExplain(t, object{"site": site, "token": text})
		if e.Verdict != "refused" || e.Reason != "unknown_issuer" {
			t.Errorf("%s", e)
		}
		n.mustExplain(t, object{"site": authHost, "method": "POST", "uri": tokenPath, "headers": http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "token": text})
	}
	c := jwtCommandIn(t, t.TempDir(), nil, "decode", "@"+tempFile(t, "assertion", text))
	if c.code != 0 || !strings.Contains(c.stdout, "deployer") {
		t.Errorf("decode: %s", c)
	}
	token := n.form(t, tokenPath, asserted(text)).token(t)
	n.form(t, tokenPath, asserted(text)).noToken(t, "invalid_client") // it is counted, so that the above shows something
	if e := n.mustExplain(t, object{"site": site, "token": token}); e.Verdict != "accepted" {
		t.Errorf("the token that it was changed for: %s", e)
	}
}
