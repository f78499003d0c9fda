package service

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// endpointAudience is the only value of assertion_audience.
const endpointAudience = "token_endpoint"

func (c *Checked) checkResources(resolve setting.Resolver) error {
	if len(c.Settings.Audience) == 0 {
		return errors.New("it has no audience, so that no token could say what it is for; write audience https://api.example.com into the block, with the audience that your jwt takes" + setting.Unset)
	}
	for _, written := range c.Settings.Audience {
		a, err := resolve(written)
		switch {
		case err != nil:
			return inEntry("audience", 0, "%w", err)
		case a == "":
			return inEntry("audience", 0, "a value is empty; write the audience that your jwt takes, such as https://api.example.com")
		case a == "*":
			return inEntry("audience", 0, "* is no resource, as a token that is good for everything could be sent on by anyone who gets it; name each, such as https://api.example.com")
		case strings.Contains(a, "#"):
			return inEntry("audience", 0, "%q has a fragment, which RFC 8707 does not allow; write it without", a)
		case strings.ContainsAny(a, " \t\r\n"):
			return inEntry("audience", 0, "%q has a space; write each resource as a word of its own", a)
		case slices.Contains(c.audience, a):
			return inEntry("audience", 0, "duplicate %q; remove one", a)
		}
		c.audience = append(c.audience, a)
	}
	return nil
}

// subset resolves the resources of a client, which must be among those that there are.
func (c *Checked) subset(audience []string, resolve setting.Resolver) ([]string, error) {
	var list []string
	for _, written := range audience {
		a, err := resolve(written)
		switch {
		case err != nil:
			return nil, fmt.Errorf("audience: %w", err)
		case slices.Contains(list, a):
			return nil, fmt.Errorf("audience: duplicate %q; remove one", a)
		case !slices.Contains(c.audience, a) && !slices.Contains(c.Settings.Audience, written):
			return nil, fmt.Errorf("audience: %q is none of the service's; add it to audience of authorization_server, or write one of %s", a, strings.Join(c.audience, ", "))
		}
		list = append(list, a)
	}
	return list, nil
}

func (c *Checked) checkScopes(setting.Resolver) error {
	for _, o := range []struct {
		name   string
		scopes []string
	}{{"scopes", c.Scopes}, {"default_scopes", c.DefaultScopes}} {
		if err := apikey.CheckScopes(o.scopes); err != nil {
			return inEntry(o.name, 0, "%w", err)
		}
	}
	for _, s := range c.DefaultScopes {
		if strings.HasPrefix(s, claims.ServiceScopes) {
			return inEntry("default_scopes", 0, "%s is granted only to a client that asks for it and whose block names it; write it as scopes of that client", s)
		}
		if len(c.Scopes) > 0 && !slices.Contains(c.Scopes, s) {
			return inEntry("default_scopes", 0, "%s is none of scopes; add it there, or remove it", s)
		}
	}
	return nil
}

// checkOwned checks the scopes of a client: they must be among those that there are.
func (c *Checked) checkOwned(scopes []string) error {
	if err := apikey.CheckScopes(scopes); err != nil {
		return fmt.Errorf("scopes: %w", err)
	}
	for _, s := range scopes {
		if len(c.Scopes) > 0 && !slices.Contains(c.Scopes, s) {
			return fmt.Errorf("scopes: %s is none of the service's scopes; add it to scopes of authorization_server, or remove it", s)
		}
	}
	return nil
}

// checkClaimName checks the name of a claim that a config adds to tokens.
func checkClaimName(name string, before []string) error {
	switch {
	case name == "":
		return errors.New("claim: a name is empty; write one such as claim tenant")
	case claims.Reserved(name):
		return fmt.Errorf("claim: %s says whom a token is of, or what it may do, and can't be set; write another name", name)
	case setting.HasPlaceholder(name) || strings.ContainsAny(name, " \t\r\n\"\\") || len(name) > 128:
		return fmt.Errorf("claim: %q is not a valid name; write letters, digits, _ and -, or a URL", name)
	case slices.Contains(before, name):
		return fmt.Errorf("claim: duplicate %s; remove one", name)
	}
	return nil
}

func checkMetaClaims(list []*MetaClaim) error {
	var names []string
	for _, m := range list {
		if m == nil {
			return errors.New("claim: an entry is null; write an object with meta")
		}
		if m.Meta == "" {
			return errors.New("claim: the name of a meta value is empty; write one such as claim plan")
		}
		if err := checkClaimName(m.claim(), names); err != nil {
			return err
		}
		names = append(names, m.claim())
	}
	return nil
}

func (c *Checked) checkKeys(resolve setting.Resolver) error {
	for n, k := range c.APIKeys {
		if k == nil {
			return inEntry("api_keys", n, "an entry is null; write an object with file or name")
		}
		err := checkMetaClaims(k.Claim)
		if err == nil {
			_, err = c.subset(k.Audience, resolve)
		}
		if err != nil {
			return inEntry("api_keys", n, "api_keys %s: %w", k.Place, err)
		}
	}
	for n, k := range c.APIKey {
		if k == nil {
			return inEntry("api_key", n, "an entry is null; write an object with id and hash")
		}
		err := checkMetaClaims(k.Claim)
		if err == nil {
			_, err = c.subset(k.Audience, resolve)
		}
		if err == nil {
			err = c.checkOwned(k.Scopes)
		}
		for _, s := range k.Scopes {
			if err == nil && strings.HasPrefix(s, claims.ServiceScopes) {
				err = fmt.Errorf("scopes: %s is granted only to a client that signs; write a client with public_key, and the scope into its block", s)
			}
		}
		if err != nil {
			return inEntry("api_key", n, "api_key %s: %w", k.ID, err)
		}
	}
	return nil
}

