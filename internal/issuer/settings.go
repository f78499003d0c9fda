// Package issuer turns the settings of issuers into the policies and key sources that
// the validator uses.
//
//	settings.go   the settings, as a config has them
//	list.go       the issuers of a handler, and settings from named issuers
//	policy.go     settings made into a policy
//	tenants.go    an issuer of many tenants
//	remote.go     checks of key sources; keys that are fetched
//	local.go      keys from files and the config
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
	Tenants                             []string
	RefreshInterval, MaxStale           time.Duration
	CA, BearerTokenFile                 string
	InsecureHTTP                        bool
}

// Secret is the place of an HMAC secret.
type Secret struct {
	Value  string // {env.NAME} or {file.PATH}
	Base64 bool   // whether the secret is encoded as base64
}
