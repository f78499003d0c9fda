package offline

import (
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// unavailable reports whether a reason is that something could not be had. A server has it, as
// far as is known here.
func unavailable(c reason.Code) bool {
	switch c {
	case reason.KeysUnavailable, reason.RevocationsUnavailable, reason.APIKeysUnavailable:
		return true
	}
	return false
}

// settle replaces the answers of a server that lacks its keys or its state. What a check says
// that does not need them holds for a server too.
func settle(report *explain.Report) {
	changed := false
	for i := range report.Handlers {
		changed = settleHandler(&report.Handlers[i]) || changed
	}
	if !changed {
		return
	}
	last := &report.Handlers[len(report.Handlers)-1]
	report.Verdict = last.Verdict
	report.Reason, report.Detail, report.Requirement, report.Status, report.Remedy = last.Reason, last.Detail, last.Requirement, last.Status, last.Remedy
	if report.Certain {
		return
	}
	for i := range report.Handlers {
		if h := &report.Handlers[i]; h.Verdict != last.Verdict {
			report.Verdict = explain.Undecided
			report.Reason, report.Detail, report.Requirement, report.Status, report.Remedy = "", "", "", 0, ""
		}
	}
}

// settleHandler reports whether it has changed the verdict.
func settleHandler(h *explain.Handler) bool {
	reported := h.Reason
	for i := range h.Checks {
		if c := &h.Checks[i]; unavailable(c.Reason) && c.Outcome == reason.Failed {
			c.Outcome, c.Reason, c.Detail = reason.Unknown, "", ""
		}
	}
	if !unavailable(reported) {
		return false
	}
	h.Reason, h.Detail, h.Requirement, h.Status, h.Remedy = "", "", "", 0, ""
	verdict := h.Verdict
	h.Verdict = explain.Undecided
	for i := range h.Checks {
		if c := &h.Checks[i]; c.Outcome == reason.Failed {
			h.Verdict, h.Reason, h.Detail = verdict, c.Reason, c.Detail
			h.Remedy = reason.Remedy(c.Reason, c.Detail)
			h.Status = refusal.StatusOf(c.Reason)
			break
		}
	}
	return true
}
