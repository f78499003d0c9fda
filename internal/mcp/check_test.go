package mcp_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

func TestOnlyPlainJSONIsJudged(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]error{
		"application/json":                             nil,
		"Application/JSON":                             nil,
		" application/json\t":                          nil,
		"application/json; charset=utf-8":              nil,
		"application/json;Charset=UTF-8":               nil,
		`application/json ;charset="utf-8"`:            nil,
		"":                                             reason.NoContentType,
		" ":                                            reason.NoContentType,
		"text/plain":                                   reason.OtherContentType,
		"application/jsonp":                            reason.OtherContentType,
		"application/j\u017fon":                        reason.OtherContentType,
		"application/vnd.api+json":                     reason.OtherContentType,
		"application/json, text/plain":                 reason.OtherContentType,
		"multipart/form-data; boundary=x":              reason.OtherContentType,
		"application/x-www-form-urlencoded":            reason.OtherContentType,
		"application/json;":                            reason.OtherContentType,
		"; charset=utf-8":                              reason.OtherContentType,
		"application/json; version=1":                  reason.OtherContentType,
		"application/json; charset=utf-8; charset=x":   reason.OtherContentType,
		"application/json; charset=utf-16":             reason.OtherCharset,
		"application/json; charset=utf-7":              reason.OtherCharset,
		"application/json; charset=":                   reason.OtherCharset,
		"application/json; charset":                    reason.OtherCharset,
		`application/json; charset="utf-8`:             reason.OtherCharset,
		"application/json; charset*=utf-8''utf-16":     reason.OtherContentType,
		`application/json; x="; charset=utf-8"`:        reason.OtherContentType,
		"application/json; charset=utf-8 charset=u-16": reason.OtherContentType,
	} {
		r := post()
		r.Header["Content-Type"] = []string{value}
		same(t, value, mcp.Check(r), want)
	}
	for what, c := range map[string]struct {
		set  func(http.Header)
		want error
	}{
		"no type":                     {func(h http.Header) { h.Del("Content-Type") }, reason.NoContentType},
		"two types":                   {func(h http.Header) { h.Add("Content-Type", "application/json") }, reason.ManyContentTypes},
		"a type with an underscore":   {func(h http.Header) { h["Content_type"] = []string{"text/plain"} }, reason.ManyContentTypes},
		"gzip":                        {func(h http.Header) { h.Set("Content-Encoding", "gzip") }, reason.ContentCoding},
		"identity":                    {func(h http.Header) { h.Set("Content-Encoding", "identity") }, reason.ContentCoding},
		"an empty encoding":           {func(h http.Header) { h.Set("Content-Encoding", "") }, reason.ContentCoding},
		"an encoding, underscore":     {func(h http.Header) { h["CONTENT_ENCODING"] = []string{"br"} }, reason.ContentCoding},
		"an override":                 {func(h http.Header) { h.Set("X-HTTP-Method-Override", "DELETE") }, reason.MethodOverride},
		"another override":            {func(h http.Header) { h.Set("X-HTTP-Method", "PUT") }, reason.MethodOverride},
		"a third override":            {func(h http.Header) { h.Set("X-Method-Override", "POST") }, reason.MethodOverride},
		"an override with underscore": {func(h http.Header) { h["X_HTTP_METHOD-OVERRIDE"] = []string{"PUT"} }, reason.MethodOverride},
		"an upgrade":                  {func(h http.Header) { h.Set("Upgrade", "websocket") }, reason.Upgrade},
		"a version with underscore":   {func(h http.Header) { h["Mcp_protocol_version"] = []string{"2026-07-28"} }, reason.HeaderTwice.With("MCP-Protocol-Version")},
		"a method with underscore":    {func(h http.Header) { h["MCP_METHOD"] = []string{"ping"} }, reason.HeaderTwice.With("Mcp-Method")},
		"a name with underscore":      {func(h http.Header) { h["Mcp_Name"] = []string{"list"} }, reason.HeaderTwice.With("Mcp-Name")},
		"another underscore":          {func(h http.Header) { h["X_Request_Id"] = []string{"1"} }, nil},
	} {
		r := post()
		c.set(r.Header)
		same(t, what, mcp.Check(r), c.want)
	}
}

