// Package keystore provides the keys of issuers and keeps them fresh: key sets written in the config or a file (Static), and key sets
// fetched from the issuer, by discovery or from a fixed URL (Remote).
//
// The path of a remote key: Remote decides when to fetch (remote.go, with the
// arithmetic in schedule.go and the limits on unknown kids in unknown.go),
// fetch.go and discovery.go get the document within the limits on the
// network, jwks.go and jwk.go parse it, set.go indexes the usable keys. A
// request only ever reads the finished Set, behind an atomic pointer.
//
// This package does not log: what an operator should know is an Event. It does not
// decide about tokens: which key fits which algorithm is up to package key and the
// caller.
package keystore
