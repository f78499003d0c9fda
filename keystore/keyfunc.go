package keystore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Source is where keys come from: a Static or a Remote.
type Source interface {
	// Keys returns the keys that a token with this kid may have been signed
	// with, or key.ErrUnknown or key.ErrUnavailable.
	Keys(ctx context.Context, kid string) ([]key.Key, error)
}

var errReadOnly = errors.New("this key storage is read-only: its keys come from the issuer")

// ErrSeveral is the error of a Storage, which can return only one key, where several fit.
var ErrSeveral = errors.New("several keys fit, and a jwkset.Storage can return only one")

// Storage provides the public keys of a Source as a jwkset.Storage for keyfunc. It
// selects the candidates itself, since keyfunc does not: only keys that fit one of the
// issuer's algorithms, and the token's if Keyfunc passes it. Secrets are never among
// them, as package key does not expose their bytes.
type Storage struct {
	source  Source
	allowed key.Algorithms

	mu   sync.Mutex
	jwks map[candidate]jwkset.JWK // cached, as making one costs as much as verifying
}

// candidate is a key for use with one algorithm.
type candidate struct {
	key *key.Public
	alg key.Algorithm
}

// maxJWKs limits the cached JWKs, as rotation adds keys.
const maxJWKs = 4 * maxKeys

var _ jwkset.Storage = (*Storage)(nil)

// NewStorage makes a Storage. allowed are the issuer's algorithms, empty for
// each key's own or usual one (see key.Key.Fits).
func NewStorage(source Source, allowed key.Algorithms) *Storage {
	return &Storage{source: source, allowed: allowed, jwks: make(map[candidate]jwkset.JWK)}
}

// tokenAlgorithm is the context key of the algorithm of the token whose key is
// looked up.
type tokenAlgorithm struct{}

// candidates returns the JWKs for a kid that fit.
func (s *Storage) candidates(ctx context.Context, kid string) ([]jwkset.JWK, error) {
	keys, err := s.source.Keys(ctx, kid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", jwkset.ErrKeyNotFound, err)
	}
	wanted, _ := ctx.Value(tokenAlgorithm{}).(key.Algorithm)
	var fit []jwkset.JWK
	for _, k := range keys {
		public, ok := k.(*key.Public)
		if !ok {
			continue
		}
		if alg := s.algorithm(public, wanted); alg != 0 {
			jwk, err := s.jwk(candidate{public, alg})
			if err != nil {
				return nil, err
			}
			fit = append(fit, jwk)
		}
	}
	return fit, nil
}

// algorithm returns the algorithm that a key is returned with: the token's if it fits,
// else the first that does. Zero means that the key does not fit.
func (s *Storage) algorithm(k *key.Public, wanted key.Algorithm) key.Algorithm {
	if wanted != 0 {
		if k.Fits(wanted, s.allowed) {
			return wanted
		}
		return 0
	}
	for alg := key.RS256; alg <= key.EdDSA; alg++ {
		if k.Fits(alg, s.allowed) {
			return alg
		}
	}
	return 0
}

func (s *Storage) jwk(c candidate) (jwkset.JWK, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if jwk, ok := s.jwks[c]; ok {
		return jwk, nil
	}
	jwk, err := toJWK(c.key, c.alg)
	if err != nil {
		return jwkset.JWK{}, err
	}
	if len(s.jwks) >= maxJWKs {
		clear(s.jwks)
	}
	s.jwks[c] = jwk
	return jwk, nil
}

// KeyRead returns the one key that fits a token with this kid: one with the
// kid, or else one without any. Where several fit it returns an error rather
// than a guess.
func (s *Storage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	fit, err := s.candidates(ctx, kid)
	switch {
	case err != nil:
		return jwkset.JWK{}, err
	case len(fit) == 0:
		return jwkset.JWK{}, fmt.Errorf("%w: %w", jwkset.ErrKeyNotFound, key.ErrUnknown)
	case len(fit) > 1:
		return jwkset.JWK{}, ErrSeveral
	}
	return fit[0], nil
}

