// Package revocation holds the rules by which tokens and API keys are refused before
// their time: what a rule is, the immutable snapshot in which requests look, and the set
// that the nodes of a cluster share.
//
//	rule.go       a rule, and what makes it valid
//	id.go         the id by which people know a rule
//	token.go      what identifies a token, whatever is done to its signature
//	line.go       how rules are written into the objects of the set; scanner.go reads that
//	subject.go    what of a token or an API key rules are about, and which rule refuses it
//	snapshot.go   the rules in force, for requests
//	layer.go      the rules of one kind in memory: a table of cells, and a filter in front
//	rules.go      how changes become snapshots, and layers are folded
//	set.go        the shared set
package revocation
