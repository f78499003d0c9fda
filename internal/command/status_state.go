package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// printState prints the shared state, if there is any.
func printState(out io.Writer, s *admin.StateStatus) error {
	if s == nil {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARED STATE\tSTATE\tAGE\tKEYS\tFACTS\tOBJECTS\tUNSTORED\tDAMAGED")
	for i := range s.Sets {
		set := &s.Sets[i]
		age, keys := "-", "-"
		if !set.SyncedAt.IsZero() {
			age = (time.Duration(set.AgeSeconds * float64(time.Second))).Round(time.Second).String()
		}
		if set.Keys != nil {
			keys = fmt.Sprint(*set.Keys)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", cell(set.Name), setState(set), age, keys, set.Facts, set.Objects, set.Unstored, set.Damaged)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	lines := []string{
		fmt.Sprintf("cluster %s in %s, this node is %s", s.Cluster, s.Storage, s.Node),
		"nodes: " + strings.Join(s.Nodes, " "),
	}
	for i := range s.Sets {
		lines = append(lines, setFaults(&s.Sets[i])...)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "  %s\n", terminal.Text(line)); err != nil {
			return err
		}
	}
	return nil
}

// setState is the state of a set in a word.
func setState(s *admin.SetStatus) string {
	switch {
	case s.Unsigned:
		return "unsigned"
	case !s.Ready:
		return "not ready"
	case s.Refuses:
		return "too old"
	case s.Error != "":
		return "stale"
	}
	return "ready"
}

// setFaults is what is wrong with a set, and what to do.
func setFaults(s *admin.SetStatus) []string {
	var lines []string
	add := func(format string, values ...any) { lines = append(lines, s.Name+": "+fmt.Sprintf(format, values...)) }
	if s.Error != "" {
		add("last error: %s", s.Error)
	}
	if s.Refuses {
		add("requests that depend on it are refused")
	} else if !s.RefusesAt.IsZero() && s.Error != "" {
		add("requests that depend on it will be refused from %s on, if it can't be read until then", shownTime(s.RefusesAt))
	}
	if s.Unsigned {
		add("it was made without the key that the config has; caddy jwt state accept signs what is there")
	}
	if s.Damaged > 0 {
		add("%s can't be used; the log has the names", counted(s.Damaged, "object"))
	}
	if s.Unknown > 0 {
		add("%s of a newer version can't be applied here", counted(s.Unknown, "fact"))
	}
	if s.Unstored > 0 {
		add("%s could not be stored yet, and would be lost with this node", counted(s.Unstored, "object"))
	}
	return lines
}
