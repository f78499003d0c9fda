package integration

import (
	"encoding/base64"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// everyKeyPlace is a site that reads API keys from every kind of place.
const everyKeyPlace = `
https://api.example.test {
	jwt {
		import issuer
		api_keys {$KEYS}
		api_key_from header X-API-Key
		api_key_from basic
		api_key_from query api_key
		api_key_from cookie key
	}
	import keyholder
	import reasons
}
`

func basicAuth(password string) change {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(":"+password)))
}

func TestThreat22_TwoAPIKeysAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	one, two := peers.NewAPIKey(t, "one", nil), peers.NewAPIKey(t, "two", nil)
	s, _ := newKeyStand(t, everyKeyPlace, options{}, one, two)
	token := k.RS256.Token(t, s.claims(nil), nil)
	for name, changes := range map[string][]change{
		"a header twice":                            {apiKey(one.Text), apiKey(two.Text)},
		"a good key and a decoy":                    {apiKey(one.Text), apiKey("no-such-key-0123456789")},
		"a decoy and a good key":                    {apiKey("no-such-key-0123456789"), apiKey(one.Text)},
		"one in the header, another in the query":   {apiKey(one.Text), inQuery("api_key", two.Text)},
		"one in the header, another in a cookie":    {apiKey(one.Text), cookie("key", two.Text)},
		"one in the header, another in Basic":       {apiKey(one.Text), basicAuth(two.Text)},
		"one in the query, another in Basic":        {inQuery("api_key", one.Text), basicAuth(two.Text)},
		"a parameter twice with different values":   {inQuery("api_key", one.Text), inQuery("api_key", two.Text)},
		"a parameter twice, one name percent-coded": {inQuery("api_key", one.Text), rawQuery("api%5Fkey=" + two.Text)},
		"a parameter twice, the second one empty":   {inQuery("api_key", one.Text), inQuery("api_key", "")},
		"a cookie twice with different values":      {cookie("key", one.Text), cookie("key", two.Text)},
		"Basic twice":                               {basicAuth(one.Text), basicAuth(one.Text)},
		"a token and Basic, both in Authorization":  {bearer(token), basicAuth(one.Text)},
		"two keys beside a token":                   {bearer(token), apiKey(one.Text), inQuery("api_key", two.Text)},
	} {
		t.Run(name, func(t *testing.T) {
			s.upstream.Take()
			s.refused(t, s.send(t, s.http, http.MethodGet, site, "/", changes...), http.StatusBadRequest, "multiple_credentials")
		})
	}
	for name, changes := range map[string][]change{
		"in two places":     {apiKey(one.Text), inQuery("api_key", one.Text)},
		"in all the places": {apiKey(one.Text), inQuery("api_key", one.Text), cookie("key", one.Text), basicAuth(one.Text)},
		"in a header twice": {apiKey(one.Text), apiKey(one.Text)},
	} {
		t.Run("the same key "+name+" passes, and is removed everywhere", func(t *testing.T) {
			s.passes(t, s.send(t, s.http, http.MethodGet, site, "/", changes...), one)
		})
	}
}

func TestThreat25_MetaIsNotExpanded(t *testing.T) {
	t.Parallel()
	plans := []string{"{env.HOME}", "{file./etc/hostname}", "{http.request.host}", "{$HOME}"}
	var held []*peers.APIKey
	for n, plan := range plans {
		held = append(held, peers.NewAPIKey(t, fmt.Sprintf("key-%d", n), map[string]any{"consumer": "c " + plan, "meta": map[string]any{"plan": plan}}))
	}
	s, _ := newKeyStand(t, keySite, options{}, held...)
	for n, plan := range plans {
		sees(t, s.passes(t, s.withKey(t, held[n]), held[n]), map[string]string{"X-Plan": plan, "X-User": "c " + plan})
	}
}

