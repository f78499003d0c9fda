package revocation

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

// inForce is a snapshot of some facts at noon.
func inForce(t testing.TB, facts ...Rule) *Snapshot {
	t.Helper()
	r := newRules(func() bool { return true }, func() time.Time { return noon })
	r.apply(facts, nil)
	return r.snapshot.Load()
}

func removalOf(r Rule) Rule {
	r.Gone = true
	return r
}

// alice is a token to which every kind of rule can apply, issued a second before noon.
var alice = Token{
	Issuer: "https://a.example", ID: "jti-1", Subject: "alice", Clients: [4]string{"client_id", "azp", "appid", "cid"}, KeyID: "1", SignedBy: "2",
	Signed: "header.payload", Issued: noon.Add(-time.Second),
}

func TestWhatRulesRefuse(t *testing.T) {
	t.Parallel()
	digest := TokenValue("header.payload")
	const issuer, other = "https://a.example", "https://b.example"
	for name, test := range map[string]struct {
		rule Rule
		want bool
	}{
		"jti":                        {Rule{Kind: KindJTI, Value: "jti-1"}, true},
		"another jti":                {Rule{Kind: KindJTI, Value: "jti-2"}, false},
		"jti of the issuer":          {Rule{Kind: KindJTI, Value: "jti-1", Issuer: issuer}, true},
		"jti of another issuer":      {Rule{Kind: KindJTI, Value: "jti-1", Issuer: other}, false},
		"sub":                        {Rule{Kind: KindSub, Value: "alice"}, true},
		"sub of the issuer":          {Rule{Kind: KindSub, Value: "alice", Issuer: issuer}, true},
		"sub of another issuer":      {Rule{Kind: KindSub, Value: "alice", Issuer: other}, false},
		"user":                       {Rule{Kind: KindSub, Value: "corp/alice"}, true},
		"user of the issuer":         {Rule{Kind: KindSub, Value: "corp/alice", Issuer: issuer}, true},
		"user of another issuer":     {Rule{Kind: KindSub, Value: "corp/alice", Issuer: other}, false},
		"another sub":                {Rule{Kind: KindSub, Value: "Alice"}, false},
		"client_id":                  {Rule{Kind: KindClient, Value: "client_id"}, true},
		"azp":                        {Rule{Kind: KindClient, Value: "azp"}, true},
		"appid":                      {Rule{Kind: KindClient, Value: "appid"}, true},
		"cid":                        {Rule{Kind: KindClient, Value: "cid"}, true},
		"client of another issuer":   {Rule{Kind: KindClient, Value: "cid", Issuer: other}, false},
		"another client":             {Rule{Kind: KindClient, Value: "alice"}, false},
		"kid":                        {Rule{Kind: KindKid, Value: "1", Issuer: issuer}, true},
		"kid of the key itself":      {Rule{Kind: KindKid, Value: "2", Issuer: issuer}, true},
		"another kid":                {Rule{Kind: KindKid, Value: "3", Issuer: issuer}, false},
		"kid of another issuer":      {Rule{Kind: KindKid, Value: "1", Issuer: other}, false},
		"issuer, issued before":      {Rule{Kind: KindIssuer, Value: issuer, NotBefore: noon}, true},
		"issuer, issued then":        {Rule{Kind: KindIssuer, Value: issuer, NotBefore: noon.Add(-time.Second)}, false},
		"another issuer":             {Rule{Kind: KindIssuer, Value: other, NotBefore: noon}, false},
		"token":                      {Rule{Kind: KindToken, Value: digest}, true},
		"another token":              {Rule{Kind: KindToken, Value: anyDigest}, false},
		"a key with the id of a jti": {Rule{Kind: KindKey, Value: "jti-1"}, false},
	} {
		r := made(t, test.rule)
		s, subject := inForce(t, r), NewSubject(&alice)
		if got := s.Revokes(subject, "corp/alice", noon); got != test.want {
			t.Errorf("%s: revoked %v", name, got)
		}
		if got := r.Matches(subject, "corp/alice", noon); got != test.want {
			t.Errorf("%s: matches %v", name, got)
		}
		if which, ok := s.Which(&alice, "corp/alice", noon); ok != test.want || ok && (which.PublicID() != r.PublicID() || !which.NotBefore.Equal(r.NotBefore)) {
			t.Errorf("%s: it is %v of %+v", name, ok, which)
		}
		if s.Len(r.Kind) != 1 || s.Empty() {
			t.Errorf("%s: it is not counted", name)
		}
	}
}

