package service

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// Checked are settings without an error.
type Checked struct {
	*Settings
	issuer    string
	audience  []string
	algorithm key.Algorithm
	federates []federate
	// Warnings are about what is valid, but probably a mistake.
	Warnings []string
}

// Issuer returns the "iss" of the tokens.
func (c *Checked) Issuer() string { return c.issuer }

// Audience returns the resources that there are.
func (c *Checked) Audience() []string { return c.audience }

// Check checks the settings without reading a file or the network. declared returns the
// issuer that the app declares under a name, or nil. The error is an Error, or is about the
// issuer.
func (s *Settings) Check(resolve setting.Resolver, declared func(name string) *issuer.Settings) (*Checked, error) {
	c := &Checked{Settings: s}
	var err error
	if c.issuer, err = resolve(s.Issuer); err != nil {
		return nil, err
	}
	if err := CheckIssuer(c.issuer); err != nil {
		return nil, err
	}
	for _, check := range []func(*Checked, setting.Resolver) error{
		(*Checked).checkResources, (*Checked).checkScopes, (*Checked).checkTimes,
		(*Checked).checkKeys, (*Checked).checkClients, (*Checked).checkIDs, (*Checked).checkIntrospect,
	} {
		if err := check(c, resolve); err != nil {
			return nil, err
		}
	}
	for n, f := range s.Federate {
		checked, err := c.checkFederate(f, resolve, declared)
		if err != nil {
			if f == nil || f.Name == "" {
				return nil, inEntry("federate", n, "%w", err)
			}
			return nil, inEntry("federate", n, "federate %s: %w", f.Name, err)
		}
		c.federates = append(c.federates, checked)
	}
	return c, c.checkUsed()
}

// issuerPath is the form of the path of an issuer: what no client writes in another way.
var issuerPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// CheckIssuer checks the URL of a service. One that still has an {env.NAME} is not checked.
func CheckIssuer(iss string) error {
	if strings.Contains(iss, "{env.") {
		return nil
	}
	u, err := url.Parse(iss)
	switch {
	case iss == "":
		return errors.New("the issuer is empty; write the URL of the service, such as authorization_server https://auth.example.com" + setting.Unset)
	case err != nil:
		return errors.New("the issuer is not a URL; write one such as https://auth.example.com")
	case u.Scheme != "https" && u.Scheme != "http":
		if host, _, _ := strings.Cut(iss, "/"); setting.IsHost(host) {
			return fmt.Errorf("the issuer %q has no scheme; write https://%s", iss, strings.TrimSuffix(iss, "/"))
		}
		return fmt.Errorf("the issuer %q is not an https URL; write one such as https://auth.example.com", iss)
	case u.User != nil:
		return errors.New("the issuer has a user name or a password; write the URL without it")
	case u.Hostname() == "":
		return fmt.Errorf("the issuer %q has no host; write a URL such as https://auth.example.com", iss)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(iss, "#"):
		return fmt.Errorf("the issuer %q has a query or a fragment, which RFC 8414 does not allow; write the URL without it", iss)
	case strings.HasSuffix(iss, "/"):
		return fmt.Errorf("the issuer %q ends with a slash; write %s, here and in jwt, as both are compared character by character", iss, strings.TrimRight(iss, "/"))
	case u.Scheme == "http" && !setting.IsLoopback(u.Hostname()):
		return fmt.Errorf("the issuer %q is not encrypted, so that anyone on the way could read secrets and tokens; write https (http is for this machine alone: localhost, 127.0.0.1, [::1])", iss)
	case !issuerPath.MatchString(u.EscapedPath()):
		return fmt.Errorf("the path of the issuer %q may have only letters, digits, ., _, ~ and - between slashes; write one such as https://example.com/auth", iss)
	case u.Path == "/forward" || strings.HasSuffix(u.Path, "/forward"):
		return fmt.Errorf("the issuer %q ends with /forward, which is for the keys of forward_jwt; write another path", iss)
	case u.Port() == map[string]string{"https": "443", "http": "80"}[u.Scheme]:
		return fmt.Errorf("the issuer %q names the default port; write it without :%s", iss, u.Port())
	case u.Scheme+"://"+strings.ToLower(u.Host) != iss[:len(u.Scheme)+3+len(u.Host)]:
		return fmt.Errorf("the issuer %q has capitals in its scheme or host; write them in lower case, as tokens are compared character by character", iss)
	}
	return nil
}

func (c *Checked) checkTimes(setting.Resolver) error {
	if l := c.Lifetime; l != 0 && (l < minLifetime || l > maxLifetime) {
		return inEntry("lifetime", 0, "%s is not from 1m to 24h; write lifetime 15m", l)
	}
	if r := c.Rotate; r != 0 && (r < minRotate || r > maxRotate) {
		return inEntry("rotate", 0, "%s is not from 48h to 87600h (a key is published for a day before it signs); write rotate 720h", r)
	}
	switch c.Algorithm {
	case "":
		c.algorithm = key.ES256
	case "ES256", "EdDSA", "RS256":
		c.algorithm, _ = key.ParseAlgorithm(c.Algorithm)
	default:
		return inEntry("algorithm", 0, "tokens can't be signed with %q; write ES256, EdDSA or RS256", c.Algorithm)
	}
	return nil
}

// checkUsed checks that there is a client at all, and that each can do something.
func (c *Checked) checkUsed() error {
	if len(c.APIKeys) == 0 && len(c.APIKey) == 0 && len(c.Client) == 0 {
		return errors.New("it has no clients, so nobody could get a token; write api_keys /etc/caddy/keys.jsonl, or client deploy { public_key deploy.pem }")
	}
	for n, cl := range c.Client {
		if cl.signs() {
			continue
		}
		used := false
		for _, f := range c.Federate {
			used = used || f.Client == cl.ID
		}
		if !used {
			return inEntry("client", n, "client %s: it has no keys, and no federate names it, so it could never get a token; write public_key, jwks_file or jwks_url into its block, or client %s into that of a federate", cl.ID, cl.ID)
		}
	}
	return nil
}
