package reason

// The HTTP request of a message.
var (
	BodyBroken = fixed(Entry{
		ID: "body_broken", Code: MalformedMessage,
		Text:    "the body ended before it was complete, or its framing is broken",
		Meaning: "the client went away while it sent the body, or sent less of it than it had said",
		Remedy:  "Look at the client's network and at what is between it and Caddy. A client that gives up while it sends is often one with a time limit of its own.",
		See:     []string{"mcp.md#max_body"},
	})
	MethodOverride = fixed(Entry{
		ID: "method_override", Code: MalformedMessage,
		Text:    "a header asks for another HTTP method",
		Meaning: "`X-HTTP-Method-Override`, `X-HTTP-Method` or `X-Method-Override` is there, by which the upstream may take another method than the one that was judged",
		Remedy:  "Have the client send the request with the HTTP method that it means, and without that header.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	UnexpectedBody = fixed(Entry{
		ID: "body_unexpected", Code: MalformedMessage,
		Text:    "a body with an HTTP method that has none",
		Meaning: "a GET, DELETE, HEAD or OPTIONS has a body, and only that of a POST is judged",
		Remedy:  "Have the client send messages by POST, and nothing in the body of other requests.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	Upgrade = fixed(Entry{
		ID: "upgrade", Code: MethodNotAllowed,
		Text:    "a request to upgrade to another protocol",
		Meaning: "what is sent after an `Upgrade`, such as to WebSocket, can't be judged",
		Remedy:  "Have the client use Streamable HTTP. If the site serves WebSocket too, give the `jwt` that has `mcp` a matcher.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	NoContentType = fixed(Entry{
		ID: "content_type_missing", Code: UnsupportedMediaType,
		Text:    "no Content-Type",
		Meaning: "the POST does not say what its body is",
		Remedy:  "Have the client send `Content-Type: application/json`.",
	})
	ManyContentTypes = fixed(Entry{
		ID: "content_type_twice", Code: UnsupportedMediaType,
		Text:    "more than one Content-Type",
		Meaning: "the upstream may take another one than was judged, also if one is written with an underscore",
		Remedy:  "Have the client, or the proxy in front, send `Content-Type` once.",
	})
	OtherContentType = fixed(Entry{
		ID: "content_type", Code: UnsupportedMediaType,
		Text:    "the Content-Type is not application/json, or has a parameter besides charset",
		Meaning: "the upstream may read the body in another way than as JSON",
		Remedy:  "Have the client send `Content-Type: application/json`; of parameters only `charset=utf-8` may be there.",
	})
	OtherCharset = fixed(Entry{
		ID: "charset", Code: UnsupportedMediaType,
		Text:    "the charset is not utf-8",
		Meaning: "JSON that is exchanged is UTF-8 (RFC 8259 section 8.1), and the upstream may read the same bytes as other text",
		Remedy:  "Have the client leave `charset` out, or write `charset=utf-8`.",
	})
	ContentCoding = fixed(Entry{
		ID: "content_encoding", Code: UnsupportedMediaType,
		Text:    "a Content-Encoding",
		Meaning: "the body is compressed, or the request says so, and the upstream may see other bytes than were judged",
		Remedy:  "Have the client send the body without compression.",
	})
)

