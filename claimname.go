package caddyjwt

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// ClaimName gives a claim a placeholder of its own.
type ClaimName struct {
	// The claim's path: steps are divided by dots, arrays are stepped into
	// by index, and at each step the longest literal name wins.
	Path string `json:"path"`
	// The name in `{http.auth.user.<name>}`. Default: the last step of the
	// path. Never id, which is the user's.
	Name string `json:"name,omitempty"`

	placeholder string
}

func checkClaimNames(configured []*ClaimName) ([]ClaimName, error) {
	var list []ClaimName
	for _, c := range configured {
		if c == nil {
			return nil, errors.New("claim: an entry is null; write claim <path> [<name>]")
		}
		if err := claims.CheckPath(c.Path); err != nil {
			return nil, fmt.Errorf("claim: %w", err)
		}
		named := *c
		if named.Name == "" {
			named.Name = claims.PathName(named.Path)
		}
		if err := checkClaimName(named.Name); err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.Path, err)
		}
		for _, other := range list {
			if other.Name == named.Name {
				return nil, fmt.Errorf("claim %s: the name %s is taken by the claim %s; give one of them another: claim %s <name>", named.Path, named.Name, other.Path, named.Path)
			}
		}
		named.placeholder = "http.auth.user." + named.Name
		list = append(list, named)
	}
	return list, nil
}

func checkClaimName(name string) error {
	if name == "id" {
		return errors.New("the name id is the user's own; give the claim another: claim <path> <name>")
	}
	for _, c := range name {
		if c <= ' ' || c == '{' || c == '}' || c == 0x7f {
			return fmt.Errorf("%s can't be the name of a placeholder; give the claim one of letters, digits, _ and -: claim <path> <name>", strconv.Quote(name))
		}
	}
	return nil
}
