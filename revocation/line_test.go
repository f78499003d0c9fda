package revocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for line, rule := range map[string]Rule{
		`{"id":0,"k":"jti","v":"a"}`: {Kind: KindJTI, Value: "a"},
		`{"id":4294967295,"k":"sub","v":"a\"b\\cä","iss":"https://i.example/","end":1795913000,"nbf":1772625600,"why":"left","by":"unix:/run/caddy","node":"n-1","at":1772625600,"gone":true}`: {
			ID: 1<<32 - 1, Kind: KindSub, Value: `a"b\cä`, Issuer: "https://i.example/", End: time.Unix(1795913000, 0).UTC(), NotBefore: noon,
			Reason: "left", By: "unix:/run/caddy", Node: "n-1", At: noon, Gone: true},
		`{"id":7,"k":"key","v":"a","store":"partners"}`:       {ID: 7, Kind: KindKey, Value: "a", Store: "partners"},
		`{"id":7,"k":"kid","v":"1","iss":"i"}`:                {ID: 7, Kind: KindKid, Value: "1", Issuer: "i"},
		`{"id":7,"k":"issuer","v":"i","nbf":1772625600}`:      {ID: 7, Kind: KindIssuer, Value: "i", NotBefore: noon},
		`{"id":7,"k":"token","v":"` + anyDigest + `"}`:        {ID: 7, Kind: KindToken, Value: anyDigest},
		`{"id":7,"k":"client","v":"a","end":253402300799}`:    {ID: 7, Kind: KindClient, Value: "a", End: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		`{"id":7,"k":"jti","v":"\"","by":"` + "\ufffd" + `"}`: {ID: 7, Kind: KindJTI, Value: `"`, By: "\ufffd"},
	} {
		if got := string(language{}.Append([]byte("x"), rule)); got != "x"+line {
			t.Errorf("written as %s, want %s", got, line)
		}
		if got, err := (language{}).Parse([]byte(line)); err != nil || got != rule {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
}

// What people write by hand is read too.
func TestLinesWithSpacesAndEscapes(t *testing.T) {
	t.Parallel()
	got, err := language{}.Parse([]byte(" { \"v\" : \"\\u0061\\ud83d\\ude00\\/\\\"b\" ,\t\"k\":\"jti\", \"gone\" : false, \"id\" : 3 } \r"))
	if want := (Rule{ID: 3, Value: "a😀/\"b"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// Other versions write more, which must not be taken for less than it says, nor be lost.
func TestLinesOfOtherVersionsAreUnknown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"id":1,"k":"ip","v":"a"}`, `{"id":1,"k":"jti","v":"a","aud":"b"}`, `{"aud":["b",{"c":1}],"id":1,"k":"jti","v":"a"}`, `{"t":"x"}`,
		`{"id":1,"k":"jti","v":"a","nbf":5}`, `{"id":1,"k":"jti","v":"a","store":"s"}`, `{"id":1,"k":"kid","v":"a"}`, `{"id":1,"k":"issuer","v":"a"}`,
		`{"id":1,"k":"key","v":"a","iss":"i"}`, `{"id":1,"k":"token","v":"sha512:00"}`, `{"id":1,"k":"jti","v":""}`, `{"id":1,"k":"jti","v":"a\nb"}`,
	} {
		if _, err := (language{}).Parse([]byte(line)); !errors.Is(err, replica.ErrUnknownKind) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestDamagedLines(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "{", "{}", "null", `["id"]`, `"text"`, `{"id":1,"k":"jti"}`, `{"id":1,"v":"a"}`, `{"k":"jti","v":"a"}`, `{"id":1,"k":"jti","v":"a"`, `{"id":1,"k":"jti","v":"a"}}`,
		`{"id":1,"k":"jti","v":"a",}`, `{,"id":1,"k":"jti","v":"a"}`, `{"id":1 "k":"jti","v":"a"}`, `{"id" 1,"k":"jti","v":"a"}`,
		`{"id":"1","k":"jti","v":"a"}`, `{"id":1.5,"k":"jti","v":"a"}`, `{"id":-1,"k":"jti","v":"a"}`, `{"id":1e3,"k":"jti","v":"a"}`, `{"id":01,"k":"jti","v":"a"}`, `{"id":,"k":"jti","v":"a"}`,
		`{"id":4294967296,"k":"jti","v":"a"}`, `{"id":99999999999999999999999,"k":"jti","v":"a"}`, `{"id":null,"k":"jti","v":"a"}`,
		`{"id":1,"k":1,"v":"a"}`, `{"id":1,"k":"jti","v":null}`, `{"id":1,"k":"jti","v":["a"]}`, `{"id":1,"k":"jti","v":"a","end":"2026"}`, `{"id":1,"k":"jti","v":"a","end":0}`,
		`{"id":1,"k":"jti","v":"a","end":253402300800}`, `{"id":1,"k":"jti","v":"a","gone":1}`, `{"id":1,"k":"jti","v":"a","gone":"true"}`,
		`{"id":1,"k":"jti","v":"a","v":"b"}`, `{"id":1,"id":1,"k":"jti","v":"a"}`, "{\"id\":1,\"k\":\"jti\",\"v\":\"a\tb\"}", "{\"id\":1,\"k\":\"jti\",\"v\":\"a\xff\"}",
		"{\"id\":1,\"k\":\"jti\",\"v\":\"\\\"\xff\"}", `{"id":1,"k":"jti","v":"\ud800"}`, `{"id":1,"k":"jti","v":"\q"}`, `{"id":1,"k":"jti","v":"a\"}`, `{"x":1,`, `{"id":1,"k":"jti","v":"a"} {}`,
	} {
		if r, err := (language{}).Parse([]byte(line)); err == nil || errors.Is(err, replica.ErrUnknownKind) {
			t.Errorf("%s: %+v, %v", line, r, err)
		}
	}
}

// The rule of a line doesn't change when the memory of the line is used again.
func TestRulesKeepNothingOfTheirLine(t *testing.T) {
	t.Parallel()
	line := []byte(`{"id":1,"k":"jti","v":"abcdef","why":"a\"b"}`)
	r, err := language{}.Parse(line)
	clear(line)
	if err != nil || r.Value != "abcdef" || r.Reason != `a"b` {
		t.Errorf("%+v, %v", r, err)
	}
}

// What this parser takes, encoding/json reads the same way.
func FuzzLine(f *testing.F) {
	for _, r := range []Rule{
		{Kind: KindSub, Value: "a\"\\😀", Issuer: "i", NotBefore: noon, End: noon, Reason: "r", By: "b", Node: "n", At: noon, Gone: true},
		{ID: 5, Kind: KindKey, Value: "k", Store: "s"},
	} {
		f.Add(language{}.Append(nil, r))
	}
	f.Add([]byte(`{"id":1,"k":"jti","v":"\u0041\ud83d\ude00","x":[{}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := language{}.Parse(line)
		if err != nil {
			if errors.Is(err, replica.ErrUnknownKind) && !json.Valid(line) {
				t.Error("what is no JSON is taken for another version's")
			}
			return
		}
		canonical := language{}.Append(nil, r)
		again, err := language{}.Parse(canonical)
		if err != nil || again != r {
			t.Errorf("%s is written as %s and read as %+v, %v", line, canonical, again, err)
		}
		var mine, theirs map[string]any
		if err := json.Unmarshal(line, &theirs); err != nil {
			t.Fatal(err)
		}
		if gone, ok := theirs["gone"]; ok && gone == false {
			delete(theirs, "gone")
		}
		for name, value := range theirs {
			if value == "" {
				delete(theirs, name)
			}
		}
		if err := json.Unmarshal(canonical, &mine); err != nil || !reflect.DeepEqual(mine, theirs) {
			t.Errorf("%s is read as %s: %v", line, canonical, err)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	rule := made(t, Rule{Kind: KindSub, Value: "a", End: noon.Add(time.Hour)})
	gone := rule
	gone.Gone = true
	forever := made(t, Rule{Kind: KindSub, Value: "a"})
	if (language{}).End(rule) != noon.Unix()+3600 || (language{}).End(gone) != noon.Unix()+3600 || (language{}).End(forever) != 0 {
		t.Error("wrong ends")
	}
}

func TestMerging(t *testing.T) {
	t.Parallel()
	rule := func(id uint32, of Rule) Rule { of.ID, of.At = id, noon; return of }
	removed := func(r Rule) Rule { r.Gone = true; return r }
	later := func(r Rule) Rule { r.At = r.At.Add(time.Second); return r }
	ends := func(r Rule) Rule { r.End = noon; return r }
	sub := Rule{Kind: KindSub, Value: "a"}
	a, b := rule(1, sub), rule(2, sub)
	of := rule(1, Rule{Kind: KindSub, Value: "a", Issuer: "i"})
	key, store := rule(1, Rule{Kind: KindKey, Value: "a"}), rule(1, Rule{Kind: KindKey, Value: "a", Store: "s"})
	for name, test := range map[string]struct{ facts, want []Rule }{
		"nothing":                           {nil, nil},
		"a removal alone":                   {[]Rule{removed(a)}, []Rule{removed(a)}},
		"a rule and its removal":            {[]Rule{a, removed(a)}, []Rule{removed(a)}},
		"a removal before its rule":         {[]Rule{removed(a), later(a)}, []Rule{removed(a)}},
		"the removal of one of two":         {[]Rule{a, b, removed(a)}, []Rule{removed(a), b}},
		"the removal for another issuer":    {[]Rule{a, removed(of)}, []Rule{a, removed(of)}},
		"the removal for another store":     {[]Rule{key, removed(store)}, []Rule{key, removed(store)}},
		"the same twice":                    {[]Rule{b, a, b, a}, []Rule{a, b}},
		"the same with another end":         {[]Rule{a, ends(a)}, []Rule{a, ends(a)}},
		"two removals of one":               {[]Rule{later(removed(a)), removed(a)}, []Rule{removed(a)}},
		"two removals with different ends":  {[]Rule{ends(removed(a)), removed(a)}, []Rule{removed(a)}},
		"rules of different kinds and more": {[]Rule{key, store, of, b, a}, []Rule{a, b, of, key, store}},
	} {
		for range 5 {
			rand.Shuffle(len(test.facts), func(i, j int) { test.facts[i], test.facts[j] = test.facts[j], test.facts[i] })
			got := language{}.Merge(append([]Rule(nil), test.facts...))
			if len(got) != len(test.want) || len(got) > 0 && !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s: %+v, want %+v", name, got, test.want)
			}
		}
	}
}

// benchLine is a rule of usual size, as most will be.
func benchLine(n int) []byte {
	return language{}.Append(nil, Rule{
		ID: uint32(n), Kind: KindJTI, Value: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n*7), Issuer: "https://login.example.com/",
		End: noon.Add(time.Duration(n%100_000) * time.Second), At: noon,
	})
}

func BenchmarkParse(b *testing.B) {
	line := benchLine(1)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := (language{}).Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}

func TestALineIsShort(t *testing.T) {
	t.Parallel()
	if line := benchLine(1); len(line) > 140 || strings.Contains(string(line), " ") {
		t.Errorf("%s", line)
	}
}
