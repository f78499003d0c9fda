package revoked

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// standing are clients with the answer for each; those that are not there are revoked.
type standing struct {
	clients map[string]reason.Code
	asked   int
}

func (s *standing) CheckClient(_ context.Context, id string, _ time.Time) reason.Code {
	s.asked++
	code, ok := s.clients[id]
	if !ok {
		return reason.Revoked
	}
	return code
}

// own makes the tokens of a site those of a service with these clients.
func (s *site) own(clients Clients) *validator.Validator {
	return s.Revoking(Tokens{
		State: func() *shared.State { return s.state },
		Clients: func(iss string) Clients {
			if iss == issuer {
				return clients
			}
			return nil
		},
	})
}

// A token of a service of the config is refused as soon as its client is gone, whether the
// token was seen before or not, and whether there are rules or not.
func TestATokenLivesNoLongerThanItsClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "clients", true)
	clients := &standing{clients: map[string]reason.Code{"partner": ""}}
	v := s.own(clients)
	text := s.sign(t, jwt.MapClaims{"sub": "partner", "client_id": "partner"})
	for i, step := range []struct {
		what string
		code reason.Code
		gone bool
	}{
		{what: "it is new"},
		{what: "it was seen before"},
		{what: "the key is disabled", code: reason.Revoked},
		{what: "it is enabled again"},
		{what: "the stores are away", code: reason.APIKeysUnavailable},
		{what: "the client is unknown", code: reason.Revoked, gone: true},
	} {
		clients.clients["partner"] = step.code
		if step.gone {
			delete(clients.clients, "partner")
		}
		_, err := v.Validate(t.Context(), text)
		if clients.asked != i+1 {
			t.Fatalf("%s: the client was looked up %d times in all", step.what, clients.asked)
		}
		if step.code == "" && err != nil || step.code != "" && !errors.Is(err, step.code) {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	// Rules and clients are asked both.
	clients.clients["partner"] = ""
	r := s.revoke(t, revocation.Rule{Kind: revocation.KindClient, Value: "partner"})
	if _, err := v.Validate(t.Context(), text); !errors.Is(err, reason.Revoked) {
		t.Errorf("the client is revoked: %v", err)
	}
	if _, err := s.state.Revocations().Remove(t.Context(), r.PublicID(), "", "", "test"); err != nil {
		t.Fatal(err)
	}
	s.revoke(t, revocation.Rule{Kind: revocation.KindClient, Value: "other"})
	if _, err := v.Validate(t.Context(), text); err != nil {
		t.Errorf("another client is revoked: %v", err)
	}
	delete(clients.clients, "partner")
	if _, err := v.Validate(t.Context(), text); !errors.Is(err, reason.Revoked) {
		t.Errorf("there are rules, and the client is gone: %v", err)
	}
}

// What no client can be asked for is refused: the service issues no such token.
func TestAServiceTokenNamesItsClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "nameless", true)
	clients := &standing{clients: map[string]reason.Code{"partner": "", "": "", "7": ""}}
	v := s.own(clients)
	for name, claims := range map[string]jwt.MapClaims{
		"none": {}, "azp alone": {"azp": "partner"}, "a number": {"client_id": 7}, "empty": {"client_id": ""},
		"a list": {"client_id": []string{"partner"}}, "null": {"client_id": nil}, "another case": {"Client_ID": "partner"},
	} {
		claims["sub"] = "partner"
		if _, err := v.Validate(t.Context(), s.sign(t, claims)); !errors.Is(err, reason.Revoked) || clients.asked != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Other issuers' clients are their own business, whatever they are called.
func TestTokensOfOthersHaveNoClientHere(t *testing.T) {
	t.Parallel()
	s := newSite(t, "foreign", true)
	clients := new(standing)
	v := s.Revoking(Tokens{
		State:   func() *shared.State { return s.state },
		Clients: func(iss string) Clients { return map[string]Clients{issuer + "other": clients}[iss] },
	})
	if _, err := v.Validate(t.Context(), s.sign(t, jwt.MapClaims{"sub": "a", "client_id": "gone"})); err != nil || clients.asked > 0 {
		t.Errorf("%v, asked %d times", err, clients.asked)
	}
}

// The state of a config may come into being after a handler that asks for it.
func TestTheStateIsAskedForEachToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, "late", true)
	var state *shared.State
	v := s.Revoking(Tokens{State: func() *shared.State { return state }})
	text := s.sign(t, jwt.MapClaims{"sub": "a", "jti": "one"})
	if _, err := v.Validate(t.Context(), text); err != nil {
		t.Errorf("without a state: %v", err)
	}
	s.revoke(t, revocation.Rule{Kind: revocation.KindJTI, Value: "one"})
	state = s.state
	if _, err := v.Validate(t.Context(), text); !errors.Is(err, reason.Revoked) {
		t.Errorf("with one: %v", err)
	}
}

func TestAskingForTheClientAllocatesNothing(t *testing.T) { // not parallel, for AllocsPerRun
	s := newSite(t, "allocations", true)
	v := s.own(&standing{clients: map[string]reason.Code{"partner": ""}})
	text := s.sign(t, jwt.MapClaims{"sub": "partner", "client_id": "partner"})
	s.revoke(t, revocation.Rule{Kind: revocation.KindClient, Value: "other"})
	var into validator.Token
	validate := func() {
		if err := v.ValidateInto(t.Context(), text, &into); err != nil {
			t.Fatal(err)
		}
	}
	validate()
	if n := testing.AllocsPerRun(100, validate); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSeenBefore is a token that was seen before: of an issuer elsewhere, and of a
// service of this config, whose client is looked up each time. The look-up itself is not in
// it.
func BenchmarkSeenBefore(b *testing.B) {
	s := newSite(b, "benchmark", true)
	text := s.sign(b, jwt.MapClaims{"sub": "partner", "client_id": "partner", "scope": "read", "aud": "https://api.example.com", "jti": "one"})
	for name, v := range map[string]*validator.Validator{
		"elsewhere": s.Validator, "own": s.own(&standing{clients: map[string]reason.Code{"partner": ""}}),
	} {
		v = v.Cached(tokencache.Process)
		b.Run(name, func(b *testing.B) {
			var into validator.Token
			for b.Loop() {
				if err := v.ValidateInto(b.Context(), text, &into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
