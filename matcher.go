package caddyjwt

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"weak"

	"cel.dev/cel-go/cel"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

func init() {
	caddy.RegisterModule(new(MatchClaim))
	caddy.RegisterModule(new(MatchScope))
}

// MatchClaim matches requests by the claims of the identity that an earlier `jwt`
// handler has verified. It maps the path of a claim to values: the claim must equal
// one of them or, if it is an array, contain one. All paths must match. An anonymous
// request, or one that no `jwt` handler has seen, never matches.
//
// It works for handlers after `jwt`: `handle`, `route`, `respond`, `request_header`,
// `reverse_proxy`, and `rewrite`, `redir` and `header` inside a `handle` or `route`
// after it.
type MatchClaim map[string][]string

// MatchScope matches requests whose identity, verified by an earlier `jwt` handler,
// has all of these scopes, or scopes that imply them there (`scope_implies`). See
// MatchClaim for where it works.
type MatchScope []string

// CaddyModule returns the module's information.
func (*MatchClaim) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.jwt_claim", New: func() caddy.Module { return new(MatchClaim) }}
}

// CaddyModule returns the module's information.
func (*MatchScope) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.jwt_scope", New: func() caddy.Module { return new(MatchScope) }}
}

// Validate checks the matcher.
func (m *MatchClaim) Validate() error {
	if len(*m) == 0 {
		return fmt.Errorf("jwt_claim: it has no claim and would match any request; write jwt_claim roles admin")
	}
	for _, path := range slices.Sorted(maps.Keys(*m)) {
		if err := (&rule.Claim{Path: path, Values: (*m)[path]}).Check(); err != nil {
			return fmt.Errorf("jwt_%w", err)
		}
	}
	return nil
}

// Validate checks the matcher.
func (m *MatchScope) Validate() error {
	if len(*m) == 0 {
		return fmt.Errorf("jwt_scope: it has no scope and would match any request; write jwt_scope orders:read")
	}
	if err := apikey.CheckScopes(*m); err != nil {
		return fmt.Errorf("jwt_scope: %w", err)
	}
	return nil
}

// UnmarshalCaddyfile reads the matcher:
//
//	jwt_claim <path> <value>...
//
// It may be repeated in a named matcher; then all must match.
func (m *MatchClaim) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if *m == nil {
		*m = MatchClaim{}
	}
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Err("jwt_claim needs a path and a value; write jwt_claim roles admin")
		}
		if _, twice := (*m)[args[0]]; twice {
			return d.Errf("duplicate jwt_claim %s; put all its values into one line, of which one must match", args[0])
		}
		(*m)[args[0]] = args[1:]
		if err := m.Validate(); err != nil {
			return d.Errf("%v", err)
		}
		if err := grammar.NoBlock(d, "jwt_claim"); err != nil {
			return err
		}
	}
	return nil
}

// UnmarshalCaddyfile reads the matcher:
//
//	jwt_scope <scope>...
//
// The request needs all of them.
func (m *MatchScope) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		*m = append(*m, d.RemainingArgs()...)
		if err := m.Validate(); err != nil {
			return d.Errf("%v", err)
		}
		if err := grammar.NoBlock(d, "jwt_scope"); err != nil {
			return err
		}
	}
	return nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *MatchClaim) MatchWithError(r *http.Request) (bool, error) {
	id := identityOf(r, "jwt_claim")
	if id == nil || len(*m) == 0 {
		return false, nil
	}
	for path, values := range *m {
		if v, _ := id.Claims().Lookup(path); !rule.ClaimMatches(v, values) {
			return false, nil
		}
	}
	return true, nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *MatchScope) MatchWithError(r *http.Request) (bool, error) {
	id := identityOf(r, "jwt_scope")
	if id == nil || len(*m) == 0 {
		return false, nil
	}
	for _, s := range *m {
		if !id.HasScope(s) {
			return false, nil
		}
	}
	return true, nil
}

// identityOf returns the identity of a request, or nil. If no jwt handler has seen
// the request, the matcher is in the wrong place, which is logged once for each site.
func identityOf(r *http.Request, matcher string) *identity.Identity {
	if holder := identity.Of(r); holder != nil {
		return holder.Identity
	}
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if site, ok := misplaced.first(server, matcher, r); ok {
		caddy.Log().Named("http.matchers."+matcher).Warn("jwt at "+site+": an identity matcher is evaluated where no jwt handler has run, and never matches there; it works only after jwt: in handle, route, respond, request_header and reverse_proxy, and for other directives inside a handle or route after jwt",
			zap.String("matcher", matcher), zap.String("site", site))
	}
	return nil
}

// misplaced are the misplaced matchers that have been logged.
var misplaced misplacedMatchers

type misplacedMatchers struct {
	mu     sync.Mutex
	logged map[misplacedMatcher]bool
}

// misplacedMatcher is where a matcher is. A reload makes new servers, so that it is logged
// again.
type misplacedMatcher struct {
	server        weak.Pointer[caddyhttp.Server]
	matcher, site string
}

// first reports whether a matcher is to be logged, and for which site.
func (m *misplacedMatchers) first(server *caddyhttp.Server, matcher string, r *http.Request) (site string, ok bool) {
	if server != nil {
		site = routes.SiteOf(server, r)
	}
	this := misplacedMatcher{weak.Make(server), matcher, site}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.logged[this] {
		return site, false
	}
	maps.DeleteFunc(m.logged, func(other misplacedMatcher, _ bool) bool { return other.server.Value() == nil && server != nil })
	if m.logged == nil {
		m.logged = map[misplacedMatcher]bool{}
	}
	m.logged[this] = true
	return site, true
}

// CELLibrary implements caddyhttp.CELLibraryProducer.
func (*MatchClaim) CELLibrary(caddy.Context) (cel.Library, error) {
	return rule.CELMatcher(rule.CELClaimFunction, 2, func(args []string) caddyhttp.RequestMatcherWithError {
		return &MatchClaim{args[0]: args[1:]}
	}), nil
}

// CELLibrary implements caddyhttp.CELLibraryProducer.
func (*MatchScope) CELLibrary(caddy.Context) (cel.Library, error) {
	return rule.CELMatcher(rule.CELScopeFunction, 1, func(args []string) caddyhttp.RequestMatcherWithError {
		m := MatchScope(args)
		return &m
	}), nil
}

var (
	_ caddy.Validator                   = (*MatchClaim)(nil)
	_ caddy.Validator                   = (*MatchScope)(nil)
	_ caddyfile.Unmarshaler             = (*MatchClaim)(nil)
	_ caddyfile.Unmarshaler             = (*MatchScope)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchClaim)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchScope)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchClaim)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchScope)(nil)
)
