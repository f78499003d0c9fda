package validator

import (
	"math"
	"time"
)

// verdict is the result of a validator that accepted a token. It depends on the token and
// the policy, which never change, and on the time and the keys in force, which are
// compared at each use. A check that depends on anything else must be made each time,
// before the verdict is used. A verdict has no pointer to the validator, so that cached
// tokens don't keep old validators in memory.
type verdict struct {
	validator   uint64 // id of the validator
	keys        uint64 // version of the keys
	policy      int    // index of the policy
	from, until int64  // the times at which the token is accepted, in ns since 1970
	user        string
	scopes      []string // nil for those of the default claims
}

// maxVerdictScopes is the maximum number of scopes in a stored verdict. Scopes of claims
// that a policy names are not part of a cached token's counted size.
const maxVerdictScopes = 32

// storeVerdict stores a verdict with what it depends on.
func (t *Verified) storeVerdict(found *verdict, v *Validator, p *policy, keys uint64) {
	found.validator, found.keys = v.id, keys
	found.from, found.until = p.window(t.when)
	t.verdicts[v.id%2].Store(found)
}

// reuseVerdict reports whether the last verdict of v is still valid, and if so uses it
// for verified. Otherwise the token must be checked from the beginning, which also finds
// the reason for a refusal.
func (t *Verified) reuseVerdict(v *Validator, now time.Time, verified *Token) bool {
	found := t.verdicts[v.id%2].Load()
	if found == nil || found.validator != v.id {
		return false
	}
	if at := now.UnixNano(); at < found.from || at >= found.until {
		return false
	}
	if v.policies[found.policy].Keys.Version("", now) != found.keys {
		return false
	}
	verified.token, verified.verdict = t, found
	return true
}

// window returns the times at which checkTimes accepts a token, at or after from and
// before until. It is only used for tokens that checkTimes has accepted.
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

// nanoseconds is like UnixNano, but clips times that don't fit an int64, for which
// UnixNano is undefined.
func nanoseconds(t time.Time) int64 {
	const maxSeconds = math.MaxInt64/int64(time.Second) - 1
	switch s := t.Unix(); {
	case s > maxSeconds:
		return math.MaxInt64
	case s < -maxSeconds:
		return math.MinInt64
	}
	return t.UnixNano()
}
