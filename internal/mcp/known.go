package mcp

import (
	"maps"
	"slices"
)

// KnownMethods returns all methods of the protocol, sorted.
func KnownMethods() []string { return slices.Sorted(maps.Keys(knownMethods)) }
