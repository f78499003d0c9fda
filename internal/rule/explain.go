package rule

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Explain makes the check of each requirement, in the order of Check, also behind one that
// is not met: the first that failed is the one that Check returns. id is nil for a request
// without a credential, which is judged as CheckAnonymous does.
func (all *Rules) Explain(r *http.Request, id *identity.Identity) []reason.Check {
	list := all.Unasked()
	n := 0
	check := func(met bool, seen string, code reason.Code) {
		c := &list[n]
		n++
		c.Seen, c.Outcome = seen, reason.Passed
		if !met {
			c.Outcome, c.Reason = reason.Failed, code
		}
	}
	unmet := reason.MissingCredentials
	if id == nil {
		n = len(list) - len(all.expressions)
	} else {
		unmet = reason.Forbidden
		have, implied := id.Scopes(), id.Naming.Implied
		for _, line := range all.scopeLines {
			met := !slices.ContainsFunc(line, func(s string) bool { return !implied.Grants(have, s) })
			check(met, seenScopes(implied, have, line), reason.InsufficientScope)
		}
		for _, group := range all.anyScopes {
			check(grantsAny(implied, have, group), seenScopes(implied, have, group), reason.InsufficientScope)
		}
		for i := range all.claims {
			v, ok := id.Claims().Lookup(all.claims[i].Path)
			seen := "none"
			if ok {
				seen = reason.Bounded(string(v.AppendJSON(nil)))
			}
			check(ClaimMatches(v, all.claims[i].Values), seen, reason.Forbidden)
		}
	}
	if holder := identity.Of(r); holder != nil && len(all.expressions) > 0 {
		outer := holder.Swap(id)
		defer holder.Swap(outer)
	}
	for _, e := range all.expressions {
		holds, err := e.evaluate(r, id)
		seen := "false"
		switch {
		case err != nil:
			seen = reason.Bounded("it can't be evaluated: " + err.Error())
		case holds:
			seen = "true"
		}
		check(holds, seen, unmet)
	}
	return list
}

// seenScopes returns the granted scopes, and which of the wanted ones they imply.
func seenScopes(implied *claims.Implications, granted, wanted []string) string {
	if len(granted) == 0 {
		return "none"
	}
	var follows []string
	for _, s := range wanted {
		if broad := implied.By(granted, s); broad != "" && !slices.Contains(granted, s) {
			follows = append(follows, s+" is implied by "+broad)
		}
	}
	seen := reason.Bounded(strings.Join(granted, " "))
	if len(follows) > 0 {
		seen += "; " + reason.Bounded(strings.Join(follows, ", "))
	}
	return seen
}

// Unasked returns the checks as skipped, for a request that has no identity yet.
func (all *Rules) Unasked() []reason.Check {
	var list []reason.Check
	add := func(name reason.CheckName, wanted, option string) {
		list = append(list, reason.Check{Name: name, Outcome: reason.Skipped, Wanted: reason.Bounded(wanted), Option: option})
	}
	for _, line := range all.scopeLines {
		add(reason.CheckScope, strings.Join(line, " and "), "require scope "+strings.Join(line, " "))
	}
	for _, group := range all.anyScopes {
		add(reason.CheckScope, strings.Join(group, " or "), "require any_scope "+strings.Join(group, " "))
	}
	for _, c := range all.claims {
		var values, words []string
		for _, v := range c.Values {
			values = append(values, string(claims.TextValue(v).AppendJSON(nil)))
			words = append(words, word(v))
		}
		add(reason.CheckClaim, c.Path+" "+strings.Join(values, " or "), "require claim "+c.Path+" "+strings.Join(words, " "))
	}
	for _, e := range all.expressions {
		add(reason.CheckExpression, "true", e.text)
	}
	return list
}

// word returns a text as an argument in a Caddyfile.
func word(text string) string {
	if text == "" || strings.ContainsAny(text, " \t\n\"`") {
		return "`" + text + "`"
	}
	return text
}
