package revocation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// folder is a storage that several nodes share.
type folder struct {
	mu      sync.Mutex
	objects map[string][]byte
	down    bool
}

var errDown = errors.New("the storage is down")

func (f *folder) do(call func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errDown
	}
	call()
	return nil
}

func (f *folder) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *folder) List(context.Context) (names []string, err error) {
	err = f.do(func() { names = slices.Collect(maps.Keys(f.objects)) })
	return names, err
}

func (f *folder) Load(_ context.Context, name string) (content []byte, err error) {
	ok := false
	if err := f.do(func() { content, ok = f.objects[name] }); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(content), nil
}

func (f *folder) Store(_ context.Context, name string, content []byte) error {
	return f.do(func() { f.objects[name] = slices.Clone(content) })
}

func (f *folder) Delete(_ context.Context, name string) error {
	return f.do(func() { delete(f.objects, name) })
}

func (f *folder) Probe(context.Context) error { return f.do(func() {}) }

// node is a node of a cluster with a folder.
type node struct {
	*Set
	clock   *clock.Fake
	mu      sync.Mutex
	learned []Rule
}

func newNode(t testing.TB, f *folder) *node {
	t.Helper()
	n := &node{clock: clock.NewFake(noon)}
	n.Set = NewSet(Config{
		Name: "jwt/test/revocations", Clock: n.clock,
		Binding: replica.Binding{Objects: f, Interval: time.Hour, Local: true},
		Learned: func(rules []Rule) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.learned = append(n.learned, rules...)
		},
	})
	n.Start()
	t.Cleanup(func() { n.Close(context.Background()) })
	select {
	case <-n.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("not ready", n.Status().Err)
	}
	return n
}

func (n *node) add(t testing.TB, rules ...Rule) {
	t.Helper()
	if stored, err := n.Add(t.Context(), rules); !stored || err != nil {
		t.Fatal(stored, err)
	}
}

func (n *node) sync(t testing.TB) {
	t.Helper()
	if err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// revokes reports whether a token of this subject is revoked.
func (n *node) revokes(sub string) bool {
	return n.Snapshot().Revokes(NewSubject(&Token{Subject: sub}), "", n.clock.Now())
}

func (n *node) heard() []Rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.learned)
}

func newFolder() *folder { return &folder{objects: map[string][]byte{}} }

func ruleFor(t testing.TB, sub string) Rule {
	return made(t, Rule{Kind: KindSub, Value: sub, Reason: "left", By: "unix", Node: "a"})
}

func TestNodesShareRules(t *testing.T) {
	t.Parallel()
	shared := newFolder()
	a, b := newNode(t, shared), newNode(t, shared)
	rule := ruleFor(t, "alice")
	a.add(t, rule)
	if !a.revokes("alice") || b.revokes("alice") {
		t.Error("it does not hold at once where it was made, or elsewhere before a sync")
	}
	b.sync(t)
	if !b.revokes("alice") || a.revokes("bob") || b.revokes("bob") {
		t.Error("it does not hold elsewhere, or others do")
	}
	found, err := b.Find(t.Context(), rule.PublicID())
	if err != nil || found != rule {
		t.Errorf("%+v, %v", found, err)
	}
	removed, err := b.Remove(t.Context(), rule.PublicID(), "unix", "b", "back again")
	if err != nil || removed != rule {
		t.Errorf("%+v, %v", removed, err)
	}
	if b.revokes("alice") || !a.revokes("alice") {
		t.Error("the removal does not hold where it was made, or elsewhere before a sync")
	}
	a.sync(t)
	if a.revokes("alice") {
		t.Error("the removal does not hold elsewhere")
	}
	for _, n := range []*node{a, b} {
		if _, err := n.Find(t.Context(), rule.PublicID()); !errors.Is(err, ErrNoRule) {
			t.Error(err)
		}
		if _, err := n.Remove(t.Context(), rule.PublicID(), "", "", "again"); !errors.Is(err, ErrNoRule) {
			t.Error(err)
		}
	}
	again := ruleFor(t, "alice")
	a.add(t, again)
	b.sync(t)
	if !a.revokes("alice") || !b.revokes("alice") {
		t.Error("a rule does not hold that was made after a removal")
	}
	// A node that starts later has it all.
	if c := newNode(t, shared); !c.revokes("alice") || c.Snapshot().Len(KindSub) != 1 || len(c.heard()) != 0 {
		t.Errorf("%d rules, heard of %d", c.Snapshot().Len(KindSub), len(c.heard()))
	}
	gone := rule
	gone.Gone, gone.Reason, gone.Node = true, "back again", "b"
	if got := a.heard(); len(got) != 1 || got[0] != gone {
		t.Errorf("the first heard of %+v", got)
	}
	if got := b.heard(); !slices.Equal(got, []Rule{rule, again}) {
		t.Errorf("the second heard of %+v", got)
	}
}

