// Package apikey has all of API keys but the config: the form of a key (key.go), a
// record of one as a line of a file has it (record.go), the set that a request looks
// keys up in (set.go, lookup.go), how a file is read into one (read.go, batch.go, build.go) and
// watched (file.go), and how commands change it (edit.go, import.go, csv.go).
//
// Of a key only its digest is ever kept. Nothing here logs: what an operator should
// hear of is an Event.
package apikey
