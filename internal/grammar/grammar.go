// Package grammar reads options of a Caddyfile.
package grammar

import (
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Once reads options that may not be repeated. It holds those seen so far.
type Once map[string]bool

// Check returns an error if the option was seen before. The remedy says what to do
// about it.
func (o Once) Check(d *caddyfile.Dispenser, remedy string) error {
	if o[d.Val()] {
		return d.Errf("duplicate %s; %s", d.Val(), remedy)
	}
	o[d.Val()] = true
	return nil
}

// RemoveOne is the remedy for a duplicate option of one value.
const RemoveOne = "remove one"

// Text reads an option with one value.
func (o Once) Text(d *caddyfile.Dispenser, into *string, example string) error {
	if err := o.Check(d, RemoveOne); err != nil {
		return err
	}
	return Text(d, into, example)
}

// List reads an option with one or more values.
func (o Once) List(d *caddyfile.Dispenser, into *[]string, example string) error {
	option := d.Val()
	if err := o.Check(d, "put all its values on one line"); err != nil {
		return err
	}
	if *into = d.RemainingArgs(); len(*into) == 0 {
		return d.Errf("%s needs a value; write %s", option, example)
	}
	if slices.Contains(*into, "") {
		return d.Errf("%s has an empty value; write %s", option, example)
	}
	return NoBlock(d, option)
}

// Flag reads an option without a value.
func (o Once) Flag(d *caddyfile.Dispenser, into *bool) error {
	option := d.Val()
	if err := o.Check(d, RemoveOne); err != nil {
		return err
	}
	*into = true
	if d.CountRemainingArgs() > 0 {
		return d.Errf("%s takes no value; write it alone, or remove it", option)
	}
	return NoBlock(d, option)
}

// Duration reads an option whose value is a duration.
func (o Once) Duration(d *caddyfile.Dispenser, into *caddy.Duration, example string) error {
	var value string
	if err := o.Text(d, &value, example); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil {
		return d.Errf("%q is not a valid duration (a number with a unit); write %s", value, example)
	}
	*into = caddy.Duration(parsed)
	return nil
}

// PositiveDuration reads an option whose value is a duration above 0. Where it is used,
// 0 would mean the default or no limit.
func (o Once) PositiveDuration(d *caddyfile.Dispenser, into *caddy.Duration, example string) error {
	option := d.Val()
	if err := o.Duration(d, into, example); err != nil {
		return err
	}
	if *into == 0 {
		return d.Errf("%s must be above 0; write %s", option, example)
	}
	return nil
}

// Number reads an option whose value is a whole number above 0.
func (o Once) Number(d *caddyfile.Dispenser, into *int, example string) error {
	var value string
	if err := o.Text(d, &value, example); err != nil {
		return err
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("%q is not a whole number above 0; write %s", value, example)
	}
	*into = n
	return nil
}

// Text reads exactly one argument, which must not be empty.
func Text(d *caddyfile.Dispenser, into *string, example string) error {
	option := d.Val()
	switch args := d.RemainingArgs(); len(args) {
	case 0:
		return d.Errf("%s needs a value; write %s", option, example)
	case 1:
		*into = args[0]
	default:
		return d.Errf("%s has more than one value; write %s, or quotes around a value with spaces", option, example)
	}
	if *into == "" {
		return d.Errf("%s is empty; write %s", option, example)
	}
	return NoBlock(d, option)
}

// NoBlock returns an error for a block after an option that takes none, which would
// otherwise be ignored. The error does not show what is in it, as it may be a secret.
func NoBlock(d *caddyfile.Dispenser, option string) error {
	if at := *d; d.NextBlock(d.Nesting()) {
		return at.Errf("%s takes no block; remove the braces after it", option)
	}
	return nil
}
