package replica

import (
	"fmt"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// What has an object's name and is none counts as damaged. It does not keep the others from
// being read.
func TestWhatIsNoObjectVoidsNoSync(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	if stored, err := a.Tighten(t.Context(), []word{w("a")}); !stored || err != nil {
		t.Fatal(stored, err)
	}
	foreign := nameOf(noon.Unix()-1, nil)
	m.put(foreign, []byte("x"))
	m.on(func(call, name string) error {
		if call == "load" && name == foreign {
			return fmt.Errorf("loading: %w", ErrNotObject)
		}
		return nil
	})
	b := begun(m, c)
	b.turn(t)
	b.turn(t)
	if s := b.Status(); !s.Ready || !b.holds(w("a")) || s.Damaged != 1 {
		t.Errorf("%+v", s)
	}
}
