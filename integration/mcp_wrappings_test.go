package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
)

// transportSiblings are the call in another wrapping.
func transportSiblings() (all []sibling) {
	call := message("tools/call", `"name":"delete_all"`, "")
	for _, types := range [][]string{
		{}, {"text/plain"}, {"application/json; charset=utf-16"}, {"application/json; charset=latin1"}, {"application/json;charset=utf-8;charset=utf-16"}, {"multipart/form-data; boundary=x"},
		{"application/x-www-form-urlencoded"}, {"application/json", "text/plain"}, {"text/plain", "application/json"}, {"application/json, text/plain"}, {"application/json;"}, {"application/j\u017fon"}, {"application/json; x=y"}, {"*/*"}, {""},
	} {
		all = append(all, sibling{what: fmt.Sprintf("types %q", types), types: types, body: call})
	}
	for _, types := range [][]string{{"application/json; charset=utf-8"}, {"Application/JSON;charset=UTF-8"}, {`application/json; charset="utf-8"`}} {
		all = append(all, sibling{what: fmt.Sprintf("types %q", types), types: types, body: call, honest: true})
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(call))
	_ = z.Close()
	for _, coding := range []string{"gzip", "x-gzip", "deflate", "br", "identity", "", "utf-8"} {
		all = append(all, sibling{what: "coding " + coding, headers: []string{"Content-Encoding: " + coding}, body: call}, sibling{what: "compressed, coding " + coding, headers: []string{"Content-Encoding: " + coding}, body: zipped.String()})
	}
	all = append(all, sibling{what: "compressed, no coding", body: zipped.String()}, sibling{what: "coding with an underscore", headers: []string{"Content_Encoding: gzip"}, body: zipped.String()})
	for _, method := range []string{"PUT", "PATCH", "QUERY", "PROPFIND", "post", "TRACE", "GET", "DELETE", "HEAD", "OPTIONS"} {
		all = append(all, sibling{what: method, method: method, body: call}, sibling{what: method + " in chunks", method: method, body: call, chunks: 5})
	}
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"} {
		all = append(all, sibling{what: header, headers: []string{header + ": DELETE"}, body: call}, sibling{what: "GET with " + header, method: "GET", headers: []string{header + ": POST"}})
	}
	for _, protocol := range []string{"websocket", "h2c", "TLS/1.0"} {
		all = append(all, sibling{what: "Upgrade " + protocol, headers: []string{"Connection: Upgrade", "Upgrade: " + protocol}, body: call}, sibling{what: "GET, Upgrade " + protocol, method: "GET", headers: []string{"Connection: Upgrade", "Upgrade: " + protocol}})
	}
	for _, size := range []int{1, 2, 64} {
		all = append(all, sibling{what: fmt.Sprintf("chunks of %d", size), body: call, chunks: size, honest: true}, sibling{what: fmt.Sprintf("chunks of %d, trailers", size), body: call, chunks: size, headers: []string{"Trailer: Mcp-Name, Content-Type"}, trailer: []string{"Mcp-Name: list", "Content-Type: text/plain"}})
	}
	return all
}

