package tokencache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// CachedToken is a token in the cache.
type CachedToken struct {
	Digest   [sha256.Size]byte
	Verified *validator.Verified
	told     atomic.Uint64 // how many tokens had been put when the store heard last of its use
	Gone     atomic.Bool   // from the store
}

// Size is what it takes, thrice, as validator.Verified counts.
func (t *CachedToken) Size() int { return t.Verified.Size() + 3*int(cachedTokenSize) }

// cachedTokenSize is how much is allocated for one.
const cachedTokenSize = (unsafe.Sizeof(CachedToken{}) + 15) &^ 15

// CacheFront finds again what the store has found of late, by one comparison. The
// store does much more for each token that is found, most of it to know which tokens
// are in use when it has to choose one to go; that changes only as tokens are put. So
// it is asked for a token, and thereby told of its use, once for each putsPerUse that
// are put: told more seldom, it would let some go that are used little, where those in
// use all but fill it. What goes from the store goes from here.
type CacheFront [frontPlaces]atomic.Pointer[CachedToken]

const (
	frontPlaces = 2048
	PutsPerUse  = 4
)

// Place is where a token stands, if it does. The digest is as good as random: nobody
// can choose who shares a place with whom, but by making tokens that an issuer signs.
func (f *CacheFront) Place(digest *[sha256.Size]byte) *atomic.Pointer[CachedToken] {
	return &f[binary.LittleEndian.Uint64(digest[:])%frontPlaces]
}

// Stand puts a token at its place, unless it goes from the store meanwhile.
func (t *CachedToken) Stand(place *atomic.Pointer[CachedToken]) {
	place.Store(t)
	if t.Gone.Load() {
		place.CompareAndSwap(t, nil)
	}
}

// remove takes a token away that goes from the store.
func (f *CacheFront) remove(t *CachedToken) {
	t.Gone.Store(true)
	f.Place(&t.Digest).CompareAndSwap(t, nil)
}
