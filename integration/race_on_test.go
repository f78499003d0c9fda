//go:build race

package integration

// The binary under test is built as the tests are: a race inside Caddy is only
// seen by a Caddy that looks for it.
const raceEnabled = true
