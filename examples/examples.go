// Package examples has the examples that the program itself uses.
package examples

import _ "embed"

// Quickstart is the Caddyfile that `caddy jwt quickstart` runs and that the example
// shows.
//
//go:embed quickstart/Caddyfile
var Quickstart []byte
