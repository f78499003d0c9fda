package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// printIntrospections prints the issuers that are asked about tokens.
func printIntrospections(out io.Writer, p admin.Page) error {
	if len(p.Introspections) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INTROSPECTION\tID\tSTATE\tACTIVE\tINACTIVE\tREFUSED\tFAILED\tCACHED\tLAST SUCCESS")
	for i := range p.Introspections {
		s := &p.Introspections[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", terminal.Text(strings.Join(s.Issuers, " ")), terminal.Text(s.ID), terminal.Text(s.State),
			s.Active, s.Inactive, s.Refused, s.Failed, s.Cached, shownTime(s.LastSuccess))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range p.Introspections {
		s := &p.Introspections[i]
		var notes []string
		if s.Endpoint != "" && s.Endpoint != s.Source {
			notes = append(notes, "the endpoint is "+s.Endpoint)
		}
		if s.TurnedAway > 0 {
			notes = append(notes, fmt.Sprintf("%d requests got no answer, as there were too many calls at once or a pause after failures", s.TurnedAway))
		}
		if s.LastError != "" {
			notes = append(notes, "last error: "+s.LastError)
		}
		for _, note := range notes {
			if _, err := fmt.Fprintf(out, "  %s\n", terminal.Text(s.ID+": "+note)); err != nil {
				return err
			}
		}
	}
	return nil
}
