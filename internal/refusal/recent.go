package refusal

import (
	"context"
	"net/http"
	"time"
)

// Recent are the newest refusals of this process, for those who watch them. It outlives
// configs. While nobody watches, nothing is kept, and a refusal costs one atomic load.
type Recent struct{}

// Watched is the ring of this process.
var Watched = new(Recent)

// Seen is a refusal as those who watch see it. There is no credential in it, and no claim
// but the user and issuer of a credential that is valid otherwise.
type Seen struct {
	Seq         uint64    `json:"seq"`
	Time        time.Time `json:"time"`
	Site        string    `json:"site"`
	Reason      string    `json:"reason"`
	Status      int       `json:"status"`
	Detail      string    `json:"detail,omitempty"`
	Requirement string    `json:"requirement,omitempty"`
	User        string    `json:"user,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	Method      string    `json:"method"`
	Host        string    `json:"host"`
	URI         string    `json:"uri"`
	RemoteIP    string    `json:"remote_ip"`
	ClientIP    string    `json:"client_ip,omitempty"`
	// Reported is true if the request was not refused, but would be without report mode.
	Reported bool `json:"reported,omitempty"`
}

// On reports whether somebody watches.
func (w *Recent) On() bool { return false }

// Record keeps a refusal. uri is the request's, without credentials.
func (w *Recent) Record(why *Refusal, r *http.Request, uri, site string, reported bool) {}

// After returns the refusals behind a number, the oldest first, and the number for the next
// call. If there are none it waits, at most until ctx is done. missed is how many were
// overwritten meanwhile.
func (w *Recent) After(ctx context.Context, after uint64) (list []Seen, next, missed uint64) {
	return nil, after, 0
}
