package tokenservice

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// keySetAlone are keys of which only the key set matters.
type keySetAlone struct {
	nobodysKeys
	set string
}

func (k keySetAlone) Signer(context.Context, time.Time) (*key.Signer, error) {
	return nil, ErrKeysUnavailable
}

func (k keySetAlone) Published(context.Context, time.Time) ([]byte, error) {
	if k.set == "" {
		return nil, ErrKeysUnavailable
	}
	return []byte(k.set), nil
}

// nobodysKeys are keys that nobody asks for.
type nobodysKeys struct{}

func (nobodysKeys) Keys(context.Context, string) ([]key.Key, error) { return nil, key.ErrUnavailable }
func (nobodysKeys) Version(string, time.Time) uint64                { return 0 }

const (
	serviceKeySet = `{"keys":[{"kty":"EC","alg":"ES256","kid":"a"},{"kty":"EC","alg":"ES256","kid":"b"},{"kty":"OKP","alg":"EdDSA","kid":"c"}]}`
	forwardKeySet = `{"keys":[{"kty":"RSA","alg":"RS256","kid":"f"}]}`
)

// publicService makes a service of which only what is public is asked.
func publicService(t *testing.T, issuer string, change func(*Config)) *Service {
	t.Helper()
	c := Config{
		Issuer: issuer, Audience: []string{"https://api.example.com"}, Keys: keySetAlone{set: serviceKeySet},
		APIKeys: []KeyClients{{Name: "partners"}}, Memory: NewMemory(), Lifetime: time.Minute,
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// askPublic sends a request for a path.
func askPublic(s *Service, method, host, path string) (*httptest.ResponseRecorder, bool) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "https://attacker.example"+path, nil)
	served := s.Serve(w, r, Request{Path: path, Host: host, Secure: true})
	return w, served
}

func TestMetadataIsAtEachPlaceOfTheIssuer(t *testing.T) {
	t.Parallel()
	for issuer, places := range map[string][]string{
		"https://auth.example.com": {"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		"https://auth.example.com/tenant": {
			"/.well-known/oauth-authorization-server/tenant", "/.well-known/openid-configuration/tenant",
			"/tenant/.well-known/oauth-authorization-server", "/tenant/.well-known/openid-configuration",
		},
	} {
		s := publicService(t, issuer, nil)
		for _, place := range places {
			w, served := askPublic(s, "GET", "auth.example.com", place)
			if !served || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: %v, %d, %v", place, served, w.Code, w.Header())
				continue
			}
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			methods := []any{"client_secret_basic", "client_secret_post"}
			want := map[string]any{
				"issuer": issuer, "token_endpoint": issuer + "/oauth2/token",
				"authorization_endpoint": issuer + "/oauth2/authorize", "code_challenge_methods_supported": []any{"S256"},
				"revocation_endpoint": issuer + "/oauth2/revoke", "introspection_endpoint": issuer + "/oauth2/introspect",
				"jwks_uri": issuer + "/.well-known/jwks.json", "response_types_supported": []any{},
				"grant_types_supported": []any{"client_credentials"}, "token_endpoint_auth_methods_supported": methods,
				"revocation_endpoint_auth_methods_supported": methods, "introspection_endpoint_auth_methods_supported": methods,
				"subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{"ES256", "EdDSA"},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s\nwant %v", place, w.Body, want)
			}
		}
	}
}

// Nobody can sign in: the endpoint that metadata must name for some clients says so, and
// sends no browser anywhere.
func TestNobodySignsIn(t *testing.T) {
	t.Parallel()
	s := publicService(t, "https://auth.example.com/tenant", nil)
	for _, method := range []string{"GET", "POST", "HEAD"} {
		w, served := askPublic(s, method, "auth.example.com", "/tenant/oauth2/authorize")
		if !served || w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || w.Header().Get("Cache-Control") != "no-store" ||
			!strings.HasPrefix(w.Body.String(), `{"error":"unsupported_response_type",`) {
			t.Errorf("%s: %v, %d, %v, %s; want 400 and no redirect", method, served, w.Code, w.Header(), w.Body)
		}
	}
}

