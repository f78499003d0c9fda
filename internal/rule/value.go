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

// claims are the claims as an expression reads them, empty for anonymous.
func (e *evaluation) claims() ref.Val {
	if e.id == nil {
		return &celObject{v: noClaims}
	}
	return &celObject{v: e.id.Claims()}
}

var noClaims = claims.ObjectValue()

// celObject is a JSON object as an expression reads it. Reading a member, which
// is what expressions do, makes that member only; all else is left to CEL's own
// map, made of the whole at the first need.
type celObject struct {
	v     claims.Value
	whole traits.Mapper
}

func (o *celObject) all() traits.Mapper {
	if o.whole == nil {
		members := make(map[ref.Val]ref.Val, o.v.Len())
		for i := range o.v.Len() {
			members[types.String(o.v.NameAt(i))] = celValue(o.v.At(i))
		}
		o.whole = types.NewRefValMap(types.DefaultTypeAdapter, members)
	}
	return o.whole
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

// celValue is a JSON value as an expression reads it. A number without a fraction
// or exponent is an int if it fits one, any other a double.
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
		return types.NewErr("a number is out of range")
	}
	return types.Double(f)
}

// Caddy's functions in an expression ask for a request of a type that Caddy keeps
// to itself: a struct that embeds a *http.Request. It is learnt once, of a value
// that Caddy makes for an expression of its own.
var celRequests struct {
	learn sync.Once
	of    reflect.Type
	err   error
}

// celProbe marks the request of which the type is learnt.
type celProbe struct{}

// learnCELRequest learns the type.
func learnCELRequest(ctx caddy.Context) error {
	celRequests.learn.Do(func() {
		celRequests.of, celRequests.err = probeCELRequest(ctx)
	})
	return celRequests.err
}

func probeCELRequest(ctx caddy.Context) (reflect.Type, error) {
	probe := caddyhttp.MatchExpression{Expr: CELScopeFunction + `("probe")`}
	if err := probe.Provision(ctx); err != nil {
		return nil, err
	}
	var learnt reflect.Type
	r, err := http.NewRequestWithContext(context.WithValue(context.Background(), celProbe{}, &learnt), http.MethodGet, "/", nil)
	if err != nil {
		return nil, err
	}
	if _, err := probe.MatchWithError(r); err != nil {
		return nil, err
	}
	if learnt == nil || learnt.Kind() != reflect.Struct || learnt.NumField() != 1 ||
		learnt.Field(0).Type != reflect.TypeFor[*http.Request]() || !learnt.Implements(reflect.TypeFor[ref.Val]()) {
		return nil, fmt.Errorf("expressions don't work with this version of Caddy, whose requests in expressions are of another form (%v)", learnt)
	}
	return learnt, nil
}

// celRequest is a request as Caddy's functions ask for it.
func celRequest(r *http.Request) ref.Val {
	v := reflect.New(celRequests.of).Elem()
	v.Field(0).Set(reflect.ValueOf(r))
	return v.Interface().(ref.Val)
}
