package replica

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// mostCalls is how many calls of one storage there may be at a time, those that hang
// included. Each is a goroutine, which on a hung network file system ends only with it.
const mostCalls = 64

// ErrHangs: so many calls of the storage hang that no more are made.
var ErrHangs = errors.New("the storage hangs: it has not returned from earlier calls, so no further one is made until it does")

// calls are the calls of one storage that have not returned.
type calls struct {
	slots     chan struct{}
	abandoned atomic.Int64
}

func newCalls() *calls { return &calls{slots: make(chan struct{}, mostCalls)} }

// allCalls has the calls of each storage, for the life of the process: a config that is
// loaded again and again while its storage hangs must not leave goroutines each time. There
// are no more entries than storages that were ever used.
var allCalls sync.Map

// callsOf returns the calls of a storage. One that hangs must not block another, so each
// path of the file system has its own, and each other type of storage.
func callsOf(storage certmagic.Storage) *calls {
	type key struct {
		kind reflect.Type
		path string
	}
	k := key{kind: reflect.TypeOf(storage)}
	if s, ok := storage.(*certmagic.FileStorage); ok {
		k.path = absolute(s.Path)
	}
	c, _ := allCalls.LoadOrStore(k, newCalls())
	return c.(*calls)
}

// within makes a call and returns when it does, or when the context ends: certmagic's file
// storage ignores the context, and so do some plugins. A call that is abandoned may still
// take effect.
func within[T any](ctx context.Context, c *calls, call func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case c.slots <- struct{}{}:
	default:
		if c.abandoned.Load() >= mostCalls {
			return none, ErrHangs
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}

	type result struct {
		value T
		err   error
	}
	done := make(chan result) // without a buffer, so that a result is taken or its call abandoned
	gone := make(chan struct{})
	go func() {
		defer func() { <-c.slots }()
		value, err := call(ctx)
		select {
		case done <- result{value, err}:
		case <-gone:
			c.abandoned.Add(-1)
		}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			if err := ended(ctx); err != nil {
				return none, err
			}
		}
		return r.value, r.err
	case <-ctx.Done():
		c.abandoned.Add(1)
		close(gone)
		return none, ctx.Err()
	}
}

// ended returns why a context has ended. A call that ended with it can have another error,
// which says nothing: Redis's plugin then returns fs.ErrNotExist. It may also have ended a
// moment earlier, as connections have the deadline on their own.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// objectNames returns those names that are ones of objects, sorted and each once.
func objectNames(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return !validName(name) })
	slices.Sort(names)
	return slices.Compact(names)
}
