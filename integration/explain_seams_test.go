package integration

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// seamSites are sites where something else than jwt decides about a request too.
const seamSites = `
http://*.wild.example.test {
	jwt {
		import from_issuer
		require expression ` + "`claims.tenant == {http.request.host.labels.3}`" + `
	}
	import in
	import shown
}
http://lan.example.test {
	@outside not client_ip 10.0.0.0/8
	jwt @outside {
		import from_issuer
	}
	import in
	import shown
}
http://header.example.test {
	@has header Authorization *
	jwt @has {
		import from_issuer
	}
	import in
	import shown
}
http://claims.example.test {
	jwt {
		import from_issuer
	}
	@admin jwt_claim role admin
	handle @admin {
		jwt {
			import from_issuer
			require scope admin
		}
		import in
	}
	handle {
		jwt {
			import from_issuer
			require scope read
		}
		import in
	}
	import shown
}
http://before.example.test {
	route {
		request_header Authorization "Bearer {http.request.header.X-Token}"
		jwt {
			import from_issuer
		}
		import in
	}
	import shown
}
http://forwarded.example.test {
	route {
		forward_auth {$UPSTREAM} {
			uri /
			copy_headers X-Nothing
		}
		jwt {
			import from_issuer
		}
		import in
	}
	import shown
}
http://limited.example.test {
	route {
		basic_auth {
			joe $2a$04$5VWJb0o0xKPJ/Aj1t1sNVOuvcKy5jG8DrQJYFY1TzKKpJwFvpUVye
		}
		jwt {
			import from_issuer
			token_from header X-Token
		}
		import in
	}
	import shown
}
http://cookie.example.test {
	jwt {
		import from_issuer
		token_from cookie session
		trusted_origins https://app.example.test
	}
	import in
	import shown
}
http://cased.example.test, http://other.example.test {
	jwt {
		import from_issuer
		require expression ` + "`{http.request.host} == 'cased.example.test'`" + `
	}
	import in
	import shown
}
http://deep.example.test {
	handle_path /api/* {
		rewrite /v1/* /v2{uri}
		@v2 path /v2/*
		jwt @v2 {
			import from_issuer
			require scope admin
		}
		uri strip_prefix /v2
		handle /v1/open* {
			import in
		}
		jwt {
			import from_issuer
		}
		import in
	}
	respond "outside"
	import shown
}
`