// The headers of a message; the header is one of three words.
var (
	HeaderTwice = template(Entry{
		ID: "header_twice", Code: HeaderMismatch,
		Text:    "{header} is there more than once",
		Meaning: "the upstream may take another one than was compared, also if one is written with an underscore",
		Remedy:  "Have the client, or the proxy in front, send the header once.",
		See:     []string{"mcp.md#headers"},
	})
	HeaderMissing = template(Entry{
		ID: "header_missing", Code: HeaderMismatch,
		Text:    "{header} is missing, which this version of the protocol must have",
		Meaning: "from the version 2026-07-28 on each call says its version, its method and the name that it is about in headers",
		Remedy:  "Update the client or its SDK; one that writes headers by hand must set all three. The version is that of `MCP-Protocol-Version`, or of `_meta` in the body.",
		See:     []string{"mcp.md#headers"},
	})
	HeaderDiffers = template(Entry{
		ID: "header_differs", Code: HeaderMismatch,
		Text:    "{header} differs from the body",
		Meaning: "the header says something else than the body, so that one who reads the header alone would be misled",
		Remedy:  "Look for what changes the body or the header on its way. Values are compared letter by letter, and a value that is not plain ASCII must be encoded.",
		See:     []string{"mcp.md#headers"},
	})
	HeaderForm = template(Entry{
		ID: "header_form", Code: HeaderMismatch,
		Text:    "{header} has characters or an encoding that is not allowed",
		Meaning: "the version is no date such as 2026-07-28, or the text has characters other than ASCII, or what is between =?base64? and ?= is no base64 of UTF-8",
		Remedy:  "Have the client write the version as the protocol has it, and encode a name that is not plain ASCII as base64 with padding.",
		See:     []string{"mcp.md#headers"},
	})
	MetaVersion = fixed(Entry{
		ID: "meta_version", Code: HeaderMismatch,
		Text:    "the version in the body's _meta is missing or differs from MCP-Protocol-Version",
		Meaning: "from the version 2026-07-28 on each request has its version in `_meta` too, and both must be equal",
		Remedy:  "Update the client or its SDK, so that `io.modelcontextprotocol/protocolVersion` in `_meta` is what the header says.",
		See:     []string{"mcp.md#headers"},
	})
)

// The JSON of a message.
var (
	MessageSyntax = fixed(Entry{
		ID: "message_syntax", Code: MalformedMessage,
		Text:    "the body is not strict JSON",
		Meaning: "the body is empty, cut off, has something behind the message, or is not JSON as RFC 8259 has it",
		Remedy:  "Have the client send one JSON text and nothing else: no comments, no commas at the end, no NaN.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	MessageEncoding = fixed(Entry{
		ID: "message_utf8", Code: MalformedMessage,
		Text:    "the body is not UTF-8, or begins with a byte order mark",
		Meaning: "another reader may see other text in these bytes, or none",
		Remedy:  "Have the client send UTF-8 without a byte order mark (RFC 8259 section 8.1).",
	})
	MessageDuplicate = fixed(Entry{
		ID: "message_duplicate", Code: MalformedMessage,
		Text:    "an object in the body has two members of one name",
		Meaning: "another reader may take the other member, and call another tool than the one that was judged",
		Remedy:  "Have the client write each member once, in the arguments of a tool too.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	MessageBounds = fixed(Entry{
		ID: "message_bounds", Code: MalformedMessage,
		Text:    "the body is nested too deeply, or has too many members, messages or too long names",
		Meaning: "objects and arrays are in each other more than 128 levels deep, one object has more than 65,536 members, a batch more than 1,000 messages, or a member of a message has a name of more than 8 KiB",
		Remedy:  "Have the client send simpler arguments, such as a list instead of an object with that many members, and smaller batches.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	MemberFolded = template(Entry{
		ID: "member_folded", Code: MalformedMessage,
		Text:    "{object} has a member that equals a known one if case or signs are ignored",
		Meaning: "a member such as Name, or name with a character that can't be seen, is not the known one, but readers that ignore case or such characters take it for it, and would call another tool than the one that was judged",
		Remedy:  "Have the client write members as the protocol does, and leave out the one that looks like another.",
		See:     []string{"mcp.md#what-is-judged"},
	})
)

