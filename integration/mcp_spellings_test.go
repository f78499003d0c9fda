package integration

import (
	"fmt"
	"strings"
)

// spellingSiblings are the call in JSON that some readers take, and others read in another way.
func spellingSiblings(version string) (all []sibling) {
	headers := headersOf(version, "tools/call", "list")
	deleting := headersOf(version, "tools/call", "delete_all")
	list := message("tools/call", `"name":"list"`, version)
	call := message("tools/call", `"name":"delete_all"`, version)
	add := func(what, body string, headers []string) {
		all = append(all, sibling{what: what, body: body, headers: headers})
	}
	// Members that readers which fold case, normalize, or drop what they do not know take for
	// others.
	for _, member := range []string{
		`n\u0061m\u0065`, `\u006eame`, `N\u0041ME`, `nam\u0435`, `name\u00ad`, `name\ufe0f`, `\u2060name`, `name\u0301`, `name\t`, `name\u007f`, `na\u0000me`, `name\ud800`, `\udc00name`, `name.`, `$name`, `name[]`, `\uff2eame`, `\u24dfame`,
	} {
		for _, params := range []string{`"name":"list","` + member + `":"delete_all"`, `"` + member + `":"delete_all","name":"list"`} {
			add("member "+params, message("tools/call", params, version), headers)
		}
	}
	for what, body := range map[string]string{
		"method by the Kelvin sign":         `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"ta` + "\u212a" + `Id":"x","name":"delete_all"` + metaOf(version) + `}}`,
		"jsonrpc twice":                     strings.Replace(call, `"jsonrpc":"2.0"`, `"jsonrpc":"2.0","jsonrpc":"2.0"`, 1),
		"id twice":                          strings.Replace(call, `"id":1`, `"id":1,"id":2`, 1),
		"ID besides":                        strings.Replace(call, `"id":1`, `"id":1,"ID":2`, 1),
		"a method that is a list":           strings.Replace(call, `"tools/call"`, `["tools/call"]`, 1),
		"a method with a slash of math":     strings.Replace(call, "tools/call", "tools\u2215call", 1),
		"a method with no-break space":      strings.Replace(call, "tools/call", `tools/call\u00a0`, 1),
		"a method with a tab":               strings.Replace(call, "tools/call", `tools/call\t`, 1),
		"a method with a fullwidth slash":   strings.Replace(call, "tools/call", `tools\uff0fcall`, 1),
		"a method with a small capital":     strings.Replace(call, "tools/call", `tools/ca\u029fl`, 1),
		"a prototype":                       message("tools/call", `"name":"list","__proto__":{"name":"delete_all"}`, version),
		"a constructor":                     message("tools/call", `"name":"list","constructor":{"prototype":{"name":"delete_all"}}`, version),
		"_meta with the call":               message("tools/call", `"name":"list","_Meta":{"method":"tools/call"}`, version),
		"_meta that is a list":              `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all","_meta":[{}]}}`,
		"_meta that is null":                `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all","_meta":null}}`,
		"a version that lies in _meta":      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all","_meta":{"io.modelcontextprotocol/protocolVersion":"2024-11-05"}}}`,
		"a version with long s in _meta":    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all","_meta":{"io.modelcontextprotocol/protocolVer` + "\u017f" + `ion":"2024-11-05"}}}`,
		"members of members, twice":         message("tools/call", `"name":"delete_all","arguments":{"a":[{"b":{"c":1,"\u0063":2}}]}`, version),
		"a name behind a deep list":         message("tools/call", `"arguments":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`,"name":"delete_all"`, version),
		"a name behind deep objects":        message("tools/call", `"arguments":`+strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200)+`,"name":"delete_all"`, version),
		"bytes that are no UTF-8":           message("tools/call", "\"name\":\"delete_all\",\"arguments\":{\"a\":\"\xc0\xaf\"}", version),
		"bytes that are no UTF-8 in a name": message("tools/call", "\"name\":\"list\",\"nam\xe5\":\"delete_all\"", version),
		"a surrogate as UTF-8":              message("tools/call", "\"name\":\"delete_all\",\"a\":\"\xed\xa0\x80\"", version),
		"a mark in the middle":              strings.Replace(call, `"params":`, "\ufeff\"params\":", 1),
		"a no-break space":                  strings.Replace(call, `"params":`, "\u00a0\"params\":", 1),
		"a form feed":                       strings.Replace(call, `"params":`, "\f\"params\":", 1),
		"a line separator":                  strings.Replace(call, `"params":`, "\u2028\"params\":", 1),
		"NUL in the middle":                 strings.Replace(call, `"params":`, "\x00\"params\":", 1),
		"NUL in a text":                     strings.Replace(call, `delete_all`, "delete\x00_all", 1),
		"a line end in a text":              strings.Replace(call, `delete_all`, "delete_all\n", 1),
		"single quotes":                     strings.ReplaceAll(call, `"`, "'"),
		"names without quotes":              strings.Replace(call, `"name"`, "name", 1),
		"a hexadecimal escape":              strings.Replace(call, `delete_all`, `\x64elete_all`, 1),
		"an escape of eight digits":         strings.Replace(call, `delete_all`, `\U00000064elete_all`, 1),
		"an octal escape":                   strings.Replace(call, `delete_all`, `\144elete_all`, 1),
		"a capital u":                       strings.Replace(call, `delete_all`, `\U0064elete_all`, 1),
		"a line that goes on":               strings.Replace(call, `delete_all`, "delete_\\\nall", 1),
		"a comment in it":                   strings.Replace(call, `"params":`, "/**/\"params\":", 1),
		"a comment of a line":               strings.Replace(call, `"params":`, "//\n\"params\":", 1),
		"NaN":                               strings.Replace(call, `"id":1`, `"id":NaN`, 1),
		"Infinity":                          message("tools/call", `"name":"delete_all","arguments":{"a":Infinity}`, version),
		"a number with zero in front":       strings.Replace(call, `"id":1`, `"id":01`, 1),
		"a number with a plus":              strings.Replace(call, `"id":1`, `"id":+1`, 1),
		"a number that is hexadecimal":      strings.Replace(call, `"id":1`, `"id":0x1`, 1),
		"a number without an end":           strings.Replace(call, `"id":1`, `"id":1.`, 1),
		"a number with underscores":         strings.Replace(call, `"id":1`, `"id":1_0`, 1),
		"true as id":                        strings.Replace(call, `"id":1`, `"id":true`, 1),
		"a list as id":                      strings.Replace(call, `"id":1`, `"id":[1]`, 1),
		"a record separator":                "\x1e" + call + "\n",
		"a prefix against scripts":          ")]}',\n" + call,
		"a length in front":                 fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(call), call),
		"an event":                          "data: " + call + "\n\n",
		"in a list, with a call behind":     "[" + list + "]\n" + call,
		"a text of JSON":                    fmt.Sprintf("%q", call),
		"a callback":                        "f(" + call + ")",
	} {
		add(what, body, deleting)
	}
	for _, id := range []string{`1e400`, `-0`, `1.0`, `1e2`, `-7`, `123456789012345678901234567890`, `0.5e-300`, `""`, `"` + strings.Repeat("x", 300) + `"`, `"\ud800"`, `"\u0000"`} {
		add("id "+id, strings.Replace(call, `"id":1`, `"id":`+id, 1), deleting)
	}
	return all
}