// A token that lacks what a rule is about is none of its business, even where all that
// others have is the same.
func TestAnEmptyTokenIsNotRevoked(t *testing.T) {
	t.Parallel()
	s := inForce(t, made(t, Rule{Kind: KindJTI, Value: "a"}), made(t, Rule{Kind: KindSub, Value: "a", Issuer: "i"}), made(t, Rule{Kind: KindClient, Value: "a"}),
		made(t, Rule{Kind: KindKey, Value: "a"}), made(t, Rule{Kind: KindKid, Value: "a", Issuer: "i"}), made(t, Rule{Kind: KindIssuer, Value: "a", NotBefore: noon}),
		made(t, Rule{Kind: KindToken, Value: anyDigest}))
	if s.Revokes(NewSubject(&Token{}), "", noon) {
		t.Error("nothing is revoked")
	}
	if s.Revokes(NewSubject(&Token{Subject: "a"}), "a", noon) {
		t.Error("a rule for one issuer is applied to a token without one")
	}
	if s := inForce(t); s.Revokes(NewSubject(&alice), "alice", noon) || !s.Empty() || s.RevokesKey("", "a", noon) {
		t.Error("no rule refuses a token")
	}
}

func TestNotBefore(t *testing.T) {
	t.Parallel()
	subject := func(issued time.Time) *Subject {
		other := alice
		other.Issued = issued
		return NewSubject(&other)
	}
	for _, of := range []Rule{{Kind: KindSub, Value: "alice"}, {Kind: KindClient, Value: "azp"}, {Kind: KindIssuer, Value: alice.Issuer}} {
		for name, test := range map[string]struct {
			notBefore, issued time.Time
			want              bool
		}{
			"long before":      {noon, noon.Add(-time.Hour), true},
			"a moment before":  {noon, noon.Add(-1), true},
			"then":             {noon, noon, false},
			"a fraction after": {noon, noon.Add(1), false},
			"long after":       {noon, noon.Add(time.Hour), false},
			"the same second, as times are rounded up": {noon.Add(1), noon, true},
			"the end of the same second":               {noon.Add(1), noon.Add(time.Second - 1), true},
			"the next second":                          {noon.Add(1), noon.Add(time.Second), false},
			"never said":                               {noon, time.Time{}, true},
			"at 1970":                                  {noon, time.Unix(0, 0), true},
			"before 1970":                              {noon, time.Unix(-1e9, 0), true},
			"a clock ahead":                            {noon, noon.Add(10 * time.Minute), false},
			"a clock ahead, with skew":                 {noon.Add(30 * time.Second), noon.Add(20 * time.Second), true},
			"after what can be written":                {noon, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), false},
			"before a time that can't be written":      {time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), true},
		} {
			of.NotBefore = test.notBefore
			r := made(t, of)
			s := subject(test.issued)
			if got := inForce(t, r).Revokes(s, "", noon); got != test.want || r.Matches(s, "", noon) != test.want {
				t.Errorf("%s, %s: %v", of.Kind, name, got)
			}
		}
	}
}

