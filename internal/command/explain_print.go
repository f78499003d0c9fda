package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
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
	last := deciding(r)
	switch r.Verdict {
	case explain.Accepted:
		p.line("ACCEPTED")
	case explain.Refused:
		p.line("REFUSED: %s, with status %v", r.Reason, r.Status)
	case explain.Anonymous:
		p.line("LET THROUGH without an identity%s", because(r))
	case explain.Unprotected:
		p.line("NOT PROTECTED: the request comes to no jwt handler%s", map[bool]string{true: ", so nothing looks at the credential"}[given])
	default:
		p.line("UNDECIDED%s", because(r))
	}
	p.field("request", r.Request.Method+" "+r.Request.Host+r.Request.URI)
	if last != nil && (r.Certain || r.Verdict == explain.Accepted) {
		p.field("decided by", place(last))
		if last.Verdict == explain.Accepted {
			p.field("user", last.User)
			p.field("by", last.AuthMethod)
			p.field("issuer", last.Issuer)
			p.field("scopes", strings.Join(last.Scopes, " "))
		}
	}
	p.field("detail", r.Detail)
	p.field("requirement", r.Requirement)
	if !given && r.Verdict != explain.Accepted {
		p.field("credential", "none was given; hand a token or an API key over as @FILE")
	}
}

// because is the reason of a report that does not refuse.
func because(r *explain.Report) string {
	if r.Reason == "" {
		return ""
	}
	return ": " + string(r.Reason)
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
	case h.Mode == "report" && h.Reason != "":
		verdict += fmt.Sprintf("; without mode report it would be refused: %s", h.Reason)
	case h.Mode == "clear":
		verdict += "; this jwt only removes headers"
	}
	p.line("")
	p.line("%s%s: %s", heading, place(h), verdict)
	p.checks(h.Checks)
}

// end writes what the reader should know and do.
func (p *reportPrinter) end(r *explain.Report) {
	if !r.Certain && len(r.Handlers) > 0 {
		p.line("")
		p.line("The way of the request is not certain. What can't be known here: what these handlers do.")
		for _, name := range r.Over {
			p.line("  %s", name)
		}
	}
	for i, note := range r.Notes {
		if i == 0 {
			p.line("")
		}
		p.line("Note: %s", note)
	}
	if r.Remedy != "" {
		p.line("")
		p.line("What to do: %s", r.Remedy)
	}
	if o := r.SecondOpinion; o != nil {
		p.line("")
		says := "accepts the token"
		if !o.Accepts {
			says = "refuses the token"
		}
		if o.Error != "" {
			says += ": " + o.Error
		}
		p.line("Second opinion: %s %s", o.Library, says)
		if o.Why != "" {
			p.line("  They differ because %s", o.Why)
		}
	}
}
