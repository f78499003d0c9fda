package caddyjwt

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/resource"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

func init() {
	caddy.RegisterModule(new(ResourceMetadata))
	httpcaddyfile.RegisterDirective("jwt_resource_metadata", adaptResourceMetadata)
	// In front of all that could send a request for the metadata elsewhere.
	httpcaddyfile.RegisterDirectiveOrder("jwt_resource_metadata", httpcaddyfile.Before, "redir")
}

// Resource makes what a `jwt` handler protects a resource to which clients find their way from
// its URL alone (RFC 9728), as MCP demands: its metadata, which tell where to get a token, are
// served without a credential, and each refusal with the status 401 or 403 names them.
type Resource struct {
	// The URL of the resource, as clients are given it: https, or http for this machine alone,
	// without query, fragment and slash at the end. It may hold `{env.NAME}`. Where no other
	// audience is set, it is the audience of tokens.
	URL string `json:"url"`
	// A name for people (`resource_name`). Default: none.
	Name string `json:"name,omitempty"`
	// The URL of a page for developers (`resource_documentation`). It may hold `{env.NAME}`.
	// Default: none.
	Documentation string `json:"documentation,omitempty"`
	// The scopes that clients may ask for (`scopes_supported`). Default: those of `require
	// scope`, which every request needs.
	Scopes []string `json:"scopes,omitempty"`
	// The issuers of tokens for the resource (`authorization_servers`). They may hold
	// `{env.NAME}`. Default: the issuer whose keys are discovered, if exactly one is an https
	// URL.
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
}

// settings returns the settings without types of Caddy.
func (r *Resource) settings() *resource.Settings { return (*resource.Settings)(r) }

// readResource reads a resource:
//
//	resource <url> {
//	    name <text>
//	    documentation <url>
//	    scopes <scope>...
//	    authorization_servers <url>...
//	}
//
// The block may be left out.
func readResource(h *Handler, r *reader) error {
	const example = "resource https://mcp.example.com/mcp"
	if err := r.once.Check(r.Dispenser, "a jwt protects one; write a jwt for each, with a matcher"); err != nil {
		return err
	}
	at := *r.Dispenser
	args := r.RemainingArgs()
	if len(args) != 1 {
		return r.Err("resource needs its URL; write " + example)
	}
	h.Resource = &Resource{URL: args[0]}
	check := func(line *caddyfile.Dispenser) error {
		if _, err := h.Resource.settings().Check(setting.Unresolved); err != nil {
			return line.Errf("resource: %v", err)
		}
		return nil
	}
	if err := check(&at); err != nil {
		return err
	}
	unknown := &unknownOption{kind: "resource option"}
	r = r.inner()
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		line := *r.Dispenser
		if err := resourceOptions().read(h.Resource, r, unknown); err != nil {
			return err
		}
		if err := check(&line); err != nil {
			return err
		}
	}
	return nil
}

// resourceOptions returns the options of a resource.
func resourceOptions() options[Resource] {
	return options[Resource]{
		textOption("name", "Orders", func(r *Resource) *string { return &r.Name }),
		textOption("documentation", "https://docs.example.com/mcp", func(r *Resource) *string { return &r.Documentation }),
		listOption("scopes", "orders:read orders:write", func(r *Resource) *[]string { return &r.Scopes }),
		listOption("authorization_servers", "https://auth.example.com", func(r *Resource) *[]string { return &r.AuthorizationServers }),
	}
}

// resourceAudience returns what the audience of a token for the handler's resource may be.
func (h *Handler) resourceAudience(resolve setting.Resolver) ([]string, error) {
	if h.Resource == nil {
		return nil, nil
	}
	r, err := h.Resource.settings().Check(resolve)
	if err != nil {
		return nil, setting.InOption("resource", "%w", err)
	}
	return r.Audience(), nil
}

// describedResource checks the handler's resource with all that it depends on, and returns it
// with its metadata. least are the scopes that every request needs. It is nil for none.
func describedResource(h *Handler, app *App, least []string, resolve setting.Resolver) (*resource.Resource, error) {
	if h.Resource == nil {
		return nil, nil
	}
	r, err := h.Resource.settings().Check(resolve)
	switch {
	case err != nil:
	case len(h.Issuer) == 0:
		err = errors.New("it tells clients where to get a token, and no issuer is configured whose tokens are accepted; add one, such as issuer https://auth.example.com, or remove it")
	case !takesBearer(h):
		err = errors.New("clients that find it send their token in the header Authorization (RFC 6750), where none is read; add token_from header Authorization Bearer")
	default:
		d := resource.Defaults{Scopes: least}
		d.Servers, d.Unsure = issuersOf(h, app).Discovered(resolve)
		err = r.Describe(d)
	}
	if err != nil {
		return nil, setting.InOption("resource", "%w", err)
	}
	return r, nil
}

