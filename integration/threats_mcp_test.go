package integration

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// rowsRefused sends siblings with the token that has the scope, so that nothing but what is wrong
// with each can have it refused.
func (j *judged) rowsRefused(t *testing.T, status int, rows []sibling) {
	t.Helper()
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	for i := range rows {
		o := j.through(t, &rows[i], j.writer)
		j.checkRefused(t, &rows[i], o)
		if status != 0 && o.status != status {
			t.Errorf("%s: status %d, %s; want %d", rows[i].what, o.status, o.body, status)
		}
	}
}

// TestThreat78_MembersThatLookAlike: names of members that are duplicate, that differ in case
// or in what can't be seen, at each level that is judged.
func TestThreat78_MembersThatLookAlike(t *testing.T) {
	t.Parallel()
	j := newJudged(t)
	var rows []sibling
	for _, version := range []string{"", "2025-11-25", newestMCP} {
		headers := headersOf(version, "tools/call", "list")
		for _, spelling := range []string{"name", "Name", "NAME", `name\u0000`, `n\u0061me`, `name\u200b`} {
			for _, params := range []string{`"name":"list","` + spelling + `":"delete_all"`, `"` + spelling + `":"delete_all","name":"list"`} {
				body := message("tools/call", params, version)
				rows = append(rows, sibling{what: params, body: body, headers: headers},
					sibling{what: "batch, " + params, body: "[" + message("tools/list", "", "") + "," + message("tools/call", params, "") + "]"})
			}
		}
		for member, twins := range map[string][]string{
			`"jsonrpc":"2.0"`: {"JSONRPC", "jsonrpc"}, `"method":"tools/call"`: {"Method", "method"}, `"params":{"name":"list"`: {"Params", "params", "param\u017f"}, `"id":1`: {"ID", "id", `id\u0000`},
		} {
			for _, twin := range twins {
				value := `"` + twin + `":{"name":"delete_all"}`
				body := strings.Replace(message("tools/call", `"name":"list"`, version), `{"jsonrpc"`, `{`+value+`,"jsonrpc"`, 1)
				rows = append(rows, sibling{what: member + " and " + twin, body: body, headers: headers})
			}
		}
		for _, meta := range []string{`"_META":{}`, `"_meta\u0000":{}`, `"_meta":{},"_meta":{}`, `"_meta":{"io.modelcontextprotocol/protocolversion":"x"}`, `"_meta":{"a":1,"a":1}`, `"tas` + "\u212a" + `":1`, `"arguments":{"a":{"b":1,"b":2}}`} {
			rows = append(rows, sibling{what: meta, body: message("tools/call", `"name":"list",`+meta, version), headers: headers})
		}
	}
	j.rowsRefused(t, http.StatusBadRequest, rows)
}

// hasTwin reports whether a header has an underscore in its name.
func hasTwin(s sibling) bool {
	return slices.ContainsFunc(s.headers, func(line string) bool {
		name, _, _ := strings.Cut(line, ":")
		return strings.Contains(name, "_")
	})
}

