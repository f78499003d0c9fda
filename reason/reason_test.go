package reason_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TestAll checks that every constant is in All once, so that it has an answer and a
// metric.
func TestAll(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var written []reason.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Code" {
			return true
		}
		for _, v := range spec.Values {
			text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			written = append(written, reason.Code(text))
		}
		return true
	})
	if len(written) == 0 || !slices.Equal(written, reason.All) {
		t.Errorf("the constants are %v, All has %v", written, reason.All)
	}
	if sorted := slices.Sorted(slices.Values(reason.All)); len(slices.Compact(sorted)) != len(reason.All) {
		t.Error("two constants have one text")
	}
}
