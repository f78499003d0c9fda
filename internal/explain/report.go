package explain

import "github.com/caddy-jwt/caddy-jwt/reason"

// Report is the answer to a Question. Its JSON is stable: members are added, never renamed
// or removed. It has claims of the token, no secrets, and nothing of other holders.
type Report struct {
	// Verdict is the answer of all handlers together.
	Verdict Verdict `json:"verdict"`
	// Reason, Detail, Requirement and Status are those of the refusal.
	Reason      reason.Code `json:"reason,omitempty"`
	Detail      string      `json:"detail,omitempty"`
	Requirement string      `json:"requirement,omitempty"`
	Status      int         `json:"status,omitempty"`
	// Remedy says what to do about it.
	Remedy string `json:"remedy,omitempty"`
	// Request is the request that was made up for the question.
	Request Request `json:"request"`
	// Handlers are the jwt handlers that the request comes to, in their order, the last
	// of them the one that refuses it, if one does. If the way is not certain, they are
	// all candidates.
	Handlers []Handler `json:"handlers"`
	// Certain is false if a handler that was passed over could have sent the request
	// another way. Over names those handlers.
	Certain bool     `json:"certain"`
	Over    []string `json:"passed_over,omitempty"`
	// SecondOpinion is what golang-jwt with keyfunc says of the token; nil without one, or
	// without keys.
	SecondOpinion *Opinion `json:"second_opinion,omitempty"`
	// Notes are what the reader should know: that no site has this host, that the
	// signature was not checked, that the keys are stored ones.
	Notes []string `json:"notes,omitempty"`
}

// Verdict is what becomes of a request.
type Verdict string

const (
	// Accepted: it continues with an identity.
	Accepted Verdict = "accepted"
	// Refused: it is refused.
	Refused Verdict = "refused"
	// Anonymous: it continues without an identity, as optional, allow_preflight or report
	// mode let it.
	Anonymous Verdict = "anonymous"
	// Unprotected: it comes to no jwt handler.
	Unprotected Verdict = "unprotected"
	// Undecided: candidates differ, or something could not be checked here. An undecided
	// report counts as not accepted.
	Undecided Verdict = "undecided"
)

// Request is the request that a report is about. Its credential is not in it.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	URI    string `json:"uri"` // without the values of credentials
}

// Handler is a jwt handler and what it makes of the request.
type Handler struct {
	// Site is the hosts or addresses of the site.
	Site string `json:"site"`
	// Place is the handler's number among the jwt handlers of the site, from 1, of Of.
	Place int `json:"place"`
	Of    int `json:"of"`
	// Pointer is the place in the JSON config (RFC 6901).
	Pointer string `json:"pointer"`
	// Lines are where the Caddyfile has it, such as Caddyfile:12; empty on a running
	// server, which does not know.
	Lines []string `json:"lines,omitempty"`
	// Mode is enforce, report or clear.
	Mode string `json:"mode"`

	Verdict     Verdict     `json:"verdict"`
	Reason      reason.Code `json:"reason,omitempty"`
	Detail      string      `json:"detail,omitempty"`
	Requirement string      `json:"requirement,omitempty"`
	Status      int         `json:"status,omitempty"`
	Remedy      string      `json:"remedy,omitempty"`
	// Checks are all checks of the handler, in their order. The first that failed is why
	// the request is refused.
	Checks []Check `json:"checks"`
	// User, Method, Issuer and Scopes are those of the identity, if the handler accepts.
	User       string   `json:"user,omitempty"`
	AuthMethod string   `json:"auth_method,omitempty"`
	Issuer     string   `json:"issuer,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`

	// Answer is what the handler itself answers the request with, no matter who makes it; empty if it
	// does not.
	Answer string `json:"answer,omitempty"`

	// Opinion is the second opinion on the token that the handler takes, for the report.
	Opinion *Opinion `json:"-"`
}

// Check is a check with the line of the option that decides.
type Check struct {
	reason.Check
	// Line is where the Caddyfile has Option; empty if it is not known.
	Line string `json:"line,omitempty"`
}

// Opinion is what another library says of the token.
type Opinion struct {
	Library string `json:"library"`
	// Asked is whether it was asked; else Why says why not.
	Asked   bool `json:"asked"`
	Accepts bool `json:"accepts"`
	// Error is its error, without any part of the token.
	Error string `json:"error,omitempty"`
	// Why says why it differs from the verdict on the token; empty if it does not.
	Why string `json:"why,omitempty"`
}
