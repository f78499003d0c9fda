package header

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// body is a request's body at whose end the server fills in the trailers.
type body struct {
	io.Reader
	trailer http.Header
	more    http.Header
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		for name, values := range b.more {
			b.trailer[name] = values
		}
	}
	return n, err
}

func (*body) Close() error { return nil }

// withTrailers is a request that declares X-Sum and X-User, and sends more.
func withTrailers() (r *http.Request, server http.Header) {
	r = httptest.NewRequest(http.MethodPost, "/", nil)
	server = http.Header{"X-Sum": nil, "X-User": nil}
	r.Trailer = server
	r.Body = &body{strings.NewReader("body"), server, http.Header{"X-Sum": {"17"}, "X-User": {"mallory"}, "X_user": {"mallory"}, "X-Late": {"a"}}}
	return r, server
}

func clearing(values ...string) *Forwarding { return &Forwarding{Names: values, Trailers: values} }

// TestTrailersAreTheRequestsOwn checks that downstream handlers never see the map that
// the server writes, and see in their own what they may.
func TestTrailersAreTheRequestsOwn(t *testing.T) {
	t.Parallel()
	r, server := withTrailers()
	var sent Sent
	if got := clearing("x-user").Clear(r, &sent, false); got != r {
		t.Fatal("the request was copied")
	}
	if _, declared := r.Trailer["X-Sum"]; !declared || len(r.Trailer) != 1 {
		t.Errorf("declared: %v", r.Trailer)
	}
	clearing("x-late").Clear(r, &sent, false) // a second handler
	if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	if len(r.Trailer) != 1 || r.Trailer.Get("X-Sum") != "17" {
		t.Errorf("at the end: %v", r.Trailer)
	}
	server["X-Sum"][0] = "changed"
	if r.Trailer.Get("X-Sum") != "17" || len(server) != 4 {
		t.Error("the map is shared with the server")
	}
}

// TestTrailersEnd checks that they do not change once the request has ended in an error.
func TestTrailersEnd(t *testing.T) {
	t.Parallel()
	r, _ := withTrailers()
	var sent Sent
	clearing("x-user").Clear(r, &sent, false)
	sent.EndTrailers()
	if _, err := io.ReadAll(r.Body); err != nil || r.Trailer.Get("X-Sum") != "" || len(r.Trailer) != 1 {
		t.Errorf("%v, %v", r.Trailer, err)
	}
	new(Sent).EndTrailers() // without trailers it does nothing
}

// TestTrailersAfterAReader checks that a handler that may come after somebody has begun
// to read the body does not touch the map.
func TestTrailersAfterAReader(t *testing.T) {
	t.Parallel()
	r, server := withTrailers()
	var sent Sent
	got := clearing("x-user").Clear(r, &sent, true)
	if got == r || got.Trailer != nil || len(r.Trailer) != 2 || len(server) != 2 {
		t.Errorf("%v, %v", got.Trailer, r.Trailer)
	}
	if bare := httptest.NewRequest(http.MethodGet, "/", nil); clearing("x-user").Clear(bare, &sent, true) != bare {
		t.Error("a request without trailers was copied")
	}
}

// TestTrailersOfTwoGoroutines reads the body in one goroutine, as a proxy does, while the
// request ends in an error and its trailers are read in another. The race detector
// watches.
func TestTrailersOfTwoGoroutines(t *testing.T) {
	t.Parallel()
	for range 200 {
		r, _ := withTrailers()
		var sent Sent
		clearing("x-user").Clear(r, &sent, false)
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = io.ReadAll(r.Body) })
		sent.EndTrailers()
		_ = r.Trailer.Clone()
		wait.Wait()
	}
}
