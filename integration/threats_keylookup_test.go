package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// The look-up takes one digest and then one look in the index of each place, by a
// hash with a secret of its own, whatever is found on the way: what a client can
// measure is the same for a key that exists and one that does not, and does not depend
// on how near a guess came. This is seen in its source; the benchmark of the package
// apikey has the figures.
func TestThreat30_OneDigestAndOneLookUp(t *testing.T) {
	t.Parallel()
	lookup, table := filepath.Join("..", "apikey", "lookup.go"), filepath.Join("..", "internal", "table", "table.go")
	for _, c := range []struct {
		file, receiver, name string
		calls                map[string]int
		straight             bool // without loops and branches
	}{
		{lookup, "Lookup", "Find", map[string]int{"DigestOf": 1, "find": 2, "AwaitNews": 1}, false},
		{lookup, "Lookup", "find", map[string]int{"DigestOf": 0, "merge": 3, "Find": 1, "mergeResults": 1}, false},
		{lookup, "", "merge", map[string]int{"Find": 1}, false},
		{filepath.Join("..", "apikey", "set.go"), "Set", "Find", map[string]int{"Find": 1}, true},
		{table, "Table", "Find", map[string]int{"begin": 1}, false},
		{table, "Table", "begin", map[string]int{"Bytes": 1}, true},
	} {
		function := parsedFunction(t, c.file, c.receiver, c.name)
		shape := shapeOf(function.Body)
		for call, n := range c.calls {
			if shape.calls[call] != n {
				t.Errorf("%s calls %s %d times; want %d", c.name, call, shape.calls[call], n)
			}
		}
		// The text of a key decides nothing but whether it is too long.
		for _, call := range []string{"HasPrefix", "EqualFold", "Compare", "IDOf", "CheckText", "ConstantTimeCompare", "Sleep"} {
			if shape.calls[call] != 0 {
				t.Errorf("%s calls %s: what it does must not depend on the key", c.name, call)
			}
		}
		if c.straight && (shape.loops != 0 || shape.branches != 0) {
			t.Errorf("%s has %d loops and %d branches; want none", c.name, shape.loops, shape.branches)
		}
		if c.receiver != "Lookup" {
			continue
		}
		// One return before the digest, for what is too long, one if a store is not
		// there, whatever the key, and one at the end: none where a place has the key.
		returns := map[string]int{"Find": 3, "find": 1}[c.name]
		if shape.returns != returns || shape.jumps != 0 {
			t.Errorf("%s has %d returns and %d breaks or continues; want %d and 0", c.name, shape.returns, shape.jumps, returns)
		}
		if _, last := function.Body.List[len(function.Body.List)-1].(*ast.ReturnStmt); !last {
			t.Errorf("%s does not end with its last return", c.name)
		}
	}
}

// shape is what a function consists of.
type shape struct {
	calls                           map[string]int
	loops, branches, returns, jumps int
}

func shapeOf(body *ast.BlockStmt) shape {
	s := shape{calls: map[string]int{}}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				s.calls[f.Name]++
			case *ast.SelectorExpr:
				s.calls[f.Sel.Name]++
			}
		case *ast.ForStmt, *ast.RangeStmt:
			s.loops++
		case *ast.IfStmt, *ast.SwitchStmt, *ast.SelectStmt:
			s.branches++
		case *ast.ReturnStmt:
			s.returns++
		case *ast.BranchStmt:
			s.jumps++
		}
		return true
	})
	return s
}

// parsedFunction finds a function, or a method of a receiver, in a file.
func parsedFunction(t *testing.T, path, receiver, name string) *ast.FuncDecl {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Name.Name != name || (function.Recv == nil) != (receiver == "") {
			continue
		}
		if receiver == "" {
			return function
		}
		of := function.Recv.List[0].Type
		if pointer, ok := of.(*ast.StarExpr); ok {
			of = pointer.X
		}
		if generic, ok := of.(*ast.IndexListExpr); ok {
			of = generic.X
		}
		if named, ok := of.(*ast.Ident); ok && named.Name == receiver {
			return function
		}
	}
	t.Fatalf("%s has no function %s: this test must follow where the look-up went", path, name)
	return nil
}
