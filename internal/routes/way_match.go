package routes

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"golang.org/x/net/http/httpguts"
)

// match reports whether one of the sets matches, as caddyhttp.MatcherSets does. Matchers
// that are not known may ask anybody, so they are not called, and may match or not.
func (w *wayfarer) match(sets caddyhttp.MatcherSets, r *http.Request) (bool, error) {
	for _, set := range sets {
		all := true
		for _, m := range set {
			matches, err := w.matcher(m, r)
			if err != nil {
				return false, err
			}
			if !matches {
				all = false
				break
			}
		}
		if all {
			return true, nil
		}
	}
	return len(sets) == 0, nil
}

func (w *wayfarer) matcher(m any, r *http.Request) (matches bool, err error) {
	if isQuiet(m) {
		var failed bool
		if matches, failed, err = ask(m, r); !failed {
			return matches, err
		}
	}
	w.doubt("the matcher " + strings.TrimPrefix(or(moduleID(m), typeName(m)), "http.matchers."))
	return w.choose(2) == 0, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ask asks a matcher.
func ask(m any, r *http.Request) (matches, failed bool, err error) {
	defer func() {
		if recover() != nil {
			failed = true
		}
	}()
	matches, err = caddyhttp.MatcherSet{m}.MatchWithError(r)
	return matches, false, err
}

// isQuiet reports whether a matcher is known to ask nobody: Caddy's own, which read the
// request and the disk, and ours.
func isQuiet(m any) bool {
	switch m := m.(type) {
	case *caddyhttp.MatchNot:
		return allQuiet(m.MatcherSets)
	case caddyhttp.MatchNot:
		return allQuiet(m.MatcherSets)
	case *caddyhttp.MatchExpression:
		return !callsOthers(m.Expr)
	case *fileserver.MatchFile, *caddyhttp.MatchURLPattern:
		return true
	}
	name := typeName(m)
	return quietMatchers[name] || isOurs(name)
}

func allQuiet(sets []caddyhttp.MatcherSet) bool {
	return !slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(set, func(m any) bool { return !isQuiet(m) })
	})
}

// callsOthers reports whether an expression may call the matcher of another plugin, whose
// functions have the names of their modules.
func callsOthers(expr string) bool {
	for _, info := range caddy.GetModules("http.matchers") {
		if name := info.ID.Name(); strings.Contains(expr, name) && !isQuietModule(info) {
			return true
		}
	}
	return false
}

func isQuietModule(info caddy.ModuleInfo) bool {
	m := info.New()
	name := typeName(m)
	return strings.HasPrefix(name, caddyHTTP+".") || strings.HasPrefix(name, caddyHTTP+"/") || isOurs(name)
}

// refusedByServer is the error with which a server refuses a request before its routes, or
// nil. It removes the headers that the server removes.
func refusedByServer(s *caddyhttp.Server, r *http.Request) error {
	const longest = 32
	if len(r.Method) > longest {
		return caddyhttp.HandlerError{StatusCode: http.StatusMethodNotAllowed}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if r.Host == "" || !httpguts.ValidHostHeader(r.Host) || host != "" && strings.Trim(host, ".") == "" {
		return caddyhttp.HandlerError{Err: errors.New("invalid host"), StatusCode: http.StatusBadRequest}
	}
	for name, values := range r.Header {
		if isDropped(s, name, len(values)) {
			delete(r.Header, name)
		}
	}
	if s.StrictSNIHost != nil && *s.StrictSNIHost && r.TLS != nil && !strings.EqualFold(r.TLS.ServerName, host) {
		return caddyhttp.Error(http.StatusMisdirectedRequest, errors.New("strict host matching: the names in TLS and in Host differ"))
	}
	return nil
}

// isDropped reports whether the server drops a header, as CGI could take its name for that
// of another.
func isDropped(s *caddyhttp.Server, name string, values int) bool {
	underscore, dot := strings.Contains(name, "_"), strings.Contains(name, ".")
	switch {
	case underscore && dot:
		return values > 1 || !allowsHeader(s.ExpectedUnderscoreHeaders, name, false) && !allowsHeader(s.ExpectedDotHeaders, name, false)
	case underscore:
		return values > 1 || !allowsHeader(s.ExpectedUnderscoreHeaders, name, true)
	case dot:
		return values > 1 || !allowsHeader(s.ExpectedDotHeaders, name, true)
	}
	hyphens := func(list []string) []string {
		var out []string
		for _, entry := range list {
			out = append(out, strings.NewReplacer("_", "-", ".", "-").Replace(entry))
		}
		return out
	}
	return allowsHeader(hyphens(s.ExpectedUnderscoreHeaders), name, true) || allowsHeader(hyphens(s.ExpectedDotHeaders), name, true)
}

// allowsHeader reports whether a list names a header, or has a prefix of it.
func allowsHeader(list []string, name string, prefixes bool) bool {
	for _, entry := range list {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok {
			if prefixes && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
				return true
			}
		} else if strings.EqualFold(entry, name) {
			return true
		}
	}
	return false
}
