package caddyjwt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkMCP is a call of a tool to a site with mcp and one rule for it, beside the same to
// the site without mcp. Whatever is behind reads the body in both.
func BenchmarkMCP(b *testing.B) {
	const rules = "mcp {\ntool list\ntool delete_* {\nrequire scope admin\n}\n}"
	token := "Bearer " + signed(b, map[string]any{"scope": "read"})
	for _, kib := range []int{1, 4, 16, 256} {
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) {
			body := benchCall(kib << 10)
			serve := func(h *Handler) func(int) error {
				server := new(caddyhttp.Server)
				next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					_, err := io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusOK)
					return err
				})
				w := &discard{header: http.Header{}}
				return func(int) error {
					r := httptest.NewRequest(http.MethodPost, "https://api.example/mcp", strings.NewReader(body))
					r.Header = http.Header{"Authorization": {token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
					clear(w.header)
					w.status = 0
					err := h.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server), next)
					if err == nil && w.status != http.StatusOK {
						err = fmt.Errorf("status %d", w.status)
					}
					return err
				}
			}
			takeTurns(b, serve(cachedSite(b, rules).Handler), serve(cachedSite(b, "").Handler))
		})
	}
}

// benchCall is a call of a tool whose body has a size, with arguments such as tools have.
func benchCall(size int) string {
	var args strings.Builder
	for i := 0; args.Len() < size-200; i++ {
		fmt.Fprintf(&args, `,"field%d":{"text":"the quick brown fox jumps over the lazy dog","n":%d,"list":[1,2,3]}`, i, i)
	}
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","arguments":{"x":1` + args.String() + `}}}`
	return body + strings.Repeat(" ", max(0, size-len(body)))
}
