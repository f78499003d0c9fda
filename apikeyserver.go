package caddyjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// How long a command waits for the server to take a change over, how long where
// the server has found a fault since, and how often it asks.
const (
	takeOverWait  = 30 * time.Second
	takeOverDoubt = 2 * time.Second
	takeOverPoll  = 150 * time.Millisecond
)

// serverAddress says where the running server is asked, as the flags have it.
type serverAddress struct {
	address, config, adapter string
	noWait                   bool

	endpoint string // what find has made of them
}

func serverFlags(cmd *cobra.Command) *serverAddress {
	s := new(serverAddress)
	cmd.Flags().StringVar(&s.address, "address", "", "The address of the admin endpoint, if it is another than the default")
	cmd.Flags().StringVarP(&s.config, "config", "c", "", "The config file to take the address from")
	cmd.Flags().StringVarP(&s.adapter, "adapter", "a", "", "The config adapter to apply to that file")
	cmd.Flags().BoolVar(&s.noWait, "no-wait", false, "Don't wait until a running server has taken the change over")
	return s
}

// find reads the flags, before anything is changed: whoever is told of a misuse
// must not wonder what has happened.
func (s *serverAddress) find() (err error) {
	s.endpoint, err = adminEndpoint(s.address, s.config, s.adapter)
	return err
}

// adminEndpoint is the address that the flags --address, --config and --adapter
// name, or Caddy's default.
func adminEndpoint(address, config, adapter string) (string, error) {
	if address != "" {
		return plainAddress(address)
	}
	address, err := caddycmd.DetermineAdminAPIAddress("", nil, config, adapter)
	if err != nil {
		return "", fmt.Errorf("finding the admin endpoint: %w", err)
	}
	return address, nil
}

// plainAddress reads an address as Caddy's configs have it, and a URL or a port
// alone, which people write too.
func plainAddress(text string) (string, error) {
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
		return "", fmt.Errorf("--address: %s is no address of an admin endpoint; write host and port, such as localhost:2019, or a socket, such as unix//run/caddy/admin.sock", apikey.Quote(text))
	}
	return address, nil
}

// keyFileChange is a change of a key file that the server shall take over.
type keyFileChange struct {
	path   string
	info   os.FileInfo // of the new file
	before time.Time   // a moment before it was there, and after the old one was read
}

// changeKeyFile changes a key file. Its errors say that nothing was changed, but for
// those of change, which must say so themselves.
func changeKeyFile(path string, create bool, change func(*apikey.Edit) error) (keyFileChange, error) {
	if folder := filepath.Dir(path); create {
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			return keyFileChange{}, relativeToHere(fmt.Errorf("the folder %s is not there; make it first", folder), folder)
		}
	}
	c := keyFileChange{path: path}
	var refused error
	info, err := apikey.Update(path, create, func(f *apikey.Edit) error {
		refused = change(f)
		c.before = time.Now()
		return refused
	})
	c.info = info
	switch {
	case err == nil:
		return c, nil
	case refused != nil:
		return c, err
	case info != nil:
		return c, fmt.Errorf("the file is changed, but: %w", err)
	case errors.Is(err, os.ErrNotExist):
		return c, here(err)
	}
	return c, fmt.Errorf("%w; nothing was changed", err)
}

var (
	// errNotTaken ends a command whose change is written but not in force.
	errNotTaken = errors.New("the file is changed, but the running server has not taken the change over")
	errNobody   = errors.New("the file is changed, but no server answers to take the change over")
	// errNoJWT tells of a server without the plugin, or without a config that
	// uses it.
	errNoJWT = errors.New("it has no jwt handler")
)

// await waits until the running server has taken over a change of a key file. Where
// none runs, or none that uses the file, there is nothing to wait for.
func (s *serverAddress) await(cmd *cobra.Command, change keyFileChange) (int, error) {
	if s.noWait {
		return caddy.ExitCodeSuccess, nil
	}
	path, err := realPath(change.path)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	note := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	if !listens(s.endpoint) {
		if s.address != "" || s.config != "" {
			return caddy.ExitCodeFailedStartup, fmt.Errorf("%w: asking %s", errNobody, s.endpoint)
		}
		note("No server answers at " + s.endpoint + "; one that uses this file takes the change over by itself (is its admin endpoint elsewhere? name it with --address or --config).")
		return caddy.ExitCodeSuccess, nil
	}
	written := time.Now()
	for last := ""; ; time.Sleep(takeOverPoll) {
		page, err := askStatus(s.endpoint)
		switch {
		case errors.Is(err, errNoJWT):
			note("The server at " + s.endpoint + " has no jwt handler, so it does not use this file.")
			return caddy.ExitCodeSuccess, nil
		case err != nil && time.Since(written) < takeOverDoubt:
			continue // a reload replaces the endpoint
		case err != nil:
			return caddy.ExitCodeFailedStartup, fmt.Errorf("%w: asking the server at %s: %w", errNotTaken, s.endpoint, err)
		}
		state := page.keyFile(path)
		switch {
		case state == nil:
			note("The server at " + s.endpoint + " does not use this file.")
			return caddy.ExitCodeSuccess, nil
		case change.takenBy(state, written):
			note("The running server has taken the change over.")
			return caddy.ExitCodeSuccess, nil
		case time.Since(written) > takeOverWait:
			if last = state.LastError; last == "" {
				last = "it has not looked at the file yet"
			}
			return caddy.ExitCodeFailedStartup, fmt.Errorf("%w: %s", errNotTaken, last)
		case state.LastErrorAt.After(written) && time.Since(written) > takeOverDoubt:
			// The server has looked since, and looks again only if the file changes.
			return caddy.ExitCodeFailedStartup, fmt.Errorf("%w: %s", errNotTaken, state.LastError)
		}
	}
}

// takenBy tells whether a server has read the new file, or what somebody else has
// made of it since written. The time of a file alone proves nothing: the old one may
// be of the future, as a copy from a machine whose clock is ahead is.
func (c keyFileChange) takenBy(state *apiKeyStatus, written time.Time) bool {
	if state.LastError != "" || !state.LoadedAt.After(c.before) {
		return false
	}
	modified := c.info.ModTime()
	if state.Modified.Equal(modified) && state.Size == c.info.Size() {
		return true
	}
	return state.LoadedAt.After(written) && !state.Modified.Before(modified)
}

// listens tells whether there is a server at an address at all.
func listens(address string) bool {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.IsFdNetwork() {
		return true // for the request to say what is wrong
	}
	network, place := parsed.Network, parsed.JoinHostPort(0)
	if parsed.IsUnixNetwork() {
		network = "unix"
		place, _, _ = strings.Cut(parsed.Host, "|") // behind it are the socket's permissions
	}
	c, err := net.DialTimeout(network, place, 5*time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// askStatus asks a server for its status page.
func askStatus(address string) (statusPage, error) {
	var page statusPage
	res, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/jwt/status", nil, nil)
	if err != nil {
		// Caddy gives the status in the text alone.
		for _, status := range []int{http.StatusNotFound, http.StatusServiceUnavailable} {
			if strings.Contains(err.Error(), fmt.Sprintf("caddy responded with error: HTTP %d:", status)) {
				return page, errNoJWT
			}
		}
		return page, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return page, err
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, errors.New("it does not answer as one with caddy-jwt")
	}
	return page, nil
}

// keyFile finds a key file by its real path; nil if the server does not use it.
func (p statusPage) keyFile(path string) *apiKeyStatus {
	for i := range p.APIKeys {
		if real, err := realPath(p.APIKeys[i].File); err == nil && real == path {
			return &p.APIKeys[i]
		}
	}
	return nil
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
