package caddyjwt

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/internal/mcpgate"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// MCP are rules for the messages of the Model Context Protocol. All rules that match a call
// hold together, in addition to those of the handler. Each request is read, and one that
// can't be judged is refused.
type MCP struct {
	// Rules by the name of a tool (`tools/call`). Default: none.
	Tool []*MCPRule `json:"tool,omitempty"`
	// Rules by the name of a prompt (`prompts/get`, and completions for one). Default: none.
	Prompt []*MCPRule `json:"prompt,omitempty"`
	// Rules by the URI of a resource (`resources/read`, `resources/subscribe`,
	// `resources/unsubscribe`, and completions for one). Default: none.
	Resource []*MCPRule `json:"resource,omitempty"`
	// Rules by the JSON-RPC method, such as `tools/list`. Default: none.
	Method []*MCPRule `json:"method,omitempty"`
	// `deny` refuses what no rule names. Default: empty, that is open to everyone who is
	// authenticated.
	Default string `json:"default,omitempty"`
	// The longest body of a request, which is held in memory while it is judged: a size such
	// as `4MiB`, from 1KiB to 32MiB. Default: 1MiB.
	MaxBody string `json:"max_body,omitempty"`
}

// MCPRule is what the calls that it names need.
type MCPRule struct {
	// What the rule is about: names, in which `*` is any run of characters. Case does not
	// matter.
	Name []string `json:"name"`
	// What such a call needs besides a valid credential, all of it. Default: nothing.
	Require []*Requirement `json:"require,omitempty"`
}

func (m *MCP) settings() mcpgate.Settings {
	s := mcpgate.Settings{Default: m.Default, MaxBody: m.MaxBody}
	for _, of := range []struct {
		kind  mcp.Kind
		rules []*MCPRule
	}{{mcp.Tool, m.Tool}, {mcp.Prompt, m.Prompt}, {mcp.Resource, m.Resource}, {mcp.Method, m.Method}} {
		for _, r := range of.rules {
			rule := mcpgate.Rule{Kind: of.kind}
			if r != nil {
				rule.Names, rule.Require = r.Name, requirements(r.Require)
			}
			s.Rules = append(s.Rules, rule)
		}
	}
	return s
}

// checkMCP checks the option mcp, and what can't stand beside it.
func checkMCP(h *Handler) error {
	if h.MCP == nil {
		return nil
	}
	if err := mcpgate.Check(h.MCP.settings()); err != nil {
		return err
	}
	if h.Optional {
		return setting.InOption("optional", "with mcp each message is judged by who sends it, and a request without a credential is sent by nobody; remove optional, or give what is public a path of its own")
	}
	for _, s := range h.TokenFrom {
		if s != nil && s.From == "query" {
			return setting.InOption("token_from", "the Model Context Protocol forbids tokens in the query; write token_from header Authorization Bearer, or remove token_from, as that is the default")
		}
	}
	return nil
}

// provisionMCP makes what judges messages, and says what it lets pass.
func (h *Handler) provisionMCP(ctx caddy.Context) (err error) {
	if err := checkMCP(h); err != nil || h.MCP == nil {
		return err
	}
	if h.mcp, err = mcpgate.New(ctx, h.MCP.settings(), h.rules.RequiredScopes()); err != nil {
		return err
	}
	if open := h.mcp.Open(); open != "" {
		h.logger.Info("jwt at "+h.site+": mcp: open to everyone who is authenticated, as no rule names it: "+open+"; default deny refuses it", zap.String("site", h.site))
	}
	if h.mcp.Closed() {
		h.warn("mcp: default deny refuses initialize and server/discover, so that no client can begin; write method initialize server/discover notifications/* ping tools/list")
	}
	return nil
}

