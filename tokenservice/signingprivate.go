package tokenservice

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Errors of private keys. None says anything of what was read.
var (
	errNoPrivateKey = errors.New("the private key is not in the storage; restore it, or replace the signing keys with `caddy jwt rotate --retire-now`")
	errPrivateKey   = errors.New("the object is not the private key of its name")
	errSealed       = errors.New("the private key is encrypted with a key that is not in `state { key }`; write that key too, or replace the signing keys with `caddy jwt rotate --retire-now`")
)

// privateName returns the name of the object of a private key: its id in lower case.
func privateName(kid string) string {
	b, _ := keyIDBytes(kid)
	return hex.EncodeToString(b)
}

// privateOf returns the id of the key whose object has a name.
func privateOf(name string) (kid string, ok bool) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != sha256.Size || hex.EncodeToString(b) != name {
		return "", false
	}
	return base64.RawURLEncoding.EncodeToString(b), true
}

// privateObject is the content of the object of a private key.
type privateObject struct {
	Version   int    `json:"jwt"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	// PKCS8 is the key in DER, if it is not encrypted.
	PKCS8 []byte `json:"pkcs8,omitempty"`
	// Sealed is the same, encrypted with AES-256-GCM under a key of the config, with Nonce.
	Nonce  []byte `json:"nonce,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
}

// mostPrivate is the size of the largest object of a private key that is read.
const mostPrivate = 16 << 10

// sealPrivate returns the object of a private key of the set with this name. It is encrypted
// with the first of the secrets, if there are any.
func sealPrivate(set string, secrets [][]byte, s *key.Signer) ([]byte, error) {
	der, err := s.PKCS8()
	if err != nil {
		return nil, errPrivateKey
	}
	o := privateObject{Version: 1, ID: s.ID(), Algorithm: s.Algorithm().String()}
	if len(secrets) == 0 {
		o.PKCS8 = der
	} else {
		gcm, err := o.cipher(secrets[0])
		if err != nil {
			return nil, err
		}
		o.Nonce = make([]byte, gcm.NonceSize())
		if _, err := rand.Read(o.Nonce); err != nil {
			panic(err) // crypto/rand never fails
		}
		o.Sealed = gcm.Seal(nil, o.Nonce, der, o.context(set))
	}
	return json.Marshal(o)
}

// openPrivate reads the object of a private key, which has to be that of the id. again
// reports whether it should be stored again, to be encrypted with the first of the secrets.
func openPrivate(set string, secrets [][]byte, kid string, content []byte) (s *key.Signer, again bool, err error) {
	var o privateObject
	if len(content) > mostPrivate || json.Unmarshal(content, &o) != nil || o.Version != 1 || o.ID != kid {
		return nil, false, errPrivateKey
	}
	alg, ok := key.ParseAlgorithm(o.Algorithm)
	if !ok {
		return nil, false, errPrivateKey
	}
	der := o.PKCS8
	again = len(secrets) > 0
	if o.Sealed != nil {
		err = errSealed
		for i, secret := range secrets {
			gcm, e := o.cipher(secret)
			if e != nil || len(o.Nonce) != gcm.NonceSize() {
				return nil, false, cmp.Or(e, errPrivateKey)
			}
			if der, e = gcm.Open(nil, o.Nonce, o.Sealed, o.context(set)); e == nil {
				again, err = i > 0, nil
				break
			}
		}
		if err != nil {
			return nil, false, err
		}
	}
	if s, err = key.ParseSigner(der, alg); err != nil {
		return nil, false, errPrivateKey
	}
	// The id is made of the public key, so nobody who can write to the storage can put
	// another key in its place.
	if s.ID() != kid {
		return nil, false, errPrivateKey
	}
	return s, again, nil
}

// cipher returns AES-256-GCM under a key that is derived from a secret, as that signs objects
// too.
func (o *privateObject) cipher(secret []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, secret, nil, "caddy-jwt private signing keys", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// context is what is authenticated besides, so that an object is of no use in another place.
func (o *privateObject) context(set string) []byte {
	return []byte(set + "\x00" + o.ID + "\x00" + o.Algorithm)
}

// privateTime limits a call of the storage for a private key.
const privateTime = 10 * time.Second

// storePrivate stores a private key.
func (k *SigningKeys) storePrivate(ctx context.Context, s *key.Signer) error {
	use := k.use.Load()
	content, err := sealPrivate(k.config.Name, use.Secrets, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, privateTime)
	defer cancel()
	return use.Private.Store(ctx, privateName(s.ID()), content)
}

// loadPrivate loads a private key. The error is errNoPrivateKey if the storage has none.
func (k *SigningKeys) loadPrivate(ctx context.Context, kid string) (*key.Signer, error) {
	use := k.use.Load()
	ctx, cancel := context.WithTimeout(ctx, privateTime)
	defer cancel()
	content, err := use.Private.Load(ctx, privateName(kid))
	if errors.Is(err, fs.ErrNotExist) {
		// Some storages say so when they are down.
		if err := k.bound.Load().Objects.Probe(ctx); err != nil {
			return nil, err
		}
		return nil, errNoPrivateKey
	}
	if err != nil {
		return nil, err
	}
	s, again, err := openPrivate(k.config.Name, use.Secrets, kid, content)
	if err == nil && again && k.storePrivate(ctx, s) != nil {
		k.reseal.Store(true)
	}
	return s, err
}

// sealAgain encrypts the private keys that this node has in memory with the key that the
// config has now. One that is not in the storage is not stored.
func (k *SigningKeys) sealAgain(ctx context.Context) {
	k.mu.Lock()
	kids := slices.Collect(maps.Keys(k.held))
	k.mu.Unlock()
	for _, kid := range kids {
		if _, err := k.loadPrivate(ctx, kid); err != nil && ctx.Err() == nil && !errors.Is(err, errNoPrivateKey) && !errors.Is(err, errSealed) && !errors.Is(err, errPrivateKey) {
			k.reseal.Store(true) // the storage is away
		}
	}
}

// deletePrivate deletes a private key.
func (k *SigningKeys) deletePrivate(ctx context.Context, kid string) error {
	ctx, cancel := context.WithTimeout(ctx, privateTime)
	defer cancel()
	return k.use.Load().Private.Delete(ctx, privateName(kid))
}
