// Package revocation holds the rules by which tokens and API keys are refused before
// their time: what a rule is, the immutable snapshot in which requests look, and the set
// that the nodes of a cluster share.
//
//	rule.go       a rule, its id, and what makes it valid
//	line.go       how rules are written into the objects of the set
//	subject.go    what of a token or an API key rules are about
//	snapshot.go   the rules in force, for requests
//	set.go        the shared set
package revocation
