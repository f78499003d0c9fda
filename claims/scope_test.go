package claims

import "testing"

func TestScopeToken(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"orders:read": true, "a": true, "!": true, "~": true, "#[]": true, "https://api.example/x": true,
		"": false, " ": false, "a b": false, `a"b`: false, `a\b`: false, "a\tb": false, "\x7f": false, "é": false,
	} {
		if got := ScopeToken(s); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}
