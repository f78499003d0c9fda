package mcp

import "net/http"

// Check judges what needs no body.
func Check(r *http.Request) *Fault { return nil }

// Bodiless reads the body of a request of which Judged says that it must have none.
func Bodiless(r *http.Request) (*Fault, error) { return nil, nil }

// Judged reports whether the body of a request is judged: that of a POST.
func Judged(r *http.Request) bool { return r.Method == http.MethodPost }