// checkResource checks the handler's resource as far as it does not depend on the machine that
// the config will run on.
func checkResource(h *Handler, app *App) error {
	required, err := rule.Check(requirements(h.Require))
	if err != nil {
		return err
	}
	_, err = describedResource(h, app, required.LeastScopes(), setting.Unresolved)
	return err
}

// takesBearer reports whether a token is read where RFC 6750 section 2.1 has it.
func takesBearer(h *Handler) bool {
	return len(h.TokenFrom) == 0 || slices.ContainsFunc(h.TokenFrom, func(s *CredentialSource) bool {
		return s.From == credential.FromHeader && strings.EqualFold(s.Name, "Authorization") && (s.Scheme == nil || strings.EqualFold(*s.Scheme, "Bearer"))
	})
}

// ResourceMetadata serves the metadata of the resources of `jwt` handlers, each at its own host,
// and passes all other requests on. It is for sites whose `jwt` no request for the metadata
// comes to, as it is inside of `handle` or `route`.
type ResourceMetadata struct {
	app   *App
	guard *errorGuard
	site  string
	late  bool // whether it is in error routes
}

// CaddyModule returns the module's information.
func (*ResourceMetadata) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.jwt_resource_metadata",
		New: func() caddy.Module { return new(ResourceMetadata) },
	}
}

// Provision finds the resources of the server. They are complete when it starts.
func (m *ResourceMetadata) Provision(ctx caddy.Context) error {
	app, err := ctx.App("jwt")
	if err != nil {
		return err
	}
	m.app = app.(*App)
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	m.guard, m.site = m.app.guards.of(server), routes.NameOfSite(ctx)
	m.late = server != nil && routes.InErrorRoutes(server)
	m.app.metadata = append(m.app.metadata, m)
	return nil
}

// UnmarshalCaddyfile reads the directive:
//
//	jwt_resource_metadata [<matcher>]
func (m *ResourceMetadata) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // jwt_resource_metadata
	at := *d
	if d.CountRemainingArgs() > 0 || d.NextBlock(d.Nesting()) {
		return at.Err("jwt_resource_metadata takes nothing; write it alone at the site, and resource into the block of its jwt")
	}
	return nil
}

func adaptResourceMetadata(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	m := new(ResourceMetadata)
	matcher, err := readMatched(h, m, func(m *ResourceMetadata, r *reader) error { return m.UnmarshalCaddyfile(r.Dispenser) })
	if err != nil {
		return nil, err
	}
	return h.NewRoute(matcher, m), nil
}

// ServeHTTP answers requests for metadata and passes all others on.
func (m *ResourceMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !m.late && m.guard.resources.Serve(w, r) {
		return nil
	}
	return next.ServeHTTP(w, r)
}

// Answers reports whether it answers a request.
func (m *ResourceMetadata) Answers(r *http.Request) bool {
	return !m.late && m.guard.resources.Answers(r)
}

// Authenticates reports that it authenticates nobody. It is how a handler of this plugin is
// known, as in error routes.
func (*ResourceMetadata) Authenticates() bool { return false }

// warnUnserved warns of resources whose metadata no request comes to, and of handlers that have
// none to serve.
func (a *App) warnUnserved() {
	for _, g := range a.guards.all() {
		for _, r := range g.resources.All() {
			if !routes.ReachesAny(g.server, r.Request(), servesMetadata) {
				a.warnings.add(r.Site, "resource: no request for "+r.Metadata()+" comes to a jwt, so that clients do not learn where to get a token; write jwt_resource_metadata at the site of "+r.Host()+" itself, outside of handle, handle_path and route")
			}
		}
	}
	for _, m := range a.metadata {
		if len(m.guard.resources.All()) == 0 {
			a.warnings.add(m.site, "jwt_resource_metadata has nothing to serve, as no jwt at this address has a resource; write resource https://mcp.example.com/mcp into the block of the jwt, or remove it")
		}
	}
}

// servesMetadata reports whether a handler serves the metadata of its server's resources.
func servesMetadata(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *Handler:
		return !h.late
	case *ResourceMetadata:
		return !h.late
	}
	return false
}

var (
	_ caddy.Provisioner           = (*ResourceMetadata)(nil)
	_ caddyhttp.MiddlewareHandler = (*ResourceMetadata)(nil)
	_ caddyfile.Unmarshaler       = (*ResourceMetadata)(nil)
)
