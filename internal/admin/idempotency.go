package admin

import (
	"container/list"
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// The limits of repeated requests.
const (
	repeatTime  = 24 * time.Hour
	maxRepeats  = 10_000
	maxRepeatID = 255
)

// repeats are the answers to requests with an Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header), for clients that repeat a request whose
// answer they did not get. They are in the memory of this process only. Only what was done
// is kept: what was refused, or has failed, is tried again.
type repeats struct {
	time func() time.Time

	mu    sync.Mutex
	byKey map[repeatKey]*list.Element
	order list.List // of *repeat, the oldest first
}

// repeatKey is what must be the same for a request to be a repeat.
type repeatKey struct{ caller, method, uri, id string }

// repeat is a request, and its answer once it is done.
type repeat struct {
	key  repeatKey
	body [sha256.Size]byte
	at   time.Time
	done chan struct{} // closed once the request has ended

	// Set before done is closed.
	status int // 0 if there is no answer to repeat
	answer any
}

func newRepeats(now func() time.Time) *repeats {
	return &repeats{time: now, byKey: map[repeatKey]*list.Element{}}
}

// begin begins a request. If it repeats one that is done, that one is returned. Otherwise
// the caller must do it and call end, with status 0 if it has failed. While the first is
// under way, the second waits.
func (s *repeats) begin(ctx context.Context, key repeatKey, body []byte) (before *repeat, end func(status int, answer any), err error) {
	digest := sha256.Sum256(body)
	for {
		first, fresh := s.enter(key, digest)
		if fresh {
			return nil, func(status int, answer any) { s.end(first, status, answer) }, nil
		}
		if first.body != digest {
			return nil, nil, refusal(http.StatusUnprocessableEntity, "Idempotency-Key: another body was sent with it before; use a new one for another request")
		}
		select {
		case <-first.done:
			if first.status != 0 {
				return first, nil, nil
			}
		case <-ctx.Done():
			return nil, nil, refusal(http.StatusConflict, "Idempotency-Key: the request with it is still under way")
		}
	}
}

// enter returns the request with a key, or enters it.
func (s *repeats) enter(key repeatKey, digest [sha256.Size]byte) (r *repeat, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.time()
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		oldest := e.Value.(*repeat)
		if s.order.Len() < maxRepeats && now.Sub(oldest.at) < repeatTime {
			break
		}
		s.remove(e)
	}
	if e := s.byKey[key]; e != nil {
		return e.Value.(*repeat), false
	}
	r = &repeat{key: key, body: digest, at: now, done: make(chan struct{})}
	s.byKey[key] = s.order.PushBack(r)
	return r, true
}

func (s *repeats) remove(e *list.Element) {
	s.order.Remove(e)
	delete(s.byKey, e.Value.(*repeat).key)
}

// end ends a request: with its answer, or without one to repeat.
func (s *repeats) end(r *repeat, status int, answer any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byKey[r.key]; status == 0 && e != nil && e.Value == any(r) {
		s.remove(e)
	}
	r.status, r.answer = status, answer
	close(r.done)
}

// repeatID returns the Idempotency-Key of a request, empty for none.
func repeatID(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	id := values[0]
	if len(values) > 1 || id == "" || len(id) > maxRepeatID {
		return "", bad("Idempotency-Key: write one, of 1 to %d visible characters, new for each change", maxRepeatID)
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return "", bad("Idempotency-Key: write one, of 1 to %d visible characters, new for each change", maxRepeatID)
		}
	}
	return id, nil
}
