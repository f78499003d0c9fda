package mcpgate

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TestASecondGateJudgesWhatIsLeft: a handler between two gates may have read some of the body
// that the first has judged, or ended it. What the second judges is what goes on.
func TestASecondGateJudgesWhatIsLeft(t *testing.T) {
	t.Parallel()
	const other = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_all"}}`
	for name, c := range map[string]struct {
		between func(*http.Request)
		want    reason.Code
		body    string
	}{
		"nobody": {func(*http.Request) {}, "", list},
		"one who has read a byte": {func(r *http.Request) {
			if _, err := r.Body.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}, reason.MalformedMessage, ""},
		"one who has read all": {func(r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
		}, reason.MalformedMessage, ""},
		"one who has closed it": {func(r *http.Request) {
			if err := r.Body.Close(); err != nil {
				t.Error(err)
			}
		}, reason.MalformedMessage, ""},
		"one who has another": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(other)), -1
		}, "", other},
		"one who makes it longer": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(r.Body, strings.NewReader(other))), -1
		}, reason.MalformedMessage, ""},
		"one who takes the type": {func(r *http.Request) { r.Header.Del("Content-Type") }, reason.UnsupportedMediaType, ""},
		"one who makes it a GET": {func(r *http.Request) { r.Method = http.MethodGet }, reason.MalformedMessage, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newGate(t, Settings{}), newGate(t, Settings{})
			r := message(list)
			v, held := first.Judge(nil, r, nobody(), false)
			defer held.End()
			if v.Code != "" {
				t.Fatalf("the first: %+v", v)
			}
			c.between(r)
			v, again := second.Judge(nil, r, nobody(), false)
			defer again.End()
			if v.Code != c.want {
				t.Fatalf("the second: %+v, want %q", v, c.want)
			}
			if c.want != "" {
				return
			}
			if got, err := io.ReadAll(r.Body); err != nil || string(got) != c.body {
				t.Errorf("%s went on, %v", got, err)
			}
		})
	}
	// A smaller limit is the second's own.
	first, second := newGate(t, Settings{}), newGate(t, Settings{MaxBody: "1KiB"})
	r := message(list + strings.Repeat(" ", 1<<10))
	v, held := first.Judge(nil, r, nobody(), false)
	defer held.End()
	if v.Code != "" {
		t.Fatalf("%+v", v)
	}
	if v, _ := second.Judge(nil, r, nobody(), false); v.Code != reason.BodyTooLarge {
		t.Errorf("the smaller limit: %+v", v)
	}
}

// TestOnlyAnUnreadBodyIsLeft: error routes get a judged body once more if nobody has read it,
// and then until the request ends.
func TestOnlyAnUnreadBodyIsLeft(t *testing.T) {
	t.Parallel()
	failed := errors.New("the upstream is down")
	for name, c := range map[string]struct {
		before func(*Held)
		err    error
		left   bool
	}{
		"a failure":             {func(*Held) {}, failed, true},
		"no failure":            {func(*Held) {}, nil, false},
		"a failure, and read":   {func(h *Held) { _, _ = h.Read(make([]byte, 1)) }, failed, false},
		"a failure, and closed": {func(h *Held) { h.End() }, failed, false},
	} {
		g := newGate(t, Settings{})
		r := message(list)
		_, held := g.Judge(nil, r, nobody(), false)
		c.before(held)
		held.Leave(t.Context(), c.err)
		if got, err := io.ReadAll(r.Body); (err == nil && string(got) == list) != c.left {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		held.End()
		if g.budget.held != 0 {
			t.Errorf("%s: %d bytes are counted", name, g.budget.held)
		}
	}
}
