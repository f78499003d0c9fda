package caddyjwt

import (
	"reflect"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
)

// TestSettingsForgetNoField: an option of an issuer that is not handed on would be
// accepted in a config and do nothing.
func TestSettingsForgetNoField(t *testing.T) {
	t.Parallel()
	var i Issuer
	fill(t, reflect.ValueOf(&i).Elem())
	s := i.settings()
	for _, pair := range [][2]any{{i, *s}, {*i.Secret[0], *s.Secret[0]}} {
		from, to := reflect.ValueOf(pair[0]), reflect.ValueOf(pair[1])
		if from.NumField() != to.NumField() {
			t.Errorf("%s has %d fields, %s has %d", from.Type(), from.NumField(), to.Type(), to.NumField())
		}
		for n := range to.NumField() {
			if to.Field(n).IsZero() {
				t.Errorf("%s of %s is not set", to.Type().Field(n).Name, to.Type())
			}
		}
	}
	if (*Issuer)(nil).settings() != nil {
		t.Error("an entry that is null has settings")
	}
	if empty := new(Issuer).settings(); !reflect.DeepEqual(empty, new(issuer.Settings)) {
		t.Errorf("an issuer without options has the settings %+v", empty)
	}
}

// fill sets each field of a struct to a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for n := range v.NumField() {
			fill(t, v.Field(n))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	default:
		t.Fatalf("fill knows no %s", v.Kind())
	}
}
