package refusal

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// watching is a ring with a clock that tests move.
func watching() (*Recent, *clock.Fake) {
	c := clock.NewFake(noon)
	return &Recent{clock: c}, c
}

// now is a context that is done: for asking without waiting.
func now() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// record records a refusal of a path.
func record(w *Recent, path string) {
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com"+path, nil)
	w.Record(&Refusal{Code: reason.Expired, Answer: &Answer{Status: 401}}, r, path, "api.example.com", false)
}

func paths(list []Seen) string {
	var all []string
	for _, s := range list {
		all = append(all, s.URI)
	}
	return strings.Join(all, " ")
}

func TestNothingIsKeptWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	record(w, "/before")
	if w.On() {
		t.Error("somebody watches")
	}
	list, next, missed := w.After(now(), 0)
	if len(list) != 0 || next == 0 || missed != 0 {
		t.Errorf("%v, next %d, %d missed", list, next, missed)
	}
	if !w.On() {
		t.Error("nobody watches who has just asked")
	}
	record(w, "/after")
	if list, _, _ := w.After(now(), next); paths(list) != "/after" {
		t.Errorf("%v", list)
	}
}

func TestAMinuteAfterTheLastQuestionAllIsForgotten(t *testing.T) {
	t.Parallel()
	w, c := watching()
	_, next, _ := w.After(now(), 0)
	record(w, "/a")
	c.Advance(59 * time.Second)
	if list, _, _ := w.After(now(), next); paths(list) != "/a" {
		t.Errorf("after 59 s: %v", list)
	}
	c.Advance(59 * time.Second)
	if !w.On() {
		t.Error("59 s after the second question nobody watches")
	}
	c.Advance(time.Second)
	if w.On() {
		t.Error("somebody watches a minute after the last question")
	}
	record(w, "/unseen")
	list, again, missed := w.After(now(), next)
	if len(list) != 0 || again != next+1 || missed != 1 {
		t.Errorf("%v, next %d, %d missed; want none, %d and 1, which is forgotten", list, again, missed, next+1)
	}
}

func TestWhoWaitsWatches(t *testing.T) {
	t.Parallel()
	w, c := watching()
	got := make(chan []Seen)
	go func() {
		list, _, _ := w.After(context.Background(), 0)
		got <- list
	}()
	awaitWaiting(w, 1)
	c.Advance(time.Hour)
	record(w, "/late")
	if list := <-got; paths(list) != "/late" {
		t.Errorf("%v", list)
	}
}

// awaitWaiting returns when n wait.
func awaitWaiting(w *Recent, n int) {
	for w.Waiting() != n {
		time.Sleep(time.Millisecond)
	}
}

func TestOneRefusalWakesAll(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if list, _, _ := w.After(context.Background(), 0); len(list) == 0 || list[0].URI != "/a" {
				t.Errorf("%v", list)
			}
		})
	}
	awaitWaiting(w, 5)
	record(w, "/a")
	all.Wait()
}

func TestOverwrittenRefusalsCountAsMissed(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	_, start, _ := w.After(now(), 0)
	for n := range kept + 10 {
		record(w, fmt.Sprint("/", n))
	}
	list, next, missed := w.After(now(), start)
	if len(list) != kept || list[0].URI != "/10" || list[kept-1].URI != "/1009" || missed != 10 || next != start+kept+10 {
		t.Errorf("%d refusals, %d missed, next %d", len(list), missed, next)
	}
	for i, s := range list {
		if s.Seq != start+11+uint64(i) {
			t.Fatalf("number %d has seq %d", i, s.Seq)
		}
	}
	if list, _, missed := w.After(now(), 0); len(list) != kept || missed != 0 {
		t.Errorf("without a number: %d refusals, %d missed", len(list), missed)
	}
}

func TestNumbersOfAnotherProcess(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	_, start, _ := w.After(now(), 0)
	record(w, "/a")
	for _, foreign := range []uint64{1, start - 1, start + 2, 1 << 63} {
		if list, next, missed := w.After(now(), foreign); paths(list) != "/a" || next != start+1 || missed != 0 {
			t.Errorf("after %d: %v, next %d, %d missed", foreign, list, next, missed)
		}
	}
	if start > 1<<53 {
		t.Errorf("%d is not exact as a number of JSON", start)
	}
}

// Recording and asking at once: each refusal is seen once, in order, or counted.
func TestNoRefusalIsLostUncounted(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	_, start, _ := w.After(now(), 0)
	const writers, each = 4, 2000
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				record(w, "/")
			}
		})
	}
	for range 2 {
		all.Go(func() {
			after, seen, lost := start, uint64(0), uint64(0)
			for after < start+writers*each {
				list, next, missed := w.After(context.Background(), after)
				for _, s := range list {
					if s.Seq <= after {
						t.Errorf("seq %d comes after %d", s.Seq, after)
						return
					}
					after = s.Seq
				}
				seen, lost, after = seen+uint64(len(list)), lost+missed, next
			}
			if seen+lost != writers*each {
				t.Errorf("%d seen and %d missed; want %d", seen, lost, writers*each)
			}
		})
	}
	all.Wait()
}

// A writer that was slower than 1,000 others does not hide the one in its place.
func TestASlowWriterHidesNothing(t *testing.T) {
	t.Parallel()
	g := new(ring)
	g.put(&Seen{Seq: kept + 1})
	g.put(&Seen{Seq: 1})
	g.taken.Store(kept + 1)
	if list, next, missed := g.read(kept); len(list) != 1 || list[0].Seq != kept+1 || next != kept+1 || missed != 0 {
		t.Errorf("%v, next %d, %d missed", list, next, missed)
	}
}

func TestWhatIsSeenOfARequest(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	_, start, _ := w.After(now(), 0)
	r := httptest.NewRequest(http.MethodPost, "https://api.example.com/", nil)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Host = "user:secret@api.example.com"
	r.Header.Set("Authorization", "Bearer secret")
	why := &Refusal{reason.Forbidden, &Answer{Status: 403}, Cause{"claim tenant acme", "a detail", "alice", "https://idp.example"}}
	w.Record(why, r, "https://user:secret@api.example.com/x?y=1", "api.example.com", true)
	list, _, _ := w.After(now(), start)
	want := Seen{
		start + 1, noon, "api.example.com", "forbidden", 403, "a detail", "claim tenant acme", "alice", "https://idp.example",
		"POST", "api.example.com", "https://api.example.com/x?y=1", "192.0.2.7", "", true,
	}
	if len(list) != 1 || list[0] != want {
		t.Errorf("%+v; want %+v", list, want)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	w, _ := watching()
	_, start, _ := w.After(now(), 0)
	long := strings.Repeat("é", 8<<10)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Method, r.Host, r.RemoteAddr = long, long, long
	w.Record(&Refusal{reason.Forbidden, &Answer{}, Cause{long, long, long, long}}, r, "/"+long, "site", false)
	list, _, _ := w.After(now(), start)
	s := list[0]
	for _, text := range []string{s.Method, s.Host, s.URI, s.RemoteIP, s.User, s.Issuer, s.Detail, s.Requirement} {
		if len(text) > maxURI+len("…") || !strings.HasSuffix(text, "…") || !utf8.ValidString(text) {
			t.Errorf("%d bytes are kept: %.40s", len(text), text)
		}
	}
}
