package rule

import (
	"testing"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// TestClaimMatches checks that only strings, numbers and bools can match.
func TestClaimMatches(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]bool{
		`17`: {"17": true, "17.0": false}, `"17"`: {"17": true}, `1.0`: {"1": false, "1.0": true}, `1e2`: {"100": false, "1e2": true},
		`true`: {"true": true, "1": false}, `"true"`: {"true": true}, `null`: {"null": false, "": false}, `{}`: {"{}": false, "": false},
		`{"a":1}`: {`{"a":1}`: false}, `[["x"]]`: {"x": false, `["x"]`: false}, `[{"a":1}]`: {`{"a":1}`: false}, `[null]`: {"": false, "null": false},
		`[]`: {"": false}, `""`: {"": true}, `[""]`: {"": true}, `["a","b"]`: {"b": true, "a,b": false}, `-0`: {"-0": true, "0": false},
	} {
		object, err := claims.ParseObject([]byte(`{"x":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		v, _ := object.Lookup("x")
		for value, is := range want {
			if got := ClaimMatches(v, []string{"never", value}); got != is {
				t.Errorf("%s is %q: %v", text, value, got)
			}
		}
	}
}
