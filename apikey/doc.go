// Package apikey implements API keys: the format of a key (key.go), its record, which is
// a line of a key file (record.go), the set in which requests look keys up (set.go,
// lookup.go), how a file is read into a set (read.go, batch.go, build.go) and watched
// (file.go), and how commands change it (edit.go, import.go, csv.go).
//
// A store holds keys that the nodes of a cluster share (store.go): what is stored of them
// are facts (storefact.go, storemerge.go), what those come to is a state (storestate.go),
// what requests look into is made of that (storeview.go), and changes are new facts
// (storechange.go, storeoff.go). Uses of keys are counted apart from it (usage.go).
//
// Only a key's digest is stored. This package does not log: what an operator should know
// is an Event.
package apikey
