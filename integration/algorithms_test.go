package integration

import (
	"encoding/base64"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// Every algorithm that the plugin accepts, signed by libraries that are not the
// one it verifies with: what two implementations agree on is the RFC.
func TestTokensOfOtherLibrariesAreAccepted(t *testing.T) {
	t.Parallel()
	public := []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
	var (
		signers   = map[string]*peers.Key{}
		published []any
	)
	rsa := peers.NewKey(t, "RS256", "")
	for _, alg := range public {
		key := rsa.SignAs(alg).Named("key-" + alg) // one RSA key under six names
		if alg[0] == 'E' {
			key = peers.NewKey(t, alg, "key-"+alg)
		}
		signers[alg] = key
		published = append(published, key)
	}
	env := map[string]string{}
	sites := oneIssuer
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		key := peers.NewKey(t, alg, "")
		signers[alg] = key
		env["SECRET_"+alg] = base64.StdEncoding.EncodeToString(key.Secret)
		sites += `
https://` + alg + `.example.test {
	jwt {
		issuer {$ISSUER} {
			secret base64 {env.SECRET_` + alg + `}
			algorithms ` + alg + `
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`
	}
	s := newStand(t, sites, options{env: env}, published...)

	for _, library := range []struct {
		name string
		part part
		sign signer
	}{
		{"jose", nodeModules, joseSigner},
		{"PyJWT", pyJWT, pyJWTSigner},
	} {
		t.Run(library.name, func(t *testing.T) {
			need(t, library.part)
			for alg, key := range signers {
				t.Run(alg, func(t *testing.T) {
					host := site
					if key.Private == nil {
						host = alg + ".example.test"
					}
					seen := s.accepts(t, host, library.sign(t, key, s.claims(map[string]any{"sub": "user of " + alg})))
					if got := seen.Header.Get("X-User"); got != "user of "+alg {
						t.Errorf("the user is %q", got)
					}
				})
			}
		})
	}
	t.Run("Ed25519, the newer name of EdDSA", func(t *testing.T) {
		s.accepts(t, site, signers["EdDSA"].Token(t, s.claims(nil), map[string]any{"alg": "Ed25519"}))
	})
}