// Tightening holds at once, whatever the storage does, and loosening only once it is stored.
func TestWhileTheStorageIsDown(t *testing.T) {
	t.Parallel()
	shared := newFolder()
	a, b := newNode(t, shared), newNode(t, shared)
	old := ruleFor(t, "alice")
	a.add(t, old)
	shared.setDown(true)
	rule := ruleFor(t, "bob")
	if stored, err := a.Add(t.Context(), []Rule{rule}); stored || err != nil || !a.revokes("bob") {
		t.Errorf("stored %v, %v; it holds: %v", stored, err, a.revokes("bob"))
	}
	if _, err := a.Remove(t.Context(), old.PublicID(), "", "", "back"); err == nil || errors.Is(err, ErrNoRule) || !a.revokes("alice") {
		t.Errorf("%v, and the rule holds: %v", err, a.revokes("alice"))
	}
	shared.setDown(false)
	a.sync(t)
	b.sync(t)
	if !b.revokes("bob") || !b.revokes("alice") {
		t.Error("what was made meanwhile does not reach others")
	}
	if len(a.heard()) != 0 {
		t.Errorf("it heard of its own: %+v", a.heard())
	}
}

func TestNoMoreThanSixtyFourRulesForOneThing(t *testing.T) {
	t.Parallel()
	n := newNode(t, newFolder())
	var rules []Rule
	for range mostRules {
		rules = append(rules, ruleFor(t, "alice"))
	}
	if _, err := n.Add(t.Context(), append(rules, ruleFor(t, "alice"))); !errors.Is(err, ErrManyRules) || n.revokes("alice") {
		t.Errorf("65 at once: %v", err)
	}
	n.add(t, rules[:mostRules-1]...)
	ends := made(t, Rule{Kind: KindSub, Value: "alice", Issuer: "i", End: noon.Add(time.Minute)})
	n.add(t, ends)
	if _, err := n.Add(t.Context(), []Rule{ruleFor(t, "bob"), ruleFor(t, "alice")}); !errors.Is(err, ErrManyRules) || n.revokes("bob") {
		t.Errorf("one more: %v", err)
	}
	n.add(t, ruleFor(t, "bob"), made(t, Rule{Kind: KindClient, Value: "alice"}))
	if _, err := n.Remove(t.Context(), rules[3].PublicID(), "", "", "too many"); err != nil {
		t.Fatal(err)
	}
	n.add(t, ruleFor(t, "alice"))
	if _, err := n.Add(t.Context(), []Rule{ruleFor(t, "alice")}); !errors.Is(err, ErrManyRules) {
		t.Error(err)
	}
	n.clock.Set(ends.End)
	n.add(t, ruleFor(t, "alice"))
}

func TestWhatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	n := newNode(t, newFolder())
	rule := ruleFor(t, "alice")
	n.add(t, rule)
	for _, test := range []struct{ id, reason, member string }{
		{rule.PublicID(), "", "reason"}, {rule.PublicID(), "a\nb", "reason"}, {rule.PublicID(), strings.Repeat("a", MaxText+1), "reason"}, {"alice", "back", "id"},
	} {
		_, err := n.Remove(t.Context(), test.id, "", "", test.reason)
		var invalid *InvalidError
		if !errors.As(err, &invalid) || invalid.Member != test.member || !n.revokes("alice") {
			t.Errorf("%+v: %v", test, err)
		}
	}
	// The ID alone, without what the rule is for, is not enough.
	id := rule.PublicID()
	for _, other := range []string{"jti" + id[3:], strings.Replace(id, id[4:20], "0123456789abcdef", 1)} {
		if _, err := n.Remove(t.Context(), other, "", "", "back"); !errors.Is(err, ErrNoRule) || !n.revokes("alice") {
			t.Errorf("%s: %v", other, err)
		}
	}
	if _, err := n.Find(t.Context(), "alice"); err == nil || errors.Is(err, ErrNoRule) {
		t.Error(err)
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	n := newNode(t, newFolder())
	var all []Rule
	for i := range 10 {
		rules := []Rule{ruleFor(t, fmt.Sprint("user-", i)), made(t, Rule{Kind: KindJTI, Value: fmt.Sprint("jti-", i), Issuer: "https://a.example"})}
		n.add(t, rules...)
		all = append(all, rules...)
	}
	issuer := made(t, Rule{Kind: KindIssuer, Value: "https://a.example", NotBefore: noon})
	ended := made(t, Rule{Kind: KindSub, Value: "ended", End: noon.Add(time.Second)})
	lasts := made(t, Rule{Kind: KindJTI, Value: "lasts", End: noon.Add(time.Second)})
	n.add(t, issuer, ended, lasts)
	n.clock.Set(noon.Add(time.Minute))
	if _, err := n.Remove(t.Context(), all[4].PublicID(), "", "", "back"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Find(t.Context(), ended.PublicID()); !errors.Is(err, ErrNoRule) {
		t.Errorf("a rule that has ended: %v", err)
	}
	all = append(slices.Delete(all, 4, 5), issuer, lasts)
	for name, test := range map[string]struct {
		query Query
		want  func(r Rule) bool
	}{
		"all":           {Query{}, func(Rule) bool { return true }},
		"of a kind":     {Query{Kind: KindJTI, HasKind: true}, func(r Rule) bool { return r.Kind == KindJTI }},
		"of a value":    {Query{Value: "user-3"}, func(r Rule) bool { return r.Value == "user-3" }},
		"of an issuer":  {Query{Issuer: "https://a.example"}, func(r Rule) bool { return r.Issuer != "" || r.Kind == KindIssuer }},
		"of all three":  {Query{Kind: KindJTI, HasKind: true, Value: "jti-3", Issuer: "https://a.example"}, func(r Rule) bool { return r.Value == "jti-3" }},
		"that are none": {Query{Value: "nobody"}, func(Rule) bool { return false }},
	} {
		for _, limit := range []int{0, 1, 5} {
			var got []Rule
			pages := 0
			for test.query.Limit, test.query.After = limit, ""; ; pages++ {
				rules, next, err := n.List(t.Context(), test.query)
				if err != nil || pages > 30 {
					t.Fatal(pages, err)
				}
				if got = append(got, rules...); next == "" {
					break
				}
				if len(rules) < limit {
					t.Errorf("%s: a page of %d of at least %d", name, len(rules), limit)
				}
				test.query.After = next
			}
			var want []Rule
			for _, r := range all {
				if test.want(r) {
					want = append(want, r)
				}
			}
			slices.SortFunc(got, compare)
			slices.SortFunc(want, compare)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %d a page: %d rules, want %d", name, limit, len(got), len(want))
			}
		}
	}
}

// Rules come from several nodes at once while all of them look.
func TestAddingAtOnce(t *testing.T) {
	t.Parallel()
	shared := newFolder()
	nodes := []*node{newNode(t, shared), newNode(t, shared)}
	var group sync.WaitGroup
	for k, n := range nodes {
		for w := range 4 {
			group.Go(func() {
				for i := range 25 {
					sub := fmt.Sprint(k, "-", w, "-", i)
					rule := ruleFor(t, sub)
					if stored, err := n.Add(t.Context(), []Rule{rule}); !stored || err != nil || !n.revokes(sub) {
						t.Errorf("%s: stored %v, %v", sub, stored, err)
					}
					if i%5 == 0 {
						if _, err := n.Remove(t.Context(), rule.PublicID(), "", "", "back"); err != nil || n.revokes(sub) {
							t.Errorf("%s is not removed: %v", sub, err)
						}
					}
				}
			})
		}
	}
	group.Wait()
	for k, n := range nodes {
		n.sync(t)
		if got := n.Snapshot().Len(KindSub); got != 2*4*20 {
			t.Errorf("node %d: %d rules", k, got)
		}
		removals := 0
		for _, r := range n.heard() {
			if r.Gone {
				removals++
			}
			if strings.HasPrefix(r.Value, fmt.Sprint(k, "-")) {
				t.Errorf("node %d heard of its own rule for %s", k, r.Value)
			}
		}
		// It hears of a removal, but not of its rule, if it sees both at once.
		if got := len(n.heard()); removals != 4*5 || got < 4*25 {
			t.Errorf("node %d heard of %d, of which %d are removals", k, got, removals)
		}
	}
}

// A clock that can't be trusted forgets nothing.
func TestOnlyATrustedClockForgets(t *testing.T) {
	t.Parallel()
	shared := newFolder()
	first := newNode(t, shared)
	first.add(t, made(t, Rule{Kind: KindSub, Value: "alice", End: noon.Add(time.Hour)}))
	for _, trusted := range []bool{true, false} {
		s := NewSet(Config{
			Name: "jwt/test/revocations", Clock: clock.NewFake(noon.Add(30 * time.Hour)), CanForget: func() bool { return trusted },
			Binding: replica.Binding{Objects: shared, Interval: time.Hour, Local: true},
		})
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Snapshot().Len(KindSub); (n == 0) != trusted {
			t.Errorf("trusted %v: %d rules", trusted, n)
		}
		if !trusted && !s.Snapshot().Revokes(NewSubject(&Token{Subject: "alice"}), "", noon) {
			t.Error("it is forgotten")
		}
	}
}
