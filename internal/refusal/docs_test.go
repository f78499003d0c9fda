package refusal

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

const referencePage = "../../docs/reference/refusals.md"

// reference reads the page on refusals.
func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The tables of the page are between these lines. go test ./internal/refusal -run
// TestDocs_Tables -update writes them.
const (
	tablesBegin = "<!-- generated: go test ./internal/refusal -run TestDocs_Tables -update -->\n"
	tablesEnd   = "<!-- end of what is generated -->\n"
)

var update = flag.Bool("update", false, "write the tables of docs/reference/refusals.md")

// TestDocs_Tables compares the page's tables of reasons and details with what package
// reason and the answers say.
func TestDocs_Tables(t *testing.T) {
	t.Parallel()
	page := reference(t)
	for name, want := range map[string]string{"reasons": reasonsTable(t), "details": detailsTables(t)} {
		begin := "<!-- " + name + " -->\n" + tablesBegin
		before, rest, ok := strings.Cut(page, begin)
		got, after, closed := strings.Cut(rest, tablesEnd)
		if !ok || !closed {
			t.Fatalf("%s has no place for the %s: it lacks %q or %q", referencePage, name, begin, tablesEnd)
		}
		if got != want {
			t.Errorf("the %s of %s are not those of the code; run go test ./internal/refusal -run TestDocs_Tables -update", name, referencePage)
		}
		page = before + begin + want + tablesEnd + after
	}
	if *update {
		if err := os.WriteFile(referencePage, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// reasonsTable returns the table of reasons, with those that concern the request first, as
// they are what a reader meets first.
func reasonsTable(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| reason | status | RFC 6750 error | text | what to do |\n| --- | --- | --- | --- | --- |\n")
	request := slices.Index(reason.All, reason.MissingCredentials)
	for _, code := range slices.Concat(reason.All[request:], reason.All[:request]) {
		a, rfc := answers[code], "none"
		if a.Code != "" {
			rfc = "`" + a.Code + "`"
		}
		e, _ := reason.Describe(code, "")
		fmt.Fprintf(&out, "| `%s` | %d | %s | %s | %s |\n", code, a.Status, rfc, a.Text, linked(t, e))
	}
	return out.String()
}

// detailsTables returns a table of details for each reason that has some.
func detailsTables(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	var of reason.Code
	for _, e := range reason.Details() {
		if e.Code != of {
			of = e.Code
			fmt.Fprintf(&out, "\n#### %s\n\n| detail | what it means | what to do |\n| --- | --- | --- |\n", of)
		}
		// The name of the parameter in its place.
		text := regexp.MustCompile(`\{([a-z]+)\}`).ReplaceAllString(e.Text, "*$1*")
		fmt.Fprintf(&out, "| %s | %s | %s |\n", text, e.Meaning, linked(t, e))
	}
	return out.String() + "\n"
}

// linked returns a remedy as Markdown: the option that a section is about leads there, and
// sections that it does not name follow.
func linked(t *testing.T, e reason.Entry) string {
	t.Helper()
	text := e.Remedy
	var more []string
	for _, section := range e.See {
		file, anchor, _ := strings.Cut(section, "#")
		label := "`" + anchor + "`"
		switch {
		case strings.Contains(text, label):
			text = strings.Replace(text, label, "["+label+"]("+section+")", 1)
			continue
		case anchor == "":
			t.Errorf("%s names the page %s without a section", e.Code, file)
		case !strings.Contains(anchor, "_"):
			label = strings.ReplaceAll(strings.ReplaceAll(anchor, "-", " "), "api", "API")
		}
		more = append(more, "["+label+"]("+section+")")
	}
	if len(more) > 0 {
		text += " See " + strings.Join(more, ", ") + "."
	}
	return text
}

// TestDocs_EveryReasonHasAnAnswer: without one it would be answered like unavailable keys.
func TestDocs_EveryReasonHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, code := range reason.All {
		if _, ok := answers[code]; !ok {
			t.Errorf("the reason %s has no answer", code)
		}
		if got := CodeOf(code); got != code {
			t.Errorf("%s is answered as %s", code, got)
		}
	}
	for _, err := range []error{new(reason.Detailed), reason.Code("no_such_reason")} {
		if got := CodeOf(err); answers[got].Status != 503 {
			t.Errorf("an error without a reason is answered as %s", got)
		}
	}
	if got := CodeOf(reason.NoExpiry); got != reason.MissingClaim {
		t.Errorf("a detail is answered as %s", got)
	}
}

// onlyMessages are the statuses of mcp alone, whose answers are always messages.
var onlyMessages = map[int]bool{405: true, 408: true, 413: true, 415: true}

// TestDocs_RefusalBodies compares the bodies that the reference shows with those
// that are sent, byte for byte.
func TestDocs_RefusalBodies(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)\n```$").FindAllStringSubmatch(reference(t), -1) {
		shown[m[1]] = true
	}
	sent := map[string]bool{}
	for code, a := range answers {
		if code == reason.MissingCredentials {
			a.Text = Accepted{Tokens: true, TokensIn: []string{"in the header Authorization with the scheme Bearer"}}.required()
		}
		for _, format := range []string{formatJSON, formatAWS} {
			text := string(body(format, code, a))
			sent[text] = true
			if format == formatAWS && !shown[text] && !onlyMessages[a.Status] {
				t.Errorf("the body %s is not shown", text)
			}
		}
	}
	for text := range shown {
		if (strings.HasPrefix(text, `{"error"`) || strings.HasPrefix(text, `{"message"`)) && !sent[text] {
			t.Errorf("the body %s is shown but never sent", text)
		}
	}
}
