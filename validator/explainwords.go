package validator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// keysText lists the keys of the issuer.
func (e *explanation) keysText() string {
	all, err := e.policy.Keys.Keys(e.ctx, "")
	if err != nil || len(all) == 0 {
		return "none"
	}
	return keysText(all)
}

// mostShown is how many keys, issuers or audiences a check lists.
const mostShown = 10

func keysText(all []key.Key) string {
	var list []string
	for _, k := range all {
		list = append(list, keyText(k))
	}
	return listed(list, ", ")
}

// keyText names a key by what is public of it.
func keyText(k key.Key) string {
	text := "the key without kid"
	if k.ID() != "" {
		text = "kid " + seenText(k.ID())
	}
	what := k.Algorithm().String()
	if what == "" {
		what = k.Family()
	}
	if iss := k.Issuer(); iss != "" {
		what += ", for " + seenText(iss)
	}
	return text + " (" + what + ")"
}

// listed joins what there is at most room for.
func listed(list []string, by string) string {
	if len(list) > mostShown {
		return strings.Join(list[:mostShown], by) + fmt.Sprintf(" and %d more", len(list)-mostShown)
	}
	return strings.Join(list, by)
}

// choices lists texts of the config of which one is wanted.
func choices(list []string) string {
	var quoted []string
	for _, text := range list {
		quoted = append(quoted, seenText(text))
	}
	return listed(quoted, " or ")
}

// written lists texts as arguments in a Caddyfile.
func written(list []string) string {
	var words []string
	for _, text := range list {
		if text == "" || strings.ContainsAny(text, " \t\n\"{}`") {
			text = "`" + text + "`"
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

// issuersText lists the issuers.
func (v *Validator) issuersText() string {
	if v.anyIssuer != nil {
		return "any"
	}
	var names []string
	for _, p := range v.policies {
		if !slices.Contains(names, p.Issuer) {
			names = append(names, p.Issuer)
		}
	}
	text := choices(names)
	if len(v.templates) > 0 {
		text += ", with the token's own tid for " + TenantMark + ", of a tenant in the list"
	}
	return text
}

// only returns the policies of the only issuer, or none.
func (v *Validator) only() issuerPolicies {
	switch {
	case len(v.issuers)+len(v.templates) != 1:
	case v.singlePolicies != nil:
		return *v.singlePolicies
	default:
		for _, p := range v.templates {
			return issuerPolicies{public: p}
		}
	}
	return issuerPolicies{}
}

// tenantsText lists the tenants of a policy as tenants has them.
func (p *policy) tenantsText() string {
	list := p.Tenants
	if p.AnyTenant {
		list = append([]string{"*"}, list...)
	}
	return listed(list, " ")
}

// algorithmsText returns which algorithms the policies allow, and the option that says so.
func (i issuerPolicies) algorithmsText() (wanted, option string) {
	var names, options []string
	for _, p := range []*policy{i.public, i.symmetric} {
		switch {
		case p == nil:
		case !p.Algorithms.Empty():
			names = append(names, p.Algorithms.Names()...)
			options = append(options, p.Algorithms.Names()...)
		case p.Symmetric:
			names = append(names, "HS256")
		default:
			names = append(names, "that of one of the public keys")
		}
	}
	if options != nil {
		option = "algorithms " + strings.Join(options, " ")
	}
	return strings.Join(names, " or "), option
}

// seenTime shows a time of the token; its JSON if it could not be read.
func (e *explanation) seenTime(name string, t time.Time) string {
	if e.readable && !t.IsZero() {
		return reason.When(t, e.now)
	}
	return seenMember(e.body, name)
}

// seenMember shows a member; nothing if the object could not be read.
func seenMember(object claims.Value, name string) string {
	if object.Kind() != claims.Object {
		return ""
	}
	if v, ok := object.Member(name); ok {
		return seenValue(v)
	}
	return "none"
}

// seenFirst shows the first of the claims that is there, and its name where there are several.
func seenFirst(body claims.Value, paths []string) string {
	if body.Kind() != claims.Object {
		return ""
	}
	for n, path := range paths {
		if v, ok := body.Lookup(path); ok {
			if n == 0 && len(paths) == 1 {
				return seenValue(v)
			}
			return path + " " + seenValue(v)
		}
	}
	return "none"
}

// seenUser shows the claim that names the user, or those that are there and do not.
func seenUser(body claims.Value, paths []string) string {
	if body.Kind() != claims.Object {
		return ""
	}
	var unusable []string
	for _, path := range paths {
		v, ok := body.Lookup(path)
		switch {
		case !ok:
		case nameOf(v) != "":
			return path + " " + seenValue(v)
		default:
			unusable = append(unusable, path+" "+seenValue(v))
		}
	}
	if unusable == nil {
		return "none"
	}
	return reason.Bounded(strings.Join(unusable, ", "))
}

func seenValue(v claims.Value) string { return reason.Bounded(string(v.AppendJSON(nil))) }

func seenText(text string) string { return seenValue(claims.TextValue(text)) }

// sizeText returns a size as max_token_size has it.
func sizeText(n int) string {
	if n%(1<<10) == 0 {
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}
