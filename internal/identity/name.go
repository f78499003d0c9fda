package identity

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// NamedClaim is a claim with the name of its placeholder, as a config has it. The
// name may be empty, for the last step of the path.
type NamedClaim struct{ Path, Name string }

// Name is a claim with the name of its placeholder.
type Name struct {
	path, name  string
	placeholder string // the name in full
}

// NewNames checks the names of claims.
func NewNames(configured []*NamedClaim) ([]Name, error) {
	var list []Name
	for _, c := range configured {
		if c == nil {
			return nil, errors.New("claim: an entry is null; write claim <path> [<name>]")
		}
		if err := claims.CheckPath(c.Path); err != nil {
			return nil, fmt.Errorf("claim: %w", err)
		}
		named := Name{path: c.Path, name: c.Name}
		if named.name == "" {
			named.name = claims.PathName(named.path)
		}
		if err := checkClaimName(named.name); err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.Path, err)
		}
		for _, other := range list {
			if other.name == named.name {
				return nil, fmt.Errorf("claim %s: the name %s is taken by the claim %s; give one of them another: claim %s <name>", named.path, named.name, other.path, named.path)
			}
		}
		named.placeholder = "http.auth.user." + named.name
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
