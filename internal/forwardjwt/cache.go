package forwardjwt

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Cache holds tokens that were made, so that not each request costs a signature. It outlives
// configs, as its content depends on none.
type Cache struct {
	store   *otter.Cache[credential, *token]
	signing [128]sync.Mutex
}

// credential identifies the credential of a request, and an option. It is never the user:
// two credentials of one user have different rights.
type credential struct {
	// The SHA-256 of the texts of the token and the API key, zero for none, and of the
	// option's settings.
	token, apiKey, option [sha256.Size]byte
}

// token is a token that was made.
type token struct {
	text        string
	keyID       string    // of the key that signed
	from, until time.Time // when it is sent
	about       uint64    // see Maker.about
}

// serves reports whether the token can be sent now, rather than a new one by that key. t may
// be nil.
func (t *token) serves(signer *key.Signer, about uint64, now time.Time) bool {
	return t != nil && t.about == about && t.keyID == signer.ID() && !now.Before(t.from) && now.Before(t.until)
}

// Process is the cache of this process.
var Process = NewCache(1 << 20)

// NewCache makes a cache that takes at most size bytes.
func NewCache(size uint64) *Cache {
	return &Cache{store: otter.Must(&otter.Options[credential, *token]{
		MaximumWeight: size,
		Weigher: func(_ credential, t *token) uint32 {
			return uint32(min(heapGrowth*(entryBytes+len(t.text)), math.MaxUint32))
		},
		// The upkeep is little beside a signature, which precedes most of it.
		Executor: func(upkeep func()) { upkeep() },
	})}
}

// The memory of a token besides its text, in bytes: its own, and about what the store takes
// for it. The sum is multiplied by heapGrowth, since Go's garbage collector lets the heap grow
// to twice the live memory.
const (
	entryBytes = int(unsafe.Sizeof(token{})+unsafe.Sizeof(credential{})) + 160
	heapGrowth = 3
)

func (c *Cache) get(of *credential) *token {
	t, _ := c.store.GetIfPresent(*of)
	return t
}

func (c *Cache) put(of *credential, t *token) { c.store.Set(*of, t) }

// lock lets one request at a time sign for a credential. The digests are as good as random.
func (c *Cache) lock(of *credential) (unlock func()) {
	n := binary.LittleEndian.Uint64(of.token[:]) ^ binary.LittleEndian.Uint64(of.apiKey[:])
	m := &c.signing[n%uint64(len(c.signing))]
	m.Lock()
	return m.Unlock
}

// Resize sets the bound in bytes; 0 empties the cache.
func (c *Cache) Resize(size uint64) {
	if size == 0 {
		c.store.InvalidateAll()
		return
	}
	c.store.SetMaximum(size)
}

// Sweep removes the tokens that are not sent any more.
func (c *Cache) Sweep(now time.Time) {
	for of, t := range c.store.All() {
		if !now.Before(t.until) {
			c.store.Invalidate(of)
		}
	}
}
