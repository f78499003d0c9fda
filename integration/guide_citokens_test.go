package integration

import (
	"maps"
	"net/http"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The sites of docs/guides/ci-tokens.md, with stand-ins for the issuers of GitHub and
// GitLab. Their tokens have the claims that both document.
func TestGuides_CITokens(t *testing.T) {
	t.Parallel()
	const guide, onlyHub, onlyLab, both = "ci-tokens.md", "github.example.test", "gitlab.example.test", "both.example.test"
	const printedHub, printedLab = "https://token.actions.githubusercontent.com", "https://gitlab.com"
	k := keys(t)
	lab := peers.NewKeyServer(t, peers.NewCA(t), k.ES256)
	trust := func(issuer, ca string) []string {
		return []string{issuer + " {", "{$" + ca + "} {\n\t\t\tca {$" + ca + "_CA}"}
	}
	hubHere, labHere := trust(printedHub, "HUB"), trust(printedLab, "LAB")
	site := func(n int, host string, more ...string) string {
		return guideSite(t, guide, n, "deploy.example.com", host, append(more, printedUpstream...)...)
	}
	hub := peers.NewKeyServer(t, peers.NewCA(t), k.RS256)
	s := newFixture(t, site(0, onlyHub, hubHere...)+site(1, onlyLab, labHere...)+
		site(2, both, append(append([]string{`"` + printedHub + `"`, `"{$HUB}"`, `"` + printedLab + `"`, `"{$LAB}"`}, hubHere...), labHere...)...),
		options{env: map[string]string{"HUB": hub.URL, "HUB_CA": hub.CA.File, "LAB": lab.URL, "LAB_CA": lab.CA.File}})

	const aud = "https://deploy.example.com"
	token := func(key *peers.Key, claims, changes map[string]any) string {
		all := peers.Claims("", aud, map[string]any{"scope": nil})
		maps.Copy(all, claims)
		maps.Copy(all, changes)
		maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
		return key.Token(t, all, nil)
	}
	github := func(changes map[string]any) string {
		return token(k.RS256, map[string]any{
			"iss": hub.URL, "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "repository": "octo-org/octo-repo", "repository_id": "74",
			"repository_owner": "octo-org", "repository_owner_id": "1342004", "ref": "refs/heads/main", "ref_type": "branch", "actor": "octocat",
			"event_name": "push", "job_workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
		}, changes)
	}
	gitlab := func(changes map[string]any) string {
		return token(k.ES256, map[string]any{
			"iss": lab.URL, "sub": "project_path:mygroup/myproject:ref_type:branch:ref:main", "project_path": "mygroup/myproject", "project_id": "22",
			"ref": "main", "ref_type": "branch", "ref_protected": "true", "user_login": "sample",
		}, changes)
	}
	type rows map[string]struct {
		token  string
		status int
	}
	githubs := rows{
		"the main branch":                         {github(nil), 200},
		"another branch":                          {github(map[string]any{"ref": "refs/heads/feature"}), 403},
		"a pull request":                          {github(map[string]any{"ref": "refs/pull/7/merge", "event_name": "pull_request"}), 403},
		"a tag of that name":                      {github(map[string]any{"ref": "refs/tags/main", "ref_type": "tag"}), 403},
		"a stranger with our audience":            {github(map[string]any{"repository": "evil/repo", "repository_owner_id": "666"}), 403},
		"a stranger with the same name":           {github(map[string]any{"repository_owner_id": "666"}), 403},
		"another repository of the owner":         {github(map[string]any{"repository": "octo-org/other"}), 403},
		"a repository whose name begins the same": {github(map[string]any{"repository": "octo-org/octo-repo-2"}), 403},
		"no repository":                           {github(map[string]any{"repository": nil}), 403},
		"repositories":                            {github(map[string]any{"repository": []string{"evil/repo"}}), 403},
		"GitHub's default audience":               {github(map[string]any{"aud": "https://github.com/octo-org"}), 401},
		"another key":                             {token(k.Stranger, map[string]any{"iss": hub.URL, "repository": "octo-org/octo-repo"}, nil), 401},
	}
	gitlabs := rows{
		"the main branch":       {gitlab(nil), 200},
		"a tag main":            {gitlab(map[string]any{"ref_type": "tag"}), 403},
		"another branch":        {gitlab(map[string]any{"ref": "feature"}), 403},
		"an unprotected branch": {gitlab(map[string]any{"ref_protected": "false"}), 403},
		"another project":       {gitlab(map[string]any{"project_id": "23"}), 403},
		"no project":            {gitlab(map[string]any{"project_id": nil}), 403},
		"another audience":      {gitlab(map[string]any{"aud": "https://gitlab.com"}), 401},
		"GitHub's claims":       {gitlab(map[string]any{"project_id": nil, "repository": "octo-org/octo-repo", "repository_owner_id": "1342004", "ref": "refs/heads/main"}), 403},
	}
	for _, c := range []struct {
		host, prefix string
		rows         rows
	}{{onlyHub, "", githubs}, {onlyLab, "", gitlabs}, {both, "github:", githubs}, {both, "gitlab:", gitlabs}} {
		for name, row := range c.rows {
			s.upstream.Take()
			a := s.get(t, c.host, row.token)
			if a.status != row.status {
				t.Errorf("%s %s%s: status %d; want %d: %s", c.host, c.prefix, name, a.status, row.status, a.body)
			}
			if seen := s.upstream.Take(); (len(seen) == 1) != (row.status == http.StatusOK) {
				t.Errorf("%s %s%s: %d requests reached the upstream", c.host, c.prefix, name, len(seen))
			}
		}
		checkStatus(t, s.send(t, s.http, http.MethodPost, c.host, "/release"), http.StatusUnauthorized)
	}
	for host, c := range map[string]struct{ token, user, actor string }{
		onlyHub: {githubs["the main branch"].token, "repo:octo-org/octo-repo:ref:refs/heads/main", "octocat"},
		onlyLab: {gitlabs["the main branch"].token, "project_path:mygroup/myproject:ref_type:branch:ref:main", "sample"},
		both:    {gitlabs["the main branch"].token, "gitlab:project_path:mygroup/myproject:ref_type:branch:ref:main", ""},
	} {
		checkHeaders(t, s.accepts(t, host, c.token).Header, map[string]string{"X-User": c.user, "X-Actor": c.actor})
	}
}
