package command_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// auditLine returns a line of an audit log, as Caddy's JSON encoder writes it.
func auditLine(item string) string {
	return `{"level":"info","ts":1795949831.04,"logger":"jwt.audit","msg":"shared state","audit":` + item + "}\n"
}

func rule(id, more string) string {
	return fmt.Sprintf(`{"id":%q,"kind":"sub","value":%q%s}`, id, "user of "+id, more)
}

// replayed is a log, out of which TestStateReplay expects the rules r1, r5 and r6, a disabled and
// a deleted key.
var replayed = auditLine(`{"seq":1,"action":"revoke","outcome":"stored","id":"r1","rule":`+rule("r1", `,"issuer":"https://i/","reason":"left"`)+`}`) +
	auditLine(`{"seq":2,"action":"revoke","outcome":"refused","id":"r2","rule":`+rule("r2", "")+`}`) +
	"2026/01/02 03:04:05 another program wrote this\n" +
	`{"level":"info","logger":"http.log.access","msg":"handled request"}` + "\n" + strings.Repeat("x", 2<<20) + "\n" +
	auditLine(`{"seq":3,"action":"revoke","outcome":"node_only","id":"r3","rule":`+rule("r3", "")+`}`) +
	auditLine(`{"seq":4,"action":"unrevoke","outcome":"stored","id":"r3","rule":`+rule("r3", "")+`}`) +
	auditLine(`{"seq":5,"action":"revoke","outcome":"stored","id":"r4","rule":`+rule("r4", `,"end":"2020-01-02T03:04:05Z"`)+`}`) +
	"caddy[12]: " + auditLine(`{"seq":6,"action":"learned","outcome":"learned","change":"added","id":"r5","rule":`+rule("r5", `,"end":"2100-01-02T03:04:05Z"`)+`}`) +
	auditLine(`{"seq":7,"action":"key_disable","outcome":"stored","store":"partners","id":"k1"}`) +
	auditLine(`{"seq":8,"action":"key_edit","outcome":"stored","store":"partners","id":"k1"}`) +
	auditLine(`{"seq":9,"action":"key_disable","outcome":"stored","store":"partners","id":"k2"}`) +
	auditLine(`{"seq":10,"action":"key_enable","outcome":"stored","store":"partners","id":"k2"}`) +
	auditLine(`{"seq":11,"action":"learned","outcome":"learned","change":"deleted","store":"partners","id":"k3"}`) +
	auditLine(`{"seq":12,"action":"key_roll","outcome":"stored","store":"partners","id":"k4"}`) +
	auditLine(`{"seq":13,"action":"key_delete","outcome":"failed","store":"partners","id":"k5"}`) +
	auditLine(`{"seq":14,"action":"key_delete","outcome":"stored","store":"partners","id":"k6"}`) +
	auditLine(`{"seq":15,"action":"signing_retire","outcome":"stored","signing":{"issuer":"https://auth.example","signing":"kid-2","retired":["kid-1"],"rules":[{"id":"r6","kind":"kid","value":"kid-1","issuer":"https://auth.example"}]}}`) +
	auditLine(`{"seq":16,"action":"signing_retire","outcome":"failed","signing":{"issuer":"https://other.example"}}`) +
	auditLine(`{"seq":17,"action":"signing_rotate","outcome":"stored","signing":{"issuer":"https://other.example","signing":"kid-3"}}`) +
	auditLine(`{"seq":18,"action":"learned","outcome":"learned","change":"retired","id":"kid-1","signing":{"issuer":"https://other.example"}}`)

type replayReport struct {
	Lines, Unchanged, Ended int
	Revoked, Failed, Retire []string
	Disabled, Deleted, Look []struct{ Store, ID string }
}

