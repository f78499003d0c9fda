package credential

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The reference reads and removes place by place, with the standard library's own
// decoding, and looks at each copy of the query again.

func refPairs(query string) (list []pair) {
	separator := ""
	for query != "" || separator != "" {
		text, rest, next := query, "", ""
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			text, next, rest = query[:i], query[i:i+1], query[i+1:]
		}
		name, _, _ := strings.Cut(text, "=")
		list = append(list, pair{separator, text, len(name)})
		query, separator = rest, next
	}
	return list
}

func refIs(p pair, name string) (string, bool) {
	raw, value, _ := strings.Cut(p.text, "=")
	if decoded, err := url.QueryUnescape(raw); err != nil || decoded != name {
		return "", false
	}
	if decoded, err := url.QueryUnescape(value); err == nil {
		return decoded, true
	}
	return value, true
}

func refCookie(text, name string) (string, bool) {
	n, value, ok := strings.Cut(strings.Trim(text, " \t"), "=")
	if !ok || strings.TrimRight(n, " \t") != name {
		return "", false
	}
	value = strings.TrimLeft(value, " \t")
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value, true
}

func refRead(s *place, r *http.Request, f *Found) {
	var same repeated
	switch s.From {
	case FromQuery:
		for _, p := range refPairs(r.URL.RawQuery) {
			if value, ok := refIs(p, s.Name); ok {
				f.multiple = same.differs(value) || f.multiple
				if value == "" {
					f.malformed = true
				} else {
					f.add(s, value)
				}
			}
		}
	case FromCookie:
		for _, line := range r.Header["Cookie"] {
			for text := range strings.SplitSeq(line, ";") {
				if value, ok := refCookie(text, s.Name); ok {
					f.multiple = same.differs(value) || f.multiple
					if value != "" {
						f.add(s, value)
					}
				}
			}
		}
	}
}

func refDrop(query string, drop func(pair) bool) (string, bool) {
	out, hit, first := "", false, true
	for _, p := range refPairs(query) {
		if drop(p) {
			hit = true
			continue
		}
		if !first {
			out += p.separator
		}
		first = false
		out += p.text
	}
	if !hit {
		return query, false
	}
	return out, true
}

func refURI(uri string, clean func(string) (string, bool)) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	query, hit := clean(query)
	switch {
	case !hit:
		return uri
	case query == "":
		return path
	}
	return path + "?" + query
}

func refRemove(s *place, r *http.Request, original *http.Request, taken *Removed) {
	switch s.From {
	case FromCookie:
		var kept []string
		hit := false
		for _, line := range r.Header["Cookie"] {
			var rest []string
			for text := range strings.SplitSeq(line, ";") {
				if value, ok := refCookie(text, s.Name); ok {
					hit = true
					taken.add(s, value)
					continue
				}
				if len(rest) == 0 {
					text = strings.TrimLeft(text, " \t")
				}
				rest = append(rest, text)
			}
			if joined := strings.Join(rest, ";"); joined != "" {
				kept = append(kept, joined)
			}
		}
		if hit {
			if r.Header["Cookie"] = kept; len(kept) == 0 {
				delete(r.Header, "Cookie")
			}
		}
	case FromQuery:
		clean := func(query string) (string, bool) {
			return refDrop(query, func(p pair) bool {
				if _, ok := refIs(p, s.Name); ok {
					return true
				}
				value := p.value()
				return len(value) >= minKeyLen && slices.ContainsFunc(taken.list, func(o removed) bool { return o.isFrom(s) && o.value == value })
			})
		}
		if query, hit := refDrop(r.URL.RawQuery, func(p pair) bool {
			value, ok := refIs(p, s.Name)
			if ok {
				taken.add(s, value)
			}
			return ok
		}); hit {
			r.URL.RawQuery = query
			r.RequestURI = refURI(r.RequestURI, clean)
		}
		original.URL.RawQuery, _ = clean(original.URL.RawQuery)
		original.RequestURI = refURI(original.RequestURI, clean)
	}
}

// randomText makes queries and cookies out of pieces that matter.
func randomText(rnd *rand.Rand, pieces []string, n int) string {
	var b strings.Builder
	for range rnd.IntN(n) {
		b.WriteString(pieces[rnd.IntN(len(pieces))])
	}
	return b.String()
}

