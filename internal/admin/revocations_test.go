package admin

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// jwt returns a token with a payload. Nothing here verifies its signature.
func jwt(payload string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + b64([]byte(payload)) + "." + b64([]byte("a signature of some bytes"))
}

const opaque = "ory_at_3Xk29sdfJKLsdf93jsdfkLSDf093jsdf"

func TestRevoke(t *testing.T) {
	t.Parallel()
	soon := noon.Add(time.Hour)
	for name, c := range map[string]struct {
		body string
		want revocation.Rule
	}{
		"jti": {`{"kind":"jti","value":"id-1","issuer":"https://a.example","reason":"stolen"}`,
			revocation.Rule{Kind: revocation.KindJTI, Value: "id-1", Issuer: "https://a.example", Reason: "stolen"}},
		"sub of any issuer": {`{"kind":"sub","value":"alice","any_issuer":true}`, revocation.Rule{Kind: revocation.KindSub, Value: "alice"}},
		"sub until a time": {`{"kind":"sub","value":"alice","issuer":"https://b.example","not_before":"2026-03-04T12:00:00Z","end":"2026-03-04T14:00:00+01:00"}`,
			revocation.Rule{Kind: revocation.KindSub, Value: "alice", Issuer: "https://b.example", NotBefore: noon, End: soon}},
		"a not_before within the leeway": {`{"kind":"client","value":"app","any_issuer":true,"not_before":"2026-03-04T12:00:30Z","end":null}`,
			revocation.Rule{Kind: revocation.KindClient, Value: "app", NotBefore: noon.Add(30 * time.Second)}},
		"kid":    {`{"kind":"kid","value":"1","issuer":"https://a.example"}`, revocation.Rule{Kind: revocation.KindKid, Value: "1", Issuer: "https://a.example"}},
		"issuer": {`{"kind":"issuer","value":"https://a.example","not_before":"2026-03-04T11:00:00Z"}`, revocation.Rule{Kind: revocation.KindIssuer, Value: "https://a.example", NotBefore: noon.Add(-time.Hour)}},
		"key":    {`{"kind":"key","value":"k1"}`, revocation.Rule{Kind: revocation.KindKey, Value: "k1"}},
		"key of a store": {`{"kind":"key","value":"k1","store":"staff"}`,
			revocation.Rule{Kind: revocation.KindKey, Value: "k1", Store: "staff"}},
		"a JWT": {`{"kind":"token","value":"` + jwt(fmt.Sprintf(`{"exp":%d}`, soon.Unix())) + `"}`,
			revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(jwt(fmt.Sprintf(`{"exp":%d}`, soon.Unix()))), End: soon.Add(31 * time.Second)}},
		"a JWT with an end behind its expiry": {`{"kind":"token","end":"2026-03-04T13:00:01Z","value":"` + jwt(fmt.Sprintf(`{"exp":%d.5}`, soon.Unix())) + `"}`,
			revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(jwt(fmt.Sprintf(`{"exp":%d.5}`, soon.Unix()))), End: soon.Add(time.Second)}},
		"a JWT without an expiry": {`{"kind":"token","value":"` + jwt(`{}`) + `"}`, revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(jwt(`{}`))}},
		"an opaque token":         {`{"kind":"token","value":"` + opaque + `"}`, revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(opaque)}},
		"the digest of a token":   {`{"kind":"token","value":"` + revocation.TokenValue(opaque) + `"}`, revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(opaque)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.withKey("partners", "k1")
			s.withKey("staff", "k1")
			s.app.cached = 3
			answer := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", c.body, "X-Jwt-Operator", "alice@laptop")
			if len(s.rules.rules) != 1 {
				t.Fatal(s.rules.rules)
			}
			got := s.rules.rules[0]
			c.want.ID, c.want.At, c.want.By, c.want.Node = got.ID, noon, "127.0.0.1 (says alice@laptop)", "node-1"
			if got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
			if !answer.Stored || answer.CachedTokensRefused != 3 || answer.ID != got.PublicID() || !answer.End.Equal(got.End) {
				t.Errorf("%+v", answer)
			}
			if len(s.state.revoked) != 1 {
				t.Error("no event")
			}
			line := s.last()
			if line.Action != "revoke" || line.Outcome != "stored" || line.Status != 201 || line.Who != "127.0.0.1" ||
				line.ClaimedBy != "alice@laptop" || line.ID != answer.ID || line.Reason != got.Reason || line.Rule == nil || line.Rule.Value != got.Value {
				t.Errorf("%+v", line)
			}
		})
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	expires := fmt.Sprintf(`{"exp":%d}`, noon.Add(time.Hour).Unix())
	for name, c := range map[string]struct{ body, part string }{
		"no kind":                      {`{"value":"x"}`, "kind: must be one of jti, sub, client, key, kid, issuer, token"},
		"an unknown kind":              {`{"kind":"user","value":"x"}`, "kind: must be one of"},
		"no value":                     {`{"kind":"jti","any_issuer":true}`, "value: "},
		"an empty value":               {`{"kind":"sub","value":"","any_issuer":true}`, "value: "},
		"a number as value":            {`{"kind":"sub","value":42}`, "value: it must be a string"},
		"a text as any_issuer":         {`{"kind":"sub","value":"a","any_issuer":"yes"}`, "any_issuer: it must be true or false"},
		"no issuer of two":             {`{"kind":"sub","value":"alice"}`, `issuer: it is missing, and the config has 2 issuers; write one of "https://a.example", "https://b.example", or "any_issuer": true`},
		"any_issuer false":             {`{"kind":"jti","value":"x","any_issuer":false}`, "issuer: it is missing"},
		"an issuer of many tenants":    {`{"kind":"sub","value":"x","issuer":"https://entra.example/{tid}/"}`, "a rule is about one: write the exact iss of the tokens"},
		"one, alone":                   {`{"kind":"issuer","value":"https://entra.example/{tid}/","not_before":"2026-03-04T12:00:00Z"}`, "a rule is about one: write the exact iss of the tokens"},
		"both":                         {`{"kind":"sub","value":"a","issuer":"https://a.example","any_issuer":true}`, "any_issuer: "},
		"kid of any issuer":            {`{"kind":"kid","value":"1","any_issuer":true}`, "issuer: "},
		"kid without an issuer":        {`{"kind":"kid","value":"1"}`, "issuer: "},
		"an issuer with a key":         {`{"kind":"key","value":"k1","issuer":"https://a.example"}`, "issuer: "},
		"any issuer with a key":        {`{"kind":"key","value":"k1","any_issuer":true}`, "issuer: "},
		"an issuer with an issuer":     {`{"kind":"issuer","value":"https://a.example","issuer":"https://a.example","not_before":"2026-03-04T12:00:00Z"}`, "issuer: "},
		"an issuer of all times":       {`{"kind":"issuer","value":"https://a.example"}`, "not_before: "},
		"not_before with a jti":        {`{"kind":"jti","value":"x","any_issuer":true,"not_before":"2026-03-04T12:00:00Z"}`, "not_before: "},
		"not_before with a kid":        {`{"kind":"kid","value":"x","issuer":"https://a.example","not_before":"2026-03-04T12:00:00Z"}`, "not_before: "},
		"not_before with a key":        {`{"kind":"key","value":"x","not_before":"2026-03-04T12:00:00Z"}`, "not_before: "},
		"not_before ahead":             {`{"kind":"sub","value":"x","any_issuer":true,"not_before":"2026-03-04T12:00:31Z"}`, "not_before: must be at most 30s in the future"},
		"not_before as a number":       {`{"kind":"sub","value":"x","any_issuer":true,"not_before":1772625600}`, "not_before: it must be a time as a string"},
		"a time without a zone":        {`{"kind":"sub","value":"x","any_issuer":true,"end":"2026-03-05T12:00:00"}`, "end: "},
		"a date":                       {`{"kind":"sub","value":"x","any_issuer":true,"end":"2026-03-05"}`, "end: "},
		"an end in the past":           {`{"kind":"sub","value":"x","any_issuer":true,"end":"2026-03-04T12:00:00Z"}`, "end: must be in the future"},
		"a store with a sub":           {`{"kind":"sub","value":"x","any_issuer":true,"store":"partners"}`, "store: only rules of the kind key"},
		"an unknown store":             {`{"kind":"key","value":"x","store":"partner"}`, `store: there is no store "partner" that can be changed here; there are: partners, staff`},
		"a bad id of a key":            {`{"kind":"key","value":"a b"}`, "value: "},
		"a key in place of its id":     {`{"kind":"key","value":"` + someKey + `"}`, "value: it looks like an API key"},
		"a token as a jti":             {`{"kind":"jti","any_issuer":true,"value":"` + jwt(expires) + `"}`, `"kind": "token"`},
		"a key as a sub":               {`{"kind":"sub","any_issuer":true,"value":"` + someKey + `"}`, "value: there is an API key in it"},
		"a key as a token":             {`{"kind":"token","value":"` + someKey + `"}`, "value: it is an API key"},
		"a token in the reason":        {`{"kind":"jti","any_issuer":true,"value":"x","reason":"this: ` + jwt(expires) + `"}`, "reason: there is a token in it"},
		"Bearer":                       {`{"kind":"token","value":"Bearer ` + jwt(expires) + `"}`, "value: it is not a token; write the token alone, without Bearer"},
		"a token with a line's end":    {`{"kind":"token","value":"` + jwt(expires) + `\n"}`, "value: it is not a token"},
		"an end before the expiry":     {`{"kind":"token","end":"2026-03-04T12:59:59Z","value":"` + jwt(expires) + `"}`, "end: it is before the expiry of the token, which is 2026-03-04T13:00:00Z"},
		"a token that has expired":     {`{"kind":"token","value":"` + jwt(`{"exp":1772620000}`) + `"}`, "value: the token has expired already"},
		"a token of no issuer":         {`{"kind":"token","issuer":"https://a.example","value":"` + opaque + `"}`, "issuer: "},
		"half a digest":                {`{"kind":"token","value":"sha256:12"}`, "value: "},
		"a reason that is too long":    {`{"kind":"jti","any_issuer":true,"value":"x","reason":"` + strings.Repeat("x", 1025) + `"}`, "reason: "},
		"a value that is too long":     {`{"kind":"jti","any_issuer":true,"value":"` + strings.Repeat("x", 1025) + `"}`, "value: "},
		"a control character in value": {`{"kind":"jti","any_issuer":true,"value":"\u001b[2J"}`, "value: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.withKey("partners", "k1")
			s.fails(400, c.part, "POST", "/jwt/revocations", c.body)
			s.unchanged()
			line := s.last()
			if line.Outcome != "refused" || line.Status != 400 || line.Rule != nil || line.Error == "" {
				t.Errorf("%+v", line)
			}
			s.noSecrets(jwt(expires), opaque, someKey)
		})
	}
}

