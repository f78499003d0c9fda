package validator

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// counting is a key set with a version that counts the calls of Keys.
type counting struct {
	keySet
	asked   int
	version func() uint64
	others  []string // kids whose version is 0
}

func (c *counting) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	c.asked++
	return c.keySet.Keys(ctx, kid)
}

func (c *counting) Version(kid string, _ time.Time) uint64 {
	if slices.Contains(c.others, kid) {
		return 0
	}
	return c.version()
}

// A verdict replaces the checks only while nothing has changed that they depend on.
func TestVerdictIsReusedUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	token := es256(t, goodHeader, strings.Replace(goodClaims, "{", `{"nbf":1800000000,`, 1))
	version, at := uint64(7), now
	set := &counting{keySet: keySet{keys()["p256"].public}, version: func() uint64 { return version }}
	policy := basePolicy()
	policy.Keys, policy.Leeway, policy.MaxLifetime = set, 5*time.Second, time.Hour
	v, err := New([]Policy{policy}, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	v = v.Cached(newMemory())
	exp := time.Unix(1_800_000_600, 0)
	for _, step := range []struct {
		what    string
		at      time.Time
		version uint64
		want    error
		asked   int // in all
	}{
		{"it is new", now, 7, nil, 1},
		{"nothing has changed", now, 7, nil, 1},
		{"just before exp", exp.Add(5*time.Second - 1), 7, nil, 1},
		{"exp", exp.Add(5 * time.Second), 7, reason.Expired, 1},
		{"just behind nbf", now.Add(-5 * time.Second), 7, nil, 1},
		{"just before nbf", now.Add(-5*time.Second - 1), 7, reason.NotYetValid, 1},
		{"the keys are others", now, 8, nil, 2},
		{"nothing has changed again", now, 8, nil, 2},
		{"the keys are said to be those of before", now, 7, nil, 3},
		{"the keys can't be told apart", now, 0, nil, 4},
		{"nor now", now, 0, nil, 5},
	} {
		at, version = step.at, step.version
		if _, err := v.Validate(t.Context(), token); err != step.want || set.asked != step.asked {
			t.Errorf("%s: %v, want %v; the keys were asked for %d times, want %d", step.what, err, step.want, set.asked, step.asked)
		}
	}
}

// There is no verdict for a kid without a version: a key with this kid may still be
// fetched.
func TestNoVerdictForAKidWithoutVersion(t *testing.T) {
	t.Parallel()
	set := &counting{keySet: keySet{keys()["p256"].public}, version: func() uint64 { return 7 }, others: []string{"p256"}}
	policy := basePolicy()
	policy.Keys = set
	v := newValidator(t, policy).Cached(newMemory())
	token := es256(t, goodHeader, goodClaims)
	for n := range 3 {
		if wantErr(t, v, token, nil); set.asked != n+1 {
			t.Errorf("the keys were asked for %d times, want %d", set.asked, n+1)
		}
	}
}

// A verdict with many scopes is not stored, as they are not part of the counted size.
func TestVerdictsHoldFewScopes(t *testing.T) {
	t.Parallel()
	for n, kept := range map[int]bool{maxVerdictScopes: true, maxVerdictScopes + 1: false} {
		set := &counting{keySet: keySet{keys()["p256"].public}, version: func() uint64 { return 7 }}
		policy := basePolicy()
		policy.Keys, policy.ScopeClaims = set, []string{"may"}
		v := newValidator(t, policy).Cached(newMemory())
		token := es256(t, goodHeader, strings.Replace(goodClaims, "{", `{"may":"`+strings.Repeat("a ", n-1)+`last",`, 1))
		for range 3 {
			got, err := v.Validate(t.Context(), token)
			if err != nil || len(got.Scopes()) != n || got.Scopes()[n-1] != "last" {
				t.Fatalf("%v, %d scopes; want %d", err, len(got.Scopes()), n)
			}
		}
		if want := map[bool]int{true: 1, false: 3}[kept]; set.asked != want {
			t.Errorf("%d scopes: the keys were asked for %d times, want %d", n, set.asked, want)
		}
	}
}

// No verdict is stored if the keys change during validation: it would have the result of
// the old keys under the version of the new ones, or the other way round.
func TestKeysThatChangeMeanwhileLeaveNoVerdict(t *testing.T) {
	t.Parallel()
	var version atomic.Uint64
	set := &counting{keySet: keySet{keys()["p256"].public}, version: func() uint64 { return version.Add(1) / 2 }}
	policy := basePolicy()
	policy.Keys = set
	v := newValidator(t, policy).Cached(newMemory())
	token := es256(t, goodHeader, goodClaims)
	for n := range 3 {
		wantErr(t, v, token, nil)
		if set.asked != n+1 {
			t.Errorf("the keys were asked for %d times, want %d", set.asked, n+1)
		}
	}
}

