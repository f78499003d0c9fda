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
	UserClaim                           []string
	UserPrefix                          string
	RefreshInterval, MaxStale           time.Duration
	CA, BearerTokenFile                 string
	InsecureHTTP                        bool
}

// Secret says where an HMAC secret is, and whether it is written as base64.
type Secret struct {
	Value  string
	Base64 bool
}
