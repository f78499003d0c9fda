// Package service makes a token service of what a config says of it.
//
//	settings.go   the settings, as a config has them
//	check.go      what can be wrong with them, before anything is read
//	names.go      scopes, resources, claims and ids of clients
//	pins.go       whether the rules of a federate say who
//	build.go      settings made into a tokenservice.Config
//	rules.go      revocations, as the service asks them
//	memory.go     what outlives a config
//	endpoint.go   the requests that are for a service
//	observe.go    what is logged
package service

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

// Settings are the settings of a token service, as a config has them.
type Settings struct {
	Issuer                          string
	APIKeys                         []*KeyStore
	APIKey                          []*Key
	Client                          []*Client
	Federate                        []*Federate
	Introspect                      []*Introspector
	Audience, Scopes, DefaultScopes []string
	Lifetime, Rotate                time.Duration
	Algorithm                       string
}

// KeyStore is a store of API keys whose keys are clients.
type KeyStore struct {
	Place    string // the path or the name
	Audience []string
	Claim    []*MetaClaim
}

// Key is an API key of the config that is a client.
type Key struct {
	ID               string
	Scopes, Audience []string
	Claim            []*MetaClaim
}

// MetaClaim is a value of a key's meta that becomes a claim.
type MetaClaim struct{ Meta, Name string }

// claim returns the name of the claim.
func (m *MetaClaim) claim() string {
	if m.Name != "" {
		return m.Name
	}
	return m.Meta
}

// Client is a client that signs, or whom a federate names.
type Client struct {
	ID, JWKSURL, JWKSFile       string
	PublicKey, Scopes, Audience []string
	Claim                       []*FixedClaim
	AssertionAudience           string
}

// signs reports whether the client has keys.
func (c *Client) signs() bool { return c.JWKSURL != "" || c.JWKSFile != "" || len(c.PublicKey) > 0 }

// FixedClaim is a claim with a fixed text.
type FixedClaim struct{ Name, Value string }

// Federate is a platform whose tokens are exchanged.
type Federate struct {
	Name, Client string
	Issuer       *issuer.Settings
	Require      []*rule.Requirement
}

// Introspector is a client that may ask about tokens for some resources.
type Introspector struct {
	Client   string
	Audience []string
}

// Defaults and bounds.
const (
	DefaultLifetime = 15 * time.Minute
	minLifetime     = time.Minute
	maxLifetime     = 24 * time.Hour
	DefaultRotate   = 30 * 24 * time.Hour
	minRotate       = 48 * time.Hour
	maxRotate       = 10 * 365 * 24 * time.Hour
)

// Error is an error in one entry of the settings.
type Error struct {
	Option string // its name, as in a Caddyfile
	Index  int    // among the entries of this option
	err    error
}

// inEntry returns an Error with a formatted text.
func inEntry(option string, index int, format string, values ...any) error {
	return &Error{option, index, fmt.Errorf(format, values...)}
}

// InEntry adds to an error in which entry it is.
func InEntry(option string, index int, err error) error { return &Error{option, index, err} }

// Error implements error.
func (e *Error) Error() string {
	if text := e.err.Error(); strings.HasPrefix(text, e.Option) {
		return text
	}
	return e.Option + ": " + e.err.Error()
}

// Unwrap returns the error without the option's name.
func (e *Error) Unwrap() error { return e.err }
