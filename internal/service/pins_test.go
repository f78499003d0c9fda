package service

import (
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

// claim is a rule about a claim.
func claim(path string, values ...string) *rule.Requirement {
	return &rule.Requirement{Claim: &rule.Claim{Path: path, Values: values}}
}

func expression(text string) *rule.Requirement { return &rule.Requirement{Expression: text} }

// TestPins: what the rules of a federate must say of whom, by platform. A warning or an
// error is named by a part of its text; "" is for none.
func TestPins(t *testing.T) {
	t.Parallel()
	const (
		gitHub, gitLab = "https://token.actions.githubusercontent.com", "https://gitlab.com"
		cluster, spire = "https://kubernetes.default.svc", "spiffe://example.org"
		immutable      = "repo:acme@1/app@2:ref:refs/heads/main"
	)
	rules := func(list ...*rule.Requirement) []*rule.Requirement { return list }
	for name, c := range map[string]struct {
		issuer      string
		rules       []*rule.Requirement
		warning     string
		wantedError string
	}{
		"GitHub: id of the repository and a branch":       {gitHub, rules(claim("repository_id", "1"), claim("ref", "refs/heads/main")), "", ""},
		"GitHub: id of the owner and an environment":      {gitHub, rules(claim("repository_owner_id", "1"), claim("environment", "production")), "", ""},
		"GitHub: id of the repository and a workflow":     {gitHub, rules(claim("repository_id", "1"), claim("job_workflow_ref", "a")), "", ""},
		"GitHub: id of the repository alone":              {gitHub, rules(claim("repository_id", "1")), "every job", ""},
		"GitHub: subject by ids with a branch":            {gitHub, rules(claim("sub", immutable)), "", ""},
		"GitHub: subject by ids with an environment":      {gitHub, rules(claim("sub", "repo:acme@1/app@2:environment:production")), "", ""},
		"GitHub: subject by ids of pull requests":         {gitHub, rules(claim("sub", "repo:acme@1/app@2:pull_request")), "every job", ""},
		"GitHub: subject by ids, and one by names":        {gitHub, rules(claim("sub", immutable, "repo:acme/app:ref:refs/heads/main")), "names of repositories", ""},
		"GitHub: subject by names":                        {gitHub, rules(claim("sub", "repo:acme/app:ref:refs/heads/main")), "names of repositories", ""},
		"GitHub: name of the repository":                  {gitHub, rules(claim("repository", "acme/app"), claim("ref", "refs/heads/main")), "names of repositories", ""},
		"GitHub: name of the owner":                       {gitHub, rules(claim("repository_owner", "acme"), claim("ref", "refs/heads/main")), "", "repository_owner alone"},
		"GitHub: name of the owner and id of the owner":   {gitHub, rules(claim("repository_owner", "acme"), claim("repository_owner_id", "1"), claim("ref", "a")), "", ""},
		"GitHub: all repositories of an owner":            {gitHub, rules(claim("repository", "acme/*")), "", "stand for nothing"},
		"GitHub: a branch alone":                          {gitHub, rules(claim("ref", "refs/heads/main")), "", "no rule says whose"},
		"GitHub: a workflow alone, which others may call": {gitHub, rules(claim("job_workflow_ref", "acme/app/.github/workflows/a.yml@main")), "", "no rule says whose"},
		"GitHub: an expression alone":                     {gitHub, rules(expression("claims.repository_id == '1'")), "", "an expression is not counted"},
		"GitHub: an expression does not take a warning":   {gitHub, rules(claim("repository_id", "1"), expression("claims.ref == 'refs/heads/main'")), "every job", ""},
		"GitHub: none":                                       {gitHub, nil, "", "no rule says whose"},
		"GitHub of an enterprise: none":                      {gitHub + "/acme", rules(claim("sub", "")), "names of repositories", ""},
		"GitHub of an enterprise: other claim":               {gitHub + "/acme", rules(claim("actor", "alice")), "", "no rule says whose"},
		"another host that begins like GitHub":               {gitHub + ".example.com", rules(claim("sub", "a")), "", ""},
		"GitLab: id of the project, protected":               {gitLab, rules(claim("project_id", "1"), claim("ref_protected", "true")), "", ""},
		"GitLab: id of the namespace, protected":             {gitLab, rules(claim("namespace_id", "1"), claim("ref_protected", "true")), "", ""},
		"GitLab: id of the project alone":                    {gitLab, rules(claim("project_id", "1")), "every branch", ""},
		"GitLab: path of the project":                        {gitLab, rules(claim("project_path", "acme/app"), claim("ref_protected", "true")), "names of projects", ""},
		"GitLab: subject":                                    {gitLab, rules(claim("sub", "project_path:acme/app:ref_type:branch:ref:main"), claim("ref_protected", "true")), "names of projects", ""},
		"GitLab: protected alone":                            {gitLab, rules(claim("ref_protected", "true")), "", "no rule says whose"},
		"GitLab: an expression alone":                        {gitLab, rules(expression("true")), "", "no rule says whose"},
		"GitLab of one's own: id":                            {"https://gitlab.example.com", rules(claim("project_id", "1")), "", ""},
		"GitLab of one's own: path":                          {"https://gitlab.example.com", rules(claim("project_path", "acme/app")), "no rule names sub or an id", ""},
		"Kubernetes: the whole subject":                      {cluster, rules(claim("sub", "system:serviceaccount:default:deploy")), "", ""},
		"Kubernetes: the id of the account":                  {cluster, rules(claim("kubernetes.io.serviceaccount.uid", "a")), "", ""},
		"Kubernetes: the namespace":                          {cluster, rules(claim("kubernetes.io.namespace", "default")), "no rule names sub or an id", ""},
		"Kubernetes: an expression alone":                    {cluster, rules(expression("claims.sub == 'a'")), "", "an expression is not counted"},
		"Kubernetes: none":                                   {cluster, nil, "", "no rule says whose"},
		"SPIFFE: the whole subject":                          {spire, rules(claim("sub", "spiffe://example.org/deploy")), "", ""},
		"SPIFFE: another domain's subject":                   {spire, rules(claim("sub", "spiffe://example.org/deploy", "spiffe://other.org/deploy")), "", "is not of the trust domain"},
		"SPIFFE: a domain that begins alike":                 {spire, rules(claim("sub", "spiffe://example.org.evil/deploy")), "", "is not of the trust domain"},
		"SPIFFE: another claim":                              {spire, rules(claim("team", "a")), "no rule names the workload", ""},
		"SPIFFE: none":                                       {spire, nil, "", "no rule says which workload"},
		"a scope":                                            {cluster, rules(claim("sub", "a"), &rule.Requirement{Scope: []string{"a"}}), "", "takes claim and expression alone"},
		"any of some scopes":                                 {cluster, rules(claim("sub", "a"), &rule.Requirement{AnyScope: []string{"a"}}), "", "takes claim and expression alone"},
		"an issuer that is known only when the config loads": {"{env.CI}", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := ""
			if domain, ok := strings.CutPrefix(c.issuer, spiffe); ok {
				prefix = spiffe + domain + "/"
			}
			warnings, err := checkPins(c.issuer, prefix, c.rules)
			if (err == nil) != (c.wantedError == "") || err != nil && !strings.Contains(err.Error(), c.wantedError) {
				t.Fatalf("error %v, want %q", err, c.wantedError)
			}
			if text := strings.Join(warnings, "\n"); (text == "") != (c.warning == "") || !strings.Contains(text, c.warning) {
				t.Errorf("warnings %q, want %q", text, c.warning)
			}
		})
	}
}

// TestPinsOfAToken: all rules about claims must hold.
func TestPinsOfAToken(t *testing.T) {
	t.Parallel()
	body := claims.ObjectValue(
		claims.Member{Name: "repository_id", Value: claims.TextValue("1")}, claims.Member{Name: "ref", Value: claims.TextValue("refs/heads/main")},
	)
	for name, c := range map[string]struct {
		rules []*rule.Requirement
		want  bool
	}{
		"all hold":          {[]*rule.Requirement{claim("repository_id", "2", "1"), claim("ref", "refs/heads/main")}, true},
		"one does not":      {[]*rule.Requirement{claim("repository_id", "1"), claim("ref", "refs/heads/other")}, false},
		"a claim is absent": {[]*rule.Requirement{claim("environment", "")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &federate{Federate: &Federate{Require: c.rules}}
			if got := f.pins(new(rule.Rules))(t.Context(), body); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
