package command

import (
	"fmt"
	"io"
	"strings"
)

// printLog prints what the lines of a log say, for people: each request that was refused and,
// of the others, one sentence if it is the only line, else how many they are.
func printLog(out io.Writer, log *explainedLog) error {
	p := new(reportPrinter)
	single := len(log.Lines) == 1
	others := map[string]int{}
	for i := range log.Lines {
		switch l := &log.Lines[i]; {
		case l.Verdict == lineRefused || l.Verdict == lineReported || single:
			if p.Len() > 0 {
				p.line("")
			}
			p.explainedLine(l, single)
		default:
			others[l.Verdict]++
		}
	}
	count := func(verdict, one, many string) {
		switch n := others[verdict]; {
		case n == 0:
			return
		case p.Len() > 0:
			p.line("")
			fallthrough
		default:
			p.line("%v %s", n, map[bool]string{true: one, false: many}[n == 1])
		}
	}
	count(lineNotRefused, "more line is of a request that no jwt handler refused.", "more lines are of requests that no jwt handler refused.")
	count(lineUnknown, "more line says nothing of a request.", "more lines say nothing of a request.")
	_, err := io.WriteString(out, p.String())
	return err
}

// explainedLine writes one line. alone is whether it needs no number.
func (p *reportPrinter) explainedLine(l *explainedLine, alone bool) {
	verdict := map[string]string{
		lineRefused: "REFUSED", lineReported: "WOULD BE REFUSED without mode report", lineNotRefused: "NOT REFUSED by a jwt handler",
		lineUnknown: "UNKNOWN",
	}[l.Verdict]
	if l.Reason != "" {
		verdict += fmt.Sprintf(": %s", l.Reason)
	}
	if l.Reason != "" && l.Status > 0 {
		verdict += fmt.Sprintf(", with status %d", l.Status)
	}
	if !alone {
		verdict = fmt.Sprintf("Line %d: %s", l.Line, verdict)
	}
	p.line("%s", verdict)
	p.field("time", l.Time)
	p.field("site", l.Site)
	if r := l.Request; r != nil {
		host := r.Host
		if !strings.HasPrefix(r.URI, "/") { // a URL with a host of its own, or *
			host += " "
		}
		p.field("request", r.Method+" "+host+r.URI)
		p.field("client", r.ClientIP)
		p.field("credentials", strings.Join(r.Credentials, ", "))
	}
	if l.Reason == "" && l.Status > 0 {
		p.field("status", fmt.Sprint(l.Status))
	}
	p.field("meaning", l.Meaning)
	p.field("detail", l.Detail)
	p.field("requirement", l.Requirement)
	p.field("user", l.User)
	p.field("issuer", l.Issuer)
	if l.Note != "" {
		p.line("")
		p.line("Note: %s", l.Note)
	}
	if l.Remedy != "" {
		p.line("")
		p.line("What to do: %s", l.Remedy)
	}
}