// KeyReadAll returns the keys that fit, and no others.
func (s *Storage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	return s.candidates(ctx, "")
}

// KeyDelete returns an error: the storage is read-only.
func (s *Storage) KeyDelete(context.Context, string) (bool, error) { return false, errReadOnly }

// KeyReplaceAll returns an error: the storage is read-only.
func (s *Storage) KeyReplaceAll(context.Context, []jwkset.JWK) error { return errReadOnly }

// KeyWrite returns an error: the storage is read-only.
func (s *Storage) KeyWrite(context.Context, jwkset.JWK) error { return errReadOnly }

// JSON returns the keys that fit as a key set document, public keys only.
func (s *Storage) JSON(ctx context.Context) (json.RawMessage, error) {
	m, err := s.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

// JSONPublic is JSON.
func (s *Storage) JSONPublic(ctx context.Context) (json.RawMessage, error) { return s.JSON(ctx) }

// JSONPrivate is JSON: there is nothing private to write.
func (s *Storage) JSONPrivate(ctx context.Context) (json.RawMessage, error) { return s.JSON(ctx) }

// JSONWithOptions is JSON, whatever the options.
func (s *Storage) JSONWithOptions(ctx context.Context, _ jwkset.JWKMarshalOptions, _ jwkset.JWKValidateOptions) (json.RawMessage, error) {
	return s.JSON(ctx)
}

// Marshal returns the keys that fit, public keys only.
func (s *Storage) Marshal(ctx context.Context) (jwkset.JWKSMarshal, error) {
	fit, err := s.candidates(ctx, "")
	if err != nil {
		return jwkset.JWKSMarshal{}, err
	}
	m := jwkset.JWKSMarshal{Keys: make([]jwkset.JWKMarshal, 0, len(fit))}
	for _, jwk := range fit {
		m.Keys = append(m.Keys, jwk.Marshal())
	}
	return m, nil
}

// MarshalWithOptions is Marshal, whatever the options.
func (s *Storage) MarshalWithOptions(ctx context.Context, _ jwkset.JWKMarshalOptions, _ jwkset.JWKValidateOptions) (jwkset.JWKSMarshal, error) {
	return s.Marshal(ctx)
}

// Keyfunc makes a keyfunc.Keyfunc from a source's public keys, for a Go program that
// verifies tokens with golang-jwt's Parser. It returns only keys that fit the token's
// algorithm, and none if that is not among allowed.
func Keyfunc(source Source, allowed key.Algorithms) (keyfunc.Keyfunc, error) {
	k, err := keyfunc.New(keyfunc.Options{Storage: NewStorage(source, allowed)})
	if err != nil {
		return nil, err
	}
	return fitting{k}, nil
}

// fitting passes each token's algorithm to the storage. Otherwise keyfunc would try a
// token without kid with every key, whatever the key's alg.
type fitting struct{ all keyfunc.Keyfunc }

// Keyfunc finds a token's key, with context.Background.
func (f fitting) Keyfunc(t *jwt.Token) (any, error) {
	return f.KeyfuncCtx(context.Background())(t)
}

// KeyfuncCtx returns a function that finds a token's key.
func (f fitting) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		name, _ := t.Header["alg"].(string)
		alg, ok := key.ParseAlgorithm(name)
		if !ok {
			return nil, fmt.Errorf("%w: %w", keyfunc.ErrKeyfunc, key.ErrAlgorithm)
		}
		ctx := context.WithValue(ctx, tokenAlgorithm{}, alg)
		if kid, ok := t.Header["kid"].(string); ok && kid == "" { // an empty kid is none
			return f.all.VerificationKeySet(ctx)
		}
		return f.all.KeyfuncCtx(ctx)(t)
	}
}

// Storage returns the storage behind it.
func (f fitting) Storage() jwkset.Storage { return f.all.Storage() }

// VerificationKeySet returns all keys that fit one of the algorithms.
func (f fitting) VerificationKeySet(ctx context.Context) (jwt.VerificationKeySet, error) {
	return f.all.VerificationKeySet(ctx)
}
