package header

import (
	"net/http"
	"strings"
	"testing"
)

// tokenMarks are the characters of a header's name that are neither letters nor digits
// (RFC 9110 section 5.6.2).
const tokenMarks = "!#$%&'*+-.^_`|~"

// TestNamesFoldCompletely checks that a client can't spell a name that is cleared with
// any other mark, in headers, trailers and Connection, and that other names stay.
func TestNamesFoldCompletely(t *testing.T) {
	t.Parallel()
	f, err := New(Config{
		Values: []*Forward{{What: "user", Header: "X-User-Id"}}, Payload: "X-Claims", Tokens: []Token{{Header: "X-Jwt-Of"}}, Clears: []string{"X-Role"}, Credentials: []string{"X-Token"},
	})
	if err != nil {
		t.Fatal(err)
	}
	spellings := func(name string) (all []string) {
		for _, first := range tokenMarks {
			for _, second := range tokenMarks {
				spelled := strings.Replace(strings.Replace(name, "-", string(first), 1), "-", string(second), 1)
				all = append(all, spelled, strings.ToLower(spelled), strings.ToUpper(spelled))
			}
		}
		return all
	}
	for _, name := range []string{"X-User-Id", "X-Claims", "X-Jwt-Of", "X-Role", "X-Token"} {
		for _, spelled := range spellings(name) {
			r := &http.Request{Header: http.Header{spelled: {"mallory"}, "X-Other": {"stays"}, "Connection": {spelled + ", close"}}, Trailer: http.Header{spelled: {"mallory"}}, Body: http.NoBody}
			f.Clear(r, new(Sent), false)
			_, left := r.Header[spelled]
			if credential := name == "X-Token"; left != credential || len(r.Trailer) != 0 || r.Header.Get("X-Other") != "stays" {
				t.Errorf("%s: headers %v, trailers %v", spelled, r.Header, r.Trailer)
			} else if got := r.Header.Get("Connection"); !credential && got != "close" {
				t.Errorf("%s: Connection is %q", spelled, got)
			}
		}
	}
	for _, other := range []string{"XUser-Id", "X--User-Id", "X-User-Id2", "X-User", "X-Rolf", "X-Role-"} {
		r := &http.Request{Header: http.Header{other: {"stays"}}}
		if f.Clear(r, new(Sent), false); len(r.Header) != 1 {
			t.Errorf("%s is removed", other)
		}
	}
}
