package command

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// FuzzExplainLog: whatever a log has, it is explained in lines of our own, and nothing in them
// is obeyed by a terminal. Secrets in a query are not repeated.
func FuzzExplainLog(f *testing.F) {
	f.Add(`{"msg":"handled request","status":401,"jwt_reason":"expired","request":{"method":"GET","host":"a","uri":"/?t=s3cr3t-of-a-query"}}`)
	f.Add("2026/11/29 17:00:00.123\tDEBUG\thttp.handlers.jwt\trequest refused\t{\"reason\": \"forbidden\", \"requirement\": \"require scope a\"}")
	f.Add(`{"log":"{\"msg\":\"request would be refused\",\"reason\":\"malformed_token\",\"detail\":\"typ is empty\"}"}`)
	f.Add(`{"jwt_reason":"missing_credentials","request":{"uri":"/eyJhbGciOi.e30.s3cr3t-of-a-query?a=b","headers":{"X-Token":["Bearer eyJhbGciOi.e30.s3cr3t"],"Cookie":["a=eyJhbGciOi.e30.s3cr3t"]}}}`)
	f.Add("{{{{{\n{}\n{\"request\":{}}\n{\"ts\":1e308,\"status\":-1}\n")
	f.Add(`{"MESSAGE":"{","ts":null,"request":null,"status":99999999999999999999}`)
	f.Fuzz(func(t *testing.T, text string) {
		log := readLog(text)
		var people, programs strings.Builder
		if err := printLog(&people, log); err != nil {
			t.Fatal(err)
		}
		if err := printJSON(terminal.NewWriter(&programs), log); err != nil {
			t.Fatal(err)
		}
		if !json.Valid([]byte(programs.String())) {
			t.Errorf("no JSON: %s", programs.String())
		}
		for _, c := range people.String() + programs.String() {
			if !strconv.IsGraphic(c) && c != '\n' && c != '\t' {
				t.Fatalf("it has %U", c)
			}
		}
		lines := strings.Count(text, "\n") + 1
		if len(log.Lines) > lines {
			t.Errorf("%d lines of %d", len(log.Lines), lines)
		}
		for i := range log.Lines {
			l := &log.Lines[i]
			known := reason.Remedy(l.Reason, l.Detail)
			if l.Remedy != known || l.Remedy == "" && l.Note == "" {
				t.Errorf("neither a remedy nor a note, or another: %+v", l)
			}
			if l.Request == nil {
				continue
			}
			if _, query, _ := strings.Cut(l.Request.URI, "?"); strings.Contains(query, "=s3cr3t-of-a-query") {
				t.Errorf("a value of the query: %+v", l.Request)
			}
			for _, shown := range append(l.Request.Credentials, l.Request.URI, l.Note) {
				if admin.HasCredential(shown) && strings.Count(shown, "%") == 0 {
					t.Errorf("a credential: %q", shown)
				}
			}
		}
	})
}
