package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// word is a fact of the tests: a word, or the removal of the word with the same id. A secret
// is a word that a key's retirement, which has no end, takes out of force at a time.
type word struct {
	W    string `json:"w"`
	ID   uint32 `json:"id,omitempty"`
	End  int64  `json:"end,omitempty"`
	Gone bool   `json:"gone,omitempty"`
	Till int64  `json:"till,omitempty"` // of a retirement: until when the secret W is accepted
	Kind string `json:"k,omitempty"`
}

// words is the Language of them. now is the time for retirements, nil for none. memo is for
// those who read the same words again and again, in one goroutine.
type words struct {
	now  func() int64
	memo *memo
}

type memo struct {
	words map[string]word
	lines map[word]string
}

func (l words) Parse(line []byte) (word, error) {
	if l.memo != nil {
		w, ok := l.memo.words[string(line)]
		if !ok {
			var err error
			if w, err = (words{}).Parse(line); err != nil {
				return w, err
			}
			l.memo.words[string(line)] = w
		}
		return w, nil
	}
	var w word
	if err := json.Unmarshal(line, &w); err != nil {
		return w, err
	}
	switch w.Kind {
	case "", "secret", "retire":
	default:
		return w, ErrUnknownKind
	}
	if w.W == "" {
		return w, errors.New("there is no word")
	}
	return w, nil
}

func (l words) Append(line []byte, w word) []byte {
	if l.memo != nil {
		text, ok := l.memo.lines[w]
		if !ok {
			text = string((words{}).Append(nil, w))
			l.memo.lines[w] = text
		}
		return append(line, text...)
	}
	text, err := json.Marshal(w)
	if err != nil {
		panic(err)
	}
	return append(line, text...)
}

func (words) End(w word) int64 { return w.End }

// removal is what a removal removes.
type removal struct {
	word string
	id   uint32
}

func (l words) Merge(facts []word) []word {
	gone, retired := map[removal]bool{}, map[string]int64{}
	for _, w := range facts {
		if w.Gone {
			gone[removal{w.W, w.ID}] = true
		}
		if t, ok := retired[w.W]; w.Kind == "retire" && (!ok || w.Till < t) {
			retired[w.W] = w.Till
		}
	}
	seen := map[word]bool{}
	return slices.DeleteFunc(facts, func(w word) bool {
		till, ok := retired[w.W]
		drop := seen[w] || !w.Gone && gone[removal{w.W, w.ID}] ||
			w.Kind == "retire" && w.Till > till ||
			w.Kind == "secret" && ok && l.now != nil && till < l.now()
		seen[w] = true
		return drop
	})
}

// node is a replica whose facts the test can see.
type node struct {
	*Replica[word]
	mu     sync.Mutex
	has    map[word]bool
	events []Event
	calls  int // of Apply
	most   int // facts of one call
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// newNode makes a node of a set. change may change its config.
func newNode(m Objects, c clock.Clock, change ...func(*Config[word])) *node {
	n := &node{has: map[word]bool{}}
	config := Config[word]{
		Name:     "jwt/default/test",
		Binding:  Binding{Objects: m, Interval: 5 * time.Second},
		Language: words{},
		Clock:    c,
		Apply: func(facts []word) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.calls++
			n.most = max(n.most, len(facts))
			for _, w := range facts {
				n.has[w] = true
			}
		},
		Observe: func(e Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e)
		},
	}
	for _, f := range change {
		f(&config)
	}
	n.Replica = New(config)
	n.knobs.spread = 0
	return n
}

// begun makes a node that counts as started, without its loop.
func begun(m Objects, c clock.Clock, change ...func(*Config[word])) *node {
	n := newNode(m, c, change...)
	n.started.Store(true)
	return n
}

// holds reports whether a word is in force.
func (n *node) holds(w word) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w.Gone {
		return n.has[w]
	}
	gone := w
	gone.Gone = true
	return n.has[w] && !n.has[gone]
}

// told returns how often something was told, and the last of it.
func (n *node) told(kind EventKind) (times int, last Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Kind == kind {
			times++
			last = e
		}
	}
	return times, last
}

// turn makes a whole turn of the loop.
func (n *node) turn(t *testing.T) {
	t.Helper()
	if err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.maintain(t.Context())
}

func w(format string, args ...any) word { return word{W: fmt.Sprintf(format, args...)} }