func TestRulesEnd(t *testing.T) {
	t.Parallel()
	far := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, of := range []Rule{
		{Kind: KindJTI, Value: "jti-1"}, {Kind: KindSub, Value: "alice"}, {Kind: KindSub, Value: "alice", NotBefore: noon}, {Kind: KindClient, Value: "cid"},
		{Kind: KindKid, Value: "1", Issuer: alice.Issuer}, {Kind: KindIssuer, Value: alice.Issuer, NotBefore: noon}, {Kind: KindToken, Value: TokenValue(alice.Signed)},
		{Kind: KindKey, Value: "k"},
	} {
		of.End = noon.Add(time.Hour)
		holds := of.End
		if of.Kind == KindJTI || of.Kind == KindToken {
			holds = of.End.Add(24 * time.Hour)
		}
		r := made(t, of)
		s, subject := inForce(t, r), NewSubject(&alice)
		revokes := func(s *Snapshot, r Rule, now time.Time) bool {
			got := s.Revokes(subject, "", now) || s.RevokesKey("", "k", now)
			if got != (r.Matches(subject, "", now) || r.MatchesKey("", "k", now)) {
				t.Errorf("%s at %s: one rule alone has another answer", r.Kind, now)
			}
			return got
		}
		if !revokes(s, r, noon) || !revokes(s, r, holds.Add(-1)) || revokes(s, r, holds) {
			t.Errorf("%s: it does not end at %s", of.Kind, holds)
		}
		of.End = far
		if r := made(t, of); !revokes(inForce(t, r), r, far.Add(-time.Hour)) {
			t.Errorf("%s: it ends before its time", of.Kind)
		}
	}
}

func TestKeyRules(t *testing.T) {
	t.Parallel()
	every, one := made(t, Rule{Kind: KindKey, Value: "a"}), made(t, Rule{Kind: KindKey, Value: "b", Store: "partners"})
	s := inForce(t, every, one)
	for _, test := range []struct {
		store, id string
		want      bool
	}{
		{"", "a", true}, {"partners", "a", true}, {"others", "a", true}, {"", "b", false}, {"partners", "b", true}, {"others", "b", false},
		{"partners", "c", false}, {"", "", false},
	} {
		if got := s.RevokesKey(test.store, test.id, noon); got != test.want || got != (every.MatchesKey(test.store, test.id, noon) || one.MatchesKey(test.store, test.id, noon)) {
			t.Errorf("%q of %q: %v", test.id, test.store, got)
		}
	}
	if (&Rule{Kind: KindJTI, Value: "a"}).MatchesKey("", "a", noon) || s.Revokes(NewSubject(&Token{Subject: "a", ID: "a"}), "a", noon) {
		t.Error("keys and tokens are mixed up")
	}
}

func TestRemovals(t *testing.T) {
	t.Parallel()
	sub := Rule{Kind: KindSub, Value: "alice"}
	a, b := made(t, sub), made(t, sub)
	sub.Issuer = alice.Issuer
	limited := made(t, sub)
	limited.ID = a.ID
	revoked := func(facts ...Rule) bool {
		s := inForce(t, facts...)
		live := 0
		for _, k := range Kinds {
			live += s.Len(k)
		}
		if s.Empty() && live > 0 {
			t.Error("it is empty, and not")
		}
		return s.Revokes(NewSubject(&alice), "", noon)
	}
	for name, test := range map[string]struct {
		facts []Rule
		want  bool
	}{
		"a removed rule":                         {[]Rule{a, removalOf(a)}, false},
		"a removal that comes before its rule":   {[]Rule{removalOf(a), a}, false},
		"one of two removed":                     {[]Rule{a, b, removalOf(a)}, true},
		"the other one of two removed":           {[]Rule{a, b, removalOf(b)}, true},
		"both removed":                           {[]Rule{a, b, removalOf(b), removalOf(a)}, false},
		"revoked again after a removal":          {[]Rule{a, removalOf(a), b}, true},
		"the removal for another issuer":         {[]Rule{a, removalOf(limited)}, true},
		"the removal of what holds everywhere":   {[]Rule{limited, removalOf(a)}, true},
		"one removed and its rule seen again":    {[]Rule{a, removalOf(a), a}, false},
		"a removal alone":                        {[]Rule{removalOf(a)}, false},
		"the removal of another thing's rule":    {[]Rule{a, removalOf(Rule{ID: a.ID, Kind: KindSub, Value: "bob"})}, true},
		"the removal of another kind's rule":     {[]Rule{a, removalOf(Rule{ID: a.ID, Kind: KindClient, Value: "alice"})}, true},
		"the removal seen twice, revoked beside": {[]Rule{a, removalOf(a), b, removalOf(a)}, true},
	} {
		if got := revoked(test.facts...); got != test.want {
			t.Errorf("%s, at once: revoked %v", name, got)
		}
		r := newRules(func() bool { return true }, func() time.Time { return noon })
		for _, f := range test.facts {
			r.apply([]Rule{f}, nil)
		}
		if got := r.snapshot.Load().Revokes(NewSubject(&alice), "", noon); got != test.want {
			t.Errorf("%s, one by one: revoked %v", name, got)
		}
	}
	if r := removalOf(a); r.Matches(NewSubject(&alice), "", noon) {
		t.Error("a removal revokes")
	}
}

