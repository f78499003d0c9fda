package service

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

// The platforms that are known by their issuer.
const (
	gitHubIssuer = "https://token.actions.githubusercontent.com"
	gitLabIssuer = "https://gitlab.com"
)

// immutableSubject is a subject of GitHub that names owner and repository by their ids, so
// that nobody else can come by it.
var immutableSubject = regexp.MustCompile(`^repo:[^/@:*]+@[0-9]+/[^/@:*]+@[0-9]+:.`)

// required are the rules of a federate about claims: values by path.
type required map[string][]string

// checkPins checks that the rules say who of a platform may get tokens. Names are given up
// and taken by others, so ids are better. An expression is not counted: what it is true of
// can't be known.
func checkPins(iss, prefix string, rules []*rule.Requirement) (warnings []string, err error) {
	claims, others := required{}, false
	for _, r := range rules {
		switch {
		case len(r.Scope) > 0 || len(r.AnyScope) > 0:
			return nil, errors.New("require: a federate takes claim and expression alone; the scopes are those of the client")
		case r.Claim == nil:
			others = true
		default:
			for _, v := range r.Claim.Values {
				if strings.ContainsAny(v, "*?") {
					return nil, fmt.Errorf("require claim %s: %q has a * or ?, which stand for nothing but themselves here; write each value in full, or pin by an id, which has no parts", r.Claim.Path, v)
				}
			}
			claims[r.Claim.Path] = append(claims[r.Claim.Path], r.Claim.Values...)
		}
	}
	if strings.Contains(iss, "{env.") {
		return nil, nil // which platform it is, is known when the config loads
	}
	switch {
	case iss == gitHubIssuer || strings.HasPrefix(iss, gitHubIssuer+"/"):
		warnings, err = claims.gitHub()
	case strings.TrimSuffix(iss, "/") == gitLabIssuer:
		warnings, err = claims.gitLab()
	case prefix != "":
		warnings, err = claims.spiffe(prefix)
	default:
		warnings, err = claims.other()
	}
	if err != nil && others {
		err = fmt.Errorf("%w; an expression is not counted", err)
	}
	return warnings, err
}

// any reports whether one of the claims is required.
func (c required) any(paths ...string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return len(c[p]) > 0 })
}

// immutable reports whether the subject is required, by ids.
func (c required) immutable() bool {
	return len(c["sub"]) > 0 && !slices.ContainsFunc(c["sub"], func(v string) bool { return !immutableSubject.MatchString(v) })
}

// gitHub checks the rules for GitHub Actions.
func (c required) gitHub() (warnings []string, err error) {
	switch {
	case c.any("repository_id", "repository_owner_id") || c.immutable():
	case c.any("repository", "sub"):
		warnings = append(warnings, "names of repositories are given up and taken by others; write require claim repository_id and its number, which never changes (`gh api repos/OWNER/NAME --jq .id`)")
	case c.any("repository_owner"):
		return nil, errors.New("require claim repository_owner alone lets in every repository of an owner, by a name that may become another's; write require claim repository_id and its number (`gh api repos/OWNER/NAME --jq .id`)")
	default:
		return nil, errors.New("no rule says whose jobs these are, and every repository of GitHub gets tokens from this issuer; write require claim repository_id and its number (`gh api repos/OWNER/NAME --jq .id`)")
	}
	if !c.any("ref", "environment", "job_workflow_ref") && !c.contextInSubject() {
		warnings = append(warnings, "every job of the repository is let in, those of pull requests and of branches that anyone with write access makes too; write require claim environment production, or ref refs/heads/main, or job_workflow_ref")
	}
	return warnings, nil
}

// contextInSubject reports whether the subjects name a branch, a tag or an environment.
func (c required) contextInSubject() bool {
	return len(c["sub"]) > 0 && !slices.ContainsFunc(c["sub"], func(v string) bool {
		return !strings.Contains(v, ":ref:") && !strings.Contains(v, ":environment:")
	})
}

// gitLab checks the rules for GitLab.com.
func (c required) gitLab() (warnings []string, err error) {
	switch {
	case c.any("project_id", "namespace_id"):
	case c.any("project_path", "namespace_path", "sub"):
		warnings = append(warnings, "names of projects and groups are given up and taken by others; write require claim project_id and its number, which never changes (it is on the project's page)")
	default:
		return nil, errors.New("no rule says whose jobs these are, and every project of GitLab.com gets tokens from this issuer; write require claim project_id and its number (it is on the project's page)")
	}
	if !c.any("ref_protected") {
		warnings = append(warnings, "jobs of every branch are let in, which anyone with write access makes; write require claim ref_protected true")
	}
	return warnings, nil
}

// spiffe checks the rules for a trust domain of SPIFFE.
func (c required) spiffe(prefix string) (warnings []string, err error) {
	for _, v := range c["sub"] {
		if !strings.HasPrefix(v, prefix) {
			return nil, fmt.Errorf("require claim sub: %q is not of the trust domain; write one that begins with %s", v, prefix)
		}
	}
	if len(c) == 0 {
		return nil, fmt.Errorf("no rule says which workload this is; write require claim sub %sns/default/sa/deploy, with its id", prefix)
	}
	if !c.any("sub") {
		warnings = append(warnings, "no rule names the workload; write require claim sub and its whole id, such as "+prefix+"ns/default/sa/deploy")
	}
	return warnings, nil
}

// other checks the rules for any other platform.
func (c required) other() (warnings []string, err error) {
	if len(c) == 0 {
		return nil, errors.New("no rule says whose tokens these are, so all of the issuer's would do; write require claim sub and its whole value, such as system:serviceaccount:default:deploy, or an id of your platform")
	}
	for path := range c {
		last := path[strings.LastIndexAny(path, "./")+1:]
		if path == "sub" || last == "id" || last == "uid" || strings.HasSuffix(last, "_id") {
			return nil, nil
		}
	}
	return []string{"no rule names sub or an id, and other names may become another's; write require claim sub and its whole value"}, nil
}
