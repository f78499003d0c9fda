package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// storeFlag adds the flag --store.
func storeFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("store", "", "The store of API keys in the storage, as the config names it")
}

// checkPlace requires that either a file or a store is named.
func checkPlace(cmd *cobra.Command, file, store string) error {
	switch {
	case file != "" && store != "":
		return withHint(errors.New("--file and --store exclude each other"), "remove one")
	case store == "" && cmd.Flags().Changed("store"):
		return errors.New("--store is empty; an unset variable, perhaps")
	case file == "" && store == "":
		return errNoFile
	}
	return nil
}

// keyID returns the id of a key of a store that is named by its id or, if it has the form of
// keys that are made here, by the key itself. Only an id is ever sent, as it is part of
// the request's path, which servers log.
func keyID(ctx context.Context, a access, store, which string) (string, error) {
	if id, ok := apikey.IDOf(which); ok {
		return id, nil
	}
	if err := apikey.CheckID(which); err != nil {
		return "", withHint(errors.New("it is not a valid id"), "caddy jwt api-key list --store %s shows the ids", store)
	}
	if err := checkInURL("the id", which); err != nil {
		return "", misuse(err)
	}
	if len(which) < apikey.MinLength || strings.ContainsAny(which, "._-") {
		return which, nil
	}
	// It could be a key that was made elsewhere, so the id is looked for here.
	found := false
	err := eachKey(ctx, a, admin.KeyQuery{Store: store}, func(k admin.KeyItem) bool {
		found = k.ID == which
		return !found
	})
	if err == nil && !found {
		err = noSuchKey(store)
	}
	return which, err
}

func noSuchKey(store string) error {
	return withHint(fmt.Errorf("the store %s has no such key", store), "caddy jwt api-key list --store %s shows the ids", store)
}

// ofKey returns the error for a request about a key. It does not repeat what could be a key.
func ofKey(err error, store string) error {
	if status, ok := errors.AsType[*admin.StatusError](err); ok && status.Code == http.StatusNotFound {
		return noSuchKey(store)
	}
	return refused(err)
}

// eachKey visits keys until visit returns false.
func eachKey(ctx context.Context, a access, q admin.KeyQuery, visit func(admin.KeyItem) bool) error {
	q.Limit = 1000
	return each(func(after string) ([]admin.KeyItem, string, error) {
		q.After = after
		page, err := a.ListKeys(ctx, q)
		return page.Items, page.Next, refused(err)
	}, visit)
}

// storedKeys is what a command for keys of a store needs.
type storedKeys struct {
	access
	store  string
	noWait bool
}

// open returns access to a store. done must be called at the end.
func (s *serverAddress) openStore(cmd *cobra.Command, store string) (k storedKeys, done func(), err error) {
	a, done, err := s.open(cmd.Context(), keysSet(store))
	return storedKeys{a, store, s.noWait}, done, err
}

// await waits until a change of the store is stored.
func (k storedKeys) await(ctx context.Context, stored bool) error {
	if k.noWait && !stored {
		return errUnstored
	}
	return awaitStored(ctx, k.access, keysSet(k.store), stored)
}

// change changes the keys that an argument names, one after the other. action is what was
// done with them, as it is printed.
func (k storedKeys) change(cmd *cobra.Command, arg, action string, asJSON bool, change func(id string) (admin.KeyAnswer, error)) error {
	ids, err := readIDs(cmd, arg)
	if err != nil {
		return err
	}
	type changed struct {
		ID     string `json:"id"`
		Action string `json:"action"`
		Stored bool   `json:"stored"`
	}
	// All of them are in force before the first is waited for.
	stored := true
	err = eachID(cmd, ids, asJSON, func(which string) (c changed, line string, err error) {
		id, err := keyID(cmd.Context(), k.access, k.store, which)
		if err != nil {
			return c, "", err
		}
		answer, err := change(id)
		if err != nil {
			return c, "", ofKey(err, k.store)
		}
		stored = stored && answer.Stored
		return changed{id, action, answer.Stored}, id + ": " + action, nil
	})
	if waited := k.await(cmd.Context(), stored); err == nil {
		err = waited
	}
	return err
}

// switchKeys enables or disables keys of a store.
func (k storedKeys) switchKeys(cmd *cobra.Command, arg string, enabled, asJSON bool) error {
	action := map[bool]string{true: "enabled", false: "disabled"}[enabled]
	return k.change(cmd, arg, action, asJSON, func(id string) (admin.KeyAnswer, error) {
		return k.EditKey(cmd.Context(), k.store, id, admin.KeyEdit{Enabled: &enabled})
	})
}

// deleteKeys deletes keys of a store.
func (k storedKeys) deleteKeys(cmd *cobra.Command, arg string, asJSON bool) error {
	return k.change(cmd, arg, "deleted", asJSON, func(id string) (admin.KeyAnswer, error) {
		return k.DeleteKey(cmd.Context(), k.store, id)
	})
}

// printSecret prints a secret that was made, which no command prints again.
func (k storedKeys) printSecret(cmd *cobra.Command, answer admin.KeyAnswer, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), answer.Key); err != nil {
		return err
	}
	until := ""
	if !answer.OldUntil.IsZero() {
		until = " The secret until now is accepted until " + shownTime(answer.OldUntil) + "."
	}
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "This is the key, shown once. Its id is %s, in the store %s.%s\n", cell(answer.ID), cell(k.store), until); err != nil {
		return err
	}
	for _, note := range answer.Notes {
		if _, err := fmt.Fprintln(cmd.ErrOrStderr(), "Note: "+terminal.Text(note)); err != nil {
			return err
		}
	}
	return nil
}
