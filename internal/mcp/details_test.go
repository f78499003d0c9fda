package mcp_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TestDetailsAreInTheTable: for each detail of the table that is about messages there is a
// request that has it.
func TestDetailsAreInTheTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	note := func(f *mcp.Fault) {
		t.Helper()
		var d *reason.Detailed
		if f == nil || !errors.As(f.Err, &d) {
			t.Errorf("no detail: %+v", f)
			return
		}
		e, ok := reason.Describe(d.Code(), d.Detail())
		if !ok || e.ID == "" {
			t.Errorf("%v is not in the table", d)
		}
		seen[e.ID] = true
	}
	for _, headers := range [][]string{
		{"X-Http-Method", "PUT"}, {"Upgrade", "h2c"}, {"Content-Type", "text/plain"}, {"Content-Encoding", "gzip"},
	} {
		note(mcp.Check(post(headers...)))
	}
	for _, value := range []string{"", "text/plain", "application/json; charset=latin1"} {
		r := post()
		r.Header.Set("Content-Type", value)
		note(mcp.Check(r))
	}
	get := post()
	get.Method, get.ContentLength = http.MethodGet, 1
	note(mcp.Check(get))
	for _, c := range []struct {
		body    string
		headers []string
	}{
		{body: `{`}, {body: "\uFEFF{}"}, {body: `{}`}, {body: `[]`}, {body: `{"jsonrpc":"2.0","id":1}`}, {body: `{"jsonrpc":"2.0","id":[],"method":"ping"}`},
		{body: open + `1}`}, {body: open + `"Ping"}`}, {body: open + `"ping","id":1}`}, {body: open + `"ping","Id":1}`}, {body: open + `"ping","result":1}`},
		{body: tool(`[]`)}, {body: tool(`{}`)}, {body: tool(`{"_meta":1}`)}, {body: open + `"completion/complete"}`}, {body: open + `"resources/read","params":{"uri":".."}}`},
		{body: "[" + open + `"ping"}]`, headers: []string{"Mcp-Protocol-Version", "2026-07-28"}},
		{body: open + `"ping"}`, headers: []string{"Mcp-Method", "ping", "Mcp-Method", "ping"}},
		{body: open + `"ping"}`, headers: []string{"Mcp-Method", "tools/list"}},
		{body: open + `"ping"}`, headers: []string{"Mcp-Name", "é"}},
		{body: open + `"ping"}`, headers: []string{"Mcp-Protocol-Version", "2026-07-28"}},
		{body: open + `"ping"}`, headers: []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "ping"}},
		{body: tool(`{"a":` + nested(200) + `}`)},
	} {
		_, f := mcp.Parse(post(c.headers...), []byte(c.body))
		note(f)
	}
	const elsewhere = "body_broken" // found by the one who reads bodies
	for _, e := range reason.Details() {
		of := []reason.Code{reason.MalformedMessage, reason.HeaderMismatch, reason.MethodNotAllowed, reason.UnsupportedMediaType}
		if slices.Contains(of, e.Code) && e.ID != elsewhere && !seen[e.ID] {
			t.Errorf("no request here has the detail %s", e.ID)
		}
	}
}
