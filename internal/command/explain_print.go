package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// reportPrinter writes a report for people. It escapes each text by itself, as the ends of
// lines count in a report: nobody may write a line of it but us.
type reportPrinter struct{ strings.Builder }

// line writes a line of texts that may be of others.
func (p *reportPrinter) line(format string, texts ...any) {
	for i := range texts {
		texts[i] = terminal.Text(fmt.Sprint(texts[i]))
	}
	p.WriteString(strings.TrimRight(fmt.Sprintf(format, texts...), " ") + "\n")
}

// field writes a line of the head, unless it is empty.
func (p *reportPrinter) field(name, text string) {
	if text != "" {
		p.line("  %-12s %s", name, text)
	}
}

// maxProse is how long lines of sentences are, in characters.
const maxProse = 100

// prose writes sentences behind a beginning of ours, in lines that are indented from the
// second one on.
func (p *reportPrinter) prose(beginning string, indent int, text string) {
	line, words := beginning, 0
	for word := range strings.FieldsSeq(terminal.Text(text)) {
		if words > 0 && width(line)+1+width(word) > maxProse {
			p.WriteString(line + "\n")
			line, words = strings.Repeat(" ", indent), 0
		}
		if words++; words > 1 {
			line += " "
		}
		line += word
	}
	p.WriteString(line + "\n")
}

// printReport prints a report. given is whether a credential was given.
func printReport(out io.Writer, r *explain.Report, given bool) error {
	p := new(reportPrinter)
	p.head(r, given)
	for i := range r.Handlers {
		p.handler(&r.Handlers[i], r.Certain)
	}
	p.end(r)
	_, err := io.WriteString(out, p.String())
	return err
}

// head writes the verdict, and what decides.
func (p *reportPrinter) head(r *explain.Report, given bool) {
	p.line("%s", verdictLine(r, given))
	p.field("request", r.Request.Method+" "+r.Request.Host+r.Request.URI)
	if h := deciding(r); h != nil && r.Certain && (r.Verdict != explain.Refused || r.Reason != "") {
		p.field("decided by", place(h))
		if h.Verdict == explain.Accepted {
			p.field("user", h.User)
			p.field("by", h.AuthMethod)
			p.field("issuer", h.Issuer)
			p.field("scopes", strings.Join(h.Scopes, " "))
		}
		if c := firstFailed(h); c != nil {
			p.field("seen", shown(c.Seen))
			p.field("wanted", shown(c.Wanted))
			p.field("option", optionAt(c))
		}
	}
	if entry, ok := reason.Describe(r.Reason, r.Detail); ok {
		p.prose("  meaning      ", 15, entry.Meaning)
	}
	p.field("detail", r.Detail)
	p.field("requirement", r.Requirement)
	if !given && r.Verdict != explain.Accepted && answer(r) == "" {
		p.field("credential", "none was given; hand a token or an API key over as @FILE")
	}
}

// verdictLine says what becomes of the request.
func verdictLine(r *explain.Report, given bool) string {
	switch {
	case r.Verdict == explain.Accepted:
		return "ACCEPTED"
	case r.Verdict == explain.Refused && r.Reason == "":
		return "REFUSED, whichever way the request takes, for different reasons"
	case r.Verdict == explain.Refused:
		return fmt.Sprintf("REFUSED: %s, with status %d", r.Reason, r.Status)
	case r.Verdict == explain.Anonymous && answer(r) != "":
		return "ANSWERED by jwt, for which no credential is needed: " + answer(r)
	case r.Verdict == explain.Anonymous && r.Reason != "":
		return fmt.Sprintf("NOT REFUSED, as mode report refuses nothing; else it would be: %s", r.Reason)
	case r.Verdict == explain.Anonymous:
		return "LET THROUGH without an identity"
	case r.Verdict == explain.Unprotected && given:
		return "NOT PROTECTED: the request comes to no jwt, so nothing looks at the credential"
	case r.Verdict == explain.Unprotected:
		return "NOT PROTECTED: the request comes to no jwt"
	case !r.Certain:
		return "UNDECIDED: which way the request takes can't be known here"
	}
	return "UNDECIDED: not all of it can be checked here"
}