// TestExplainAtTheSeams asks about requests about which more than jwt decides: what is said
// for certain is what the server does.
func TestExplainAtTheSeams(t *testing.T) {
	t.Parallel()
	upstream := peers.NewUpstream(t)
	d := newExplainer(t, seamSites, options{
		global: "servers {\n\t\ttrusted_proxies static 127.0.0.1\n\t}",
		env:    map[string]string{"UPSTREAM": upstream.Addr},
	})
	k := keys(t)
	token := func(changes map[string]any) string { return k.ES256.Token(t, d.claims(changes), nil) }
	good, expired := token(nil), token(map[string]any{"exp": 1})
	forwarded := func(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }
	admin := token(map[string]any{"role": "admin"})
	for name, c := range map[string]struct {
		asked
		verdict   string
		reason    string
		uncertain bool // whether something passed over may decide
	}{
		"a wildcard site":                      {asked{host: "a.wild.example.test", token: token(map[string]any{"tenant": "a"})}, "accepted", "", false},
		"a wildcard site, another's tenant":    {asked{host: "b.wild.example.test", token: token(map[string]any{"tenant": "a"})}, "refused", "forbidden", false},
		"a client from outside":                {asked{host: "lan.example.test", headers: forwarded("192.0.2.1"), token: expired}, "refused", "expired", false},
		"a client of the network":              {asked{host: "lan.example.test", headers: forwarded("10.1.2.3"), token: expired}, "unprotected", "", false},
		"a matcher on the token's header":      {asked{host: "header.example.test", token: expired}, "refused", "expired", false},
		"no token for that matcher":            {asked{host: "header.example.test"}, "unprotected", "", false},
		"a claim that chooses the second jwt":  {asked{host: "claims.example.test", token: admin}, "refused", "insufficient_scope", false},
		"no such claim":                        {asked{host: "claims.example.test", token: good}, "accepted", "", false},
		"a token put in its place by a header": {asked{host: "before.example.test", headers: http.Header{"X-Token": {expired}}}, "refused", "expired", false},
		"forward_auth in front":                {asked{host: "forwarded.example.test", token: good}, "accepted", "", true},
		"a cookie of a trusted origin":         {asked{host: "cookie.example.test", method: "POST", headers: http.Header{"Cookie": {"session=" + good}, "Origin": {"https://app.example.test"}}}, "accepted", "", false},
		"a cookie of another origin":           {asked{host: "cookie.example.test", method: "POST", headers: http.Header{"Cookie": {"session=" + good}, "Origin": {"https://evil.example.test"}}}, "refused", "cross_origin", false},
		"the second host of a site":            {asked{host: "other.example.test", token: good}, "refused", "forbidden", false},
		"a host in capitals":                   {asked{host: "OTHER.example.test", token: good}, "refused", "forbidden", false},
		"a rewritten path":                     {asked{host: "deep.example.test", uri: "/api/v1/x", token: good}, "accepted", "", false},
		"the path in the way of spelling":      {asked{host: "deep.example.test", uri: "/api/%76%31/x", token: good}, "accepted", "", false},
		"outside of handle_path":               {asked{host: "deep.example.test", uri: "/other", token: expired}, "unprotected", "", false},
		"a double slash":                       {asked{host: "deep.example.test", uri: "/api//v1/x", token: expired}, "refused", "expired", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := d.serve(c.asked)
			if err != nil {
				t.Fatal(err)
			}
			for _, inHeaders := range []bool{false, true} {
				e := d.mustExplain(t, c.question(inHeaders))
				if e.Certain == c.uncertain || c.uncertain && len(e.PassedOver) == 0 {
					t.Errorf("certain is %v, passed over %q\n%s", e.Certain, e.PassedOver, e)
				}
				if c.uncertain {
					continue
				}
				if e.Verdict != c.verdict || e.Reason != c.reason {
					t.Errorf("%s %s; want %s %s\n%s", e.Verdict, e.Reason, c.verdict, c.reason, e)
				}
				if difference := differs(s, e); difference != "" {
					t.Errorf("%s\nthe server: %+v\n%s", difference, s, e)
				}
			}
		})
	}
	t.Run("basic_auth in front, which may refuse the request too", func(t *testing.T) {
		e := d.mustExplain(t, object{"site": "limited.example.test", "headers": object{"X-Token": []string{good}}})
		if e.Verdict != "accepted" || !slices.Contains(e.PassedOver, "authentication") {
			t.Errorf("%s", e)
		}
	})
	t.Run("by the address of the client", func(t *testing.T) {
		for remote, verdict := range map[string]string{"10.1.2.3": "unprotected", "192.0.2.1": "refused", "::1": "refused"} {
			e := d.mustExplain(t, object{"site": "lan.example.test", "token": expired, "remote": remote})
			if e.Verdict != verdict || !e.Certain {
				t.Errorf("%s: %s", remote, e)
			}
		}
	})
	t.Run("another Host than the site", func(t *testing.T) {
		e := d.mustExplain(t, object{"uri": "/", "headers": object{"Host": []string{"other.example.test"}, "Authorization": []string{"Bearer " + good}}})
		if e.Verdict != "refused" || e.Reason != "forbidden" {
			t.Errorf("%s", e)
		}
	})
	t.Run("a site that does not exist", func(t *testing.T) {
		a := d.ask(t, http.MethodPost, "/jwt/explain", toJSON(t, object{"site": "nowhere.example.test", "token": good}))
		if a.status != http.StatusOK && a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, `"accepted"`) {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// TestExplainWithoutAServerSaysWhatIsMissing asks by configs that are not whole.
func TestExplainWithoutAServerSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	k := keys(t)
	dir := t.TempDir()
	token := k.ES256.Token(t, peers.Claims("https://a.example.test", audience, nil), nil)
	file := "@" + tempFile(t, "token", token)
	key := k.ES256.PublicFile(t)
	config := func(global, jwt string) string {
		return global + "\nhttp://api.example.test {\n\tjwt {\n" + jwt + "\n\t\taudience https://api.example.test\n\t}\n\trespond \"in\"\n}\n"
	}
	local := "\t\tissuer https://a.example.test {\n\t\t\tpublic_key " + key + "\n\t\t}"
	writeFile(t, filepath.Join(dir, "snippets"), "(guard) {\n\tjwt {\n"+local+"\n\t\taudience https://api.example.test\n\t}\n}\n")
	for name, c := range map[string]struct {
		config string
		env    map[string]string
		code   int
		says   string // in standard error
	}{
		"all of it":                         {config("", local), nil, 0, ""},
		"an import and a snippet":           {"import snippets\nhttp://api.example.test {\n\timport guard\n\trespond \"in\"\n}\n", nil, 0, ""},
		"a variable that is set":            {config("", "\t\tissuer {env.ISSUER} {\n\t\t\tpublic_key "+key+"\n\t\t}"), map[string]string{"ISSUER": "https://a.example.test"}, 0, ""},
		"a variable that is not":            {config("", "\t\tissuer {env.ISSUER} {\n\t\t\tpublic_key "+key+"\n\t\t}"), nil, 1, "ISSUER"},
		"a key file that is missing":        {config("", "\t\tissuer https://a.example.test {\n\t\t\tpublic_key "+key+".missing\n\t\t}"), nil, 1, "missing"},
		"a mistake in the Caddyfile":        {config("", local+"\n\t\tnonsense"), nil, 1, "nonsense"},
		"a storage whose module is missing": {config("{\n\tstorage s3 {\n\t\thost nowhere.example.test\n\t}\n}", local), nil, 1, "s3"},
		"no jwt at all":                     {"http://api.example.test {\n\trespond \"in\"\n}\n", nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "Caddyfile")
			writeFile(t, path, c.config)
			r := jwtCommandIn(t, dir, c.env, "explain", file, "--config", path, "--json")
			if r.code != c.code || !strings.Contains(r.stderr, c.says) || len(r.stderr) > 1500 {
				t.Errorf("want exit code %d and %q: %s", c.code, c.says, r)
			}
			if strings.Contains(r.stderr, token[len(token)-20:]) {
				t.Error("the token is in the error")
			}
		})
	}
	t.Run("a config in JSON", func(t *testing.T) {
		writeFile(t, filepath.Join(dir, "Caddyfile"), config("", local))
		code, text := caddyCommandIn(t, dir, nil, "adapt", "--config", "Caddyfile", "--adapter", "caddyfile")
		start := strings.IndexByte(text, '{')
		if code != 0 || start < 0 {
			t.Fatalf("%d: %s", code, text)
		}
		lines := strings.Split(text, "\n")
		for _, line := range lines {
			if strings.HasPrefix(line, `{"apps"`) {
				writeFile(t, filepath.Join(dir, "caddy.json"), line)
			}
		}
		r := jwtCommandIn(t, dir, nil, "explain", file, "--config", filepath.Join(dir, "caddy.json"), "--json")
		if r.code != 0 || !strings.Contains(r.stdout, `"/apps/http/servers/srv0/`) {
			t.Errorf("%s", r)
		}
	})
}