// TestStateReplay: after a storage is put back, what made servers refuse more holds again;
// the command may be repeated.
func TestStateReplay(t *testing.T) {
	t.Parallel()
	o := newOffline(t, someStore, "jwt/default/revocations", "jwt/default/keys-partners")
	for n := range 4 {
		run(t, "", "new", "--store", "partners", "--id", fmt.Sprintf("k%d", n+1), "--config", o.config).want(t, 0)
	}
	log := write(t, replayed)
	dry := runJWT(t, "", "state", "replay", log, "--config", o.config, "--dry-run").want(t, 0, "Look at the key k4 in partners: it was edited or rolled.", "Signing keys of https://auth.example were retired: if they are back, retire them again", "18 lines of the audit log, 1 were so already, 1 rules have ended.")
	if want := "r1: would be revoked\nr5: would be revoked\nr6: would be revoked\nk1 in partners: would be disabled\nk3 in partners: would be deleted\n"; dry.out != want {
		t.Errorf("--dry-run: %q", dry.out)
	}
	if len(o.rules(t)) != 0 || o.store(t, "partners").Len() != 4 {
		t.Fatal("--dry-run has changed something")
	}
	r := parseJSON[replayReport](t, runJWT(t, replayed, "state", "replay", "@-", "--config", o.config, "--json").want(t, 0).out)
	if r.Lines != 18 || r.Ended != 1 || r.Unchanged != 1 || len(r.Revoked) != 3 || len(r.Retire) != 1 || r.Retire[0] != "https://auth.example" || len(r.Failed) != 0 || len(r.Disabled) != 1 || r.Disabled[0].ID != "k1" ||
		len(r.Deleted) != 1 || r.Deleted[0].ID != "k3" || r.Deleted[0].Store != "partners" || len(r.Look) != 1 || r.Look[0].ID != "k4" {
		t.Errorf("%+v", r)
	}
	rules := map[string]revocation.Rule{}
	for _, rule := range o.rules(t) {
		rules[rule.Value] = rule
	}
	first, fifth := rules["user of r1"], rules["user of r5"]
	if kid := rules["kid-1"]; kid.Kind != revocation.KindKid || kid.Issuer != "https://auth.example" {
		t.Errorf("%+v", kid)
	}
	if len(rules) != 3 || first.Issuer != "https://i/" || first.Reason != "left" || !first.End.IsZero() || fifth.End.Year() != 2100 {
		t.Errorf("%+v", rules)
	}
	s := o.store(t, "partners")
	for id, disabled := range map[string]bool{"k1": true, "k2": false, "k4": false} {
		if k, err := s.Get(id, time.Now()); err != nil || k.Disabled != disabled {
			t.Errorf("%s: %+v %v", id, k, err)
		}
	}
	if _, err := s.Get("k3", time.Now()); err != apikey.ErrKeyDeleted {
		t.Errorf("k3: %v", err)
	}
	files := len(o.files(t))
	again := runJWT(t, "", "state", "replay", "@"+log, "--config", o.config).want(t, 0, "6 were so already")
	if again.out != "" || len(o.files(t)) != files {
		t.Errorf("%+v", again)
	}
}

// TestStateReplayOfARealLog: the lines that servers write are understood.
func TestStateReplayOfARealLog(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zap.InfoLevel)
	item := admin.AuditItem{Action: "revoke", Outcome: "stored", ID: "r1", Rule: &admin.RevocationItem{ID: "r1", Kind: "jti", Value: "v"}}
	logger := zap.New(core).Named("jwt.audit")
	logger.Info("shared state: revoke stored", zap.Reflect("audit", item))
	digest := revocation.TokenValue("opaque-token-of-a-user")
	item.ID, item.Rule = "r2", &admin.RevocationItem{ID: "r2", Kind: "token", Value: digest}
	logger.Info("shared state: revoke stored", zap.Reflect("audit", item))
	o := newOffline(t, someState, "jwt/default/revocations")
	runJWT(t, log.String(), "state", "replay", "@-", "--config", o.config).want(t, 0)
	if rules := o.rules(t); len(rules) != 2 || rules[0].Value != "v" && rules[1].Value != "v" || rules[0].Value != digest && rules[1].Value != digest {
		t.Errorf("%+v of %s", rules, log.String())
	}
}

func TestStateReplayFails(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t, map[string][]answer{
		"GET /jwt/revocations": {{http.StatusOK, `{"items":[]}`}}, "POST /jwt/revocations": {{http.StatusBadRequest, `{"error":"no"}`}, {http.StatusCreated, `{"id":"new","stored":true}`}},
		"GET /jwt/api-keys/k1": {{http.StatusOK, `{"id":"k1","state":"enabled"}`}}, "PATCH /jwt/api-keys/k1": {{http.StatusServiceUnavailable, `{"error":"down"}`}},
		"GET /jwt/api-keys/k3": {{http.StatusGone, `{"error":"deleted"}`}}, "GET /jwt/api-keys/k6": {{http.StatusNotFound, `{"error":"none"}`}},
	})
	r := runJWT(t, replayed, "state", "replay", "@-", "--address", f.address)
	if r.code != 1 || r.out != "new: revoked\nnew: revoked\n" {
		t.Errorf("%+v", r)
	}
	for _, text := range []string{"Failed: r1: no\n", "Failed: k1: down\n", "2 lines could not be done again"} {
		if !strings.Contains(r.err, text) {
			t.Errorf("%q is not in %s", text, r.err)
		}
	}
	f = newFakeServer(t, nil)
	runJWT(t, "a text log\n", "state", "replay", "@-", "--address", f.address).want(t, 1, "the log has no line of the logger jwt.audit")
	runJWT(t, "", "state", "replay", "/nowhere/log", "--address", f.address).want(t, 1, "open /nowhere/log")
	runJWT(t, "", "state", "replay", "--address", f.address).want(t, 2, "usage: caddy jwt state replay")
	runJWT(t, "", "state", "restore").want(t, 2, `unknown command "restore" (is replay meant?)`)
	runJWT(t, "", "state").want(t, 2, "a command is missing; the commands are: accept, replay")
	f.wantRequests(t)
}

