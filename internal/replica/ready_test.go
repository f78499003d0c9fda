package replica

import (
	"errors"
	"sync"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// Requests that wait for the set look at its status when they are told that it is ready,
// while the sync that made it so may still have much to do.
func TestTheStatusIsReadyWhenTheSetIs(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	begun(m, c).turn(t) // makes the set
	n := begun(m, c)
	m.on(func(call, _ string) error {
		if call == "store" {
			return errors.New("full")
		}
		return nil
	})
	if stored, err := n.Tighten(t.Context(), []word{w("a")}); stored || err != nil {
		t.Fatal(stored, err)
	}
	n.turn(t)
	storing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.on(func(call, _ string) error {
		if call == "store" {
			once.Do(func() { close(storing) })
			<-goOn
		}
		return nil
	})
	ended := make(chan error)
	go func() {
		for n.Sync(t.Context()) == nil {
			if n.Status().Unstored == 0 {
				break
			}
		}
		ended <- nil
	}()
	<-storing
	select {
	case <-n.Ready():
		if !n.Status().Ready {
			t.Error("told that it is ready, but the status is not")
		}
	default:
		t.Error("it is not ready")
	}
	close(goOn)
	<-ended
}
