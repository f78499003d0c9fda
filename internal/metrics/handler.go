package metrics

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Labels are what a config says of a handler.
type Labels struct {
	// Site names the handler's site.
	Site string
	// Issuers are the iss of the handler's policies, by their index.
	Issuers []string
	// Report is whether refusals are only reported.
	Report bool
	// PerConsumer is whether the consumers of API keys are counted apart.
	PerConsumer bool
}

// Caller is what is known of the sender of a request.
type Caller struct {
	// Policy is the index of the policy that judged the token, -1 for none. If the
	// token was refused, it only claims to be of that issuer.
	Policy int
	// Token is whether a token was accepted, rather than an API key.
	Token bool
	// Consumer is that of an accepted API key; empty for none.
	Consumer string
}

// Nobody is the Caller of a request without a credential.
var Nobody = Caller{Policy: -1}

// Handler counts the requests of one handler. All counters of good requests are found
// when the config loads.
type Handler struct {
	Labels
	of      *Requests
	issuers []string // by their number: 0 for none, else their index and 1

	allowed   []*series // by the number of the issuer; those of API keys for 0
	anonymous *series
	refused   []atomic.Pointer[reasons] // likewise
}

// reasons are the series of refusals, by the reason's index in reason.All; nil for one
// that has none yet.
type reasons []*series

// maxEager is for how many issuers of a handler the series of refusals are there from
// the start, so that Prometheus sees the first refusal as an increase. For handlers with
// more of them, an issuer's series come with its first refusal.
const maxEager = 16

// beforeIssuer are the reasons for which no issuer is known.
var beforeIssuer = map[reason.Code]bool{
	reason.MalformedToken: true, reason.UnknownIssuer: true, reason.MissingCredentials: true, reason.MultipleCredentials: true,
	reason.MalformedRequest: true, reason.CrossOrigin: true, reason.UnknownAPIKey: true, reason.APIKeyExpired: true, reason.APIKeyDisabled: true,
	reason.APIKeysUnavailable: true,
}

// Handler returns the counters of a handler. Handlers with the same labels count
// together.
func (m *Requests) Handler(l Labels) *Handler {
	h := &Handler{Labels: l, of: m}
	h.Site = strings.ToValidUTF8(l.Site, "?") // anything else would panic
	for _, iss := range append([]string{""}, l.Issuers...) {
		h.issuers = append(h.issuers, strings.ToValidUTF8(iss, "?"))
	}
	for n, iss := range h.issuers {
		method := methodJWT
		if n == 0 {
			method = methodAPIKey
		}
		h.allowed = append(h.allowed, m.series(ResultAllowed, method, "", h.Site, iss))
	}
	h.anonymous = m.series(ResultAnonymous, methodNone, "", h.Site, "")
	h.refused = make([]atomic.Pointer[reasons], len(h.issuers))
	for n := range h.refused {
		if n <= maxEager {
			h.reasons(n)
		}
	}
	return h
}

// number returns the number of an issuer.
func (h *Handler) number(c Caller) int {
	if n := c.Policy + 1; n > 0 && n < len(h.issuers) {
		return n
	}
	return 0
}

// reasons returns the series of refusals of an issuer, and makes them if they are
// missing.
func (h *Handler) reasons(n int) reasons {
	if there := h.refused[n].Load(); there != nil {
		return *there
	}
	made := make(reasons, len(reason.All))
	for i, code := range reason.All {
		if n == 0 || !beforeIssuer[code] {
			made[i] = h.refusal(n, code)
		}
	}
	h.refused[n].CompareAndSwap(nil, &made)
	return *h.refused[n].Load()
}

func (h *Handler) refusal(n int, code reason.Code) *series {
	result := ResultRefused
	if h.Report {
		result = ResultReported
	}
	return h.of.series(result, methodNone, string(code), h.Site, h.issuers[n])
}

// Verified notes how long a signature took.
func (h *Handler) Verified(took time.Duration) { h.of.Verified(took) }

// IssuedAhead notes that a good token of the policy with this index was issued in the
// future.
func (h *Handler) IssuedAhead(policy int, ahead time.Duration) {
	if n := policy + 1; n > 0 && n < len(h.issuers) {
		h.of.issuedAhead(h.issuers[n], ahead)
	}
}

// Allowed counts a request that passed with a credential.
func (h *Handler) Allowed(c Caller) {
	n := 0
	if c.Token {
		n = h.number(c)
	}
	h.count(h.allowed[n], c)
}

// Anonymous counts a request that passed without a credential.
func (h *Handler) Anonymous() { h.anonymous.Inc() }

// Refused counts a request that was refused, or would be in report mode. why is the
// reason's index in reason.All.
func (h *Handler) Refused(why int, c Caller) {
	n := h.number(c)
	s := h.reasons(n)[why]
	if s == nil {
		s = h.refusal(n, reason.All[why])
	}
	h.count(s, c)
}

func (h *Handler) count(s *series, c Caller) {
	var counter prometheus.Counter = s
	if h.PerConsumer && c.Consumer != "" {
		counter = h.of.ofConsumer(s, c.Consumer)
	}
	counter.Inc()
}
