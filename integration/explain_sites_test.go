package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// explainSites have something of everything that decides about a request.
const explainSites = `
&(guarded) {
	jwt {
		import from_issuer
		require scope write
	}
}
http://api.example.test {
	jwt {
		import from_issuer
		api_keys {$KEYS}
		api_keys partners
		api_key written {$WRITTEN}
	}
	import in
	import shown
}
http://strict.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			algorithms RS256 ES256
			max_lifetime 2h
			typ at+jwt
			user_claim email
			kidless_keys 1
			leeway 5s
		}
		audience https://api.example.test
		max_token_size 2KiB
	}
	import in
	import shown
}
http://rules.example.test {
	handle /orders* {
		jwt {
			import from_issuer
			require scope orders:read
			require any_scope read write
		}
		import in
	}
	handle_path /v1/* {
		jwt {
			import from_issuer
			require claim tenant acme
			require expression ` + "`{http.request.method} == \"GET\" || \"admin\" in scopes`" + `
		}
		import in
	}
	handle /r/* {
		route /r/* {
			jwt {
				import from_issuer
				require expression ` + "`{http.request.header.X-Tenant} == claims.tenant`" + `
			}
			import in
		}
	}
	handle {
		jwt {
			import from_issuer
			require expression ` + "`claims.level >= 3`" + `
		}
		import in
	}
	import shown
}
http://chain.example.test {
	jwt {
		import from_issuer
	}
	jwt /admin/* {
		import from_issuer
		require scope admin
	}
	jwt {
		api_keys {$KEYS}
	}
	import in
	import shown
}
http://invoked.example.test {
	invoke guarded
	import in
	import shown
}
http://places.example.test {
	jwt {
		import from_issuer
		api_keys {$KEYS}
		token_from header Authorization Bearer
		token_from query access_token
		token_from cookie session
		api_key_from header X-API-Key
		api_key_from query api_key
		api_key_from basic
	}
	import in
	import shown
}
http://mcp.example.test {
	# No page is made for the refusal of a message.
	header {
		>X-Reason {http.jwt.reason}
		>X-Detail "{http.jwt.detail}"
		>X-Requirement "{http.jwt.requirement}"
	}
	jwt {
		import from_issuer
		mcp {
			tool delete_* {
				require scope admin
			}
			max_body 1KiB
		}
	}
	import in
}
http://optional.example.test {
	jwt {
		import from_issuer
		optional
		allow_preflight
		require expression ` + "`auth_method != \"anonymous\" || {http.request.method} == \"GET\"`" + `
	}
	import in
	import shown
}
http://report.example.test {
	jwt {
		import from_issuer
		require scope admin
		mode report
	}
	import in
	import shown
}
http://forward.example.test {
	jwt {
		import from_issuer
		forward email X-Email
	}
	import in
	import shown
}
http://down.example.test {
	jwt {
		issuer https://down.example.test {
			jwks_url {$DOWN}
			ca {$CA}
		}
		audience https://api.example.test
	}
	import in
	import shown
}
http://secret.example.test {
	jwt {
		issuer https://hmac.example.test {
			secret base64 {env.HMAC_SECRET}
		}
		audience https://api.example.test
	}
	import in
	import shown
}
`

// explainFixture is an explainer with these sites, keys of each origin, and a rule of each kind.
type explainFixture struct {
	*explainer
	secret                                   *peers.Key
	held, disabled, expired, written, nobody *peers.APIKey
	stored, storedOff, storedRevoked         storedKey
}

func newExplainFixture(t *testing.T) *explainFixture {
	t.Helper()
	k := keys(t)
	d := &explainFixture{
		secret:   k.HS256,
		held:     peers.NewAPIKey(t, "held", map[string]any{"consumer": "partner", "scopes": []string{"read"}}),
		disabled: peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false}),
		expired:  peers.NewAPIKey(t, "expired", map[string]any{"expires": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}),
		written:  peers.NewAPIKey(t, "written", nil),
		nobody:   peers.NewAPIKey(t, "nobody", nil),
	}
	d.explainer = newExplainer(t, explainSites, options{
		global: sharedState,
		env: map[string]string{
			"KEYS":        tempFile(t, "keys.jsonl", peers.KeyLines(t, d.held, d.disabled, d.expired)),
			"WRITTEN":     d.written.Hash(),
			"DOWN":        fmt.Sprintf("https://127.0.0.1:%d/jwks.json", peers.FreePort(t)), // without a listener
			"HMAC_SECRET": base64.StdEncoding.EncodeToString(k.HS256.Secret),
		},
	})
	d.stored, d.storedOff, d.storedRevoked = d.makeKey(t, nil), d.makeKey(t, nil), d.makeKey(t, nil)
	d.mustAsk(t, http.MethodPatch, "/jwt/api-keys/"+d.storedOff.ID, object{"enabled": false}, http.StatusOK, nil)
	iss := d.issuer.URL
	for _, rule := range []object{
		{"kind": "jti", "value": "revoked-jti", "issuer": iss},
		{"kind": "sub", "value": "revoked-sub", "issuer": iss},
		{"kind": "client", "value": "revoked-client", "issuer": iss},
		{"kind": "kid", "value": k.ES384.KID, "issuer": iss},
		{"kind": "issuer", "value": iss, "not_before": time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Second).Format(time.RFC3339)},
		{"kind": "token", "value": d.revokedToken(t)},
		{"kind": "key", "value": d.storedRevoked.ID, "store": "partners"},
	} {
		d.addRule(t, rule)
	}
	return d
}

// revokedToken is refused by a rule of the kind token. Ed25519 signs the same each time.
func (d *explainFixture) revokedToken(t *testing.T) string {
	t.Helper()
	return keys(t).EdDSA.Token(t, d.claims(map[string]any{"iat": nil, "exp": 4000000000, "n": 42}), nil)
}
