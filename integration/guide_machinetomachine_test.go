package integration

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// docs/guides/machine-to-machine.md: its sites, its commands in their order, and its
// programs in each language.
func TestGuides_MachineToMachine(t *testing.T) {
	t.Parallel()
	g := newServiceGuide(t, "machine-to-machine.md", "api.example.com")
	for _, command := range []string{
		"caddy jwt api-key new --append /etc/caddy/clients.jsonl --id reports", "caddy jwt api-key new --append /etc/caddy/clients.jsonl --id gateway",
		"openssl genpkey", "openssl pkey",
	} {
		g.line(t, command)
	}
	g.start(t, 0, options{})
	secret := strings.TrimSpace(readFile(t, filepath.Join(g.dir, "reports.key")))
	for _, name := range []string{"reports.key", "gateway.key"} {
		g.logs.forbid(strings.TrimSpace(readFile(t, filepath.Join(g.dir, name))))
	}

	var answer map[string]any
	if err := json.Unmarshal([]byte(g.line(t, "curl -s https://auth.example.com/oauth2/token")), &answer); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"token_type": "Bearer", "expires_in": 900.0, "scope": "orders:read"} {
		if answer[name] != want {
			t.Errorf("%s is %v; want %v", name, answer[name], want)
		}
	}
	token := strings.TrimSpace(g.shell(t, guideLine(t, g.guide, "TOKEN=$(curl")+"\n"+guideLine(t, g.guide, `curl -s -H "Authorization`)+" >&2\necho $TOKEN"))
	g.passes(t, token, "reports")

	t.Run("caddy jwt token", func(t *testing.T) {
		for line, client := range map[string]string{"--client-id reports": "reports", "--client-id deploy-bot": "deploy-bot"} {
			g.passes(t, strings.TrimSpace(g.line(t, "caddy jwt token --issuer https://auth.example.com "+line)), client)
		}
	})
	t.Run("programs", func(t *testing.T) {
		for _, c := range []struct {
			name, client, language string
			part                   dependency
			n                      int
			file                   string
			command                []string
		}{
			{"openid-client", "reports", "js", nodeModules, 0, "secret.mjs", []string{"node"}},
			{"openid-client, signing", "deploy-bot", "js", nodeModules, 1, "sign.mjs", []string{"node"}},
			{"Authlib", "reports", "python", authlib, 0, "secret.py", []string{debianPython}},
			{"Authlib, signing", "deploy-bot", "python", authlib, 1, "sign.py", []string{debianPython}},
		} {
			t.Run(c.name, func(t *testing.T) {
				need(t, c.part)
				g.passes(t, g.program(t, c.language, c.n, c.file, []string{"CLIENT_SECRET=" + secret}, c.command...), c.client)
			})
		}
		t.Run("clientcredentials", func(t *testing.T) {
			file := filepath.Join(g.dir, "main.go")
			writeFile(t, file, g.here.Replace(guideCode(t, g.guide, "go", 0)))
			g.passes(t, strings.TrimSpace(g.goProgram(t, file, "CLIENT_SECRET="+secret)), "reports")
		})
	})
	t.Run("verifying elsewhere", func(t *testing.T) {
		t.Run("jose", func(t *testing.T) {
			need(t, nodeModules)
			if got := g.program(t, "js", 2, "verify.mjs", []string{"TOKEN=" + token}, "node"); got != "reports" {
				t.Errorf("it prints %q", got)
			}
		})
		t.Run("PyJWT", func(t *testing.T) {
			need(t, pyJWT)
			if got := g.program(t, "python", 2, "verify.py", []string{"TOKEN=" + token}, python()); got != "reports" {
				t.Errorf("it prints %q", got)
			}
		})
		var header struct {
			Type string `json:"typ"`
		}
		if part(t, token, 0, &header); header.Type != "at+jwt" {
			t.Errorf("typ is %q", header.Type)
		}
	})
	t.Run("the end of a token", func(t *testing.T) {
		is := func(want string) {
			t.Helper()
			if got := strings.TrimSpace(g.line(t, "curl -s https://auth.example.com/oauth2/introspect", "TOKEN="+token)); got != want {
				t.Errorf("active is %s; want %s", got, want)
			}
		}
		is("true")
		g.line(t, "curl -s https://auth.example.com/oauth2/revoke", "TOKEN="+token)
		is("false")
		g.refuses(t, g.api, token, "")
		if got := g.line(t, "curl -s -o /dev/null", "TOKEN="+token); got != "401\n" {
			t.Errorf("of the revoked token it prints %s", got)
		}
		if got := g.line(t, "curl -s https://auth.example.com/oauth2/token -u reports:wrong"); !strings.HasPrefix(got, `{"error":"invalid_client"`) {
			t.Errorf("of a wrong secret it prints %s", got)
		}
		before := g.token(t, "reports", secret)
		g.said(t, "caddy jwt revoke --client reports --not-before now")
		g.denied(t, "a token of before", before, http.StatusUnauthorized)
		after := g.token(t, "reports", secret)
		g.passes(t, after, "reports")
		g.said(t, "caddy jwt rotate")
		g.passes(t, after, "reports") // the next key has not been published for a day
		g.said(t, "caddy jwt rotate --retire-now --yes")
		g.denied(t, "a token of a retired key", after, http.StatusUnauthorized)
		after = g.token(t, "reports", secret)
		g.passes(t, after, "reports")
		g.shell(t, "caddy jwt api-key disable reports --file /etc/caddy/clients.jsonl")
		g.denied(t, "a token of a disabled client", after, http.StatusUnauthorized)
	})
}

