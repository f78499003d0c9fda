package refusal

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

const (
	// kept is how many refusals are kept for those who watch.
	kept = 1000
	// watchTime is how long somebody who has asked counts as watching.
	watchTime = time.Minute
)

// The bounds of what is kept of a request, in bytes: strangers write it.
const (
	maxMethod = 32
	maxHost   = 255
	maxURI    = 1024
	maxText   = 512
)

// Recent are the newest refusals of this process, for those who watch them. It outlives
// configs. While nobody watches, nothing is kept, and a refusal costs one atomic load: see On.
//
// A refusal is recorded without a lock, so neither a slow watcher nor many of them hold up a
// request. What is overwritten before a watcher asks for it is counted as missed.
type Recent struct {
	ring atomic.Pointer[ring] // nil while nobody watches

	mu      sync.Mutex // for those who watch; no request waits for it
	first   uint64     // the number before the first refusal of this process; 0 before anybody has watched
	last    uint64     // the number of the last refusal of the ring before
	visits  uint64     // how often somebody has asked
	waiting int        // how many are in After
	stop    func() bool
	clock   clock.Clock // nil for that of the process
}

// ring is what is kept from the time at which somebody begins to watch until nobody does.
type ring struct {
	base  uint64        // the number before its first
	taken atomic.Uint64 // the number of the newest, which may not have been put yet
	slots [kept]atomic.Pointer[Seen]
	bell  atomic.Pointer[chan struct{}] // closed when the next one is put; nil if nobody waits
}

// Watched is the ring of this process.
var Watched = new(Recent)

// Seen is a refusal as those who watch see it. There is no credential in it, and no claim
// but the user and issuer of a credential that is valid otherwise. Long texts end in "…".
type Seen struct {
	// Seq grows by 1 with each refusal that is recorded. The numbers of a process begin with
	// the time at which somebody first watched, in microseconds, so those of an earlier
	// process are never taken for its own.
	Seq uint64 `json:"seq"`
	// Time is when the request was refused, by UTC.
	Time time.Time `json:"time"`
	// Site is the hosts of the site, or the addresses of its server.
	Site        string `json:"site"`
	Reason      string `json:"reason"`
	Status      int    `json:"status"`
	Detail      string `json:"detail,omitempty"`
	Requirement string `json:"requirement,omitempty"`
	User        string `json:"user,omitempty"`
	Issuer      string `json:"issuer,omitempty"`
	Method      string `json:"method"`
	Host        string `json:"host"`
	// URI is the request's, without credentials.
	URI      string `json:"uri"`
	RemoteIP string `json:"remote_ip"`
	// ClientIP is the client's behind trusted proxies, empty if Caddy knows none.
	ClientIP string `json:"client_ip,omitempty"`
	// Reported is true if the request was not refused, but would be without report mode.
	Reported bool `json:"reported,omitempty"`
}

// On reports whether somebody watches: has asked within the last minute, or waits.
func (w *Recent) On() bool { return w.ring.Load() != nil }