// judge judges the message of a request that was authenticated, and notes its refusal. The
// body of one that goes on is held until its end.
func (h *Handler) judge(w http.ResponseWriter, r *http.Request, d *decision) *mcpgate.Held {
	var (
		v    mcpgate.Verdict
		held *mcpgate.Held
	)
	switch {
	case d.authenticated && d.code != "":
		v = mcpgate.Refused(d.code)
	case d.authenticated:
		v, held = h.mcp.Judge(w, r, d.id, h.Mode == modeReport)
	case d.code == "":
		v = h.mcp.Preflight(r)
	default:
		return nil
	}
	d.message = &v
	if v.Failed != nil && h.Mode != modeReport {
		d.failed = v.Failed
	}
	if v.Code == "" || d.code != "" {
		return held
	}
	d.code, d.cause = v.Code, causeOf(d.id, v.Unmet, nil)
	if v.Detail != "" {
		if d.cause == nil {
			d.cause = new(refusal.Cause)
		}
		d.cause.Detail = v.Detail
	}
	return held
}

// answer returns the answer to a refusal.
func (h *Handler) answer(d *decision, basic bool) *refusal.Response {
	switch {
	case d.message == nil:
		return h.responder.To(d.code, d.cause, basic)
	case d.message.Scopes != "":
		p := h.responder.Scoped(d.code, d.cause, d.message.Scopes, basic)
		return p.Message(d.message.Answer(p.Text))
	}
	p := h.responder.To(d.code, d.cause, basic)
	return p.Message(d.message.Answer(p.Text))
}

// readMCP reads the rules for messages of the Model Context Protocol:
//
//	mcp {
//	    tool <name>... {
//	        require ...                      (see readRequirement)
//	    }
//	    prompt <name>... { ... }
//	    resource <uri>... { ... }
//	    method <name>... { ... }
//	    default deny
//	    max_body <size>
//	}
//
// tool, prompt, resource and method may be repeated, as may require. Every block may be left
// out.
func readMCP(h *Handler, r *reader) error {
	if err := r.once.Check(r.Dispenser, "put all rules into one block"); err != nil {
		return err
	}
	if r.CountRemainingArgs() > 0 {
		return r.Err("mcp takes no value; put its rules into the block: mcp { tool delete_* { require scope mcp:admin } }")
	}
	h.MCP = new(MCP)
	unknown := &unknownOption{
		kind: "mcp option", others: []string{"require"}, are: "is an option of a rule",
		remedy: func(string) string {
			return "write it into the block of a rule, such as tool delete_* { require scope mcp:admin }, or in front of mcp for every request"
		},
	}
	r = r.inner()
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		line := *r.Dispenser
		if err := mcpOptions().read(h.MCP, r, unknown); err != nil {
			return err
		}
		if err := mcpgate.Check(h.MCP.settings()); err != nil {
			return line.Errf("%v", err)
		}
	}
	return nil
}

// mcpOptions returns the options of mcp.
func mcpOptions() options[MCP] {
	return options[MCP]{
		mcpRuleOption(mcp.Tool, func(m *MCP) *[]*MCPRule { return &m.Tool }),
		mcpRuleOption(mcp.Prompt, func(m *MCP) *[]*MCPRule { return &m.Prompt }),
		mcpRuleOption(mcp.Resource, func(m *MCP) *[]*MCPRule { return &m.Resource }),
		mcpRuleOption(mcp.Method, func(m *MCP) *[]*MCPRule { return &m.Method }),
		textOption("default", "deny", func(m *MCP) *string { return &m.Default }),
		textOption("max_body", "1MiB", func(m *MCP) *string { return &m.MaxBody }),
	}
}

// mcpRuleOption returns the option of rules of a kind.
func mcpRuleOption(kind mcp.Kind, field func(*MCP) *[]*MCPRule) option[MCP] {
	return option[MCP]{
		kind.String(),
		func(m *MCP, r *reader) error {
			rule := &MCPRule{Name: r.RemainingArgs()}
			unknown := &unknownOption{kind: "option of " + kind.String()}
			in := r.inner()
			for nesting := in.Nesting(); in.NextBlock(nesting); {
				if err := mcpRuleOptions().read(rule, in, unknown); err != nil {
					return err
				}
			}
			*field(m) = append(*field(m), rule)
			return nil
		},
		func(m *MCP) bool { return len(*field(m)) > 0 },
	}
}

// mcpRuleOptions returns the options of a rule.
func mcpRuleOptions() options[MCPRule] {
	return options[MCPRule]{{
		"require", func(m *MCPRule, r *reader) error { return readRequirement(&m.Require, r) },
		func(m *MCPRule) bool { return len(m.Require) > 0 },
	}}
}
