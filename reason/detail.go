package reason

import "strings"

// Detailed is a reason with what exactly is wrong. The detail is for the operator alone:
// logs and {http.jwt.detail} show it, clients never see it. It has no part of the request.
//
// A Detailed can only be had from the table in details.go, so each has a remedy and a row in
// the reference.
type Detailed struct {
	entry *Entry
	text  string
}

// Code returns the reason.
func (d *Detailed) Code() Code {
	if d.entry == nil { // made by hand; answered like an error without a reason
		return ""
	}
	return d.entry.Code
}

// Detail returns what exactly is wrong.
func (d *Detailed) Detail() string { return d.text }

// Error implements error.
func (d *Detailed) Error() string { return string(d.Code()) + ": " + d.text }

// Unwrap returns the code.
func (d *Detailed) Unwrap() error { return d.Code() }

// Template is a detail with a parameter.
type Template struct{ entry *Entry }

// With returns the detail with the parameter, which is a fixed word or from the config, never
// from a request. It allocates; what requests need is made when the config loads.
func (t Template) With(parameter string) *Detailed {
	before, after := t.entry.around()
	return &Detailed{t.entry, before + parameter + after}
}

// around returns what is before the parameter and behind it.
func (e *Entry) around() (before, after string) {
	before, rest, _ := strings.Cut(e.Text, "{")
	_, after, _ = strings.Cut(rest, "}")
	return before, after
}

// templated reports whether the entry has a parameter.
func (e *Entry) templated() bool { return strings.Contains(e.Text, "{") }

// matches reports whether a detail is one of the entry.
func (e *Entry) matches(detail string) bool {
	if !e.templated() {
		return detail == e.Text
	}
	before, after := e.around()
	return len(detail) > len(before)+len(after) && strings.HasPrefix(detail, before) && strings.HasSuffix(detail, after)
}
