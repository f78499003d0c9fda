package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// newKey is a key that was made, as `new --json` prints it.
type newKey struct {
	Key       string        `json:"key"`
	ID        string        `json:"id"`
	Record    apikey.Record `json:"record"`
	Caddyfile string        `json:"caddyfile,omitempty"` // as the option api_key
}

// newKeyFlags are the flags of `new`.
type newKeyFlags struct {
	id, name, description, consumer, expires, prefix string
	scopes, meta                                     []string
	file, store                                      *string
	json                                             *bool
}

// newKeyCommand returns the command `new`.
func newKeyCommand() *cobra.Command {
	var f newKeyFlags
	cmd := &cobra.Command{
		Use:   "new [--append <file>] [--store <store>] [--consumer <name>] [--scopes <scope>,...] [--expires <time>]",
		Short: "Makes an API key",
		Long: `
Makes an API key and prints it, this once. With --append its record is added to a
file, which is created if it does not exist; without, the record and the option for a
Caddyfile are printed too.

The key goes to standard output, everything else to standard error, so that

    KEY=$(caddy jwt api-key new --append keys.jsonl --consumer partner)

is the key and nothing else. With --append it waits until a running server that
uses the file accepts the key. disable and delete undo it.

With --store the server makes the key, in a store that all servers that share the state
use. It is printed once the store has it.

    KEY=$(caddy jwt api-key new --store partners --consumer partner --expires 90d)

The id is part of the key. An id given with --id is only if it consists of 10 letters
and digits; otherwise the key contains another, and only the record has this one.
`,
	}
	f.file = appendFlag(cmd, "The key file to add the record to")
	f.store = storeFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.id, "id", "", "The key's id (default: a random one)")
	flags.StringVar(&f.name, "name", "", "A name for people")
	flags.StringVar(&f.description, "description", "", "A description for people")
	flags.StringVar(&f.consumer, "consumer", "", "Who holds the key: the user's id (default: the key's id)")
	flags.StringSliceVar(&f.scopes, "scopes", nil, "What the key may do, separated by commas")
	flags.StringVar(&f.expires, "expires", "", "When it expires: a time such as 2030-12-31T23:59:59Z, or a duration such as 90d")
	flags.StringArrayVar(&f.meta, "meta", nil, "A further value, name=value; may be repeated")
	flags.StringVar(&f.prefix, "prefix", apikey.DefaultPrefix, "What the key begins with")
	server := serverFlags(cmd)
	f.json = jsonFlag(cmd)
	return leaf(cmd, 0, 0, func([]string) error { return f.run(cmd, server) })
}

func (f *newKeyFlags) run(cmd *cobra.Command, server *serverAddress) error {
	made, err := f.make(time.Now())
	if err == nil {
		err = errors.Join(checkAppendFlag(cmd), server.find())
	}
	if err == nil && cmd.Flags().Changed("store") {
		err = checkPlace(cmd, *f.file, *f.store)
	}
	if err != nil {
		return misuse(err)
	}
	if *f.store != "" {
		return f.runStore(cmd, server, made.Record)
	}
	var change keyFileChange
	if *f.file != "" {
		change, err = changeKeyFile(*f.file, true, func(file *apikey.Edit) error {
			if _, taken := file.Find(made.ID); taken {
				return withHint(fmt.Errorf("%s already has a key with the id %s", *f.file, made.ID), "choose another")
			}
			return file.Put(made.Record)
		})
		if err != nil {
			return err
		}
	}
	// The key is printed before the server is asked: it is in the file already, and an
	// error of the server must not lose it.
	if err := made.print(cmd, *f.file, *f.json); err != nil {
		return err
	}
	if *f.file == "" {
		return nil
	}
	return server.await(cmd, change)
}

// runStore has the server make a key with what the record holds, but for its hash.
func (f *newKeyFlags) runStore(cmd *cobra.Command, server *serverAddress, r apikey.Record) error {
	request := admin.KeyRequest{
		Store: *f.store, ID: f.id, Name: r.Name, Description: r.Description, Consumer: r.Consumer,
		Scopes: r.Scopes, Expires: r.Expires, Prefix: f.prefix,
	}
	if r.Meta.Kind() == claims.Object {
		request.Meta = r.Meta.AppendJSON(nil)
	}
	k, done, err := server.openStore(cmd, *f.store)
	if err != nil {
		return err
	}
	defer done()
	answer, err := k.CreateKey(cmd.Context(), request)
	if err != nil {
		return refused(err)
	}
	// The key is printed before anything else can fail: it is in force already.
	if err := k.printSecret(cmd, answer, *f.json); err != nil {
		return err
	}
	return k.await(cmd.Context(), answer.Stored)
}

