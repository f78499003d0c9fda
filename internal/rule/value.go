package rule

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"sync"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// claims returns the claims for an expression, an empty object for an anonymous request.
func (e *evaluation) claims() ref.Val {
	if e.id == nil {
		return &celObject{v: noClaims}
	}
	return &celObject{v: e.id.Claims()}
}

var noClaims = claims.ObjectValue()

// celObject is a JSON object in an expression. Reading a member, the usual operation,
// converts that member only. All other operations need the whole object, which is
// converted to a CEL map the first time.
type celObject struct {
	v       claims.Value
	members traits.Mapper // nil until it is needed
}

func (o *celObject) all() traits.Mapper {
	if o.members == nil {
		members := make(map[ref.Val]ref.Val, o.v.Len())
		for i := range o.v.Len() {
			members[types.String(o.v.NameAt(i))] = celValue(o.v.At(i))
		}
		o.members = types.NewRefValMap(types.DefaultTypeAdapter, members)
	}
	return o.members
}

// Find implements traits.Mapper.
func (o *celObject) Find(name ref.Val) (ref.Val, bool) {
	text, ok := name.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := o.v.Member(string(text))
	if !ok {
		return nil, false
	}
	return celValue(v), true
}

// Get implements traits.Indexer.
func (o *celObject) Get(name ref.Val) ref.Val {
	if v, ok := o.Find(name); ok {
		return v
	}
	return types.NewErr("no such key")
}

// Contains implements traits.Container.
func (o *celObject) Contains(name ref.Val) ref.Val {
	_, ok := o.Find(name)
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (o *celObject) Size() ref.Val { return types.Int(o.v.Len()) }

// Iterator implements traits.Iterable.
func (o *celObject) Iterator() traits.Iterator { return o.all().Iterator() }

// ConvertToNative implements ref.Val.
func (o *celObject) ConvertToNative(t reflect.Type) (any, error) { return o.all().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (o *celObject) ConvertToType(t ref.Type) ref.Val { return o.all().ConvertToType(t) }

// Equal implements ref.Val.
func (o *celObject) Equal(other ref.Val) ref.Val {
	if p, ok := other.(*celObject); ok {
		other = p.all()
	}
	return o.all().Equal(other)
}

// Type implements ref.Val.
func (*celObject) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (o *celObject) Value() any { return o.all().Value() }

// celValue converts a JSON value for an expression. A number without a fraction or
// exponent becomes an int if it fits, any other number a double.
func celValue(v claims.Value) ref.Val {
	switch v.Kind() {
	case claims.Bool:
		truth, _ := v.True()
		return types.Bool(truth)
	case claims.Number:
		return celNumber(v)
	case claims.String:
		text, _ := v.Text()
		return types.String(text)
	case claims.Array:
		list := make([]ref.Val, v.Len())
		for i := range list {
			list[i] = celValue(v.At(i))
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	case claims.Object:
		return &celObject{v: v}
	default:
		return types.NullValue
	}
}

func celNumber(v claims.Value) ref.Val {
	digits, _ := v.Digits()
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return types.Int(n)
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsInf(f, 0) {
		return types.NewErr("number out of range")
	}
	return types.Double(f)
}

// celRequestType is the type of the request that Caddy's functions in an expression
// expect: an unexported struct of Caddy that embeds a *http.Request. It is found once,
// by reflection, from a value that Caddy passes to a function of ours. If Caddy changes
// that type, expressions fail to load.
var celRequestType struct {
	once sync.Once
	typ  reflect.Type
	err  error
}

// celProbe is the context key of the request with which the type is found.
type celProbe struct{}

// learnCELRequest finds celRequestType.
func learnCELRequest(ctx caddy.Context) error {
	celRequestType.once.Do(func() {
		celRequestType.typ, celRequestType.err = probeCELRequest(ctx)
	})
	return celRequestType.err
}

func probeCELRequest(ctx caddy.Context) (reflect.Type, error) {
	probe := caddyhttp.MatchExpression{Expr: CELScopeFunction + `("probe")`}
	if err := probe.Provision(ctx); err != nil {
		return nil, err
	}
	var learned reflect.Type
	r, err := http.NewRequestWithContext(context.WithValue(context.Background(), celProbe{}, &learned), http.MethodGet, "/", nil)
	if err != nil {
		return nil, err
	}
	if _, err := probe.MatchWithError(r); err != nil {
		return nil, err
	}
	if learned == nil || learned.Kind() != reflect.Struct || learned.NumField() != 1 ||
		learned.Field(0).Type != reflect.TypeFor[*http.Request]() || !learned.Implements(reflect.TypeFor[ref.Val]()) {
		return nil, fmt.Errorf("expressions don't work with this version of Caddy: unexpected type of request %v", learned)
	}
	return learned, nil
}

// celRequest converts a request to the type that Caddy's functions expect.
func celRequest(r *http.Request) ref.Val {
	v := reflect.New(celRequestType.typ).Elem()
	v.Field(0).Set(reflect.ValueOf(r))
	return v.Interface().(ref.Val)
}
