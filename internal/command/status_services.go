package command

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// printServices prints the token services of a status page.
func printServices(out io.Writer, p admin.Page, now time.Time) error {
	if len(p.Services) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOKEN SERVICE\tUSE\tSIGNING KEY\tNEXT ROTATION")
	for _, s := range p.Services {
		next := "-"
		if !s.NextRotation.IsZero() {
			next = "in " + s.NextRotation.Sub(now).Round(time.Minute).String()
			if !s.NextRotation.After(now) {
				next = "overdue since " + shownTime(s.NextRotation)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cell(s.Issuer), cell(s.Use), cell(s.SigningKey), next)
	}
	return w.Flush()
}
