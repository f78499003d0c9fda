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
)

// madeKey is what `new --json` prints.
type madeKey struct {
	Key       string        `json:"key"`
	ID        string        `json:"id"`
	Record    apikey.Record `json:"record"`
	Caddyfile string        `json:"caddyfile,omitempty"` // the option api_key
}

// newKeyFlags are the flags of `new`.
type newKeyFlags struct {
	id, name, description, consumer, expires, prefix string
	scopes, meta                                     []string
	file                                             *string
	json                                             *bool
}

func newKeyCommand() *cobra.Command {
	var f newKeyFlags
	cmd := &cobra.Command{
		Use:   "new [--append <file>] [--consumer <name>] [--scopes <scope>,...] [--expires <time>]",
		Short: "Makes an API key",
		Long: `
Makes an API key and prints it, this once. With --append its record is added to a
file, which is made if it is not there; without, the record and the line for a
Caddyfile are printed too.

The key goes to standard output, everything else to standard error, so that

    KEY=$(caddy jwt api-key new --append keys.jsonl --consumer partner)

has the key and nothing else. With --append it waits until a running server that
uses the file accepts the key. disable and delete undo it.

The id is part of the key's text. One of --id is so too if it has 10 letters and
digits, else the record alone has it and the text another.
`,
	}
	f.file = appendFlag(cmd, "The key file to add the record to")
	flags := cmd.Flags()
	flags.StringVar(&f.id, "id", "", "The key's id (default: a random one)")
	flags.StringVar(&f.name, "name", "", "A name for people")
	flags.StringVar(&f.description, "description", "", "A description for people")
	flags.StringVar(&f.consumer, "consumer", "", "Who holds the key: the user's id (default: the key's id)")
	flags.StringSliceVar(&f.scopes, "scopes", nil, "What the key may do, divided by commas")
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
		err = errors.Join(oneAppend(cmd), server.find())
	}
	if err != nil {
		return misuse(err)
	}
	var change keyFileChange
	if *f.file != "" {
		change, err = changeKeyFile(*f.file, true, func(file *apikey.Edit) error {
			if _, taken := file.Find(made.ID); taken {
				return fmt.Errorf("%s has a key with the id %s already; give this one another", *f.file, made.ID)
			}
			return file.Put(made.Record)
		})
		if err != nil {
			return err
		}
	}
	// The key is printed before the server is asked: it is in the file.
	if err := made.print(cmd, *f.file, *f.json); err != nil {
		return err
	}
	if *f.file == "" {
		return nil
	}
	return server.await(cmd, change)
}

// make makes the key and its record.
func (f *newKeyFlags) make(now time.Time) (madeKey, error) {
	if err := apikey.CheckPrefix(f.prefix); err != nil {
		return madeKey{}, fmt.Errorf("--prefix: %w", err)
	}
	text, id := apikey.New(f.prefix)
	if f.id != "" {
		if err := apikey.CheckID(f.id); err != nil {
			return madeKey{}, fmt.Errorf("--id: %w", err)
		}
		id = f.id
		if with, ok := apikey.NewWithID(f.prefix, id); ok {
			text = with
		}
	}
	for i, scope := range f.scopes {
		f.scopes[i] = strings.Trim(scope, " ")
	}
	if err := apikey.CheckScopes(f.scopes); err != nil {
		return madeKey{}, fmt.Errorf("--scopes: %w", err)
	}
	r := apikey.Record{
		ID: id, Name: f.name, Description: f.description, Consumer: f.consumer, Hash: apikey.DigestOf(text),
		Scopes: f.scopes, Created: now.UTC().Truncate(time.Second),
	}
	var err error
	if r.Expires, err = expiry(f.expires, now); err != nil {
		return madeKey{}, fmt.Errorf("--expires: %w", err)
	}
	if r.Meta, err = metaOf(f.meta); err != nil {
		return madeKey{}, fmt.Errorf("--meta: %w", err)
	}
	// As a line of a file it must be readable, whatever the flags hold.
	line, err := json.Marshal(r)
	if err != nil {
		return madeKey{}, err
	}
	if _, err := apikey.ParseRecord(line); err != nil {
		return madeKey{}, err
	}
	return madeKey{Key: text, ID: id, Record: r, Caddyfile: caddyfileLine(r)}, nil
}

// expiry reads a time, or a duration from now on.
func expiry(text string, now time.Time) (time.Time, error) {
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
			return t, fmt.Errorf("%s is over already; write a time to come, or a duration such as 90d", text)
		}
		return t, nil
	}
	if d <= 0 {
		return time.Time{}, fmt.Errorf("%s is no time to come; write a duration such as 90d", text)
	}
	return now.Add(d).UTC().Truncate(time.Second), nil
}

func metaOf(pairs []string) (claims.Value, error) {
	var members []claims.Member
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return claims.Value{}, fmt.Errorf("%s is no name=value", apikey.Quote(pair))
		}
		if slices.ContainsFunc(members, func(m claims.Member) bool { return m.Name == name }) {
			return claims.Value{}, fmt.Errorf("%s is there twice; remove one", apikey.Quote(name))
		}
		members = append(members, claims.Member{Name: name, Value: claims.TextValue(value)})
	}
	if len(members) == 0 {
		return claims.Value{}, nil
	}
	return claims.ObjectValue(members...), nil
}

func (m madeKey) print(cmd *cobra.Command, file string, asJSON bool) error {
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
		_, err = fmt.Fprintf(notes, "This is the key, shown once. What the server needs is its hash, in a key file, as a Caddyfile can't say what it holds:\n\n%s\n", record)
		return err
	}
	_, err = fmt.Fprintf(notes, "This is the key, shown once. What the server needs is its hash, either\n\nin a key file:\n\n%s\n\nor in the Caddyfile, in the block of jwt:\n\n%s\n", record, m.Caddyfile)
	return err
}
