package keystore

import (
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// The limits on what is remembered of tokens. Active and inactive ones have stores of their
// own: anybody can fill the one with garbage, and only the issuer the other.
const (
	// keptShards are the parts of the stores, each with its lock.
	keptShards = 16
	// maxActive and maxActiveBytes bound the answers about active tokens.
	maxActive      = 64 << 10
	maxActiveBytes = 32 << 20
	// maxInactive bounds the tokens that are not active.
	maxInactive = 16 << 10
	// inactiveTime is how long a token that is not active is refused without a call.
	inactiveTime = 5 * time.Second
	// knownTime is how long after an active answer a token is known.
	knownTime = time.Hour
	// maxKnown bounds the tokens that are known.
	maxKnown = 64 << 10
	// entryBytes is what an entry takes besides its answer.
	entryBytes = 160
	// evictionTries is how many entries are looked at for one that makes room. They are
	// random, as the iteration over a map is.
	evictionTries = 8
)

// keptAnswers are the answers that are kept, by digest.
type keptAnswers [keptShards]struct {
	mu       sync.Mutex
	active   map[tokenDigest]keptAnswer
	inactive map[tokenDigest]keptAnswer
	bytes    int // of active
	hits     uint64
}

// keptAnswer is an answer. Its times are in ns since 1970.
type keptAnswer struct {
	value        claims.Value
	since, until int64
	bytes        int
}

// holds reports whether the answer may be used. One that lies in the future was kept before
// the clock was set back. A request may have read the clock a little before it was kept.
func (k *keptAnswer) holds(now int64) bool {
	return now < k.until && now > k.since-int64(time.Minute)
}

// get returns the answer about a token, and counts it.
func (k *keptAnswers) get(d tokenDigest, now time.Time) (value claims.Value, active, ok bool) {
	return k.find(d, now, 1)
}

// look returns the answer about a token.
func (k *keptAnswers) look(d tokenDigest, now time.Time) (value claims.Value, active, ok bool) {
	return k.find(d, now, 0)
}

func (k *keptAnswers) find(d tokenDigest, at time.Time, count uint64) (value claims.Value, active, ok bool) {
	now := at.UnixNano()
	s := &k[d[0]%keptShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.active[d]; ok && a.holds(now) {
		s.hits += count
		return a.value, true, true
	}
	if a, ok := s.inactive[d]; ok && a.holds(now) {
		s.hits += count
		return a.value, false, true
	}
	return claims.Value{}, false, false
}

// addActive keeps that a token is active until a time. bytes is what the answer takes.
func (k *keptAnswers) addActive(d tokenDigest, value claims.Value, bytes int, now, until time.Time) {
	bytes += entryBytes
	if bytes > maxActiveBytes/keptShards {
		return
	}
	s := &k[d[0]%keptShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil {
		s.active = map[tokenDigest]keptAnswer{}
	}
	delete(s.inactive, d)
	s.bytes -= s.active[d].bytes
	delete(s.active, d)
	for len(s.active) >= maxActive/keptShards || s.bytes+bytes > maxActiveBytes/keptShards {
		s.bytes -= evict(s.active, now.UnixNano())
	}
	s.active[d] = keptAnswer{value, now.UnixNano(), until.UnixNano(), bytes}
	s.bytes += bytes
}

// addInactive keeps that a token is not active. The value says why, if that is known.
func (k *keptAnswers) addInactive(d tokenDigest, value claims.Value, now time.Time) {
	s := &k[d[0]%keptShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inactive == nil {
		s.inactive = map[tokenDigest]keptAnswer{}
	}
	s.bytes -= s.active[d].bytes
	delete(s.active, d)
	for len(s.inactive) >= maxInactive/keptShards {
		evict(s.inactive, now.UnixNano())
	}
	s.inactive[d] = keptAnswer{value: value, since: now.UnixNano(), until: now.Add(inactiveTime).UnixNano()}
}

// evict makes room in a store that is not empty: it drops what no longer holds among some
// random entries, else the one of them that ends first. It returns how many bytes that frees.
func evict(store map[tokenDigest]keptAnswer, now int64) (bytes int) {
	var first tokenDigest
	var firstUntil int64
	tries, dropped := 0, false
	for d, a := range store {
		if !a.holds(now) {
			bytes += a.bytes
			delete(store, d)
			dropped = true
		} else if tries == 0 || a.until < firstUntil {
			first, firstUntil = d, a.until
		}
		if tries++; tries == evictionTries {
			break
		}
	}
	if !dropped {
		bytes = store[first].bytes
		delete(store, first)
	}
	return bytes
}

// counts returns how many answers were served, and how many active tokens are kept.
func (k *keptAnswers) counts() (hits uint64, active int) {
	for n := range k {
		s := &k[n]
		s.mu.Lock()
		hits += s.hits
		active += len(s.active)
		s.mu.Unlock()
	}
	return hits, active
}

// knownTokens are when tokens were active, in s since 1970. A token that was active within the
// hour has slots of its own, which unknown ones can't take.
type knownTokens map[tokenDigest]int64

// has reports whether a token was active within the hour.
func (k knownTokens) has(d tokenDigest, now time.Time) bool {
	at, ok := k[d]
	return ok && now.Unix()-at < int64(knownTime/time.Second)
}

// add notes that a token is active.
func (k *knownTokens) add(d tokenDigest, now time.Time) {
	if *k == nil {
		*k = knownTokens{}
	}
	if _, ok := (*k)[d]; !ok && len(*k) >= maxKnown {
		k.evict()
	}
	(*k)[d] = now.Unix()
}

// evict drops the token among some random ones that was active the longest ago.
func (k *knownTokens) evict() {
	var first tokenDigest
	tries := 0
	for d, at := range *k {
		if tries == 0 || at < (*k)[first] {
			first = d
		}
		if tries++; tries == evictionTries {
			break
		}
	}
	delete(*k, first)
}

// forget drops a token.
func (k knownTokens) forget(d tokenDigest) { delete(k, d) }
