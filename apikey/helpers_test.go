package apikey

import (
	"errors"
	"sync"
	"time"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

var errReset = errors.New("read: connection reset by peer")

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// witness collects events.
type witness struct {
	mu     sync.Mutex
	events []Event
}

func (w *witness) observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *witness) kinds() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for _, e := range w.events {
		text += e.Kind.String() + " "
	}
	return text
}
