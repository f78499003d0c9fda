package refusal

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// BenchmarkRecent is what those who watch cost a refusal: one atomic load while there are
// none, and a record otherwise.
func BenchmarkRecent(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com/orders?page=2", nil)
	why := &Refusal{Code: reason.Expired, Answer: &Answer{Status: 401}}
	refuse := func(b *testing.B, w *Recent) {
		b.ReportAllocs()
		for b.Loop() {
			if w.On() {
				w.Record(why, r, r.RequestURI, "api.example.com", false)
			}
		}
	}
	b.Run("nobody_watches", func(b *testing.B) { refuse(b, new(Recent)) })
	b.Run("watched", func(b *testing.B) {
		w, _ := watching()
		w.After(now(), 0)
		refuse(b, w)
	})
}

func TestNobodyWatchingCostsNoMemory(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	why := &Refusal{Code: reason.Expired, Answer: &Answer{Status: 401}}
	w := new(Recent)
	if n := testing.AllocsPerRun(100, func() { w.Record(why, r, "/", "api.example.com", false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
