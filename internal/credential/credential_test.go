package credential

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestPrintingShowsNoCredential(t *testing.T) {
	t.Parallel()
	places, err := New(Settings{Tokens: true})
	if err != nil {
		t.Fatal(err)
	}
	const token = "a-token-that-nobody-may-see"
	var taken Removed
	r := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
	if _, code := places.Take(r, &taken); code != "" || len(taken.list) != 1 || len(r.Header) != 0 {
		t.Fatalf("nothing was removed: %s", code)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{&taken, taken.list, taken.list[0]} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, token) || strings.Contains(text, fmt.Sprintf("%x", token)) {
				t.Errorf("%s of %T shows the token: %s", verb, v, text)
			}
		}
	}
}
