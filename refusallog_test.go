package caddyjwt

import "testing"

// TestRefusalsNameTheRequirement: the log has the requirement that a refused request
// did not meet, as the config has it and without claims.
func TestRefusalsNameTheRequirement(t *testing.T) {
	t.Parallel()
	token := signed(t, map[string]any{"scope": "a", "role": "guest", "age": 17})
	for options, want := range map[string]string{
		"require scope a\nrequire scope b":                                  "require scope a b",
		"require any_scope c d\nrequire claim role guest":                   "require any_scope c d",
		"require claim role guest\nrequire claim team.name x":               "require claim team.name",
		requiring("claims.age == 17") + "\n" + requiring("claims.age > 17"): "require expression claims.age > 17",
	} {
		for _, mode := range []string{"", "\nmode report"} {
			s := newSite(t, options+mode)
			serve(t, bearer(token), nil, s.Handler)
			lines := s.logs.TakeAll()
			if len(lines) != 1 || lines[0].ContextMap()["requirement"] != want {
				t.Errorf("%s: %v, want %s", options+mode, lines, want)
			}
		}
	}
	s := newSite(t, "require scope b")
	serve(t, bearer("garbage"), nil, s.Handler)
	if lines := s.logs.TakeAll(); len(lines) != 1 || lines[0].ContextMap()["requirement"] != nil {
		t.Errorf("%v, want no requirement", lines)
	}
}
