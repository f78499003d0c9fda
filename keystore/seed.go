package keystore

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Snapshot returns the set in hand and when it was fetched, to save it or to seed another
// Remote with it; ok is false if there is none.
func (r *Remote) Snapshot() (set *Set, fetchedAt time.Time, ok bool) {
	h := r.current.Load()
	if h == nil {
		return nil, time.Time{}, false
	}
	return h.set, h.fetchedAt, true
}

// Seed gives a Remote a set that was fetched earlier, from the same source
// with the same settings, to serve until a fetch succeeds. It reports whether
// the set is used: not if it was fetched in the future, longer ago than
// MaxStale, or before the set in hand. The source is still asked at once.
func (r *Remote) Seed(set *Set, fetchedAt time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.client.Clock.Now()
	until := fetchedAt.Add(r.client.MaxStale)
	if set == nil || len(set.all) == 0 || fetchedAt.After(now) || !now.Before(until) {
		return false
	}
	for _, k := range set.all {
		if _, ok := k.(*key.Public); !ok { // no remote set ever holds a secret
			return false
		}
	}
	if h := r.current.Load(); h != nil && !fetchedAt.After(h.fetchedAt) {
		return false
	}
	r.current.Store(&held{
		set: set, fetchedAt: fetchedAt, until: until,
		lifetime: r.client.RefreshInterval, version: versions.Add(1),
	})
	r.misses = misses{}
	return true
}

// MarshalJSON writes the set as a JSON Web Key Set (RFC 7517 section 5) that
// ParseJWKS reads back to a set with the same fingerprint. A set of secrets is
// an error: they are never written.
func (s *Set) MarshalJSON() ([]byte, error) {
	type withIssuer struct {
		jwkset.JWKMarshal
		Issuer string `json:"issuer,omitempty"`
	}
	document := struct {
		Keys []withIssuer `json:"keys"`
	}{make([]withIssuer, 0, len(s.all))}
	for _, k := range s.all {
		public, ok := k.(*key.Public)
		if !ok {
			return nil, errors.New("the set holds secrets, which are not written")
		}
		jwk, err := toJWK(public, k.Algorithm())
		if err != nil {
			return nil, err
		}
		m := jwk.Marshal()
		m.ALG = jwkset.ALG(k.Algorithm().String()) // jwkset gives Ed25519 keys one
		m.X5T, m.X5TS256 = k.Thumbprints()
		document.Keys = append(document.Keys, withIssuer{m, k.Issuer()})
	}
	return json.Marshal(document)
}

// toJWK returns a key as a JWK, with the algorithm alg unless it is zero.
func toJWK(k *key.Public, alg key.Algorithm) (jwkset.JWK, error) {
	jwk, err := jwkset.NewJWKFromKey(k.Material(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{
			ALG: jwkset.ALG(alg.String()), KID: k.ID(), USE: jwkset.UseSig,
		},
	})
	if err != nil {
		return jwkset.JWK{}, fmt.Errorf("%s cannot be written as a JWK: %w", describeKey(k.ID(), 1), err)
	}
	return jwk, nil
}