// answer is what the request is answered with by the handler that decides, or nothing.
func answer(r *explain.Report) string {
	if h := deciding(r); h != nil {
		return h.Answer
	}
	return ""
}

// firstFailed is the check that decides, nil if none failed.
func firstFailed(h *explain.Handler) *explain.Check {
	for i := range h.Checks {
		if h.Checks[i].Outcome == reason.Failed {
			return &h.Checks[i]
		}
	}
	return nil
}

// deciding is the handler that decides, nil if none does.
func deciding(r *explain.Report) *explain.Handler {
	for i := range r.Handlers {
		if h := &r.Handlers[i]; h.Verdict == explain.Refused && r.Verdict == explain.Refused {
			return h
		}
	}
	for i := len(r.Handlers) - 1; i >= 0; i-- {
		if r.Handlers[i].Verdict == r.Verdict {
			return &r.Handlers[i]
		}
	}
	return nil
}

// place says where a handler is, as people find it: the only jwt of a site, or which one
// of several, and the lines of the Caddyfile.
func place(h *explain.Handler) string {
	text := "jwt of " + h.Site
	if h.Of > 1 {
		text = fmt.Sprintf("jwt %d of %d of %s", h.Place, h.Of, h.Site)
	}
	if h.Site == "" {
		text = strings.TrimSuffix(text, " of ")
	}
	if len(h.Lines) > 0 {
		text += ", " + strings.Join(h.Lines, ", ")
	}
	return text
}

// handler writes a handler with its checks.
func (p *reportPrinter) handler(h *explain.Handler, certain bool) {
	heading, verdict := "", string(h.Verdict)
	if !certain {
		heading = "perhaps "
	}
	switch h.Verdict {
	case explain.Refused:
		verdict = fmt.Sprintf("refused, %s", h.Reason)
	case explain.Anonymous:
		verdict = "let through without an identity"
	}
	switch {
	case h.Answer != "":
		verdict = "answers with " + h.Answer
	case h.Verdict == explain.Anonymous && h.Reason != "":
		verdict = fmt.Sprintf("only reported (mode report), %s", h.Reason)
	case h.Mode == "clear":
		verdict = "only removes headers"
	}
	p.line("")
	p.line("%s%s: %s", heading, place(h), verdict)
	p.checks(h.Checks)
	if !certain && h.Remedy != "" {
		p.prose("  What to do then: ", 4, h.Remedy)
	}
}

// end writes what the reader should know and do.
func (p *reportPrinter) end(r *explain.Report) {
	if !r.Certain && len(r.Over) > 0 {
		p.line("")
		p.line("What these handlers do with the request can't be known here:")
		for _, name := range r.Over {
			p.line("  %s", name)
		}
	}
	for i, note := range r.Notes {
		if i == 0 {
			p.line("")
		}
		p.prose("Note: ", 6, note)
	}
	if r.Remedy != "" {
		p.line("")
		p.prose("What to do: ", 2, r.Remedy)
	}
	if r.SecondOpinion != nil {
		p.line("")
		p.opinion(r.SecondOpinion, r.Verdict)
	}
}

// opinion writes what another library says.
func (p *reportPrinter) opinion(o *explain.Opinion, verdict explain.Verdict) {
	const first = "Second opinion: "
	switch {
	case !o.Asked:
		p.prose(first, 2, o.Library+": "+o.Why)
		return
	case o.Accepts:
		p.prose(first, 2, o.Library+" accepts the token")
	default:
		p.prose(first, 2, o.Library+" refuses the token: "+o.Error)
	}
	switch {
	case o.Why != "":
		p.prose("  They differ: ", 2, o.Why)
	case o.Accepts && verdict == explain.Refused:
		p.prose("  ", 2, "It looks at the token alone, not at what the site requires besides.")
	}
}
