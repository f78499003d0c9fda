// Package keystore is where an issuer's keys come from and how they stay
// fresh: key sets written in the config or a file (Static), and key sets
// fetched from the issuer, by discovery or from a fixed URL (Remote).
//
// The way of a remote key: Remote decides when to fetch (remote.go, with the
// arithmetic in schedule.go and the limits on unknown kids in unknown.go),
// fetch.go and discovery.go get the document and hold every limit on the
// network, jwks.go and jwk.go read it, set.go indexes what is fit for use. A
// request only ever reads the finished Set, behind an atomic pointer.
//
// Nothing here logs: what an operator should hear of is an Event. Nothing
// here decides about a token: which key fits which algorithm is the business
// of package key and of the caller.
package keystore