func TestMetadataPromisesOnlyWhatTheConfigCanDo(t *testing.T) {
	t.Parallel()
	signer := Client{ID: "deploy", Keys: nobodysKeys{}, Algorithms: key.NewAlgorithms(key.ES256, key.RS256)}
	federate := Federate{
		Name: "github", Client: "ci", Pins: func(context.Context, claims.Value) bool { return true },
		Policy: validator.Policy{Issuer: "https://token.actions.githubusercontent.com", Keys: nobodysKeys{}},
	}
	for name, test := range map[string]struct {
		change                    func(*Config)
		grants, methods, siblings []string
		algs, scopes              []string
	}{
		"clients that sign": {
			change: func(c *Config) { c.APIKeys, c.Clients, c.Scopes = nil, []Client{signer}, []string{"read", "write"} },
			grants: []string{"client_credentials"}, methods: []string{"private_key_jwt"}, siblings: []string{"private_key_jwt"},
			algs: []string{"RS256", "ES256"}, scopes: []string{"read", "write"},
		},
		"clients with any keys": {
			change: func(c *Config) { c.APIKeys, c.Clients = nil, []Client{{ID: "deploy", Keys: nobodysKeys{}}} },
			grants: []string{"client_credentials"}, methods: []string{"private_key_jwt"}, siblings: []string{"private_key_jwt"},
			algs: []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
		},
		"all": {
			change: func(c *Config) {
				c.Clients, c.Federates = []Client{signer, {ID: "ci"}}, []Federate{federate}
			},
			grants:   []string{"client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
			methods:  []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
			siblings: []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}, algs: []string{"RS256", "ES256"},
		},
		"federates alone": {
			change: func(c *Config) { c.APIKeys, c.Clients, c.Federates = nil, []Client{{ID: "ci"}}, []Federate{federate} },
			grants: []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"}, methods: []string{"none"},
		},
	} {
		w, _ := askPublic(publicService(t, "https://auth.example.com", test.change), "GET", "auth.example.com", "/.well-known/openid-configuration")
		var got metadata
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2][]string{
			"grants": {got.Grants, test.grants}, "methods": {got.TokenAuth, test.methods}, "algorithms": {got.TokenAlgs, test.algs},
			"methods of revocation": {got.RevocationAuth, test.siblings}, "methods of introspection": {got.IntrospectionAuth, test.siblings},
			"scopes": {got.Scopes, test.scopes},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%s: %s are %q, want %q", name, what, pair[0], pair[1])
			}
		}
		if has := got.RevocationEndpoint != "" || got.IntrospectionEndpoint != ""; has != (test.siblings != nil) {
			t.Errorf("%s: endpoints that nobody can use: %s", name, w.Body)
		}
	}
}

func TestTheKeySetIsServedToAnyone(t *testing.T) {
	t.Parallel()
	s := publicService(t, "https://auth.example.com/tenant", nil)
	w, _ := askPublic(s, "GET", "auth.example.com", "/tenant/.well-known/jwks.json")
	if w.Body.String() != serviceKeySet {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*",
		"Access-Control-Allow-Credentials": "", "X-Content-Type-Options": "nosniff",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w, _ := askPublic(s, "HEAD", "auth.example.com", "/tenant/.well-known/jwks.json"); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d, %s", w.Code, w.Body)
	}
}

func TestWhatIsPublicIsOnlyRead(t *testing.T) {
	t.Parallel()
	s := publicService(t, "https://auth.example.com", nil)
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"} {
			w, served := askPublic(s, method, "auth.example.com", path)
			if !served || w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
		w := httptest.NewRecorder()
		s.Serve(w, httptest.NewRequest("GET", path, nil), Request{Path: path, Host: "auth.example.com"})
		if w.Code != http.StatusBadRequest || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s without TLS: %d, %v", path, w.Code, w.Header())
		}
	}
}

func TestWithoutKeysMetadataIsUnavailable(t *testing.T) {
	t.Parallel()
	s := publicService(t, "https://auth.example.com", func(c *Config) { c.Keys = keySetAlone{} })
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration"} {
		w, _ := askPublic(s, "GET", "auth.example.com", path)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
	}
}

func TestForwardedTokensHaveAnIssuerOfTheirOwn(t *testing.T) {
	t.Parallel()
	var keys Keys
	s := publicService(t, "https://auth.example.com/tenant", func(c *Config) { c.Forward = func() Keys { return keys } })
	places := []string{
		"/.well-known/oauth-authorization-server/tenant/forward", "/.well-known/openid-configuration/tenant/forward",
		"/tenant/forward/.well-known/oauth-authorization-server", "/tenant/forward/.well-known/openid-configuration",
	}
	const keySet = "/tenant/forward/.well-known/jwks.json"
	for _, place := range append(places, keySet) {
		if w, served := askPublic(s, "GET", "auth.example.com", place); served || w.Body.Len() > 0 {
			t.Errorf("%s is there, but nobody forwards tokens", place)
		}
		if _, served := askPublic(publicService(t, "https://auth.example.com/tenant", nil), "GET", "auth.example.com", place); served {
			t.Errorf("%s is there without keys", place)
		}
	}
	keys = keySetAlone{set: forwardKeySet}
	for _, place := range places {
		w, _ := askPublic(s, "GET", "auth.example.com", place)
		const want = `{"issuer":"https://auth.example.com/tenant/forward","jwks_uri":"https://auth.example.com/tenant/forward/.well-known/jwks.json",` +
			`"response_types_supported":[],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`
		if w.Body.String() != want {
			t.Errorf("%s: %d: %s", place, w.Code, w.Body)
		}
	}
	if w, _ := askPublic(s, "GET", "auth.example.com", keySet); w.Body.String() != forwardKeySet {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	if w, _ := askPublic(s, "GET", "auth.example.com", "/tenant/.well-known/jwks.json"); w.Body.String() != serviceKeySet {
		t.Errorf("the service's own key set: %s", w.Body)
	}
}

func TestMetadataOfAnotherHostIsNotServed(t *testing.T) {
	t.Parallel()
	s := publicService(t, "https://auth.example.com", nil)
	for _, host := range []string{"", "api.example.com", "auth.example.com.attacker.example", "auth.example.com:8443"} {
		if w, served := askPublic(s, "GET", host, "/.well-known/jwks.json"); served || w.Body.Len() > 0 {
			t.Errorf("served for %q", host)
		}
	}
}
