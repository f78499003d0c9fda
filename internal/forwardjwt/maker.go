package forwardjwt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Keys sign the tokens.
type Keys interface {
	// Issuer returns the "iss" of the tokens.
	Issuer() string
	// Signer returns the key that signs now. It may wait a little for keys that are being
	// loaded.
	Signer(ctx context.Context, now time.Time) (*key.Signer, error)
}

// Config is the config of a Maker.
type Config struct {
	// Settings are those that Check has returned.
	Settings
	// Keys sign.
	Keys Keys
	// AnyIssuer reports whether the handler accepts tokens with any "iss", so that it says
	// nothing about who vouched for one.
	AnyIssuer bool
	// UserPrefix is put before the users of API keys.
	UserPrefix string
	// StoreNames are the names of stores by the path of their key file.
	StoreNames map[string]string
	// Cache keeps tokens; nil for none.
	Cache *Cache
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// Maker makes the tokens of one option. It is safe for concurrent use.
type Maker struct {
	Config
	digest [sha256.Size]byte // of what tokens depend on besides credentials and keys
	stores map[string]string // the "idp" of API keys by the path of their key file
}

// New makes a Maker.
func New(c Config) *Maker {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	m := &Maker{Config: c, stores: map[string]string{}}
	for path, name := range c.StoreNames {
		m.stores[path] = storeIDP + name
	}
	all, err := json.Marshal([]any{c.Settings, c.AnyIssuer, c.UserPrefix})
	if err != nil {
		panic(err) // texts, a number and a truth
	}
	m.digest = sha256.Sum256(all)
	return m
}

// Sign returns a token for an identity: a new one, or the last one for the same
// credential, while that has more than half of its life before it. apiKey is the text of
// the API key that is a part of the identity, "" for none. The error is
// reason.SigningKeysUnavailable.
func (m *Maker) Sign(ctx context.Context, id *identity.Identity, apiKey string) (string, error) {
	now := m.Clock.Now()
	signer, err := m.Keys.Signer(ctx, now)
	if err != nil {
		return "", reason.SigningKeysUnavailable
	}
	of, ok := m.credential(id, apiKey)
	if !ok {
		return m.Fresh(ctx, id, now)
	}
	about := m.about(id)
	if made := m.Cache.get(&of); made.serves(signer, about, now) {
		return made.text, nil
	}
	// Requests with one credential come in bursts, as a page with its pictures: one of
	// them signs for all.
	defer m.Cache.lock(&of)()
	if made := m.Cache.get(&of); made.serves(signer, about, now) {
		return made.text, nil
	}
	made, err := m.make(signer, id, now)
	if err != nil {
		return "", err
	}
	made.about = about
	m.Cache.put(&of, made)
	return made.text, nil
}

// Fresh returns a token for an identity as of a time, which is signed for it alone and not
// kept. The error is reason.SigningKeysUnavailable.
func (m *Maker) Fresh(ctx context.Context, id *identity.Identity, now time.Time) (string, error) {
	signer, err := m.Keys.Signer(ctx, now)
	if err != nil {
		return "", reason.SigningKeysUnavailable
	}
	made, err := m.make(signer, id, now)
	if err != nil {
		return "", err
	}
	return made.text, nil
}

// credential returns what identifies the credential of a request and this option in the
// cache; ok is false if there is no cache.
func (m *Maker) credential(id *identity.Identity, apiKey string) (of credential, ok bool) {
	if m.Cache == nil {
		return of, false
	}
	of.option = m.digest
	if id.HasToken {
		if of.token, ok = id.Token.Digest(); !ok {
			return of, false
		}
	}
	if _, has := id.Key(); has {
		of.apiKey = apikey.DigestOf(apiKey)
	}
	return of, true
}

// seed is that of about.
var seed = maphash.MakeSeed()

// about returns a hash of what a token says that may change while the credential and the
// option stay the same: sites may call the user of a token differently, and the record of an
// API key may be edited.
func (m *Maker) about(id *identity.Identity) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	number := func(n uint64) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], n)
		_, _ = h.Write(b[:])
	}
	text := func(s string) {
		number(uint64(len(s)))
		_, _ = h.WriteString(s)
	}
	if id.HasToken {
		text(id.User())
		for _, scope := range id.Scopes() {
			text(scope)
		}
	}
	if k, has := id.Key(); has {
		number(k.Fingerprint())
		text(m.stores[k.File()])
	}
	return h.Sum64()
}
