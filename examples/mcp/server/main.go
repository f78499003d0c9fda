// Command server is a small MCP server: three notes, and tools to list, read and delete
// them. It checks no credentials, and so listens on this machine alone: Caddy, in front
// of it, has accepted each request and says in X-User-Id whose it is.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// notes are what the tools work on.
type notes struct {
	mu   sync.Mutex
	text map[string]string
}

type nothing struct{}

type readArguments struct {
	Name string `json:"name" jsonschema:"the note's name"`
}

func (n *notes) list(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return text(strings.Join(slices.Sorted(maps.Keys(n.text)), "\n")), nil, nil
}

func (n *notes) read(_ context.Context, _ *mcp.CallToolRequest, args readArguments) (*mcp.CallToolResult, any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	note, ok := n.text[args.Name]
	if !ok {
		return nil, nil, errors.New("there is no such note")
	}
	return text(note), nil, nil
}

func (n *notes) deleteAll(_ context.Context, r *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := len(n.text)
	clear(n.text)
	return text(fmt.Sprintf("%s has deleted %d notes", r.Extra.Header.Get("X-User-Id"), count)), nil, nil
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

func main() {
	n := &notes{text: map[string]string{"monday": "Buy milk.", "tuesday": "Call Ann.", "wednesday": "Rest."}}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list", Description: "Lists the names of all notes."}, n.list)
	mcp.AddTool(server, &mcp.Tool{Name: "read", Description: "Reads a note."}, n.read)
	mcp.AddTool(server, &mcp.Tool{Name: "delete_all", Description: "Deletes all notes."}, n.deleteAll)

	mux := http.NewServeMux()
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	log.Fatal((&http.Server{
		Addr:              "127.0.0.1:" + cmp.Or(os.Getenv("UPSTREAM_PORT"), "8581"),
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
	}).ListenAndServe())
}
