package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// Endpoint returns the address that the flags --address, --config and --adapter
// name, or Caddy's default.
func Endpoint(address, config, adapter string) (string, error) {
	if address != "" {
		return parseAddress(address)
	}
	address, err := caddycmd.DetermineAdminAPIAddress("", nil, config, adapter)
	if err != nil {
		return "", fmt.Errorf("finding the admin endpoint: %w", err)
	}
	return address, nil
}

// parseAddress parses an address as Caddy's configs write it. It also accepts a URL and
// a port alone, which people write too.
func parseAddress(text string) (string, error) {
	address := strings.TrimSuffix(strings.TrimPrefix(text, "http://"), "/")
	if address != "" && strings.Trim(address, "0123456789") == "" {
		address = ":" + address
	}
	if strings.HasPrefix(address, ":") {
		address = "localhost" + address
	}
	parsed, err := caddy.ParseNetworkAddress(address)
	if err == nil && (parsed.IsUnixNetwork() || parsed.IsFdNetwork()) {
		return address, nil
	}
	if err != nil || parsed.StartPort == 0 || parsed.PortRangeSize() != 1 || strings.Contains(address, "/") {
		return "", fmt.Errorf("--address: %s is not a valid address of an admin endpoint; write host and port, such as localhost:2019, or a socket, such as unix//run/caddy/admin.sock", apikey.Quote(text))
	}
	return address, nil
}

// NoJWTError is the error for a server without the plugin, or without a config that
// uses it.
type NoJWTError struct{ error }

// Unwrap returns what the server answered.
func (e NoJWTError) Unwrap() error { return e.error }

// NotOursError is the error for a server whose answer is not a status page.
type NotOursError struct{ Err error }

// Error implements error.
func (NotOursError) Error() string { return "its answer is not a status page of caddy-jwt" }

// Unwrap returns why the answer can't be read.
func (e NotOursError) Unwrap() error { return e.Err }

// Listens reports whether a server listens at an address.
func Listens(address string) bool {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.IsFdNetwork() {
		return true // the request returns a better error
	}
	network, place := parsed.Network, parsed.JoinHostPort(0)
	if parsed.IsUnixNetwork() {
		network = "unix"
		place, _, _ = strings.Cut(parsed.Host, "|") // the socket's permissions follow
	}
	c, err := net.DialTimeout(network, place, 5*time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// Ask requests the status page of a server. body is the answer as it was sent.
func Ask(address string) (page Page, body []byte, err error) {
	res, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/jwt/status", nil, nil)
	if err != nil {
		// Caddy gives the status code only in the text of the error.
		for _, status := range []int{http.StatusNotFound, http.StatusServiceUnavailable} {
			if strings.Contains(err.Error(), fmt.Sprintf("caddy responded with error: HTTP %d:", status)) {
				return page, nil, NoJWTError{err}
			}
		}
		return page, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if err != nil {
		return page, nil, err
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, nil, NotOursError{err}
	}
	return page, body, nil
}

// KeyFile returns the state of a key file, found by its real path, or nil if the server
// does not use it.
func (p Page) KeyFile(path string) *APIKeyStatus {
	for i := range p.APIKeys {
		if real, err := RealPath(p.APIKeys[i].File); err == nil && real == path {
			return &p.APIKeys[i]
		}
	}
	return nil
}

// RealPath returns the absolute path of a file, with its symbolic links followed.
func RealPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
