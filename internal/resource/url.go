package resource

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// resourcePath is the form of the path of a resource: what no client writes in another way, and
// what is no parameter of a challenge.
var resourcePath = regexp.MustCompile(`^(/[A-Za-z0-9_~:@+-][A-Za-z0-9._~:@+-]*)*$`)

// checkURL checks the URL of a resource. Clients compare it with the URL that they have
// character by character (RFC 9728 section 3.3), so it has one form.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("it has no URL; write the URL that clients are given, such as resource https://mcp.example.com/mcp" + setting.Unset)
	case err != nil:
		return nil, errors.New("it is not a URL; write the URL that clients are given, such as https://mcp.example.com/mcp")
	case u.Scheme != "https" && u.Scheme != "http":
		if host, _, _ := strings.Cut(text, "/"); setting.IsHost(host) {
			return nil, fmt.Errorf("%q has no scheme; write https://%s", text, strings.TrimRight(text, "/"))
		}
		return nil, fmt.Errorf("%q is not an https URL; write the URL that clients are given, such as https://mcp.example.com/mcp", text)
	case u.User != nil:
		return nil, errors.New("the URL has a user name or a password; write it without")
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host; write a URL such as https://mcp.example.com/mcp", text)
	case strings.Contains(text, "#"):
		return nil, fmt.Errorf("%q has a fragment, which RFC 9728 does not allow; write it without", text)
	case u.RawQuery != "" || u.ForceQuery:
		return nil, fmt.Errorf("%q has a query; write it without, as a resource is found by its path", text)
	case strings.HasSuffix(text, "/"):
		return nil, fmt.Errorf("%q ends with a slash; write %s, here and where clients are given it, as it is compared character by character", text, strings.TrimRight(text, "/"))
	case u.Scheme == "http" && !setting.IsLoopback(u.Hostname()):
		return nil, fmt.Errorf("%q is not encrypted, so that anyone on the way could send clients elsewhere with their secrets; write https (http is for this machine alone: localhost, 127.0.0.1, [::1])", text)
	case !resourcePath.MatchString(u.EscapedPath()):
		return nil, fmt.Errorf("the path of %q may have only letters, digits, ., _, ~, :, @, + and - between single slashes, and no name that begins with a dot; write one such as https://mcp.example.com/mcp", text)
	case u.Port() == defaultPort[u.Scheme]:
		return nil, fmt.Errorf("%q names the default port; write it without :%s", text, u.Port())
	case u.Scheme+"://"+strings.ToLower(u.Host) != text[:len(text)-len(u.Path)]:
		return nil, fmt.Errorf("%q has capitals in its scheme or host; write them in lower case, as it is compared character by character", text)
	case !hostForm.MatchString(u.Host):
		return nil, fmt.Errorf("the host of %q is not one that clients write; write its name in ASCII (xn--…), such as https://mcp.example.com/mcp", text)
	}
	return u, nil
}

var defaultPort = map[string]string{"https": "443", "http": "80"}

// hostForm is the form of a host with its port: a name or an IPv4 address, or an IPv6 address
// in brackets.
var hostForm = regexp.MustCompile(`^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

// checkServer checks the URL of an authorization server, which is its "iss" (RFC 8414).
func checkServer(text string) error {
	if hasPlaceholder(text) {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return fmt.Errorf("%q is not an https URL; write the issuer as its tokens have it, such as https://auth.example.com", text)
	case u.User != nil:
		return errors.New("a URL has a user name or a password; write it without")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return fmt.Errorf("%q has a query or a fragment, which RFC 8414 does not allow; write the URL without it", text)
	case u.Scheme == "http" && !setting.IsLoopback(u.Hostname()):
		return fmt.Errorf("%q is not encrypted, so that anyone on the way could read secrets and tokens; write https", text)
	}
	return checkASCII(text)
}

// checkPage checks the URL of a page for people.
func checkPage(text string) error {
	if hasPlaceholder(text) {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return fmt.Errorf("%q is not a URL; write one such as https://docs.example.com/mcp", text)
	case u.User != nil:
		return errors.New("the URL has a user name or a password; write it without")
	}
	return checkASCII(text)
}

func checkASCII(text string) error {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("%q has characters that a URL does not have; write them as %%XX", text)
		}
	}
	return nil
}

// hasPlaceholder reports whether a setting was left unresolved, as when a Caddyfile is adapted.
func hasPlaceholder(text string) bool { return strings.Contains(text, "{env.") }
