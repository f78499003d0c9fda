package mcp

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Fault is why a request can't be judged, and is refused.
type Fault struct {
	// Err is the reason: a reason.Code or a *reason.Detailed of one.
	Err error
	// ID is the id of the message, if it could be read; nil for none.
	ID json.RawMessage

	notJSON bool
}

// Code returns the reason.
func (f *Fault) Code() reason.Code {
	var code reason.Code
	errors.As(f.Err, &code)
	return code
}

// RPCCode returns the code of the JSON-RPC error that answers it.
func (f *Fault) RPCCode() int { return RPCCode(f.Code(), f.notJSON) }

// The codes of JSON-RPC errors (JSON-RPC 2.0 section 5.1, and the transport of MCP).
const (
	codeParse   = -32700 // no JSON
	codeInvalid = -32600 // every other refusal with 4xx, but 403
	codeHeaders = -32020 // HeaderMismatch
	codeRefused = -32000 // 403 and 503
)

// RPCCode returns the code of the JSON-RPC error that answers a refusal with a reason.
// notJSON is whether a malformed message is no JSON at all.
func RPCCode(code reason.Code, notJSON bool) int {
	switch code {
	case reason.HeaderMismatch:
		return codeHeaders
	case reason.InsufficientScope, reason.Forbidden, reason.UnforwardableClaim, reason.Overloaded,
		reason.KeysUnavailable, reason.RevocationsUnavailable, reason.IntrospectionUnavailable:
		return codeRefused
	case reason.MalformedMessage:
		if notJSON {
			return codeParse
		}
	}
	return codeInvalid
}

// AppendError appends a JSON-RPC error response (JSON-RPC 2.0 section 5). The id is that of
// a Call, a Message or a Fault; nil becomes null. The message is valid UTF-8 or is made so.
func AppendError(dst []byte, id json.RawMessage, rpcCode int, message string) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if len(id) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, id...)
	}
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(rpcCode), 10)
	dst = append(dst, `,"message":"`...)
	for _, r := range message {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, `"}}`...)
}