// TestOnePassIsTheReference compares the one pass over all places with the reference,
// over random requests: what is found, what is left, and what was removed.
func TestOnePassIsTheReference(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	long := strings.Repeat("k", minKeyLen)
	queryPieces := []string{
		"&", "&", ";", "=", "a=1", "access_token", "access_token=x.y.z", "access_token=" + long, "other=" + long, "access%5Ftoken=", "access+token=", "%61ccess_token=x",
		"key", "key=" + long, "key=%6b", "KEY=a", "%", "%zz", "+", "access_token=" + strings.Repeat("l", minKeyLen) + "&b=" + strings.Repeat("l", minKeyLen), "key=\"\"", "k%65y=" + long,
	}
	cookiePieces := []string{";", "; ", ";\t", "=", "session=x", "session = \"x\"", "a=b", "session=", "sessionx=1", " session", "id=" + long, "\"", "id"}
	c := &Places{places: []place{
		{Source: Source{From: FromQuery, Name: "access_token"}, tokens: true}, {Source: Source{From: FromCookie, Name: "session"}, tokens: true},
		{Source: Source{From: FromQuery, Name: "key"}, apiKeys: true}, {Source: Source{From: FromCookie, Name: "id"}, tokens: true, apiKeys: true},
	}}
	for n := range 20_000 {
		query := randomText(rnd, queryPieces, 8)
		uri, origQuery, origURI := "/p", query, "/p"
		if query != "" || rnd.IntN(2) == 0 {
			uri, origURI = "/p?"+query, "/p?"+query
		}
		if rnd.IntN(4) == 0 { // a rewrite
			origQuery = randomText(rnd, queryPieces, 8)
			origURI = "/q?" + origQuery
		}
		var cookies []string
		for range rnd.IntN(3) {
			cookies = append(cookies, randomText(rnd, cookiePieces, 6))
		}
		request := func() (*http.Request, *http.Request) {
			r := &http.Request{Method: "GET", URL: &url.URL{Path: "/p", RawQuery: query}, RequestURI: uri, Header: http.Header{}}
			if cookies != nil {
				r.Header["Cookie"] = slices.Clone(cookies)
			}
			return r, &http.Request{URL: &url.URL{RawQuery: origQuery}, RequestURI: origURI}
		}
		want, wantOriginal := request()
		var wantFound Found
		var wantTaken Removed
		for i := range c.places {
			refRead(&c.places[i], want, &wantFound)
		}
		wantFound.mergeCopies(nil)
		for i := range c.places {
			refRemove(&c.places[i], want, wantOriginal, &wantTaken)
		}
		got, original := request()
		got = got.WithContext(context.WithValue(got.Context(), caddyhttp.OriginalRequestCtxKey, *original))
		var taken Removed
		found, _ := c.Take(got, &taken)
		after := got.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
		show := func(f Found, r, o *http.Request, taken *Removed) string {
			var list []string
			for _, x := range taken.list {
				list = append(list, x.from.Name+"="+x.value)
			}
			sort.Strings(list)
			list = slices.Compact(list) // repeated ones are kept once
			if f.multiple {             // refused, whatever follows
				f = Found{multiple: true}
			}
			return fmt.Sprintf("%+v %+v %v %v %q %q %q %q %q %q", f.Token, f.APIKey, f.malformed, f.multiple, r.URL.RawQuery, r.RequestURI, r.Header["Cookie"], o.URL.RawQuery, o.RequestURI, list)
		}
		if g, w := show(found, got, &after, &taken), show(wantFound, want, wantOriginal, &wantTaken); g != w {
			t.Fatalf("seed %d, request %d: query %q, original %q, cookies %q\ngot  %s\nwant %s", seed, n, query, origURI, cookies, g, w)
		}
	}
}

// TestFoldsToParameter compares the comparison without memory with the plain one.
func TestFoldsToParameter(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	pieces := []string{"a", "b", ".", "_", "+", "%20", "%2e", "%5B", "[", "%00", "%", "%z", "%61", " ", strings.Repeat("x", 300)}
	for range 20_000 {
		raw, name := randomText(rnd, pieces, 6), randomText(rnd, []string{"a", "b", ".", "_", " ", "["}, 4)
		decoded, err := url.QueryUnescape(raw)
		if err != nil {
			decoded = raw
		}
		folded := foldParameter(name)
		if got, want := foldsToParameter(raw, folded), foldParameter(decoded) == folded; got != want {
			t.Fatalf("seed %d: %q and %q: %v, want %v", seed, raw, folded, got, want)
		}
	}
}