// TestThreat79_OtherWrappings: another content type, charset, coding or HTTP method, and
// bodies where there are none, over each version of HTTP.
func TestThreat79_OtherWrappings(t *testing.T) {
	t.Parallel()
	j := newJudged(t)
	rows := slices.DeleteFunc(transportSiblings(), func(s sibling) bool {
		return s.honest || s.trailer != nil
	})
	// Caddy drops headers with underscores, or else we refuse them.
	twins := slices.DeleteFunc(slices.Clone(rows), func(s sibling) bool { return !hasTwin(s) })
	rows = slices.DeleteFunc(rows, hasTwin)
	j.rowsRefused(t, 0, rows)
	for i := range twins {
		if o := j.through(t, &twins[i], j.writer); o.twin {
			t.Errorf("%s: the header arrives", twins[i].what)
		}
	}
	call := message("tools/call", `"name":"delete_all"`, "")
	for _, version := range []protocol{http2, h3} {
		client := j.client(version)
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodOptions, http.MethodPut, http.MethodPatch} {
			want := http.StatusBadRequest
			if method == http.MethodPut || method == http.MethodPatch {
				want = http.StatusMethodNotAllowed
			}
			for _, length := range []int64{int64(len(call)), -1} {
				label := j.label()
				a := j.send(t, client, method, site, "/mcp", bearer(j.writer), header("X-Sibling", label), func(r *http.Request) {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(call)), length
				})
				if o := j.recorder.look(label, a); a.status != want || len(o.arrived) > 0 {
					t.Errorf("%s %s with a body of length %d: status %d, %d arrived; want %d", version, method, length, a.status, len(o.arrived), want)
				}
			}
		}
		// Without a body they need the credential alone.
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodHead, http.MethodOptions} {
			label := j.label()
			a := j.send(t, client, method, site, "/mcp", bearer(j.reader), header("X-Sibling", label))
			if o := j.recorder.look(label, a); len(o.arrived) != 1 {
				t.Errorf("%s %s without a body: status %d, %d arrived; want 1", version, method, a.status, len(o.arrived))
			}
			label = j.label()
			if a := j.send(t, client, method, site, "/mcp", header("X-Sibling", label)); a.status != http.StatusUnauthorized {
				t.Errorf("%s %s without a token: status %d", version, method, a.status)
			}
		}
	}
}

