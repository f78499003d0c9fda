package mcp

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// The members that are judged, by their place in scanner.found.
const (
	theVersion = iota
	theID
	theMethod
	theParams
	theResult
	theError
	paramName
	paramURI
	paramTask
	paramRef
	paramMeta
	refType
	refName
	refURI
	metaVersion
	fields
)

// object is what is known of the members of one kind of object.
type object struct {
	members []member
	letters map[string]bool  // the names, by their letters
	folded  *reason.Detailed // that a member looks like a known one
}

// member is a member that the protocol knows.
type member struct {
	name   string
	field  int     // its place in scanner.found; -1 if it is not judged
	object *object // what is known of its members, if it is an object that is judged
}

// newObject returns what is known of a kind of object: the members that are judged, and other
// names that no member may look like.
func newObject(what string, judged []member, others ...string) *object {
	o := &object{members: judged, letters: map[string]bool{}, folded: reason.MemberFolded.With(what)}
	for _, name := range others {
		o.members = append(o.members, member{name: name, field: -1})
	}
	for _, m := range o.members {
		o.letters[letters(m.name)] = true
	}
	return o
}

// find returns the member of a name, if it is known. folded reports whether it is not, but
// looks like one that is: readers that ignore case, as encoding/json does, or that drop
// characters, would take it for that one.
func (o *object) find(name []byte) (known *member, folded bool) {
	for i := range o.members {
		if string(name) == o.members[i].name {
			return &o.members[i], false
		}
	}
	only := letters(string(name))
	if !o.letters[only] {
		return nil, false
	}
	// No reader takes meta for _meta.
	return nil, only != "meta" || strings.Contains(norm.NFKD.String(string(name)), "_")
}

// versionMember is the member of _meta with the version of the protocol.
const versionMember = "io.modelcontextprotocol/protocolVersion"

var (
	metaObject = newObject("_meta", []member{{name: versionMember, field: metaVersion}},
		"io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/clientCapabilities", "progressToken")
	refObject    = newObject("ref", []member{{name: "type", field: refType}, {name: "name", field: refName}, {name: "uri", field: refURI}})
	paramsObject = newObject("params", []member{
		{name: "name", field: paramName},
		{name: "uri", field: paramURI},
		{name: "taskId", field: paramTask},
		{name: "ref", field: paramRef, object: refObject},
		{name: "_meta", field: paramMeta, object: metaObject},
	}, "arguments", "argument", "context", "cursor", "level", "task", "inputResponses", "requestState", "notifications",
		"protocolVersion", "capabilities", "clientInfo", "requestId", "reason", "progressToken", "progress")
	messageObject = newObject("the message", []member{
		{name: "jsonrpc", field: theVersion},
		{name: "id", field: theID},
		{name: "method", field: theMethod},
		{name: "params", field: theParams, object: paramsObject},
		{name: "result", field: theResult},
		{name: "error", field: theError},
	})
)

// nameFrom says which member names what a call is about.
type nameFrom uint8

const (
	fromNothing nameFrom = iota
	fromName
	fromURI
	fromRef
	fromTask
	fromAny // of a method that is not known, whose headers may be about any of them
)

// known is a method of the protocol.
type known struct {
	method string
	kind   Kind
	from   nameFrom
	header bool   // whether what it is about must be in Mcp-Name too, from 2026-07-28 on
	folded string // as it is compared with patterns
}

// unknown is any other method.
var unknown = known{from: fromAny}

// knownMethods are all methods of the protocol, in all revisions, of its tasks too.
var knownMethods, knownLetters = func() (map[string]*known, map[string]bool) {
	list := []known{
		{method: "tools/call", kind: Tool, from: fromName, header: true},
		{method: "prompts/get", kind: Prompt, from: fromName, header: true},
		{method: "resources/read", kind: Resource, from: fromURI, header: true},
		{method: "resources/subscribe", kind: Resource, from: fromURI},
		{method: "resources/unsubscribe", kind: Resource, from: fromURI},
		{method: "completion/complete", from: fromRef},
		{method: "tasks/get", from: fromTask},
		{method: "tasks/result", from: fromTask},
		{method: "tasks/update", from: fromTask},
		{method: "tasks/cancel", from: fromTask},
	}
	for _, method := range []string{
		"initialize", "ping", "server/discover", "tools/list", "prompts/list", "resources/list",
		"resources/templates/list", "logging/setLevel", "subscriptions/listen", "tasks/list",
		"roots/list", "sampling/createMessage", "elicitation/create",
		"notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/message", "notifications/roots/list_changed", "notifications/tools/list_changed",
		"notifications/prompts/list_changed", "notifications/resources/list_changed",
		"notifications/resources/updated", "notifications/elicitation/complete",
		"notifications/subscriptions/acknowledged", "notifications/tasks", "notifications/tasks/status",
	} {
		list = append(list, known{method: method})
	}
	methods, only := map[string]*known{}, map[string]bool{}
	for i := range list {
		m := &list[i]
		m.folded = fold(m.method)
		methods[m.method], only[letters(m.method)] = m, true
	}
	return methods, only
}()
