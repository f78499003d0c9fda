package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// kind is a kind of request, with what explain has to say about it.
type kind struct {
	name string
	asked
	// verdict, reason and detail are those of the server too. "*" is any detail.
	verdict, reason, detail string
	// check is the one that decides, and seen and wanted are parts of what it shows.
	check, seen, wanted string
	// place is the number of the handler that decides, of several; 0 if it does not matter.
	place int
	// offline is the verdict without a server, where it can't be the same.
	offline string
}

// TestExplainNamesTheCheckThatDecides sends each kind of request to a running server and
// asks about it, on the server and without it.
func TestExplainNamesTheCheckThatDecides(t *testing.T) {
	t.Parallel()
	d := newExplainFixture(t)
	kinds := slices.Concat(d.badTokens(t), d.badRequests(t), d.goodOnes(t))
	if len(kinds) < 60 {
		t.Errorf("%d kinds", len(kinds))
	}
	jwks := tempFile(t, "jwks.json", peers.JWKS(t, keys(t).published()...))
	without := 0
	for n, c := range kinds {
		t.Run(c.name, func(t *testing.T) {
			s, err := d.serve(c.asked)
			if err != nil {
				t.Fatal(err)
			}
			c.checkServed(t, s)
			for _, inHeaders := range []bool{false, true} {
				c.checkExplained(t, d.mustExplain(t, c.question(inHeaders)), s)
			}
			if n%8 == 0 { // by the command, which asks the same endpoint
				c.checkExplained(t, c.byCommand(t, t.TempDir(), nil, "--address", d.adminAddress()), s)
			}
			if n%2 == 0 && c.offline == "" { // each costs a start of the binary
				return
			}
			without++
			e := d.offline(t, c.asked, "--jwks", jwks)
			if c.offline != "" {
				if e.Verdict != c.offline {
					t.Errorf("offline: %s; want %s\n%s", e.Verdict, c.offline, e)
				}
				return
			}
			c.checkExplained(t, e, s)
			if h := e.last(); c.check != "" && len(h.Lines) == 0 {
				t.Errorf("offline, with a Caddyfile: no line of it: %s", e)
			}
		})
	}
	if without < 40 {
		t.Errorf("%d kinds without a server", without)
	}
	// The state of the server and what an issuer says have tests of their own, and no question
	// takes time, or memory from others.
	elsewhere := []string{
		"api_keys_unavailable", "revocations_unavailable", "inactive_token", "introspection_unavailable", "body_timeout", "overloaded",
	}
	t.Run("each reason", func(t *testing.T) {
		have := map[string]bool{}
		for _, c := range kinds {
			have[c.reason] = true
		}
		for _, code := range reasonCodes(t) {
			if !have[code] && !slices.Contains(elsewhere, code) {
				t.Errorf("no kind has the reason %s", code)
			}
		}
	})
}

// checkServed compares what the server made of the request.
func (c *kind) checkServed(t *testing.T, s served) {
	t.Helper()
	verdict := "refused"
	switch {
	case s.status == http.StatusOK && s.user != "":
		verdict = "accepted"
	case s.status == http.StatusOK && c.verdict == "unprotected":
		verdict = "unprotected"
	case s.status == http.StatusOK:
		verdict = "anonymous"
	}
	if verdict != c.verdict || s.reason != c.reason || c.detail != "*" && s.detail != c.detail {
		t.Errorf("the server: %d %s, %q, %q; want %s, %q, %q", s.status, verdict, s.reason, s.detail, c.verdict, c.reason, c.detail)
	}
}

// checkExplained compares a report with the kind, and with the server's answer.
func (c *kind) checkExplained(t *testing.T, e *explained, s served) {
	t.Helper()
	if e.Verdict != c.verdict {
		t.Errorf("verdict %s; want %s\n%s", e.Verdict, c.verdict, e)
		return
	}
	if !e.Certain {
		t.Errorf("the way is not certain: %s", e)
	}
	if e.Verdict == "unprotected" {
		if len(e.Handlers) != 0 {
			t.Errorf("it has handlers: %s", e)
		}
		return
	}
	h := e.last()
	if h.Reason != s.reason || h.Detail != s.detail || h.Requirement != s.requirement {
		t.Errorf("reason %q, detail %q, requirement %q; the server's are %q, %q, %q\n%s", h.Reason, h.Detail, h.Requirement, s.reason, s.detail, s.requirement, e)
	}
	if e.Verdict == "refused" && (e.Reason != s.reason || e.Detail != s.detail || e.Requirement != s.requirement || e.Status != s.status || e.Remedy == "") {
		t.Errorf("the report's reason %q, detail %q, requirement %q, status %d, remedy %q; the server's are %q, %q, %q, %d", e.Reason, e.Detail, e.Requirement, e.Status, e.Remedy, s.reason, s.detail, s.requirement, s.status)
	}
	if h.User != s.user || h.AuthMethod != s.method && !(h.AuthMethod == "" && s.method == "anonymous") {
		t.Errorf("user %q by %q; the server's are %q by %q", h.User, h.AuthMethod, s.user, s.method)
	}
	if h.Pointer == "" || h.Of == 0 || !strings.Contains(h.Site, c.host) {
		t.Errorf("the handler is at %q, %q, %d of %d", h.Site, h.Pointer, h.Place, h.Of)
	}
	if c.place != 0 && h.Place != c.place {
		t.Errorf("handler %d of %d decides; want %d", h.Place, h.Of, c.place)
	}
	decisive := h.decisive()
	if decisive.Check != c.check {
		t.Errorf("%q decides; want %q\n%s", decisive.Check, c.check, e)
		return
	}
	if c.check != "" && decisive.Reason != c.reason {
		t.Errorf("the check's reason is %q; want %q", decisive.Reason, c.reason)
	}
	if !strings.Contains(decisive.Seen, c.seen) || c.seen == "" && c.check != "" && decisive.Seen == "" && decisive.Detail == "" || !strings.Contains(decisive.Wanted+" "+decisive.Option, c.wanted) {
		t.Errorf("seen %q, wanted %q by %q; want %q, %q in them", decisive.Seen, decisive.Wanted, decisive.Option, c.seen, c.wanted)
	}
}

// reasonCodes are the reasons for which a request is refused.
func reasonCodes(t *testing.T) []string {
	t.Helper()
	var codes []string
	for _, code := range reason.All {
		codes = append(codes, string(code))
	}
	return codes
}
