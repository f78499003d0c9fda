package keystore

import (
	"context"
	"time"
)

// Status is a source's state, for an admin page. It holds no secret.
type Status struct {
	// State is "idle" (nothing asked for yet), "starting" (the first fetch is
	// under way), "fresh", "stale" (the last fetch failed, the set in hand
	// is used) or "unavailable" (there is no set to serve).
	State string `json:"state"`
	// Source is the configured URL, without query.
	Source string `json:"source"`
	// KeysURL is where the key set was found, without query.
	KeysURL string `json:"keys_url,omitempty"`
	// Keys are the keys in hand.
	Keys []KeyInfo `json:"keys,omitempty"`
	// Problems are the keys left out.
	Problems []Problem `json:"problems,omitempty"`
	// FetchedAt is when the set in hand was fetched or last found unchanged.
	FetchedAt time.Time `json:"fetched_at,omitzero"`
	// Expires is when the set in hand becomes too old to be used if no fetch
	// succeeds.
	Expires time.Time `json:"expires,omitzero"`
	// NextRefresh is when the next fetch is due.
	NextRefresh time.Time `json:"next_refresh,omitzero"`
	// LastError is why the latest fetch failed, empty if it did not.
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is when it occurred.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Failures is how many fetches have failed in a row.
	Failures int `json:"failures"`
	// Fetches is how many fetches there have been.
	Fetches uint64 `json:"fetches"`
	// Succeeded and Failed are how many of them have succeeded and failed.
	Succeeded uint64 `json:"succeeded"`
	Failed    uint64 `json:"failed"`
	// Restored reports whether the set in hand was saved by an earlier process,
	// and no fetch has succeeded since.
	Restored bool `json:"restored,omitempty"`
}

// KeyInfo describes a key.
type KeyInfo struct {
	// ID is the key's kid, cut to 200 characters.
	ID string `json:"kid,omitempty"`
	// Algorithm is the key's own alg, if it has one.
	Algorithm string `json:"alg,omitempty"`
	// Family is the kind of key, such as RSA or P-256.
	Family string `json:"type"`
}

// info returns descriptions of the keys of a set.
func (s *Set) info() []KeyInfo {
	infos := make([]KeyInfo, 0, len(s.all))
	for _, k := range s.all {
		infos = append(infos, KeyInfo{ID: cut(k.ID(), 200), Algorithm: k.Algorithm().String(), Family: k.Family()})
	}
	return infos
}

// Status returns the source's state now.
func (r *Remote) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.client.Clock.Now()
	s := Status{
		Source:      redact(r.client.start),
		NextRefresh: r.next,
		LastError:   describe(r.lastErr),
		Failures:    r.failures,
		Fetches:     r.fetches,
		Succeeded:   r.succeeded,
		Failed:      r.failed,
	}
	if s.LastError != "" {
		s.LastErrorAt = r.lastErrAt
	}
	if r.closed {
		s.NextRefresh = time.Time{}
	}
	if r.keysURL != nil {
		s.KeysURL = redact(r.keysURL)
	}
	if h := r.current.Load(); h != nil {
		s.Keys, s.Problems = h.set.info(), h.set.problems
		s.FetchedAt, s.Expires = h.fetchedAt, h.until
		s.Restored = h.fetch == 0
	}
	switch serving := r.serving(now) != nil; {
	case serving && r.failures > 0:
		s.State = "stale"
	case serving:
		s.State = "fresh"
	case r.failures > 0 || r.current.Load() != nil:
		s.State = "unavailable"
	case r.flight != nil:
		s.State = "starting"
	default:
		s.State = "idle"
	}
	return s
}

// Observe sets the function that is called for each change of state; nil for none.
// A Remote that outlives a config must not keep that config's function.
func (r *Remote) Observe(f func(Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observe = f
}

// queue keeps an event until deliver. The caller holds the lock.
func (r *Remote) queue(now time.Time, e Event) {
	e.At, e.Source = now, redact(r.client.start)
	if h := r.current.Load(); h != nil {
		e.Keys, e.FetchedAt = len(h.set.all), h.fetchedAt
	}
	r.events = append(r.events, e)
}

// deliver passes the events to the observer, in order and without the lock, so that the
// observer may call Status.
func (r *Remote) deliver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.observing { // by the goroutine of an earlier fetch, which delivers these too
		return
	}
	r.observing = true
	for len(r.events) > 0 {
		events, observe := r.events, r.observe
		r.events = nil
		if observe == nil {
			continue
		}
		r.mu.Unlock()
		for _, e := range events {
			observe(e)
		}
		r.mu.Lock()
	}
	r.observing = false
	if r.delivered != nil {
		close(r.delivered)
		r.delivered = nil
	}
}

// Settle waits until the observer has returned from all events so far, or until ctx is
// done. A set serves from the moment when its fetch ends, before the observer has heard
// of it: anyone who stops must wait for what the observer does with it.
func (r *Remote) Settle(ctx context.Context) {
	for {
		r.mu.Lock()
		if !r.observing && len(r.events) == 0 {
			r.mu.Unlock()
			return
		}
		if r.delivered == nil {
			r.delivered = make(chan struct{})
		}
		delivered := r.delivered
		r.mu.Unlock()
		select {
		case <-delivered:
		case <-ctx.Done():
			return
		}
	}
}
