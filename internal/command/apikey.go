package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

func apiKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "api-key <command>",
		Short: "Makes and manages API keys",
		Long: `
Makes API keys and manages files of them, which a server reads with

    jwt {
        api_keys /etc/caddy/keys.jsonl
    }

A file holds one record a line, with the hash of a key and never the key. It may
be changed while the server runs: commands that change one wait until a server
that uses it has taken the change over, and exit with 1 if it does not.

  caddy jwt api-key new        makes a key
  caddy jwt api-key hash       prints the hash of a key
  caddy jwt api-key list       lists the keys of a file
  caddy jwt api-key disable    makes the server refuse a key
  caddy jwt api-key enable     makes it accept the key again
  caddy jwt api-key delete     removes a key
  caddy jwt api-key import     takes keys over from AWS API Gateway, or another file

Keys are given as they are, or as @FILE or @- (standard input), which keeps them
out of the shell's history.
`,
	}
	misuseExits(cmd)
	cmd.AddCommand(newKeyCommand(), hashKeyCommand(), listKeysCommand(), switchKeyCommand("disable"),
		switchKeyCommand("enable"), deleteKeyCommand(), importKeysCommand())
	needsCommand(cmd)
	return cmd
}

// runs makes a function the body of a command that takes between least and most
// arguments.
func runs(cmd *cobra.Command, least, most int, body func(args []string) (int, error)) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.Flags().Bool("json", false, "Print JSON")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misuse(cmd, flagError(cmd, err)) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return misuse(cmd, fmt.Errorf("write caddy jwt api-key %s; caddy help jwt api-key %s says more", cmd.Use, cmd.Name()))
		}
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return body(args) })(cmd, args)
	}
	return cmd
}

func wantsJSON(cmd *cobra.Command) bool {
	yes, err := cmd.Flags().GetBool("json")
	return err == nil && yes
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	return e.Encode(v)
}

// argument reads what an argument says: itself, or the content of @FILE or @-
// without its last line's end.
func argument(cmd *cobra.Command, arg string) (string, error) {
	path, ok := strings.CutPrefix(arg, "@")
	if !ok {
		return arg, nil
	}
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), setting.MaxFile+1))
	} else {
		text, err = setting.ReadFile(path)
	}
	if err != nil {
		return "", here(unnamed(path, err))
	}
	if len(text) > setting.MaxFile {
		return "", errors.New("standard input holds more than 1 MiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

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
	return runs(cmd, 0, 0, func([]string) (int, error) { return f.run(cmd, server) })
}

func (f *newKeyFlags) run(cmd *cobra.Command, server *serverAddress) (int, error) {
	made, err := f.make(time.Now())
	if err == nil {
		err = errors.Join(oneAppend(cmd), server.find())
	}
	if err != nil {
		return exitMisuse, err
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
			return caddy.ExitCodeFailedStartup, err
		}
	}
	// The key is printed before the server is asked: it is in the file.
	if err := made.print(cmd, *f.file); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if *f.file == "" {
		return caddy.ExitCodeSuccess, nil
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

// caddyfileLine is the option api_key for a record. It is empty where a Caddyfile
// can't say what the record holds, such as {$HOME}.
func caddyfileLine(r apikey.Record) string {
	var options []string
	sayable := true
	add := func(option string, values ...string) {
		for _, v := range values {
			written, ok := caddyfileQuote(v)
			sayable = sayable && ok
			option += " " + written
		}
		options = append(options, option)
	}
	if r.Consumer != "" {
		add("consumer", r.Consumer)
	}
	if len(r.Scopes) > 0 {
		add("scopes", r.Scopes...)
	}
	if !r.Expires.IsZero() {
		add("expires", r.Expires.Format(time.RFC3339Nano))
	}
	for i := range r.Meta.Len() {
		value, _ := r.Meta.At(i).Text()
		add("meta", r.Meta.NameAt(i), value)
	}
	line := "api_key " + r.ID + " " + r.Hash.String()
	switch {
	case !sayable:
		return ""
	case len(options) == 0:
		return line
	}
	return line + " {\n\t" + strings.Join(options, "\n\t") + "\n}"
}

// caddyfileQuote writes a text so that a Caddyfile yields it again: as it is, in
// quotes or in backticks. It is false where none of them does.
func caddyfileQuote(text string) (string, bool) {
	for _, written := range []string{text, `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`, "`" + text + "`"} {
		if caddyfileYields(written, text) {
			return written, true
		}
	}
	return "", false
}

// caddyfileYields asks Caddy's own parser, which also replaces variables of the
// environment and its short names of placeholders.
func caddyfileYields(written, text string) bool {
	if strings.Contains(text, "{$") {
		return false
	}
	// In the middle of a line and at its end, where << begins a heredoc.
	blocks, err := caddyfile.Parse("Caddyfile", []byte("x {\n\tbefore "+written+" behind "+written+"\n}\n"))
	if err != nil || len(blocks) != 1 || len(blocks[0].Segments) != 1 {
		return false
	}
	line := blocks[0].Segments[0]
	httpcaddyfile.NewShorthandReplacer().ApplyToSegment(&line)
	return len(line) == 4 && line[1].Text == text && line[2].Text == "behind" && line[3].Text == text
}

func (m madeKey) print(cmd *cobra.Command, file string) error {
	out, notes := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if wantsJSON(cmd) {
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

func hashKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash <key | @file | @->",
		Short: "Prints the hash of an API key",
		Long: `
Prints the hash of an API key, as a Caddyfile or a key file has it.

    printf '%s' "$KEY" | caddy jwt api-key hash @-
`,
	}
	return runs(cmd, 1, 1, func(args []string) (int, error) {
		key, err := argument(cmd, args[0])
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		if err := apikey.CheckText(key); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		if apikey.Weak(key) {
			fmt.Fprintln(cmd.ErrOrStderr(), "The key has few different characters and could be guessed; caddy jwt api-key new makes a good one.")
		}
		hash := apikey.DigestOf(key).String()
		if !wantsJSON(cmd) {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
		} else {
			err = printJSON(cmd.OutOrStdout(), struct {
				Hash string `json:"hash"`
			}{hash})
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
}