// same compares a fault with the error that it is to have.
func same(t *testing.T, what string, f *mcp.Fault, want error) {
	t.Helper()
	switch {
	case want == nil:
		if f != nil {
			t.Errorf("%s: %v", what, f.Err)
		}
	case f == nil:
		t.Errorf("%s: judged, want %v", what, want)
	case f.Err.Error() != want.Error():
		t.Errorf("%s: %v, want %v", what, f.Err, want)
	}
}

func TestOtherMethodsThanPOST(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]error{
		"GET": nil, "DELETE": nil, "HEAD": nil, "OPTIONS": nil,
		"PUT": reason.MethodNotAllowed, "PATCH": reason.MethodNotAllowed, "CONNECT": reason.MethodNotAllowed,
		"TRACE": reason.MethodNotAllowed, "post": reason.MethodNotAllowed, "QUERY": reason.MethodNotAllowed,
	} {
		r := httptest.NewRequest(http.MethodGet, "/mcp", nil)
		r.Method = method
		same(t, method, mcp.Check(r), want)
		if mcp.Judged(r) {
			t.Errorf("%s is judged", method)
		}
		if want != nil {
			continue
		}
		r.ContentLength = 3
		same(t, method+" with a length", mcp.Check(r), reason.UnexpectedBody)
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
		same(t, method+" in chunks", mcp.Check(r), reason.UnexpectedBody)
		r.TransferEncoding = nil
		r.Header.Set("X-HTTP-Method-Override", "POST")
		same(t, method+" with an override", mcp.Check(r), reason.MethodOverride)
		r.Header.Del("X-HTTP-Method-Override")
		r.Header.Set("Upgrade", "h2c")
		same(t, method+" with an upgrade", mcp.Check(r), reason.Upgrade)
		r.Header.Del("Upgrade")

		// As HTTP/2 and 3 show a body without a length.
		same(t, method+" of unknown length", mcp.Check(r), nil)
	}
	if !mcp.Judged(post()) {
		t.Error("a POST is not judged")
	}
	same(t, "POST", mcp.Check(post()), nil)
}

func TestErrorsAreJSONRPC(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "null", "7", `"a\"b"`} {
		for _, message := range []string{"plain", "\"quoted\" \\ \n \x01 \u2028 é", "not UTF-8: \xff"} {
			text := mcp.AppendError([]byte("x"), json.RawMessage(id), -32020, message)
			var got struct {
				JSONRPC string          `json:"jsonrpc"`
				ID      json.RawMessage `json:"id"`
				Error   struct {
					Code    int    `json:"code"`
					Message string `json:"message"`
				} `json:"error"`
			}
			d := json.NewDecoder(bytes.NewReader(text[1:]))
			d.DisallowUnknownFields()
			if err := d.Decode(&got); err != nil || d.More() || text[0] != 'x' {
				t.Fatalf("%s: %v", text, err)
			}
			want := id
			if id == "" {
				want = "null"
			}
			if got.JSONRPC != "2.0" || string(got.ID) != want || got.Error.Code != -32020 || got.Error.Message != strings.ToValidUTF8(message, "\uFFFD") {
				t.Errorf("%s", text)
			}
		}
	}
	for code, want := range map[reason.Code]int{
		reason.HeaderMismatch: -32020, reason.MalformedMessage: -32600, reason.MethodNotAllowed: -32600, reason.UnsupportedMediaType: -32600,
		reason.BodyTooLarge: -32600, reason.BodyTimeout: -32600, reason.Overloaded: -32000, reason.Forbidden: -32000, reason.InsufficientScope: -32000,
	} {
		if got := (&mcp.Fault{Err: code}).RPCCode(); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}
