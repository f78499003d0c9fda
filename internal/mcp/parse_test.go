package mcp_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// post is a POST with headers, which are names and values in turn.
func post(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// seen is what a call is judged by.
type seen struct {
	method string
	kind   mcp.Kind
	name   string
}

func calls(m *mcp.Message) []seen {
	var list []seen
	for _, c := range m.Calls {
		list = append(list, seen{c.Method, c.Kind, c.Name})
	}
	return list
}

const open = `{"jsonrpc":"2.0","id":1,"method":`

func TestCallsAreReadByWhatTheyName(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]seen{
		open + `"tools/call","params":{"name":"list","arguments":{"Name":"x","name":"y"}}}`:             {{"tools/call", mcp.Tool, "list"}},
		open + `"tools/call","params":{"arguments":{"a":[1,{"b":null}]},"name":"L\u0069st"}}`:           {{"tools/call", mcp.Tool, "List"}},
		" \r\n\t" + open + `"tools/call" , "params" : { "name" : "two words" } } ` + "\n":               {{"tools/call", mcp.Tool, "two words"}},
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"list"}}`:                              {{"tools/call", mcp.Tool, "list"}},
		`{"params":{"name":"list"},"method":"tools\/call","jsonrpc":"2.0","id":null}`:                   {{"tools/call", mcp.Tool, "list"}},
		open + `"prompts/get","params":{"name":"sum\u00e9"}}`:                                           {{"prompts/get", mcp.Prompt, "sumé"}},
		open + `"resources/read","params":{"uri":"file:///a/b..c/x.y"}}`:                                {{"resources/read", mcp.Resource, "file:///a/b..c/x.y"}},
		open + `"resources/subscribe","params":{"uri":"urn:x"}}`:                                        {{"resources/subscribe", mcp.Resource, "urn:x"}},
		open + `"resources/unsubscribe","params":{"uri":"urn:x"}}`:                                      {{"resources/unsubscribe", mcp.Resource, "urn:x"}},
		open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","title":"t"}}}`:   {{"completion/complete", mcp.Prompt, "p"}},
		open + `"completion/complete","params":{"ref":{"uri":"file:///{path}","type":"ref/resource"}}}`: {{"completion/complete", mcp.Resource, "file:///{path}"}},
		open + `"tools/list"}`:                                                                                         {{"tools/list", mcp.Method, ""}},
		open + `"tools/list","params":{}}`:                                                                             {{"tools/list", mcp.Method, ""}},
		open + `"tasks/get","params":{"taskId":"7","name":"delete_all"}}`:                                              {{"tasks/get", mcp.Method, ""}},
		open + `"my/method","params":{"meta":1,"name":["any"],"uri":2}}`:                                               {{"my/method", mcp.Method, ""}},
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:                                                       {{"notifications/initialized", mcp.Method, ""}},
		`{"jsonrpc":"2.0","id":"a","result":{"Name":1,"name":2}}`:                                                      nil,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}`:                                                    nil,
		`[` + open + `"tools/call","params":{"name":"a"}} , {"jsonrpc":"2.0","id":1,"result":{}},` + open + `"ping"}]`: {{"tools/call", mcp.Tool, "a"}, {"ping", mcp.Method, ""}},
		// Where nothing is judged, halves of surrogate pairs are let through, as
		// JavaScript writes them for a text that was cut.
		open + `"tools/call","params":{"name":"a","arguments":{"text":"\ud83d"}}}`: {{"tools/call", mcp.Tool, "a"}},
		open + `"tools/call","params":{"name":"\ud83d\ude00"}}`:                    {{"tools/call", mcp.Tool, "😀"}},
	} {
		m, f := mcp.Parse(post(), []byte(body))
		if f != nil {
			t.Errorf("%s: %v", body, f.Err)
			continue
		}
		if got := calls(m); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}

// nested are so many arrays in each other.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// tool is a call of a tool with params.
func tool(params string) string { return open + `"tools/call","params":` + params + `}` }

func TestWhatIsAmbiguousIsRefused(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 1<<16 + 1 {
		fmt.Fprintf(&many, `"%d":0,`, i)
	}
	names := func(list ...string) (all []string) {
		for _, n := range list {
			all = append(all, tool(`{"name":"list","`+n+`":"delete_all"}`), tool(`{"`+n+`":"delete_all","name":"list"}`))
		}
		return all
	}
	for want, bodies := range map[error][]string{
		reason.MessageSyntax: {
			"", " ", "nul", "{", `{"a"`, `{"a":1,}`, open + `"ping"}}`, `{a:1}`, `{'a':1}`, "\x00", `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e}`, `{"a":NaN}`,
			open + `"ping"}` + open + `"tools/call","params":{"name":"delete_all"}}`, open + `"ping"} x`, open + `"ping"}` + "\x00", open + `"ping"}//`, `/**/` + open + `"ping"}`,
			"{\"a\":\"\n\"}", `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u12`, `{"\ud800":1}`, `{"\udc00\ud800":1}`, `[` + open + `"ping"},]`, `[` + open + `"ping"}`, "{\"a\":\v1}", `{"a":tru}`, `{"a":True}`, `{"a" 1}`, `{"a":1 "b":2}`, `{1:2}`,
			open + `"ping","params":{"name":"x"}`,
		},
		reason.MessageEncoding:  {"\uFEFF" + open + `"ping"}`, open + "\"\xff\"}", tool("{\"name\":\"a\xc0\xaf\"}"), "\xff\xfe{\x00}\x00", tool("{\"name\":\"\xed\xa0\x80\"}")},
		reason.MessageDuplicate: {tool(`{"name":"list","name":"delete_all"}`), tool(`{"name":"list","n\u0061me":"delete_all"}`), open + `"ping","method":"tools/call"}`, open + `"ping","id":2}`, tool(`{"name":"list"},"params":{"name":"delete_all"}`), tool(`{"name":"list","arguments":{"deep":[{"x":1,"y":2,"x":3}]}}`), tool(`{"name":"list","_meta":{"a":1,"a":1}}`), tool(`{"name":"l","arguments":{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0,"11":0,"12":0,"13":0,"1\u0033":0}}`), `{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}`},
		reason.MessageBounds:    {tool(`{"name":"l","arguments":{"x":` + nested(126) + `}}`), tool(`{"name":"l","arguments":{` + many.String() + `"x":0}}`), `[` + strings.Repeat(open+`"ping"},`, 1000) + open + `"ping"}]`, tool(`{"name":"l","` + strings.Repeat("n", 8<<10+1) + `":1}`)},
		reason.MemberFolded.With("params"): append(names("Name", "NAME", "nAme", `name\u0000`, "na_me", " name", "name ", "name\u200b", "\uFEFFname", "na\u0301me", "ｎame", "name1"),
			tool(`{"name":"l","Arguments":{}}`), tool(`{"name":"l","argument\u017f":{}}`), tool(`{"name":"l","TASKID":"x"}`), tool(`{"name":"l","_META":{}}`), tool(`{"name":"l","＿meta":{}}`), tool(`{"name":"l","_meta\u200d":{}}`),
			open+`"resources/read","params":{"uri":"a","urı":"b"}}`, open+`"resources/read","params":{"uri":"a","URİ":"b"}}`, open+`"tasks/get","params":{"taskId":"a","tas\u212aId":"b"}}`, tool(`{"Name":"delete_all"}`)),
		reason.MemberFolded.With("the message"): {open + `"ping","Method":"tools/call"}`, open + `"ping","METHOD":"tools/call"}`, open + `"ping","Params":{"name":"delete_all"}}`, open + `"ping","param\u017f":{"name":"x"}}`, open + `"ping","ID":2}`, open + `"ping","id\u0000":2}`, open + `"ping","Result":1}`, `{"JSONRPC":"2.0","jsonrpc":"2.0","method":"ping"}`, `{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call"}`},
		reason.MemberFolded.With("ref"):         {open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","Name":"q"}}}`, open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","URI":"q"}}}`, open + `"completion/complete","params":{"ref":{"type":"ref/prompt","Type":"ref/resource","name":"p"}}}`},
		reason.MemberFolded.With("_meta"):       {tool(`{"name":"l","_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}}`), tool(`{"name":"l","_meta":{"io.modelcontextprotocol.protocolVersion":"2026-07-28"}}`)},
		reason.MessageType:                      {"1", `"tools/call"`, "null", "true", "[1]", "[[]]", `[[` + open + `"ping"}]]`, `[` + open + `"ping"},null]`, `{"method":"ping"}`, `{"jsonrpc":"1.0","method":"ping"}`, `{"jsonrpc":2.0,"method":"ping"}`, "{}"},
		reason.EmptyBatch:                       {"[]", " [ ] "},
		reason.MessageID:                        {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, `{"jsonrpc":"2.0","id":[1],"method":"ping"}`, `{"jsonrpc":"2.0","id":true,"method":"ping"}`, `{"jsonrpc":"2.0","id":false,"result":1}`},
		reason.MessageMethod:                    {open + `1}`, open + `null}`, open + `["tools/call"]}`, open + `""}`, open + `"tools/call\n"}`, open + `"\ud800"}`, open + `"my\u0085"}`, open + `"` + strings.Repeat("m", 8<<10+1) + `"}`},
		reason.MethodFolded:                     {open + `"Tools/Call","params":{"name":"delete_all"}}`, open + `"tools/call ","params":{"name":"delete_all"}}`, open + `"tool\u017f/call"}`, open + `"toolscall"}`, open + `"tools_call"}`, open + `"prompt\u017f/get"}`, open + `"TOOLS/LIST"}`, open + `"/tools/call"}`, open + `"tools/call\u200b"}`, open + `"tasks/Get"}`, open + `"tas\u212as/get"}`, open + `"resources/ｒead"}`},
		reason.CallAndResponse:                  {open + `"tools/call","params":{"name":"delete_all"},"result":{}}`, open + `"ping","error":null}`},
		reason.NeitherCallNorResponse:           {`{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":1,"params":{"name":"delete_all"}}`},
		reason.ParamsType:                       {tool(`["delete_all"]`), tool(`null`), tool(`"delete_all"`), tool(`1`), open + `"my/method","params":[]}`, `{"jsonrpc":"2.0","id":1,"result":{},"params":[]}`},
		reason.MetaType:                         {tool(`{"name":"l","_meta":null}`), tool(`{"name":"l","_meta":[]}`), tool(`{"name":"l","_meta":{"io.modelcontextprotocol/protocolVersion":1}}`)},
		reason.NameType.With("params.name"):     {open + `"tools/call"}`, tool(`{}`), tool(`{"name":null}`), tool(`{"name":7}`), tool(`{"name":""}`), tool(`{"name":["delete_all"]}`), tool(`{"name":{"name":"delete_all"}}`), tool(`{"name":"delete_all\u0000"}`), tool(`{"name":"\u007fdelete_all"}`), tool(`{"name":"\ud800"}`), tool(`{"name":"` + strings.Repeat("n", 8<<10+1) + `"}`), tool(`{"uri":"x"}`), open + `"prompts/get","params":{"uri":"x"}}`, `{"jsonrpc":"2.0","method":"tools/call"}`},
		reason.NameType.With("params.uri"):      {open + `"resources/read"}`, open + `"resources/read","params":{"name":"x"}}`, open + `"resources/subscribe","params":{"uri":""}}`, open + `"resources/unsubscribe","params":{"uri":1}}`, open + `"resources/read","params":{"uri":"file:///a%00b"}}`, open + `"resources/read","params":{"uri":"file:///a%0ab"}}`},
		reason.DotSegments:                      {open + `"resources/read","params":{"uri":"file:///public/../secret"}}`, open + `"resources/read","params":{"uri":"file:///public/%2e%2E/secret"}}`, open + `"resources/read","params":{"uri":"file:///public%2f..%2fsecret"}}`, open + `"resources/read","params":{"uri":"file:///public\\..\\secret"}}`, open + `"resources/read","params":{"uri":"file:///public/.."}}`, open + `"resources/read","params":{"uri":"../secret"}}`, open + `"resources/read","params":{"uri":"file:///public/./x"}}`, open + `"resources/read","params":{"uri":"file:///public/..;a=b/secret"}}`, open + `"resources/read","params":{"uri":"file:///public/.\u200b./secret"}}`},
		reason.RefType:                          {open + `"completion/complete"}`, open + `"completion/complete","params":{}}`, open + `"completion/complete","params":{"ref":"p"}}`, open + `"completion/complete","params":{"ref":{"type":"ref/tool","name":"p"}}}`, open + `"completion/complete","params":{"ref":{"name":"p"}}}`, open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","uri":"u"}}}`, open + `"completion/complete","params":{"ref":{"type":"ref/resource","name":"p","uri":"u"}}}`, open + `"completion/complete","params":{"ref":{"type":"REF/PROMPT","name":"p"}}}`},
		reason.NameType.With("ref.name"):        {open + `"completion/complete","params":{"ref":{"type":"ref/prompt"}}}`, open + `"completion/complete","params":{"ref":{"type":"ref/prompt","name":7}}}`},
		reason.NameType.With("ref.uri"):         {open + `"completion/complete","params":{"ref":{"type":"ref/resource"}}}`, open + `"completion/complete","params":{"ref":{"type":"ref/resource","uri":""}}}`},
	} {
		for _, body := range bodies {
			m, f := mcp.Parse(post(), []byte(body))
			shown := body[:min(len(body), 200)]
			if f == nil {
				t.Errorf("%s: judged as %v, want %v", shown, calls(m), want)
				continue
			}
			if f.Err.Error() != want.Error() {
				t.Errorf("%s: %v, want %v", shown, f.Err, want)
			}
			if f.Code() != reason.MalformedMessage || !errors.Is(f.Err, reason.MalformedMessage) {
				t.Errorf("%s: the reason %s", shown, f.Code())
			}
			notJSON := want == error(reason.MessageSyntax) || want == error(reason.MessageEncoding)
			if rpc := f.RPCCode(); notJSON != (rpc == -32700) || !notJSON && rpc != -32600 {
				t.Errorf("%s: the code %d", shown, rpc)
			}
		}
		// In a batch each of them refuses all the others.
		if want == error(reason.MessageEncoding) || want == error(reason.EmptyBatch) {
			continue
		}
		for _, body := range bodies {
			for _, batch := range []string{`[` + open + `"ping"},` + body + `]`, `[` + body + `,` + open + `"ping"}]`} {
				m, f := mcp.Parse(post(), []byte(batch))
				if f == nil {
					t.Errorf("%.200s: judged as %v", batch, calls(m))
				} else if f.ID != nil {
					t.Errorf("%.200s: the id %s", batch, f.ID)
				}
			}
		}
	}
}

