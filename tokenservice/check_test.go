package tokenservice

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// configOf returns a good config with a change.
func configOf(change func(*Config)) Config {
	c := Config{
		Issuer: testIssuer, Audience: []string{testAPI}, Lifetime: time.Minute, Keys: someKeysOf(),
		APIKeys: []KeyClients{{Name: "partners"}},
		Clients: []Client{{ID: "deploy-bot", Keys: nobodysKeys{}}, {ID: "ci"}},
		Federates: []Federate{{
			Name: "github", Client: "ci", Policy: validator.Policy{Issuer: "https://platform.example", Keys: nobodysKeys{}},
			Pins: func(context.Context, claims.Value) bool { return true },
		}},
	}
	change(&c)
	return c
}

func someKeysOf() Keys { return signingKeys{signer: signers()[key.ES256]} }

func TestConfigsThatAreWrong(t *testing.T) {
	t.Parallel()
	if _, err := New(configOf(func(*Config) {})); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no issuer":             {func(c *Config) { c.Issuer = "" }, "issuer"},
		"no URL":                {func(c *Config) { c.Issuer = "auth.example.com" }, "issuer"},
		"http":                  {func(c *Config) { c.Issuer = "http://auth.example.com" }, "https"},
		"other scheme":          {func(c *Config) { c.Issuer = "ftp://localhost" }, "https"},
		"slash":                 {func(c *Config) { c.Issuer += "/" }, "slash"},
		"query":                 {func(c *Config) { c.Issuer += "?x" }, "query"},
		"empty query":           {func(c *Config) { c.Issuer += "?" }, "query"},
		"fragment":              {func(c *Config) { c.Issuer += "#x" }, "fragment"},
		"user":                  {func(c *Config) { c.Issuer = "https://me@auth.example.com" }, "user"},
		"escapes":               {func(c *Config) { c.Issuer += "/a%2fb" }, "escapes"},
		"control character":     {func(c *Config) { c.Issuer += "\n" }, "URL"},
		"no audience":           {func(c *Config) { c.Audience = nil }, "audience"},
		"empty audience":        {func(c *Config) { c.Audience = []string{testAPI, ""} }, "audience"},
		"no keys":               {func(c *Config) { c.Keys = nil }, "signing keys"},
		"no lifetime":           {func(c *Config) { c.Lifetime = 0 }, "lifetime"},
		"long lifetime":         {func(c *Config) { c.Lifetime = 25 * time.Hour }, "lifetime"},
		"scope":                 {func(c *Config) { c.Scopes = []string{"a b"} }, "scope"},
		"default scope":         {func(c *Config) { c.DefaultScopes = []string{""} }, "scope"},
		"audience of keys":      {func(c *Config) { c.APIKeys[0].Audience = []string{testOther} }, "partners"},
		"audience of a client":  {func(c *Config) { c.Clients[0].Audience = []string{testOther} }, "deploy-bot"},
		"scope of a client":     {func(c *Config) { c.Clients[0].Scopes = []string{`"`} }, "scope"},
		"id of a client":        {func(c *Config) { c.Clients[0].ID = "deploy bot" }, "id"},
		"the same id twice":     {func(c *Config) { c.Clients[1].ID = "deploy-bot" }, "another"},
		"the same claim twice":  {func(c *Config) { c.Clients[0].Claims = []Claim{{"a", "b"}, {"a", "c"}} }, "more than once"},
		"secrets of a client":   {func(c *Config) { c.Clients[0].Algorithms = key.NewAlgorithms(key.ES256, key.HS256) }, "private key"},
		"federate, no name":     {func(c *Config) { c.Federates[0].Name = "" }, "name"},
		"federate, no client":   {func(c *Config) { c.Federates[0].Client = "nobody" }, "nobody"},
		"federate, no pins":     {func(c *Config) { c.Federates[0].Pins = nil }, "whose"},
		"federate, no keys":     {func(c *Config) { c.Federates[0].Policy.Keys = nil }, "keys"},
		"federate, no issuer":   {func(c *Config) { c.Federates[0].Policy.Issuer = "" }, "issuer"},
		"federate, any issuer":  {func(c *Config) { c.Federates[0].Policy.Issuer, c.Federates[0].Policy.AnyIssuer = "", true }, "issuer"},
		"federate, ourselves":   {func(c *Config) { c.Federates[0].Policy.Issuer = testIssuer }, "this service"},
		"federate, our forward": {func(c *Config) { c.Federates[0].Policy.Issuer = testIssuer + "/forward" }, "this service"},
		"a platform of tenants": {func(c *Config) {
			c.Federates[0].SubjectPrefix, c.Federates[0].Policy.AnyIssuer = "", false
			c.Federates[0].Policy.Issuer, c.Federates[0].Policy.AnyTenant = "https://entra.example/{tid}/", true
		}, "many tenants"},
		"SPIFFE without slash": {func(c *Config) { c.Federates[0].SubjectPrefix = "spiffe://example.org" }, "SPIFFE"},
		"SPIFFE, all domains":  {func(c *Config) { c.Federates[0].SubjectPrefix = "spiffe://" }, "SPIFFE"},
		"SPIFFE, other scheme": {func(c *Config) { c.Federates[0].SubjectPrefix = "https://example.org/" }, "SPIFFE"},
	} {
		if _, err := New(configOf(c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, and does not say %q", name, err, c.want)
		}
	}
}

func TestIssuersOfThisMachine(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"http://localhost:8080", "http://127.0.0.1", "http://[::1]:80", "http://auth.localhost", "https://auth.example.com/tenant"} {
		if _, err := New(configOf(func(c *Config) { c.Issuer = issuer })); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// Only this machine is spoken to without encryption, and what only looks like it is another.
func TestIssuersOfOtherMachines(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		"http://auth.example.com", "http://192.0.2.1", "http://10.0.0.1", "http://[2001:db8::1]", "http://0.0.0.0", "http://[::]", "http://localhost.evil.example", "http://evillocalhost",
		"http://127.0.0.1.evil.example", "http://2130706433", "ftp://localhost", "//localhost", "https://", "https:///x", "https:auth.example.com", "auth.example.com",
	} {
		if _, err := New(configOf(func(c *Config) { c.Issuer = issuer })); err == nil {
			t.Errorf("%s: no error", issuer)
		}
	}
}
