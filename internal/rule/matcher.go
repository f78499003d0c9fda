package rule

import (
	"fmt"
	"net/http"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Names of the matchers' functions in expressions: jwt_claim("roles", "admin") and
// jwt_scope("orders:read").
const (
	CELClaimFunction = "jwt_claim"
	CELScopeFunction = "jwt_scope"
)

// CELMatcher returns a CEL library with a function that runs a matcher with at least
// minArgs string arguments.
func CELMatcher(name string, minArgs int, matcher func(args []string) caddyhttp.RequestMatcherWithError) cel.Library {
	function := name + "_of_request"
	macro := parser.NewGlobalVarArgMacro(name, func(eh parser.ExprHelper, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		if len(args) < minArgs {
			return nil, eh.NewError(eh.NewList().ID(), fmt.Sprintf("%s has too few arguments (minimum %d)", name, minArgs))
		}
		return eh.NewCall(function, eh.NewIdent(caddyhttp.CELRequestVarName), eh.NewList(args...)), nil
	})
	binding := func(request, list ref.Val) ref.Val {
		native, err := request.ConvertToNative(nil)
		r, ok := native.(*http.Request)
		args, listErr := list.ConvertToNative(reflect.TypeFor[[]string]())
		texts, isList := args.([]string)
		if err != nil || listErr != nil || !ok || !isList || len(texts) < minArgs {
			return types.NewErr("%s needs string arguments", name)
		}
		if learned, ok := r.Context().Value(celProbe{}).(*reflect.Type); ok {
			*learned = reflect.TypeOf(request)
			return types.False // it is no request, and no matcher is in a wrong place
		}
		matches, err := matcher(texts).MatchWithError(r)
		if err != nil {
			return types.WrapErr(err)
		}
		return types.Bool(matches)
	}
	return caddyhttp.NewMatcherCELLibrary([]cel.EnvOption{
		cel.Macros(macro),
		cel.Function(function, cel.Overload(function, []*cel.Type{cel.ObjectType("http.Request"), cel.ListType(cel.StringType)}, cel.BoolType),
			cel.SingletonBinaryBinding(binding)),
	}, nil)
}
