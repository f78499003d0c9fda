// Package mcp reads the messages of the Model Context Protocol (Streamable HTTP, all revisions
// up to 2026-07-28) out of requests, and finds the rules that concern them. It never trusts a
// header alone: what it judges are the bytes that go on, and it refuses every message that
// another reader may understand in another way.
//
// It knows nothing of identities: what a rule asks for is its user's.
package mcp
