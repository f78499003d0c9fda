// Package explain says what a server makes of a credential or a request, and why: which
// site and which jwt handlers the request comes to, and each of their checks with what was
// seen and what was wanted.
//
// The checks are those of the handlers themselves; this package finds the way of a request
// to them, and defines the report. Nothing changes by it: no metric, no last use, no cache.
//
//	question.go  what is asked
//	report.go    the report, whose JSON is stable
//	offline.go   what is asked of a config that no server runs
//	running.go   how many questions a server answers at a time
//	walk.go      the way of a request through the routes of a server
//	second.go    what golang-jwt with keyfunc says of a token
package explain
