package identity

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// NamedClaim is a claim with the name of its placeholder, as configured. If the
// name is empty, it is the last step of the path.
type NamedClaim struct{ Path, Name string }

// Name is a claim with the name of its placeholder.
type Name struct {
	path, name  string
	placeholder string // its full name
}

// NewNames makes the names of claims, which it checks.
func NewNames(configured []*NamedClaim) ([]Name, error) {
	if err := CheckNames(configured); err != nil {
		return nil, err
	}
	var list []Name
	for _, c := range configured {
		name := c.name()
		list = append(list, Name{path: c.Path, name: name, placeholder: "http.auth.user." + name})
	}
	return list, nil
}

// CheckNames checks the names of claims.
func CheckNames(configured []*NamedClaim) error {
	for n, c := range configured {
		if c == nil {
			return errors.New("claim: an entry is null; write claim <path> [<name>]")
		}
		if err := claims.CheckPath(c.Path); err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		name := c.name()
		if err := checkClaimName(name); err != nil {
			return fmt.Errorf("claim %s: %w", c.Path, err)
		}
		for _, other := range configured[:n] {
			if other.name() == name {
				return fmt.Errorf("claim %s: the name %s is taken by the claim %s; give one of them another: claim %s <name>", c.Path, name, other.Path, c.Path)
			}
		}
	}
	return nil
}

// name is the name of the placeholder.
func (c *NamedClaim) name() string {
	if c.Name == "" {
		return claims.PathName(c.Path)
	}
	return c.Name
}

func checkClaimName(name string) error {
	if name == "id" {
		return errors.New("the name id is reserved; give the claim another: claim <path> <name>")
	}
	for _, c := range name {
		if c <= ' ' || c == '{' || c == '}' || c == 0x7f {
			return fmt.Errorf("invalid placeholder name %s; give the claim one of letters, digits, _ and -: claim <path> <name>", strconv.Quote(name))
		}
	}
	return nil
}
