package integration

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// opaqueSite is the n-th site of docs/guides/opaque-tokens.md, with a stand-in for the
// provider, whose answers are of the form of its own.
func opaqueSite(t *testing.T, n int, client string, opts options, fromTo ...string) (*fixture, *askedIssuer) {
	t.Helper()
	asked := newAskedIssuer(t, client)
	if opts.env == nil {
		opts.env = map[string]string{}
	}
	opts.env["ASKED"] = asked.URL
	s := newFixture(t, guideSite(t, "opaque-tokens.md", n, "api.example.com", site, append(fromTo,
		"reverse_proxy localhost:8080\n", "reverse_proxy {$UPSTREAM}\n\timport reasons\n")...), opts, keys(t).RS256)
	// The endpoint of the metadata is looked for when the first token is asked about.
	metadata, err := json.Marshal(map[string]any{
		"issuer": s.issuer.URL, "jwks_uri": s.issuer.URL + peers.KeySetPath, "introspection_endpoint": asked.URL,
		"introspection_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.issuer.Answer(peers.MetadataPath, &peers.Answer{Body: string(metadata)})
	return s, asked
}

func TestGuides_OpaqueTokensOfZITADEL(t *testing.T) {
	t.Parallel()
	secret := rand.Text()
	s, asked := opaqueSite(t, 0, "API_CLIENT_ID:"+secret, options{env: map[string]string{"ZITADEL_SECRET": secret}},
		"issuer https://ZITADEL-DOMAIN {", "issuer {$ISSUER} {\n\t\t\tca {$CA}")
	s.logs.forbid(secret)
	now := time.Now().Unix()
	about := func(aud ...string) http.HandlerFunc {
		return saying(toJSON(t, map[string]any{
			"active": true, "scope": "openid profile urn:zitadel:iam:org:project:id:PROJECT_ID:aud", "client_id": "239520764779364353",
			"token_type": "Bearer", "exp": now + 3600, "iat": now, "nbf": now, "sub": "239520764276506625", "aud": aud,
			"iss": s.issuer.URL, "jti": "V2_239520764779364353-at_239520764779429889", "username": "ada@example.com",
			"name": "Ada", "preferred_username": "ada@example.com", "updated_at": now,
		}))
	}
	asked.say("zitadel_token_for_the_api", about("239520764779364353", "PROJECT_ID"))
	asked.say("zitadel_token_for_another", about("239520764779364353", "239520764779999999"))
	asked.judged(t, s.caddy, s.http, site, "zitadel_token_for_the_api", http.StatusOK, "")
	asked.judged(t, s.caddy, s.http, site, "zitadel_token_for_another", http.StatusUnauthorized, "wrong_audience")
	asked.judged(t, s.caddy, s.http, site, "zitadel_token_of_yesterday", http.StatusUnauthorized, "inactive_token")
	checkStatus(t, s.get(t, site, keys(t).RS256.Token(t, peers.Claims(s.issuer.URL, "PROJECT_ID", nil), nil)), http.StatusOK)
}

func TestGuides_OpaqueTokensOfHydra(t *testing.T) {
	t.Parallel()
	s, asked := opaqueSite(t, 1, "", options{},
		"issuer https://HYDRA-HOST/ {", "issuer {$ISSUER} {", "http://127.0.0.1:4445/admin/oauth2/introspect", "{$ASKED}")
	now := time.Now().Unix()
	about := func(use string, aud ...string) http.HandlerFunc {
		text := toJSON(t, map[string]any{
			"active": true, "scope": "read", "client_id": "b1e1a5f4-1c5e-4a62-8a2e-6d2f3c0a7b11", "sub": "ada", "exp": now + 3600,
			"iat": now, "nbf": now, "aud": append([]string{}, aud...), "iss": s.issuer.URL, "token_type": "Bearer", "token_use": use,
			"ext": map[string]any{"team": "a"},
		})
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			_, _ = w.Write([]byte(text + "\n"))
		}
	}
	access, none, refresh := "ory_at_"+rand.Text()+"."+rand.Text(), "ory_at_"+rand.Text()+"."+rand.Text(), "ory_rt_"+rand.Text()+"."+rand.Text()
	asked.say(access, about("access_token", guideAudience))
	asked.say(none, about("access_token"))
	asked.say(refresh, about("refresh_token", guideAudience))
	asked.judged(t, s.caddy, s.http, site, access, http.StatusOK, "")
	asked.judged(t, s.caddy, s.http, site, none, http.StatusUnauthorized, "wrong_audience")
	asked.judged(t, s.caddy, s.http, site, refresh, http.StatusUnauthorized, "wrong_type")
	asked.judged(t, s.caddy, s.http, site, "ory_at_"+rand.Text(), http.StatusUnauthorized, "inactive_token")
}

func TestGuides_TokensThatKeycloakIsAskedAbout(t *testing.T) {
	t.Parallel()
	secret := rand.Text()
	s, asked := opaqueSite(t, 2, "API_CLIENT:"+secret, options{env: map[string]string{"KEYCLOAK_SECRET": secret}},
		"issuer https://KEYCLOAK-HOST/realms/REALM {", "issuer {$ISSUER} {\n\t\t\tca {$CA}")
	s.logs.forbid(secret)
	token := func(changes map[string]any) string {
		claims := peers.Claims(s.issuer.URL, "API_CLIENT", map[string]any{
			"typ": "Bearer", "azp": "web", "sid": rand.Text(), "jti": "onrtac:" + rand.Text(), "scope": "profile email", "preferred_username": "ada",
		})
		for name, value := range changes {
			claims[name] = value
		}
		signed := keys(t).RS256.Token(t, claims, nil)
		claims["client_id"], claims["username"], claims["token_type"], claims["active"] = "web", "ada", "Bearer", true
		asked.say(signed, saying(toJSON(t, claims)))
		return signed
	}
	good, ended, refresh := token(nil), token(nil), token(map[string]any{"typ": "Refresh"})
	asked.say(ended, saying(`{"active":false}`))
	asked.judged(t, s.caddy, s.http, site, good, http.StatusOK, "")
	asked.judged(t, s.caddy, s.http, site, ended, http.StatusUnauthorized, "inactive_token")
	asked.judged(t, s.caddy, s.http, site, refresh, http.StatusUnauthorized, "wrong_type")
	other := token(map[string]any{"aud": "account"})
	checkReason(t, s.get(t, site, other), http.StatusUnauthorized, "wrong_audience")
	if n := asked.times(other); n != 0 {
		t.Errorf("Keycloak was asked %d times about a token for another API", n)
	}
}
