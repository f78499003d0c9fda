package command

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// outcomeMarks show how a check came out, with a word for terminals that don't show the
// sign, and for people who don't know it.
var outcomeMarks = map[reason.Outcome]string{
	reason.Passed:  "✓ ok",
	reason.Failed:  "✗ FAILED",
	reason.Skipped: "– skipped",
	reason.Unknown: "? unknown",
}

// The columns of a check. A text that is longer than maxSeen pushes what was wanted to a
// line of its own, so that lines stay readable.
const (
	checkIndent = "  "
	markWidth   = len("? unknown") + 1
	maxSeen     = 38
)

// checks writes a line for each check, with what was seen and what was wanted. The first that
// failed decides, and is marked. Those that were not made are named in one line.
func (p *reportPrinter) checks(checks []explain.Check) {
	nameWidth, seenWidth := 0, len("seen")
	for i := range checks {
		if c := &checks[i]; !silent(c) {
			nameWidth = max(nameWidth, len(c.Name)+1)
			if n := width(c.Seen); n <= maxSeen {
				seenWidth = max(seenWidth, n)
			}
		}
	}
	row := func(mark, sign, name, seen, wanted string) {
		p.line("%s %s%s%s%s", mark, pad(sign, markWidth), pad(name, nameWidth), pad(seen, seenWidth+2), wanted)
	}
	decided := false
	var skipped []string
	if slices.ContainsFunc(checks, func(c explain.Check) bool { return !silent(&c) }) {
		row(" ", "", "", "seen", "wanted")
	}
	for i := range checks {
		c := &checks[i]
		if silent(c) {
			skipped = append(skipped, string(c.Name))
			continue
		}
		mark := " "
		if c.Outcome == reason.Failed && !decided {
			mark, decided = ">", true
		}
		seen, wanted := shown(c.Seen), shown(c.Wanted)
		if width(c.Seen) > maxSeen && c.Wanted != "" {
			row(mark, outcomeMarks[c.Outcome], string(c.Name), seen, "")
			row(" ", "", "", "", wanted)
		} else {
			row(mark, outcomeMarks[c.Outcome], string(c.Name), seen, wanted)
		}
		if c.Outcome != reason.Failed {
			continue
		}
		for _, more := range []string{c.Detail, optionAt(c)} {
			if more != "" {
				row(" ", "", "", more, "")
			}
		}
	}
	if len(skipped) > 0 {
		slices.Sort(skipped)
		row(" ", outcomeMarks[reason.Skipped], strings.Join(slices.Compact(skipped), ", "), "", "")
	}
}

// silent reports whether a check was not made, and there is nothing to say of it.
func silent(c *explain.Check) bool {
	return c.Outcome == reason.Skipped && c.Seen == "" && c.Wanted == "" && c.Detail == ""
}

// optionAt is the option that decides, and where it is.
func optionAt(c *explain.Check) string {
	switch {
	case c.Option == "":
		return ""
	case c.Line == "":
		return "option: " + c.Option
	}
	return "option: " + c.Option + " (" + c.Line + ")"
}

// maxShown is how much of a text is shown, in characters. JSON has all of it.
const maxShown = 200

// shown is a text in one line, with a sign for none.
func shown(text string) string {
	if text == "" {
		return "-"
	}
	text = terminal.Text(text)
	if utf8.RuneCountInString(text) > maxShown {
		text = string([]rune(text)[:maxShown]) + "…"
	}
	return text
}

func width(text string) int { return utf8.RuneCountInString(terminal.Text(text)) }

// pad fills a text up with spaces.
func pad(text string, to int) string {
	return text + strings.Repeat(" ", max(0, to-width(text)))
}
