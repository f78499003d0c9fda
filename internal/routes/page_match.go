package routes

import (
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

// verdict is whether a route is taken.
type verdict int

const (
	perhaps verdict = iota
	never
	always
)

// match reports whether matchers match in a state, and the states after them. Only
// verdicts that nothing in the routes can change count. The path, a header, the
// existence of a file and all else may be another thing by then.
func (w *walk) match(sets caddyhttp.MatcherSets, s state) (v verdict, yes, no state) {
	yes, no = s, s
	if len(sets) == 0 {
		return always, yes, no
	}
	v = never
	// A route is taken through one set, and each may have been tried before.
	ours, others := true, false
	for _, set := range sets {
		one, found := always, false
		for _, m := range set {
			switch w.matcher(m, s) {
			case never:
				one = never
			case perhaps:
				if one == always {
					one = perhaps
				}
			}
			switch w.files(m) {
			case pageFile:
				found = true
			case otherFile:
				others = true
			}
		}
		ours = ours && found
		if one == always || one == perhaps && v == never {
			v = one
		}
	}
	yes.file = !others && (ours || s.file)
	no.file = !others && s.file
	return v, yes, no
}

// matcher is the verdict of one matcher.
func (w *walk) matcher(m any, s state) verdict {
	var (
		ok  bool
		err error
	)
	if w.request == nil { // any request may come
		return perhaps
	}
	switch m := m.(type) {
	case *caddyhttp.MatchHost:
		if !s.host {
			return perhaps
		}
		for _, host := range *m {
			if !every(host, isSetting) {
				return perhaps
			}
		}
		ok, err = m.MatchWithError(w.request)
	case *caddyhttp.MatchExpression:
		if !aboutErrors(m) {
			return perhaps
		}
		ok, err = m.MatchWithError(w.request)
	default:
		return perhaps
	}
	switch {
	case err != nil:
		return perhaps
	case ok:
		return always
	}
	return never
}

// aboutErrors reports whether an expression asks for nothing but the error, which
// routes can't change. Functions may be matchers, and so only known ones may be called.
func aboutErrors(m *caddyhttp.MatchExpression) bool {
	for _, name := range m.Placeholders() {
		if !strings.HasPrefix(name, "http.error.") {
			return false // "" where it is known when it is evaluated only
		}
	}
	text := errorPlaceholder.ReplaceAllString(m.Expr, " ")
	if strings.ContainsAny(text, `{}\`) || strings.Contains(text, `"""`) || strings.Contains(text, `'''`) {
		return false
	}
	text = quoted.ReplaceAllString(text, " ")
	if strings.ContainsAny(text, "\"'`") {
		return false
	}
	for _, word := range words.FindAllString(text, -1) {
		if c := word[0]; (c < '0' || c > '9') && !plainWords[word] {
			return false
		}
	}
	return true
}

var (
	errorPlaceholder = regexp.MustCompile(`\{http\.error\.[\w.-]+\}`)
	quoted           = regexp.MustCompile(`"[^"\n]*"|'[^'\n]*'`)
	words            = regexp.MustCompile(`[\pL_0-9][\pL\w]*`)
	plainWords       = map[string]bool{
		"in": true, "true": true, "false": true, "null": true,
		"int": true, "uint": true, "double": true, "string": true, "bool": true, "size": true,
		"startsWith": true, "endsWith": true, "contains": true, "matches": true,
	}
)

// Kinds of matchers, as far as {http.matchers.file.*} is concerned.
const (
	noFile    = iota
	pageFile  // sets it to a file that the site chose
	otherFile // may set it to any
)

// files tells what a matcher does to {http.matchers.file.*}.
func (w *walk) files(m any) int {
	switch m := m.(type) {
	case *fileserver.MatchFile:
		if w.findsPage(m) {
			return pageFile
		}
		return otherFile
	case *caddyhttp.MatchExpression:
		// file() in it does the same.
		if strings.Contains(m.Expr, "file") {
			return otherFile
		}
		return noFile
	case *caddyhttp.MatchNot:
		// One within not leaves what it has found behind as well.
		for _, set := range m.MatcherSets {
			for _, m := range set {
				if w.files(m) != noFile {
					return otherFile
				}
			}
		}
		return noFile
	}
	if quietMatchers[typeName(m)] {
		return noFile
	}
	return otherFile
}

// findsPage reports whether a file matcher finds nothing but files that the site
// chose. Its root must be fixed too: what it finds is told relative to it.
func (w *walk) findsPage(m *fileserver.MatchFile) bool {
	if len(m.TryFiles) == 0 || !w.fixedPlace(m.Root, "root", false) || !w.fixedPlace(m.FileSystem, "fs", false) {
		return false
	}
	for _, file := range m.TryFiles {
		if strings.HasPrefix(file, "=") && !strings.ContainsAny(file, "{}") {
			continue // an error
		}
		// A pattern finds whatever is there.
		if !strings.HasPrefix(file, "/") || strings.ContainsAny(file, `*?[\`) || !every(file, isPage) {
			return false
		}
	}
	return true
}

// quietMatchers are matchers that leave {http.matchers.file.*} as it is.
var quietMatchers = map[string]bool{
	caddyHTTP + ".MatchHost": true, caddyHTTP + ".MatchPath": true, caddyHTTP + ".MatchPathRE": true,
	caddyHTTP + ".MatchMethod": true, caddyHTTP + ".MatchQuery": true, caddyHTTP + ".MatchHeader": true,
	caddyHTTP + ".MatchHeaderRE": true, caddyHTTP + ".MatchProtocol": true, caddyHTTP + ".MatchTLS": true,
	caddyHTTP + ".MatchRemoteIP": true, caddyHTTP + ".MatchClientIP": true,
	caddyHTTP + ".VarsMatcher": true, caddyHTTP + ".MatchVarsRE": true,
}
