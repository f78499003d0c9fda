package admin

import (
	"context"
	"net/http"
	"time"
)

// SigningRequest is the body of POST /jwt/signing-keys.
type SigningRequest struct {
	// Issuer is the issuer of the token service. It may be left out where there is one.
	Issuer string `json:"issuer,omitempty"`
	// RetireNow retires the keys at once, so that nothing that they signed is accepted:
	// for keys that others may have. Otherwise the next key takes over, and tokens stay
	// valid.
	RetireNow bool `json:"retire_now,omitempty"`
	// Forward is about the keys of the tokens for upstreams, instead of those of the
	// tokens that the service issues.
	Forward bool `json:"forward,omitempty"`
}

// SigningKeyItem is a signing key, as it is listed. It has no key material.
type SigningKeyItem struct {
	// KeyID is the "kid" of what it signs.
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
	// State is next (published, not yet signing), signing, published (signs no more; its
	// tokens are still accepted) or retired (nothing that it signed is accepted).
	State          string    `json:"state"`
	Made           time.Time `json:"made,omitzero"`
	SignsFrom      time.Time `json:"signs_from,omitzero"`
	SignsUntil     time.Time `json:"signs_until,omitzero"`
	PublishedUntil time.Time `json:"published_until,omitzero"`
}

// SigningSetItem are the keys of a service for one use.
type SigningSetItem struct {
	// Issuer is the "iss" of what the keys sign.
	Issuer string `json:"issuer"`
	// Rotate is how long a key signs, in seconds.
	Rotate float64 `json:"rotate_seconds"`
	// NextRotation is when the next key signs, zero if that is not known.
	NextRotation time.Time `json:"next_rotation,omitzero"`
	// Keys are the newest first. There are none while they are not known.
	Keys []SigningKeyItem `json:"keys"`
}

// SigningServiceItem are the keys of a token service.
type SigningServiceItem struct {
	// Issuer is that of the service.
	Issuer string `json:"issuer"`
	// Service are the keys of the tokens that it issues.
	Service SigningSetItem `json:"service"`
	// Forward are those of the tokens for upstreams, nil if there are none.
	Forward *SigningSetItem `json:"forward,omitempty"`
}

// SigningPage is the answer of GET /jwt/signing-keys.
type SigningPage struct {
	Services []SigningServiceItem `json:"services"`
}

// SigningAnswer is the answer of POST /jwt/signing-keys.
type SigningAnswer struct {
	// Service is the issuer of the service, and Issuer the "iss" of what the keys sign.
	Service string `json:"service"`
	Issuer  string `json:"issuer"`
	// Signing is the key that signs now, Next the one that will.
	Signing SigningKeyItem `json:"signing"`
	Next    SigningKeyItem `json:"next"`
	// Retired are the ids of the keys that were retired, and Rules those of the rules of
	// the kind kid that refuse what they signed.
	Retired []string `json:"retired"`
	Rules   []string `json:"rules"`
	// CachedTokensRefused is the number of tokens in the cache of this node that the rules
	// refuse, -1 if there is no cache.
	CachedTokensRefused int `json:"cached_tokens_refused"`
	// Stored is false if what was retired is refused on this node only, until that can be
	// stored. The status is 202 then, else 200.
	Stored bool `json:"stored"`
	// Notes are what the operator should know.
	Notes []string `json:"notes"`
	// Repeated is true if this answers a repeated Idempotency-Key.
	Repeated bool `json:"repeated,omitempty"`
}

// repeated is the answer to a repeat.
func (a SigningAnswer) repeated() any {
	a.Repeated = true
	return a
}

// SigningAudit is what a line of the audit log says of signing keys. Keys are named by their
// ids.
type SigningAudit struct {
	// Issuer is the "iss" of what the keys sign.
	Issuer  string   `json:"issuer"`
	Signing string   `json:"signing,omitempty"`
	Next    string   `json:"next,omitempty"`
	Retired []string `json:"retired,omitempty"`
	// Rules refuse what the retired keys signed.
	Rules []RevocationItem `json:"rules,omitempty"`
}

// ServiceStatus is a token service on the status page.
type ServiceStatus struct {
	// Issuer is that of the service.
	Issuer string `json:"issuer"`
	// Use is service for the keys of the tokens that it issues, forward for those of the
	// tokens for upstreams.
	Use string `json:"use"`
	// SigningKey is the id of the key that signs, empty while there is none.
	SigningKey string `json:"signing_kid"`
	// NextRotation is when the next key signs, zero if that is not known.
	NextRotation time.Time `json:"next_rotation,omitzero"`
}

// SigningKeys returns the signing keys of the token services.
func (c *Client) SigningKeys(ctx context.Context) (p SigningPage, err error) {
	return p, c.do(ctx, http.MethodGet, "/jwt/signing-keys", nil, nil, &p)
}

// RotateSigningKeys has the next signing key of a service sign, or retires its keys.
func (c *Client) RotateSigningKeys(ctx context.Context, request SigningRequest) (a SigningAnswer, err error) {
	return a, c.do(ctx, http.MethodPost, "/jwt/signing-keys", nil, request, &a)
}
