package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

const signingKeysPath = "/jwt/signing-keys"

func TestListingSigningKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := want[SigningPage](s, 200, "GET", signingKeysPath, "")
	if len(page.Services) != 1 || page.Services[0].Forward == nil {
		t.Fatalf("%+v", page)
	}
	of, forward := page.Services[0], page.Services[0].Forward
	if of.Issuer != "https://auth.example" || of.Service.Issuer != "https://auth.example" || forward.Issuer != "https://auth.example/forward" ||
		!of.Service.NextRotation.Equal(noon.Add(23*time.Hour)) || of.Service.Rotate != 30*24*3600 {
		t.Errorf("%+v", of)
	}
	next := SigningKeyItem{KeyID: "service-2", Algorithm: "ES256", State: "next", Made: noon.Add(-time.Hour), SignsFrom: noon.Add(23 * time.Hour)}
	if keys := of.Service.Keys; len(keys) != 2 || keys[0] != next || keys[1].State != "signing" || forward.Keys[1].KeyID != "forward-1" {
		t.Errorf("%+v", keys)
	}
	s.state.signing[0].Keys = nil // before the start
	if page := want[SigningPage](s, 200, "GET", signingKeysPath, ""); page.Services[0].Service.Keys == nil || len(page.Services[0].Service.Keys) != 0 {
		t.Errorf("%+v", page)
	}
	s.fails(400, "takes no parameters", "GET", signingKeysPath+"?issuer=x", "")
	s.state.signing = nil
	if w := s.send("GET", signingKeysPath, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"services": []`) {
		t.Error(w.Code, w.Body)
	}
	s.app.state = nil
	if page := want[SigningPage](s, 200, "GET", signingKeysPath, ""); len(page.Services) != 0 {
		t.Errorf("%+v", page)
	}
	s.running.Remove(s.app)
	s.fails(503, "no config", "GET", signingKeysPath, "")
}

func TestRotatingSigningKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ use, body, issuer string }{
		"the only service":        {shared.UseService, `{}`, "https://auth.example"},
		"a service":               {shared.UseService, `{"issuer":"https://auth.example","retire_now":false,"forward":false}`, "https://auth.example"},
		"the keys of its forward": {shared.UseForward, `{"issuer":"https://auth.example","forward":true}`, "https://auth.example/forward"},
		"the only forward":        {shared.UseForward, `{"forward":true}`, "https://auth.example/forward"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			keys := s.signing(c.use)
			old := keys.keys[1].ID
			a := want[SigningAnswer](s, 200, "POST", signingKeysPath, c.body, "X-Jwt-Operator", "alice@host")
			if a.Service != "https://auth.example" || a.Issuer != c.issuer || a.Signing.KeyID != c.use+"-2" || a.Next.KeyID != "rotated-3" || len(a.Retired)+len(a.Rules) != 0 || !a.Stored ||
				len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "stay valid") {
				t.Errorf("%+v", a)
			}
			if keys.by != "127.0.0.1 (says alice@host) at node-1" || len(s.rules.rules) != 0 {
				t.Errorf("%q %v", keys.by, s.rules.rules)
			}
			line := s.last()
			if line.Action != "signing_rotate" || line.Outcome != "stored" || line.Signing == nil || line.Signing.Issuer != c.issuer || line.Signing.Signing != a.Signing.KeyID || line.Signing.Next != a.Next.KeyID || len(line.Signing.Rules) != 0 {
				t.Errorf("%+v", line)
			}
			for _, set := range s.state.signing {
				if other := set.Keys.(*fakeSigning); other != keys && other.by != "" {
					t.Error("the other keys were rotated")
				}
			}
			keys.early = true
			a = want[SigningAnswer](s, 200, "POST", signingKeysPath, c.body)
			if a.Signing.KeyID == old || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "it signs from 2026-03-05T12:00:00Z on") {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestRetiringSigningKeys(t *testing.T) {
	t.Parallel()
	for use, issuer := range map[string]string{shared.UseService: "https://auth.example", shared.UseForward: "https://auth.example/forward"} {
		t.Run(use, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.app.cached = 3
			body := fmt.Sprintf(`{"retire_now":true,"forward":%t}`, use == shared.UseForward)
			const key = "Idempotency-Key"
			a := want[SigningAnswer](s, 200, "POST", signingKeysPath, body, key, "one")
			if a.Signing.KeyID != "safe-3" || a.Next.KeyID != "safe-4" || !slices.Equal(a.Retired, []string{use + "-2", use + "-1"}) || len(a.Rules) != 2 || a.CachedTokensRefused != 6 || !a.Stored {
				t.Errorf("%+v", a)
			}
			if notes := strings.Join(a.Notes, " "); !strings.Contains(notes, "until they fetch the key set again") || use == shared.UseService && !strings.Contains(notes, "introspection") {
				t.Errorf("%q", a.Notes)
			}
			for i, rule := range s.rules.rules {
				if rule.Kind.String() != "kid" || rule.Value != a.Retired[i] || rule.Issuer != issuer || !rule.End.IsZero() || rule.PublicID() != a.Rules[i] || rule.By != "127.0.0.1" || rule.Node != "node-1" {
					t.Errorf("%+v", rule)
				}
			}
			if len(s.state.revoked) != 2 {
				t.Errorf("events: %v", s.state.revoked)
			}
			line := s.last()
			if line.Action != "signing_retire" || line.Outcome != "stored" || !slices.Equal(line.Signing.Retired, a.Retired) || len(line.Signing.Rules) != 2 || line.Signing.Rules[1].ID != a.Rules[1] {
				t.Errorf("%+v", line)
			}
			again := want[SigningAnswer](s, 200, "POST", signingKeysPath, body, key, "one")
			if !again.Repeated || again.Signing.KeyID != a.Signing.KeyID || len(s.rules.rules) != 2 || s.signing(use).made != 4 {
				t.Errorf("%+v", again)
			}
		})
	}
}

// TestRetiringWithoutTheStorage: what was retired is refused here, and it is said that it is
// not stored.
func TestRetiringWithoutTheStorage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ keys, rules bool }{"keys": {false, true}, "rules": {true, false}, "neither": {false, false}} {
		s := newSite(t)
		s.signing(shared.UseService).stored, s.rules.stored = c.keys, c.rules
		a := want[SigningAnswer](s, 202, "POST", signingKeysPath, `{"retire_now":true}`)
		if a.Stored || !strings.Contains(a.Notes[0], "on this node only") || len(a.Rules) != 2 {
			t.Errorf("%s: %+v", name, a)
		}
		if line := s.last(); line.Outcome != "node_only" || line.Status != 202 {
			t.Errorf("%s: %+v", name, line)
		}
	}
	s := newSite(t)
	s.rules.err = errDisk
	a := want[SigningAnswer](s, 200, "POST", signingKeysPath, `{"retire_now":true}`)
	if len(a.Rules) != 0 || len(a.Retired) != 2 || !strings.Contains(a.Notes[0], "could not be made: no space left on device; caddy jwt revoke --kid") {
		t.Errorf("%+v", a)
	}
	s.app.cached, s.rules.err = -1, nil
	if a = want[SigningAnswer](s, 200, "POST", signingKeysPath, `{"retire_now":true}`); a.CachedTokensRefused != -1 {
		t.Errorf("%+v", a)
	}
}

func TestSigningKeysThatCantBeRotated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	other := s.state.signing[0]
	other.Service, other.Issuer, other.Keys = "https://other.example", "https://other.example", newFakeSigning("other")
	for body, c := range map[string]struct {
		status int
		part   string
	}{
		`{"issuer":"https://nobody.example"}`: {404, `there is no token service "https://nobody.example"; the config has "https://auth.example", "https://other.example"`},
		`{}`:                                  {400, "the config has 2 token services; write one of"},
		`{"issuer":"https://other.example","forward":true}`:   {409, "forward_jwt"},
		`{"issuer":"https://auth.example/forward"}`:           {400, `write the issuer of the service, and "forward": true`},
		`{"issuer":"https://auth.example/"}`:                  {404, "there is no token service"},
		`{"issuer":1}`:                                        {400, "issuer: it must be a string"},
		`{"retire_now":"yes"}`:                                {400, "retire_now: it must be true or false"},
		`{"retire_now":null}`:                                 {400, "retire_now: it must be true or false"},
		`{"forward":1}`:                                       {400, "forward: it must be true or false"},
		`{"use":"forward"}`:                                   {400, `"use": unknown member; the members are forward, issuer, retire_now`},
		`{"issuer":"` + someKey + `"}`:                        {400, "there is an API key in it"},
		`{"issuer":"eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.x"}`:      {400, "there is a token in it"},
		`{"issuer":"https://auth.example","kid":"service-1"}`: {400, `"kid": unknown member`},
	} {
		s.state.signing = append(s.state.signing[:2:2], other)
		s.fails(c.status, c.part, "POST", signingKeysPath, body)
		if line := s.last(); line.Outcome != "refused" || line.Status != c.status {
			t.Errorf("%+v", line)
		}
	}
	s.unchanged()
	s.fails(400, "takes no parameters", "POST", signingKeysPath+"?forward", `{"issuer":"https://auth.example"}`)
	s.unchanged()
	s.state.signing = s.state.signing[:2]
	for err, part := range map[error]string{tokenservice.ErrKeysUnavailable: "not available", replica.ErrNotStored: "may still appear"} {
		s.signing(shared.UseService).err = err
		w := s.send("POST", signingKeysPath, `{}`)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), part) || strings.Contains(w.Body.String(), "--kid") {
			t.Error(w.Code, w.Body)
		}
		s.fails(503, "caddy jwt revoke --kid service-1 --issuer https://auth.example refuses what the key signed", "POST", signingKeysPath, `{"retire_now":true}`)
		if line := s.last(); line.Outcome != "failed" || line.Action != "signing_retire" || line.Signing == nil {
			t.Errorf("%+v", line)
		}
	}
	s.state.signing[0].Keys = nil
	s.fails(503, "not available", "POST", signingKeysPath, `{}`)
	s.state.signing = nil
	s.fails(409, "add the directive `authorization_server`", "POST", signingKeysPath, `{}`)
	s.app.state = nil
	s.fails(409, "add the directive `authorization_server`", "POST", signingKeysPath, `{}`)
}

func TestServicesOnTheStatusPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := want[Page](s, 200, "GET", "/jwt/status", "")
	if len(page.Services) != 2 || page.Services[0] != (ServiceStatus{Issuer: "https://auth.example", Use: "service", SigningKey: "service-1", NextRotation: noon.Add(23 * time.Hour)}) || page.Services[1].SigningKey != "forward-1" {
		t.Errorf("%+v", page.Services)
	}
	s.state.signing = nil
	if w := s.send("GET", "/jwt/status", ""); strings.Contains(w.Body.String(), "services") {
		t.Error(w.Body)
	}
}

// TestAnswersHoldNoPrivateKeys: an answer has no members but those that are documented.
func TestAnswersHoldNoPrivateKeys(t *testing.T) {
	t.Parallel()
	var names []string
	text, err := json.Marshal(SigningKeyItem{KeyID: "a", Made: noon, SignsFrom: noon, SignsUntil: noon, PublishedUntil: noon})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "alg kid made published_until signs_from signs_until state" {
		t.Error(got)
	}
}
