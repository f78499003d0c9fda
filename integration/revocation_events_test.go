package integration

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// events are those of a name that Caddy's events app had, by its own log lines: it has one
// for each event, before its handlers are called.
func (c *caddy) events(t *testing.T, name string) []object {
	t.Helper()
	var found []object
	for _, e := range c.logs.since(0) {
		if e.Logger != "events" || e.Msg != "event" {
			continue
		}
		var line struct {
			Name, Origin string
			Data         object
		}
		if decode(t, e.line, &line); line.Name == name {
			found = append(found, line.Data)
		}
	}
	return found
}

// Changes are events of Caddy's events app, once on the node where they are made, and on
// those that learn of them, without values that could be somebody's name or a secret.
func TestRevocationEvents(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1), options{}, k.RS256)
	second := s.secondNode(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1))
	rule := s.addRule(t, object{"kind": "sub", "value": "alice"})
	byIssuer := s.mustCommand(t, "revoke", "--issuer", s.issuer.URL, "--not-before", "2020-01-02T03:04:05Z")
	s.removeRule(t, rule)
	if a := s.ask(t, http.MethodPost, "/jwt/revocations", `{"kind":"sub"}`); a.status != http.StatusBadRequest { // no event
		t.Error(a.body)
	}
	key := s.makeKey(t, nil)
	s.rollKey(t, key.ID, "1h")
	for _, edit := range []object{{"name": "x"}, {"enabled": false}, {"enabled": true}} {
		s.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+key.ID, edit, http.StatusOK, nil)
	}
	s.mustAsk(t, http.MethodDelete, "/jwt/api-keys/"+key.ID, nil, http.StatusOK, nil)

	// The other node has those of what it learns. What has no effect any more when it looks,
	// it need not learn.
	last := func(events []object) object {
		if len(events) == 0 {
			return nil
		}
		return events[len(events)-1]
	}
	second.eventually("the other node has learned it", followTime, func() bool {
		return last(second.events(t, "api_key_changed"))["change"] == "deleted" && last(second.events(t, "revoked"))["id"] == byIssuer
	}, func() string { return toJSON(t, second.events(t, "api_key_changed")) })
	if lines, texts := second.auditLog(t); firstGap(lines, texts) >= 0 || len(lines) < 3 {
		t.Errorf("its audit log is %v", texts)
	}
	s.logs.mark()
	if got, want := toJSON(t, s.events(t, "revoked")), toJSON(t, []object{
		{"kind": "sub", "id": rule, "issuer": s.issuer.URL}, {"kind": "issuer", "id": byIssuer, "issuer": s.issuer.URL},
	}); got != want {
		t.Errorf("the events revoked are\n%s; want\n%s", got, want)
	}
	var want []object
	for _, change := range []string{"created", "rolled", "edited", "disabled", "enabled", "deleted"} {
		want = append(want, object{"store": "partners", "id": key.ID, "change": change})
	}
	if got := toJSON(t, s.events(t, "api_key_changed")); got != toJSON(t, want) {
		t.Errorf("the events api_key_changed are\n%s; want\n%s", got, toJSON(t, want))
	}
	if got := s.events(t, "state_stale"); len(got) != 0 {
		t.Errorf("the events state_stale are %v", got)
	}
}

