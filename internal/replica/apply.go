package replica

import (
	"slices"
	"sync"
)

// applying hands facts to Config.Apply, one call at a time. What comes while a call is under
// way is in the next one.
type applying[F any] struct {
	mu   sync.Mutex
	next *applied[F]
	call sync.Mutex
}

type applied[F any] struct {
	facts []F
	done  bool
}

// applyFacts is how many facts Apply gets at most.
const applyFacts = 4_096

// apply takes facts into force.
func (r *Replica[F]) apply(facts []F) {
	a := &r.applying
	a.mu.Lock()
	if a.next == nil {
		a.next = &applied[F]{}
	}
	mine := a.next
	mine.facts = append(mine.facts, facts...)
	a.mu.Unlock()
	a.call.Lock()
	defer a.call.Unlock()
	if mine.done {
		return
	}
	a.mu.Lock()
	if a.next == mine {
		a.next = nil
	}
	a.mu.Unlock()
	for facts := range slices.Chunk(mine.facts, applyFacts) {
		r.config.Apply(facts)
	}
	mine.done, mine.facts = true, nil
}
