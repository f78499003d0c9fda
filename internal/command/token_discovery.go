package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// tokenService is what the metadata of a token service says (RFC 8414 section 2).
type tokenService struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
}

// discover finds a token service by its issuer.
func (c *tokenClient) discover(ctx context.Context, issuer string) (s tokenService, err error) {
	var last string
	for _, place := range metadataPlaces(issuer) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
		if err != nil {
			return s, err
		}
		status, body, err := c.do(r)
		switch {
		case err != nil:
			return s, err
		case status == http.StatusOK && json.Unmarshal(body, &s) == nil:
			return s, s.check(issuer)
		}
		last = fmt.Sprintf("%s answered %d", place, status)
	}
	return s, withHint(fmt.Errorf("there is no token service %s: %s", issuer, last), "is this its issuer, as the config has it?")
}

// metadataPlaces are where the metadata of an issuer may be: with the path of RFC 8414 section
// 3, and that of OpenID Connect Discovery section 4.
func metadataPlaces(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{origin + "/.well-known/oauth-authorization-server" + path, origin + path + "/.well-known/openid-configuration"}
}

// check checks that the metadata is that of the issuer, and where it leads.
func (s *tokenService) check(issuer string) error {
	switch {
	case s.Issuer != issuer && strings.TrimSuffix(s.Issuer, "/") == strings.TrimSuffix(issuer, "/"):
		return withHint(fmt.Errorf("the service's issuer is %s", apikey.Quote(s.Issuer)), "write it like this; the slash at the end counts")
	case s.Issuer != issuer:
		return fmt.Errorf("the service there is another: its issuer is %s", apikey.Quote(s.Issuer))
	case s.TokenEndpoint == "":
		return errors.New("the service has no token endpoint")
	}
	if err := checkServiceURL(s.TokenEndpoint); err != nil {
		return fmt.Errorf("the service's token endpoint: %w", err)
	}
	return nil
}

// checkServiceURL checks the address of a service, to which a secret is sent.
func checkServiceURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return withHint(errors.New("it is no URL of a service"), "write one such as https://auth.example.com")
	case u.User != nil:
		return withHint(errors.New("there is a user or password in it"), "remove it")
	case u.RawQuery != "" || u.Fragment != "":
		return withHint(errors.New("there is a query or a fragment in it"), "remove it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return withHint(errors.New("it is plain http, where others can read the credential"), "write https; http is for this machine alone, such as http://localhost:8080")
	}
	return nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
