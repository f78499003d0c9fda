package mcpgate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

const (
	// inTime is how long a body may take.
	inTime = 10 * time.Second
	// firstBuffer is how many bytes there is room for before any has come. More is only held
	// for a client that has sent something.
	firstBuffer = 8 << 10
	// growth is by how much a buffer grows that is full.
	growth = 4
)

// reading is the body of a request while it is read.
type reading struct {
	patience
	account account
	data    []byte
	extra   []byte // a byte behind data for which there is no room
	eof     bool
	some    bool  // whether the first byte is enough
	length  int64 // as the request says; -1 for unknown
	limit   int
}

// read reads up to limit bytes and the end behind them.
func (b *reading) read(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	b.patience.limit = timer.C
	for !b.eof {
		room := b.data[len(b.data):cap(b.data)]
		probe := len(room) == 0 && len(b.data) > 0 && (int64(len(b.data)) == b.length || len(b.data) == b.limit)
		switch {
		case probe:
			room = b.one[:] // that this is the end
		case len(room) == 0:
			if err := b.grow(); err != nil {
				return err
			}
			continue
		}
		n, err := b.Read(room)
		if probe && n > 0 {
			b.extra = b.one[:]
			if len(b.data) == b.limit {
				return reason.BodyTooLarge
			}
			if err := b.grow(); err != nil {
				return err
			}
			b.data, b.extra, n = append(b.data, b.one[0]), nil, 0
		}
		b.data = b.data[:len(b.data)+n]
		switch {
		case b.some && n > 0:
			return nil
		case err == io.EOF: //nolint:errorlint // as every reader of a body asks
			b.eof = true
		case err != nil:
			return err
		}
	}
	return nil
}

// grow makes room for more.
func (b *reading) grow() error {
	size := max(firstBuffer, growth*cap(b.data))
	if int64(size) > b.length && b.length > int64(len(b.data)) {
		size = int(b.length)
	}
	size = min(size, b.limit)
	if !b.account.grow(size) {
		return reason.Overloaded
	}
	larger := make([]byte, len(b.data), size)
	copy(larger, b.data)
	b.data = larger
	return nil
}

// back puts the body into the request again, as if nothing of it had been read. What is
// returned holds the memory of it.
func (b *reading) back(r *http.Request, err error) *Held {
	switch {
	case b.eof:
		err = io.EOF
	case errors.Is(err, errTime), errors.Is(err, reason.BodyTooLarge), errors.Is(err, reason.Overloaded):
		err = nil
	}
	h := &Held{account: b.account, ended: true, origin: b.body}
	r.Body = &rest{begin: b.data, extra: b.extra, err: err, patience: &b.patience}
	return h
}

// abandon leaves a body that nobody reads any more.
func (b *reading) abandon(w http.ResponseWriter, err error) {
	if b.slow != nil && !b.end(w) {
		go func() { // the buffer is in use until then
			<-b.done
			b.account.close()
		}()
		return
	}
	b.account.close()
}

// Held is the body of a request that was judged, in memory. Exactly these bytes go on.
type Held struct {
	mu      sync.Mutex
	account account
	data    []byte
	at      int
	ended   bool
	origin  io.Closer
}

// Read implements io.Reader.
func (h *Held) Read(into []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return 0, http.ErrBodyReadAfterClose
	case h.at == len(h.data):
		return 0, io.EOF
	}
	n := copy(into, h.data[h.at:])
	h.at += n
	return n, nil
}

// Close implements io.Closer. A proxy closes a body once it has sent it, and then may wait for
// a stream of answers: that holds no memory.
func (h *Held) Close() error {
	h.End()
	return h.origin.Close()
}

// End ends the body with its request: what still reads it gets an error.
func (h *Held) End() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended, h.data = true, nil
	h.account.close()
}

// Leave ends the body, unless handlers behind failed before any of them read it: then the
// error routes have it, as they have that of any other request, until ctx ends with the
// request.
func (h *Held) Leave(ctx context.Context, err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	keep := err != nil && h.at == 0 && !h.ended && ctx.Done() != nil
	h.mu.Unlock()
	if !keep {
		h.End()
		return
	}
	context.AfterFunc(ctx, h.End)
}

// untouched returns the bytes of a body that another handler has judged, if nobody has read
// it.
func untouched(body io.ReadCloser) ([]byte, bool) {
	h, ok := body.(*Held)
	if !ok {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.data, h.at == 0 && !h.ended
}

// put puts the bytes into the request in place of its body.
func (b *reading) put(r *http.Request) *Held {
	h := &Held{account: b.account, data: b.data, origin: b.body}
	b.account = account{}
	r.Body, r.GetBody = h, nil
	setLength(r, len(h.data))
	return h
}

// setLength makes a request one whose body has a known length: it came without trailers, or
// goes on without them.
func setLength(r *http.Request, n int) {
	r.ContentLength, r.TransferEncoding = int64(n), nil
	r.Header["Content-Length"] = []string{strconv.Itoa(n)}
	delete(r.Header, "Transfer-Encoding")
	delete(r.Header, "Expect")
	if r.Trailer != nil {
		r.Trailer = nil
		delete(r.Header, "Trailer")
	}
}
