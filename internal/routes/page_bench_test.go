package routes

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkJudge judges one of 200 sites on a listener, as for each refused request.
func BenchmarkJudge(b *testing.B) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "http://%d.test {\nroot * /srv\nhandle /a* {\nrespond ok\n}\nhandle {\nfile_server\n}\nhandle_errors {\nrewrite * /{err.status_code}.html\nfile_server\n}\n}\n", i)
	}
	server := serverOfCaddyfile(b, text.String())
	r := refused(server, httptest.NewRequest("GET", "http://150.test/guarded", nil), httptest.NewRecorder(), 401)
	if j := Judge(server, server.Errors.Routes, r); !j.Safe || !j.Answers {
		b.Fatalf("%+v", j)
	}
	b.ReportAllocs()
	for b.Loop() {
		Judge(server, server.Errors.Routes, r)
	}
}
