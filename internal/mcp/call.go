package mcp

import (
	"encoding/json"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Kind is what a rule is about.
type Kind uint8

// The kinds.
const (
	// Method: the JSON-RPC method of a call, such as tools/list.
	Method Kind = iota
	// Tool: the name of a tool in tools/call.
	Tool
	// Prompt: the name of a prompt in prompts/get, or in the ref of completion/complete.
	Prompt
	// Resource: the URI of a resource in resources/read, subscribe and unsubscribe, or in the
	// ref of completion/complete.
	Resource
)

// Call is one call of a message: a request or a notification. A batch has several.
type Call struct {
	// Method is the method, as it is written.
	Method string
	// Kind is Tool, Prompt or Resource if the method names one, and else Method.
	Kind Kind
	// Name is the name of the tool or prompt, or the URI of the resource, as it is written.
	Name string
	// ID is the id, as it is written, if it is a string or a number; nil for none.
	ID json.RawMessage
}

// Message is the body of a POST: one message, or a batch of the older revisions.
type Message struct {
	// Calls are the calls in it, in their order; responses are none.
	Calls []Call
	// ID is the id of a single message, for the error that answers it; nil for none.
	ID json.RawMessage
}

// Fault is why a request can't be judged, and is refused.
type Fault struct {
	// Err is the reason: a reason.Code or a *reason.Detailed of one.
	Err error
	// ID is the id of the message, if it could be read; nil for none.
	ID json.RawMessage
}

// The codes of JSON-RPC errors.
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
	case reason.InsufficientScope, reason.Forbidden, reason.UnforwardableClaim, reason.Overloaded:
		return codeRefused
	case reason.MalformedMessage:
		if notJSON {
			return codeParse
		}
	}
	return codeInvalid
}
