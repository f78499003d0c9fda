package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// keyEdit is what `edit` changes of a key: what is nil stays.
type keyEdit struct {
	name, description, consumer *string
	scopes                      *[]string
	expires                     *time.Time    // zero for never
	meta                        *claims.Value // null for none
}

// editKeyCommand returns the command `edit`.
func editKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit <id | key | @file | @-> --store <store> | --file <file> [--name | --consumer | --scopes | --expires | --meta <value>]",
		Short: "Changes what a key may do, and until when",
		Long: `
Changes a key: what a flag names is replaced, all else stays. An empty value removes what
there is; --expires never takes an expiry away. --meta replaces all further values.

    caddy jwt api-key edit NBEu81yBXx --store partners --scopes orders:read --expires 90d

With --file it waits until a running server that uses the file has applied the change,
with --store until the change is stored.
`,
	}
	file, store := fileFlag(cmd), storeFlag(cmd)
	flags := cmd.Flags()
	flags.String("name", "", "A name for people")
	flags.String("description", "", "A description for people")
	flags.String("consumer", "", "Who holds the key: the user's id; empty for the key's id")
	flags.StringSlice("scopes", nil, "What the key may do, separated by commas")
	flags.String("expires", "", "When it expires: a time such as 2030-12-31T23:59:59Z, a duration such as 90d, or never")
	flags.StringArray("meta", nil, "A further value, name=value; may be repeated")
	server := serverFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		edit, err := parseKeyEdit(cmd, time.Now())
		if err = errors.Join(err, checkPlace(cmd, *file, *store), server.find()); err != nil {
			return misuse(err)
		}
		if *file != "" {
			return changeRecord(cmd, server, *file, args[0], "edited", *asJSON, func(f *apikey.Edit, r apikey.Record) error {
				edit.apply(&r)
				if err := checkRecord(r); err != nil {
					return err
				}
				return f.Put(r)
			})
		}
		body, err := edit.body()
		if err != nil {
			return err
		}
		k, done, err := server.openStore(cmd, *store)
		if err != nil {
			return err
		}
		defer done()
		return k.change(cmd, args[0], "edited", *asJSON, func(id string) (admin.KeyAnswer, error) {
			return k.EditKey(cmd.Context(), k.store, id, body)
		})
	})
}

// parseKeyEdit reads the flags of `edit`.
func parseKeyEdit(cmd *cobra.Command, now time.Time) (edit keyEdit, err error) {
	flags := cmd.Flags()
	any := false
	for name, to := range map[string]**string{"name": &edit.name, "description": &edit.description, "consumer": &edit.consumer} {
		if flags.Changed(name) {
			text, _ := flags.GetString(name)
			*to, any = &text, true
		}
	}
	if edit.consumer != nil && *edit.consumer != "" {
		if err := apikey.CheckConsumer(*edit.consumer); err != nil {
			return edit, fmt.Errorf("--consumer: %w", err)
		}
	}
	if flags.Changed("scopes") {
		scopes, _ := flags.GetStringSlice("scopes")
		scopes = trimmed(scopes)
		if slices.Equal(scopes, []string{""}) {
			scopes = []string{}
		}
		if err := apikey.CheckScopes(scopes); err != nil {
			return edit, fmt.Errorf("--scopes: %w", err)
		}
		edit.scopes, any = &scopes, true
	}
	if flags.Changed("expires") {
		text, _ := flags.GetString("expires")
		if text == "" {
			return edit, withHint(errors.New("--expires is empty"), "write never for a key that does not expire")
		}
		if text == "never" {
			text = ""
		}
		expires, err := parseExpiry(text, now)
		if err != nil {
			return edit, fmt.Errorf("--expires: %w", err)
		}
		edit.expires, any = &expires, true
	}
	if flags.Changed("meta") {
		pairs, _ := flags.GetStringArray("meta")
		if slices.Equal(pairs, []string{""}) {
			pairs = nil
		}
		meta, err := parseMeta(pairs)
		if err == nil {
			err = apikey.CheckMeta(meta)
		}
		if err != nil {
			return edit, fmt.Errorf("--meta: %w", err)
		}
		edit.meta, any = &meta, true
	}
	if !any {
		return edit, withHint(errors.New("what is to be changed is missing"), "name it with --name, --description, --consumer, --scopes, --expires or --meta")
	}
	// Whatever the flags hold, the record must be readable as a line of a key file.
	sample := apikey.Record{ID: "sample", Hash: apikey.Digest{1}}
	edit.apply(&sample)
	return edit, checkRecord(sample)
}

// apply changes a record.
func (e *keyEdit) apply(r *apikey.Record) {
	if e.name != nil {
		r.Name = *e.name
	}
	if e.description != nil {
		r.Description = *e.description
	}
	if e.consumer != nil {
		r.Consumer = *e.consumer
	}
	if e.scopes != nil {
		r.Scopes = *e.scopes
	}
	if e.expires != nil {
		r.Expires = *e.expires
	}
	if e.meta != nil {
		r.Meta = *e.meta
	}
}

// body returns the edit as the admin endpoint takes it.
func (e *keyEdit) body() (admin.KeyEdit, error) {
	b := admin.KeyEdit{Name: e.name, Description: e.description, Consumer: e.consumer, Scopes: e.scopes}
	null := json.RawMessage("null")
	if e.expires != nil {
		b.Expires = null
		if !e.expires.IsZero() {
			text, err := json.Marshal(*e.expires)
			if err != nil {
				return b, err
			}
			b.Expires = text
		}
	}
	if e.meta != nil {
		if b.Meta = null; e.meta.Kind() == claims.Object {
			b.Meta = e.meta.AppendJSON(nil)
		}
	}
	return b, nil
}

// checkRecord returns an error if a record is not readable as a line of a key file.
func checkRecord(r apikey.Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = apikey.ParseRecord(line)
	return err
}

// trimmed removes spaces around texts, as people write them behind commas.
func trimmed(list []string) []string {
	for i := range list {
		list[i] = strings.Trim(list[i], " ")
	}
	return list
}