func TestStateAccept(t *testing.T) {
	t.Parallel()
	f := answering(t, "POST /jwt/state/accept", http.StatusOK, `{"signed":3}`)
	if r := runJWT(t, "", "state", "accept", "--address", f.address).want(t, 0); r.out != "3 objects signed\n" {
		t.Errorf("%q", r.out)
	}
	if r := runJWT(t, "", "state", "accept", "--address", f.address, "--json").want(t, 0); r.out != "{\n\t\"signed\": 3\n}\n" {
		t.Errorf("%q", r.out)
	}
}

// statePage is a status page with one set that has these members.
func statePage(set string) string {
	return `{"issuers":[],"api_keys":[],"state":{"cluster":"c","storage":"caddy.storage.redis","node":"n1","nodes":["n1","n2"],"sets":[
		{"name":"keys-s","ready":true,"synced_at":"2026-01-02T03:04:05Z","age_seconds":2.6,"objects":3,"facts":7,"keys":5},{"name":"revocations",` + set + `}]}}`
}

func TestStatusOfSharedState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set         string
		code        int
		state, line string
	}{
		"ready":     {`"ready":true`, 0, "ready", "cluster c in caddy.storage.redis, this node is n1\n  nodes: n1 n2\n"},
		"stale":     {`"ready":true,"error":"down","refuses_at":"2026-01-02T03:04:05Z"`, 0, "stale", "revocations: requests that depend on it will be refused from 2026-01-02T03:04:05Z on"},
		"too old":   {`"ready":true,"refuses":true,"error":"down"`, 0, "too old", "revocations: requests that depend on it are refused"},
		"not ready": {`"ready":false`, 1, "not ready", ""},
		"unsigned":  {`"ready":false,"unsigned":true`, 1, "unsigned", "revocations: it was made without the key that the config has; caddy jwt state accept signs what is there"},
		"damaged":   {`"ready":true,"damaged":2`, 1, "ready", "revocations: 2 objects can't be used"},
		"unstored":  {`"ready":true,"unstored":2`, 0, "ready", "revocations: 2 objects could not be stored yet"},
		"one":       {`"ready":true,"unstored":1,"unknown":1`, 0, "ready", "revocations: 1 fact of a newer version can't be applied here\n  revocations: 1 object could not be stored yet"},
		"unknown":   {`"ready":true,"unknown":2`, 0, "ready", "revocations: 2 facts of a newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := answering(t, "GET /jwt/status", http.StatusOK, statePage(c.set))
			r := runJWT(t, "", "status", "--address", f.address)
			lines := strings.Split(r.out, "\n")
			if r.code != c.code || !strings.Contains(r.out, c.line) || len(lines) < 3 {
				t.Fatalf("%+v", r)
			}
			if got := strings.Join(strings.Fields(lines[1]), " "); got != "keys-s ready 3s 5 7 3 0 0" {
				t.Errorf("%q", got)
			}
			if !strings.HasPrefix(strings.Join(strings.Fields(lines[2]), " "), "revocations "+c.state+" - - ") {
				t.Errorf("%q", lines[2])
			}
			if c.code != 0 && !strings.Contains(r.err, "shared state is damaged or not ready") {
				t.Errorf("%s", r.err)
			}
			if r := runJWT(t, "", "status", "--address", f.address, "--json"); r.code != c.code {
				t.Errorf("--json: %+v", r)
			}
		})
	}
}