// The look-up takes one digest and then one look in the index of each place, by a
// hash with a secret of its own, whatever is found on the way: what a stranger can
// measure is the same for a key that exists and one that does not, and tells nothing
// of how near a guess came. This is seen in its source; the benchmark of the package
// apikey has the figures.
func TestThreat30_OneDigestAndOneLookUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, receiver, name string
		calls                map[string]int
	}{
		{filepath.Join("..", "apikey.go"), "apiKeys", "find", map[string]int{"DigestOf": 1, "judge": 2}},
		{filepath.Join("..", "apikey.go"), "", "judge", map[string]int{"Find": 1}},
		{filepath.Join("..", "apikey", "set.go"), "Set", "Find", map[string]int{"Find": 1}},
		{filepath.Join("..", "internal", "table", "table.go"), "Table", "Find", map[string]int{"begin": 1}},
		{filepath.Join("..", "internal", "table", "table.go"), "Table", "begin", map[string]int{"Bytes": 1}},
	} {
		function := parsedFunction(t, c.file, c.receiver, c.name)
		shape := shapeOf(function.Body)
		for call, n := range c.calls {
			if shape.calls[call] != n {
				t.Errorf("%s calls %s %d times; want %d", c.name, call, shape.calls[call], n)
			}
		}
		// The text of a key decides nothing but whether it is too long.
		for _, call := range []string{"HasPrefix", "EqualFold", "Compare", "IDOf", "CheckText", "ConstantTimeCompare", "Sleep"} {
			if shape.calls[call] != 0 {
				t.Errorf("%s calls %s: what it does must not depend on the key", c.name, call)
			}
		}
		if (c.receiver == "Set" || c.name == "begin") && (shape.loops != 0 || shape.branches != 0) {
			t.Errorf("%s has %d loops and %d branches; want none", c.name, shape.loops, shape.branches)
		}
		if c.receiver != "apiKeys" {
			continue
		}
		// One return before the digest, for what is too long, and one at the
		// end: none where a place has the key, none within a loop.
		if shape.returns != 2 || shape.jumps != 0 {
			t.Errorf("find has %d returns and %d breaks or continues; want 2 and 0", shape.returns, shape.jumps)
		}
		if _, last := function.Body.List[len(function.Body.List)-1].(*ast.ReturnStmt); !last {
			t.Error("find does not end with its second return")
		}
	}
}

// shape is what a function consists of.
type shape struct {
	calls                           map[string]int
	loops, branches, returns, jumps int
}

func shapeOf(body *ast.BlockStmt) shape {
	s := shape{calls: map[string]int{}}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				s.calls[f.Name]++
			case *ast.SelectorExpr:
				s.calls[f.Sel.Name]++
			}
		case *ast.ForStmt, *ast.RangeStmt:
			s.loops++
		case *ast.IfStmt, *ast.SwitchStmt, *ast.SelectStmt:
			s.branches++
		case *ast.ReturnStmt:
			s.returns++
		case *ast.BranchStmt:
			s.jumps++
		}
		return true
	})
	return s
}

// parsedFunction finds a function, or a method of a receiver, in a file.
func parsedFunction(t *testing.T, path, receiver, name string) *ast.FuncDecl {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Name.Name != name || (function.Recv == nil) != (receiver == "") {
			continue
		}
		if receiver == "" {
			return function
		}
		of := function.Recv.List[0].Type
		if pointer, ok := of.(*ast.StarExpr); ok {
			of = pointer.X
		}
		if generic, ok := of.(*ast.IndexListExpr); ok {
			of = generic.X
		}
		if named, ok := of.(*ast.Ident); ok && named.Name == receiver {
			return function
		}
	}
	t.Fatalf("%s has no function %s: this test must follow where the look-up went", path, name)
	return nil
}

