package shared

import "sync"

// eventQueue emits events in their order, without making who adds them wait. Caddy calls
// the handlers of an event before it goes on: during a sync, one that is slow would keep
// changes from taking effect, and one that asks the admin endpoint would wait for itself.
type eventQueue struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// maxEvents is how many calls wait at most, for handlers that hang. Further ones are dropped:
// the audit log has what they would have told.
const maxEvents = 1000

func (q *eventQueue) add(emit func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxEvents {
		return
	}
	q.waiting = append(q.waiting, emit)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *eventQueue) run() {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running, q.waiting = false, nil
			q.mu.Unlock()
			return
		}
		emit := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		emit()
	}
}
