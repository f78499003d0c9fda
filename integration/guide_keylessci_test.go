package integration

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

const ciGuide = "ci-tokens.md"

// platforms are stand-ins for GitHub, GitLab and Kubernetes, behind the token service of
// docs/guides/ci-tokens.md.
type platforms struct {
	*serviceGuide
	hub, lab, cluster *peers.KeyServer
}

func newPlatforms(t *testing.T) *platforms {
	t.Helper()
	ca, k := peers.NewCA(t), keys(t)
	p := &platforms{
		hub: peers.NewKeyServer(t, ca, k.RS256), lab: peers.NewKeyServer(t, ca, k.ES256), cluster: peers.NewKeyServer(t, ca, k.EdDSA),
	}
	p.serviceGuide = newServiceGuide(t, ciGuide, "deploy.example.com",
		"https://token.actions.githubusercontent.com\n", p.hub.URL+" {\n\t\t\t\tca "+ca.File+"\n\t\t\t}\n",
		"https://gitlab.com\n", p.lab.URL+" {\n\t\t\t\tca "+ca.File+"\n\t\t\t}\n",
		"https://kubernetes.default.svc.cluster.local", p.cluster.URL,
		"https://kubernetes.default.svc/openid/v1/jwks", p.cluster.URL+peers.KeySetPath,
		"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", ca.File,
		"/var/run/secrets/kubernetes.io/serviceaccount/token", tempFile(t, "token", "pod-token"),
	)
	p.start(t, 3, options{})
	return p
}

// token is one of a platform for the token service.
func (p *platforms) token(t *testing.T, from *peers.KeyServer, key *peers.Key, claims, changes map[string]any) string {
	t.Helper()
	all := peers.Claims(from.URL, p.issuer, map[string]any{"scope": nil})
	maps.Copy(all, claims)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	token := key.Token(t, all, nil)
	p.logs.forbid(token)
	return token
}

func (p *platforms) github(t *testing.T, changes map[string]any) string {
	t.Helper()
	return p.token(t, p.hub, keys(t).RS256, map[string]any{
		"sub": "repo:octo-org@1342004/octo-repo@74:environment:production", "repository": "octo-org/octo-repo", "repository_id": "74",
		"repository_owner_id": "1342004", "environment": "production", "ref": "refs/heads/main", "event_name": "push",
	}, changes)
}

func (p *platforms) gitlab(t *testing.T, changes map[string]any) string {
	t.Helper()
	return p.token(t, p.lab, keys(t).ES256, map[string]any{
		"sub": "project_path:mygroup/myproject:ref_type:branch:ref:main", "project_path": "mygroup/myproject", "project_id": "22",
		"ref": "main", "ref_type": "branch", "ref_protected": "true",
	}, changes)
}

func (p *platforms) kubernetes(t *testing.T, changes map[string]any) string {
	t.Helper()
	return p.token(t, p.cluster, keys(t).EdDSA, map[string]any{
		"sub": "system:serviceaccount:ci:releaser", "aud": []string{p.issuer},
		"kubernetes.io": map[string]any{"namespace": "ci", "serviceaccount": map[string]any{"name": "releaser", "uid": "1"}},
	}, changes)
}

// exchange asks for a token with that of a platform.
func (p *platforms) exchange(t *testing.T, assertion string) (answer, string) {
	t.Helper()
	a := p.form(t, "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion="+assertion)
	var got struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("status %d, %q: %v", a.status, a.body, err)
	}
	if got.Token == "" {
		return a, got.Error
	}
	return a, got.Token
}

// A job's token is exchanged if it is of the job that is named, and no other is.
func TestGuides_KeylessCI(t *testing.T) {
	t.Parallel()
	p := newPlatforms(t)
	type change = map[string]any
	for name, c := range map[string]struct {
		token  func(*testing.T, map[string]any) string
		change map[string]any
		passes bool
	}{
		"GitHub":                            {p.github, nil, true},
		"GitHub, a renamed repository":      {p.github, change{"repository": "octo-org/new-name"}, true},
		"GitHub, another with that name":    {p.github, change{"repository_id": "75"}, false},
		"GitHub, another repository":        {p.github, change{"repository_id": "9", "repository": "octo-org/other"}, false},
		"GitHub, no repository":             {p.github, change{"repository_id": nil}, false},
		"GitHub, a pull request":            {p.github, change{"environment": nil, "ref": "refs/pull/7/merge", "event_name": "pull_request"}, false},
		"GitHub, another environment":       {p.github, change{"environment": "staging"}, false},
		"GitHub, for the owner":             {p.github, change{"aud": "https://github.com/octo-org"}, false},
		"GitHub, for the API":               {p.github, change{"aud": "https://deploy.example.com"}, false},
		"GitHub, for two":                   {p.github, change{"aud": []string{p.issuer, "sts.amazonaws.com"}}, false},
		"GitLab":                            {p.gitlab, nil, true},
		"GitLab, a tag of that name":        {p.gitlab, change{"ref_type": "tag"}, false},
		"GitLab, an unprotected branch":     {p.gitlab, change{"ref_protected": "false"}, false},
		"GitLab, another project":           {p.gitlab, change{"project_id": "23"}, false},
		"GitLab, GitHub's claims":           {p.gitlab, change{"project_id": nil, "repository_id": "74", "environment": "production"}, false},
		"Kubernetes":                        {p.kubernetes, nil, true},
		"Kubernetes, another account":       {p.kubernetes, change{"sub": "system:serviceaccount:ci:builder"}, false},
		"Kubernetes, another namespace":     {p.kubernetes, change{"sub": "system:serviceaccount:dev:releaser"}, false},
		"Kubernetes, for the API server":    {p.kubernetes, change{"aud": "https://kubernetes.default.svc"}, false},
		"Kubernetes, the issuer of another": {p.kubernetes, change{"iss": p.hub.URL}, false},
	} {
		a, got := p.exchange(t, c.token(t, c.change))
		switch {
		case c.passes && a.status != http.StatusOK:
			t.Errorf("%s: status %d, %s; want a token", name, a.status, a.body)
		case c.passes:
			p.passes(t, got, "deploy")
		case a.status != http.StatusBadRequest || got != "invalid_grant":
			t.Errorf("%s: status %d, %s; want invalid_grant", name, a.status, a.body)
		}
	}
	t.Run("the same token again", func(t *testing.T) {
		token := p.kubernetes(t, nil)
		for range 2 {
			if a, _ := p.exchange(t, token); a.status != http.StatusOK {
				t.Errorf("status %d, %s", a.status, a.body)
			}
		}
	})
	t.Run("at the API itself", func(t *testing.T) {
		p.denied(t, "a platform's token", p.github(t, nil), http.StatusUnauthorized)
	})
	t.Run("a token of our own", func(t *testing.T) {
		_, ours := p.exchange(t, p.github(t, nil))
		if a, got := p.exchange(t, ours); got != "invalid_grant" {
			t.Errorf("status %d, %s", a.status, a.body)
		}
	})
}

