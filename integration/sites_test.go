package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// What most tests' sites are called and whom their tokens are for.
const (
	site     = "api.example.test"
	audience = "https://api.example.test"
)

// snippets are what sites import: an upstream that gets the user's name, and
// an error route that shows the exact reason, which no answer shows by itself.
const snippets = `
(upstream) {
	reverse_proxy {$UPSTREAM} {
		header_up X-User {http.auth.user.id}
	}
}
(reasons) {
	handle_errors {
		header X-Reason {http.jwt.reason}
		respond "refused" {err.status_code}
	}
}
(issuer) {
	issuer {$ISSUER} {
		ca {$CA}
		audience https://api.example.test
	}
}
(token_places) {
	issuer {$ISSUER} {
		ca {$CA}
	}
	audience https://api.example.test
	token_from header Authorization Bearer
	token_from header X-Token
	token_from query access_token
	token_from cookie session
}
`

// oneIssuer is a site for which nothing but the issuer's keys and the audience
// is configured.
const oneIssuer = `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`

// oneIssuerNoUpstream is oneIssuer without an upstream, so that only Caddy is measured.
const oneIssuerNoUpstream = `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
	}
	respond "in"
	import reasons
}
`

// allTokenPlaces is a site that reads tokens from all three kinds of places.
const allTokenPlaces = `
https://api.example.test {
	jwt {
		import token_places
	}
	import upstream
	import reasons
}
`

// keySnippets are what sites with API keys import: an upstream that gets all
// that is known about a key.
const keySnippets = `
(keyholder) {
	reverse_proxy {$UPSTREAM} {
		header_up X-User {http.auth.user.id}
		header_up X-Key-Id {http.jwt.key_id}
		header_up X-Scopes {http.jwt.scopes}
		header_up X-Method {http.jwt.auth_method}
		header_up X-Expires {http.jwt.expires_at}
		header_up X-Plan {http.jwt.claims.meta.plan}
		header_up X-Claims {http.jwt.claims}
	}
}
`

// keySite is a site with API keys of the file in {$KEYS}.
const keySite = `
https://api.example.test {
	jwt {
		api_keys {$KEYS}
	}
	import keyholder
	import reasons
}
`

// allKeyPlaces is a site that reads API keys from every kind of place.
const allKeyPlaces = `
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

const noIssuer = `
https://api.example.test {
	respond "open"
}
`

// siteWithIssuers is a site whose jwt handler has these issuers.
func siteWithIssuers(blocks string) string {
	return "https://api.example.test {\n\tjwt {\n" + blocks + "\t\taudience https://api.example.test\n\t}\n\timport upstream\n\timport reasons\n}\n"
}

// newIssuers starts n issuers that publish the keys, and returns them with a site for
// all of them and the environment of that site.
func newIssuers(t *testing.T, ca *peers.CA, n int, keys ...any) (issuers []*peers.KeyServer, site string, env map[string]string) {
	t.Helper()
	env = map[string]string{"OUR_CA": ca.File}
	var blocks strings.Builder
	for i := range n {
		issuer := peers.NewKeyServer(t, ca, keys...)
		issuers = append(issuers, issuer)
		env[fmt.Sprintf("ISSUER_%d", i)] = issuer.URL
		fmt.Fprintf(&blocks, "\t\tissuer {$ISSUER_%d} {\n\t\t\tca {$OUR_CA}\n\t\t}\n", i)
	}
	return issuers, siteWithIssuers(blocks.String()), env
}