// fieldSiblings have headers that some servers read in another way.
func fieldSiblings() (all []sibling) {
	body, listing := message("tools/call", `"name":"delete_all"`, newestMCP), message("tools/call", `"name":"list"`, newestMCP)
	version := "MCP-Protocol-Version: " + newestMCP
	for _, name := range []string{
		`"delete_all"`, "delete_all, list", "list, delete_all", "delete_all;list", "delete%5Fall", "DELETE_ALL", "", " ", "\tdelete_all\t", "delete_all\x0b", "d\xe9lete_all", "delete_all\x7f",
		"=?base64?ZGVsZXRlX2FsbA?=", "=?base64?ZGVsZXRlX2FsbA==?", "=?BASE64?ZGVsZXRlX2FsbA==?=", "=?base64?ZGVsZXRlX2FsbB==?=", "=?base64? ZGVsZXRlX2FsbA==?=", "=?base64?ZGVsZXRlX2\tFsbA==?=", "=?base64??=", "=?utf-8?B?ZGVsZXRlX2FsbA==?=", "=?utf-8?q?delete=5Fall?=",
		sentinel(sentinel("delete_all")), sentinel("delete_all\x00"), sentinel("\xff"), sentinel("Delete_All"), sentinel("list"), "list",
	} {
		for what, b := range map[string]string{"delete_all": body, "list": listing} {
			all = append(all, sibling{what: fmt.Sprintf("Mcp-Name %q with %s", name, what), body: b, headers: []string{version, "Mcp-Method: tools/call", "Mcp-Name: " + name}, early: strings.ContainsAny(name, "\v\x7f")})
		}
	}
	for _, lines := range [][]string{
		{"Mcp-Method: tools/call", "mcp-name: list"}, {"Mcp-Method: tools/call", "MCP-NAME: list", "mcp-name: delete_all"}, {"Mcp-Method: tools/call", "Mcp-Name: list", " delete_all"},
		{"Mcp-Method: tools/call", "Mcp-Name : list"}, {"Mcp-Method: TOOLS/CALL", "Mcp-Name: delete_all"}, {"Mcp-Method: tools/call, tools/list", "Mcp-Name: delete_all"}, {"Mcp-Method: =?base64?dG9vbHMvY2FsbA==?=", "Mcp-Name: delete_all"},
		{"Mcp-Method: ", "Mcp-Name: delete_all"}, {"Mcp.Method: tools/call", "Mcp.Name: list"}, {"Mcp-Method: tools/call", "Mcp-Name: list", "Connection: close, Mcp-Name"}, {"Mcp-Method: tools/call", "Mcp-Name: delete_all", "Mcp-Param-Name: list"},
		{"Mcp-Method: tools/call", "Mcp-Name: delete_all", "Connection: close, Mcp-Method, Content-Type, MCP-Protocol-Version"},
	} {
		all = append(all, sibling{what: fmt.Sprintf("lines %q", lines), body: body, headers: append([]string{version}, lines...), early: strings.Contains(strings.Join(lines, ""), " :")})
	}
	old := message("tools/call", `"name":"delete_all"`, "")
	for _, v := range []string{"2026-07-28 ", "2026-7-28", "2026-07-29", "9999-99-99", "2025-03-26, 2026-07-28", "\"2025-03-26\"", "DRAFT-2026-v1", "draft-2026-v1", "DRAFT-", "2024-10-07", "0000-00-00", "2025-06-18\x00"} {
		all = append(all, sibling{what: fmt.Sprintf("version %q", v), body: old, headers: []string{"MCP-Protocol-Version: " + v}, early: strings.Contains(v, "\x00")},
			sibling{what: fmt.Sprintf("version %q, batch", v), body: "[" + old + "]", headers: []string{"MCP-Protocol-Version: " + v}, early: strings.Contains(v, "\x00")})
	}
	for _, types := range [][]string{
		{"application/json;charset=utf-8;"}, {"application/json; charset=utf-8; charset=utf-8"}, {"application/json; charset='utf-8'"}, {"application/json; charset=utf8"}, {"application/json; charset=utf-8 ; x"}, {"application/json; charset"}, {"application/json; =utf-8"},
		{"application/json; charset*=utf-8''utf-7"}, {"application/json; charset=\"utf\\-8\""}, {"application/vnd.api+json"}, {"application/json-rpc"}, {"application/jsonrequest"}, {"application/json\tcharset=utf-16"}, {"application/json", "application/json"}, {"application/json, application/json"},
		{"application/json; charset=utf-8", "application/x-www-form-urlencoded"}, {"application/ json"}, {"application /json"}, {"\"application/json\""}, {"text/json"}, {"application/cbor"}, {"application/json\x00"}, {"application/json;;charset=utf-8"}, {"application/json\n\ttext/plain"},
	} {
		all = append(all, sibling{what: fmt.Sprintf("types %q", types), types: types, body: old, early: strings.Contains(types[0], "\x00")})
	}
	for _, types := range [][]string{{"application/json ; charset=utf-8"}, {" application/json\t"}, {"APPLICATION/JSON"}, {"application/json;\tcharset=utf-8"}} {
		all = append(all, sibling{what: fmt.Sprintf("types %q", types), types: types, body: old})
	}
	return all
}
