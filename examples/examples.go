// Package examples embeds the examples that the program itself uses.
package examples

import _ "embed"

// Quickstart is the Caddyfile that `caddy jwt quickstart` runs, the same as that of the
// example.
//
//go:embed quickstart/Caddyfile
var Quickstart []byte
