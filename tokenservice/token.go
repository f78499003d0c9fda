package tokenservice

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// serveToken is the token endpoint (RFC 6749 section 3.2).
func (s *Service) serveToken(w http.ResponseWriter, r *http.Request, from Request) {
	f, ok := s.readForm(w, r, from)
	if !ok {
		return
	}
	e := eventOf(from)
	var (
		c       client
		refused *failure
	)
	switch e.Grant = f.Get("grant_type"); e.Grant {
	case grantClientCredentials:
		c, refused = s.authenticate(r.Context(), r, f, from)
	case grantJWTBearer:
		c, e.Federate, refused = s.federated(r.Context(), r, f, from)
	case "":
		refused = noGrant
	default:
		e.Grant, refused = "", otherGrant
	}
	e.Client = c.id
	var asked mint
	if refused == nil {
		asked, refused = s.asked(&c, f, e.Grant == grantJWTBearer)
	}
	if refused == nil {
		asked, refused = s.mint(r.Context(), &c, asked)
	}
	if refused != nil {
		if e.Grant == grantJWTBearer && refused.code == errInvalidClient {
			refused = invalidGrant(refused.reason)
		}
		s.fail(w, refused, e)
		return
	}
	s.write(w, asked.answer(), e)
}

// asked returns what a client asks for and may have.
func (s *Service) asked(c *client, f *form, federated bool) (mint, *failure) {
	audience, refused := s.target(c, f)
	if refused != nil {
		return mint{}, refused
	}
	scopes, refused := s.scopes(c, f.Get("scope"), federated)
	if refused != nil {
		return mint{}, refused
	}
	lifetime := s.config.Lifetime
	if federated {
		lifetime = min(lifetime, maxFederated)
	}
	return mint{audience: audience, scopes: scopes, lifetime: lifetime}, nil
}

// target returns the resource that the token is for (RFC 8707 section 2): one, and one that
// this client may ask for, compared byte for byte.
func (s *Service) target(c *client, f *form) (string, *failure) {
	usual, allowed := s.config.Audience[0], c.audience()
	if len(allowed) == 0 {
		allowed = s.config.Audience[:1]
	}
	asked := f.Get("resource")
	switch {
	case f.resources > 1:
		return "", severalTargets
	case asked == "" && slices.Contains(allowed, usual):
		return usual, nil
	case asked == "":
		return allowed[0], nil
	case !absolute(asked):
		return "", badTarget
	case !slices.Contains(allowed, asked):
		return "", otherTarget
	}
	return asked, nil
}

// absolute reports whether a text is an absolute URI without fragment (RFC 3986 section 4.3).
func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && !strings.Contains(text, "#")
}

// maxAskedScopes is how many scopes a request may name.
const maxAskedScopes = 1000

// scopes returns the scopes that are granted: what is asked for as far as the client has it, or
// has one that implies it, in the order in which it is asked for (RFC 6749 section 3.3). What is
// not asked for is not granted: who takes the token knows what its scopes imply. A scope that
// the client can't be granted implies nothing.
//
// The scopes of the service's own API are given to a client by the config alone: not to a key,
// whose scopes others may edit, and not to a platform.
func (s *Service) scopes(c *client, asked string, federated bool) ([]string, *failure) {
	may := func(scope string) bool {
		return (len(s.config.Scopes) == 0 || slices.Contains(s.config.Scopes, scope)) &&
			(!strings.HasPrefix(scope, claims.ServiceScopes) || c.configured != nil && !federated)
	}
	owned := slices.DeleteFunc(slices.Clone(c.scopes()), func(scope string) bool { return !may(scope) })
	if asked == "" {
		usual := s.config.DefaultScopes
		granted := make([]string, 0, len(owned))
		for _, scope := range owned {
			if (len(usual) == 0 || slices.Contains(usual, scope)) && !slices.Contains(granted, scope) {
				granted = append(granted, scope)
			}
		}
		for _, scope := range usual {
			if s.config.Implied.By(owned, scope) != "" && may(scope) && !slices.Contains(granted, scope) {
				granted = append(granted, scope)
			}
		}
		return granted, nil
	}
	if strings.Count(asked, " ") >= maxAskedScopes {
		return nil, manyScopes
	}
	granted := make([]string, 0, min(len(owned), strings.Count(asked, " ")+1))
	for scope := range strings.SplitSeq(asked, " ") {
		if !claims.ScopeToken(scope) {
			return nil, malformedScope
		}
		if s.config.Implied.Grants(owned, scope) && may(scope) && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 {
		return nil, noScope
	}
	return granted, nil
}

// answer returns the answer with a token (RFC 6749 section 5.1).
func (m *mint) answer() []byte {
	out := make([]byte, 0, len(m.token)+128+len(m.scope))
	out = append(out, `{"access_token":"`...)
	out = append(out, m.token...)
	out = append(out, `","token_type":"Bearer","expires_in":`...)
	out = strconv.AppendInt(out, m.expires-m.issued, 10)
	if m.scope != "" {
		out = append(out, `,"scope":"`...)
		out = append(out, m.scope...) // neither quotes nor backslashes are in it
		out = append(out, '"')
	}
	return append(out, '}')
}
