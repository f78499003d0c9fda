package tokenservice

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

func TestAnotherAlgorithmIsForTheNextKey(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	old := n.signer(t)
	c.Set(noon.Add(5 * day))
	use := usual()
	use.Algorithm, use.Private = key.EdDSA, folder{d, privateFolder, nil}
	n.Use(use)
	settled(t, n)
	made := c.Now()
	if n.signer(t).ID() != old.ID() {
		t.Error("the old key does not sign on")
	}
	next := n.List(c.Now())[0]
	if next.Algorithm != key.EdDSA || next.State != "next" || next.SignsFrom.Before(made.Add(day-time.Minute)) || next.SignsFrom.After(made.Add(day+time.Hour)) {
		t.Errorf("the next is %+v", next)
	}
	c.Set(next.SignsFrom)
	settled(t, n)
	if s := n.signer(t); s.Algorithm() != key.EdDSA || s.ID() != next.ID || !n.accepts(t, s) || !n.accepts(t, old) {
		t.Errorf("%s signs", s.Algorithm())
	}
	// The one that was next before never signs.
	for range 40 {
		c.Set(c.Now().Add(day))
		settled(t, n)
		if n.signer(t).Algorithm() != key.EdDSA {
			t.Fatal("the old algorithm signs again")
		}
	}
}

func TestAnAlgorithmIsChangedBack(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	c.Set(noon.Add(5 * day))
	use := usual()
	use.Private = folder{d, privateFolder, nil}
	for _, alg := range []key.Algorithm{key.EdDSA, key.ES256} {
		use.Algorithm = alg
		n.Use(use)
		settled(t, n)
		c.Set(c.Now().Add(2 * time.Hour))
	}
	c.Set(c.Now().Add(day))
	if s := n.signer(t); s.Algorithm() != key.ES256 {
		t.Errorf("%s signs", s.Algorithm())
	}
}

// Of keys that begin at the same time, the newest signs; of these the one with the smaller
// id.
func TestWhichKeySigns(t *testing.T) {
	t.Parallel()
	a, b := someKeys()[0], someKeys()[1]
	if a.ID() > b.ID() {
		a, b = b, a
	}
	for _, test := range []struct {
		made, from [2]int64 // of a and b
		want       *key.Public
	}{
		{[2]int64{1, 1}, [2]int64{5, 5}, a},
		{[2]int64{1, 2}, [2]int64{5, 5}, b},
		{[2]int64{2, 1}, [2]int64{5, 5}, a},
		{[2]int64{2, 1}, [2]int64{5, 6}, b},
		{[2]int64{1, 1}, [2]int64{5, 11}, a},
		{[2]int64{1, 1}, [2]int64{11, 5}, b},
	} {
		s := newSigningState()
		for i, k := range []*key.Public{a, b} {
			s.add(&signingFact{kind: factKey, kid: k.ID(), public: k, gen: 1, at: test.made[i], from: test.from[i]})
		}
		v := s.view(0, nil)
		v.index()
		if turn := v.turn(10); turn == nil || turn.kid != test.want.ID() {
			t.Errorf("%+v: %v", test, turn)
		}
	}
}