func TestFaultsHaveTheID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("7", 300)
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":"a\"\u00e9","method":"Tools/Call"}`:              `"a\"\u00e9"`,
		`{"jsonrpc":"2.0","id":-1.5e3,"method":"tools/call"}`:                   `-1.5e3`,
		`{"method":"tools/call","params":{"a":1,"a":2},"jsonrpc":"2.0","id":9}`: `9`,
		`{"jsonrpc":"2.0","id":null,"method":"tools/call"}`:                     ``,
		`{"jsonrpc":"2.0","method":"tools/call"}`:                               ``,
		`{"jsonrpc":"2.0","id":[1],"method":"tools/call"}`:                      ``,
		`{"jsonrpc":"2.0","id":"\ud800","method":"tools/call"}`:                 ``,
		`{"jsonrpc":"2.0","id":` + long + `,"method":"tools/call"}`:             ``,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call"`:                         ``,
		`{"jsonrpc":"2.0","id":7,"method":"ping"}x`:                             ``,
	} {
		_, f := mcp.Parse(post(), []byte(body))
		if f == nil || string(f.ID) != want {
			t.Errorf("%s: %+v, want the id %s", body, f, want)
		}
	}
	m, f := mcp.Parse(post(), []byte(`{"jsonrpc":"2.0","id":7,"method":"ping"}`))
	if f != nil || string(m.ID) != "7" || string(m.Calls[0].ID) != "7" || m.Batch {
		t.Errorf("%+v, %+v", m, f)
	}
	m, f = mcp.Parse(post(), []byte(`[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":"x","method":"ping"}]`))
	if f != nil || m.ID != nil || string(m.Calls[0].ID) != "7" || string(m.Calls[1].ID) != `"x"` || !m.Batch {
		t.Errorf("%+v, %+v", m, f)
	}
	// The id is known where the headers are what is wrong.
	_, f = mcp.Parse(post("Mcp-Method", "a", "Mcp-Method", "b"), []byte(`{"jsonrpc":"2.0","id":7,"method":"ping"}`))
	if f == nil || string(f.ID) != "7" || f.RPCCode() != -32020 {
		t.Errorf("%+v", f)
	}
}
