package integration

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// sibling is a request that is nearly, or exactly, a call of what only some may call.
type sibling struct {
	what    string
	method  string   // POST if empty
	target  string   // /mcp if empty
	proto   string   // HTTP/1.1 if empty
	types   []string // Content-Type; application/json once if nil
	headers []string // lines
	body    string
	framed  bool     // the headers say where the body ends, and it is as it is sent
	chunks  int      // how many bytes a chunk has; 0 for a Content-Length
	trailer []string // lines behind the last chunk
	early   bool     // the HTTP server refuses it before any handler
	honest  bool     // it is as clients send it: anyone who may call it gets through
}

// text returns the request byte for byte.
func (s *sibling) text(host, label, authorization string) string {
	var b strings.Builder
	method := s.method
	if method == "" {
		method = "POST"
	}
	target := strings.ReplaceAll(cmp.Or(s.target, "/mcp"), "HOST", host)
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\nX-Sibling: %s\r\nAccept: application/json, text/event-stream\r\n", method, target, cmp.Or(s.proto, "HTTP/1.1"), host, label)
	if authorization != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", authorization)
	}
	types := s.types
	if types == nil {
		types = []string{"application/json"}
	}
	for _, value := range types {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", value)
	}
	for _, line := range s.headers {
		b.WriteString(line + "\r\n")
	}
	if !slices.ContainsFunc(s.headers, func(line string) bool { return strings.HasPrefix(line, "Connection:") }) {
		b.WriteString("Connection: close\r\n")
	}
	switch {
	case s.framed:
		return b.String() + "\r\n" + s.body
	case s.chunks == 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(s.body), s.body)
		return b.String()
	}
	b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	for part := range slices.Chunk([]byte(s.body), s.chunks) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
	}
	b.WriteString("0\r\n")
	for _, line := range s.trailer {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

// The versions of the protocol; the first is for none, which is one of the oldest.
var mcpVersions = []string{"", "2025-03-26", "2025-06-18", "2025-11-25", newestMCP}

const newestMCP = "2026-07-28"

// metaOf is what params of a version have besides; it begins with a comma.
func metaOf(version string) string {
	if version != newestMCP {
		return ""
	}
	return `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + version + `","io.modelcontextprotocol/clientCapabilities":{}}`
}

// headersOf are the headers of a call of a version.
func headersOf(version, method, name string) []string {
	var lines []string
	if version != "" {
		lines = append(lines, "MCP-Protocol-Version: "+version)
	}
	if version == newestMCP {
		lines = append(lines, "Mcp-Method: "+method)
		if name != "" {
			lines = append(lines, "Mcp-Name: "+name)
		}
	}
	return lines
}

// message is a call; params are without braces.
func message(method, params, version string) string {
	meta := metaOf(version)
	if params == "" {
		meta = strings.TrimPrefix(meta, ",")
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + meta + `}}`
}

// sentinel is the encoding of a name in a header.
func sentinel(name string) string {
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
}

// mcpSiblings are some hundred ways to call, or nearly to call, delete_all and its like.
func mcpSiblings() []sibling {
	var all []sibling
	for _, version := range mcpVersions {
		all = append(all, honestSiblings(version)...)
		all = append(all, memberSiblings(version)...)
		all = append(all, nameSiblings(version)...)
		all = append(all, headerSiblings(version)...)
		all = append(all, bodySiblings(version)...)
		all = append(all, kindSiblings(version)...)
		all = append(all, spellingSiblings(version)...)
	}
	return slices.Concat(all, transportSiblings(), batchSiblings(), fieldSiblings(), requestSiblings())
}

// honestSiblings are calls as clients make them.
func honestSiblings(version string) (all []sibling) {
	for _, c := range []struct{ method, member, name string }{
		{"tools/call", "name", "list"}, {"tools/call", "name", "read"}, {"tools/call", "name", "delete_all"},
		{"prompts/get", "name", "greet"}, {"prompts/get", "name", "secret"},
		{"resources/read", "uri", "file:///public/a"}, {"resources/read", "uri", "file:///secret/a"},
	} {
		params := fmt.Sprintf("%q:%q", c.member, c.name)
		if c.method == "tools/call" {
			params += `,"arguments":{"text":"` + "\u00e9 \\ud83d\\ude00 \\n" + `"}`
		}
		all = append(all, sibling{what: "honest " + c.name, body: message(c.method, params, version), headers: headersOf(version, c.method, c.name), honest: true})
		all = append(all, sibling{what: "chunked " + c.name, body: message(c.method, params, version), headers: headersOf(version, c.method, c.name), chunks: 7, honest: true})
	}
	return all
}

// memberSiblings have members that are duplicate, or that some readers take for others.
func memberSiblings(version string) (all []sibling) {
	for _, spelling := range []string{"name", "Name", "NAME", "nAmE", `n\u0061me`, `name\u0000`, `name\u200b`, `\ufeffname`, "na\u0301me", "ｎame", "name ", "na_me"} {
		for _, params := range []string{`"name":"list","` + spelling + `":"delete_all"`, `"` + spelling + `":"delete_all","name":"list"`, `"` + spelling + `":"delete_all"`} {
			all = append(all, sibling{what: "member " + params, body: message("tools/call", params, version), headers: headersOf(version, "tools/call", "list")})
		}
	}
	for what, body := range map[string]string{
		"two methods":         `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"delete_all"` + metaOf(version) + `}}`,
		"Method":              `{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{"name":"delete_all"` + metaOf(version) + `}}`,
		"method with NUL":     `{"jsonrpc":"2.0","id":1,"method":"tools/list","method\u0000":"tools/call","params":{"name":"delete_all"` + metaOf(version) + `}}`,
		"two params":          `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list"` + metaOf(version) + `},"params":{"name":"delete_all"` + metaOf(version) + `}}`,
		"Params":              `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list"` + metaOf(version) + `},"Params":{"name":"delete_all"}}`,
		"param\u017f":         `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list"` + metaOf(version) + `},"param` + "\u017f" + `":{"name":"delete_all"}}`,
		"a result":            `{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{},"params":{"name":"delete_all"` + metaOf(version) + `}}`,
		"an error":            `{"jsonrpc":"2.0","id":1,"method":"tools/call","error":{"code":1,"message":"x"},"params":{"name":"delete_all"` + metaOf(version) + `}}`,
		"two metas":           message("tools/call", `"_meta":{},"name":"delete_all"`, version),
		"duplicate arguments": message("tools/call", `"name":"delete_all","arguments":{"a":1,"a":2}`, version),
		"two names in _meta":  message("tools/call", `"name":"list","_META":{"name":"delete_all"}`, version),
	} {
		all = append(all, sibling{what: what, body: body, headers: headersOf(version, "tools/call", "delete_all")})
	}
	return all
}

// nameSiblings have other names, and none.
func nameSiblings(version string) (all []sibling) {
	for _, value := range []string{
		`"DELETE_ALL"`, `"Delete_All"`, `"delete_all "`, `" delete_all"`, `"delete_all\u0000"`, `"delete_all\n"`, `"delete\u200b_all"`, `"delete\u005fall"`,
		`"\u0064\u0065\u006c\u0065\u0074\u0065_all"`, `"delete_all\ud800"`, `"delete all"`, `"delete-all"`, `"delete_a\u0301ll"`, `"ｄelete_all"`, `7`, `null`, `""`, `["delete_all"]`, `{"name":"delete_all"}`, `true`,
	} {
		all = append(all, sibling{what: "name " + value, body: message("tools/call", `"name":`+value, version), headers: headersOf(version, "tools/call", sentinel("delete_all"))})
	}
	for _, method := range []string{"Tools/Call", "TOOLS/CALL", "tool\u017f/call", "tools/call ", " tools/call", `tools/call\u0000`, `tools\/call`, `\u0074ools/call`, "tools//call", "/tools/call", "tools/call/", "tools_call"} {
		all = append(all, sibling{what: "method " + method, body: message(method, `"name":"delete_all"`, version), headers: headersOf(version, "tools/call", "delete_all")})
	}
	for _, params := range []string{`["delete_all"]`, `[{"name":"delete_all"}]`, `"delete_all"`, `null`} {
		all = append(all, sibling{what: "params " + params, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`, headers: headersOf(version, "tools/call", "delete_all")})
	}
	return all
}

// headerSiblings have headers that lie, or too many or too few of them.
func headerSiblings(version string) (all []sibling) {
	body := message("tools/call", `"name":"delete_all"`, version)
	for what, lines := range map[string][]string{
		"none":                     {},
		"only the version":         {"MCP-Protocol-Version: " + newestMCP},
		"another name":             {"MCP-Protocol-Version: " + newestMCP, "Mcp-Method: tools/call", "Mcp-Name: list"},
		"an encoded lie":           {"MCP-Protocol-Version: " + newestMCP, "Mcp-Method: tools/call", "Mcp-Name: " + sentinel("list")},
		"the truth, encoded":       {"MCP-Protocol-Version: " + newestMCP, "Mcp-Method: tools/call", "Mcp-Name: " + sentinel("delete_all")},
		"another method":           {"MCP-Protocol-Version: " + newestMCP, "Mcp-Method: tools/list"},
		"two names":                {"MCP-Protocol-Version: " + newestMCP, "Mcp-Method: tools/call", "Mcp-Name: delete_all", "Mcp-Name: list"},
		"two methods":              {"MCP-Protocol-Version: " + newestMCP, "Mcp-Method: tools/call", "Mcp-Method: tools/list", "Mcp-Name: delete_all"},
		"two versions":             {"MCP-Protocol-Version: " + newestMCP, "MCP-Protocol-Version: 2025-03-26", "Mcp-Method: tools/call", "Mcp-Name: delete_all"},
		"an underscore":            {"MCP-Protocol-Version: 2025-06-18", "Mcp_Method: tools/list", "Mcp_Name: list"},
		"an old version that lies": {"MCP-Protocol-Version: 2025-06-18", "Mcp-Method: tools/call", "Mcp-Name: list"},
		"no version, a lie":        {"Mcp-Name: list"},
		"a version to come":        {"MCP-Protocol-Version: 2027-01-01", "Mcp-Method: tools/call", "Mcp-Name: delete_all"},
		"a version that is none":   {"MCP-Protocol-Version: zzz", "Mcp-Method: tools/call", "Mcp-Name: delete_all"},
		"an empty version":         {"MCP-Protocol-Version: "},
	} {
		all = append(all, sibling{what: "headers: " + what, body: body, headers: lines})
	}
	return all
}

// bodySiblings have other bytes for the same call.
func bodySiblings(version string) (all []sibling) {
	call, list := message("tools/call", `"name":"delete_all"`, version), message("tools/list", "", version)
	headers := headersOf(version, "tools/call", "delete_all")
	spaced := strings.ReplaceAll(strings.ReplaceAll(call, ":", " :\t"), ",", "\r\n, ")
	for what, body := range map[string]string{
		"a byte order mark":      "\ufeff" + call,
		"utf-16":                 string(utf16Bytes(call)),
		"latin-1":                message("tools/call", "\"name\":\"delete_all\",\"x\":\"\xe9\"", version),
		"two messages":           list + call,
		"two messages, lines":    list + "\n" + call,
		"something behind":       call + "}",
		"NUL behind":             call + "\x00",
		"a comment":              "/* */" + call,
		"a comma":                strings.Replace(call, "}}", ",}}", 1),
		"cut off":                call[:len(call)-1],
		"empty":                  "",
		"a text":                 `"` + base64.StdEncoding.EncodeToString([]byte(call)) + `"`,
		"nested too deeply":      message("tools/call", `"name":"delete_all","arguments":{"x":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`}`, version),
		"too large":              message("tools/call", `"name":"delete_all","arguments":{"x":"`+strings.Repeat("x", 1<<20)+`"}`, version),
		"another JSON-RPC":       strings.Replace(call, `"2.0"`, `"1.0"`, 1),
		"no JSON-RPC":            strings.Replace(call, `"jsonrpc":"2.0",`, "", 1),
		"an object as id":        strings.Replace(call, `"id":1`, `"id":{}`, 1),
		"no id":                  strings.Replace(call, `"id":1,`, "", 1),
		"null as id":             strings.Replace(call, `"id":1`, `"id":null`, 1),
		"a form":                 "name=delete_all",
		"a list with the call":   `[[` + call + `]]`,
		"a response":             `{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call","params":{"name":"delete_all"}}}`,
		"a response of anything": `{"jsonrpc":"2.0","id":1,"params":{"name":"delete_all"}}`,
	} {
		all = append(all, sibling{what: what, body: body, headers: headers})
	}
	for what, body := range map[string]string{
		"spaces":          " \r\n" + spaced + "\n",
		"text as id":      strings.Replace(call, `"id":1`, `"id":"a\u00e9"`, 1),
		"members turned":  `{"params":{"arguments":{},"name":"delete_all"` + metaOf(version) + `},"method":"tools/call","id":1,"jsonrpc":"2.0"}`,
		"large":           message("tools/call", `"arguments":{"x":"`+strings.Repeat("x", 900<<10)+`"},"name":"delete_all"`, version),
		"many members":    message("tools/call", `"arguments":{`+manyMembers(5000)+`},"name":"delete_all"`, version),
		"name in depth":   message("tools/call", `"arguments":{"params":{"name":"list"},"Name":"list"},"name":"delete_all"`, version),
		"half surrogates": message("tools/call", `"arguments":{"x":"\ud83d"},"name":"delete_all"`, version),
	} {
		all = append(all, sibling{what: what, body: body, headers: headers, honest: true})
	}
	return all
}

func manyMembers(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"%d":%d`, i, i)
	}
	return strings.Join(list, ",")
}

func utf16Bytes(s string) []byte {
	var b bytes.Buffer
	for _, unit := range utf16.Encode([]rune("\ufeff" + s)) {
		b.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return b.Bytes()
}

// kindSiblings are about prompts and resources, and use methods that name tools, or nothing.
func kindSiblings(version string) (all []sibling) {
	add := func(method, params, name string, honest bool) {
		all = append(all, sibling{what: method + " " + params, body: message(method, params, version), headers: headersOf(version, method, name), honest: honest})
	}
	add("prompts/get", `"name":"greet","Name":"secret"`, "greet", false)
	add("prompts/get", `"name":"SECRET"`, "SECRET", false)
	add("prompts/get", `"uri":"secret"`, "secret", false)
	for _, uri := range []string{
		"file:///public/../secret/a", "file:///public/%2e%2e/secret/a", "file:///%73ecret/a", "FILE:///secret/a", "file:////secret/a", "file:///secret%2Fa", "file:///public/a%00", "file://localhost/public/a",
		"file://localhost/secret/a", "file://%6cocalhost/secret/a", "file://127.0.0.1/secret/a", "file://elsewhere/secret/a", "file://me@localhost/secret/a", "file:/secret/a",
	} {
		add("resources/read", fmt.Sprintf(`"uri":%q`, uri), uri, false)
	}
	add("resources/read", `"uri":"file:///public/a","URI":"file:///secret/a"`, "file:///public/a", false)
	add("resources/read", `"uri":"file:///public/a","ur`+"\u0131"+`":"file:///secret/a"`, "file:///public/a", false)
	add("completion/complete", `"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"a","value":"b"}`, "", true)
	add("completion/complete", `"ref":{"type":"ref/prompt","name":"greet","Name":"secret"},"argument":{"name":"a","value":"b"}`, "", false)
	add("completion/complete", `"ref":{"type":"ref/resource","uri":"file:///secret/{x}"},"argument":{"name":"a","value":"b"}`, "", true)
	add("completion/complete", `"ref":{"type":"ref/tool","name":"delete_all"},"argument":{"name":"a","value":"b"}`, "", false)
	for _, method := range []string{"tools/list", "prompts/list", "tasks/get", "tasks/cancel", "tools/execute", "notifications/delete_all", "server/discover"} {
		add(method, `"name":"delete_all","taskId":"delete_all"`, "", false)
	}
	return all
}
