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

const (
	takeOverWait      = 30 * time.Second       // how long a command waits for the server to apply a change
	takeOverFaultWait = 2 * time.Second        // how long if the server reports an error or gives none
	takeOverPoll      = 150 * time.Millisecond // how often it asks
)

// serverAddress is where the running server is asked, as the flags say.
type serverAddress struct {
	address, config, adapter string
	noWait                   bool
	unsigned                 bool // whether shared state without signatures is opened too

	endpoint string // set by find
}

// serverFlags adds the flags of a command that changes a file of the running server.
func serverFlags(cmd *cobra.Command) *serverAddress {
	s := endpointFlags(cmd)
	cmd.Flags().BoolVar(&s.noWait, "no-wait", false, "Don't wait until a running server has applied the change")
	return s
}

// endpointFlags adds the flags for the address of the running server.
func endpointFlags(cmd *cobra.Command) *serverAddress {
	s := new(serverAddress)
	cmd.Flags().StringVar(&s.address, "address", "", "The address of the admin endpoint, if it is another than the default")
	cmd.Flags().StringVarP(&s.config, "config", "c", "", "The config file to take the address from")
	cmd.Flags().StringVarP(&s.adapter, "adapter", "a", "", "The config adapter to apply to that file")
	return s
}

// find sets the endpoint from the flags. Commands call it before they change anything,
// so that after an error about a flag nothing is changed.
func (s *serverAddress) find() (err error) {
	s.endpoint, err = admin.Endpoint(s.address, s.config, s.adapter)
	return err
}

// keyFileChange is a change of a key file that the server is to apply.
type keyFileChange struct {
	path   string
	info   os.FileInfo // of the new file
	before time.Time   // between reading the old file and writing the new one
}

// changeKeyFile changes a key file. Its errors say whether the file was changed, except
// for those that change returns, after which it is not.
func changeKeyFile(path string, create bool, change func(*apikey.Edit) error) (keyFileChange, error) {
	if folder := filepath.Dir(path); create {
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			return keyFileChange{}, relativeToWorkingDir(withHint(fmt.Errorf("the folder %s does not exist", folder), "make it first"), folder)
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
		return c, located(err)
	}
	return c, withHint(err, "nothing was changed")
}

var (
	// The change is written but not in force.
	errNotApplied = errors.New("the file is changed, but the running server has not applied the change")
	errNoServer   = errors.New("the file is changed, but no server answers to apply the change")
)

// await waits until the running server has applied a change of a key file. It does not
// wait if no server runs, or if the server does not use the file.
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
			return withHint(fmt.Errorf("%w: asking %s", errNoServer, s.endpoint), "a server that uses the file applies it by itself, when it starts at the latest; --no-wait does not ask")
		}
		note("No server answers at " + s.endpoint + "; one that uses this file applies the change by itself (is its admin endpoint elsewhere? name it with --address or --config).")
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
		case err != nil && time.Since(written) < takeOverFaultWait:
			continue // a reload replaces the endpoint
		case err != nil:
			return fmt.Errorf("%w: asking the server at %s: %w", errNotApplied, s.endpoint, err)
		}
		state := page.KeyFile(path)
		switch {
		case state == nil:
			note("The server at " + s.endpoint + " does not use this file.")
			return nil
		case change.appliedBy(state, written):
			note("The running server has applied the change.")
			return nil
		case time.Since(written) > takeOverWait:
			if last = state.LastError; last == "" {
				last = "it has not checked the file yet"
			}
			return fmt.Errorf("%w: %s", errNotApplied, last)
		case state.LastErrorAt.After(written) && time.Since(written) > takeOverFaultWait:
			// The server has looked since, and looks again only if the file changes.
			return fmt.Errorf("%w: %s", errNotApplied, state.LastError)
		}
	}
}

// appliedBy reports whether a server has read the new file, or a newer one that somebody
// else wrote after it. The file's modification time alone proves nothing: that of the
// old file may be in the future, if it was copied from a machine whose clock is ahead.
func (c keyFileChange) appliedBy(state *admin.APIKeyStatus, written time.Time) bool {
	if state.LastError != "" || !state.LoadedAt.After(c.before) {
		return false
	}
	modified := c.info.ModTime()
	if state.Modified.Equal(modified) && state.Size == c.info.Size() {
		return true
	}
	return state.LoadedAt.After(written) && !state.Modified.Before(modified)
}
