package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
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

// serverFlags adds the flags of a command that changes a file of the running server.
func serverFlags(cmd *cobra.Command) *serverAddress {
	s := endpointFlags(cmd)
	cmd.Flags().BoolVar(&s.noWait, "no-wait", false, "Don't wait until a running server has taken the change over")
	return s
}

// endpointFlags adds the flags that say where the running server is asked.
func endpointFlags(cmd *cobra.Command) *serverAddress {
	s := new(serverAddress)
	cmd.Flags().StringVar(&s.address, "address", "", "The address of the admin endpoint, if it is another than the default")
	cmd.Flags().StringVarP(&s.config, "config", "c", "", "The config file to take the address from")
	cmd.Flags().StringVarP(&s.adapter, "adapter", "a", "", "The config adapter to apply to that file")
	return s
}

// find reads the flags, before anything is changed: whoever is told of a misuse
// must not wonder what has happened.
func (s *serverAddress) find() (err error) {
	s.endpoint, err = admin.Endpoint(s.address, s.config, s.adapter)
	return err
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
)

// await waits until the running server has taken over a change of a key file. Where
// none runs, or none that uses the file, there is nothing to wait for.
func (s *serverAddress) await(cmd *cobra.Command, change keyFileChange) error {
	if s.noWait {
		return nil
	}
	path, err := admin.RealPath(change.path)
	if err != nil {
		return err
	}
	note := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	if !admin.Listens(s.endpoint) {
		if s.address != "" || s.config != "" {
			return fmt.Errorf("%w: asking %s", errNobody, s.endpoint)
		}
		note("No server answers at " + s.endpoint + "; one that uses this file takes the change over by itself (is its admin endpoint elsewhere? name it with --address or --config).")
		return nil
	}
	written := time.Now()
	for last := ""; ; time.Sleep(takeOverPoll) {
		page, _, err := admin.Ask(s.endpoint)
		_, withoutJWT := errors.AsType[admin.NoJWTError](err)
		switch {
		case withoutJWT:
			note("The server at " + s.endpoint + " has no jwt handler, so it does not use this file.")
			return nil
		case err != nil && time.Since(written) < takeOverDoubt:
			continue // a reload replaces the endpoint
		case err != nil:
			return fmt.Errorf("%w: asking the server at %s: %w", errNotTaken, s.endpoint, err)
		}
		state := page.KeyFile(path)
		switch {
		case state == nil:
			note("The server at " + s.endpoint + " does not use this file.")
			return nil
		case change.takenBy(state, written):
			note("The running server has taken the change over.")
			return nil
		case time.Since(written) > takeOverWait:
			if last = state.LastError; last == "" {
				last = "it has not looked at the file yet"
			}
			return fmt.Errorf("%w: %s", errNotTaken, last)
		case state.LastErrorAt.After(written) && time.Since(written) > takeOverDoubt:
			// The server has looked since, and looks again only if the file changes.
			return fmt.Errorf("%w: %s", errNotTaken, state.LastError)
		}
	}
}

// takenBy tells whether a server has read the new file, or what somebody else has
// made of it since written. The time of a file alone proves nothing: the old one may
// be of the future, as a copy from a machine whose clock is ahead is.
func (c keyFileChange) takenBy(state *admin.APIKeyStatus, written time.Time) bool {
	if state.LastError != "" || !state.LoadedAt.After(c.before) {
		return false
	}
	modified := c.info.ModTime()
	if state.Modified.Equal(modified) && state.Size == c.info.Size() {
		return true
	}
	return state.LoadedAt.After(written) && !state.Modified.Before(modified)
}
