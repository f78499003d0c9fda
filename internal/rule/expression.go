package rule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
)

// expression is a compiled rule in the Common Expression Language (CEL).
type expression struct {
	program cel.Program
	text    string // as written in the config
}

// An expression that loops over lists or long strings of a token may be expensive.
// Where its estimated cost is above freeCost, the cost is counted at run time and the
// evaluation stops at maxCost. Counting costs more than a simple expression, so cheap
// ones run without it.
const (
	freeCost = 20_000
	maxCost  = 200_000
)

// newExpression compiles an expression. Errors give the line and column in it.
func newExpression(ctx caddy.Context, text string) (*expression, error) {
	env, err := expressionEnv(ctx)
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	checked, err := compileExpression(env, text)
	if err != nil {
		return nil, err
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	cost, err := env.EstimateCost(checked, tokenSizes{})
	if err != nil || cost.Max > freeCost {
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing the expression: %w", err)
	}
	return &expression{program, "require expression " + text}, learnCELRequest(ctx)
}

// checkingEnv is the environment for checking expressions without provisioning. It is
// built once, as building it takes longer than checking an expression.
var checkingEnv = sync.OnceValues(func() (*cel.Env, error) { return expressionEnv(compileOnly()) })

// compileOnly returns a context for checking an expression without provisioning.
func compileOnly() caddy.Context { return caddy.Context{Context: context.Background()} }

// CheckExpression reports the error, if any, of compiling an expression.
func CheckExpression(text string) error {
	env, err := checkingEnv()
	if err != nil {
		return fmt.Errorf("setting up expressions: %w", err)
	}
	_, err = compileExpression(env, text)
	return err
}

func compileExpression(env *cel.Env, text string) (*cel.Ast, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the expression is empty; write require expression `claims.age > 17`")
	}
	expanded, originalColumn := expandPlaceholders(text)
	checked, issues := env.Compile(expanded)
	if errs := issues.Errors(); len(errs) > 0 {
		at := errs[0].Location
		return nil, fmt.Errorf("invalid expression at line %d, column %d: %s; available are the variables claims, scopes, issuer and auth_method, and Caddy's functions and placeholders", at.Line(), originalColumn(at.Line(), at.Column())+1, errs[0].Message)
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("the expression has the type %s but must be a bool; compare it with something, as in claims.admin == true or claims.age > 17", checked.OutputType())
	}
	return checked, nil
}

// expressionEnv returns an environment with our variables and with everything that
// Caddy's own expressions have.
func expressionEnv(ctx caddy.Context) (*cel.Env, error) {
	// path_regexp and header_regexp read the name of their matcher.
	ctx = ctx.WithValue(caddyhttp.MatcherNameCtxKey, "")
	request := cel.ObjectType("http.Request")
	options := []cel.EnvOption{
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("scopes", cel.ListType(cel.StringType)),
		cel.Variable("issuer", cel.StringType),
		cel.Variable("auth_method", cel.StringType),
		cel.Variable(caddyhttp.CELRequestVarName, request),
		cel.Function(caddyhttp.CELPlaceholderFuncName, cel.SingletonBinaryBinding(celPlaceholder), cel.Overload(
			caddyhttp.CELPlaceholderFuncName+"_httpRequest_string", []*cel.Type{request, cel.StringType}, cel.AnyType)),
		ext.Strings(), ext.Bindings(), ext.Lists(), ext.Math(),
	}
	var compile []cel.EnvOption
	var program []cel.ProgramOption
	for _, info := range caddy.GetModules("http.matchers") {
		producer, ok := info.New().(caddyhttp.CELLibraryProducer)
		if !ok {
			continue
		}
		library, err := producer.CELLibrary(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.ID, err)
		}
		compile = append(compile, library.CompileOptions()...)
		program = append(program, library.ProgramOptions()...)
	}
	return cel.NewEnv(append(options, cel.Lib(caddyhttp.NewMatcherCELLibrary(compile, program)))...)
}

// placeholderInExpression matches a placeholder as Caddy's own expressions do.
var placeholderInExpression = regexp.MustCompile(`\\?\{([a-zA-Z][\w.-]+)\}`)