func TestThreat31_AHashIsNoKey(t *testing.T) {
	t.Parallel()
	held, written := peers.NewAPIKey(t, "held", nil), peers.NewAPIKey(t, "written", nil)
	s, _ := newKeyStand(t, `
https://api.example.test {
	jwt {
		api_keys {$KEYS}
		api_key written {$HASH}
		api_key in-variable {env.HASH_IN_VARIABLE}
	}
	import keyholder
	import reasons
}
`, options{env: map[string]string{
		"HASH": written.Hash(), "HASH_IN_VARIABLE": peers.NewAPIKey(t, "in-variable", nil).Hash(),
	}}, held)
	for _, k := range []*peers.APIKey{held, written} {
		digits := strings.TrimPrefix(k.Hash(), "sha256:")
		for name, text := range map[string]string{
			"as it is stored":      k.Hash(),
			"its digits":           digits,
			"its digits, in large": strings.ToUpper(digits),
			"in another spelling":  "SHA256:" + digits,
			"the key's id":         k.Record["id"].(string),
		} {
			t.Run(name, func(t *testing.T) {
				s.upstream.Take()
				s.refused(t, s.send(t, s.http, http.MethodGet, site, "/", apiKey(text)), http.StatusUnauthorized, "unknown_api_key")
			})
		}
		s.passes(t, s.withKey(t, k), k)
	}
}

