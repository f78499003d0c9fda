package reason_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// instance returns a detail of an entry as a log has it: with its parameter.
func instance(e reason.Entry, parameter string) string {
	return regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllLiteralString(e.Text, parameter)
}

// isSentence reports whether a text is fit for a terminal and a table of Markdown alike.
func isSentence(text string) bool {
	return text != "" && strings.Count(text, "`")%2 == 0 && !strings.ContainsAny(text, "|\n\r\t<>[]")
}

func TestEveryReasonHasARemedy(t *testing.T) {
	t.Parallel()
	for _, code := range reason.All {
		e, ok := reason.Describe(code, "")
		if !ok || e.Code != code || e.ID != "" || e.Text != "" {
			t.Errorf("%s: %+v", code, e)
		}
		if !isSentence(e.Meaning) || strings.HasSuffix(e.Meaning, ".") {
			t.Errorf("%s: what it means is not a sentence without a period: %q", code, e.Meaning)
		}
		if !isSentence(e.Remedy) || !strings.HasSuffix(e.Remedy, ".") {
			t.Errorf("%s: the remedy is not a sentence: %q", code, e.Remedy)
		}
		if got := reason.Remedy(code, ""); got != e.Remedy {
			t.Errorf("%s: Remedy returns %q", code, got)
		}
	}
	if e, ok := reason.Describe("no_such_reason", "typ is empty"); ok || reason.Remedy("no_such_reason", "") != "" {
		t.Errorf("a reason that there is not: %+v", e)
	}
}

func TestEveryDetailHasARemedy(t *testing.T) {
	t.Parallel()
	ids, texts := map[string]bool{}, map[string]bool{}
	for _, e := range reason.Details() {
		if !regexp.MustCompile(`^[a-z][a-z0-9_]+$`).MatchString(e.ID) || ids[e.ID] {
			t.Errorf("the id %q is malformed, or duplicate", e.ID)
		}
		if texts[e.Text] || e.Text == "" || strings.ContainsAny(e.Text, "|\n`<>") || strings.Count(e.Text, "{") > 1 {
			t.Errorf("%s: the text is malformed, or duplicate: %q", e.ID, e.Text)
		}
		ids[e.ID], texts[e.Text] = true, true
		if !slices.Contains(reason.All, e.Code) {
			t.Errorf("%s: the reason %s", e.ID, e.Code)
		}
		if !isSentence(e.Meaning) || strings.HasSuffix(e.Meaning, ".") {
			t.Errorf("%s: what it means is not a sentence without a period: %q", e.ID, e.Meaning)
		}
		if !isSentence(e.Remedy) || !strings.HasSuffix(e.Remedy, ".") || e.Remedy == reason.Remedy(e.Code, "") {
			t.Errorf("%s: the remedy is not a sentence, or no more exact than that of the reason: %q", e.ID, e.Remedy)
		}
		for _, parameter := range []string{"exp", "16384", "email, upn"} {
			if got, ok := reason.Describe(e.Code, instance(e, parameter)); !ok || got.ID != e.ID {
				t.Errorf("%s: with %q it is %s", e.ID, parameter, got.ID)
			}
		}
	}
	if len(ids) < 30 {
		t.Errorf("only %d details", len(ids))
	}
}

// TestDetailsOfOthers: what another version says, or a stranger has written, gets the remedy
// of its reason.
func TestDetailsOfOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   reason.Code
		detail string
		want   string
	}{
		{reason.MalformedToken, "typ is empty", "typ_empty"},
		{reason.MalformedToken, "exp is not a number of seconds from 1970 to 9999", "not_time"},
		{reason.MalformedToken, "the claims: nested too deeply", "json_depth"},
		{reason.MissingClaim, "no user: sub missing or empty; user_claim names the claim", "user_missing"},
		{reason.Expired, "typ is empty", ""},           // of another reason
		{reason.MalformedToken, " is not a text", ""},  // without its parameter
		{reason.MalformedToken, "typ is empty ", ""},   // not the whole text
		{reason.MalformedToken, "a text of later", ""}, // unknown
		{reason.MalformedToken, "\x1b[2J", ""},
	} {
		e, ok := reason.Describe(c.code, c.detail)
		if !ok || e.ID != c.want || e.Code != c.code || reason.Remedy(c.code, c.detail) != e.Remedy || e.Remedy == "" {
			t.Errorf("%s %q: %+v", c.code, c.detail, e)
		}
	}
}

// TestEveryVariableIsInTheTable: each exported detail is listed once, in its reason's order.
func TestEveryVariableIsInTheTable(t *testing.T) {
	t.Parallel()
	variables := 0
	for _, name := range []string{"details.go", "detailsmessages.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				variables += len(spec.Names)
			}
			return true
		})
	}
	all := reason.Details()
	if variables != len(all) {
		t.Errorf("%d variables, %d details", variables, len(all))
	}
	if !slices.IsSortedFunc(all, func(a, b reason.Entry) int {
		return slices.Index(reason.All, a.Code) - slices.Index(reason.All, b.Code)
	}) {
		t.Error("the details are not in the order of their reasons")
	}
}

func TestDetailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d    *reason.Detailed
		code reason.Code
		text string
	}{
		{reason.AlgMissing, reason.MalformedToken, "the header has no alg"},
		{reason.TooLarge.With("16384"), reason.MalformedToken, "larger than 16384 bytes; max_token_size raises the limit"},
		{reason.JSONSyntax.With("claims"), reason.MalformedToken, "the claims: not a strict JSON object"},
		{reason.NotText.With("kid"), reason.MalformedToken, "kid is not a text"},
		// One that no entry made has no reason; such an error never allows a request.
		{new(reason.Detailed), "", ""},
	} {
		if c.d.Code() != c.code || c.d.Detail() != c.text || c.d.Error() != string(c.code)+": "+c.text || !errors.Is(c.d, c.code) {
			t.Errorf("%q: %s %q", c.text, c.d.Code(), c.d)
		}
	}
}
