package mcp

import "net/http"

// Parse reads the message in the body of a request.
func Parse(r *http.Request, body []byte) (*Message, *Fault) { return nil, nil }
