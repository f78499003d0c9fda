package issuer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// maxIntrospectionCache is the longest time for which an answer may be used: a token that the
// issuer revokes is accepted for as long.
const maxIntrospectionCache = 24 * time.Hour

// onlyOpaque reports whether the issuer is asked about its tokens and has no keys, so that
// none of its tokens may be a JWT.
func (i *Settings) onlyOpaque() bool {
	return i.Introspection != nil && !i.Introspection.JWTs &&
		i.Discovery == "" && i.JWKSURL == "" && i.JWKSFile == "" && len(i.PublicKey) == 0 && len(i.Secret) == 0
}

// checkOnlyOpaque checks that an issuer without keys has no options that are about JWTs.
func (i *Settings) checkOnlyOpaque(p *validator.Policy) error {
	for _, o := range []struct {
		name string
		set  bool
	}{
		{"algorithms", !p.Algorithms.Empty()}, {"typ", len(i.Typ) > 0}, {"kidless_keys", i.KidlessKeys != 0}, {"ignore_kid", i.IgnoreKid},
		{"max_keys", i.MaxKeys != 0}, {"bearer_token_file", i.BearerTokenFile != ""},
		{"refresh_interval", i.RefreshInterval != 0}, {"max_stale", i.MaxStale != 0},
	} {
		if o.set {
			return fmt.Errorf("%s is for JWTs, and with introspection alone no token of the issuer is one; remove it, or write discovery beside introspection if its JWTs are to be verified too", o.name)
		}
	}
	return setting.CheckPath(i.CA)
}

// checkIntrospection checks introspection without reading or asking anything. URLs with
// {env.NAME} are checked when the config loads.
func (i *Settings) checkIntrospection(p *validator.Policy) error {
	n := i.Introspection
	if n == nil {
		return nil
	}
	p.IntrospectJWTs, p.Untyped = n.JWTs, n.Untyped
	err := n.check(p)
	if err == nil && !strings.Contains(p.Issuer+n.URL+i.Discovery, "{env.") {
		err = i.introspectionSettings(p.Issuer, n.URL, i.Discovery, "").Config().Check()
	}
	if err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	return nil
}

func (n *Introspection) check(p *validator.Policy) error {
	switch {
	case p.AnyIssuer:
		return errors.New("with issuer * nobody is known who could be asked; name the issuer")
	case n.Client == nil && n.URL == "":
		return errors.New("it needs the client that may ask; write client my-api {env.INTROSPECTION_SECRET} into its block (an endpoint that asks for no client, such as Hydra's, is named by its URL)")
	case n.Cache != nil && (*n.Cache < 0 || *n.Cache > maxIntrospectionCache):
		return errors.New("cache: it must be from 0, which asks at each request, to 24h; write cache 30s")
	}
	if _, err := setting.Unresolved(n.URL); err != nil {
		return err
	}
	c := n.Client
	if c == nil {
		return nil
	}
	if _, err := setting.Unresolved(c.ID); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if c.ID == "" {
		return errors.New("client: its id is empty; write client my-api {env.INTROSPECTION_SECRET}")
	}
	if err := setting.CheckPlace(c.Secret, setting.ErrPlainSecret); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// introspectionSettings returns the settings of what asks the issuer.
func (i *Settings) introspectionSettings(iss, url, discovery, clientID string) shared.IntrospectionSettings {
	n := i.Introspection
	s := shared.IntrospectionSettings{Issuer: iss, URL: url, ClientID: clientID, InsecureHTTP: i.InsecureHTTP, AllowUntyped: true} // the validator judges the kind
	if url == "" {
		s.Discovery = discovery
	}
	if n.Client != nil {
		s.ClientSecret = n.Client.Secret
		if clientID == "" {
			s.ClientID = n.Client.ID
		}
	}
	if n.Cache != nil {
		if s.Cache = *n.Cache; s.Cache == 0 {
			s.Cache = -1
		}
	}
	return s
}

// provisionIntrospection sets who is asked about tokens of a policy, if anybody is. Nobody is
// asked yet.
func (i *Settings) provisionIntrospection(from *shared.Sources, p *validator.Policy) error {
	n := i.Introspection
	if n == nil {
		return nil
	}
	id := ""
	if n.Client != nil {
		id = n.Client.ID
	}
	values := [...]struct{ name, text string }{{"introspection", n.URL}, {"discovery", i.Discovery}, {"introspection: client", id}}
	for v := range values {
		resolved, err := setting.Resolve(values[v].text)
		if err != nil {
			return fmt.Errorf("%s: %w", values[v].name, err)
		}
		values[v].text = resolved
	}
	if n.Client != nil {
		// It is read again for each call, as files change. Here it is only checked, so that a
		// wrong place is an error at load.
		if _, err := setting.ResolveSecret(n.Client.Secret); err != nil {
			return fmt.Errorf("introspection: client: %w", err)
		}
	}
	s := i.introspectionSettings(p.Issuer, values[0].text, values[1].text, values[2].text)
	var err error
	if s.CA, s.Roots, err = i.roots(); err != nil {
		return err
	}
	asked, err := from.Introspection(p.Issuer, s)
	if err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	p.Introspector = asked
	from.Services().Asks(p.Issuer)
	return nil
}
