package mcpgate

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errTime is the error of a body that does not come in time.
var errTime = errors.New("the body did not come in time")

// patience reads a body for a limited time. A Read that takes longer goes on in the
// background: where the body is judged no more but passed on, nothing of it is lost.
//
// The time limit does not need the connection's deadline, which others may have set and which
// not every ResponseWriter has. Only to end a Read that takes too long is it set.
type patience struct {
	body  io.ReadCloser
	limit <-chan time.Time
	done  chan read // of the Read in the background; nil until there is one
	slow  []byte    // what it reads into, once the time is over
	one   [1]byte
}

// read is what a Read came to.
type read struct {
	n        int
	err      error
	panicked any
}

// Read reads until the time is over. Then p is lost to the Read in the background.
func (p *patience) Read(into []byte) (int, error) {
	if p.done == nil {
		p.done = make(chan read, 1)
	}
	go func() {
		r := read{err: io.ErrUnexpectedEOF}
		defer func() {
			r.panicked = recover()
			p.done <- r
		}()
		r.n, r.err = p.body.Read(into)
	}()
	select {
	case r := <-p.done:
		return r.result(into)
	case <-p.limit:
		p.slow = into
		return 0, errTime
	}
}

// result is what Read returns. What panicked in the background does so where the server
// expects it.
func (r *read) result(into []byte) (int, error) {
	if r.panicked != nil {
		panic(r.panicked)
	}
	if r.n < 0 || r.n > len(into) {
		return 0, fmt.Errorf("the body's Read returned %d for %d bytes", r.n, len(into))
	}
	return r.n, r.err
}

// end ends the Read in the background, whose time is over. An HTTP/1 server would otherwise
// wait for it before it sends an answer. It reports whether the Read has ended.
func (p *patience) end(w http.ResponseWriter) bool {
	if w == nil || http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	select {
	case <-p.done:
		return true
	case <-wait.C:
		return false
	}
}

// rest is what is left of a body whose beginning was read.
type rest struct {
	begin, extra []byte
	err          error // at the end of these; nil if the body goes on
	*patience
}

// Read implements io.Reader.
func (r *rest) Read(into []byte) (int, error) {
	if len(r.begin) == 0 {
		r.begin, r.extra = r.extra, nil
	}
	if len(r.begin) > 0 {
		n := copy(into, r.begin)
		r.begin = r.begin[n:]
		return n, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.slow == nil {
		return r.body.Read(into)
	}
	late := <-r.done
	n, err := late.result(r.slow)
	r.begin, r.err, r.slow = r.slow[:n], err, nil
	if n == 0 && err == nil {
		return 0, nil
	}
	return r.Read(into)
}

// Close implements io.Closer.
func (r *rest) Close() error { return r.body.Close() }
