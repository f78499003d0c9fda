package mcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
)

// call returns a call of about so many bytes, whose arguments are as those of an agent:
// objects and lists with texts.
func callOf(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}},"arguments":{"rows":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"title":"The quick brown fox jumps over the lazy dog","tags":["a","bc"],"done":true,"note":"line\nline \"quoted\"","weight":1.5e3}`, i)
	}
	b.WriteString(`]}}}`)
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	rules, err := mcp.NewRules([]mcp.Rule{{Kind: mcp.Tool, Patterns: []string{"delete_all"}}, {Kind: mcp.Tool, Patterns: []string{"list", "read"}}}, true)
	if err != nil {
		b.Fatal(err)
	}
	for _, kib := range []int{1, 4, 16, 256, 1024} {
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) {
			body := callOf(kib << 10)
			r := post("MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "delete_all")
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if f := mcp.Check(r); f != nil {
					b.Fatal(f.Err)
				}
				m, f := mcp.Parse(r, body)
				if f != nil {
					b.Fatal(f.Err)
				}
				if list, denied := rules.Matching(m.Calls[0]); len(list) != 1 || denied {
					b.Fatal(list)
				}
			}
		})
	}
}

// BenchmarkParseHostile is what a body can cost at most that has many members, escapes or
// levels.
func BenchmarkParseHostile(b *testing.B) {
	var members strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&members, `"%x":0,`, i)
	}
	for what, inner := range map[string]string{
		"members":  `{` + members.String() + `"x":0}`,
		"escapes":  `{"` + strings.Repeat(`\u0061`, 100000) + `":0}`,
		"levels":   `[` + strings.Repeat(strings.Repeat("[", 100)+strings.Repeat("]", 100)+",", 3000) + `0]`,
		"combined": `{"name":"` + strings.Repeat("e\u0301", 2700) + `"}`,
	} {
		b.Run(what, func(b *testing.B) {
			body := []byte(tool(`{"arguments":` + inner + `,"name":"x"}`))
			if what == "combined" {
				body = []byte(`[` + strings.TrimSuffix(strings.Repeat(tool(inner)+",", 100), ",") + `]`)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, f := mcp.Parse(post(), body); f != nil {
					b.Fatal(f.Err)
				}
			}
		})
	}
}
