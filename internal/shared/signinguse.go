package shared

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// The uses of signing keys.
const (
	// UseService are the keys of the tokens that a service issues.
	UseService = "service"
	// UseForward are the keys of the tokens for upstreams.
	UseForward = "forward"
)

// SigningUse are signing keys, and what they are for.
type SigningUse struct {
	// Service is the issuer of the service, and Use one of the uses above.
	Service, Use string
	*Signing
}

// SigningUses returns the signing keys of the config, those of a service for itself before
// those for upstreams.
func (st *State) SigningUses() []SigningUse {
	all := st.Signing()
	list := make([]SigningUse, 0, len(all))
	for issuer, signing := range all {
		use := SigningUse{issuer, UseService, signing}
		if service, ok := strings.CutSuffix(issuer, ForwardIssuer("")); ok && all[service] != nil {
			use.Service, use.Use = service, UseForward
		}
		list = append(list, use)
	}
	slices.SortFunc(list, func(x, y SigningUse) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), -cmp.Compare(x.Use, y.Use))
	})
	return list
}

// Settings returns what the config says of the keys.
func (s *Signing) Settings() tokenservice.SigningSettings { return s.settings }
