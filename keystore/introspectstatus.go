package keystore

import (
	"sync"
	"time"
)

// IntrospectionEventKind is what happened to an introspection endpoint.
type IntrospectionEventKind uint8

// The kinds of IntrospectionEvent.
const (
	// IntrospectionFailing: calls have failed several times in a row, so that there are pauses
	// between them, or they now fail since the issuer refuses our client.
	IntrospectionFailing IntrospectionEventKind = iota + 1
	// IntrospectionRecovered: a call succeeded, the first time since IntrospectionFailing.
	IntrospectionRecovered
)

// String returns the kind as a word for logs.
func (k IntrospectionEventKind) String() string {
	switch k {
	case IntrospectionFailing:
		return "introspection_failing"
	case IntrospectionRecovered:
		return "introspection_recovered"
	default:
		return "unknown"
	}
}

// IntrospectionEvent is a change of state, for a log line or an event. It holds no secret, and
// its texts are bounded.
type IntrospectionEvent struct {
	// Kind says what happened.
	Kind IntrospectionEventKind
	// Source is the configured URL, without query.
	Source string
	// At is when it happened.
	At time.Time
	// Err is what went wrong, with IntrospectionFailing.
	Err error
}

// IntrospectionStatus is the state of an Introspection, for an admin page. It holds no secret.
type IntrospectionStatus struct {
	// State is "idle" (nothing was asked yet), "working" or "failing" (the last calls failed in
	// a row, and there are pauses between them).
	State string `json:"state"`
	// Source is the configured URL, without query.
	Source string `json:"source"`
	// Endpoint is where the issuer is asked, without query, once it is known.
	Endpoint string `json:"endpoint,omitempty"`
	// LastSuccess is when the latest call succeeded.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// LastError is why the latest call failed, empty if it did not.
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is when it failed.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Failures is how many calls have failed in a row.
	Failures int `json:"failures"`
	// PausedUntil is until when there is no call.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// Calls is how many calls have ended, and the others how many of them with which result:
	// the token is active, it is not, the answer is about another kind of token or from another
	// issuer, the call failed.
	Calls    uint64 `json:"calls"`
	Active   uint64 `json:"active"`
	Inactive uint64 `json:"inactive"`
	Refused  uint64 `json:"refused"`
	Failed   uint64 `json:"failed"`
	// Cached is how many requests were served without a call, from an earlier answer.
	Cached uint64 `json:"cached"`
	// TurnedAway is how many requests got no answer since there were too many calls, or a pause
	// after failures.
	TurnedAway uint64 `json:"turned_away"`
	// Running is how many calls there are at the moment.
	Running int `json:"running"`
	// Waiting is how many requests wait for a call to begin.
	Waiting int `json:"waiting"`
	// Kept is how many active tokens an answer is kept of, approximately.
	Kept int `json:"kept"`
}

// Status returns the state now.
func (i *Introspection) Status() IntrospectionStatus {
	i.place.mu.Lock()
	at := i.place.found
	i.place.mu.Unlock()
	hits, kept := i.kept.counts()

	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.counts
	s.Calls = s.Active + s.Inactive + s.Refused + s.Failed
	s.Source = redact(i.client.start)
	s.Cached, s.Kept = hits, kept
	s.Failures, s.Running, s.Waiting = i.circuit.failures, i.slots.running, i.slots.waiting
	if s.LastError = describe(i.lastErr); s.LastError == "" {
		s.LastErrorAt = time.Time{}
	}
	if at != nil {
		s.Endpoint = redact(at.url)
	}
	if i.circuit.pausing(i.client.Clock.Now()) {
		s.PausedUntil = i.circuit.until
	}
	switch {
	case i.circuit.failures >= failuresToOpen:
		s.State = "failing"
	case s.Calls > 0 || s.Running > 0:
		s.State = "working"
	default:
		s.State = "idle"
	}
	return s
}

// Observe sets the function that is called for each change of state; nil for none. An
// Introspection that outlives a config must not keep that config's function.
func (i *Introspection) Observe(f func(IntrospectionEvent)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.events.observe = f
}

func (i *Introspection) event(kind IntrospectionEventKind, now time.Time, err error) IntrospectionEvent {
	return IntrospectionEvent{Kind: kind, Source: redact(i.client.start), At: now, Err: err}
}

// introspectionEvents are passed on in order, one at a time, without the lock of the
// Introspection.
type introspectionEvents struct {
	observe   func(IntrospectionEvent)
	list      []IntrospectionEvent
	observing bool
}

// queue keeps an event until deliver. The caller holds the lock.
func (e *introspectionEvents) queue(event IntrospectionEvent) { e.list = append(e.list, event) }

// deliver passes the events on. The caller does not hold the lock.
func (e *introspectionEvents) deliver(lock sync.Locker) {
	lock.Lock()
	defer lock.Unlock()
	if e.observing { // by the goroutine of an earlier call, which delivers these too
		return
	}
	e.observing = true
	for len(e.list) > 0 {
		list, observe := e.list, e.observe
		e.list = nil
		if observe == nil {
			continue
		}
		lock.Unlock()
		for _, event := range list {
			observe(event)
		}
		lock.Lock()
	}
	e.observing = false
}