func TestStatusReady(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t, map[string][]answer{"GET /jwt/status": {
		{http.StatusServiceUnavailable, statePage(`"ready":false`)}, {http.StatusServiceUnavailable, statePage(`"ready":false`)}, {http.StatusOK, statePage(`"ready":true`)},
	}})
	runJWT(t, "", "status", "--ready", "--address", f.address).want(t, 1, "not ready: revocations")
	if r := runJWT(t, "", "status", "--ready", "--json", "--address", f.address); r.code != 1 || r.out != "{\n\t\"ready\": false\n}\n" {
		t.Errorf("%+v", r)
	}
	if r := runJWT(t, "", "status", "--ready", "--address", f.address).want(t, 0); r.out != "" || r.err != "" {
		t.Errorf("%+v", r)
	}
	f.wantRequests(t, "GET /jwt/status?ready", "GET /jwt/status?ready", "GET /jwt/status?ready")
	// Without shared state there is nothing to wait for.
	f = answering(t, "GET /jwt/status", http.StatusOK, `{"issuers":[],"api_keys":[]}`)
	runJWT(t, "", "status", "--ready", "--address", f.address).want(t, 0)
	f = answering(t, "GET /jwt/status", http.StatusServiceUnavailable, `{"error":"no config with a jwt handler is running"}`)
	runJWT(t, "", "status", "--ready", "--address", f.address).want(t, 1, "no config with a jwt handler is running")
	runJWT(t, "", "status", "--ready", "--address", closedAddress(t)).want(t, 1, "no answer from the admin endpoint")
	runJWT(t, "", "status", "--ready", "--address", "localhost").want(t, 2, "write host and port")
}

// TestCommandsEscapeWhatServersSay: whatever is in an answer, a terminal obeys nothing of it.
func TestCommandsEscapeWhatServersSay(t *testing.T) {
	t.Parallel()
	quoted := `"mark\u001b[2J\u001b]0;owned\u0007\r\u009b1A\u202eevil\u2066\u200b\u2028\nAll is well\tok\u007f"`
	fill := func(text string) string { return strings.ReplaceAll(text, "X", quoted) }
	key := fill(`{"id":X,"store":X,"name":X,"consumer":X,"scopes":[X],"state":X,"key":"cj_made","stored":true}`)
	rule := fill(`{"id":X,"kind":X,"value":X,"issuer":X,"store":X,"reason":X,"by":X,"node":X}`)
	f := newFakeServer(t, map[string][]answer{
		"POST /jwt/revocations":      {{http.StatusCreated, fill(`{"id":X,"stored":true,"cached_tokens_refused":1,"api_keys_still_valid":[X],"notes":[X]}`)}},
		"GET /jwt/revocations":       {{http.StatusOK, `{"items":[` + rule + `]}`}},
		"DELETE /jwt/revocations/a":  {{http.StatusOK, rule}},
		"DELETE /jwt/revocations/b":  {{http.StatusConflict, fill(`{"error":X}`)}},
		"POST /jwt/api-keys":         {{http.StatusCreated, key}},
		"GET /jwt/api-keys":          {{http.StatusOK, `{"items":[` + key + `]}`}},
		"PUT /jwt/api-keys/a/secret": {{http.StatusOK, key}},
		"PATCH /jwt/api-keys/a":      {{http.StatusServiceUnavailable, fill(`{"error":X}`)}},
		"GET /jwt/status":            {{http.StatusOK, fill(`{"state":{"cluster":X,"storage":X,"node":X,"nodes":[X],"sets":[{"name":X,"error":X,"ready":true,"synced_at":"2026-01-02T03:04:05Z"}]}}`)}},
		"POST /jwt/state/accept":     {{http.StatusInternalServerError, "mark\x1b[2J not JSON"}},
	})
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"revoke":             {[]string{"revoke", "--sub", "a"}, 0},
		"revocations":        {[]string{"revocations"}, 0},
		"revocations delete": {[]string{"revocations", "delete", "a", "--reason", "r"}, 0},
		"refused to delete":  {[]string{"revocations", "delete", "b", "--reason", "r"}, 1},
		"new":                {[]string{"api-key", "new", "--store", "s"}, 0},
		"list":               {[]string{"api-key", "list", "--store", "s"}, 0},
		"roll":               {[]string{"api-key", "roll", "a", "--store", "s", "--overlap", "1h"}, 0},
		"refused to edit":    {[]string{"api-key", "edit", "a", "--store", "s", "--name", "N"}, 1},
		"status":             {[]string{"status"}, 0},
		"accept":             {[]string{"state", "accept"}, 1},
	} {
		for _, more := range [][]string{nil, {"--json"}} {
			t.Run(name+strings.Join(more, ""), func(t *testing.T) {
				r := runJWT(t, "", append(append(append([]string(nil), c.args...), "--address", f.address), more...)...).want(t, c.code)
				checkHarmless(t, name, r.out+r.err)
				for line := range strings.Lines(r.out + r.err) {
					if strings.HasPrefix(strings.TrimSpace(line), "All is well") {
						t.Errorf("a line that others wrote: %q", r.out+r.err)
					}
				}
			})
		}
	}
	// So are a token and a log that somebody made.
	token := unsigned(t, map[string]any{"iss": hostile, "jti": hostile, "sub": hostile})
	for _, more := range []string{"--dry-run", "--json"} {
		r := runJWT(t, token, "revoke", "@-", "--address", f.address, more)
		checkSafe(t, "the token", r.out+r.err)
	}
	log := auditLine(fill(`{"action":"key_roll","outcome":"stored","store":X,"id":X}`)) + auditLine(fill(`{"action":"revoke","outcome":"stored","id":X,"rule":{"id":X,"kind":"sub","value":X}}`))
	checkSafe(t, "the log", func() string {
		r := runJWT(t, log, "state", "replay", "@-", "--address", f.address, "--dry-run")
		return r.out + r.err
	}())
}

