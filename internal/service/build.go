package service

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Parts are what a service needs besides its settings.
type Parts struct {
	// Sources are those of the config, and have a state.
	Sources *shared.Sources
	// APIKeys and APIKey are the keys of the entries of these names, in their order.
	APIKeys, APIKey []*apikey.Lookup
	// StoreNames are the names of the stores, or the paths of the files, of APIKeys.
	StoreNames []string
	// Leeway returns the largest leeway of the config's handlers.
	Leeway func() time.Duration
	// Implied are the scopes that clients may ask for as they have broader ones; nil for none.
	Implied *claims.Implications
	// Observe is called for each answer; nil for nobody.
	Observe func(tokenservice.Event)
	Logger  *zap.Logger
}

// Build makes the service of checked settings, and adds it to the services of the config.
// ctx is for expressions alone.
func (c *Checked) Build(ctx caddy.Context, p Parts) (*tokenservice.Service, *Memory, error) {
	state := p.Sources.State()
	signing := tokenservice.SigningSettings{
		Issuer: c.issuer, Algorithm: c.algorithm, Rotate: or(c.Rotate, DefaultRotate), Lifetime: or(c.Lifetime, DefaultLifetime),
	}
	keys, err := state.AddSigning(signing)
	if err != nil {
		return nil, nil, err
	}
	config := tokenservice.Config{
		Issuer: c.issuer, Audience: c.audience, Scopes: c.Scopes, DefaultScopes: c.DefaultScopes, Implied: p.Implied,
		Lifetime: signing.Lifetime, Keys: keys, Rules: Rules{state}, Leeway: p.Leeway, Observe: p.Observe, Used: state.Used,
		Warn: func(w tokenservice.Warning) {
			p.Logger.Warn(w.Text, zap.String("service", c.issuer), zap.String("client", w.Client), zap.String("store", w.Store))
		},
	}
	for n, k := range c.APIKeys {
		config.APIKeys = append(config.APIKeys, tokenservice.KeyClients{
			Name: p.StoreNames[n], Keys: p.APIKeys[n], Audience: c.resolved(k.Audience), Claims: metaClaims(k.Claim),
		})
	}
	for n, k := range c.APIKey {
		config.APIKeys = append(config.APIKeys, tokenservice.KeyClients{
			Keys: p.APIKey[n], Audience: c.resolved(k.Audience), Claims: metaClaims(k.Claim),
		})
	}
	for n, cl := range c.Client {
		client, err := c.client(cl, p)
		if err != nil {
			return nil, nil, inEntry("client", n, "client %s: %w", cl.ID, err)
		}
		config.Clients = append(config.Clients, client)
	}
	for n := range c.federates {
		f, err := c.federates[n].build(ctx, p)
		if err != nil {
			return nil, nil, inEntry("federate", n, "federate %s: %w", c.federates[n].Name, err)
		}
		config.Federates = append(config.Federates, f)
	}
	for _, i := range c.Introspect {
		config.Introspect = append(config.Introspect, tokenservice.Introspector{Client: i.Client, Audience: c.resolved(i.Audience)})
	}
	memory, err := acquireMemory(c.issuer)
	if err != nil {
		return nil, nil, err
	}
	config.Memory = memory.Memory
	services := p.Sources.Services()
	config.Forward = services.Published(c.issuer)
	service, err := tokenservice.New(config)
	if err == nil {
		err = services.Add(c.issuer, service, signing, keys)
	}
	if err != nil {
		memory.Release()
		return nil, nil, err
	}
	for _, f := range c.federates {
		services.Federates(c.issuer, f.Name, f.policy.Issuer)
	}
	return service, memory, nil
}

// resolved returns the resources of a client, whose settings are checked.
func (c *Checked) resolved(audience []string) []string {
	list, err := c.subset(audience, setting.Resolve)
	if err != nil {
		panic(err) // it was checked
	}
	return list
}

func metaClaims(list []*MetaClaim) []tokenservice.MetaClaim {
	var out []tokenservice.MetaClaim
	for _, m := range list {
		out = append(out, tokenservice.MetaClaim{Meta: m.Meta, Claim: m.claim()})
	}
	return out
}

// client makes a client, with its keys.
func (c *Checked) client(cl *Client, p Parts) (tokenservice.Client, error) {
	out := tokenservice.Client{
		ID: cl.ID, Scopes: cl.Scopes, Audience: c.resolved(cl.Audience), EndpointAudience: cl.AssertionAudience == endpointAudience,
	}
	for _, f := range cl.Claim {
		out.Claims = append(out.Claims, tokenservice.Claim(*f))
	}
	if !cl.signs() {
		return out, nil
	}
	policy, err := cl.keys(c.issuer).Provision(p.Sources, p.Logger)
	if err != nil {
		return out, err
	}
	out.Keys = policy.Keys
	return out, nil
}

// build makes a federate, with the keys of its platform.
func (f *federate) build(ctx caddy.Context, p Parts) (tokenservice.Federate, error) {
	policy := f.policy
	keyed, err := f.issuers.Policies(setting.Resolve)
	if err == nil {
		err = f.issuers.Keys(keyed, p.Sources, p.Logger)
	}
	if err != nil {
		return tokenservice.Federate{}, err
	}
	policy.Keys = keyed[0].Keys
	var expressions []*rule.Requirement
	for _, r := range f.Require {
		if r.Claim == nil {
			expressions = append(expressions, r)
		}
	}
	rules, err := rule.New(ctx, expressions, false)
	if err != nil {
		return tokenservice.Federate{}, err
	}
	return tokenservice.Federate{Name: f.Name, Policy: policy, SubjectPrefix: f.prefix, Pins: f.pins(rules), Client: f.Client}, nil
}

// or returns d, or the default if d is zero.
func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