// noSecrets expects that neither the log nor the audit log has a secret, or a part of it.
func (s *site) noSecrets(secrets ...string) {
	s.t.Helper()
	everything := s.logs.String() + s.send("GET", "/jwt/audit?limit=1000", "").Body.String()
	for _, secret := range secrets {
		for _, part := range []string{secret, secret[len(secret)/3 : len(secret)*2/3]} {
			if strings.Contains(everything, part) {
				s.t.Errorf("%q is logged: %s", part, everything)
			}
		}
	}
	if strings.Contains(everything, `"hash"`) {
		s.t.Error("a hash is logged")
	}
}

var someKey, _ = apikey.New("cj")

// TestATokenIsKeptNowhere: only the cache is told of it.
func TestATokenIsKeptNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, token := range []string{jwt(`{"exp":1772712000,"sub":"alice"}`), opaque} {
		w := s.send("POST", "/jwt/revocations", `{"kind":"token","value":"`+token+`"}`, "Idempotency-Key", token[:20])
		if w.Code != 201 || strings.Contains(w.Body.String(), token[10:30]) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if s.app.token != token {
			t.Error("the cache is not asked for the token")
		}
		if page := s.send("GET", "/jwt/revocations", ""); strings.Contains(page.Body.String(), token[10:30]) {
			t.Error(page.Body)
		}
		s.fails(400, "?value: a URL is logged", "GET", "/jwt/revocations?value="+jwt("{}"), "")
		s.noSecrets(token[20:])
	}
}

func TestTheOnlyIssuerIsTheDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		issuers []string
		want    string
	}{{[]string{"https://a.example"}, "https://a.example"}, {nil, ""}, {[]string{""}, ""}} {
		for _, kind := range []string{"jti", "sub", "client"} {
			s := newSite(t)
			s.app.issuers = c.issuers
			want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"`+kind+`","value":"x"}`)
			if got := s.rules.rules[0].Issuer; got != c.want {
				t.Errorf("%q with %q: %q", kind, c.issuers, got)
			}
		}
		s := newSite(t)
		s.app.issuers = c.issuers
		s.fails(400, "issuer: ", "POST", "/jwt/revocations", `{"kind":"kid","value":"x"}`)
	}
}

func TestTheEndOfARuleForAJTI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.app.lifetime = time.Hour
	answer := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"jti","value":"x","any_issuer":true}`)
	if want := noon.Add(time.Hour + 61*time.Second); !answer.End.Equal(want) {
		t.Errorf("%v, not %v", answer.End, want)
	}
	answer = want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"sub","value":"x","any_issuer":true}`)
	if !answer.End.IsZero() {
		t.Error(answer.End)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	const at = `,"not_before":"2026-03-04T12:00:00Z"}`
	for name, c := range map[string]struct {
		body, want, not string
		cached          int
	}{
		"nothing in the cache":        {`{"kind":"sub","value":"x","any_issuer":true}`, "no token in this node's cache matches", "refresh", 0},
		"something in the cache":      {`{"kind":"sub","value":"x","any_issuer":true}`, "", "cache", 2},
		"a user":                      {`{"kind":"sub","value":"x","issuer":"https://a.example"` + at, `the issuer "https://a.example" goes on issuing tokens to anyone who holds a refresh token; disable the user at the issuer too`, "cache", 2},
		"a client":                    {`{"kind":"client","value":"x","any_issuer":true` + at, "the issuer goes on issuing tokens to anyone who holds a refresh token; disable the client at the issuer too", "cache", 2},
		"an issuer":                   {`{"kind":"issuer","value":"https://b.example"` + at, `"https://b.example" goes on issuing tokens to anyone who holds a refresh token`, "disable", 2},
		"a client of the service":     {`{"kind":"client","value":"x","issuer":"https://own.example"` + at, "the token service goes on issuing tokens to each client that proves who it is", "refresh", 2},
		"the service":                 {`{"kind":"issuer","value":"https://own.example"` + at, "disable the client's API key", "refresh", 2},
		"an issuer of no site":        {`{"kind":"sub","value":"x","issuer":"https://a.example/"}`, `no site of this node accepts tokens of the issuer "https://a.example/"; the config has "https://a.example"`, "refresh", 2},
		"an issuer of no site, alone": {`{"kind":"issuer","value":"https://a.example/"` + at, "no site of this node accepts", "cache", 2},
		"an unknown key":              {`{"kind":"key","value":"k9"}`, "no API key that is known on this node has this id", "cache", 0},
		"a key of another store":      {`{"kind":"key","value":"k1","store":"staff"}`, "no API key that is known on this node has this id", "cache", 0},
		"a known key":                 {`{"kind":"key","value":"k1"}`, "", "API key", 0},
		"a key in the config":         {`{"kind":"key","value":"written"}`, "", "API key", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.app.cached = c.cached
			s.state.signing = []SigningSet{{Service: "https://own.example"}}
			s.withKey("partners", "k1")
			s.app.written = append(s.app.written, keySetOf(t, apikey.Record{ID: "written"}))
			notes := strings.Join(want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", c.body).Notes, "\n")
			if !strings.Contains(notes, c.want) || strings.Contains(notes, c.not) {
				t.Errorf("%q", notes)
			}
		})
	}
}

// TestRulesForTenants: a rule is about one iss, which is never taken from a config that has it
// with {tid}; an iss of it is one that sites accept.
func TestRulesForTenants(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.app.issuers = []string{"https://entra.example/{tid}/v2.0"}
	s.fails(400, `issuer: it is missing, and the config's is "https://entra.example/{tid}/v2.0"`, "POST", "/jwt/revocations", `{"kind":"sub","value":"alice"}`)
	for iss, unknown := range map[string]bool{
		"https://entra.example/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0": false, "https://entra.example//v2.0": true,
		"https://entra.example/a/b/v2.0": true, "https://entra.example/a/v1.0": true, "https://other.example/a/v2.0": true,
	} {
		answer := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"sub","value":"alice","issuer":"`+iss+`"}`)
		if got := strings.Contains(strings.Join(answer.Notes, "\n"), "no site of this node accepts"); got != unknown {
			t.Errorf("%s: %q", iss, answer.Notes)
		}
	}
}

// keySetOf makes a set of keys with random secrets.
func keySetOf(t *testing.T, records ...apikey.Record) *apikey.Set {
	t.Helper()
	for i := range records {
		text, _ := apikey.New("cj")
		records[i].Hash = apikey.DigestOf(text)
	}
	set, err := apikey.NewSet(records)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestKeysThatARuleDoesNotRefuse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withKey("partners", "p-works", func(k *apikey.StoredKey) { k.Consumer = "alice" })
	s.withKey("partners", "p-disabled", func(k *apikey.StoredKey) { k.Consumer, k.Disabled = "alice", true })
	s.withKey("partners", "p-expired", func(k *apikey.StoredKey) { k.Consumer, k.Expires = "alice", noon })
	s.withKey("partners", "p-other", func(k *apikey.StoredKey) { k.Consumer = "bob" })
	s.withKey("staff", "alice", func(k *apikey.StoredKey) { k.Consumer = "" })
	s.app.files = []KeyFile{{Path: "/keys.jsonl", Keys: keySetOf(t, apikey.Record{ID: "f-works", Consumer: "alice"},
		apikey.Record{ID: "f-disabled", Consumer: "alice", Disabled: true}, apikey.Record{ID: "f-expired", Consumer: "alice", Expires: noon})}}
	s.app.written = []*apikey.Set{keySetOf(t, apikey.Record{ID: "w-works", Consumer: "alice"})}
	answer := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"sub","value":"alice","any_issuer":true}`)
	if want := []string{"alice", "f-works", "p-works", "w-works"}; !slices.Equal(answer.APIKeysStillValid, want) {
		t.Errorf("%q", answer.APIKeysStillValid)
	}
	if !strings.Contains(strings.Join(answer.Notes, "\n"), "API keys still work") {
		t.Errorf("%q", answer.Notes)
	}
	for i := range 300 {
		s.withKey("staff", fmt.Sprintf("more-%d", i), func(k *apikey.StoredKey) { k.Consumer = "alice" })
	}
	answer = want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"sub","value":"alice","any_issuer":true}`)
	if len(answer.APIKeysStillValid) != maxValidKeys {
		t.Error(len(answer.APIKeysStillValid))
	}
}

func TestARuleThatIsNotStored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.rules.stored = false
	answer := want[RevocationAnswer](s, 202, "POST", "/jwt/revocations", `{"kind":"jti","value":"x","any_issuer":true}`)
	if answer.Stored || !strings.Contains(strings.Join(answer.Notes, "\n"), "holds on this node only") {
		t.Errorf("%+v", answer)
	}
	if line := s.last(); line.Outcome != "node_only" || line.Status != 202 {
		t.Errorf("%+v", line)
	}
	for err, status := range map[error]int{revocation.ErrManyRules: 409, replica.ErrTooLarge: 400, errDisk: 503} {
		s.rules.err = err
		s.fails(status, err.Error(), "POST", "/jwt/revocations", `{"kind":"jti","value":"x","any_issuer":true}`)
		outcome := "refused"
		if status == 503 {
			outcome = "failed"
		}
		if line := s.last(); line.Outcome != outcome || line.Rule != nil {
			t.Errorf("%+v", line)
		}
	}
}

func TestRemoving(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"jti","value":"x","any_issuer":true,"reason":"stolen"}`).ID
	path := "/jwt/revocations/" + id
	for query, part := range map[string]string{
		"": "?reason: it is missing", "?reason=": "?reason: it is missing", "?reason=" + jwt("{}"): "?reason: there is a token",
		"?reason=" + strings.Repeat("x", 1025): "?reason: it has 1025 bytes", "?reason=x&force=1": "?force: unknown parameter",
	} {
		s.fails(400, part, "DELETE", path+query, "")
	}
	for _, other := range []string{"jti-000000000000000000000000", "jti-0", "x", "JTI-000000000000000000000000", url.PathEscape("jti-\x1b[2J")} {
		s.fails(404, "there is no rule with this id", "DELETE", "/jwt/revocations/"+other+"?reason=x", "")
	}
	if line := s.last(); line.Action != "unrevoke" || line.Outcome != "refused" || line.Status != 404 {
		t.Errorf("%+v", line)
	}
	if len(s.rules.rules) != 1 {
		t.Fatal("the rule is gone")
	}
	s.rules.err = replica.ErrNotStored
	w := s.send("DELETE", path+"?reason=x", "")
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "may still appear") {
		t.Error(w.Code, w.Body)
	}
	s.rules.err = nil
	removed := want[RevocationItem](s, 200, "DELETE", path+"?reason=a+slip", "")
	if removed.ID != id || removed.Reason != "stolen" || len(s.rules.rules) != 0 {
		t.Errorf("%+v", removed)
	}
	if line := s.last(); line.Outcome != "stored" || line.Reason != "a slip" || line.ID != id || line.Rule == nil || line.Rule.Value != "x" {
		t.Errorf("%+v", line)
	}
	s.fails(404, "there is no rule with this id", "DELETE", path+"?reason=again", "")
}

func TestListingRules(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 250 {
		kind, issuer := "jti", "https://a.example"
		if i%5 == 0 {
			kind, issuer = "sub", "https://b.example"
		}
		want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", fmt.Sprintf(`{"kind":%q,"value":"v%d","issuer":%q}`, kind, i%100, issuer))
	}
	for query, n := range map[string]int{
		"": 250, "kind=sub": 50, "kind=jti": 200, "value=v7": 3, "issuer=https://b.example": 50, "kind=sub&value=v5&issuer=https://b.example": 3,
		"kind=kid": 0, "kind=sub&limit=1": 50, "limit=249": 250,
	} {
		var pages, items int
		seen := map[string]bool{}
		for after := ""; ; {
			page := want[RevocationPage](s, 200, "GET", "/jwt/revocations?"+query+"&after="+after, "")
			pages++
			for _, item := range page.Items {
				if seen[item.ID] {
					t.Fatalf("%s is listed twice", item.ID)
				}
				seen[item.ID] = true
			}
			items += len(page.Items)
			if after = page.Next; after == "" {
				break
			}
		}
		if items != n {
			t.Errorf("%q: %d rules in %d pages, not %d", query, items, pages, n)
		}
	}
	s.rules.err = errDisk
	s.fails(503, errDisk.Error(), "GET", "/jwt/revocations", "")
}
