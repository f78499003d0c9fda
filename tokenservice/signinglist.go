package tokenservice

import (
	"slices"
	"time"
)

// List returns the keys, the newest first: those that are published, and those that were
// retired in the last 30 days.
func (k *SigningKeys) List(now time.Time) []SigningKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.view.Load()
	n := v.accepted(now.Unix())
	turn := v.turn(now.Unix())
	var list []SigningKey
	for at := len(v.order) - 1; at >= 0; at-- {
		i := v.order[at]
		if i >= n {
			continue
		}
		s := &v.keys[i]
		key := s.shown()
		switch {
		case s == turn:
			key.State = "signing"
		case s.begins > now.Unix() && s.begins < s.stops:
			key.State = "next"
		default:
			key.State = "published"
		}
		list = append(list, key)
	}
	var retired []SigningKey
	for _, s := range k.state.keys {
		if k.state.isRetired(s) && now.Sub(time.Unix(s.at, 0)) < retiredShown {
			v := viewedKey{signingKeyState: *s, begins: s.from(), stops: s.at, until: s.at}
			key := v.shown()
			key.State = "retired"
			retired = append(retired, key)
		}
	}
	slices.SortFunc(retired, func(a, b SigningKey) int {
		if c := b.SignsUntil.Compare(a.SignsUntil); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.ID), []byte(b.ID))
	})
	return append(list, retired...)
}

// retiredShown is for how long retired keys are listed.
const retiredShown = 30 * 24 * time.Hour

// shown returns the key as people see it.
func (k *viewedKey) shown() SigningKey {
	at := func(t int64) time.Time {
		if t <= 0 || t > latest {
			return time.Time{}
		}
		return time.Unix(t, 0).UTC()
	}
	out := SigningKey{ID: k.kid, Made: at(k.made), SignsFrom: at(k.begins), SignsUntil: at(k.stops), PublishedUntil: at(k.until)}
	if k.public != nil {
		out.Algorithm = k.public.Algorithm()
	}
	return out
}
