package caddyjwt

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// cachedToken is a token in the cache.
type cachedToken struct {
	digest   [sha256.Size]byte
	verified *validator.Verified
	told     atomic.Uint64 // how many tokens had been put when the store heard last of its use
	gone     atomic.Bool   // from the store
}

// size is what it takes, thrice, as validator.Verified counts.
func (t *cachedToken) size() int { return t.verified.Size() + 3*int(cachedTokenSize) }

// cachedTokenSize is how much is allocated for one.
const cachedTokenSize = (unsafe.Sizeof(cachedToken{}) + 15) &^ 15

// cacheFront finds again what the store has found of late, by one comparison. The
// store does much more for each token that is found, most of it to know which tokens
// are in use when it has to choose one to go; that changes only as tokens are put. So
// it is asked for a token, and thereby told of its use, once for each putsPerUse that
// are put: told more seldom, it would let some go that are used little, where those in
// use all but fill it. What goes from the store goes from here.
type cacheFront [frontPlaces]atomic.Pointer[cachedToken]

const (
	frontPlaces = 2048
	putsPerUse  = 4
)

// place is where a token stands, if it does. The digest is as good as random: nobody
// can choose who shares a place with whom, but by making tokens that an issuer signs.
func (f *cacheFront) place(digest *[sha256.Size]byte) *atomic.Pointer[cachedToken] {
	return &f[binary.LittleEndian.Uint64(digest[:])%frontPlaces]
}

// stand puts a token at its place, unless it goes from the store meanwhile.
func (t *cachedToken) stand(place *atomic.Pointer[cachedToken]) {
	place.Store(t)
	if t.gone.Load() {
		place.CompareAndSwap(t, nil)
	}
}

// remove takes a token away that goes from the store.
func (f *cacheFront) remove(t *cachedToken) {
	t.gone.Store(true)
	f.place(&t.digest).CompareAndSwap(t, nil)
}
