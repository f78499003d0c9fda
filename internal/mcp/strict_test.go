package mcp_test

import (
	"reflect"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// A reader that stops at half of a surrogate pair, or drops it, sees the name before it.
func TestHalvesOfSurrogatePairsEndNoName(t *testing.T) {
	t.Parallel()
	const half = `\ud800`
	for body, want := range map[string]error{
		`{"jsonrpc":"2.0` + half + `","id":1,"method":"ping"}`:                                               reason.MessageType,
		open + `"tools/call` + half + `","params":{"name":"list"}}`:                                          reason.MessageMethod,
		open + `"my/method` + half + `"}`:                                                                    reason.MessageMethod,
		tool(`{"name":"list` + half + `"}`):                                                                  reason.NameType.With("params.name"),
		open + `"prompts/get","params":{"name":"list` + half + `"}}`:                                         reason.NameType.With("params.name"),
		open + `"resources/read","params":{"uri":"file:///a` + half + `"}}`:                                  reason.NameType.With("params.uri"),
		open + `"completion/complete","params":{"ref":{"type":"ref/prompt` + half + `","name":"p"}}}`:        reason.RefType,
		open + `"completion/complete","params":{"ref":{"type":"ref/resource` + half + `","uri":"u"}}}`:       reason.RefType,
		open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p` + half + `"}}}`:        reason.NameType.With("ref.name"),
		open + `"completion/complete","params":{"ref":{"type":"ref/resource","uri":"u` + half + `"}}}`:       reason.NameType.With("ref.uri"),
		tool(`{"name":"list","_meta":{"io.modelcontextprotocol/protocolVersion":"2025-06-18` + half + `"}}`): reason.MetaType,
		tool(`{"name":"list","arguments":{"a` + half + `":1}}`):                                              reason.MessageSyntax,
		tool(`{"name":"\ud800xudc00"}`):                                                                      reason.NameType.With("params.name"),
		tool(`{"name":"\ud800\\dc00"}`):                                                                      reason.NameType.With("params.name"),
		tool(`{"name":"\ud800\u0041"}`):                                                                      reason.NameType.With("params.name"),
		tool(`{"name":"\ud800\ud800"}`):                                                                      reason.NameType.With("params.name"),
		tool(`{"name":"\ud800\ue000"}`):                                                                      reason.NameType.With("params.name"),
		tool(`{"name":"\ud800\n12345"}`):                                                                     reason.NameType.With("params.name"),
		tool(`{"name":"\udc00\udc00"}`):                                                                      reason.NameType.With("params.name"),
		tool(`{"name":"\udfff"}`):                                                                            reason.NameType.With("params.name"),
	} {
		if m, f := mcp.Parse(post(), []byte(body)); f == nil {
			t.Errorf("%s: judged as %v, want %v", body, calls(m), want)
		} else if f.Err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", body, f.Err, want)
		}
	}
	const version = "2026-07-28"
	for method, member := range map[string]string{"tasks/get": "taskId", "my/method": "name"} {
		r := post("MCP-Protocol-Version", version, "Mcp-Method", method, "Mcp-Name", "7")
		body := versioned(method, `"`+member+`":"7`+half+`"`, version)
		if _, f := mcp.Parse(r, []byte(body)); f == nil || f.Err.Error() != reason.HeaderDiffers.With("Mcp-Name").Error() {
			t.Errorf("%s: %+v", body, f)
		}
	}
}

// What a completion is about is named by the member that its type has.
func TestCompletionsOfOtherThings(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{`"type":"ref/tool","uri":"u"`, `"type":"ref/tool","name":"n"`, `"uri":"u"`, `"type":"","uri":"u"`, `"type":"ref/resource ","uri":"u"`} {
		_, f := mcp.Parse(post(), []byte(open+`"completion/complete","params":{"ref":{`+ref+`}}}`))
		if f == nil || f.Err.Error() != reason.RefType.Error() {
			t.Errorf("%s: %+v", ref, f)
		}
	}
}

// The first characters behind the surrogates are ones like any other.
func TestCharactersAroundTheSurrogates(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		tool(`{"name":"\ud7ff"}`):       "\ud7ff",
		tool(`{"name":"\ue000"}`):       "\ue000",
		tool(`{"name":"\ud800\udc00"}`): "\U00010000",
		tool(`{"name":"\udbff\udfff"}`): "\U0010ffff",
		tool(`{"name":"\uFFfd"}`):       "\ufffd",
		tool(`{"name":"\u004A\u006f"}`): "Jo",
	} {
		if m, f := mcp.Parse(post(), []byte(body)); f != nil || m.Calls[0].Name != want {
			t.Errorf("%s: %+v, %v", body, m, f)
		}
	}
}

func TestWhatIsNoJSONInAnObject(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		open + `"ping",xid":1}`, open + `"ping",'x":1}`, open + `"ping","x"=1}`, open + `"ping","x";1}`, open + `"ping","x",1}`,
		open + `"ping","params":{"a" 1}}`, open + `"ping","params":{"a":1,,"b":2}}`, open + `"ping","params":{,"a":1}}`, `{"jsonrpc"  "2.0","method":"ping"}`,
		open + `"ping","params":{"a":[1,]}}`, open + `"ping","params":{"a":[1 2]}}`, open + `"ping","params":{"a":1e}}`, open + `"ping","params":{"a":1e+}}`, open + `"ping","params":{"a":-}}`, open + `"ping","params":{"a":1.e5}}`, open + `"ping","params":{"a":00}}`,
	} {
		if m, f := mcp.Parse(post(), []byte(body)); f == nil || f.Err.Error() != reason.MessageSyntax.Error() {
			t.Errorf("%s: %+v, %v", body, m, f)
		}
	}
	if _, f := mcp.Parse(post(), []byte(open+`"ping","params":{"a":[1E5,1e+5,-0.5e-5,0,-0,10.25E+01]}}`)); f != nil {
		t.Errorf("numbers: %v", f.Err)
	}
}

