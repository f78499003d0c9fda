package mcp

import (
	"encoding/json"
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

// String returns the kind as a Caddyfile has it, such as "tool".
func (k Kind) String() string {
	switch k {
	case Tool:
		return "tool"
	case Prompt:
		return "prompt"
	case Resource:
		return "resource"
	}
	return "method"
}

// Call is one call of a message: a request or a notification. A batch has several.
type Call struct {
	// Method is the method, as it is written.
	Method string
	// Kind is Tool, Prompt or Resource if the method names one, and else Method.
	Kind Kind
	// Name is the name of the tool or prompt, or the URI of the resource, as it is written.
	Name string
	// ID is the id, as it is written, if it is a string or a number; nil for none, and for one
	// that is too long to be repeated.
	ID json.RawMessage

	// folded is the name, or the method if it names nothing, as it is compared with patterns;
	// empty if the call was not read by Parse. local is the same of a file on another host,
	// without that.
	folded, local string
}

// Message is the body of a POST: one message, or a batch of the older revisions.
type Message struct {
	// Calls are the calls in it, in their order; responses are none.
	Calls []Call
	// ID is the id of a single message, for the error that answers it; nil for none, for one
	// that is too long to be repeated, and for a batch.
	ID json.RawMessage
	// Batch is whether it is a batch.
	Batch bool
}
