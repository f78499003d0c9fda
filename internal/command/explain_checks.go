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

// The columns of a check. Where what was seen is longer than maxSeen, or a line would
// be too long, what was wanted has a line of its own.
const (
	markWidth = len("? unknown") + 1
	maxSeen   = 38
)

// checks writes a line for each check, with what was seen and what was wanted. The first that
// failed decides, and is marked. Those that were not made are named in one line.
func (p *reportPrinter) checks(checks []explain.Check) {
	nameWidth, seenWidth := 0, len("seen")
	for i := range checks {
		if c := &checks[i]; !silent(c) {
			nameWidth = max(nameWidth, len(c.Name)+2)
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
		seen, wanted := shown(c.Seen), terminal.Text(c.Wanted)
		tooLong := width(c.Seen) > maxSeen || 2+markWidth+nameWidth+seenWidth+2+width(wanted) > maxProse
		switch {
		case tooLong && (c.Outcome == reason.Passed || wanted == ""):
			// It is as wanted; JSON says what that is.
			row(mark, outcomeMarks[c.Outcome], string(c.Name), cut(seen, maxProse-2-markWidth-nameWidth), "")
		case tooLong:
			row(mark, outcomeMarks[c.Outcome], string(c.Name), seen, "")
			row(" ", "", "", "wanted: "+wanted, "")
		default:
			row(mark, outcomeMarks[c.Outcome], string(c.Name), seen, wanted)
		}
		if c.Outcome != reason.Failed {
			continue
		}
		if c.Detail != "" {
			row(" ", "", "", c.Detail, "")
		}
		if c.Option != "" {
			row(" ", "", "", "option: "+optionAt(c), "")
		}
	}
	if len(skipped) > 0 {
		row(" ", outcomeMarks[reason.Skipped], strings.Join(slices.Compact(skipped), ", "), "", "")
	}
}

// silent reports whether a check was not made, and there is nothing to say of it.
func silent(c *explain.Check) bool {
	return c.Outcome == reason.Skipped && c.Seen == "" && c.Wanted == "" && c.Detail == ""
}

// optionAt is the option that decides, and where it is.
func optionAt(c *explain.Check) string {
	if c.Option == "" || c.Line == "" {
		return c.Option
	}
	return c.Option + " (" + c.Line + ")"
}

// maxShown is how much of a text is shown, in characters. JSON has all of it.
const maxShown = 200

// shown is a text in one line, with a sign for none.
func shown(text string) string {
	if text == "" {
		return "-"
	}
	return cut(terminal.Text(text), maxShown)
}

// cut returns the beginning of a text, if it is longer.
func cut(text string, to int) string {
	if utf8.RuneCountInString(text) <= to {
		return text
	}
	return string([]rune(text)[:to-1]) + "…"
}

func width(text string) int { return utf8.RuneCountInString(terminal.Text(text)) }

// pad fills a text up with spaces.
func pad(text string, to int) string {
	return text + strings.Repeat(" ", max(0, to-width(text)))
}
