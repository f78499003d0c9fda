package keystore

import (
	"errors"
	"fmt"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// The limits on a key set document. Usual ones have a few kilobytes and two to six
// keys; one far larger is a mistake or an attack on memory.
const (
	maxDocumentBytes = 1 << 20
	maxKeys          = 100
	// MostKeys is the largest limit on the number of keys.
	MostKeys = 1000
	// maxDocumentValues is how many JSON values a document may have: 1,000
	// keys with a chain of certificates each have as many.
	maxDocumentValues = 20_000
)

// JWKSOptions describe where a key set document comes from.
type JWKSOptions struct {
	// Local is true for a file of the operator's own. It may hold HMAC
	// secrets (kty oct), and a private key in it is an error rather than a
	// key to skip. Default false: the document comes over the network, where
	// everybody can read it.
	Local bool
	// Algorithms are the issuer's, empty for the default. A local document
	// may hold secrets only where an HMAC algorithm is among them.
	Algorithms key.Algorithms
	// MaxKeys is how many keys the set may have. Default: 100.
	MaxKeys int
}

// ParseJWKS reads a JSON Web Key Set (RFC 7517 section 5) as strict JSON.
//
// One bad key does not make the set invalid. Keys for something else (encryption, an
// algorithm or type that does not exist here) are skipped silently; broken
// ones, and in a remote set secrets and private keys, with a Problem. An error
// means that nothing of the document is used: it is not a key set, it is larger
// than maxDocumentBytes or maxKeys, no key in it is usable, or, in a local
// one, it holds a private key, secrets beside public keys, secrets that no
// algorithm is named for, or a weak secret.
func ParseJWKS(data []byte, opts JWKSOptions) (*Set, error) {
	if len(data) > maxDocumentBytes {
		return nil, fmt.Errorf("the key set is larger than %d bytes", maxDocumentBytes)
	}
	document, err := parseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("the key set %w", err)
	}
	list, ok := document.Member("keys")
	if !ok || list.Kind() != claims.Array {
		return nil, errors.New(`the key set has no array "keys" (RFC 7517 section 5.1)`)
	}
	limit := opts.MaxKeys
	if limit == 0 {
		limit = maxKeys
	}
	if list.Len() > limit {
		return nil, fmt.Errorf("the key set has %d keys; the limit is %d, which max_keys changes", list.Len(), limit)
	}

	var (
		keys     []key.Key
		problems []Problem
		secrets  int
		other    otherPurpose // why the first of those is not used
		fatal    *fatalError
	)
	for i := range list.Len() {
		k, err := parseJWK(list.At(i), opts)
		var why otherPurpose
		switch {
		case err == nil:
			keys = append(keys, k)
			if _, ok := k.(*key.Secret); ok {
				secrets++
			}
		case errors.As(err, &why):
			if other == "" {
				other = otherPurpose(describeKey(idOf(list.At(i)), i+1) + ": " + string(why))
			}
		case errors.As(err, &fatal):
			return nil, fmt.Errorf("%s: %w", describeKey(idOf(list.At(i)), i+1), fatal.error)
		default:
			problems = append(problems, Problem{
				Key:    describeKey(idOf(list.At(i)), i+1),
				Reason: cut(err.Error(), 200),
			})
		}
	}
	// A set of both kinds invites the oldest attack on JWTs, the public key
	// taken for a secret (RFC 8725 section 2.1), and means a mix-up anyway.
	if secrets > 0 && secrets < len(keys) {
		return nil, errors.New("the key set holds secrets (kty oct) and public keys; put them into two files, for two issuers")
	}
	set := newSet(keys, problems)
	if len(set.all) == 0 {
		return nil, noUsableKey(list.Len(), set.problems, other)
	}
	return set, nil
}

func noUsableKey(keys int, problems []Problem, other otherPurpose) error {
	switch {
	case keys == 0:
		return errors.New("the key set is empty")
	case len(problems) == 0:
		return fmt.Errorf("none of the %d keys of the key set is for verifying signatures with a supported algorithm; %s", keys, other)
	default:
		return fmt.Errorf("none of the %d keys of the key set is usable; %s", keys, problems[0])
	}
}
