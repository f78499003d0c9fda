// Package mcpgate judges the messages of the Model Context Protocol that a handler of this
// plugin gets: it reads the bodies of requests within limits, has them read by package mcp,
// and applies the handler's rules to what they call. The bytes that it has judged are those
// that go on.
package mcpgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// Rule is what the calls that it names need besides a valid credential.
type Rule struct {
	Kind    mcp.Kind
	Names   []string // names and patterns
	Require []*rule.Requirement
}

// Settings are the rules of a handler, and its limits.
type Settings struct {
	Rules   []Rule
	Default string // deny, or empty
	MaxBody string // a size; empty for the default
}

const (
	defaultDeny = "deny"
	textDeny    = "default " + defaultDeny
	// defaultMaxBody is the longest body where the config names none.
	defaultMaxBody = 1 << 20
	// mostMaxBody is the most that max_body may be: what one user may hold.
	mostMaxBody = share
)

// checked are settings without an error.
type checked struct {
	maxBody int
	rules   *mcp.Rules
}

// Check reports the error, if any, in settings, except in expressions.
func Check(s Settings) error {
	_, err := s.check()
	return err
}

func (s Settings) check() (checked, error) {
	c := checked{maxBody: defaultMaxBody}
	if s.MaxBody != "" {
		size, err := humanize.ParseBytes(s.MaxBody)
		if err != nil || size < 1<<10 || size > mostMaxBody {
			return c, setting.InOption("mcp", "max_body: %q is not a size from 1KiB to 32MiB; write max_body 1MiB", s.MaxBody)
		}
		c.maxBody = int(size)
	}
	if s.Default != "" && s.Default != defaultDeny {
		return c, setting.InOption("mcp", "default: %q is not a valid value; write default deny, or remove it: what no rule names is open then", s.Default)
	}
	list := make([]mcp.Rule, 0, len(s.Rules))
	for i := range s.Rules {
		r := &s.Rules[i]
		if err := r.check(); err != nil {
			return c, setting.InOption("mcp", "%w", err)
		}
		list = append(list, mcp.Rule{Kind: r.Kind, Patterns: r.Names})
	}
	var err error
	if c.rules, err = mcp.NewRules(list, s.Default == defaultDeny); err != nil {
		return c, setting.InOption("mcp", "%w", err)
	}
	return c, nil
}

func (r *Rule) check() error {
	if len(r.Names) == 0 {
		return fmt.Errorf("%s needs a name; write %s", r.Kind, examples[r.Kind])
	}
	known := mcp.KnownMethods()
	for i, name := range r.Names {
		switch {
		case name == "":
			return fmt.Errorf("%s has an empty name; write %s", r.Kind, examples[r.Kind])
		case setting.HasPlaceholder(name):
			return fmt.Errorf("%s: placeholders are not replaced in %q; write the name itself, with * for any run of characters", r.Kind, name)
		case slices.Contains(r.Names[:i], name):
			return fmt.Errorf("%s: duplicate %q; remove one", r.Kind, name)
		}
		if err := checkMethod(name, known); r.Kind == mcp.Method && err != nil {
			return err
		}
	}
	if _, err := rule.Check(r.Require); err != nil {
		return fmt.Errorf("%s: %w", r.text(), err)
	}
	return nil
}

// checkMethod finds names of methods that are misspelled. Servers may have others than the
// protocol, but with a namespace in front.
func checkMethod(name string, known []string) error {
	if strings.Contains(name, "*") {
		return nil
	}
	for _, k := range known {
		if strings.EqualFold(name, k) {
			return nil
		}
	}
	if near := setting.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown method %q; write method %s", name, near)
	}
	if !strings.Contains(name, "/") {
		return fmt.Errorf("unknown method %q; write one such as tools/list, or tool %s if it is the name of a tool", name, name)
	}
	return nil
}

// examples are rules as a Caddyfile has them.
var examples = map[mcp.Kind]string{
	mcp.Tool:     "tool delete_*",
	mcp.Prompt:   "prompt review_*",
	mcp.Resource: "resource file:///reports/*",
	mcp.Method:   "method tools/list",
}

// text returns the rule as a Caddyfile has it, without what it requires.
func (r *Rule) text() string { return r.Kind.String() + " " + strings.Join(r.Names, " ") }

// Gate judges the requests of one handler.
type Gate struct {
	settings Settings
	maxBody  int
	deny     bool
	matching *mcp.Rules
	required []*rule.Rules // of each rule
	texts    []string
	own      string // the scopes that every request of the handler needs
	inTime   time.Duration
	budget   *budget // nil for none
}

// New returns the gate of a handler. own are the scopes that each of its requests needs.
func New(ctx caddy.Context, s Settings, own string) (*Gate, error) {
	c, err := s.check()
	if err != nil {
		return nil, err
	}
	g := &Gate{settings: s, maxBody: c.maxBody, deny: s.Default == defaultDeny, matching: c.rules, own: own, inTime: inTime, budget: process}
	for i := range s.Rules {
		r := &s.Rules[i]
		rules, err := rule.New(ctx, r.Require, false)
		if err != nil {
			if e, ok := errors.AsType[*setting.OptionError](err); ok {
				err = e.Unwrap()
			}
			return nil, setting.InOption("mcp", "%s: require: %w", r.text(), err)
		}
		g.required = append(g.required, rules)
		g.texts = append(g.texts, r.text())
	}
	return g, nil
}

// Quiet returns a gate that judges in the same way, and counts nothing. Only what is in
// memory may be judged by it.
func (g *Gate) Quiet() *Gate {
	if g == nil {
		return nil
	}
	q := *g
	q.budget = nil
	return &q
}

// Closed reports whether no client can begin: neither by initialize, as the revisions up to
// 2025-11-25 do, nor by server/discover.
func (g *Gate) Closed() bool {
	for _, method := range []string{"initialize", "server/discover"} {
		if _, denied := g.matching.Matching(mcp.Call{Method: method}); !denied {
			return false
		}
	}
	return true
}

// Open says what no rule names and is open therefore, for the log; empty if nothing is.
func (g *Gate) Open() string {
	if g.deny {
		return ""
	}
	var open []string
	for _, kind := range []mcp.Kind{mcp.Tool, mcp.Prompt, mcp.Resource, mcp.Method} {
		var named []string
		for i := range g.settings.Rules {
			if g.settings.Rules[i].Kind == kind {
				named = append(named, g.settings.Rules[i].Names...)
			}
		}
		switch {
		case slices.Contains(named, "*"):
		case len(named) == 0:
			open = append(open, "every "+kind.String())
		default:
			open = append(open, "every "+kind.String()+" but "+strings.Join(named, ", "))
		}
	}
	return strings.Join(open, "; ")
}
