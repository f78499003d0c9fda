package caddyjwt

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
)

// warn logs, when the config loads, settings that are valid but probably a mistake.
func warn(h *Handler, now time.Time) {
	for _, text := range h.credentials.DroppedWarnings() {
		h.app.warnings.add(h.site, text)
	}
	if !h.LogCredentialsFiltered {
		for _, text := range h.credentials.LogWarnings() {
			h.app.warnings.add(h.site, text)
		}
	}
	if h.Mode == modeReport {
		h.warn("mode report: no request is refused here; those that would be refused continue as anonymous")
	}
	if h.Resource != nil && slices.ContainsFunc(h.TokenFrom, func(s *CredentialSource) bool { return s.From == credential.FromQuery }) {
		h.warn("token_from query beside resource: clients that find their way by its metadata must not put tokens into URLs, which end up in logs and histories; leave it out unless other clients need it")
	}
	if shared := h.credentials.Shared(); len(shared) > 0 && h.validator != nil && h.validator.TakesOpaque() {
		h.warn("introspection: API keys are read " + strings.Join(shared, " and ") + " too, where any text that is no JWT is taken for one: no opaque token is accepted there; give API keys a place of their own, such as api_key_from header X-API-Key")
	}
	for _, r := range h.Require {
		for _, scope := range append(append([]string{}, r.Scope...), r.AnyScope...) {
			if strings.Contains(scope, ",") {
				h.warn("a required scope contains a comma; scopes are separated by spaces, as in require any_scope orders:read orders:write", zap.String("scope", scope))
			}
		}
		if r.Claim != nil {
			warnPath(h, "require claim", r.Claim.Path)
		}
	}
	for _, f := range h.Forward {
		warnPath(h, "forward", f.What)
	}
	for _, c := range h.Claim {
		warnPath(h, "claim", c.Path)
	}
	for _, k := range h.APIKey {
		if expires, err := apikey.ParseTime(k.Expires); err == nil && !now.Before(expires) {
			h.warn("an API key in the config has expired and is refused", zap.String("id", k.ID))
		}
	}
}

// warn logs a warning that names the site.
func (h *Handler) warn(text string, fields ...zap.Field) {
	h.logger.Warn("jwt at "+h.site+": "+text, append(fields, zap.String("site", h.site))...)
}

func warnPath(h *Handler, option, path string) {
	if better := plainPath(path); better != path {
		h.warn("a claim path has the syntax of another language; steps are separated by dots, and array elements are numbers: "+option+" "+better,
			zap.String("path", path))
	}
}

// plainPath converts a path of JSONPath, JSON Pointer or jq to this plugin's syntax
// and returns any other unchanged. As a claim may have such a name, it is not an
// error.
func plainPath(path string) string {
	// As expressions and placeholders have it.
	for _, prefix := range []string{"claims.", "http.auth.user.", "http.jwt.claims."} {
		// The user's id may be of any claim.
		if rest, ok := strings.CutPrefix(path, prefix); ok && rest != "" && path != "http.auth.user.id" {
			return plainPath(rest)
		}
	}
	if strings.Contains(path, "://") {
		return path
	}
	plain := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(path, "$"), "."), ".")
	if rest, ok := strings.CutPrefix(plain, "/"); ok {
		plain = strings.ReplaceAll(rest, "/", ".")
	}
	for {
		before, rest, open := strings.Cut(plain, "[")
		inside, after, closed := strings.Cut(rest, "]")
		if !open || !closed {
			break
		}
		if unquoted, err := strconv.Unquote(strings.ReplaceAll(inside, "'", `"`)); err == nil {
			inside = unquoted
		}
		plain = strings.TrimPrefix(before+"."+inside+after, ".")
	}
	if plain == "" {
		return path
	}
	return plain
}

// siteWarnings are warnings that several sites may have in common. Each is logged once,
// with the sites, when the config starts.
type siteWarnings struct {
	mu    sync.Mutex
	texts []string
	sites map[string][]string // by text
}

func (w *siteWarnings) add(site, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sites == nil {
		w.sites = map[string][]string{}
	}
	known := w.sites[text]
	if known == nil {
		w.texts = append(w.texts, text)
	}
	for _, other := range known {
		if other == site {
			return
		}
	}
	w.sites[text] = append(known, site)
}