// Rules for one thing are looked at all of them, whatever the first says.
func TestManyRulesForOneThing(t *testing.T) {
	t.Parallel()
	var facts []Rule
	for i := range mostRules - 1 {
		facts = append(facts, made(t, Rule{Kind: KindSub, Value: "alice", Issuer: fmt.Sprint("https://other-", i)}))
	}
	facts = append(facts, made(t, Rule{Kind: KindSub, Value: "alice", Issuer: alice.Issuer}))
	r := newRules(func() bool { return true }, func() time.Time { return noon })
	for i := range facts {
		if r.snapshot.Load().Revokes(NewSubject(&alice), "", noon) {
			t.Fatal("revoked by a rule for another issuer")
		}
		r.apply(facts[i:i+1], nil)
	}
	s := r.snapshot.Load()
	if !s.Revokes(NewSubject(&alice), "", noon) || s.Len(KindSub) != mostRules || s.kinds[KindSub].count(facts[0].hash(), noon.Unix(), 0) != mostRules {
		t.Errorf("%d rules, and the last is not found", s.Len(KindSub))
	}
}

// A subject is kept with each token of the cache, and so is to be small, and to keep no
// token alive.
func TestASubjectIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Subject{}); size != 88 {
		t.Errorf("%d bytes", size)
	}
	if size := unsafe.Sizeof(cell{}); size != 16 {
		t.Errorf("a cell has %d bytes", size)
	}
}

func TestTokensOfTheSameClientAreLookedUpOnce(t *testing.T) {
	t.Parallel()
	s := NewSubject(&Token{Clients: [4]string{"a", "a", "", "a"}})
	if s.clients[0] == 0 || s.clients[1]|s.clients[2]|s.clients[3] != 0 {
		t.Errorf("%v", s.clients)
	}
}

func TestLookingUpCostsNoAllocation(t *testing.T) { // not parallel, for AllocsPerRun
	s := inForce(t, made(t, Rule{Kind: KindSub, Value: "bob"}), made(t, Rule{Kind: KindKey, Value: "k", Store: "s"}),
		made(t, Rule{Kind: KindIssuer, Value: alice.Issuer, NotBefore: noon.Add(-time.Hour)}), made(t, Rule{Kind: KindClient, Value: "cid"}))
	token := alice
	token.Clients = [4]string{}
	subject, revoked := NewSubject(&token), NewSubject(&alice)
	if n := testing.AllocsPerRun(1000, func() {
		if s.Revokes(subject, "corp/alice", noon) || !s.Revokes(revoked, "", noon) || !s.RevokesKey("s", "k", noon) || s.RevokesKey("s", "l", noon) {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