func TestThreat32_KeysThatAreNoLongerGood(t *testing.T) {
	t.Parallel()
	soon := peers.NewAPIKey(t, "soon", nil)
	past := peers.NewAPIKey(t, "past", map[string]any{"expires": "2020-01-02T03:04:05Z"})
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	both := peers.NewAPIKey(t, "both", map[string]any{"enabled": false, "expires": "2020-01-02T03:04:05Z"})
	good := peers.NewAPIKey(t, "good", nil)
	writtenPast := peers.NewAPIKey(t, "written-past", nil)
	s, file := newKeyStand(t, `
https://api.example.test {
	jwt {
		api_keys {$KEYS}
		api_key written-past {$HASH} {
			expires 2020-01-02T03:04:05Z
		}
		api_key good-here {$GOOD}
		api_key disabled-there {$DISABLED}
	}
	import keyholder
	import reasons
}
`, options{env: map[string]string{"HASH": writtenPast.Hash(), "GOOD": good.Hash(), "DISABLED": disabled.Hash()}}, soon, past, disabled, both, good)

	for _, c := range []struct {
		key    *peers.APIKey
		reason string
	}{{past, "api_key_expired"}, {writtenPast, "api_key_expired"}, {both, "api_key_disabled"}, {disabled, "api_key_disabled"}} {
		t.Run(fmt.Sprint(c.key.Record["id"]), func(t *testing.T) {
			s.refused(t, s.withKey(t, c.key), http.StatusUnauthorized, c.reason)
		})
	}
	t.Run("expired between two requests", func(t *testing.T) {
		expires := s.expiresSoon(t, file, soon)
		passed := 0
		for {
			begun := time.Now()
			a := s.withKey(t, soon)
			ended := time.Now()
			switch {
			case a.status == http.StatusOK && begun.Before(expires):
				passed++
			case a.status == http.StatusOK || ended.Before(expires):
				t.Fatalf("status %d, %s after it expired", a.status, ended.Sub(expires))
			default:
				s.upstream.Take()
				s.refused(t, s.withKey(t, soon), http.StatusUnauthorized, "api_key_expired")
				t.Logf("it passed %d times before", passed)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("good in one place and not in another", func(t *testing.T) {
		s.passes(t, s.withKey(t, good), good)
		for _, change := range []struct {
			reason  string
			members map[string]any
		}{
			{"api_key_disabled", map[string]any{"enabled": false}},
			{"api_key_expired", map[string]any{"expires": "2020-01-02T03:04:05Z"}},
		} {
			file.write(t, peers.KeyLines(t, good.With(change.members)))
			s.eventually("it is refused: "+change.reason, inTheEnd, func() bool {
				a := s.withKey(t, good)
				return a.status == http.StatusUnauthorized && a.header.Get("X-Reason") == change.reason
			}, s.logs.String)
		}
	})
}

// expiresSoon gives a key a time at which it expires, and returns when that is in
// force and yet to come.
func (s *stand) expiresSoon(t *testing.T, file keyFile, k *peers.APIKey) time.Time {
	t.Helper()
	for span := 3 * time.Second; ; span *= 3 { // for a machine that is slow
		expires := time.Now().Add(span).Truncate(time.Second)
		text := expires.UTC().Format(time.RFC3339)
		file.write(t, peers.KeyLines(t, k.With(map[string]any{"expires": text})))
		var a answer
		s.eventually("the new record counts", inTheEnd, func() bool {
			a = s.withKey(t, k)
			return a.status != http.StatusOK || a.upstream(t).Header.Get("X-Expires") == text
		}, s.logs.String)
		if a.status == http.StatusOK {
			return expires
		}
	}
}

func TestThreat33_ScopesAreTheKeysOwn(t *testing.T) {
	t.Parallel()
	k := keys(t)
	reader := peers.NewAPIKey(t, "reader", map[string]any{"scopes": []string{"read"}})
	admin := peers.NewAPIKey(t, "admin", map[string]any{"scopes": []string{"read", "admin"}})
	none := peers.NewAPIKey(t, "none", nil)
	s, _ := newKeyStand(t, `
https://api.example.test {
	jwt {
		import issuer
		api_keys {$KEYS}
	}
	@denied {
		path /admin/*
		not vars_regexp {http.jwt.scopes} "(^| )admin( |$)"
	}
	respond @denied "denied" 403
	import keyholder
	import reasons
}
`, options{}, reader, admin, none)
	send := func(t *testing.T, changes ...change) int {
		t.Helper()
		a := s.send(t, s.http, http.MethodGet, site, "/admin/", changes...)
		s.upstream.Take()
		return a.status
	}
	plain := bearer(k.RS256.Token(t, s.claims(map[string]any{"scope": "read"}), nil))
	mighty := bearer(k.RS256.Token(t, s.claims(map[string]any{"scope": "admin"}), nil))
	for name, c := range map[string]struct {
		changes []change
		status  int
	}{
		"the key with the scope":             {[]change{apiKey(admin.Text)}, http.StatusOK},
		"a key with another":                 {[]change{apiKey(reader.Text)}, http.StatusForbidden},
		"a key with none":                    {[]change{apiKey(none.Text)}, http.StatusForbidden},
		"a key does not lend it to a token":  {[]change{plain, apiKey(admin.Text)}, http.StatusForbidden},
		"a token has its own beside any key": {[]change{mighty, apiKey(none.Text)}, http.StatusOK},
		"a token without it":                 {[]change{plain}, http.StatusForbidden},
		"a scope in the key's text":          {[]change{apiKey(reader.Text + " admin")}, http.StatusUnauthorized},
		"two keys don't add theirs up":       {[]change{apiKey(reader.Text), apiKey(admin.Text)}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if status := send(t, c.changes...); status != c.status {
				t.Errorf("status %d; want %d", status, c.status)
			}
		})
	}
	t.Run("one after the other over one connection", func(t *testing.T) {
		for range 20 {
			if status := send(t, apiKey(admin.Text)); status != http.StatusOK {
				t.Errorf("status %d; want 200", status)
			}
			if status := send(t, apiKey(reader.Text)); status != http.StatusForbidden {
				t.Errorf("status %d; want 403", status)
			}
		}
	})
}

func TestThreat43_APIKeysInCookiesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	k := peers.NewAPIKey(t, "key-1", nil)
	s, _ := newKeyStand(t, everyKeyPlace, options{}, k)
	foreign := []change{header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site")}
	s.refused(t, s.send(t, s.http, http.MethodPost, site, "/", append(foreign, cookie("key", k.Text))...), http.StatusForbidden, "cross_origin")
	for name, more := range map[string][]change{
		"the key in a header":         {apiKey(k.Text)},
		"in a header and the cookie":  {apiKey(k.Text), cookie("key", k.Text)},
		"in the cookie and the query": {cookie("key", k.Text), inQuery("api_key", k.Text)},
	} {
		t.Run(name, func(t *testing.T) {
			s.passes(t, s.send(t, s.http, http.MethodPost, site, "/", append(foreign[:2:2], more...)...), k)
		})
	}
	s.passes(t, s.send(t, s.http, http.MethodPost, site, "/", cookie("key", k.Text), header("Sec-Fetch-Site", "same-origin")), k)
}

func TestThreat48_ErrorRoutesGetNoAPIKey(t *testing.T) {
	t.Parallel()
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	s, _ := newKeyStand(t, strings.Replace(everyKeyPlace, "import reasons", `handle_errors {
		reverse_proxy {$UPSTREAM} {
			header_up X-Original {http.request.orig_uri}
		}
	}`, 1), options{}, disabled)
	for name, change := range map[string]change{
		"header": apiKey(disabled.Text), "Basic": basicAuth(disabled.Text), "query": inQuery("api_key", disabled.Text), "cookie": cookie("key", disabled.Text),
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, site, "/?a=1", change)
			if seen := s.upstream.Take(); len(seen) != 1 || !strings.Contains(a.body, "a=1") {
				t.Fatalf("the error route's upstream got %d requests: %d %s", len(seen), a.status, a.body)
			}
		})
	}
	for _, secret := range []string{disabled.Text, base64.StdEncoding.EncodeToString([]byte(":" + disabled.Text))} {
		if strings.Contains(s.upstream.Wire(), secret) {
			t.Error("the error route's upstream was sent the key")
		}
	}
}