// log logs the warnings.
func (w *siteWarnings) log(logger *zap.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.texts {
		sites := w.sites[text]
		const most = 3
		names := strings.Join(sites[:min(len(sites), most)], ", ")
		if len(sites) > most {
			names += fmt.Sprintf(" +%d", len(sites)-most)
		}
		logger.Warn("jwt at "+names+": "+text, zap.Strings("sites", sites))
	}
}

// review logs, when the config starts, which error routes get no refusals, and why. It
// refuses a config in which a refusal could be served whichever way it goes.
func (g *errorGuard) review(logger *zap.Logger) error {
	said := map[string]bool{}
	say := func(site, problem string) {
		if text := "jwt at " + site + ": " + problem; !said[text] {
			said[text] = true
			logger.Warn(text, zap.String("site", site))
		}
	}
	for i := range g.sites {
		s := &g.sites[i]
		if s.handler.clearsOnly {
			continue
		}
		site, place := routes.Site(g.server, s.hosts), g.place(s.handler)
		// Cache plugins order themselves before jwt, where they serve one user's response
		// to everybody, and an old one for a refusal.
		if strings.Contains(place.Unknown, cacheHandler) {
			say(site, "a cache is in front of it and answers before it is asked; put jwt in front of cache, in a route block, with the user in the cache's key: see docs/guides/caching.md")
		}
		switch {
		case !place.Final() && place.Intercept != "":
			return fmt.Errorf("jwt at %s: %s may serve refused requests, and so may %s; put jwt in front of one of them", site, place.Intercept, place.Around())
		case g.head == nil && place.Intercept != "" && len(g.unsafe(s)) > 0:
			return fmt.Errorf("jwt at %s: %s may serve refused requests, and so may handle_errors; put jwt at the site in place of a named route, or make pages there", site, place.Intercept)
		case !place.Final() && len(g.errorRoutes()) > 0:
			say(site, fmt.Sprintf("%s may get its refusals, so they are answered by jwt and not by handle_errors; put jwt in front of it", place.Around()))
		case !place.Final() && place.Errors:
			say(site, "a subroute with error routes of its own is around it, so refusals are answered by jwt; put jwt in front of it")
		case place.Intercept != "":
			say(site, place.Intercept+" could serve refused requests, so refusals come with a status and no body; put `rewrite * /{http.intercept.status_code}` in front there, or respond")
		}
		if place.Final() {
			for unsafe, statuses := range g.unsafe(s) {
				say(site, fmt.Sprintf("handle_errors for %s leads to %s, so refusals are answered by jwt and not there; put `rewrite * /{err.status_code}` in front, or respond", strings.Join(statuses, ", "), unsafe))
			}
		}
	}
	if len(g.sites) > 0 && g.head == nil && len(g.errorRoutes()) > 0 {
		say(routes.Site(g.server, nil), "all of the server's jwt are in named routes, so requests that end in an error before them reach handle_errors with the client's identity headers; put jwt { mode clear; clear <header> } at the site")
	}
	return nil
}

// cacheHandler is the module of Caddy's cache plugin.
const cacheHandler = "http.handlers.cache"

// unsafe finds what the error routes would do with the refusals of a site, by status.
func (g *errorGuard) unsafe(s *guardedSite) map[string][]string {
	list := g.errorRoutes()
	if len(list) == 0 {
		return nil
	}
	hosts := []string{"localhost"}
	for _, m := range s.hosts {
		hosts = append(hosts, *m...)
	}
	if len(s.hosts) > 0 {
		hosts = hosts[1:]
	}
	found := map[string][]string{}
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable} {
		for _, host := range hosts {
			r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: strings.ReplaceAll(host, "*", "x"), Header: http.Header{}, Body: http.NoBody}
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, g.server)
			probe := routes.Probe(g.server, r, caddyhttp.HandlerError{StatusCode: status})
			text := strconv.Itoa(status)
			if unsafe := routes.Judge(g.server, list, probe).Unsafe; unsafe != "" && !slices.Contains(found[unsafe], text) {
				found[unsafe] = append(found[unsafe], text)
			}
		}
	}
	return found
}
