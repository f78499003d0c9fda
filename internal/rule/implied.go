package rule

import (
	"maps"
	"slices"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// Implied returns what broad scopes imply, by the config of all sites and by that of one, which
// adds to it. Both may be nil.
func Implied(everywhere, here map[string][]string) (*claims.Implications, error) {
	all := everywhere
	if len(here) > 0 {
		all = maps.Clone(here)
		for broad, narrow := range everywhere {
			all[broad] = union(narrow, here[broad])
		}
	}
	for _, broad := range slices.Sorted(maps.Keys(all)) {
		for _, list := range [][]string{{broad}, all[broad]} {
			if err := apikey.CheckScopes(list); err != nil {
				return nil, setting.InOption("scope_implies", "%w", err)
			}
		}
	}
	implied, err := claims.NewImplications(all)
	if err != nil {
		return nil, setting.InOption("scope_implies", "%w", err)
	}
	return implied, nil
}

// union returns the scopes of both lists. What is wrong within one list remains.
func union(one, other []string) []string {
	all := slices.Clone(one)
	for _, s := range other {
		if !slices.Contains(one, s) {
			all = append(all, s)
		}
	}
	return all
}
