package tokencache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// entry is a token in the cache.
type entry struct {
	digest    [sha256.Size]byte
	verified  *validator.Verified
	putsAtUse atomic.Uint64 // Cache.puts when the store was last asked for it
	removed   atomic.Bool   // from the store
}

// size returns three times what the entry takes, as validator.Verified counts.
func (e *entry) size() int { return e.verified.Size() + 3*int(entrySize) }

// entrySize is how much is allocated for one.
const entrySize = (unsafe.Sizeof(entry{}) + 15) &^ 15

// recentTable finds tokens that the store has found recently, by one comparison. The
// store does much more for each hit, most of it to record which tokens are in use for
// when one has to go, which happens only as tokens are put. So the store is asked for
// a token, and records its use, once for each putsPerUse that are put. If it were asked
// less often, it would evict some that are little used where those in use all but fill
// it. What is removed from the store is removed from here.
type recentTable [recentSlots]atomic.Pointer[entry]

const (
	recentSlots = 2048
	putsPerUse  = 4
)

// slot returns the only slot that a token may be in. The digest is as good as random:
// the only way to choose who shares a slot with whom is to have an issuer sign tokens.
func (t *recentTable) slot(digest *[sha256.Size]byte) *atomic.Pointer[entry] {
	return &t[binary.LittleEndian.Uint64(digest[:])%recentSlots]
}

// storeIn puts an entry into its slot, unless it is removed from the store meanwhile.
func (e *entry) storeIn(slot *atomic.Pointer[entry]) {
	slot.Store(e)
	if e.removed.Load() {
		slot.CompareAndSwap(e, nil)
	}
}

// remove removes an entry that is removed from the store.
func (t *recentTable) remove(e *entry) {
	e.removed.Store(true)
	t.slot(&e.digest).CompareAndSwap(e, nil)
}
