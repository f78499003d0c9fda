package revocation

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

func ownRule(value string, end time.Time) Rule {
	return Rule{Kind: KindJTI, Value: value, Issuer: "https://auth.example", End: end, By: "client", At: noon, Own: true}
}

// A rule that a client made about its own token holds until its end and no longer, where one
// that an operator made holds for another day.
func TestAClientsOwnRuleEndsAtItsEnd(t *testing.T) {
	t.Parallel()
	end := noon.Add(16 * time.Minute)
	subject := NewSubject(&Token{ID: "one", Issuer: "https://auth.example"})
	for name, own := range map[string]bool{"an operator's": false, "a client's own": true} {
		now := noon
		r := newRules(func() bool { return true }, func() time.Time { return now })
		rule := ownRule("one", end)
		rule.Own = own
		rule, err := New(rule)
		if err != nil || rule.Own != own {
			t.Fatal(err)
		}
		r.apply([]Rule{rule}, nil)
		for at, want := range map[time.Time]bool{
			noon: true, end.Add(-time.Second): true, end: !own, end.Add(24*time.Hour - time.Second): !own, end.Add(24 * time.Hour): false,
		} {
			if got := r.snapshot.Load().Revokes(subject, "", at); got != want {
				t.Errorf("%s: refused at %s: %v", name, at.Sub(noon), got)
			}
			if got := rule.Matches(subject, "", at); got != want {
				t.Errorf("%s: it matches at %s: %v", name, at.Sub(noon), got)
			}
			if got := !rule.isOver(at); got != want {
				t.Errorf("%s: it is listed at %s: %v", name, at.Sub(noon), got)
			}
		}
	}
}

// They leave the memory at their end, so that clients that revoke all their tokens take
// little of it. A copy that comes later is not taken in again.
func TestAClientsOwnRulesLeaveTheMemory(t *testing.T) {
	t.Parallel()
	now, end := noon, noon.Add(16*time.Minute)
	r := newRules(func() bool { return true }, func() time.Time { return now })
	var facts []Rule
	for i := range 1000 {
		f := ownRule(fmt.Sprint(i), end)
		f.ID = uint32(i)
		facts = append(facts, f)
	}
	r.apply(facts, nil)
	if n := r.snapshot.Load().Len(KindJTI); n != 1000 {
		t.Fatalf("%d rules", n)
	}
	now = end.Add(longestDelta)
	r.apply([]Rule{{ID: 1, Kind: KindJTI, Value: "another", At: noon}}, nil)
	r.folds.Wait()
	r.apply(facts, nil)
	if n := r.snapshot.Load().Len(KindJTI); n != 1 {
		t.Errorf("%d rules are left", n)
	}
}

// While the clock can't be trusted nothing is forgotten, but what is over refuses nothing.
func TestADoubtfulClockForgetsNoRule(t *testing.T) {
	t.Parallel()
	now := noon.Add(time.Hour)
	r := newRules(func() bool { return false }, func() time.Time { return now })
	r.apply([]Rule{ownRule("one", noon.Add(time.Minute))}, nil)
	subject := NewSubject(&Token{ID: "one", Issuer: "https://auth.example"})
	if s := r.snapshot.Load(); s.Len(KindJTI) != 1 || s.Revokes(subject, "", now) || !s.Revokes(subject, "", noon) {
		t.Errorf("%d rules", s.Len(KindJTI))
	}
}

func TestLinesOfClientsOwnRules(t *testing.T) {
	t.Parallel()
	rule := ownRule("one", noon.Add(time.Minute))
	rule.ID = 7
	line := string(language{}.Append(nil, rule))
	if want := fmt.Sprintf(`{"id":7,"k":"jti","v":"one","iss":"https://auth.example","end":%d,"by":"client","at":%d,"own":true}`, noon.Unix()+60, noon.Unix()); line != want {
		t.Errorf("%s, want %s", line, want)
	}
	if got, err := (language{}).Parse([]byte(line)); err != nil || got != rule {
		t.Errorf("%+v, %v", got, err)
	}
	for _, foreign := range []string{`{"id":7,"k":"jti","v":"one","own":true}`, `{"id":7,"k":"sub","v":"one","end":5,"own":true}`} {
		if _, err := (language{}).Parse([]byte(foreign)); !errors.Is(err, replica.ErrUnknownKind) {
			t.Errorf("%s: %v", foreign, err)
		}
	}
	if _, err := New(Rule{Kind: KindSub, Value: "a", End: noon.Add(time.Hour), At: noon, Own: true}); err == nil {
		t.Error("a rule of another kind ends at its end")
	}
	if _, err := New(Rule{Kind: KindJTI, Value: "a", At: noon, Own: true}); err == nil {
		t.Error("there is one without an end")
	}
}
