package command_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestStatusShowsIntrospections(t *testing.T) {
	t.Parallel()
	const page = `{"issuers":[],"api_keys":[],"introspections":[
		{"id":"a1","issuers":["https://a.example"],"state":"working","source":"https://a.example","endpoint":"https://a.example/oauth2/introspect",
		 "last_success":"2020-01-02T03:04:05Z","active":31,"inactive":42,"refused":53,"failed":64,"cached":75,"failures":1,"last_error":"status 400"},
		{"id":"b1","issuers":["https://b.example","https://c.example"],"state":"STATE","source":"https://b.example/i","endpoint":"https://b.example/i",
		 "failures":5,"turned_away":86,"last_error":"mark\u001b[2J\nAll is well"}]}`
	r := runJWT(t, "", "status", "--address", answering(t, "GET /jwt/status", http.StatusOK, strings.Replace(page, "STATE", "failing", 1)).address).want(t, 1)
	for _, part := range []string{
		"INTROSPECTION", "https://a.example", "working", "31", "42", "53", "64", "75", "2020-01-02T03:04:05Z",
		"a1: the endpoint is https://a.example/oauth2/introspect", "a1: last error: status 400",
		"https://b.example https://c.example", "failing", "b1: 86 requests got no answer",
	} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is not in %s", part, r.out)
		}
	}
	if strings.Contains(r.out, "b1: the endpoint") || strings.Contains(r.out, "a1: 0 requests") {
		t.Errorf("more than there is to say: %s", r.out)
	}
	checkSafe(t, "the table", r.out)
	if !strings.Contains(r.err, "can't be asked about tokens") {
		t.Error(r.err)
	}
	// One call that failed is no outage: anybody can send a token that a server dislikes.
	runJWT(t, "", "status", "--address", answering(t, "GET /jwt/status", http.StatusOK, strings.Replace(page, "STATE", "working", 1)).address).want(t, 0)
}
