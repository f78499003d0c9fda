package caddyjwt

import (
	"reflect"
	"strings"
	"testing"
)

// TestOptionsKnowWhetherTheyAreSet: an option is set if, and only if, its field is.
func TestOptionsKnowWhetherTheyAreSet(t *testing.T) {
	t.Parallel()
	checkIsSet(t, handlerOptions())
	checkIsSet(t, issuerOptions())
	checkIsSet(t, apiKeyOptions())
}

func checkIsSet[T any](t *testing.T, all options[T]) {
	t.Helper()
	for field := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		var value T
		setField(reflect.ValueOf(&value).Elem().FieldByIndex(field.Index))
		for _, o := range all {
			if got, want := o.isSet(&value), o.name == name; got != want {
				t.Errorf("with only the field %s set, %s reports %v", name, o.name, got)
			}
		}
	}
}

// setField gives a field a value that is not its zero value.
func setField(field reflect.Value) {
	switch field.Kind() {
	case reflect.String:
		field.SetString("x")
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Int, reflect.Int64:
		field.SetInt(1)
	case reflect.Slice:
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
	case reflect.Map:
		field.Set(reflect.MakeMap(field.Type()))
		field.SetMapIndex(reflect.New(field.Type().Key()).Elem(), reflect.New(field.Type().Elem()).Elem())
	default:
		field.Set(reflect.New(field.Type().Elem()))
	}
}