// token asks for one with a form.
func (g *serviceGuide) token(t *testing.T, id, secret string) string {
	t.Helper()
	a := g.form(t, "grant_type=client_credentials&client_id="+id+"&client_secret="+secret)
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
		t.Fatalf("no token: status %d, %s", a.status, a.body)
	}
	g.logs.forbid(got.Token)
	return got.Token
}

// The table of errors at the end of the guide.
func TestGuides_MachineToMachineErrors(t *testing.T) {
	t.Parallel()
	g := newServiceGuide(t, "machine-to-machine.md", "api.example.com")
	g.line(t, "caddy jwt api-key new --append /etc/caddy/clients.jsonl --id reports")
	g.line(t, "openssl genpkey")
	g.line(t, "openssl pkey")
	g.start(t, 0, options{})
	secret := strings.TrimSpace(readFile(t, filepath.Join(g.dir, "reports.key")))
	g.logs.forbid(secret)
	const grant = "grant_type=client_credentials"
	as := "&client_id=reports&client_secret=" + secret
	basic := func(id, secret string) change {
		return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
	}
	for name, c := range map[string]struct {
		form    string
		changes []change
		status  int
		code    string
	}{
		"a wrong secret":       {grant + "&client_id=reports&client_secret=wrong", nil, 401, "invalid_client"},
		"an unknown client":    {grant, []change{basic("nobody", secret)}, 401, "invalid_client"},
		"another id":           {grant, []change{basic("deploy-bot", secret)}, 401, "invalid_client"},
		"no client":            {grant, nil, 401, "invalid_client"},
		"a parameter twice":    {grant + "&" + grant + as, nil, 400, "invalid_request"},
		"two ways":             {grant + as, []change{basic("reports", secret)}, 400, "invalid_request"},
		"no grant":             {as[1:], nil, 400, "invalid_request"},
		"another grant":        {"grant_type=password" + as, nil, 400, "unsupported_grant_type"},
		"a scope of others":    {grant + as + "&scope=orders:write", nil, 400, "invalid_scope"},
		"an unknown resource":  {grant + as + "&resource=https://other.example.com", nil, 400, "invalid_target"},
		"two resources":        {grant + as + "&resource=https://api.example.com&resource=https://other.example.com", nil, 400, "invalid_target"},
		"less than it may":     {grant + as + "&scope=orders:read+orders:write", nil, 200, ""},
		"the default resource": {grant + as + "&resource=https://api.example.com", nil, 200, ""},
	} {
		a := g.form(t, c.form, c.changes...)
		var got struct {
			Error, Scope string
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != c.status || got.Error != c.code {
			t.Errorf("%s: status %d, %s; want %d, %s", name, a.status, a.body, c.status, c.code)
		}
		if c.status == http.StatusOK && got.Scope != "orders:read" {
			t.Errorf("%s: the scope is %q", name, got.Scope)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control is %q", name, a.header.Get("Cache-Control"))
		}
	}
	inURL := g.send(t, g.http, http.MethodPost, "localhost", "/oauth2/token?"+grant, header("Content-Type", "application/x-www-form-urlencoded"), body(grant+as))
	if inURL.status != http.StatusBadRequest || !strings.Contains(inURL.body, `"invalid_request"`) {
		t.Errorf("parameters in the URL: status %d, %s", inURL.status, inURL.body)
	}
}