// Record keeps a refusal, if somebody watches. uri is the request's, without credentials.
func (w *Recent) Record(why *Refusal, r *http.Request, uri, site string, reported bool) {
	g := w.ring.Load()
	if g == nil {
		return
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	seen := &Seen{
		Time: w.time().Now().UTC(), Site: site, Reason: string(why.Code), Status: why.Answer.Status,
		Detail: cut(why.Detail, maxText), Requirement: cut(why.Requirement, maxText),
		User: cut(why.User, maxText), Issuer: cut(why.Issuer, maxText),
		Method: cut(r.Method, maxMethod), Host: cut(r.Host[strings.LastIndexByte(r.Host, '@')+1:], maxHost), URI: cutURI(withoutUserInfo(uri)),
		RemoteIP: cut(ip, maxHost), ClientIP: cut(client, maxHost), Reported: reported,
	}
	seen.Seq = g.taken.Add(1)
	g.put(seen)
	if bell := g.bell.Swap(nil); bell != nil {
		close(*bell)
	}
}

// put puts a refusal in its place, unless a later one, which takes the same place, was faster.
func (g *ring) put(seen *Seen) {
	slot := &g.slots[seen.Seq%kept]
	for {
		before := slot.Load()
		if before != nil && before.Seq > seen.Seq || slot.CompareAndSwap(before, seen) {
			return
		}
	}
}

// cut returns a copy of the beginning of a text: a part of it would keep all of the request
// in memory.
func cut(text string, length int) string {
	if len(text) <= length {
		return strings.Clone(text)
	}
	for length > 0 && !utf8.RuneStart(text[length]) {
		length--
	}
	return text[:length] + "…"
}

// cutURI returns a copy of a URI, or of its beginning. It ends at the end of a part, as a
// credential of which half is missing would not be recognized as one.
func cutURI(uri string) string {
	if len(uri) <= maxURI {
		return strings.Clone(uri)
	}
	return uri[:strings.LastIndexAny(uri[:maxURI], "/?&;=#")+1] + "…"
}

// After returns the refusals behind a number, the oldest first, and the number for the next
// call. If there are none it waits, at most until ctx is done. missed is how many were
// overwritten meanwhile. With 0, or a number that is not of this process, it returns all that
// are kept, and nothing counts as missed.
//
// Who has asked counts as watching for a minute.
func (w *Recent) After(ctx context.Context, after uint64) (list []Seen, next, missed uint64) {
	g := w.enter()
	defer w.leave()
	w.mu.Lock()
	if after < w.first || after > g.taken.Load() {
		after = 0
	}
	w.mu.Unlock()
	for {
		// The bell is hung up before looking, so that what comes in between rings it.
		bell := g.listen()
		if list, next, missed = g.read(after); len(list) > 0 {
			return list, next, missed
		}
		select {
		case <-bell:
		case <-ctx.Done():
			return g.read(after)
		}
	}
}

// enter begins to watch, and returns the ring, which stays as long as somebody waits.
func (w *Recent) enter() *ring {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
	w.visits++
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	g := w.ring.Load()
	if g == nil {
		if w.first == 0 {
			w.first = uint64(max(1, w.time().Now().UnixMicro()))
			w.last = w.first
		}
		g = &ring{base: w.last}
		g.taken.Store(w.last)
		w.ring.Store(g)
	}
	return g
}

// leave ends one's waiting. A minute after the last one has left, all is forgotten.
func (w *Recent) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting--
	if w.waiting > 0 {
		return
	}
	g, visits := w.ring.Load(), w.visits
	w.stop = w.time().AfterFunc(watchTime, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.visits == visits { // else it was stopped too late
			w.ring.Store(nil)
			w.last = g.taken.Load()
			w.stop = nil
		}
	})
}

// Waiting returns how many are waiting.
func (w *Recent) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting
}

// time returns the clock.
func (w *Recent) time() clock.Clock {
	if w.clock != nil {
		return w.clock
	}
	return clock.System()
}

// listen returns a channel that is closed when the next refusal is put.
func (g *ring) listen() <-chan struct{} {
	for {
		if bell := g.bell.Load(); bell != nil {
			return *bell
		}
		bell := make(chan struct{})
		if g.bell.CompareAndSwap(nil, &bell) {
			return bell
		}
	}
}

// read returns what is kept behind a number. It ends where a refusal has its number, but is
// not in its place yet.
func (g *ring) read(after uint64) (list []Seen, next, missed uint64) {
	last := g.taken.Load()
	oldest := g.base
	if last > g.base+kept {
		oldest = last - kept
	}
	next = max(after, oldest)
	for n := next + 1; n <= last; n++ {
		seen := g.slots[n%kept].Load()
		if seen == nil || seen.Seq < n {
			break
		}
		next = n
		if seen.Seq == n {
			list = append(list, *seen)
		} // else it was overwritten while this was reading
	}
	if after > 0 {
		missed = next - after - uint64(len(list))
	}
	return list, next, missed
}
