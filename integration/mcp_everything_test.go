package integration

//lint:file-ignore SA1019 the revisions of the protocol that the suite tests have what the newest deprecates

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// everything is an MCP server with what the scenarios of the conformance suite ask for:
// https://github.com/modelcontextprotocol/conformance.
func everything() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "everything", Version: "1.0.0"}, &mcp.ServerOptions{
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		},
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	addContentTools(server)
	addAskingTools(server)
	addResources(server)
	addPrompts(server)
	return server
}

// serveEverything serves it over HTTP, with sessions and streams that can be resumed.
func serveEverything() *httptest.Server {
	server := everything()
	return httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}))
}

// pixel is an image in PNG, and silence a sound in WAV, as small as they can be.
var (
	pixel   = mustDecode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==")
	silence = mustDecode("UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=")
)

func mustDecode(text string) []byte {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}

// noArguments is the schema of tools that take none.
var noArguments = map[string]any{"type": "object"}

type toolAnswer func(context.Context, *mcp.CallToolRequest) ([]mcp.Content, error)

// addTool adds one whose error is a result, as tools' errors are.
func addTool(server *mcp.Server, name string, schema map[string]any, answer toolAnswer) {
	server.AddTool(&mcp.Tool{Name: name, Description: name, InputSchema: schema}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		content, err := answer(ctx, r)
		var rpc *jsonrpc.Error
		switch {
		case errors.As(err, &rpc):
			return nil, err
		case err != nil:
			return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: err.Error()}}}, nil
		}
		return &mcp.CallToolResult{Content: content}, nil
	})
}

func words(format string, parts ...any) []mcp.Content {
	return []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, parts...)}}
}

func embedded(uri string) *mcp.EmbeddedResource {
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: "text/plain", Text: "An embedded resource."}}
}

// addContentTools adds those that answer with content of each kind, and with what comes
// before an answer.
func addContentTools(server *mcp.Server) {
	for name, content := range map[string][]mcp.Content{
		"test_simple_text":       words("This is a simple text response for testing."),
		"test_image_content":     {&mcp.ImageContent{Data: pixel, MIMEType: "image/png"}},
		"test_audio_content":     {&mcp.AudioContent{Data: silence, MIMEType: "audio/wav"}},
		"test_embedded_resource": {embedded("test://embedded-resource")},
		"test_multiple_content_types": {
			&mcp.TextContent{Text: "Multiple content types."}, &mcp.ImageContent{Data: pixel, MIMEType: "image/png"}, embedded("test://mixed-content-resource"),
		},
	} {
		addTool(server, name, noArguments, func(context.Context, *mcp.CallToolRequest) ([]mcp.Content, error) { return content, nil })
	}
	addTool(server, "test_error_handling", noArguments, func(context.Context, *mcp.CallToolRequest) ([]mcp.Content, error) {
		return nil, errors.New("this tool intentionally returns an error for testing")
	})
	addTool(server, "test_tool_with_logging", noArguments, func(ctx context.Context, r *mcp.CallToolRequest) ([]mcp.Content, error) {
		for _, text := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
			if err := r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: text}); err != nil {
				return nil, err
			}
			time.Sleep(10 * time.Millisecond) // each in a piece of its own
		}
		return words("Logged."), nil
	})
	addTool(server, "test_tool_with_progress", noArguments, func(ctx context.Context, r *mcp.CallToolRequest) ([]mcp.Content, error) {
		token := r.Params.GetProgressToken()
		for _, done := range []float64{0, 50, 100} {
			if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: done, Total: 100}); err != nil {
				return nil, err
			}
			time.Sleep(10 * time.Millisecond)
		}
		return words("%v", token), nil
	})
	addTool(server, "test_reconnection", noArguments, func(_ context.Context, r *mcp.CallToolRequest) ([]mcp.Content, error) {
		if r.Extra.CloseSSEStream != nil {
			r.Extra.CloseSSEStream(mcp.CloseSSEStreamArgs{RetryAfter: 10 * time.Millisecond})
		}
		time.Sleep(100 * time.Millisecond) // the client comes back in the meantime, or after it
		return words("Reconnection test completed successfully."), nil
	})
	addTool(server, "json_schema_2020_12_tool", map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"type":                 "object",
		"$defs":                map[string]any{"address": map[string]any{"type": "object", "properties": map[string]any{"street": map[string]any{"type": "string"}, "city": map[string]any{"type": "string"}}}},
		"properties":           map[string]any{"name": map[string]any{"type": "string"}, "address": map[string]any{"$ref": "#/$defs/address"}},
		"additionalProperties": false,
	}, func(context.Context, *mcp.CallToolRequest) ([]mcp.Content, error) { return words("Called."), nil })
}

