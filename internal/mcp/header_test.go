package mcp_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

func encoded(name string) string {
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
}

// versioned is a call whose _meta has a version.
func versioned(method, params, version string) string {
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + version + `"}`
	if params != "" {
		meta = "," + meta
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + meta + `}}`
}

func TestHeadersAgreeWithTheBody(t *testing.T) {
	t.Parallel()
	const (
		version, method, name = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
		current, old          = "2026-07-28", "2025-11-25"
	)
	list := versioned("tools/call", `"name":"list"`, current)
	odd := versioned("tools/call", `"name":"Löschen 🗑"`, current)
	padded := versioned("tools/call", `"name":" list "`, current)
	literal := versioned("tools/call", `"name":"=?base64?bGlzdA==?="`, current)
	plain := tool(`{"name":"list"}`)
	newer := strings.ReplaceAll(list, current, "2027-01-01")
	draft := strings.ReplaceAll(list, current, "DRAFT-2027-v1")
	batch := "[" + plain + "," + tool(`{"name":"list"}`) + "]"
	mixed := "[" + plain + "," + tool(`{"name":"delete_all"}`) + "]"
	response := `{"jsonrpc":"2.0","id":1,"result":{}}`
	twice := func(h string) error { return reason.HeaderTwice.With(h) }
	missing := func(h string) error { return reason.HeaderMissing.With(h) }
	differs := func(h string) error { return reason.HeaderDiffers.With(h) }
	form := func(h string) error { return reason.HeaderForm.With(h) }
	for _, c := range []struct {
		what, body string
		headers    []string
		want       error
	}{
		{"all three", list, []string{version, current, method, "tools/call", name, "list"}, nil},
		{"spaces around values", list, []string{version, " " + current, method, "tools/call\t", name, "  list "}, nil},
		{"a later version", newer, []string{version, "2027-01-01", method, "tools/call", name, "list"}, nil},
		{"a draft", draft, []string{version, "DRAFT-2027-v1", method, "tools/call", name, "list"}, nil},
		{"no name in a later version", newer, []string{version, "2027-01-01", method, "tools/call"}, missing(name)},
		{"no name in a draft", draft, []string{version, "DRAFT-2027-v1", method, "tools/call"}, missing(name)},
		{"no name", list, []string{version, current, method, "tools/call"}, missing(name)},
		{"no method", list, []string{version, current, name, "list"}, missing(method)},
		{"no version, but in the body", list, []string{method, "tools/call", name, "list"}, missing(version)},
		{"no header, but a version in the body", list, nil, missing(version)},
		{"an older version, but not in the body", list, []string{version, old}, reason.MetaVersion},
		{"the version is not in the body", plain, []string{version, current, method, "tools/call", name, "list"}, reason.MetaVersion},
		{"two versions", list, []string{version, current, version, current, method, "tools/call", name, "list"}, twice(version)},
		{"two methods", list, []string{version, current, method, "tools/call", method, "tools/call", name, "list"}, twice(method)},
		{"two names", list, []string{version, current, method, "tools/call", name, "list", name, "list"}, twice(name)},
		{"another method", list, []string{version, current, method, "tools/list", name, "list"}, differs(method)},
		{"a method in capitals", list, []string{version, current, method, "Tools/Call", name, "list"}, differs(method)},
		{"an encoded method", list, []string{version, current, method, encoded("tools/call"), name, "list"}, differs(method)},
		{"a lying name", list, []string{version, current, method, "tools/call", name, "delete_all"}, differs(name)},
		{"a name in capitals", list, []string{version, current, method, "tools/call", name, "LIST"}, differs(name)},
		{"an empty name", list, []string{version, current, method, "tools/call", name, ""}, differs(name)},
		{"two names in one", list, []string{version, current, method, "tools/call", name, "list, delete_all"}, differs(name)},
		{"an encoded name", odd, []string{version, current, method, "tools/call", name, encoded("Löschen 🗑")}, nil},
		{"an encoded name that need not be", list, []string{version, current, method, "tools/call", name, encoded("list")}, nil},
		{"an encoded lie", list, []string{version, current, method, "tools/call", name, encoded("delete_all")}, differs(name)},
		{"an encoded name in NFD", odd, []string{version, current, method, "tools/call", name, encoded("Lo\u0308schen 🗑")}, differs(name)},
		{"an encoded name with spaces", padded, []string{version, current, method, "tools/call", name, encoded(" list ")}, nil},
		{"a name with spaces that is not encoded", padded, []string{version, current, method, "tools/call", name, " list "}, differs(name)},
		{"a name that is not encoded", odd, []string{version, current, method, "tools/call", name, "Löschen 🗑"}, form(name)},
		{"a name with a control character", list, []string{version, current, method, "tools/call", name, "li\x01st"}, form(name)},
		{"no base64", list, []string{version, current, method, "tools/call", name, "=?base64?!?="}, form(name)},
		{"no padding", list, []string{version, current, method, "tools/call", name, "=?base64?bGlzdA?="}, form(name)},
		{"bits that are left over", list, []string{version, current, method, "tools/call", name, "=?base64?bGlzdB==?="}, form(name)},
		{"the other base64", versioned("tools/call", `"name":"¿¿¿"`, current), []string{version, current, method, "tools/call", name, "=?base64?wr_Cv8K_?="}, form(name)},
		{"base64 of no UTF-8", list, []string{version, current, method, "tools/call", name, "=?base64?/w==?="}, form(name)},
		{"the prefix in capitals", list, []string{version, current, method, "tools/call", name, "=?BASE64?bGlzdA==?="}, differs(name)},
		{"a name that looks encoded", literal, []string{version, current, method, "tools/call", name, "=?base64?bGlzdA==?="}, differs(name)},
		{"a name that looks encoded, encoded", literal, []string{version, current, method, "tools/call", name, encoded("=?base64?bGlzdA==?=")}, nil},
		{"a name that only begins like an encoded one", versioned("tools/call", `"name":"=?base64?bGlzdA=="`, current), []string{version, current, method, "tools/call", name, "=?base64?bGlzdA=="}, nil},
		{"a prompt", versioned("prompts/get", `"name":"p"`, current), []string{version, current, method, "prompts/get", name, "p"}, nil},
		{"a resource", versioned("resources/read", `"uri":"file:///a"`, current), []string{version, current, method, "resources/read", name, "file:///a"}, nil},
		{"a resource without its name", versioned("resources/read", `"uri":"file:///a"`, current), []string{version, current, method, "resources/read"}, missing(name)},
		{"a list", versioned("tools/list", "", current), []string{version, current, method, "tools/list"}, nil},
		{"a list with an empty name", versioned("tools/list", "", current), []string{version, current, method, "tools/list", name, ""}, nil},
		{"a list with a name", versioned("tools/list", "", current), []string{version, current, method, "tools/list", name, "delete_all"}, differs(name)},
		{"completion without a name", versioned("completion/complete", `"ref":{"type":"ref/prompt","name":"p"}`, current), []string{version, current, method, "completion/complete"}, nil},
		{"completion with another name", versioned("completion/complete", `"ref":{"type":"ref/prompt","name":"p"}`, current), []string{version, current, method, "completion/complete", name, "q"}, differs(name)},
		{"a task", versioned("tasks/get", `"taskId":"7"`, current), []string{version, current, method, "tasks/get", name, "7"}, nil},
		{"another task", versioned("tasks/get", `"taskId":"7"`, current), []string{version, current, method, "tasks/get", name, "8"}, differs(name)},
		{"a method that is not known", versioned("my/method", `"uri":"u","name":["n"]`, current), []string{version, current, method, "my/method", name, "u"}, nil},
		{"a method that is not known, with another name", versioned("my/method", `"uri":"u"`, current), []string{version, current, method, "my/method", name, "delete_all"}, differs(name)},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/cancelled"}`, []string{version, current}, nil},
		{"a notification with another method", `{"jsonrpc":"2.0","method":"notifications/cancelled"}`, []string{version, current, method, "ping"}, differs(method)},
		{"a call that looks like a notification", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"list"}}`, []string{version, current}, missing(method)},
		{"a response", response, []string{version, current}, nil},
		{"a response with a method", response, []string{version, current, method, "ping"}, differs(method)},
		{"a response with a name", response, []string{name, "list"}, differs(name)},
		{"a batch", batch, []string{version, current, method, "tools/call", name, "list"}, reason.BatchVersion},
		{"an old batch", batch, []string{version, "2025-03-26"}, nil},
		{"an old batch with new headers", batch, []string{method, "tools/call", name, "list"}, nil},
		{"an old batch with a lie", mixed, []string{method, "tools/call", name, "list"}, differs(name)},
		{"a batch with a new version inside", "[" + plain + "," + list + "]", nil, missing(version)},
		{"no header", plain, nil, nil},
		{"an older version", plain, []string{version, old}, nil},
		{"an older version, in the body too", strings.ReplaceAll(list, current, old), []string{version, old}, nil},
		{"an older version in the body alone", strings.ReplaceAll(list, current, old), nil, nil},
		{"an older version with a lie", plain, []string{version, old, name, "delete_all"}, differs(name)},
		{"an older version with a lying method", plain, []string{version, old, method, "tools/list"}, differs(method)},
		{"an older version with all three", plain, []string{version, old, method, "tools/call", name, "list"}, nil},
		{"a lie without a version", plain, []string{name, "delete_all"}, differs(name)},
		{"an empty version", plain, []string{version, ""}, form("MCP-Protocol-Version")},
		{"a word", plain, []string{version, "latest"}, form("MCP-Protocol-Version")},
		{"two in one", plain, []string{version, "2025-11-25, 2026-07-28"}, form("MCP-Protocol-Version")},
		{"other digits", plain, []string{version, "２０２６-07-28"}, form("MCP-Protocol-Version")},
		{"a longer date", plain, []string{version, "2026-07-28x"}, form("MCP-Protocol-Version")},
		{"letters in a date", plain, []string{version, "2026-O7-28"}, form("MCP-Protocol-Version")},
		{"slashes", plain, []string{version, "2026/07/28"}, form("MCP-Protocol-Version")},
		{"an empty draft", plain, []string{version, "DRAFT-"}, form("MCP-Protocol-Version")},
		{"a draft with spaces", plain, []string{version, "DRAFT-a b"}, form("MCP-Protocol-Version")},
	} {
		_, f := mcp.Parse(post(c.headers...), []byte(c.body))
		same(t, c.what, f, c.want)
		if f != nil && f.Code() == reason.HeaderMismatch && f.RPCCode() != -32020 {
			t.Errorf("%s: the code %d", c.what, f.RPCCode())
		}
	}
}