// A set that can't be read for ten intervals is an event, which says when requests will be
// refused, and the metrics show its age.
func TestRevocationStateGrowsStale(t *testing.T) {
	t.Parallel()
	s := newSharedFixture(t, storeSite, options{})
	key := s.makeKey(t, nil)
	folder := s.dataFile("jwt", "default", "revocations")
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	writeFile(t, folder, "a file in the place of the folder") // nobody can list that, not even root
	began := time.Now()
	s.eventually("the event state_stale", 40*time.Second, func() bool { return len(s.events(t, "state_stale")) > 0 }, s.logs.String)
	if took := time.Since(began); took < 9*time.Second {
		t.Errorf("it came after %s", took)
	}
	event := s.events(t, "state_stale")[0]
	at, err := time.Parse(time.RFC3339, fmt.Sprint(event["refuses_at"]))
	if in := time.Until(at); err != nil || event["set"] != "revocations" || in < 23*time.Hour || in > 24*time.Hour {
		t.Errorf("the event is %v (%v)", event, err)
	}
	s.passes(t, s.withKey(t, key.peer()), key.peer()) // long before max_stale
	if age := s.metrics(t)[`caddy_jwt_state_age_seconds{set="revocations"}`]; age < 10 {
		t.Errorf("its age is %v", age)
	}
	if c := s.jwtCommand(t, "status"); !strings.Contains(c.stdout, "stale") || !strings.Contains(c.stdout, "will be refused from") {
		t.Error(c)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	s.eventually("it is in step again", followTime, func() bool {
		return s.metrics(t)[`caddy_jwt_state_age_seconds{set="revocations"}`] < 5
	}, s.logs.String)
	if n := len(s.events(t, "state_stale")); n != 1 {
		t.Errorf("there are %d events", n)
	}
}

// sharedStateMetric matches the names of metrics of shared state.
var sharedStateMetric = regexp.MustCompile(`^caddy_jwt_(state|revocation|stored|api_key_uses|clock_skew)_`)

// The metrics of shared state count what there is, and their labels come from the config:
// none has a user, a key, an issuer of a rule, a reason or a node.
func TestRevocationMetrics(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1), options{}, k.RS256)
	series := func() []string {
		var names []string
		for name := range s.metrics(t) {
			if sharedStateMetric.MatchString(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil)) // the issuer's answer tells the skew of the clock
	before := series()
	const canary = "canary"
	for n := range 20 {
		s.addRule(t, object{"kind": "sub", "value": fmt.Sprintf("%s-%d", canary, n), "issuer": fmt.Sprintf("https://%s-%d/", canary, n), "reason": canary})
	}
	s.addRule(t, object{"kind": "jti", "value": canary})
	revoked := k.RS256.Token(t, s.claims(map[string]any{"jti": canary}), nil)
	key := s.makeKey(t, object{"id": canary + "-key", "consumer": canary, "scopes": []string{canary}})
	s.makeKey(t, nil)
	for range 3 {
		s.passes(t, s.withKey(t, key.peer()), key.peer())
		s.refuses(t, site, revoked, "revoked")
	}
	for _, text := range []string{key.Key + "x", canary, "x"} {
		s.send(t, s.http, http.MethodGet, site, "/"+canary, apiKey(text), header("User-Agent", canary))
	}
	for name, want := range map[string]float64{
		`caddy_jwt_revocation_rules{kind="sub"}`: 20, `caddy_jwt_revocation_rules{kind="jti"}`: 1, `caddy_jwt_revocation_rules{kind="token"}`: 0,
		`caddy_jwt_stored_api_keys{store="partners"}`: 2, `caddy_jwt_api_key_uses_total{store="partners"}`: 3,
		`caddy_jwt_state_unstored{set="revocations"}`: 0, `caddy_jwt_state_damaged{set="keys-partners"}`: 0, `caddy_jwt_state_unknown{set="keys-partners"}`: 0,
	} {
		if got, ok := s.metrics(t)[name]; !ok || got != want {
			t.Errorf("%s is %v (%v); want %v", name, got, ok, want)
		}
	}
	if n := s.requests(t, `reason="revoked"`); n != 3 {
		t.Errorf("%v requests were refused as revoked; want 3", n)
	}
	if after := series(); !slices.Equal(before, after) {
		t.Errorf("the series were\n%q\nand are\n%q", before, after)
	}
	label := regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	allowed := map[string][]string{
		"kind": {"jti", "sub", "client", "key", "kid", "issuer", "token"}, "set": {"revocations", "keys-partners"}, "store": {"partners"},
	}
	seen := map[string]bool{}
	for _, name := range series() {
		for _, pair := range label.FindAllStringSubmatch(name, -1) {
			if seen[pair[1]] = true; !slices.Contains(allowed[pair[1]], pair[2]) {
				t.Errorf("the label %s of %s", pair[0], name)
			}
		}
	}
	if len(seen) != len(allowed) {
		t.Errorf("there are the labels %v", slices.Sorted(maps.Keys(seen)))
	}
	text, err := s.adminGet("/metrics")
	if err != nil || strings.Contains(text, canary) {
		t.Errorf("the metrics repeat what is in requests, rules or keys (%v)", err)
	}
}
