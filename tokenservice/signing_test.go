package tokenservice

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

func TestTheFirstKeySignsAtOnceAndTheNextIsPublished(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	if !n.accepts(t, s) || s.Algorithm() != key.ES256 {
		t.Error("it does not verify what it signs")
	}
	if n.states() != "next signing" {
		t.Errorf("the keys are %s", n.states())
	}
	list := n.List(noon)
	next, signing := list[0], list[1]
	if signing.ID != s.ID() || !signing.Made.Equal(noon) || !signing.SignsFrom.Equal(noon) || !signing.SignsUntil.Equal(noon.Add(30*day)) ||
		!signing.PublishedUntil.Equal(noon.Add(30*day+16*time.Minute)) {
		t.Errorf("it signs as %+v", signing)
	}
	if !next.Made.Equal(noon) || !next.SignsFrom.Equal(noon.Add(30*day)) || !next.SignsUntil.IsZero() || !next.PublishedUntil.IsZero() || next.Algorithm != key.ES256 {
		t.Errorf("the next is %+v", next)
	}
	if got := n.published(t); len(got) != 2 || !slices.Contains(got, s.ID()) || !slices.Contains(got, next.ID) {
		t.Errorf("published are %s", got)
	}
	if got := n.events.take(); got["made"] != 2 || got["signs"] != 1 || len(got) != 2 {
		t.Errorf("events %v", got)
	}
	// Another node takes over what is there.
	other := newNode(t, d, c)
	if other.signer(t).ID() != s.ID() || len(other.published(t)) != 2 {
		t.Error("another node has keys of its own")
	}
	if got := other.events.take(); len(got) != 0 {
		t.Errorf("events of what was there: %v", got)
	}
}

func TestTwoFirstNodesAtOnce(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one := newNode(t, d, c)
	a := one.signer(t)
	// The other has not seen what the first has made, as if its listing had begun before.
	seen := d.copied()
	d.set(func() {
		for name := range d.content {
			if strings.HasPrefix(name, setFolder) && !strings.HasSuffix(name, "zz-caddy-jwt-1") {
				delete(d.content, name)
			}
		}
	})
	c.Set(noon.Add(time.Second))
	two := newNode(t, d, c)
	b := two.signer(t)
	d.set(func() { maps.Copy(d.content, seen) })
	if a.ID() == b.ID() {
		t.Fatal("there is only one key")
	}
	if !one.accepts(t, a) || !two.accepts(t, b) {
		t.Error("its own is refused")
	}
	// Neither has synced since: an unknown key is asked for.
	if !one.accepts(t, b) || !two.accepts(t, a) {
		t.Error("the other's is refused")
	}
	settled(t, one, two)
	if one.signer(t).ID() != b.ID() || two.signer(t).ID() != b.ID() {
		t.Error("they don't agree on the newest")
	}
	if got := one.published(t); len(got) != 4 || !slices.Equal(got, two.published(t)) {
		t.Errorf("published are %s and %s", got, two.published(t))
	}
	// The first node may have signed with its own until it heard of the other: what it signs
	// is accepted as long as it may not have heard of it.
	c.Set(noon.Add(day))
	if !one.accepts(t, a) || !two.accepts(t, a) {
		t.Error("the first key is refused after a day")
	}
}