// addAskingTools adds those that ask the client something while it waits: for a message
// of its model, and for what its user enters.
func addAskingTools(server *mcp.Server) {
	text := map[string]any{"type": "string"}
	addTool(server, "test_sampling", map[string]any{"type": "object", "properties": map[string]any{"prompt": text}}, func(ctx context.Context, r *mcp.CallToolRequest) ([]mcp.Content, error) {
		result, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{
			MaxTokens: 100,
			Messages:  []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: "Say something."}}},
		})
		if err != nil {
			return nil, err
		}
		said, _ := result.Content.(*mcp.TextContent)
		if said == nil {
			return nil, errors.New("the model said nothing")
		}
		return words("LLM response: %s", said.Text), nil
	})
	ask := func(schema map[string]any) toolAnswer {
		return func(ctx context.Context, r *mcp.CallToolRequest) ([]mcp.Content, error) {
			result, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "Please enter.", RequestedSchema: schema})
			if err != nil {
				return nil, err
			}
			return words("Elicitation: action=%s, content=%v", result.Action, result.Content), nil
		}
	}
	object := func(properties map[string]any) map[string]any {
		return map[string]any{"type": "object", "properties": properties}
	}
	with := func(kind string, more map[string]any) map[string]any {
		more["type"] = kind
		return more
	}
	options := []string{"option1", "option2", "option3"}
	titled := []map[string]any{{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}, {"const": "value3", "title": "Third"}}
	addTool(server, "test_elicitation", object(map[string]any{"message": text}), ask(object(map[string]any{"username": text, "email": text})))
	addTool(server, "test_elicitation_sep1034_defaults", noArguments, ask(object(map[string]any{
		"name":     with("string", map[string]any{"default": "John Doe"}),
		"age":      with("integer", map[string]any{"default": 30}),
		"score":    with("number", map[string]any{"default": 95.5}),
		"status":   with("string", map[string]any{"enum": []string{"active", "inactive", "pending"}, "default": "active"}),
		"verified": with("boolean", map[string]any{"default": true}),
	})))
	addTool(server, "test_elicitation_sep1330_enums", noArguments, ask(object(map[string]any{
		"untitledSingle": with("string", map[string]any{"enum": options}),
		"titledSingle":   with("string", map[string]any{"oneOf": titled}),
		"legacyEnum":     with("string", map[string]any{"enum": []string{"opt1", "opt2", "opt3"}, "enumNames": []string{"One", "Two", "Three"}}),
		"untitledMulti":  with("array", map[string]any{"items": with("string", map[string]any{"enum": options})}),
		"titledMulti":    with("array", map[string]any{"items": map[string]any{"anyOf": titled}}),
	})))
}

func addResources(server *mcp.Server) {
	read := func(contents mcp.ResourceContents) mcp.ResourceHandler {
		return func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			contents := contents
			contents.URI = r.Params.URI
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{&contents}}, nil
		}
	}
	server.AddResource(&mcp.Resource{Name: "text", URI: "test://static-text", MIMEType: "text/plain"},
		read(mcp.ResourceContents{MIMEType: "text/plain", Text: "This is the content of the static text resource."}))
	server.AddResource(&mcp.Resource{Name: "binary", URI: "test://static-binary", MIMEType: "image/png"},
		read(mcp.ResourceContents{MIMEType: "image/png", Blob: pixel}))
	server.AddResource(&mcp.Resource{Name: "watched", URI: "test://watched-resource", MIMEType: "text/plain"},
		read(mcp.ResourceContents{MIMEType: "text/plain", Text: "Watched."}))
	server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "template", URITemplate: "test://template/{id}/data", MIMEType: "application/json"},
		read(mcp.ResourceContents{MIMEType: "application/json", Text: `{"id":"123","templateTest":true,"data":"Data for ID: 123"}`}))
}

func addPrompts(server *mcp.Server) {
	says := func(content func(arguments map[string]string) []mcp.Content) mcp.PromptHandler {
		return func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			result := &mcp.GetPromptResult{}
			for _, part := range content(r.Params.Arguments) {
				result.Messages = append(result.Messages, &mcp.PromptMessage{Role: "user", Content: part})
			}
			return result, nil
		}
	}
	server.AddPrompt(&mcp.Prompt{Name: "test_simple_prompt", Description: "test_simple_prompt"}, says(func(map[string]string) []mcp.Content {
		return words("This is a simple prompt for testing.")
	}))
	required := func(name string) *mcp.PromptArgument { return &mcp.PromptArgument{Name: name, Required: true} }
	server.AddPrompt(&mcp.Prompt{Name: "test_prompt_with_arguments", Description: "test_prompt_with_arguments", Arguments: []*mcp.PromptArgument{required("arg1"), required("arg2")}},
		says(func(a map[string]string) []mcp.Content {
			return words("Prompt with arguments: arg1='%s', arg2='%s'", a["arg1"], a["arg2"])
		}))
	server.AddPrompt(&mcp.Prompt{Name: "test_prompt_with_embedded_resource", Description: "test_prompt_with_embedded_resource", Arguments: []*mcp.PromptArgument{required("resourceUri")}},
		says(func(a map[string]string) []mcp.Content {
			return append([]mcp.Content{embedded(a["resourceUri"])}, words("Please process the embedded resource above.")...)
		}))
	server.AddPrompt(&mcp.Prompt{Name: "test_prompt_with_image", Description: "test_prompt_with_image"}, says(func(map[string]string) []mcp.Content {
		return append([]mcp.Content{&mcp.ImageContent{Data: pixel, MIMEType: "image/png"}}, words("Please analyze the image above.")...)
	}))
}
