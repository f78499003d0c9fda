package caddyjwt

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
)

// benchCached gives a site a cache of its own.
func benchCached(s *site) *Handler {
	served(s)
	if s.validator != nil {
		s.validator = s.validator.Cached(tokencache.New(tokencache.DefaultSize))
	}
	return s.Handler
}

// toolCall is a call of a tool whose message has this size.
func toolCall(size int) []byte {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{"text":"%s"}}}`
	return fmt.Appendf(nil, call, strings.Repeat("Some words of a note, and more. ", size/32+1)[:size-len(call)+2])
}

// benchMCPRules are rules of which two concern the call.
const benchMCPRules = "mcp {\ntool delete_* {\nrequire scope orders:write\n}\ntool read_* list_* {\nrequire scope orders:read\n}\nmethod tools/* {\nrequire scope openid\n}\ndefault deny\n}\n"

// BenchmarkMCP is what the rules for messages cost more, by the size of the message. The other
// handler is the same without mcp; behind both, the body is read.
func BenchmarkMCP(b *testing.B) {
	const plain = "require scope openid\nforward user X-User\n"
	token := signed(b, map[string]any{"scope": "openid orders:read"})
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	})
	judged, other := benchCached(newSite(b, plain+benchMCPRules)), benchCached(newSite(b, plain))
	for _, kib := range []int{1, 4, 16, 256} {
		body := toolCall(kib << 10)
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) {
			benchServeRequests(b, judged, other, next, func(r *http.Request) {
				r.Method, r.ContentLength, r.Body = http.MethodPost, int64(len(body)), io.NopCloser(bytes.NewReader(body))
				r.Header = http.Header{
					"Authorization": {"Bearer " + token}, "Accept": {"application/json, text/event-stream"},
					"Content-Type": {"application/json"}, "Content-Length": {fmt.Sprint(len(body))},
				}
			}, http.StatusOK)
		})
	}
	b.Run("GET", func(b *testing.B) {
		benchServeHeader(b, judged, other, http.Header{"Authorization": {"Bearer " + token}})
	})
}

// BenchmarkOpaque is an opaque token whose issuer was asked before, and a JWT that was seen
// before with the same claims.
func BenchmarkOpaque(b *testing.B) {
	const opaque = "ory_at_Zk3mVq0Xw8sT5bN1yRc7uJ2dLhGf4aPe.Q9vKxM6tYzBnWcDr"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":true,"token_type":"Bearer","iss":"http://127.0.0.1","aud":["https://api.example"],"sub":"alice","scope":"openid orders:read","exp":%d}`, time.Now().Add(time.Hour).Unix())
	}))
	defer server.Close()
	const rules = "require scope orders:read\nforward user X-User\n"
	asked := benchCached(makeSite(b, "issuer http://127.0.0.1 {\nintrospection "+server.URL+"/introspect {\ncache 1h\n}\naudience https://api.example\n}\n"+rules))
	b.Run("opaque", func(b *testing.B) { benchServe(b, asked, []string{opaque}, http.StatusOK) })
	jwt := signed(b, map[string]any{"scope": "openid orders:read"})
	b.Run("jwt", func(b *testing.B) { benchServe(b, benchCached(newSite(b, rules)), []string{jwt}, http.StatusOK) })
	// The same JWT at a site that would ask about an opaque token, and has all the rest.
	all := "issuer https://login.example/{tid}/ {\npublic_key \"" + publicPEM(b, signer().Public()) + "\"\naudience https://api.example\ntenants *\n}\n" +
		"issuer http://127.0.0.1 {\nintrospection " + server.URL + "/introspect\naudience https://api.example\n}\n" +
		"resource https://api.example {\nauthorization_servers https://issuer.example\n}\nscope_implies admin orders:read\n"
	b.Run("jwt_beside_all", func(b *testing.B) {
		benchServe(b, benchCached(newSite(b, all+rules)), []string{jwt}, http.StatusOK)
	})
}