// requestSiblings are the call in a request that HTTP servers may take apart in different ways.
func requestSiblings() (all []sibling) {
	call, list := message("tools/call", `"name":"delete_all"`, ""), message("tools/call", `"name":"list"`, "")
	chunked := func(text string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text) }
	length := func(text string) string { return fmt.Sprintf("Content-Length: %d", len(text)) }
	all = append(all, sibling{what: "HTTP/1.0", proto: "HTTP/1.0", body: call, honest: true}, sibling{what: "a whole URL", target: "http://HOST/mcp", body: call, honest: true})
	for _, s := range []sibling{
		{what: "a chunk extension", headers: []string{"Transfer-Encoding: chunked"}, body: strings.Replace(chunked(call), "\r\n", ";a=b\r\n", 1)},
		{what: "Expect", headers: []string{length(call), "Expect: 100-continue"}, body: call},
		{what: "Expect, chunks", headers: []string{"Transfer-Encoding: chunked", "Expect: 100-continue"}, body: chunked(call)},
		{early: true, what: "another Expect", headers: []string{length(call), "Expect: 200-ok"}, body: call},
		{what: "two lengths, the same", headers: []string{length(call), length(call)}, body: call},
		{early: true, what: "two lengths", headers: []string{length(call), length(list)}, body: call},
		{what: "length and chunks", headers: []string{length(list), "Transfer-Encoding: chunked"}, body: chunked(call)},
		{early: true, what: "chunked twice", headers: []string{"Transfer-Encoding: chunked, chunked"}, body: chunked(call)},
		{early: true, what: "identity", headers: []string{"Transfer-Encoding: identity", length(call)}, body: call},
		{early: true, what: "gzip, chunked", headers: []string{"Transfer-Encoding: gzip, chunked"}, body: chunked(call)},
		{what: "chunks in HTTP/1.0", proto: "HTTP/1.0", headers: []string{"Transfer-Encoding: chunked"}, body: chunked(call)},
		{what: "no length in HTTP/1.0", proto: "HTTP/1.0", body: call},
		{early: true, what: "a length with a sign", headers: []string{"Content-Length: +" + fmt.Sprint(len(call))}, body: call},
		{what: "another message behind the length", headers: []string{length(list)}, body: list + call},
		{what: "a length that cuts", headers: []string{fmt.Sprintf("Content-Length: %d", len(list))}, body: call[:len(list)]},
	} {
		s.framed = true
		all = append(all, s)
	}
	for _, target := range []string{"/mcp?method=ping", "/mcp;x", "//mcp", "/mcp/", "/%6dcp", "*", "/mcp?_method=GET"} {
		all = append(all, sibling{what: "target " + target, target: target, body: call})
	}
	return all
}

// batchSiblings are several messages at once, as only the older revisions have them.
func batchSiblings() (all []sibling) {
	call, list, tools := message("tools/call", `"name":"delete_all"`, ""), message("tools/call", `"name":"list"`, ""), message("tools/list", "", "")
	numbered := func(messages ...string) string {
		for i, m := range messages {
			messages[i] = strings.Replace(m, `"id":1`, fmt.Sprintf(`"id":%d`, i+1), 1)
		}
		return "[" + strings.Join(messages, ",") + "]"
	}
	for what, b := range map[string]struct {
		body   string
		honest bool
	}{
		"harmless":               {numbered(tools, list), true},
		"one call":               {numbered(call), true},
		"the call is last":       {numbered(tools, list, call), true},
		"the call is first":      {numbered(call, tools), true},
		"with a notification":    {numbered(`{"jsonrpc":"2.0","method":"notifications/cancelled"}`, call), true},
		"with a response":        {numbered(`{"jsonrpc":"2.0","id":9,"result":{}}`, call), true},
		"empty":                  {"[]", false},
		"in a batch":             {"[[" + call + "]]", false},
		"with null":              {numbered(call, "null"), false},
		"with a text":            {numbered(tools, `"`+"x"+`"`, call), false},
		"with a bad message":     {numbered(tools, `{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"delete_all"}}`), false},
		"with folded members":    {numbered(tools, message("tools/call", `"name":"list","Name":"delete_all"`, "")), false},
		"with duplicate members": {numbered(tools, message("tools/call", `"name":"list","name":"delete_all"`, "")), false},
		"a comma at the end":     {"[" + call + ",]", false},
		"two batches":            {"[" + tools + "][" + call + "]", false},
		"a batch and a message":  {"[" + tools + "]" + call, false},
	} {
		for _, version := range mcpVersions {
			all = append(all, sibling{what: "batch " + what, body: b.body, headers: headersOf(version, "tools/call", "list"), honest: b.honest && version < "2025-06-18"})
		}
	}
	return all
}
