package refusal

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// reference reads the page on refusals.
func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/reference/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocs_EveryReasonHasARow(t *testing.T) {
	t.Parallel()
	page := reference(t)
	for _, code := range reason.All {
		a, ok := answers[code]
		if !ok {
			t.Errorf("the reason %s has no answer", code)
			continue
		}
		rfc := "none"
		if a.Code != "" {
			rfc = "`" + a.Code + "`"
		}
		row := fmt.Sprintf("\n| `%s` | %d | %s | %s | ", code, a.Status, rfc, a.Text)
		if strings.Count(page, row) != 1 {
			t.Errorf("there should be one row%s…", row)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(page, -1) {
		if !slices.Contains(reason.All, reason.Code(m[1])) {
			t.Errorf("there is a row for %s, which is not a reason", m[1])
		}
	}
}

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
			if format == formatAWS && !shown[text] {
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