// The window is the set of times that checkTimes accepts.
func TestWindowIsWhenTheTimesHold(t *testing.T) {
	t.Parallel()
	seconds := []float64{0, 1, 1_800_000_000, 1_800_000_000.5, 9_223_372_034, 9_223_372_035, 9_223_372_036, 9_223_372_037, maxTime}
	instants := []time.Time{{}}
	for _, s := range seconds {
		whole, fraction := math.Modf(s)
		instants = append(instants, time.Unix(int64(whole), int64(fraction*1e9)))
	}
	none := time.Duration(0)
	checked := 0
	for _, leeway := range []time.Duration{none, 1, time.Minute, 24 * time.Hour} {
		for _, lifetime := range []time.Duration{none, time.Second, time.Hour, 100 * 365 * 24 * time.Hour} {
			for _, exp := range instants {
				for _, nbf := range instants {
					for _, iat := range []time.Time{{}, nbf, exp} {
						p := &policy{Policy: Policy{Leeway: leeway, MaxLifetime: lifetime, AllowNoExpiry: true}}
						when := times{exp, nbf, iat}
						from, until := p.window(when)
						all := edges(when, leeway, lifetime)
						// A token that is never accepted has no verdict.
						if !slices.ContainsFunc(all, func(at time.Time) bool { return p.checkTimes(when, at) == nil }) {
							continue
						}
						for _, at := range all {
							holds := p.checkTimes(when, at) == nil
							if n := at.UnixNano(); holds != (n >= from && n < until) {
								t.Fatalf("%v, leeway %s, lifetime %s, at %v: the checks say %v, the window from %d to %d", when, leeway, lifetime, at, holds, from, until)
							}
							checked++
						}
					}
				}
			}
		}
	}
	if checked < 50_000 {
		t.Errorf("%d times were looked at", checked)
	}
}

// edges returns the times around which the result of a check may change, as far as they
// can be expressed in nanoseconds.
func edges(when times, leeway, lifetime time.Duration) []time.Time {
	var list []time.Time
	for _, t := range []time.Time{when.expires, when.notBefore, when.issued, time.Unix(1_800_000_000, 0)} {
		if t.IsZero() {
			continue
		}
		for _, by := range []time.Duration{0, leeway, -leeway, -lifetime, -leeway - lifetime} {
			for _, ns := range []time.Duration{-1, 0, 1} {
				if at := t.Add(by).Add(ns); at.Unix() > 0 && at.Unix() < math.MaxInt64/int64(time.Second) {
					list = append(list, at)
				}
			}
		}
	}
	return list
}

// Two validators that take turns with a token store a verdict each, and neither uses that
// of the other.
func TestVerdictsOfTwoValidators(t *testing.T) {
	t.Parallel()
	cache := newMemory()
	prefixed := func(prefix string) (*Validator, *counting) {
		set := &counting{keySet: keySet{keys()["p256"].public}, version: func() uint64 { return 1 }}
		p := basePolicy()
		p.Keys, p.UserPrefix = set, prefix
		return newValidator(t, p).Cached(cache), set
	}
	token := es256(t, goodHeader, goodClaims)
	a, keysOfA := prefixed("a:")
	b, keysOfB := prefixed("b:")
	for a.id%2 == b.id%2 { // they would share a slot
		b, keysOfB = prefixed("b:")
	}
	for range 4 {
		for v, want := range map[*Validator]string{a: "a:alice", b: "b:alice"} {
			got, err := v.Validate(t.Context(), token)
			if err != nil || got.User() != want {
				t.Fatalf("%v, %v; want %s", got, err, want)
			}
		}
	}
	if keysOfA.asked != 1 || keysOfB.asked != 1 {
		t.Errorf("the keys were asked for %d and %d times, want once each", keysOfA.asked, keysOfB.asked)
	}
}

// Only the header of a token with a valid signature is remembered.
func TestOnlyVerifiedHeadersAreRemembered(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	known := func() string {
		if k := v.header.known.Load(); k != nil {
			return k.segment
		}
		return ""
	}
	bad := sign(t, jwt.SigningMethodES256, keys()["p256"].private, `{"alg":"ES256","kid":"p256","x":1}`, goodClaims)
	bad = bad[:len(bad)-8] + "AAAAAAAA"
	for _, token := range []string{bad, es256(t, `{"alg":"ES256","kid":"nobody"}`, goodClaims), es256(t, `{"alg":"ES256","x":"`+strings.Repeat("x", maxKnownHeader)+`"}`, goodClaims)} {
		_, _ = v.Validate(t.Context(), token)
		if known() != "" {
			t.Errorf("%s is remembered", known())
		}
	}
	wantErr(t, v, es256(t, goodHeader, goodClaims), nil)
	if known() != b64(goodHeader) {
		t.Errorf("%q is remembered, want that of the good token", known())
	}
	// A remembered header is used for no other header.
	for header, want := range map[string]error{
		`{"alg":"ES256","kid":"p256" }`:             nil,
		`{"alg":"ES256","kid":"p256","crit":["x"]}`: reason.UnsupportedToken,
		`{"alg":"ES256","kid":"p256`:                reason.MalformedToken,
	} {
		wantErr(t, v, es256(t, header, goodClaims), want)
	}
	token := es256(t, goodHeader, goodClaims)
	for _, spelled := range []string{token + "=", " " + token, "\n" + token, strings.Replace(token, ".", "\n.", 1), strings.Replace(token, ".", "=.", 1)} {
		wantErr(t, v, spelled, reason.MalformedToken)
	}
}
