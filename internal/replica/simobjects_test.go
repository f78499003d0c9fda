package replica

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// simObjects is the storage as nodes see it.
type simObjects struct{ *world }

var errDown = errors.New("the storage is down")

func (o simObjects) List(ctx context.Context) ([]string, error) {
	w, t := o.world, taskOf(ctx)
	t.step()
	all := w.store.names(w.view(t))
	if !w.absence {
		w.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	broken := false // a listing in pages ends with the first one that fails
	known := map[string]bool{}
	var names []string
	for i, name := range all {
		if i%4 == 0 {
			t.step()
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if w.store.down && !w.absence {
			return nil, errDown
		}
		known[name] = true
		broken = broken || w.store.down
		if _, ok := w.store.at(name, w.view(t)); ok && !broken {
			names = append(names, name)
		}
	}
	if w.store.down && !w.absence {
		return nil, errDown
	}
	if !broken {
		for _, name := range w.store.names(w.view(t)) { // stored meanwhile: perhaps
			if !known[name] && w.rnd.IntN(2) == 0 {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	if w.cut && w.rnd.IntN(50) == 0 {
		whole := slices.Contains(names, marker)
		names = names[:w.rnd.IntN(len(names)+1)]
		if whole && w.rnd.IntN(10) == 0 && !slices.Contains(names, marker) {
			names = append(names, marker)
		}
	}
	t.step()
	return names, context.Cause(ctx)
}

func (o simObjects) Load(ctx context.Context, name string) ([]byte, error) {
	w, t := o.world, taskOf(ctx)
	t.step()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if w.store.down && !w.absence {
		return nil, errDown
	}
	content, _ := w.store.at(name, w.view(t))
	if w.store.down {
		content = nil
	}
	t.step()
	if content == nil {
		return nil, os.ErrNotExist
	}
	return content, context.Cause(ctx)
}

func (o simObjects) Probe(ctx context.Context) error {
	_, err := o.Load(ctx, marker)
	return err
}

func (o simObjects) Store(ctx context.Context, name string, content []byte) error {
	return o.effect(ctx, func() {
		o.store.put(name, content)
	}, func() {
		if _, ok := o.store.at(name, o.now); !ok {
			o.store.put(name, nil)
		}
	})
}

func (o simObjects) Delete(ctx context.Context, name string) error {
	return o.effect(ctx, func() {
		if _, ok := o.store.at(name, o.now); ok {
			o.store.remove(name)
			o.tally.pruned++
		}
	}, nil)
}

// effect is a call that changes the storage. One that fails, or whose node dies, may come
// about all the same, and later. half is what it leaves when it is half done.
func (o simObjects) effect(ctx context.Context, do, half func()) error {
	w, t := o.world, taskOf(ctx)
	done := false
	defer func() {
		if done {
			return
		}
		switch w.rnd.IntN(4) {
		case 0:
			w.later(time.Duration(w.rnd.IntN(30000))*time.Millisecond, do)
		case 1:
			do()
		}
	}()
	t.step()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if w.store.down {
		return errDown
	}
	if half != nil && w.ghosts {
		half()
		t.step()
		if w.store.down || ctx.Err() != nil {
			done = w.rnd.IntN(2) == 0
			return errDown
		}
	}
	do()
	done = true
	t.step()
	return context.Cause(ctx)
}
