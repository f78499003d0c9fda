package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

func TestFactsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	deepest := strings.Repeat(`{"a":`, claims.MaxDepth-3) + "{}" + strings.Repeat("}", claims.MaxDepth-3)
	longest := Record{
		ID: strings.Repeat("i", 128), Name: strings.Repeat("n", maxName), Description: strings.Repeat("d\n", maxDescription/2),
		Consumer: "<&>é", Created: noon, Expires: noon.Add(time.Nanosecond).In(time.FixedZone("", 3600)),
		Meta: must(claims.ParseObject([]byte(`{"deep":` + deepest + `,"n":1.50,"\u2028<":"\u2029&"}`))),
	}
	for i := range maxScopes {
		longest.Scopes = append(longest.Scopes, fmt.Sprint("scope:", i))
	}
	// Each element is a value: as many as a line of a key file may have.
	many := Record{ID: "many", Meta: must(claims.ParseObject([]byte(`{"a":[1` + strings.Repeat(",1", 1990) + `]}`)))}
	for line, f := range map[string]fact{
		`{"t":"dead","key":"a","at":7,"by":"ann","node":"n1"}`:                 {kind: factDead, key: "a", at: 7, by: "ann", node: "n1"},
		`{"t":"off","key":"a","id":"ff","at":7}`:                               {kind: factOff, key: "a", id: 255, at: 7},
		`{"t":"on","key":"a","id":"ffffffffffffffff"}`:                         {kind: factOn, key: "a", id: 1<<64 - 1},
		`{"t":"retire","key":"a","hash":"` + Digest{1}.String() + `","end":5}`: {kind: factRetire, key: "a", hash: Digest{1}, end: 5},
		`{"t":"secret","key":"a","hash":"` + Digest{1}.String() + `"}`:         {kind: factSecret, key: "a", hash: Digest{1}},
		`{"t":"key","key":"a","rev":9,"name":"A","scopes":["x"]}`:              {kind: factKey, key: "a", rev: 9, record: &Record{Name: "A", Scopes: []string{"x"}}},
		"longest": {kind: factKey, key: longest.ID, rev: 1 << 62, record: &longest},
		"many":    {kind: factKey, key: "many", record: &many, by: `"`},
	} {
		written := storeLanguage{}.Append(nil, f)
		if strings.HasPrefix(line, "{") && string(written) != line {
			t.Errorf("%s, want %s", written, line)
		}
		if !json.Valid(written) || strings.Contains(string(written), "\n") {
			t.Errorf("%s is not a line of JSON", written)
		}
		read, err := storeLanguage{}.Parse(written)
		if err != nil {
			t.Errorf("%.100s: %v", written, err)
			continue
		}
		clear(written) // F may not share the memory of the line
		again := storeLanguage{}.Append(nil, read)
		if want := (storeLanguage{}).Append(nil, f); string(again) != string(want) {
			t.Errorf("%s, want %s", again, want)
		}
		if f.kind != factKey && !reflect.DeepEqual(read, f) {
			t.Errorf("%+v, want %+v", read, f)
		}
		if (storeLanguage{}).End(read) != 0 {
			t.Errorf("%s: it has an end", again)
		}
	}
}

func TestFactsThatAreNotRead(t *testing.T) {
	t.Parallel()
	hash := `"hash":"` + Digest{1}.String() + `"`
	for line, newer := range map[string]bool{
		`{"t":"lend","key":"a"}`:                     true,
		`{"t":"off","key":"a","id":"1","until":5}`:   true,
		`{"t":"key","key":"a","rev":1,"quota":5}`:    true,
		`{"t":"dead","key":"a","id":"1"}`:            true,
		`{"t":"key","key":"a","rev":1,` + hash + `}`: true,
		``:                                      false,
		`[]`:                                    false,
		`{"key":"a"}`:                           false,
		`{"t":"","key":"a"}`:                    false,
		`{"t":5,"key":"a"}`:                     false,
		`{"t":"dead"}`:                          false,
		`{"t":"dead","key":"a/b"}`:              false,
		`{"t":"dead","key":"a","key":"b"}`:      false,
		`{"t":"off","key":"a"}`:                 false,
		`{"t":"off","key":"a","id":1}`:          false,
		`{"t":"on","key":"a","id":"x"}`:         false,
		`{"t":"secret","key":"a"}`:              false,
		`{"t":"secret","key":"a","hash":"x"}`:   false,
		`{"t":"retire","key":"a",` + hash + `}`: false,
		`{"t":"retire","key":"a","end":5}`:      false,
		`{"t":"retire","key":"a",` + hash + `,"end":1.5}`:    false,
		`{"t":"key","key":"a"}`:                              false,
		`{"t":"key","key":"a","rev":99999999999999999999}`:   false,
		`{"t":"key","key":"a","rev":1,"scopes":["a b"]}`:     false,
		`{"t":"key","key":"a","rev":1,"expires":"tomorrow"}`: false,
		`{"t":"dead","key":"a","at":"7"}`:                    false,
		`{"t":"dead","key":"a","by":7}`:                      false,
		`{"t":"dead","key":"a"} {"t":"dead","key":"b"}`:      false,
	} {
		_, err := storeLanguage{}.Parse([]byte(line))
		if err == nil || errors.Is(err, replica.ErrUnknownKind) != newer {
			t.Errorf("%s: %v", line, err)
		}
		if err != nil && strings.Contains(err.Error(), Digest{1}.String()[8:]) {
			t.Errorf("the error shows a hash: %v", err)
		}
	}
}

// A profile may have as many values as a fact that was read: it is read again later.
func TestAProfileOfManyValues(t *testing.T) {
	t.Parallel()
	read := 0
	for n := claims.MaxValues - 20; n < claims.MaxValues+20; n++ {
		line := `{"t":"key","key":"a","rev":1,"consumer":"c","meta":{"n":[1` + strings.Repeat(",1", n) + `]}}`
		f, err := storeLanguage{}.Parse([]byte(line))
		if err != nil {
			continue
		}
		read++
		if r := parseProfile("a", string(profileOf(f.record))); r.Consumer != "c" {
			t.Errorf("%d values: the consumer is %q", n, r.Consumer)
		}
	}
	if read == 0 || read == 40 {
		t.Errorf("%d facts can be read", read)
	}
}
