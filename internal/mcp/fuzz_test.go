package mcp_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
)

// lenient is a message as encoding/json reads it: names of members without case, the last of
// several members, anything that is unknown passed over.
type lenient struct {
	Method any
	Params struct {
		Name any
		URI  any
		Ref  struct{ Type, Name, URI any }
	}
}

// cString is a text as one reads it that ends at NUL, and drops what can't be seen and spaces.
func cString(v any) string {
	s, _ := v.(string)
	s, _, _ = strings.Cut(s, "\x00")
	return strings.TrimSpace(strings.NewReplacer("\u200b", "", "\u200d", "", "\ufeff", "").Replace(s))
}

// FuzzParse compares what is judged with what a lenient reader makes of the same bytes: it may
// not see another call, whatever the body is.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		open + `"tools/call","params":{"name":"list"}}`,
		tool(`{"name":"list","Name":"delete_all"}`), tool(`{"name":"list","name\u0000":"delete_all"}`), tool(`{"name":"list","name":"delete_all"}`),
		tool(`{"name":"list"},"params":{"name":"delete_all"}`), `{"METHOD":"tools/call","method":"ping","jsonrpc":"2.0"}`,
		open + `"resources/read","params":{"uri":"file:///a","ur\u0131":"file:///b"}}`, open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","na\u212ae":"q"}}}`,
		`[` + open + `"ping"},` + tool(`{"name":"delete_all"}`) + `]`, `{"jsonrpc":"2.0","id":"\ud800","result":[1e5,-0.1,true,null]}`,
		"\uFEFF" + open + `"ping"}`, open + `"ping"}` + open + `"tools/call"}`, string(callOf(1 << 10)), "[]", "{}", "1", `"`, `{"\`, `{"a":"\u`, tool(`["delete_all"]`),
	} {
		f.Add([]byte(body), "2026-07-28", "tools/call", "list")
		f.Add([]byte(body), "", "", "=?base64?bGlzdA==?=")
	}
	rules, err := mcp.NewRules([]mcp.Rule{{Kind: mcp.Tool, Patterns: []string{"delete*"}}, {Kind: mcp.Resource, Patterns: []string{"*a*"}}}, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, version, method, name string) {
		r := post()
		for header, value := range map[string]string{"Mcp-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name} {
			if value != "" {
				r.Header[header] = []string{value}
			}
		}
		m, fault := mcp.Parse(r, body)
		if fault != nil {
			if fault.Code() == "" || m != nil {
				t.Fatalf("%+v, %+v", m, fault)
			}
			if text := mcp.AppendError(nil, fault.ID, fault.RPCCode(), "m"); !json.Valid(text) {
				t.Fatalf("%s", text)
			}
			return
		}
		if !json.Valid(body) || !utf8.Valid(body) {
			t.Fatalf("%q is accepted", body)
		}
		raw := []json.RawMessage{body}
		if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
			raw = nil
			if err := json.Unmarshal(body, &raw); err != nil || !m.Batch {
				t.Fatal(err)
			}
		}
		list := m.Calls
		for _, text := range raw {
			var seen lenient
			// What it can't decode, such as a ref that is a text, it refuses or leaves out.
			_ = json.Unmarshal(text, &seen)
			if seen.Method == nil {
				continue
			}
			if len(list) == 0 {
				t.Fatalf("%s is a call", text)
			}
			c := list[0]
			list = list[1:]
			if c.Method != seen.Method {
				t.Fatalf("%s is judged as %s", text, c.Method)
			}
			var want any
			switch {
			case c.Kind == mcp.Method:
				continue
			case c.Method == "completion/complete" && c.Kind == mcp.Prompt:
				want = seen.Params.Ref.Name
			case c.Method == "completion/complete":
				want = seen.Params.Ref.URI
			case c.Kind == mcp.Resource:
				want = seen.Params.URI
			default:
				want = seen.Params.Name
			}
			if c.Name != want {
				t.Fatalf("%s is judged as %q, and read as %q", text, c.Name, want)
			}
			concerned, _ := rules.Matching(c)
			if c.Kind == mcp.Tool && strings.HasPrefix(strings.ToLower(cString(want)), "delete") && len(concerned) == 0 {
				t.Fatalf("%s: no rule concerns it", text)
			}
		}
		if len(list) > 0 {
			t.Fatalf("%s: %d calls more than there are", body, len(list))
		}
	})
}
