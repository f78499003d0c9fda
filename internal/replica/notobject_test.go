package replica

import (
	"fmt"
	"testing"
	"time"

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

// What is whole and invalid can't become valid, so it is seldom unpacked again; what is torn
// may be stored again at any time.
func TestInvalidObjectsAreSeldomReadAgain(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	invalid := []byte("no header\n")
	whole, torn := nameOf(noon.Unix(), invalid), nameOf(noon.Unix(), []byte("something else\n"))
	m.put(whole, invalid)
	m.put(torn, invalid)
	loads := map[string]int{}
	m.on(func(call, name string) error {
		if call == "load" {
			loads[name]++
		}
		return nil
	})
	a := begun(m, c)
	for range 60 {
		a.turn(t)
		c.Advance(time.Minute)
	}
	if a.Status().Damaged != 2 || loads[whole] < 1 || loads[whole] > 2 || loads[torn] < 59 {
		t.Errorf("the whole one is read %d times, the torn one %d times, %d are damaged", loads[whole], loads[torn], a.Status().Damaged)
	}
}