// TestWordsThatPeopleTry: the error names the command that does it.
func TestWordsThatPeopleTry(t *testing.T) {
	t.Parallel()
	for word, meant := range map[string]string{
		"ban": "revoke", "blacklist": "revoke", "unrevoke": "revocations delete", "denylist": "revocations", "apikey": "api-key", "keys": "api-key", "health": "status", "revok": "revoke",
	} {
		runJWT(t, "", word, "--sub", "a").want(t, 2, `unknown command "`+word+`" (is `+meant+` meant?)`)
	}
}

// TestCommandsOfARunningServer: a whole Caddy, whose admin endpoint is asked.
func TestCommandsOfARunningServer(t *testing.T) {
	address := closedAddress(t)
	root := filepath.Join(t.TempDir(), "storage")
	config := fmt.Sprintf(`{"admin":{"listen":%q},"storage":{"module":"file_system","root":%q},"logging":{"logs":{"default":{"level":"ERROR"}}},
		"apps":{"jwt":{"state":{},"api_keys":{"partners":{"storage":true}}}}}`, address, root)
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for runJWT(t, "", "status", "--ready", "--address", address).code != 0 {
		if time.Now().After(deadline) {
			t.Fatal("it is not ready")
		}
		time.Sleep(50 * time.Millisecond)
	}
	id := runJWT(t, "", "revoke", "--sub", "alice", "--any-issuer", "--address", address).want(t, 0, "Warning: none of the tokens").out
	if list := runJWT(t, "", "revocations", "--address", address).want(t, 0); !strings.Contains(list.out, strings.TrimSpace(id)) {
		t.Errorf("%s", list.out)
	}
	key := strings.TrimSpace(run(t, "", "new", "--store", "partners", "--consumer", "acme", "--address", address).want(t, 0).out)
	run(t, key, "roll", "@-", "--store", "partners", "--overlap", "1h", "--address", address).want(t, 0)
	run(t, key, "disable", "@-", "--store", "partners", "--address", address).want(t, 0)
	path, _ := keyFileWith(t)
	run(t, "", "import", path, "--store", "partners", "--address", address).want(t, 0, "3 added")
	run(t, "", "import", path, "--store", "partners", "--address", address).want(t, 0, "3 unchanged")
	if list := run(t, "", "list", "--store", "partners", "--address", address).want(t, 0); strings.Count(list.out, "\n") != 5 || !strings.Contains(list.out, "acme") {
		t.Errorf("%s", list.out)
	}
	runJWT(t, id, "revocations", "delete", "@-", "--reason", "r", "--address", address).want(t, 0)
	if r := runJWT(t, "", "status", "--address", address).want(t, 0); !strings.Contains(r.out, "keys-partners") {
		t.Errorf("%s", r.out)
	}
	if _, err := os.Stat(filepath.Join(root, "jwt", "default", "keys-partners")); err != nil {
		t.Error(err)
	}
}

func TestAcceptDryRunSignsNothing(t *testing.T) {
	t.Parallel()
	page := `{"issuers": [], "api_keys": [], "state": {"sets": [{"name": "revocations", "unsigned": true}, {"name": "keys-partners"}, {"name": "keys-staff", "unsigned": true}]}}`
	for args, want := range map[string]string{
		"":       "revocations\nkeys-staff\n",
		"--json": "{\n\t\"unsigned\": [\n\t\t\"revocations\",\n\t\t\"keys-staff\"\n\t]\n}\n",
	} {
		f := answering(t, "GET /jwt/status", 200, page)
		if r := runJWT(t, "", append([]string{"state", "accept", "--dry-run", "--address", f.address}, strings.Fields(args)...)...).want(t, 0); r.out != want {
			t.Errorf("%s\nwant\n%s", r.out, want)
		}
		f.wantRequests(t, "GET /jwt/status?ready")
	}
}
