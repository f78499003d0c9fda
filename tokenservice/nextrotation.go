package tokenservice

import "time"

// NextRotation returns when the next of the keys signs: what SigningKeys.List returns of
// them. It is in the past if that is overdue, and zero if it is not known.
func NextRotation(keys []SigningKey) time.Time {
	var next, until time.Time
	for i := range keys {
		switch k := &keys[i]; k.State {
		case "next":
			if !k.SignsFrom.IsZero() && (next.IsZero() || k.SignsFrom.Before(next)) {
				next = k.SignsFrom
			}
		case "signing":
			until = k.SignsUntil
		}
	}
	if next.IsZero() {
		return until
	}
	return next
}