// A retirement reaches keys that its node does not know: one that another has made at this
// moment, and one that is forgotten until a node brings it back that has slept.
func TestARetirementReachesKeysThatAreNotKnown(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one, two := newNode(t, d, c), newNode(t, d, c)
	before := d.copied()
	if _, err := two.Rotate(t.Context(), "ann", "host-2"); err != nil {
		t.Fatal(err)
	}
	made := two.List(c.Now())[0].ID
	private, err := two.loadPrivate(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	after := d.copied()
	d.set(func() { d.content = before })
	if r, err := one.RetireNow(t.Context(), "ann", "host-1"); err != nil || slices.Contains(r.Retired, made) {
		t.Fatal(r, err)
	}
	signer := one.signer(t)
	d.set(func() { maps.Copy(d.content, after) })
	for i, n := range []*node{one, two, newNode(t, d, c)} {
		n.sync(t)
		if n.accepts(t, private) || slices.Contains(n.published(t), made) || n.signer(t).ID() != signer.ID() {
			t.Errorf("node %d: it is accepted", i)
		}
	}
	if slices.Contains(d.names(privateFolder), privateName(made)) {
		t.Error("its private key is there")
	}
}

func TestAShorterRotationMakesAnotherNextKey(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	old := n.signer(t)
	use := usual()
	use.Rotate, use.Private = 2*day, folder{d, privateFolder, nil}
	n.Use(use)
	settled(t, n)
	c.Set(noon.Add(2 * day))
	if n.signer(t).ID() == old.ID() {
		t.Error("it signs for longer")
	}
}

func TestAnUnknownKeyBringsASyncForward(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one, two := newNode(t, d, c), newNode(t, d, c)
	old := two.signer(t)
	if _, err := one.RetireNow(t.Context(), "ann", "host-1"); err != nil {
		t.Fatal(err)
	}
	if !two.accepts(t, one.signer(t)) {
		t.Error("a new key is refused")
	}
	if two.accepts(t, old) {
		t.Error("the sync did not bring the retirement")
	}
	// What is none of ours brings none; nor does what is retired.
	before := two.Status().SyncedAt
	c.Set(noon.Add(time.Second))
	for _, kid := range []string{"", "kid-1", old.ID()} {
		if kid == "" {
			continue
		}
		if _, err := two.Keys(t.Context(), kid); !errors.Is(err, key.ErrUnknown) || !two.Status().SyncedAt.Equal(before) {
			t.Errorf("%q: %v", kid, err)
		}
	}
	unknown, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	// Strangers can make up as many as they like.
	for range 20 {
		if _, err := two.Keys(t.Context(), unknown.ID()); !errors.Is(err, key.ErrUnknown) {
			t.Error(err)
		}
	}
	// A storage that is away, and one that has not been heard of for long.
	c.Set(c.Now().Add(time.Hour))
	d.set(func() { d.down = true })
	if _, err := two.Keys(t.Context(), unknown.ID()); !errors.Is(err, key.ErrUnavailable) {
		t.Error(err)
	}
	d.set(func() { d.down = false })
	c.Set(c.Now().Add(time.Hour))
	if _, err := two.Keys(t.Context(), unknown.ID()); !errors.Is(err, key.ErrUnknown) {
		t.Error(err)
	}
}

// holding is a folder that does not answer until it may.
type holding struct {
	folder
	hold chan struct{}
}

func (h holding) List(ctx context.Context) ([]string, error) {
	select {
	case <-h.hold:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.folder.List(ctx)
}

func TestAnUnknownKeyWaitsASecond(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	hold := make(chan struct{})
	defer close(hold)
	n.Rebind(replica.Binding{Objects: holding{folder{d, setFolder, nil}, hold}, Interval: 10_000 * time.Hour, Local: true}, true)
	unknown, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := n.Keys(t.Context(), unknown.ID())
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, key.ErrUnavailable) {
				t.Error(err)
			}
			if at := c.Now().Sub(noon); at < time.Second || at > time.Minute {
				t.Errorf("after %s", at)
			}
			return
		default:
			c.Advance(time.Second)
			runtime.Gosched()
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	first := n.signer(t).ID()
	seen := map[uint64]string{}
	look := func() uint64 {
		t.Helper()
		v := n.Version(first, c.Now())
		all, err := n.Keys(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		ids := ""
		for _, k := range all {
			ids += k.ID() + " "
		}
		if whole := n.Version("", c.Now()); seen[whole] != "" && seen[whole] != ids {
			t.Errorf("the version %d is used again", whole)
		} else if seen[whole] = ids; v != 0 && v != whole {
			t.Errorf("the versions of one kid and of all are %d and %d", v, whole)
		}
		return v
	}
	before := look()
	if before == 0 || look() != before {
		t.Errorf("%d, then %d", before, look())
	}
	settled(t, n)
	if look() != before {
		t.Error("it changes without a change")
	}
	if n.Version("unknown", c.Now()) != 0 {
		t.Error("an unknown kid has a version")
	}
	// By time: the key is rotated, and its tokens expire.
	c.Set(noon.Add(30 * day))
	settled(t, n)
	after := look()
	if after == before || after == 0 {
		t.Errorf("the same after a key was made: %d", after)
	}
	c.Set(noon.Add(30*day + 16*time.Minute - time.Second))
	if look() != after {
		t.Error("it changes before the time")
	}
	c.Set(noon.Add(30*day + 16*time.Minute))
	if look() != 0 {
		t.Error("an expired key has a version")
	}
	if _, err := n.Keys(t.Context(), first); !errors.Is(err, key.ErrUnknown) {
		t.Error(err)
	}
	// And a clock that is set back shows what there was.
	c.Set(noon.Add(30*day + 15*time.Minute))
	if look() != after {
		t.Error("another version for the same keys")
	}
	second := n.signer(t).ID()
	list, err := n.Keys(t.Context(), second)
	if err != nil || len(list) != 1 || list[0].ID() != second {
		t.Errorf("%v %v", list, err)
	}
}

func TestALookUpAllocatesNothing(t *testing.T) { // not parallel, as it counts
	c := clock.NewFake(noon)
	n := newNode(t, newDisk(), c)
	kid := n.signer(t).ID()
	if allocated := testing.AllocsPerRun(100, func() {
		_ = n.Version(kid, c.Now())
		_, _ = n.Keys(context.Background(), kid)
		_, _ = n.Keys(context.Background(), "")
		_, _ = n.Signer(context.Background(), c.Now())
	}); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestLongerTokensKeepKeysPublished(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one, two := newNode(t, d, c), newNode(t, d, c)
	first := one.signer(t)
	use := usual()
	use.Lifetime, use.Private = 20*time.Hour, folder{d, privateFolder, nil}
	one.Use(use)
	settled(t, one)
	two.sync(t)
	c.Set(noon.Add(30*day + 20*time.Hour))
	if !one.accepts(t, first) || !two.accepts(t, first) {
		t.Error("a token that has not expired is refused")
	}
	c.Set(noon.Add(30*day + 20*time.Hour + time.Minute))
	if one.accepts(t, first) || two.accepts(t, first) {
		t.Error("it is published too long")
	}
	// Shorter ones later don't shorten what was signed.
	use.Lifetime = time.Minute
	one.Use(use)
	if k := one.List(c.Now()); k[0].State != "signing" && k[0].State != "next" {
		t.Errorf("%+v", k)
	}
}

func TestAnotherStorage(t *testing.T) {
	t.Parallel()
	c, d, other := clock.NewFake(noon), newDisk(), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	use := usual()
	use.Private = folder{other, privateFolder, nil}
	n.Use(use)
	n.Rebind(replica.Binding{Objects: folder{other, setFolder, nil}, Interval: 10_000 * time.Hour, Local: true}, false)
	settled(t, n)
	if !n.accepts(t, s) {
		t.Error("what was signed before is refused")
	}
	now := n.signer(t)
	if now.ID() == s.ID() || !n.accepts(t, now) || len(other.names(privateFolder)) != 2 {
		t.Error("the set of the other storage has no keys of its own")
	}
	for name, content := range other.copied() {
		if shows(t, content, s) {
			t.Errorf("%s has the private key of before", name)
		}
	}
	c.Set(c.Now().Add(17 * time.Minute))
	if n.accepts(t, s) {
		t.Error("what was signed before is accepted when it has expired")
	}
	// Back again, and what was retired elsewhere stays so.
	use.Private = folder{d, privateFolder, nil}
	if _, err := n.RetireNow(t.Context(), "ann", "host-1"); err != nil {
		t.Fatal(err)
	}
	n.Use(use)
	n.Rebind(replica.Binding{Objects: folder{d, setFolder, nil}, Interval: 10_000 * time.Hour, Local: true}, false)
	settled(t, n)
	if n.accepts(t, now) || n.signer(t).ID() != s.ID() {
		t.Error("the keys are not those of the storage")
	}
}

// TestThreat77KeysOfAnotherStorageAreRetiredToo: what signed before a move to another storage is
// accepted until its tokens have expired, but not once it is retired.
func TestThreat77KeysOfAnotherStorageAreRetiredToo(t *testing.T) {
	t.Parallel()
	c, d, other := clock.NewFake(noon), newDisk(), newDisk()
	n := newNode(t, d, c)
	before := n.signer(t)
	use := usual()
	move := func(to *disk) {
		t.Helper()
		use.Private = folder{to, privateFolder, nil}
		n.Use(use)
		n.Rebind(replica.Binding{Objects: folder{to, setFolder, nil}, Interval: 10_000 * time.Hour, Local: true}, false)
		settled(t, n)
	}
	move(other)
	after := n.signer(t)
	if !n.accepts(t, before) || !n.accepts(t, after) {
		t.Fatal("a move refuses what was signed")
	}
	r, err := n.RetireNow(t.Context(), "ann", "host-1")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string) {
		t.Helper()
		for name, s := range map[string]*key.Signer{"the key of before": before, "the key of after": after} {
			if n.accepts(t, s) || n.Version(s.ID(), c.Now()) != 0 || slices.Contains(n.published(t), s.ID()) {
				t.Errorf("%s: %s is accepted or published", what, name)
			}
			if !slices.Contains(r.Retired, s.ID()) {
				t.Errorf("%s is not said to be retired", name)
			}
		}
	}
	refused("at once")
	n.sync(t)
	refused("after a sync")
	// Private keys of what is retired are not in memory either.
	n.mu.Lock()
	for kid := range n.held {
		if slices.Contains(r.Retired, kid) {
			t.Errorf("the private key of %s is held", kid)
		}
	}
	n.mu.Unlock()
	// Another move brings neither back, from whichever storage.
	move(d)
	refused("back again")
	move(other)
	refused("and to the other")
}

func TestRequestsWaitForTheFirstKey(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	d.set(func() { d.full = "private" })
	n := newNode(t, d, c)
	type answer struct {
		s   *key.Signer
		err error
	}
	got := make(chan answer)
	ask := func() {
		go func() {
			s, err := n.Signer(t.Context(), c.Now())
			got <- answer{s, err}
		}()
		for n.waiting.Load() == 0 {
			runtime.Gosched()
		}
	}
	ask()
	d.set(func() { d.full = "" })
	n.sync(t)
	if a := <-got; a.err != nil || a.s.ID() != n.signer(t).ID() {
		t.Error(a.err)
	}
	// For two seconds, and not too many of them.
	n = startNode(t, newDisk(), c, func(s *SigningConfig) { s.Binding.Objects = folder{&disk{down: true}, setFolder, nil} })
	ask()
	for done := false; !done; {
		select {
		case a := <-got:
			done = true
			if !errors.Is(a.err, ErrKeysUnavailable) {
				t.Error(a.err)
			}
		default:
			c.Advance(keyWait)
			runtime.Gosched()
		}
	}
	n.waiting.Store(keyQueue)
	if _, err := n.Signer(t.Context(), c.Now()); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
	if n.waiting.Load() != keyQueue {
		t.Error("who could not wait is counted")
	}
}

// What could not be stored is stored with the same key, which may have appeared all the
// same.
func TestAKeyThatCouldNotBePublishedIsTriedAgain(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	c.Set(noon.Add(30 * day))
	d.set(func() { d.full = "signing" })
	settled(t, n)
	waiting := d.names(privateFolder)
	settled(t, n)
	if again := d.names(privateFolder); !slices.Equal(waiting, again) || len(again) < 2 {
		t.Errorf("%d private keys, then %d", len(waiting), len(again))
	}
	d.set(func() { d.full = "" })
	settled(t, n)
	if again := d.names(privateFolder); n.states() != "next signing published" || len(again) != 2 {
		t.Errorf("%d private keys; %s", len(again), n.states())
	}
}
