package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// signer makes tokens with a library that is not the one under test.
type signer func(t *testing.T, key *peers.Key, claims map[string]any) string

func joseSigner(t *testing.T, key *peers.Key, claims map[string]any) string {
	t.Helper()
	return signWithScript(t, key, claims, "node", filepath.Join("npm", "jose-sign.mjs"))
}

func pyJWTSigner(t *testing.T, key *peers.Key, claims map[string]any) string {
	t.Helper()
	return signWithScript(t, key, claims, python(), filepath.Join("python", "pyjwt_sign.py"))
}

// signWithScript speaks the protocol that both scripts share: one JSON request in,
// one compact token out.
func signWithScript(t *testing.T, key *peers.Key, claims map[string]any, command ...string) string {
	t.Helper()
	request := map[string]any{
		"alg":    key.Alg,
		"header": map[string]any{"kid": key.KID, "typ": "JWT"},
		"claims": claims,
	}
	if key.Private == nil {
		request["secret"] = base64.RawURLEncoding.EncodeToString(key.Secret)
	} else {
		request["jwk"] = key.PrivateJWK()
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	script := exec.CommandContext(ctx, command[0], command[1:]...)
	script.Stdin = bytes.NewReader(text)
	var complaint strings.Builder
	script.Stderr = &complaint
	token, err := script.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command[1], err, complaint.String())
	}
	return string(token)
}

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
	s := newFixture(t, sites, options{env: env}, published...)

	for _, library := range []struct {
		name string
		part dependency
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
