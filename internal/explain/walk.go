package explain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Explainer is a handler that explains itself: the jwt handler.
type Explainer interface {
	caddyhttp.MiddlewareHandler
	// ExplainRequest judges a request as ServeHTTP does, leaves in it what ServeHTTP would
	// leave for handlers behind, and counts, logs and stores nothing. Site, place and
	// pointer of the result are set by the walk.
	ExplainRequest(ctx context.Context, r *http.Request, q *Question) Handler
	// CleanURI returns a request target without the parameters in which the server's
	// handlers read credentials.
	CleanURI(uri string) string
}

// isExplainer is what the walk looks for.
func isExplainer(h caddyhttp.MiddlewareHandler) bool {
	_, ok := h.(Explainer)
	return ok
}

// Walk answers a question by the routes of servers, all of whose handlers are provisioned.
// It makes up the request, and takes it through the routes as its server would; nothing on
// the way is asked that could write, dial or answer. It returns an error for a question that
// no request can be made of.
func Walk(ctx context.Context, servers map[string]*caddyhttp.Server, q *Question) (Report, error) {
	a, err := readQuestion(q)
	if err != nil {
		return Report{}, err
	}
	targets, notes := a.targets(servers)
	if len(targets) == 0 {
		return Report{}, errors.New("the config has no site with a jwt handler")
	}
	report := a.walk(ctx, targets, notes)
	if early := a.early(); early != nil {
		// A matcher may look for the credential where no handler has put it yet.
		other := early.walk(ctx, targets, notes)
		switch {
		case report.sameWay(&other):
		case other.tookCredential():
			other.Notes = append(other.Notes, "the way depends on the headers of the request: the given credential was put in its usual header at the start")
			return other, nil
		default:
			report.Certain = false
			report.Notes = append(report.Notes, "the way depends on the headers of the request: name the one that has the credential")
		}
	}
	return report, nil
}

// walk takes the request to all servers that it may be for.
func (a *asked) walk(ctx context.Context, targets []target, notes []string) Report {
	s := summary{report: Report{Certain: len(targets) == 1, Notes: slices.Clone(notes), Handlers: []Handler{}}}
	for i := range targets {
		s.walk(ctx, a, &targets[i])
	}
	return s.finish()
}

// early returns the question with its credential in the header where most handlers look for it;
// nil if there is none, or the question has headers for credentials of its own.
func (a *asked) early() *asked {
	if a.Credential == "" || len(a.header["Authorization"])+len(a.header["X-Api-Key"])+len(a.header["Cookie"]) > 0 {
		return nil
	}
	e := *a
	e.header = a.header.Clone()
	if strings.Count(a.Credential, ".") == 2 {
		e.header.Set("Authorization", "Bearer "+a.Credential)
	} else {
		e.header.Set("X-Api-Key", a.Credential)
	}
	return &e
}

// sameWay reports whether both reports are about the same handlers.
func (r *Report) sameWay(other *Report) bool {
	return slices.EqualFunc(r.Handlers, other.Handlers, func(a, b Handler) bool { return a.Pointer == b.Pointer })
}

// tookCredential reports whether the first handler on the way found a credential.
func (r *Report) tookCredential() bool {
	return len(r.Handlers) > 0 && r.Handlers[0].Reason != reason.MissingCredentials
}

// summary gathers what becomes of a request on all the ways that it may take.
type summary struct {
	report Report
	ends   []end
	shown  map[string]bool // pointers of the handlers in the report
}

// end is what one way comes to.
type end struct {
	verdict Verdict
	refusal Handler // if it is refused
	answer  string  // who answers, if no jwt is on the way
}

// walk takes the request to one server.
func (s *summary) walk(ctx context.Context, a *asked, t *target) {
	if s.report.Request.Method == "" {
		s.report.Request = Request{Method: a.method, Host: t.host, URI: t.shownURI(a)}
	}
	var guides []*guide
	ways, complete := routes.Ways(t.server,
		func(w http.ResponseWriter) *http.Request { return a.request(ctx, w, t) },
		func() routes.Guide {
			g := &guide{ctx: ctx, target: t, asked: a}
			guides = append(guides, g)
			return g
		})
	if !complete {
		s.report.Certain = false
		s.note("there are more ways through the routes than can be followed, so this is not all")
		s.ends = append(s.ends, end{verdict: Undecided})
	}
	met := map[string]bool{} // where a request comes without a jump
	for i, g := range guides {
		if ways[i].Jumped == "" {
			for _, h := range g.met {
				met[h.Pointer] = true
			}
		}
	}
	for i, g := range guides {
		way := &ways[i]
		for _, name := range way.Over {
			if !slices.Contains(s.report.Over, name) {
				s.report.Over = append(s.report.Over, name)
			}
		}
		s.report.Certain = s.report.Certain && len(way.Doubts) == 0
		if way.Jumped != "" && met[t.pointer(way.Jumped)] {
			continue
		}
		s.add(g.met, len(guides) == 1)
		s.ends = append(s.ends, endOf(g.met, t, way))
	}
}