// What is refused looks the same byte for byte, whether such a key exists, did
// once, or never; in either format, over every place.
func TestThreat50_KeysCantBeToldApart(t *testing.T) {
	t.Parallel()
	good := peers.NewAPIKey(t, "good", nil)
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	expired := peers.NewAPIKey(t, "expired", map[string]any{"expires": "2020-01-02T03:04:05Z"})
	at := func(host, more string) string {
		return "https://" + host + " {\n\tjwt {\n\t\tapi_keys {$KEYS}\n\t\tapi_key_from header X-API-Key\n\t\tapi_key_from basic\n\t\tapi_key_from query api_key\n\t\tapi_key_from cookie key\n\t\t" + more + "\n\t}\n\timport keyholder\n}\n"
	}
	s, _ := newKeyStand(t, at("json.example.test", "")+at("aws.example.test", "error_format aws")+at("none.example.test", "error_format none")+
		at("both.example.test", "import issuer"), options{}, good, disabled, expired)
	texts := map[string]string{
		"disabled":             disabled.Text,
		"expired":              expired.Text,
		"unknown":              peers.NewAPIKey(t, "unknown", nil).Text,
		"with a known prefix":  good.Text[:39] + "~",
		"in another spelling":  strings.ToUpper(good.Text),
		"of the plugin's form": "cj_" + strings.Repeat("0", 59),
		"short":                "x",
		"too long":             strings.Repeat("x", 4096),
		"a good one twice":     good.Text + good.Text,
	}
	for _, host := range []string{"json.example.test", "aws.example.test", "none.example.test", "both.example.test"} {
		for place, in := range map[string]func(string) change{
			"header": apiKey, "Basic": basicAuth,
			"query":  func(text string) change { return inQuery("api_key", text) },
			"cookie": func(text string) change { return cookie("key", text) },
		} {
			t.Run(host+", "+place, func(t *testing.T) {
				s.passes(t, s.send(t, s.http, http.MethodGet, host, "/", in(good.Text)), good)
				s.upstream.Take()
				seen := map[string][]string{}
				for name, text := range texts {
					a := s.send(t, s.http, http.MethodGet, host, "/", in(text))
					a.header.Del("Date")
					whole := fmt.Sprintf("%d %q %q", a.status, a.body, a.header)
					seen[whole] = append(seen[whole], name)
					if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
						t.Errorf("%s: status %d", name, a.status)
					}
				}
				if len(seen) != 1 {
					t.Errorf("there are %d different answers: %q", len(seen), slices.Sorted(maps.Keys(seen)))
				}
			})
		}
	}
}
