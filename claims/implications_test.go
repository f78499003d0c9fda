package claims

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestImplications(t *testing.T) {
	t.Parallel()
	i, err := NewImplications(map[string][]string{"admin": {"write", "audit"}, "write": {"read"}, "staff": {"read"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		granted, scope, by string
		has                bool
	}{
		{"admin", "read", "admin", true}, {"admin", "write", "admin", true}, {"admin", "audit", "admin", true}, {"admin", "admin", "", true},
		{"write", "read", "write", true}, {"write", "admin", "", false}, {"write", "audit", "", false}, {"read", "write", "", false}, {"read", "read", "", true},
		{"staff", "read", "staff", true}, {"staff", "write", "", false}, {"x staff admin", "read", "staff", true}, {"read admin", "read", "admin", true},
		{"Admin", "read", "", false}, {"adm", "read", "", false}, {"administrator", "read", "", false}, {"admin", "rea", "", false}, {"admin", "READ", "", false},
		{"", "read", "", false}, {"admin", "", "", false}, {"x", "x", "", true}, {"admin", "other", "", false},
	} {
		granted := strings.Fields(c.granted)
		if got := i.Grants(granted, c.scope); got != c.has {
			t.Errorf("%q has %q: %t", c.granted, c.scope, got)
		}
		if got := i.By(granted, c.scope); got != c.by {
			t.Errorf("%q has %q by %q, want %q", c.granted, c.scope, got, c.by)
		}
	}
}

func TestNoImplications(t *testing.T) {
	t.Parallel()
	for name, narrower := range map[string]map[string][]string{"nil": nil, "empty": {}} {
		i, err := NewImplications(narrower)
		if err != nil || i != nil {
			t.Errorf("%s: %v, %v", name, i, err)
		}
		if i.Grants([]string{"a"}, "b") || !i.Grants([]string{"a", "b"}, "b") || i.By([]string{"a"}, "a") != "" {
			t.Errorf("%s: it does not grant what is granted", name)
		}
	}
}

// chain returns implications that follow from one another, in some steps.
func chain(steps int) map[string][]string {
	all := map[string][]string{}
	for n := range steps {
		all[fmt.Sprintf("s%02d", n)] = []string{fmt.Sprintf("s%02d", n+1)}
	}
	return all
}

// layers returns implications of one layer of scopes each by all of the layer above.
func layers(widths ...int) map[string][]string {
	all := map[string][]string{}
	for layer, width := range widths[:len(widths)-1] {
		for n := range width {
			for m := range widths[layer+1] {
				broad := fmt.Sprintf("%d.%d", layer, n)
				all[broad] = append(all[broad], fmt.Sprintf("%d.%d", layer+1, m))
			}
		}
	}
	return all
}

func TestInvalidImplications(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		narrower map[string][]string
		want     string // in the error; empty for none
	}{
		"itself":         {map[string][]string{"admin": {"read", "admin"}}, "admin implies itself; write"},
		"a ring of two":  {map[string][]string{"admin": {"write"}, "write": {"admin"}}, "ring: admin implies write implies admin; remove"},
		"behind others":  {map[string][]string{"a": {"x", "b"}, "b": {"c"}, "c": {"y", "d"}, "d": {"b"}}, "ring: b implies c implies d implies b; remove"},
		"of a thousand":  {func() map[string][]string { all := chain(999); all["s999"] = []string{"s00"}; return all }(), "s999 implies s00; remove"},
		"no narrow one":  {map[string][]string{"admin": {}}, `"admin" implies no scope; write`},
		"nil":            {map[string][]string{"admin": nil}, `"admin" implies no scope; write`},
		"a duplicate":    {map[string][]string{"admin": {"a", "b", "a"}}, "admin implies a twice; remove"},
		"an empty scope": {map[string][]string{"admin": {""}}, `"" is not a valid scope; write`},
		"an empty broad": {map[string][]string{"": {"a"}}, `"" is not a valid scope; write`},
		"two words":      {map[string][]string{"admin": {"a b"}}, `"a b" is not a valid scope; write`},
		"not ASCII":      {map[string][]string{"ädmin": {"a"}}, `"ädmin" is not a valid scope; write`},
		"own API":        {map[string][]string{"admin": {"read", "caddy-jwt:revoke"}}, "caddy-jwt:revoke is a scope of the token service's own API"},
		"by own API":     {map[string][]string{"caddy-jwt:keys": {"read"}}, "caddy-jwt:keys is a scope of the token service's own API"},
		"own API's none": {map[string][]string{"admin": {"caddy-jwt:"}}, "caddy-jwt: is a scope of the token service's own API"},

		"of no API":       {map[string][]string{"admin": {"caddy-jwt", "caddy:x"}}, ""},
		"the deepest":     {chain(MaxImplicationDepth), ""},
		"too deep":        {chain(MaxImplicationDepth + 1), "s00 implies follows in more than 16 steps; write"},
		"the most":        {layers(1, MaxImplications), ""},
		"too many":        {layers(1, MaxImplications+1), "more than 1000 implications; write"},
		"too many by all": {layers(10, 101), "more than 1000 implications; write"},
		"much follows":    {layers(12, 12, 12, 12, 12), ""},
		"too much":        {layers(190, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 600), "more than 10000 implications; write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch i, err := NewImplications(c.narrower); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || i != nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// TestImplicationsAgainstASearch compares the closure of random implications with a search from
// each granted scope.
func TestImplicationsAgainstASearch(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 7))
	rings, followed := 0, 0
	for range 3000 {
		scopes, narrower := 2+random.IntN(12), map[string][]string{}
		name := func(n int) string { return string(rune('a' + n)) }
		forward := random.IntN(3) > 0 // without rings
		for range random.IntN(2 * scopes) {
			from, to := random.IntN(scopes), random.IntN(scopes)
			if forward && from > to {
				from, to = to, from
			}
			if from != to && !slices.Contains(narrower[name(from)], name(to)) {
				narrower[name(from)] = append(narrower[name(from)], name(to))
			}
		}
		// reaches reports whether a scope follows from another in one step or more.
		reaches := func(from, to string) bool {
			seen, next := map[string]bool{}, slices.Clone(narrower[from])
			for len(next) > 0 {
				s := next[0]
				next = next[1:]
				if s == to {
					return true
				}
				if !seen[s] {
					seen[s], next = true, append(next, narrower[s]...)
				}
			}
			return false
		}
		ring := false
		for n := range scopes {
			ring = ring || reaches(name(n), name(n))
		}
		i, err := NewImplications(narrower)
		if ring != (err != nil) {
			t.Fatalf("%v: there is a ring: %t; %v", narrower, ring, err)
		}
		if ring {
			rings++
			_, list, _ := strings.Cut(strings.TrimSuffix(err.Error(), "; remove one of these implications"), "ring: ")
			steps := strings.Split(list, " implies ")
			for n, s := range steps[1:] {
				if !slices.Contains(narrower[steps[n]], s) {
					t.Fatalf("%v: %v: %s does not imply %s", narrower, err, steps[n], s)
				}
			}
			if steps[0] != steps[len(steps)-1] || len(steps) < 3 {
				t.Fatalf("%v is no ring", err)
			}
			continue
		}
		for range 20 {
			var granted []string
			for range random.IntN(4) {
				granted = append(granted, name(random.IntN(scopes)))
			}
			wanted := name(random.IntN(scopes))
			by := ""
			if n := slices.IndexFunc(granted, func(g string) bool { return reaches(g, wanted) }); n >= 0 {
				by = granted[n]
				followed++
			}
			if got := i.By(granted, wanted); got != by {
				t.Fatalf("%v: %v has %s by %q, want %q", narrower, granted, wanted, got, by)
			}
			if got := i.Grants(granted, wanted); got != (by != "" || slices.Contains(granted, wanted)) {
				t.Fatalf("%v: %v has %s: %t", narrower, granted, wanted, got)
			}
		}
	}
	if rings < 100 || followed < 1000 {
		t.Errorf("only %d rings and %d that follow were tried", rings, followed)
	}
}

// BenchmarkGrants measures whether granted scopes have one, without implications, beside some
// that do not matter, and implied.
func BenchmarkGrants(b *testing.B) {
	implied, err := NewImplications(map[string][]string{"admin": {"write"}, "write": {"read", "list"}, "owner": {"admin"}})
	if err != nil {
		b.Fatal(err)
	}
	granted := []string{"openid", "profile", "read"}
	for _, c := range []struct {
		name    string
		i       *Implications
		granted []string
	}{{"none", nil, granted}, {"granted", implied, granted}, {"implied", implied, []string{"openid", "profile", "owner"}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !c.i.Grants(c.granted, "read") {
					b.Fatal("it is not granted")
				}
			}
		})
	}
}

func ExampleNewImplications() {
	i, err := NewImplications(map[string][]string{"admin": {"orders:write"}, "orders:write": {"orders:read"}})
	fmt.Println(err, i.Grants([]string{"admin"}, "orders:read"), i.Grants([]string{"orders:read"}, "admin"))
	_, err = NewImplications(map[string][]string{"admin": {"staff"}, "staff": {"admin"}})
	fmt.Println(err)
	// Output:
	// <nil> true false
	// the scopes imply each other in a ring: admin implies staff implies admin; remove one of these implications
}