// What a message must have.
var (
	MessageType = fixed(Entry{
		ID: "message_type", Code: MalformedMessage,
		Text:    "a message is not an object with jsonrpc 2.0",
		Meaning: "the body, or an element of a batch, is something else than an object, or its `jsonrpc` is not the text 2.0",
		Remedy:  "Have the client send JSON-RPC 2.0, as every SDK of the protocol does.",
	})
	EmptyBatch = fixed(Entry{
		ID: "batch_empty", Code: MalformedMessage,
		Text:    "the batch is empty",
		Meaning: "the body is an array without a message",
		Remedy:  "Have the client send at least one message.",
	})
	BatchVersion = fixed(Entry{
		ID: "batch_version", Code: MalformedMessage,
		Text:    "a batch, which this version of the protocol does not have",
		Meaning: "from the version 2026-07-28 on a POST has one message, which its headers are about",
		Remedy:  "Have the client send each message by itself.",
	})
	MessageID = fixed(Entry{
		ID: "message_id", Code: MalformedMessage,
		Text:    "the id is not a string, a number or null",
		Meaning: "`id` is a bool, a list or an object",
		Remedy:  "Have the client use strings or numbers as ids.",
	})
	MessageMethod = fixed(Entry{
		ID: "message_method", Code: MalformedMessage,
		Text:    "the method is not a text, empty, too long or has control characters",
		Meaning: "`method` must be a JSON string of 1 to 8,192 bytes without control characters",
		Remedy:  "Have the client name one method, such as tools/call.",
	})
	MethodFolded = fixed(Entry{
		ID: "method_folded", Code: MalformedMessage,
		Text:    "the method equals a known one if case or signs are ignored",
		Meaning: "a method such as Tools/Call is not tools/call, but servers that ignore case take it for it",
		Remedy:  "Have the client write methods as the protocol does.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	CallAndResponse = fixed(Entry{
		ID: "call_and_response", Code: MalformedMessage,
		Text:    "a method beside a result or an error",
		Meaning: "the message is a call and a response at once, and servers differ in what they take it for",
		Remedy:  "Have the client send calls without `result` and `error`, and responses without `method`.",
	})
	NeitherCallNorResponse = fixed(Entry{
		ID: "no_call_no_response", Code: MalformedMessage,
		Text:    "no method, no result and no error",
		Meaning: "the message is neither a call nor a response",
		Remedy:  "Have the client send calls with `method`, and responses with `result` or `error`.",
	})
	ParamsType = fixed(Entry{
		ID: "params_type", Code: MalformedMessage,
		Text:    "params is not an object",
		Meaning: "`params` is a list of positions, null or something else; the protocol has names only",
		Remedy:  "Have the client send `params` as an object, or leave it out.",
	})
	MetaType = fixed(Entry{
		ID: "meta_type", Code: MalformedMessage,
		Text:    "_meta is not an object, or its version is not a text",
		Meaning: "`_meta` in `params` is a list, null or something else, or `io.modelcontextprotocol/protocolVersion` in it is no string",
		Remedy:  "Have the client send `_meta` as an object, or leave it out.",
	})
	NameType = template(Entry{
		ID: "name_type", Code: MalformedMessage,
		Text:    "{member} is missing, not a text, empty, too long or has control characters",
		Meaning: "the call must name the tool, prompt or resource that it is about, in a JSON string of 1 to 8,192 bytes",
		Remedy:  "Have the client name it as the server lists it.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	DotSegments = fixed(Entry{
		ID: "uri_dot_segments", Code: MalformedMessage,
		Text:    "the URI of a resource has dot segments",
		Meaning: "a part between slashes is `.` or `..`, or decodes to it, so that the server may read another resource than the rules were asked about",
		Remedy:  "Have the client send the URI as the server lists it, without such parts.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	RefType = fixed(Entry{
		ID: "ref_type", Code: MalformedMessage,
		Text:    "ref is not an object of type ref/prompt with a name or ref/resource with a uri",
		Meaning: "completion/complete must say in `ref` what it is about, and only that",
		Remedy:  "Have the client send `ref` as the protocol has it: a prompt's with `name` alone, a resource's with `uri` alone.",
	})
)