// TestRotationByTime lets years pass, on a node that is restarted now and then, and looks each
// hour whether a verifier knows the key that signs by a key set that is an hour old.
func TestRotationByTime(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	signed := map[string]time.Time{} // when a key signed for the last time
	byID := map[string]*key.Signer{}
	var known []string
	for hour := range 24 * 149 {
		if hour%(24*7) == 1 {
			n.kill()
			n = newNode(t, d, c)
		}
		if hour%12 == 0 {
			settled(t, n)
		}
		s := n.signer(t)
		if hour > 0 && !slices.Contains(known, s.ID()) {
			t.Fatalf("hour %d: a verifier does not know the key", hour)
		}
		signed[s.ID()], byID[s.ID()] = c.Now(), s
		known = n.published(t)
		if hour%24 == 0 {
			for id, at := range signed {
				if c.Now().Sub(at) < 15*time.Minute && !n.accepts(t, byID[id]) {
					t.Fatalf("hour %d: a token that has not expired is refused", hour)
				}
			}
			if len(known) > 3 || !strings.HasPrefix(n.states(), "next ") {
				t.Fatalf("hour %d: the keys are %s", hour, n.states())
			}
		}
		c.Set(c.Now().Add(time.Hour))
	}
	if len(signed) != 5 {
		t.Errorf("%d keys in 149 days", len(signed))
	}
	settled(t, n)
	// What is over is gone: private keys, and the facts as soon as they are merged.
	if names := d.names(privateFolder); len(names) != 2 {
		t.Errorf("%d private keys", len(names))
	}
	for id, s := range byID {
		if id != n.signer(t).ID() && n.accepts(t, s) {
			t.Error("an old key is accepted")
		}
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one, two := newNode(t, d, c), newNode(t, d, c)
	first, next := one.signer(t), one.List(noon)[0]
	// The next was not published for a day yet.
	c.Set(noon.Add(time.Hour))
	r, err := one.Rotate(t.Context(), "ann", "host-1")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Stored || r.Signing.ID != first.ID() || r.Next.ID != next.ID || !r.Next.SignsFrom.Equal(noon.Add(day)) || len(r.Retired) != 0 || one.states() != "next next signing" {
		t.Errorf("%+v, %s", r, one.states())
	}
	// Again and again changes nothing more.
	for range 3 {
		if again, err := one.Rotate(t.Context(), "ann", "host-1"); err != nil || again.Next.ID != next.ID || one.states() != "next next signing" {
			t.Errorf("%+v %v, %s", again, err, one.states())
		}
	}
	c.Set(noon.Add(day - time.Second))
	two.sync(t)
	if one.signer(t).ID() != first.ID() || two.signer(t).ID() != first.ID() {
		t.Error("it signs too early")
	}
	c.Set(noon.Add(day))
	if one.signer(t).ID() != next.ID || two.signer(t).ID() != next.ID || !two.accepts(t, one.signer(t)) || !two.accepts(t, first) {
		t.Error("the next does not sign")
	}
	// Three days later it is at once.
	c.Set(noon.Add(4 * day))
	settled(t, one, two)
	now := c.Now()
	if r, err = two.Rotate(t.Context(), "ann", "host-2"); err != nil || r.Signing.ID == next.ID || !r.Signing.SignsFrom.Equal(now) || r.Signing.ID != two.signer(t).ID() {
		t.Errorf("%+v %v", r, err)
	}
	// The other node has not heard of it, and is heard for a day. That is known.
	if one.signer(t).ID() != next.ID || !two.accepts(t, one.signer(t)) || !one.accepts(t, two.signer(t)) {
		t.Error("a node that has not heard of it is refused")
	}
	i := slices.IndexFunc(two.List(now), func(k SigningKey) bool { return k.ID == next.ID })
	if k := two.List(now)[i]; k.State != "published" || !k.SignsUntil.Equal(now) || k.PublishedUntil.Before(now.Add(day+15*time.Minute)) {
		t.Errorf("%+v", k)
	}
	// Nothing is changed while it can't be stored.
	d.set(func() { d.full = "signing" })
	before := two.published(t)
	if _, err := two.Rotate(t.Context(), "ann", "host-2"); !errors.Is(err, replica.ErrNotStored) || !slices.Equal(before, two.published(t)) {
		t.Errorf("%v, published are %s, before %s", err, two.published(t), before)
	}
	d.set(func() { d.full, d.down = "", true })
	if _, err := two.Rotate(t.Context(), "ann", "host-2"); !errors.Is(err, replica.ErrNotStored) {
		t.Error(err)
	}
}

func TestRetireNow(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one, two := newNode(t, d, c), newNode(t, d, c)
	// One that signs no more, but is published.
	c.Set(noon.Add(2 * day))
	old := one.signer(t)
	if _, err := one.Rotate(t.Context(), "ann", "host-1"); err != nil {
		t.Fatal(err)
	}
	two.sync(t)
	signing, stolen := one.signer(t), d.copied()
	ids := one.published(t)
	if len(ids) != 3 {
		t.Fatalf("published are %s", ids)
	}
	version := one.Version(signing.ID(), c.Now())
	one.events.take()
	two.events.take()
	r, err := one.RetireNow(t.Context(), "ann", "host-1")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Stored || !slices.Equal(r.Retired, ids) || r.Signing.ID != one.signer(t).ID() || slices.Contains(ids, r.Signing.ID) ||
		slices.Contains(ids, r.Next.ID) || !r.Signing.SignsFrom.Equal(c.Now()) || one.states() != "next signing retired retired retired" {
		t.Errorf("%+v, %s", r, one.states())
	}
	refused := func(what string, nodes ...*node) {
		t.Helper()
		for i, n := range nodes {
			for _, s := range []*key.Signer{old, signing} {
				if n.accepts(t, s) || n.Version(s.ID(), c.Now()) != 0 {
					t.Errorf("%s, node %d: a retired key is accepted", what, i)
				}
			}
			for _, id := range n.published(t) {
				if slices.Contains(ids, id) {
					t.Errorf("%s, node %d: a retired key is published", what, i)
				}
			}
		}
	}
	refused("at once", one)
	if one.Version(one.signer(t).ID(), c.Now()) == version {
		t.Error("the version is the same")
	}
	if got := one.events.take(); got["retired"] != 3 || got["made"] != 2 || got["signs"] != 1 || got["removed"] != 0 {
		t.Errorf("events %v", got)
	}
	two.sync(t)
	refused("synced", two)
	if two.signer(t).ID() != r.Signing.ID || two.events.take()["retired"] != 3 {
		t.Error("the other node does not know it")
	}
	if names := d.names(privateFolder); len(names) != 2 {
		t.Errorf("%d private keys", len(names))
	}
	// A copy of the storage that is put over it, and one from which a node starts that knows
	// the facts, bring nothing back.
	d.set(func() { maps.Copy(d.content, stolen) })
	one.sync(t)
	two.sync(t)
	refused("restored", one, two)
	if names := d.names(privateFolder); len(names) != 2 {
		t.Errorf("%d private keys after a restored copy", len(names))
	}
	three := newNode(t, d, c)
	refused("started then", three)
	if three.signer(t).ID() != r.Signing.ID {
		t.Error("it signs with another")
	}
}

func TestRetireNowWithoutAStorage(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	one, two := newNode(t, d, c), newNode(t, d, c)
	s := one.signer(t)
	d.set(func() { d.down = true })
	r, err := one.RetireNow(t.Context(), "ann", "host-1")
	if err != nil || r.Stored || len(r.Retired) != 2 || r.Signing.ID != "" {
		t.Errorf("%+v %v", r, err)
	}
	if one.accepts(t, s) {
		t.Error("it is accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := one.Signer(ctx, c.Now()); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
	d.set(func() { d.down = false })
	one.sync(t)
	two.sync(t)
	if two.accepts(t, s) {
		t.Error("it is accepted on the other node")
	}
	settled(t, one, two)
	if one.signer(t).ID() == s.ID() || one.signer(t).ID() != two.signer(t).ID() || len(d.names(privateFolder)) > 4 || len(d.names(privateFolder)) < 2 {
		t.Errorf("no key was made instead: %d", len(d.names(privateFolder)))
	}
	if slices.Contains(d.names(privateFolder), privateName(s.ID())) {
		t.Error("the private key is there")
	}
	// Before it is known what there is, there is nothing to retire.
	d.set(func() { d.down = true })
	if _, err := startNode(t, d, c).RetireNow(t.Context(), "ann", "host-1"); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
}

func TestANodeWhoseStorageIsAway(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	d.set(func() { d.down = true })
	c.Set(noon.Add(time.Hour))
	if err := n.Sync(t.Context()); !errors.Is(err, errDown) {
		t.Error(err)
	}
	if n.signer(t).ID() != s.ID() || !n.accepts(t, s) || len(n.published(t)) != 2 {
		t.Error("it does not go on with what it has")
	}
	unknown, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Keys(t.Context(), unknown.ID()); !errors.Is(err, key.ErrUnavailable) {
		t.Errorf("an unknown key: %v", err)
	}
	// The next signs when it is time.
	c.Set(noon.Add(30 * day))
	if n.signer(t).ID() == s.ID() {
		t.Error("the next does not sign")
	}
	// At the start there is none, and none is made.
	other := startNode(t, d, c)
	if err := other.Sync(t.Context()); err == nil {
		t.Error("it has synced")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := other.Signer(ctx, c.Now()); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
	if _, err := other.Published(ctx, c.Now()); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
	if _, err := other.Keys(t.Context(), s.ID()); !errors.Is(err, key.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := other.Rotate(t.Context(), "", ""); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
	d.set(func() { d.down = false })
	for !other.Status().Ready {
		other.sync(t)
	}
	settled(t, n, other)
	if other.signer(t).ID() != n.signer(t).ID() {
		t.Error("they don't agree")
	}
}