// TestThreat80_NamesAndHeaders: names that are none, names that are written in another way,
// and headers that lie about them.
func TestThreat80_NamesAndHeaders(t *testing.T) {
	t.Parallel()
	j := newJudged(t)
	for _, version := range mcpVersions {
		var rows []sibling
		for _, value := range []string{`7`, `null`, `""`, `["delete_all"]`, `{}`, `"delete_all\u0000"`, `"delete_all\ud800"`} {
			rows = append(rows, sibling{what: "name " + value, body: message("tools/call", `"name":`+value, version), headers: headersOf(version, "tools/call", "delete_all")})
		}
		for _, params := range []string{`["delete_all"]`, `null`, `"delete_all"`, `{}`} {
			rows = append(rows, sibling{what: "params " + params, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`, headers: headersOf(version, "tools/call", "delete_all")})
		}
		rows = append(rows, sibling{what: "no params", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, headers: headersOf(version, "tools/call", "delete_all")})
		j.rowsRefused(t, http.StatusBadRequest, rows)

		// Those are judged by their true name: who lacks the scope gets 403, and
		// nothing arrives.
		for _, name := range []string{"DELETE_ALL", "Delete_All", " delete_all", "delete_all ", "delete\u200b_all", "\u200fdelete_all"} {
			s := sibling{what: name, body: message("tools/call", fmt.Sprintf(`"name":%q`, name), version), headers: headersOf(version, "tools/call", sentinel(name))}
			o := j.through(t, &s, j.reader)
			j.checkRefused(t, &s, o)
			if o.status != http.StatusForbidden || !strings.Contains(o.header.Get("WWW-Authenticate"), `scope="mcp:write"`) {
				t.Errorf("%q in %s: status %d, %q", name, version, o.status, o.header.Get("WWW-Authenticate"))
			}
		}
		// Others are not it.
		for _, name := range []string{"delete all", "delete-all", "d\u00e9lete_all", "de\u0301lete_all"} {
			s := sibling{what: name, body: message("tools/call", fmt.Sprintf(`"name":%q`, name), version), headers: headersOf(version, "tools/call", sentinel(name))}
			if o := j.through(t, &s, j.reader); len(o.arrived) != 1 || len(o.ran) != 0 {
				t.Errorf("%q in %s: status %d, %d arrived, ran %q", name, version, o.status, len(o.arrived), o.ran)
			}
		}
	}
	// With the scope: what is wrong is the headers.
	rows := slices.DeleteFunc(headerSiblings(newestMCP), func(s sibling) bool {
		return s.what == "headers: the truth, encoded" // which is the truth
	})
	j.rowsRefused(t, http.StatusBadRequest, rows)
	// An older version is judged by the body, and with the new headers by both.
	old := sibling{what: "an old version", body: message("tools/call", `"name":"delete_all"`, ""), headers: []string{"MCP-Protocol-Version: 2025-06-18", "Mcp-Method: tools/call", "Mcp-Name: delete_all"}}
	if o := j.through(t, &old, j.reader); o.status != http.StatusForbidden || len(o.arrived) != 0 {
		t.Errorf("an old version with headers: status %d, %d arrived", o.status, len(o.arrived))
	}
	if o := j.through(t, &old, j.writer); o.status != http.StatusOK || !slices.Equal(o.ran, []string{"tool delete_all"}) {
		t.Errorf("an old version with headers and the scope: status %d, ran %q", o.status, o.ran)
	}
}

// TestThreat81_EachKindByItsRule: prompts, resources and completions are judged by their own
// rules, what looks like a notification as a call, tasks and unknown methods by the method;
// responses pass.
func TestThreat81_EachKindByItsRule(t *testing.T) {
	t.Parallel()
	j := newJudged(t)
	denies := newJudgedSites(t, strings.Replace(guardedSite, "mcp {", `mcp {
			default deny
			tool list
			method tasks/get my/method
			method tasks/cancel {
				require scope mcp:write
			}`, 1))
	for _, c := range []struct {
		what, method, params string
		open, denied         int // the status without the scope, 0 for what arrives: by default, and with default deny
	}{
		{"a prompt", "prompts/get", `"name":"secret"`, 403, 403},
		{"another prompt", "prompts/get", `"name":"greet"`, 0, 403},
		{"a prompt with the name of a tool", "prompts/get", `"name":"delete_all"`, 0, 403},
		{"a tool with the name of a prompt", "tools/call", `"name":"secret"`, 0, 403},
		{"a tool that is named", "tools/call", `"name":"list"`, 0, 0},
		{"a resource", "resources/read", `"uri":"file:///secret/a"`, 403, 403},
		{"a resource, subscribed", "resources/subscribe", `"uri":"file:///secret/a"`, 403, 403},
		{"a resource, no more", "resources/unsubscribe", `"uri":"file:///secret/a"`, 403, 403},
		{"a resource, encoded", "resources/read", `"uri":"file:///%73ecret/a"`, 403, 403},
		{"a resource by another way", "resources/read", `"uri":"file:///public/../secret/a"`, 400, 400},
		{"another resource", "resources/read", `"uri":"file:///public/a"`, 0, 403},
		{"a completion for a prompt", "completion/complete", `"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"a","value":"b"}`, 403, 403},
		{"a completion for a resource", "completion/complete", `"ref":{"type":"ref/resource","uri":"file:///secret/{x}"},"argument":{"name":"a","value":"b"}`, 403, 403},
		{"a completion for nothing", "completion/complete", `"argument":{"name":"a","value":"b"}`, 400, 400},
		{"a task", "tasks/get", `"taskId":"1"`, 0, 0},
		{"a task that a rule guards", "tasks/cancel", `"taskId":"1"`, 0, 403},
		{"a method that is not known", "my/method", `"name":"delete_all"`, 0, 0},
		{"a method that is not known, in capitals", "MY/METHOD", `"name":"delete_all"`, 0, 0},
		{"another", "your/method", `"name":"delete_all"`, 0, 403},
		{"a list", "tools/list", ``, 0, 403},
	} {
		for _, body := range []string{message(c.method, c.params, ""), strings.Replace(message(c.method, c.params, ""), `"id":1,`, "", 1)} {
			s := sibling{what: c.what, body: body}
			for by, want := range map[*judged]int{j: c.open, denies: c.denied} {
				o := by.through(t, &s, by.reader)
				if (want == 0) != (len(o.arrived) == 1) || want != 0 && o.status != want || slices.ContainsFunc(o.ran, runsGuarded) {
					t.Errorf("%s: status %d, %d arrived, ran %q; want %d", c.what, o.status, len(o.arrived), o.ran, want)
				}
			}
		}
	}
	for _, response := range []string{`{"jsonrpc":"2.0","id":1,"result":{"name":"delete_all"}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`} {
		if o := j.through(t, &sibling{what: response, body: response}, j.reader); len(o.arrived) != 1 || len(o.ran) != 0 {
			t.Errorf("%s: status %d, %d arrived, ran %q", response, o.status, len(o.arrived), o.ran)
		}
	}
}