func (c *Checked) checkClients(resolve setting.Resolver) error {
	for n, cl := range c.Client {
		if cl == nil {
			return inEntry("client", n, "an entry is null; write an object with id")
		}
		if err := apikey.CheckID(cl.ID); err != nil {
			return inEntry("client", n, "%w", err)
		}
		if err := c.checkClient(cl, resolve); err != nil {
			return inEntry("client", n, "client %s: %w", cl.ID, err)
		}
		if cl.AssertionAudience != "" {
			c.Warnings = append(c.Warnings, fmt.Sprintf("authorization_server: client %s may name the token endpoint as the audience of its assertions, which draft-ietf-oauth-rfc7523bis forbids, as another server could have it made; remove assertion_audience as soon as the client can name the issuer", cl.ID))
		}
	}
	return nil
}

func (c *Checked) checkClient(cl *Client, resolve setting.Resolver) error {
	if u, err := url.Parse(cl.JWKSURL); err == nil && u.Scheme == "http" && !setting.IsLoopback(u.Hostname()) {
		return errors.New("jwks_url: it is not encrypted, so that anyone on the way could put in keys; write an https URL, or jwks_file")
	}
	if cl.signs() {
		if _, err := cl.keys(c.issuer).Policy(setting.Unresolved); err != nil {
			return err
		}
	}
	if err := c.checkOwned(cl.Scopes); err != nil {
		return err
	}
	if _, err := c.subset(cl.Audience, resolve); err != nil {
		return err
	}
	switch {
	case cl.AssertionAudience == "":
	case cl.AssertionAudience != endpointAudience:
		return fmt.Errorf("assertion_audience: %q is not a valid value; write assertion_audience token_endpoint, or remove it, so that the audience is the issuer", cl.AssertionAudience)
	case !cl.signs():
		return errors.New("assertion_audience is for clients that sign; write public_key, jwks_file or jwks_url, or remove it")
	}
	var names []string
	for _, f := range cl.Claim {
		if f == nil {
			return errors.New("claim: an entry is null; write an object with name and value")
		}
		if err := checkClaimName(f.Name, names); err != nil {
			return err
		}
		names = append(names, f.Name)
	}
	return nil
}

// keys are the client's keys, as if it were an issuer.
func (cl *Client) keys(iss string) *issuer.Settings {
	return &issuer.Settings{Iss: "client " + cl.ID + " of " + iss, JWKSURL: cl.JWKSURL, JWKSFile: cl.JWKSFile, PublicKey: cl.PublicKey}
}

// checkIDs checks that no two clients have the same id.
func (c *Checked) checkIDs(setting.Resolver) error {
	taken := map[string]string{}
	for n, k := range c.APIKey {
		if taken[k.ID] != "" {
			return inEntry("api_key", n, "api_key %s: duplicate id; give each key its own", k.ID)
		}
		taken[k.ID] = "api_key"
	}
	for n, cl := range c.Client {
		switch taken[cl.ID] {
		case "api_key":
			return inEntry("client", n, "client %s: an api_key has the same id, and ids of clients are one namespace; give one of them another", cl.ID)
		case "client":
			return inEntry("client", n, "client %s: duplicate id; put its settings into one block", cl.ID)
		}
		taken[cl.ID] = "client"
	}
	return nil
}

func (c *Checked) checkIntrospect(resolve setting.Resolver) error {
	var seen []string
	for n, i := range c.Introspect {
		if i == nil {
			return inEntry("introspect", n, "an entry is null; write an object with client and audience")
		}
		_, err := c.subset(i.Audience, resolve)
		switch {
		case err != nil:
		case i.Client == "":
			err = errors.New("the client is missing; write introspect gateway https://api.example.com")
		case len(i.Audience) == 0:
			err = fmt.Errorf("%s: the resources are missing; write introspect %s https://api.example.com", i.Client, i.Client)
		case slices.Contains(seen, i.Client):
			err = fmt.Errorf("duplicate %s; put all its resources on one line", i.Client)
		case len(c.APIKeys) == 0 && !c.hasClient(i.Client) && !slices.ContainsFunc(c.APIKey, func(k *Key) bool { return k.ID == i.Client }):
			err = fmt.Errorf("there is no client %s; write client %s, or api_key %s, or the id of one that there is", i.Client, i.Client, i.Client)
		}
		if err != nil {
			return inEntry("introspect", n, "%w", err)
		}
		seen = append(seen, i.Client)
	}
	return nil
}

func (c *Checked) hasClient(id string) bool {
	return slices.ContainsFunc(c.Client, func(cl *Client) bool { return cl.ID == id })
}
