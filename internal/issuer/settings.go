// Package issuer turns the settings of issuers into the policies and key sources that
// the validator uses.
//
//	settings.go       the settings, as a config has them
//	list.go           the issuers of a handler, and settings from named issuers
//	policy.go         settings made into a policy
//	remote.go         checks of key sources; keys that are fetched
//	local.go          keys from files and the config
//	introspection.go  whom to ask about tokens that are no JWT
package issuer

import "time"

// Settings are the settings of an issuer, as a config has them.
type Settings struct {
	Iss, Name                           string
	Discovery, JWKSURL, JWKSFile        string
	PublicKey                           []string
	Secret                              []*Secret
	Algorithms                          []string
	Audience, AudienceClaim, ScopeClaim []string
	Typ                                 []string
	Leeway                              *time.Duration
	MaxLifetime                         time.Duration
	AllowNoExpiry, AllowBoundTokens     bool
	KidlessKeys, MaxKeys                int
	IgnoreKid                           bool
	UserClaim                           []string
	UserPrefix                          string
	RefreshInterval, MaxStale           time.Duration
	CA, BearerTokenFile                 string
	InsecureHTTP                        bool
	Introspection                       *Introspection
}

// Introspection says where and how an issuer is asked about its tokens (RFC 7662).
type Introspection struct {
	URL    string // of the endpoint; empty for that of the metadata
	Client *IntrospectionClient
	Cache  *time.Duration // nil for the default, 0 asks each time
	JWTs   bool           // whether it is asked about JWTs too

	Untyped bool // accepts answers that name no kind of token
}

// IntrospectionClient is a client that asks about tokens.
type IntrospectionClient struct {
	ID     string
	Secret string // {env.NAME} or {file.PATH}
}

// Secret is the place of an HMAC secret.
type Secret struct {
	Value  string // {env.NAME} or {file.PATH}
	Base64 bool   // whether the secret is encoded as base64
}
