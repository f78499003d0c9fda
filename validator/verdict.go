package validator

import (
	"math"
	"time"
)

// verdict is what a validator has found of a token that it accepts. It holds for as
// long as nothing has changed that it rests on: the token and the policy never do,
// so what is left is the time and the keys in force, which are looked at with each
// use. A check that rests on anything else must be made in front of it, each time. A
// verdict refers to nothing of the validator, so that tokens in a cache keep none
// alive that is used no more.
type verdict struct {
	validator   uint64 // its number
	keys        uint64 // their version
	place       int    // of the policy
	from, until int64  // the times at which the token is accepted, in ns since 1970
	user        string
	scopes      []string // nil for those of the usual claims
}

// maxKeptScopes is how many scopes a verdict holds that is kept. Those of claims that
// a policy names are not counted as the token's memory.
const maxKeptScopes = 32

// keep remembers a verdict with what it rests on.
func (t *Verified) keep(found *verdict, v *Validator, p *policy, keys uint64) {
	found.validator, found.keys, found.place = v.number, keys, p.place
	found.from, found.until = p.window(t.when)
	t.verdicts[v.number%2].Store(found)
}

// stands tells whether the verdict that v has found last still holds, and if so
// makes it that of verified. Where it does not, the token is judged from the
// beginning: that finds the reason too.
func (t *Verified) stands(v *Validator, now time.Time, verified *Token) bool {
	found := t.verdicts[v.number%2].Load()
	if found == nil || found.validator != v.number {
		return false
	}
	if at := now.UnixNano(); at < found.from || at >= found.until {
		return false
	}
	if v.policies[found.place].Keys.Version("", now) != found.keys {
		return false
	}
	verified.of, verified.by = t, found
	return true
}

// window is when checkTimes has nothing against a token that it accepts once: from
// the first time to just before the second.
func (p *policy) window(t times) (from, until int64) {
	from, until = math.MinInt64, math.MaxInt64
	if !t.expires.IsZero() {
		until = nanoseconds(t.expires.Add(p.Leeway))
		if p.MaxLifetime > 0 {
			from = nanoseconds(t.expires.Add(-p.Leeway).Add(-p.MaxLifetime))
		}
	}
	for _, begin := range [...]time.Time{t.notBefore, t.issued} {
		if !begin.IsZero() {
			from = max(from, nanoseconds(begin.Add(-p.Leeway)))
		}
	}
	return from, until
}

// nanoseconds is UnixNano, which is undefined for times that it has no number for.
func nanoseconds(t time.Time) int64 {
	const most = math.MaxInt64/int64(time.Second) - 1
	switch s := t.Unix(); {
	case s > most:
		return math.MaxInt64
	case s < -most:
		return math.MinInt64
	}
	return t.UnixNano()
}
