package claims

import "strings"

// kindMembers are the members in which servers name the kind of a token when they answer about
// one (RFC 7662). token_type is that RFC's, and RFC 8693's; token_use is Ory Hydra's and Amazon
// Cognito's, token_usage OpenIddict's, typ Keycloak's. Hydra answers token_type Bearer about
// refresh tokens too, which its token_use tells apart.
var kindMembers = [...]string{"token_use", "token_usage", "token_type", "typ"}

// accessKinds are their values, as FoldType returns them, for an access token, and whether they
// say that it is one: the others say how the token is written and not what it is for.
var accessKinds = map[string]bool{
	"bearer": true, boundKind: true, "access": true, "access_token": true, "client_credentials": true, "at+jwt": true,
	"urn:ietf:params:oauth:token-type:access_token": true,
	"jwt": false, "urn:ietf:params:oauth:token-type:jwt": false,
}

// boundKind is the kind of a token that is bound to a key (RFC 9449 section 6.2).
const boundKind = "dpop"

// AccessToken reports whether an answer of introspection says that it is about an access token,
// and returns the members that say that it is about something else. Several providers say of
// refresh tokens that they are active, and a refresh token or an ID token must open no API.
// bound reports whether the answer names the key that the token is bound to (RFC 7662 section
// 2.2, RFC 9449 section 6.2); without, a token that is said to be bound is something else.
func AccessToken(answer Value, bound bool) (says bool, others []string) {
	for _, name := range kindMembers {
		v, ok := answer.Member(name)
		if !ok || v.Kind() == Null {
			continue
		}
		text, _ := v.Text()
		kind := FoldType(text)
		access, known := accessKinds[kind]
		if !known || kind == boundKind && !bound {
			others = append(others, name)
			continue
		}
		says = says || access
	}
	return says, others
}

// FoldType returns a media type in the form in which types are compared: RFC 7515 section
// 4.1.9 allows omitting "application/", and RFC 2045 ignores case.
func FoldType(t string) string {
	t = strings.ToLower(t)
	if rest, ok := strings.CutPrefix(t, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return t
}