// expandPlaceholders replaces placeholders by function calls, as Caddy does; one
// escaped with a backslash stays as it is. originalColumn maps a column of the result
// to the column in text, for error messages.
func expandPlaceholders(text string) (expanded string, originalColumn func(line, column int) int) {
	type growth struct{ line, column, by int }
	var growths []growth
	var out strings.Builder
	last := 0
	for _, m := range placeholderInExpression.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(text[last:m[0]])
		before := out.String()
		at := growth{line: 1 + strings.Count(before, "\n"), column: len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))}
		replaced := text[m[0]+1 : m[1]]
		if text[m[0]] != '\\' {
			replaced = caddyhttp.CELPlaceholderFuncName + "(" + caddyhttp.CELRequestVarName + `, "` + text[m[2]:m[3]] + `")`
		}
		out.WriteString(replaced)
		at.by = len(replaced) - (m[1] - m[0])
		growths = append(growths, at)
		last = m[1]
	}
	out.WriteString(text[last:])
	return out.String(), func(line, column int) int {
		for i := len(growths) - 1; i >= 0; i-- {
			if g := growths[i]; g.line == line && column > g.column {
				column = max(g.column, column-g.by)
			}
		}
		return column
	}
}

// celPlaceholder is the CEL function that returns the value of a placeholder.
func celPlaceholder(request, name ref.Val) ref.Val {
	native, err := request.ConvertToNative(nil)
	r, ok := native.(*http.Request)
	text, isText := name.(types.String)
	if err != nil || !ok || !isText {
		return types.NewErr("a placeholder needs a request and a name")
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return types.NewErr("the request has no placeholders")
	}
	value, known := identityPlaceholder(r, string(text))
	if !known {
		value, _ = repl.Get(string(text))
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

// identityPlaceholder returns a placeholder of the identity that the rule is about. The
// replacer may have another value for it: a handler that ran before (basic_auth) may
// have set {http.auth.user.id} to another user.
func identityPlaceholder(r *http.Request, name string) (any, bool) {
	if !strings.HasPrefix(name, "http.auth.user.") && !strings.HasPrefix(name, "http.jwt.") {
		return nil, false
	}
	holder := identity.Of(r)
	if holder == nil {
		return nil, false
	}
	return holder.Placeholder(name)
}

// holds reports whether the expression is true for an identity, nil for an anonymous
// request. An expression whose evaluation fails is not true.
func (e *expression) holds(r *http.Request, id *identity.Identity) bool {
	holds, err := e.evaluate(r, id)
	return holds && err == nil
}

func (e *expression) evaluate(r *http.Request, id *identity.Identity) (holds bool, err error) {
	out, _, err := e.program.Eval(&evaluation{request: r, id: id})
	return err == nil && out == types.True, err
}

// evaluation provides the variables of an expression, each computed when it is read.
type evaluation struct {
	request *http.Request
	id      *identity.Identity
}

// ResolveName implements interpreter.Activation.
func (e *evaluation) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		return e.claims(), true
	case "scopes":
		var scopes []string
		if e.id != nil {
			scopes = e.id.Scopes()
		}
		return types.NewStringList(types.DefaultTypeAdapter, scopes), true
	case "issuer":
		if e.id == nil {
			return types.String(""), true
		}
		return types.String(e.id.Issuer()), true
	case "auth_method":
		if e.id == nil {
			return types.String(identity.MethodAnonymous), true
		}
		return types.String(e.id.Method()), true
	case caddyhttp.CELRequestVarName:
		return celRequest(e.request), true
	}
	return nil, false
}

// holdsFor is holds for claims that no request has as its identity.
func (e *expression) holdsFor(body claims.Value, issuer string) bool {
	out, _, err := e.program.Eval(&claimsAlone{body, issuer})
	return err == nil && out == types.True
}

// claimsAlone provides the variables of an expression where there is no request. All that
// it does not have is an error, which is not true.
type claimsAlone struct {
	body   claims.Value
	issuer string
}

// ResolveName implements interpreter.Activation.
func (c *claimsAlone) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		return &celObject{v: c.body}, true
	case "issuer":
		return types.String(c.issuer), true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (*claimsAlone) Parent() interpreter.Activation { return nil }

// Parent implements interpreter.Activation.
func (*evaluation) Parent() interpreter.Activation { return nil }

// tokenSizes estimates the size of what an expression reads: at most that of a token.
type tokenSizes struct{}

// EstimateSize implements checker.CostEstimator.
func (tokenSizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Min: 0, Max: 2000}
}

// EstimateCallCost implements checker.CostEstimator.
func (tokenSizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
