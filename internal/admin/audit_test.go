package admin

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// chained reads the lines of the log and checks that each follows from the one before.
func chained(t *testing.T, log string) (lines []AuditItem) {
	t.Helper()
	previous := ""
	for text := range strings.Lines(log) {
		var entry struct{ Audit AuditItem }
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			t.Fatal(err)
		}
		line := entry.Audit
		if line.Seq != uint64(len(lines)+1) || line.Previous != previous {
			t.Fatalf("line %d has the number %d, and follows %q, not %q", len(lines)+1, line.Seq, line.Previous, previous)
		}
		again, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(again)
		previous = hex.EncodeToString(digest[:])
		lines = append(lines, line)
	}
	return lines
}

// TestTheChainOfTheAuditLog: from the log alone it can be seen that no line was changed or
// is missing.
func TestTheChainOfTheAuditLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withKey("partners", "k1")
	for _, c := range changes {
		s.send(c.method, c.path, c.body, "X-Jwt-Operator", "<alice&bob@host>")
	}
	s.send("POST", "/jwt/revocations", `{"kind":"\u2028\u001b"}`)
	lines := chained(t, s.logs.String())
	if len(lines) != len(changes)+1 {
		t.Fatal(len(lines))
	}
	page := want[AuditPage](s, 200, "GET", "/jwt/audit", "")
	for i := range lines {
		logged, _ := json.Marshal(lines[i])
		kept, _ := json.Marshal(page.Items[i])
		if string(logged) != string(kept) {
			t.Errorf("%s\n%s", logged, kept)
		}
	}
	for name, change := range map[string]func(*AuditItem){
		"who": func(a *AuditItem) { a.Who = "nobody" }, "outcome": func(a *AuditItem) { a.Outcome = "refused" }, "the rule": func(a *AuditItem) { a.Rule.Value = "bob" },
	} {
		forged := lines[0]
		rule := *forged.Rule
		forged.Rule = &rule
		change(&forged)
		text, _ := json.Marshal(forged)
		digest := sha256.Sum256(text)
		if hex.EncodeToString(digest[:]) == lines[1].Previous {
			t.Errorf("another %s does not show", name)
		}
	}
}

// TestManyChanges: the memory is bounded, and says what it no longer has.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const n = 1234
	for i := range n {
		want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", `{"kind":"jti","value":"v`+strconv.Itoa(i)+`","any_issuer":true}`)
	}
	if len(chained(t, s.logs.String())) != n {
		t.Error("lines are missing from the log")
	}
	page := want[AuditPage](s, 200, "GET", "/jwt/audit?limit=1000", "")
	if len(page.Items) != auditKept || page.Items[0].Seq != n-auditKept+1 || page.Missing != n-auditKept || page.Next != 0 {
		t.Errorf("%d lines from %d, %d missing", len(page.Items), page.Items[0].Seq, page.Missing)
	}
	var got []uint64
	for after := uint64(1000); ; {
		page := want[AuditPage](s, 200, "GET", "/jwt/audit?limit=7&after="+strconv.FormatUint(after, 10), "")
		for _, item := range page.Items {
			got = append(got, item.Seq)
		}
		if page.Missing != 0 {
			t.Error(page.Missing)
		}
		if after = page.Next; after == 0 {
			break
		}
	}
	if len(got) != n-1000 || got[0] != 1001 || got[len(got)-1] != n {
		t.Errorf("%d lines, from %d to %d", len(got), got[0], got[len(got)-1])
	}
	for _, after := range []string{"1234", "5000", "18446744073709551615"} {
		if page := want[AuditPage](s, 200, "GET", "/jwt/audit?after="+after, ""); len(page.Items) != 0 || page.Next != 0 || page.Missing != 0 {
			t.Errorf("%+v", page)
		}
	}
}