// The commands of the guide's pipelines, with a stand-in for what gives GitHub's jobs
// their tokens.
func TestGuides_KeylessCICommands(t *testing.T) {
	t.Parallel()
	p := newPlatforms(t)
	text, err := json.Marshal(map[string]string{"value": p.github(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	p.hub.Answer("/actions", &peers.Answer{Body: string(text)})
	// curl trusts both the stand-in and Caddy.
	both := readFile(t, p.hub.CA.File) + readFile(t, p.dataFile("pki", "authorities", "local", "root.crt"))
	trust := "CURL_CA_BUNDLE=" + tempFile(t, "both.pem", both)

	var scripts []string // of the pipelines: `run: |` of GitHub's, the list of GitLab's
	for _, block := range fencedBlock.FindAllStringSubmatch(readFile(t, filepath.Join("..", "docs", "guides", ciGuide)), -1) {
		if block[1] != "yaml" || !strings.Contains(block[2], "grant-type:jwt-bearer") {
			continue
		}
		var script strings.Builder
		_, github, ok := strings.Cut(block[2], "- run: |\n")
		if ok {
			script.WriteString(github)
		}
		for line := range strings.Lines(block[2]) {
			if command, ok := strings.CutPrefix(line, "    - '"); ok {
				script.WriteString(strings.TrimSuffix(strings.TrimSpace(command), "'") + "\n")
			}
		}
		scripts = append(scripts, script.String())
	}
	if len(scripts) != 2 {
		t.Fatalf("%d pipelines", len(scripts))
	}
	for i, env := range [][]string{
		{trust, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=x", "ACTIONS_ID_TOKEN_REQUEST_URL=" + p.hub.URL + "/actions?api-version=2.0"},
		{trust, "ID_TOKEN=" + p.gitlab(t, nil)},
	} {
		p.upstream.Take()
		p.shell(t, scripts[i], env...)
		if seen := p.upstream.Take(); len(seen) != 1 || seen[0].Header.Get("X-User") != "deploy" || seen[0].Method != http.MethodPost {
			t.Errorf("after %s the upstream has seen %+v", scripts[i], seen)
		}
	}
	for _, start := range []string{"curl -sSf https://auth.example.com/oauth2/token", "caddy jwt token"} {
		command := guideLine(t, ciGuide, start)
		token := p.shell(t, changed(t, command, "/var/run/identity/token", tempFile(t, "token", p.kubernetes(t, nil))))
		p.passes(t, strings.TrimSpace(token), "deploy")
	}
}

// The federates as they are printed, with the addresses of the platforms: rules may
// depend on these.
func TestGuides_KeylessCIIsValid(t *testing.T) {
	t.Parallel()
	code := changed(t, guideCode(t, ciGuide, "caddyfile", 3),
		"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", peers.NewCA(t).File,
		"/var/run/secrets/kubernetes.io/serviceaccount/token", tempFile(t, "token", "pod-token"))
	if exit, text := caddyCommand(t, code, nil, "validate"); exit != 0 {
		t.Errorf("exit code %d, %s", exit, text)
	}
	// What the guide says of a federate that leaves open who.
	for line, want := range map[string]int{
		"\t\t\trequire claim repository_id 74\n\t\t\trequire claim environment production\n": 1,
		"\t\t\trequire claim sub system:serviceaccount:ci:releaser\n":                        1,
		"\t\t\trequire claim environment production\n":                                       0, // a warning at the start
	} {
		exit, text := caddyCommand(t, changed(t, code, line, ""), nil, "validate")
		if exit != want || want != 0 && !strings.Contains(text, "federate") {
			t.Errorf("without %q: exit code %d, %s", line, exit, text)
		}
	}
}
