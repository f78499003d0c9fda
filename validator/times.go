package validator

import (
	"math"
	"strconv"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// maxTime is the last second of the year 9999, the last one that Go's and most other time
// formats can represent.
const maxTime = 253402300799

// mostDigits is how long a NumericDate that is no integer may be. Reading a longer one
// takes time that a client chooses.
const mostDigits = 100

// numericDate parses a NumericDate (RFC 7519 section 2): seconds since 1970, possibly with
// a fraction. Anything but a number from 0 to maxTime is invalid, since other libraries
// interpret it differently, from "now" to "never".
func numericDate(v claims.Value) (time.Time, bool) {
	digits, ok := v.Digits()
	if !ok {
		return time.Time{}, false
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return time.Unix(n, 0), n >= 0 && n <= maxTime && digits[0] != '-'
	}
	if len(digits) > mostDigits {
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(f >= 0 && f <= maxTime) || digits[0] == '-' {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// times are the registered times of a token; a missing one is the zero Time.
type times struct {
	expires, notBefore, issued time.Time
}

// checkTimes checks the times of a token. It is cheap and comes before the signature: an
// expired token is refused no matter who signed it.
func (p *policy) checkTimes(t times, now time.Time) error {
	if err := p.checkExpires(t.expires, now); err != nil {
		return err
	}
	if err := p.checkLifetime(t.expires, now); err != nil {
		return err
	}
	if err := p.checkNotBefore(t.notBefore, now); err != nil {
		return err
	}
	return p.checkIssued(t.issued, now)
}

// checkExpires checks that exp is there and has not passed.
func (p *policy) checkExpires(expires, now time.Time) error {
	switch {
	case expires.IsZero():
		if !p.AllowNoExpiry {
			return reason.NoExpiry
		}
	// RFC 7519 section 4.1.4: "on or after" exp is expired.
	case !now.Before(expires.Add(p.Leeway)):
		return reason.Expired
	}
	return nil
}

// checkLifetime checks that exp is not too far away.
func (p *policy) checkLifetime(expires, now time.Time) error {
	switch {
	case p.MaxLifetime == 0:
	// A token that never expires exceeds any limit.
	case expires.IsZero():
		return reason.NeverExpires
	case expires.After(now.Add(p.MaxLifetime).Add(p.Leeway)):
		return reason.LifetimeTooLong
	}
	return nil
}

// checkNotBefore checks that nbf, if it is there, has come.
func (p *policy) checkNotBefore(notBefore, now time.Time) error {
	if !notBefore.IsZero() && now.Add(p.Leeway).Before(notBefore) {
		return reason.NotYetValid
	}
	return nil
}

// checkIssued checks that iat, if it is there, has come.
func (p *policy) checkIssued(issued, now time.Time) error {
	if !issued.IsZero() && now.Add(p.Leeway).Before(issued) {
		return reason.IssuedInFuture
	}
	return nil
}
