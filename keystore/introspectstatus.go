package keystore

import "time"

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
func (i *Introspection) Status() IntrospectionStatus { return IntrospectionStatus{} }

// Observe sets the function that is called for each change of state; nil for none. An
// Introspection that outlives a config must not keep that config's function.
func (i *Introspection) Observe(f func(IntrospectionEvent)) {}