// A notification has no id: with one it is a call, whatever its name.
func TestACallWithTheNameOfANotification(t *testing.T) {
	t.Parallel()
	const version = "2026-07-28"
	body := versioned("notifications/cancelled", "", version)
	if _, f := mcp.Parse(post("MCP-Protocol-Version", version), []byte(body)); f == nil || f.Err.Error() != reason.HeaderMissing.With("Mcp-Method").Error() {
		t.Errorf("without its header: %+v", f)
	}
	if _, f := mcp.Parse(post("MCP-Protocol-Version", version, "Mcp-Method", "notifications/cancelled"), []byte(body)); f != nil {
		t.Errorf("with its header: %v", f.Err)
	}
}

func TestVersionsHaveOneForm(t *testing.T) {
	t.Parallel()
	for _, version := range []string{
		"2026x07-28", "2026-07x28", "2026/07/28", "2026-07-2/", "202--07-28", "2026-07-2", "2026-07-288", "2026-07-2a", "2026 07 28", "", "draft-2027", "DRAFT-", "DRAFT-A", "DRAFT-2027_1",
		"DRAFT-123456789012345678901234567890123",
	} {
		if _, f := mcp.Parse(post("MCP-Protocol-Version", version), []byte(open+`"ping"}`)); f == nil || f.Err.Error() != reason.HeaderForm.With("MCP-Protocol-Version").Error() {
			t.Errorf("%q: %+v", version, f)
		}
	}
}

// The id goes into the answer, which must be UTF-8, and be the right one.
func TestIDsWhereHeadersAreRefused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		open + `"ping"}`: "1",
		"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}": "",
		`[` + open + `"ping"}]`:                   "",
		open + `"ping","id":2}`:                   "",
		`{"jsonrpc":"2.0","id":1,"method":"ping"`: "",
		`"id"`: "",
		``:     "",
		`{"jsonrpc":"2.0","ID":7,"method":"ping"}`:   "",
		`{"jsonrpc":"2.0","id":"a","method":"ping"}`: `"a"`,
	} {
		_, f := mcp.Parse(post("Mcp-Method", "ping", "Mcp-Method", "ping"), []byte(body))
		if f == nil || string(f.ID) != want {
			t.Errorf("%s: %+v, want the id %s", body, f, want)
		}
	}
}

// What can't be seen does not part a name from its rule. What only a URI has means nothing
// in the name of a tool.
func TestNamesOfToolsAreNoURIs(t *testing.T) {
	t.Parallel()
	rules, err := mcp.NewRules([]mcp.Rule{
		0: {mcp.Tool, []string{"delete_all"}},
		1: {mcp.Tool, []string{"a/b"}},
		2: {mcp.Tool, []string{"50%41"}},
		3: {mcp.Prompt, []string{"a//b"}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[seen][]int{
		{"tools/call", mcp.Tool, "delete\u3164_all"}:       {0},
		{"tools/call", mcp.Tool, "delete\u115f\u1160_all"}: {0},
		{"tools/call", mcp.Tool, "delete\u034f_all\uffa0"}: {0},
		{"tools/call", mcp.Tool, "a/b"}:                    {1},
		{"tools/call", mcp.Tool, "a%2Fb"}:                  nil,
		{"tools/call", mcp.Tool, `a\b`}:                    nil,
		{"tools/call", mcp.Tool, "a//b"}:                   nil,
		{"tools/call", mcp.Tool, "50%41"}:                  {2},
		{"tools/call", mcp.Tool, "50a"}:                    nil,
		{"prompts/get", mcp.Prompt, "a//b"}:                {3},
		{"prompts/get", mcp.Prompt, "a/b"}:                 nil,
	} {
		if got, _ := rules.Matching(mcp.Call{Method: call.method, Kind: call.kind, Name: call.name}); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", call.name, got, want)
		}
	}
	// The parts of a pattern don't overlap.
	overlapping, err := mcp.NewRules([]mcp.Rule{{mcp.Tool, []string{"delete*e", "aba*aba"}}, {mcp.Resource, []string{"x:/%7g", "x:/100%", "x:/%:0", "x:/%g1"}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"delete": false, "deletee": true, "aba": false, "ababa": false, "abaaba": true} {
		if got, _ := overlapping.Matching(mcp.Call{Method: "tools/call", Kind: mcp.Tool, Name: name}); (got != nil) != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for uri, want := range map[string]bool{"x:/%7g": true, "x:/100%": true, "x:/%:0": true, "x:/%G1": true, "x:/0": false, "x:/p": false} {
		if got, _ := overlapping.Matching(mcp.Call{Method: "resources/read", Kind: mcp.Resource, Name: uri}); (got != nil) != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
	// Through Parse too, which folds the name itself.
	for name, want := range map[string][]int{`a\/b`: {1}, "a%2Fb": nil, "x/../a": nil, `DELETE\u3164_ALL`: {0}} {
		m, f := mcp.Parse(post(), []byte(tool(`{"name":"`+name+`"}`)))
		if f != nil {
			t.Errorf("%s: %v", name, f.Err)
			continue
		}
		if got, _ := rules.Matching(m.Calls[0]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
