package caddyjwt

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

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

// TestLimitsAreThoseOfTheConfig: what a config says about kids and sizes holds for tokens.
func TestLimitsAreThoseOfTheConfig(t *testing.T) {
	t.Parallel()
	set := map[string][]json.RawMessage{}
	for _, kid := range []string{"a", "b", "c", "d", "e"} {
		var one map[string][]json.RawMessage
		if err := json.Unmarshal(signerSet(t, kid), &one); err != nil {
			t.Fatal(err)
		}
		set["keys"] = append(set["keys"], one["keys"]...)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	overwrite(t, path, string(text))
	other := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	other.Header["kid"] = "z"
	strange, err := other.SignedString(signer())
	if err != nil {
		t.Fatal(err)
	}
	large := signed(t, map[string]any{"roles": strings.Repeat("r", 13<<10)})
	for _, c := range []struct{ token, inIssuer, inBlock, reason string }{
		{signed(t, nil), "", "", "unknown_key"},
		{signed(t, nil), "kidless_keys 5", "", ""},
		{strange, "kidless_keys 5", "", "unknown_key"},
		{strange, "kidless_keys 5\nignore_kid", "", ""},
		{large, "kidless_keys 5", "", "malformed_token"},
		{large, "kidless_keys 5", "max_token_size 32KiB", ""},
	} {
		s := makeSite(t, "issuer https://issuer.example/ {\njwks_file "+path+"\naudience https://api.example\n"+c.inIssuer+"\n}\n"+c.inBlock)
		if res := serve(t, bearer(c.token), nil, s.Handler); res.reason() != c.reason || (res.next != nil) != (c.reason == "") {
			t.Errorf("%q, %q: %d %q, want %q", c.inIssuer, c.inBlock, res.Code, res.reason(), c.reason)
		}
	}
}
