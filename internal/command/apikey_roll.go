package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// rollKeyCommand returns the command `roll`.
func rollKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roll <id | @file | @-> --store <store> --overlap <duration>",
		Short: "Gives a key a new secret",
		Long: `
Gives a key of a store a new secret and prints it, this once. The secret until now is
accepted for the time of --overlap, so that the holder can change over; with --overlap 0s
it is refused at once. Id, consumer, scopes and all else stay.

    KEY=$(caddy jwt api-key roll NBEu81yBXx --store partners --overlap 24h)

A key in a file has one secret: make a second key for the same consumer with new.
`,
	}
	store := storeFlag(cmd)
	file := fileFlag(cmd)
	overlap := cmd.Flags().String("overlap", "", "How long the secret until now is still accepted, such as 24h; 0s for not at all")
	prefix := cmd.Flags().String("prefix", apikey.DefaultPrefix, "What the key begins with")
	server := endpointFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		span, err := parseSpan(*overlap)
		switch {
		case *file != "":
			err = withHint(errors.New("a key in a file has one secret"), "make a second key for the same consumer with caddy jwt api-key new --append %s, and delete the old one later", *file)
		case *store == "":
			err = errors.New("name the store with --store")
		case *overlap == "":
			err = withHint(errors.New("--overlap is missing: how long the secret until now is still accepted"), "write --overlap 24h, say, or 0s if it has leaked")
		case err != nil:
			err = fmt.Errorf("--overlap: %w", err)
		default:
			if err = apikey.CheckPrefix(*prefix); err != nil {
				err = fmt.Errorf("--prefix: %w", err)
			}
		}
		if err = errors.Join(err, server.find()); err != nil {
			return misuse(err)
		}
		list, err := readIDs(cmd, args[0])
		if err != nil {
			return err
		}
		if len(list.ids) > 1 {
			return errors.New("there are several ids; roll one key at a time, so that each secret reaches its holder")
		}
		k, done, err := server.openStore(cmd, *store)
		if err != nil {
			return err
		}
		defer done()
		id, err := keyID(cmd.Context(), k.access, *store, list.ids[0])
		if err != nil {
			return err
		}
		answer, err := k.RollKey(cmd.Context(), *store, id, admin.RollRequest{Overlap: span.String(), Prefix: *prefix})
		if err != nil {
			return ofKey(err, *store)
		}
		// The secret is printed before anything else can fail: it is in force already.
		if err := k.printSecret(cmd, answer, *asJSON); err != nil {
			return err
		}
		return k.await(cmd.Context(), answer.Stored)
	})
}
