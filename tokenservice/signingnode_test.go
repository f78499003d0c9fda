package tokenservice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

const day = 24 * time.Hour

// disk is a storage that several nodes share.
type disk struct {
	mu      sync.Mutex
	content map[string][]byte
	down    bool
	full    string // folders in which nothing can be stored
}

var errDown = errors.New("the storage is down")

func newDisk() *disk { return &disk{content: map[string][]byte{}} }

// set changes how the storage behaves.
func (d *disk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// copied returns a copy of all that is stored.
func (d *disk) copied() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.content)
}

// names returns the names of the objects of a folder.
func (d *disk) names(folder string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.content {
		if rest, ok := strings.CutPrefix(name, folder+"/"); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// folder is a folder of a disk as one node sees it.
type folder struct {
	*disk
	name string
	cut  func() bool // reports whether the node is cut off; nil for never
}

var _ replica.Objects = folder{}

func (f folder) begin(ctx context.Context) error {
	if f.down || f.cut != nil && f.cut() {
		return errDown
	}
	return context.Cause(ctx)
}

func (f folder) List(ctx context.Context) ([]string, error) {
	f.mu.Lock()
	err := f.begin(ctx)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.names(f.name), nil
}

func (f folder) Load(ctx context.Context, name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	content, ok := f.content[f.name+"/"+name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(content), nil
}

func (f folder) Store(ctx context.Context, name string, content []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx); err != nil {
		return err
	}
	if f.full != "" && strings.Contains(f.name, f.full) {
		return errors.New("the disk is full")
	}
	f.content[f.name+"/"+name] = bytes.Clone(content)
	return nil
}

func (f folder) Delete(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx); err != nil {
		return err
	}
	delete(f.content, f.name+"/"+name)
	return nil
}

func (f folder) Probe(ctx context.Context) error {
	_, err := f.Load(ctx, "zz-caddy-jwt-1")
	return err
}

// The folders of the tests' issuer.
const (
	setFolder     = "jwt/default/signing-0011223344556677"
	privateFolder = "jwt/default/private-0011223344556677"
)

// node is a node of a test, which syncs when it is told to.
type node struct {
	*SigningKeys
	clock  *clock.Fake
	disk   *disk
	events *eventLog
	cut    bool // guarded by the disk's lock
}

// eventLog collects events.
type eventLog struct {
	mu  sync.Mutex
	all []KeyEvent
}

func (l *eventLog) add(e KeyEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
}

// take returns how often there was each change since the last call.
func (l *eventLog) take() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, e := range l.all {
		n[e.Change]++
	}
	l.all = nil
	return n
}

// usual is what the tests' config says.
func usual() SigningUse {
	return SigningUse{
		SigningSettings: SigningSettings{Issuer: "https://auth.example.com", Algorithm: key.ES256, Rotate: 30 * day, Lifetime: 15 * time.Minute},
		MaxStale:        day,
	}
}

// startNode makes a node that has begun to start.
func startNode(t testing.TB, d *disk, c *clock.Fake, change ...func(*SigningConfig)) *node {
	t.Helper()
	n := &node{clock: c, disk: d, events: &eventLog{}}
	cut := func() bool { return n.cut }
	config := SigningConfig{
		SigningUse: usual(), Name: setFolder, Clock: c, Rotated: n.events.add,
		Binding: replica.Binding{Objects: folder{d, setFolder, cut}, Interval: 10_000 * time.Hour, Local: true},
	}
	config.Private = folder{d, privateFolder, cut}
	for _, f := range change {
		f(&config)
	}
	n.SigningKeys = NewSigningKeys(config)
	n.Start()
	t.Cleanup(n.kill)
	return n
}

// newNode makes a node that is ready.
func newNode(t testing.TB, d *disk, c *clock.Fake, change ...func(*SigningConfig)) *node {
	t.Helper()
	n := startNode(t, d, c, change...)
	for !n.Status().Ready {
		if err := n.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n.sync(t)
	return n
}

// kill ends the node without storing anything.
func (n *node) kill() {
	n.disk.set(func() { n.cut = true })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.Close(ctx)
}

// sync brings the node up to date.
func (n *node) sync(t testing.TB) {
	t.Helper()
	if err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// settled syncs nodes until those have made what is missing that make it after a delay.
func settled(t testing.TB, nodes ...*node) {
	t.Helper()
	for range 2 {
		for _, n := range nodes {
			n.sync(t)
		}
		nodes[0].clock.Set(nodes[0].clock.Now().Add(spread))
	}
	for _, n := range nodes {
		n.sync(t)
	}
}

// signer returns the key that signs.
func (n *node) signer(t testing.TB) *key.Signer {
	t.Helper()
	s, err := n.Signer(t.Context(), n.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// accepts reports whether the node accepts what a key signed.
func (n *node) accepts(t testing.TB, s *key.Signer) bool {
	t.Helper()
	signature, err := s.Sign([]byte("a.b"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := n.Keys(t.Context(), s.ID())
	if err != nil {
		return false
	}
	return len(keys) == 1 && keys[0].Verify(s.Algorithm(), "a.b", signature) == nil
}

// published returns the ids in the node's key set.
func (n *node) published(t testing.TB) []string {
	t.Helper()
	text, err := n.Published(t.Context(), n.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kid, Alg, Use string }
	}
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	slices.Sort(ids)
	return ids
}

// states returns the states of the listed keys, the newest first.
func (n *node) states() string {
	var states []string
	for _, k := range n.List(n.clock.Now()) {
		states = append(states, k.State)
	}
	return strings.Join(states, " ")
}
