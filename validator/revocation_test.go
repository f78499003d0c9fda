package validator

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// revoking is a list of revoked tokens that can be changed.
type revoking struct {
	code  reason.Code
	asked int
	last  *Verified
	user  string
	text  string
}

func (r *revoking) Check(_ context.Context, t *Verified, text, user string, _ time.Time) reason.Code {
	r.asked++
	r.last, r.user, r.text = t, user, text
	return r.code
}

// A token is asked about each time that it is accepted otherwise: new, with a cached
// verdict, and with a cached signature alone.
func TestRevocationsAreAskedEachTime(t *testing.T) {
	t.Parallel()
	version := uint64(7)
	set := &counting{keySet: keySet{keys()["p256"].public}, version: func() uint64 { return version }}
	policy := basePolicy()
	policy.Keys, policy.UserPrefix = set, "corp:"
	plain, err := New([]Policy{policy}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	token := es256(t, goodHeader, goodClaims)
	for name, v := range map[string]*Validator{"without a cache": plain, "with a cache": plain.Cached(newMemory())} {
		list := &revoking{}
		v := v.Revoking(list)
		for i, step := range []struct {
			what    string
			code    reason.Code
			version uint64
		}{
			{"it is new", "", 7},
			{"it is cached", "", 7},
			{"it was revoked", reason.Revoked, 7},
			{"the keys have changed since", reason.Revoked, 8},
			{"that is not known", reason.RevocationsUnavailable, 8},
			{"it is no longer revoked", "", 8},
			{"the keys have no version", reason.Revoked, 0},
		} {
			list.code, version = step.code, step.version
			var verified Token
			err := v.ValidateInto(t.Context(), token, &verified)
			switch {
			case list.asked != i+1 || list.text != token || !strings.HasPrefix(list.user, "corp:"):
				t.Errorf("%s, %s: asked %d times, last for the user %q", name, step.what, list.asked, list.user)
			case step.code == "" && err != nil:
				t.Errorf("%s, %s: %v", name, step.what, err)
			case step.code == "":
				if u := list.last.Users(); list.user != verified.User() || len(u) > 0 && u[0] != list.user {
					t.Errorf("%s, %s: the user is %q and %q", name, step.what, list.user, u)
				}
			case err != step.code:
				t.Errorf("%s, %s: %v, want %v", name, step.what, err, step.code)
			default:
				if _, user := verified.Sender(); user != list.user || verified.Policy() != 0 {
					t.Errorf("%s, %s: it is of %q and policy %d", name, step.what, user, verified.Policy())
				}
			}
		}
		// What is refused anyway is not asked about.
		before := list.asked
		if _, err := v.Validate(t.Context(), token[:len(token)-4]+"AAAA"); err == nil || list.asked != before {
			t.Errorf("%s: a forged token: %v, asked %d times", name, err, list.asked-before)
		}
	}
}

// What is stored with a token stays with it as long as it is cached.
func TestMark(t *testing.T) {
	t.Parallel()
	list := &revoking{}
	v := newValidator(t, basePolicy()).Cached(newMemory()).Revoking(list)
	token := es256(t, goodHeader, goodClaims)
	if _, err := v.Validate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if m := list.last.Mark(); m != nil {
		t.Errorf("a new token has the mark %v", m)
	}
	list.last.SetMark("known")
	if _, err := v.Validate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if m := list.last.Mark(); m != "known" {
		t.Errorf("the mark is %v", m)
	}
	if list.last.Issuer() == "" || list.last.Claims().Len() == 0 {
		t.Error("the token tells nothing of itself")
	}
}

// A good token that was issued in the future tells by how much, a forged one nothing.
func TestAhead(t *testing.T) {
	t.Parallel()
	var seen []time.Duration
	policy := basePolicy()
	policy.Keys = keySet{keys()["p256"].public}
	v, err := New([]Policy{policy}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	v = v.Ahead(func(n int, by time.Duration) { seen = append(seen, by, time.Duration(n)) })
	ahead := es256(t, goodHeader, strings.Replace(goodClaims, `"iat":1800000000`, `"iat":1800000030`, 1))
	for _, token := range []string{
		es256(t, goodHeader, goodClaims), es256(t, goodHeader, strings.Replace(goodClaims, `"iat":1800000000`, `"iat":1799999999`, 1)), ahead, ahead[:len(ahead)-4] + "AAAA",
	} {
		_, _ = v.Validate(t.Context(), token)
	}
	if len(seen) != 2 || seen[0] != 30*time.Second || seen[1] != 0 {
		t.Errorf("told of %v", seen)
	}
}

// A token is known by the key that signed it, whatever its header says: anyone who has a stolen
// key writes the header.
func TestSignedBy(t *testing.T) {
	t.Parallel()
	ignores := basePolicy()
	ignores.IgnoreKid = true
	for name, c := range map[string]struct {
		policy       Policy
		header, want string
	}{
		"the key's kid":       {basePolicy(), goodHeader, "p256"},
		"no kid":              {basePolicy(), `{"alg":"ES256"}`, "p256"},
		"an empty one":        {basePolicy(), `{"alg":"ES256","kid":""}`, "p256"},
		"one that is ignored": {ignores, `{"alg":"ES256","kid":"other"}`, "p256"},
	} {
		list := &revoking{}
		v := newValidator(t, c.policy).Cached(newMemory()).Revoking(list)
		for range 2 { // new, and cached
			if _, err := v.Validate(t.Context(), es256(t, c.header, goodClaims)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := list.last.SignedBy(); got != c.want {
				t.Errorf("%s: signed by %q, want %q", name, got, c.want)
			}
		}
	}
}