func TestWhoChangesSomething(t *testing.T) {
	t.Parallel()
	certificate := &x509.Certificate{Subject: pkix.Name{CommonName: "ops\x1b[2J", Organization: []string{"Acme"}}, RawSubjectPublicKeyInfo: []byte("a public key")}
	digest := sha256.Sum256([]byte("a public key"))
	for name, c := range map[string]struct {
		request func(*http.Request)
		who     string
		claimed string
	}{
		"an address": {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" }, "192.0.2.7", ""},
		"IPv6":       {func(r *http.Request) { r.RemoteAddr = "[2001:db8::1]:4711" }, "2001:db8::1", ""},
		"no port":    {func(r *http.Request) { r.RemoteAddr = "@" }, "@", ""},
		"a certificate": {func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}, VerifiedChains: [][]*x509.Certificate{{certificate}}}
		}, `CN=ops\u001b[2J,O=Acme sha256:` + hex.EncodeToString(digest[:]), ""},
		"not a verified": {func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
		}, "192.0.2.1", ""},
		"a socket": {func(r *http.Request) {
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/caddy.sock", Net: "unix"}))
		}, "unix:/run/caddy.sock", ""},
		"a claim":            {func(r *http.Request) { r.Header.Set("X-Jwt-Operator", "alice@laptop") }, "192.0.2.1", "alice@laptop"},
		"a claim to escape":  {func(r *http.Request) { r.Header.Set("X-Jwt-Operator", "alice\x1b[2J\u202e") }, "192.0.2.1", `alice\u001b[2J\u202e`},
		"a long claim":       {func(r *http.Request) { r.Header.Set("X-Jwt-Operator", strings.Repeat("é", 5000)) }, "192.0.2.1", strings.Repeat("é", maxWho) + "…"},
		"a key as the claim": {func(r *http.Request) { r.Header.Set("X-Jwt-Operator", someKey) }, "192.0.2.1", "a credential"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			r := httptest.NewRequest("POST", "/jwt/revocations", strings.NewReader(`{"kind":"jti","value":"x","any_issuer":true}`))
			r.Header.Set("Content-Type", "application/json")
			c.request(r)
			w := httptest.NewRecorder()
			s.mux.ServeHTTP(w, r)
			line := s.last()
			if w.Code != 201 || line.Who != c.who || line.ClaimedBy != c.claimed {
				t.Errorf("%d %q %q", w.Code, line.Who, line.ClaimedBy)
			}
			by := c.who
			if c.claimed != "" {
				by += " (says " + c.claimed + ")"
			}
			if got := s.rules.rules[0].By; got != by && !strings.HasPrefix(by, got) {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestWhatOtherNodesHaveChanged is not parallel: the functions write to the audit log of the
// process.
func TestWhatOtherNodesHaveChanged(t *testing.T) {
	s := newSite(t)
	before := process.audit.page(0, 1).Missing + uint64(len(process.audit.page(0, maxLimit).Items))
	rule := revocation.Rule{Kind: revocation.KindSub, Value: "alice", Reason: "left\x1b", By: "unix:/run/x", Node: "node-2", At: noon}
	gone := rule
	gone.Gone = true
	own := revocation.Rule{Kind: revocation.KindJTI, Value: "one", End: noon, By: "partner", Own: true}
	LearnedRules(s.logs.logger())([]revocation.Rule{rule, own, gone, own})
	LearnedKeys(s.logs.logger())("partners", []apikey.StoreChange{{ID: "k1", Change: "disabled", By: "bob", Node: "node-3"}})
	keys := ChangedSigningKeys(s.logs.logger())
	keys(tokenservice.KeyEvent{Issuer: "https://auth.example", KeyID: "kid-1", Change: "retired", By: "bob", Node: "node-3"})
	keys(tokenservice.KeyEvent{Issuer: "https://auth.example", KeyID: "kid-2", Change: "signs"})
	process.running.Add(s.app)
	keys(tokenservice.KeyEvent{Issuer: "https://auth.example", KeyID: "kid-3", Change: "retired", By: "bob", Node: "node-1"}) // which has a line
	process.running.Remove(s.app)
	items := process.audit.page(before, maxLimit).Items
	if len(items) != 5 {
		t.Fatal(items)
	}
	for _, item := range items {
		if item.Action != "learned" || item.Outcome != "learned" {
			t.Errorf("%+v", item)
		}
	}
	if items[0].Change != "added" || items[1].Change != "removed" || items[0].Rule.Value != "alice" || items[0].Origin != "node-2" || items[0].Who != "unix:/run/x" || items[0].Reason != `left\u001b` {
		t.Errorf("%+v", items[0])
	}
	if items[2].Change != "disabled" || items[2].Store != "partners" || items[2].ID != "k1" || items[2].Who != "bob" || items[2].Origin != "node-3" {
		t.Errorf("%+v", items[2])
	}
	for i, e := range []AuditItem{{ID: "kid-1", Change: "retired", Who: "bob", Origin: "node-3"}, {ID: "kid-2", Change: "signs"}} {
		if got := items[3+i]; got.ID != e.ID || got.Change != e.Change || got.Who != e.Who || got.Origin != e.Origin || got.Signing == nil || got.Signing.Issuer != "https://auth.example" {
			t.Errorf("%+v", got)
		}
	}
	if strings.Count(s.logs.String(), "\n") != 5 {
		t.Error(s.logs)
	}
}