// make makes the key and its record.
func (f *newKeyFlags) make(now time.Time) (newKey, error) {
	if err := apikey.CheckPrefix(f.prefix); err != nil {
		return newKey{}, fmt.Errorf("--prefix: %w", err)
	}
	text, id := apikey.New(f.prefix)
	if f.id != "" {
		if err := apikey.CheckID(f.id); err != nil {
			return newKey{}, fmt.Errorf("--id: %w", err)
		}
		id = f.id
		if with, ok := apikey.NewWithID(f.prefix, id); ok {
			text = with
		}
	}
	f.scopes = trimmed(f.scopes)
	if err := apikey.CheckScopes(f.scopes); err != nil {
		return newKey{}, fmt.Errorf("--scopes: %w", err)
	}
	r := apikey.Record{
		ID: id, Name: f.name, Description: f.description, Consumer: f.consumer, Hash: apikey.DigestOf(text),
		Scopes: f.scopes, Created: now.UTC().Truncate(time.Second),
	}
	var err error
	if r.Expires, err = parseExpiry(f.expires, now); err != nil {
		return newKey{}, fmt.Errorf("--expires: %w", err)
	}
	if r.Meta, err = parseMeta(f.meta); err != nil {
		return newKey{}, fmt.Errorf("--meta: %w", err)
	}
	// Whatever the flags hold, the record must be readable as a line of a key file.
	if err := checkRecord(r); err != nil {
		return newKey{}, err
	}
	return newKey{Key: text, ID: id, Record: r, Caddyfile: caddyfileLine(r)}, nil
}

// parseExpiry parses a time, or a duration from now.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		t, err := apikey.ParseTime(text)
		switch {
		case err != nil:
			return t, fmt.Errorf("%w, or a duration such as 90d", err)
		case !t.After(now):
			return t, withHint(fmt.Errorf("%s is in the past", text), "write a later time, or a duration such as 90d")
		}
		return t, nil
	}
	if d <= 0 {
		return time.Time{}, withHint(fmt.Errorf("%s is not in the future", text), "write a duration such as 90d")
	}
	return now.Add(d).UTC().Truncate(time.Second), nil
}

// parseMeta parses values of the form name=value.
func parseMeta(pairs []string) (claims.Value, error) {
	var members []claims.Member
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return claims.Value{}, fmt.Errorf("%s is not a valid name=value", apikey.Quote(pair))
		}
		if slices.ContainsFunc(members, func(m claims.Member) bool { return m.Name == name }) {
			return claims.Value{}, withHint(fmt.Errorf("duplicate %s", apikey.Quote(name)), "remove one")
		}
		members = append(members, claims.Member{Name: name, Value: claims.TextValue(value)})
	}
	if len(members) == 0 {
		return claims.Value{}, nil
	}
	return claims.ObjectValue(members...), nil
}

func (m newKey) print(cmd *cobra.Command, file string, asJSON bool) error {
	out, notes := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if asJSON {
		return printJSON(out, m)
	}
	if _, err := fmt.Fprintln(out, m.Key); err != nil {
		return err
	}
	if file != "" {
		_, err := fmt.Fprintf(notes, "This is the key, shown once. Its id is %s, and its record is in %s.\n", m.ID, file)
		return err
	}
	record, err := json.Marshal(m.Record)
	if err != nil {
		return err
	}
	if m.Caddyfile == "" {
		_, err = fmt.Fprintf(notes, "This is the key, shown once. What the server needs is its hash, in a key file, as a Caddyfile can't express what it holds:\n\n%s\n", record)
		return err
	}
	_, err = fmt.Fprintf(notes, "This is the key, shown once. What the server needs is its hash, either\n\nin a key file:\n\n%s\n\nor in the Caddyfile, in the block of jwt:\n\n%s\n", record, m.Caddyfile)
	return err
}