// add adds the handlers of a way to the report, those that are there already only if it is
// the only way.
func (s *summary) add(met []Handler, only bool) {
	if s.shown == nil {
		s.shown = map[string]bool{}
	}
	for _, h := range met {
		if only || !s.shown[h.Pointer] {
			s.report.Handlers = append(s.report.Handlers, h)
		}
		s.shown[h.Pointer] = true
		if s.report.SecondOpinion == nil {
			s.report.SecondOpinion = h.Opinion
		}
	}
}

// endOf is what the handlers of a way make of the request together.
func endOf(met []Handler, t *target, way *routes.Way) end {
	e := end{verdict: Unprotected}
	for _, h := range met {
		switch {
		case h.Verdict == Refused:
			return end{verdict: Refused, refusal: h}
		case h.Verdict == Undecided || e.verdict == Undecided:
			e.verdict = Undecided
		case h.Verdict == Accepted || e.verdict == Accepted:
			e.verdict = Accepted
		default:
			e.verdict = Anonymous
		}
	}
	if e.verdict == Unprotected {
		e.answer = answerOf(t, way)
	}
	return e
}

// answerOf says who answers a request that comes to no jwt handler.
func answerOf(t *target, way *routes.Way) string {
	if way.Answer == "" {
		return fmt.Sprintf("no handler of %s answers it: Caddy answers with an empty page", t.name)
	}
	text := way.Answer
	if way.AnswerAt != "" {
		text += " at " + t.pointer(way.AnswerAt)
	}
	text += " answers it"
	if way.Status != 0 {
		text += fmt.Sprintf(" with the status %d", way.Status)
	}
	return text
}

func (s *summary) note(text string) {
	if !slices.Contains(s.report.Notes, text) {
		s.report.Notes = append(s.report.Notes, text)
	}
}

// finish decides: candidates that agree have a verdict.
func (s *summary) finish() Report {
	r := &s.report
	first := s.ends[0]
	r.Verdict = first.verdict
	for _, e := range s.ends {
		if e.verdict != first.verdict {
			r.Verdict = Undecided
		}
		if e.answer != "" {
			s.note("no jwt is on the way of the request: " + e.answer)
		}
	}
	if r.Verdict != first.verdict {
		s.note("the request may go several ways, and they differ in what becomes of it")
	}
	if r.Verdict == Refused {
		r.Reason = agreed(s.ends, func(h *Handler) reason.Code { return h.Reason })
		r.Detail = agreed(s.ends, func(h *Handler) string { return h.Detail })
		r.Requirement = agreed(s.ends, func(h *Handler) string { return h.Requirement })
		r.Remedy = agreed(s.ends, func(h *Handler) string { return h.Remedy })
		r.Status = agreed(s.ends, func(h *Handler) int { return h.Status })
	}
	return *r
}

// agreed is what all refusals have in common, or nothing.
func agreed[V comparable](ends []end, of func(*Handler) V) V {
	var zero V
	value := of(&ends[0].refusal)
	for i := range ends {
		if of(&ends[i].refusal) != value {
			return zero
		}
	}
	return value
}

// guide asks the jwt handlers that a request comes to.
type guide struct {
	ctx    context.Context //nolint:containedctx // of one walk
	target *target
	asked  *asked
	met    []Handler
}

// Wants implements routes.Guide.
func (*guide) Wants(h caddyhttp.MiddlewareHandler) bool { return isExplainer(h) }

// Meet implements routes.Guide.
func (g *guide) Meet(h caddyhttp.MiddlewareHandler, r *http.Request, at string) bool {
	result := h.(Explainer).ExplainRequest(g.ctx, r, g.asked.Question)
	result.Pointer = g.target.pointer(at)
	result.Site, result.Place, result.Of = g.target.placeOf(at, r)
	g.met = append(g.met, result)
	return result.Verdict != Refused && result.Answer == ""
}

// hidden replaces the value of a credential in a URI.
const hidden = "hidden"

// hide hides a credential that is written out in a URI, wherever it is.
func hide(uri, credential string) string {
	path, query, ok := strings.Cut(uri, "?")
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if isCredential(segment, credential) {
			segments[i] = hidden
		}
	}
	if path = strings.Join(segments, "/"); !ok {
		return path
	}
	parameters := strings.Split(query, "&")
	for i, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		if isCredential(value, credential) {
			parameters[i] = name + "=" + hidden
		}
	}
	return path + "?" + strings.Join(parameters, "&")
}
