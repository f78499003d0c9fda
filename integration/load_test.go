package integration

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// exchange is what became of one request of a load.
type exchange struct {
	begun  time.Time
	took   time.Duration
	status int // zero where the connection failed
	reason string
	err    error
}

// exchange sends one request without the checks and the log keeping of send,
// which cost more than the request. It may be called from any goroutine.
func (c *caddy) exchange(client *http.Client, host, token string) exchange {
	return c.exchangeWith(client, host, "/", bearer(token))
}

func (c *caddy) exchangeWith(client *http.Client, host, path string, changes ...change) exchange {
	e := exchange{begun: time.Now()}
	r, err := http.NewRequest(http.MethodGet, c.url(host, path), nil)
	if err != nil {
		e.err = err
		return e
	}
	for _, change := range changes {
		change(r)
	}
	res, err := client.Do(r)
	if err == nil {
		e.status, e.reason = res.StatusCode, res.Header.Get("X-Reason")
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if err != nil {
		e.status, e.err = 0, err
	}
	e.took = time.Since(e.begun)
	return e
}

// load is a stream of requests that goes on in the background.
type load struct {
	stop func() []exchange
}

// loadWithoutPause has so many clients send one request after the other.
func (c *caddy) loadWithoutPause(clients int, send func(worker int) exchange) *load {
	ctx, cancel := context.WithCancel(context.Background())
	var (
		group sync.WaitGroup
		all   = make([][]exchange, clients)
	)
	for worker := range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				all[worker] = append(all[worker], send(worker))
			}
		})
	}
	return newLoad(c.t, func() []exchange {
		cancel()
		group.Wait()
		return slices.Concat(all...)
	})
}

// loadAtRate sends so many requests a second, whether or not the earlier ones
// have been answered: a server that is slow gets no rest. Where the machine can't
// keep up at all, requests are left out rather than piled up.
func (c *caddy) loadAtRate(perSecond int, send func(n int) exchange) *load {
	ctx, cancel := context.WithCancel(context.Background())
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		all   []exchange
	)
	room := make(chan struct{}, 256)
	group.Go(func() {
		// The ticker drops ticks that come too late; several requests a tick
		// make up for its coarseness.
		const tick = 10 * time.Millisecond
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		begun, sent := time.Now(), 0
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for due := int(time.Since(begun).Seconds() * float64(perSecond)); sent < due; sent++ {
				select {
				case room <- struct{}{}:
				default:
					continue
				}
				n := sent
				group.Go(func() {
					defer func() { <-room }()
					e := send(n)
					mu.Lock()
					defer mu.Unlock()
					all = append(all, e)
				})
			}
		}
	})
	return newLoad(c.t, func() []exchange {
		cancel()
		group.Wait()
		return all
	})
}

func newLoad(t *testing.T, stop func() []exchange) *load {
	l := &load{stop: sync.OnceValue(stop)}
	t.Cleanup(func() { l.stop() }) // where the test ends early
	return l
}

// withOtherStatus are the exchanges that ended in any other way than the status.
func withOtherStatus(all []exchange, status int) []exchange {
	var bad []exchange
	for _, e := range all {
		if e.status != status {
			bad = append(bad, e)
		}
	}
	return bad
}

// p99 is the median of the 99th percentiles of windows of one second, so that a
// moment in which the machine does something else does not decide.
func p99(all []exchange) time.Duration {
	windows := map[int64][]time.Duration{}
	for _, e := range all {
		second := e.begun.Unix()
		windows[second] = append(windows[second], e.took)
	}
	var each []time.Duration
	for _, took := range windows {
		if len(took) < 20 {
			continue // the first and the last second
		}
		slices.Sort(took)
		each = append(each, took[len(took)*99/100])
	}
	if len(each) == 0 {
		return 0
	}
	slices.Sort(each)
	return each[len(each)/2]
}
