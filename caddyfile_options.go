package caddyjwt

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// reader is the state of reading one block of a Caddyfile.
type reader struct {
	*caddyfile.Dispenser
	once   grammar.Once // the options of the block
	global *App         // what the global option declares
	keys   uniqueKeys   // the API keys of the directive so far
}

// inner returns a reader for a block inside this one.
func (r *reader) inner() *reader {
	block := *r
	block.once = grammar.Once{}
	return &block
}

// option is an option of a block, which is read into a T.
type option[T any] struct {
	name  string
	read  func(*T, *reader) error
	isSet func(*T) bool
}

// options is the table of a block's options, in the order of the grammar.
type options[T any] []option[T]

func (all options[T]) names() []string {
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.name
	}
	return names
}

// read reads the option that the reader is at.
func (all options[T]) read(into *T, r *reader, unknown *unknownOption) error {
	for _, o := range all {
		if o.name == r.Val() {
			return o.read(into, r)
		}
	}
	return unknown.err(r.Dispenser, all.names())
}

// unknownOption makes the error for an option that a block does not have.
type unknownOption struct {
	kind string // what the block's options are called, such as "issuer option"

	// The options of the block that this one may be mistaken for, what they are, and
	// what to do with one.
	others  []string
	foreign bool // whether the words of other products are known here
	are     string
	remedy  func(other string) string
}

func (u *unknownOption) err(d *caddyfile.Dispenser, own []string) error {
	name := d.Val()
	if slices.Contains(u.others, name) {
		return d.Errf("%s %s; %s", name, u.are, u.remedy(name))
	}
	if advice := grammar.ForeignWord(name, shownArguments(d)); advice != "" && u.foreign {
		return d.Errf("unknown %s %q; %s", u.kind, name, advice)
	}
	if near := nearest(name, own); near != "" {
		return d.Errf("unknown %s %q; write %s", u.kind, name, near)
	}
	if near := nearest(name, u.others); near != "" {
		return d.Errf("unknown %s %q; %s %s: %s", u.kind, name, near, u.are, u.remedy(near))
	}
	return d.Errf("unknown %s %q; the options are %s", u.kind, name, strings.Join(own, ", "))
}

// nearest returns the option that a misspelled one probably means. One that lets more
// requests pass is meant only if the spelling differs by a letter or two.
func nearest(name string, options []string) string {
	near := setting.Nearest(name, options)
	if laxer[near] && !setting.Near(name, near) {
		near = setting.Nearest(name, slices.DeleteFunc(slices.Clone(options), func(o string) bool { return laxer[o] }))
	}
	return near
}

// shownArguments returns the arguments of an option for an error text, or none if one of
// them may be a secret.
func shownArguments(d *caddyfile.Dispenser) []string {
	args := d.RemainingArgs()
	for _, a := range args {
		if len(a) > maxShown || strings.ContainsAny(a, "\r\n") {
			return nil
		}
	}
	return args
}

// maxShown is the length up to which an argument is shown in an error text. No API key is
// as short, and no HMAC secret.
const maxShown = 19

// textOption returns an option with one value.
func textOption[T any](name, example string, field func(*T) *string) option[T] {
	return option[T]{
		name,
		func(t *T, r *reader) error { return r.once.Text(r.Dispenser, field(t), name+" "+example) },
		func(t *T) bool { return *field(t) != "" },
	}
}

// listOption returns an option with one or more values on one line.
func listOption[T any](name, example string, field func(*T) *[]string) option[T] {
	return option[T]{
		name,
		func(t *T, r *reader) error { return r.once.List(r.Dispenser, field(t), name+" "+example) },
		func(t *T) bool { return len(*field(t)) > 0 },
	}
}

// flagOption returns an option without a value.
func flagOption[T any](name string, field func(*T) *bool) option[T] {
	return option[T]{
		name,
		func(t *T, r *reader) error { return r.once.Flag(r.Dispenser, field(t)) },
		func(t *T) bool { return *field(t) },
	}
}

// durationOption returns an option with a duration above 0.
func durationOption[T any](name, example string, field func(*T) *caddy.Duration) option[T] {
	return option[T]{
		name,
		func(t *T, r *reader) error { return r.once.PositiveDuration(r.Dispenser, field(t), name+" "+example) },
		func(t *T) bool { return *field(t) != 0 },
	}
}

// numberOption returns an option with a whole number above 0.
func numberOption[T any](name, example string, field func(*T) *int) option[T] {
	return option[T]{
		name,
		func(t *T, r *reader) error { return r.once.Number(r.Dispenser, field(t), name+" "+example) },
		func(t *T) bool { return *field(t) != 0 },
	}
}

// checked returns the option with a check that runs after it is read.
func (o option[T]) checked(check func(*T) error) option[T] {
	read := o.read
	o.read = func(t *T, r *reader) error {
		if err := read(t, r); err != nil {
			return err
		}
		if err := check(t); err != nil {
			return r.Errf("%v", err)
		}
		return nil
	}
	return o
}

// laxer are the options that let more requests pass, or show more. Who misspells another
// word must not be led to one.
var laxer = map[string]bool{
	"optional": true, "allow_preflight": true, "keep_credentials": true, "log_credentials_filtered": true,
	"allow_no_expiry": true, "allow_bound_tokens": true, "untyped": true, "insecure_http": true, "ignore_kid": true,
}
