package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

func nobody(string) *issuer.Settings { return nil }

// TestEntriesOfJSON: what a Caddyfile can't say.
func TestEntriesOfJSON(t *testing.T) {
	t.Parallel()
	good := func() *Settings {
		return &Settings{
			Issuer: "https://auth.example.com", Audience: []string{"a"},
			Client: []*Client{{ID: "deploy", PublicKey: []string{"deploy.pem"}}},
		}
	}
	if _, err := good().Check(setting.Unresolved, nobody); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Settings)
		option string
		index  int
		text   string
	}{
		"null among api_keys":    {func(s *Settings) { s.APIKeys = []*KeyStore{nil} }, "api_keys", 0, "an entry is null"},
		"null among api_key":     {func(s *Settings) { s.APIKey = []*Key{nil} }, "api_key", 0, "an entry is null"},
		"null among client":      {func(s *Settings) { s.Client = append(s.Client, nil) }, "client", 1, "an entry is null"},
		"null among federate":    {func(s *Settings) { s.Federate = []*Federate{nil} }, "federate", 0, "an entry is null"},
		"null among introspect":  {func(s *Settings) { s.Introspect = []*Introspector{nil} }, "introspect", 0, "an entry is null"},
		"null among claims":      {func(s *Settings) { s.Client[0].Claim = []*FixedClaim{nil} }, "client", 0, "an entry is null"},
		"null among meta claims": {func(s *Settings) { s.APIKeys = []*KeyStore{{Claim: []*MetaClaim{nil}}} }, "api_keys", 0, "an entry is null"},
		"introspect of nobody":   {func(s *Settings) { s.Introspect = []*Introspector{{Audience: []string{"a"}}} }, "introspect", 0, "the client is missing"},
		"introspect for nothing": {func(s *Settings) { s.Introspect = []*Introspector{{Client: "deploy"}} }, "introspect", 0, "the resources are missing"},
		"a negative lifetime":    {func(s *Settings) { s.Lifetime = -time.Hour }, "lifetime", 0, "is not from 1m"},
		"a negative rotation":    {func(s *Settings) { s.Rotate = -time.Hour }, "rotate", 0, "is not from 48h"},
		"an empty resource":      {func(s *Settings) { s.Audience = []string{""} }, "audience", 0, "a value is empty"},
		"null among requirements": {func(s *Settings) {
			s.Federate = []*Federate{{Name: "ci", Client: "deploy", Issuer: &issuer.Settings{Iss: "https://ci.example.com"}, Require: []*rule.Requirement{nil}}}
		}, "federate", 0, "an entry is null"},
		"a name that nobody wrote": {func(s *Settings) {
			s.Federate = []*Federate{{Name: "ci", Client: "deploy", Issuer: &issuer.Settings{Name: "ci"}, Require: []*rule.Requirement{claim("sub", "a")}}}
		}, "federate", 0, "no issuer of this name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good()
			c.change(s)
			_, err := s.Check(setting.Unresolved, nobody)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Option != c.option || e.Index != c.index || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestWarnings: what is valid, but should not stay.
func TestWarnings(t *testing.T) {
	t.Parallel()
	s := &Settings{
		Issuer: "https://auth.example.com", Audience: []string{"a"},
		Client: []*Client{{ID: "old", PublicKey: []string{"old.pem"}, AssertionAudience: "token_endpoint"}},
		Federate: []*Federate{{
			Name: "github", Client: "old", Issuer: &issuer.Settings{Iss: gitHubIssuer}, Require: []*rule.Requirement{claim("repository", "acme/app"), claim("ref", "a")},
		}},
	}
	c, err := s.Check(setting.Resolve, nobody)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"client old may name the token endpoint", "federate github: names of repositories"} {
		if !strings.Contains(strings.Join(c.Warnings, "\n"), want) {
			t.Errorf("no warning has %q: %q", want, c.Warnings)
		}
	}
	// The platform's tokens must be for this service, and live for a day at most.
	p := c.federates[0].policy
	if len(p.Audience) != 1 || p.Audience[0] != "https://auth.example.com" || p.AnyAudience || p.MaxLifetime != 24*time.Hour {
		t.Errorf("the policy takes %q, any: %v, for %s", p.Audience, p.AnyAudience, p.MaxLifetime)
	}
}

// TestEventsAreLogged: all at DEBUG, as a client can cause any number of them.
func TestEventsAreLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	counted := 0
	observe := Observer(zap.New(core), "https://auth.example.com", func(string, tokenservice.Event) { counted++ })
	observe(tokenservice.Event{Endpoint: "token", Client: "deploy", Grant: "client_credentials"})
	if all := logs.TakeAll(); len(all) != 1 || all[0].Level != zapcore.DebugLevel || all[0].ContextMap()["client"] != "deploy" {
		t.Errorf("a token is logged as %v", all)
	}
	observe(tokenservice.Event{Endpoint: "token", Error: "invalid_client", Reason: "unknown"})
	if all := logs.TakeAll(); len(all) != 1 || all[0].Level != zapcore.DebugLevel || all[0].ContextMap()["reason"] != "unknown" {
		t.Errorf("a refusal is logged as %v", all)
	}
	if counted != 2 {
		t.Errorf("%d events are counted", counted)
	}
}
