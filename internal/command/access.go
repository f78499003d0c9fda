package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// storedWait is how long a command waits until a change is stored.
var storedWait = 10 * time.Second

// storedPoll is how often it asks.
const storedPoll = 200 * time.Millisecond

// access is how a command reads and changes shared state.
type access struct {
	*admin.Client
	// offline reports whether the requests are served in this process, on the storage of
	// a config whose server is down.
	offline bool
}

// open returns how shared state is read and changed: through the server, if one answers,
// else in the storage of the config that the flags name. set is the set that is needed, empty
// for any. done must be called at the end.
func (s *serverAddress) open(ctx context.Context, set string) (a access, done func(), err error) {
	var config *stateConfig
	if s.config != "" {
		if config, err = readStateConfig(s.config, s.adapter); err != nil {
			return a, nil, err
		}
	}
	// Without an admin endpoint, what listens at its default address is another server.
	unreachable := config != nil && config.Admin.Disabled && s.address == ""
	switch {
	case !unreachable && admin.Listens(s.endpoint):
		return access{Client: &admin.Client{Address: s.endpoint}}, func() {}, nil
	case config != nil && s.address == "":
		app, err := openOffline(ctx, config, set, s.unsigned)
		if err != nil {
			return a, nil, err
		}
		return access{admin.LocalClient(app), true}, func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storedWait)
			defer cancel()
			app.close(ctx)
		}, nil
	}
	return a, nil, withHint(fmt.Errorf("no server answers at %s, and nothing was changed", s.endpoint),
		"is its admin endpoint elsewhere? name it with --address or --config; while the server is down, --config FILE works on the storage that the config names")
}

// refused returns the error for a command whose request the server has refused. What the
// server calls invalid is a misuse; nothing was changed then.
func refused(err error) error {
	status, ok := errors.AsType[*admin.StatusError](err)
	if ok && (status.Code == http.StatusBadRequest || status.Code == http.StatusUnprocessableEntity) {
		return misuse(err)
	}
	return err
}

// awaitStored waits until a change of a set is stored. It returns errUnstored if it is
// not stored in time.
func awaitStored(ctx context.Context, a access, set string, stored bool) error {
	if a.offline && !stored {
		return errNotStored
	}
	deadline := time.Now().Add(storedWait)
	for !stored {
		if !time.Now().Before(deadline) {
			return errUnstored
		}
		time.Sleep(storedPoll)
		page, _, err := a.Status(ctx)
		if err != nil || page.State == nil {
			continue // a reload replaces the endpoint
		}
		for i := range page.State.Sets {
			if s := &page.State.Sets[i]; s.Name == set {
				stored = s.Unstored == 0
			}
		}
	}
	return nil
}

// errUnstored: a change is in force, but not for the other nodes.
var errUnstored = withHint(errors.New("the change holds on this node only, as it could not be stored within 10 s"),
	"the server goes on trying until it is stopped, and caddy jwt status shows what is not stored; repeating the command does no harm")

// errNotStored: the storage has not confirmed a change, and there is no server that would
// store it later.
var errNotStored = withHint(errors.New("the storage did not confirm the change, so it may be lost"), "call the command again; repeating it does no harm")

// The names of sets.
const revocationsSet = "revocations"

func keysSet(store string) string { return "keys-" + store }

func storeOf(set string) string { return strings.TrimPrefix(set, "keys-") }

// each visits the items of a list, page by page, until visit returns false. It is for lists
// of the admin endpoint: page returns the page behind after, and the after of the next.
func each[T any](page func(after string) (items []T, next string, err error), visit func(T) bool) error {
	for after := ""; ; {
		items, next, err := page(after)
		if err != nil {
			return err
		}
		for _, item := range items {
			if !visit(item) {
				return nil
			}
		}
		if next == "" || next == after {
			return nil
		}
		after = next
	}
}
