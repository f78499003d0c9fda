package tokenservice

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// Grants that there are.
const (
	grantClientCredentials = "client_credentials"                          // RFC 6749 section 4.4
	grantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer" // RFC 7523 section 2.1
)

// publicMaxAge is for how long verifiers may keep metadata and key sets, in seconds. A key
// is published long before it signs, but one that is retired in an emergency is accepted by
// others until what they keep is older than this.
const publicMaxAge = "300"

// metadata is a document of RFC 8414, which is one of OpenID Connect Discovery 1.0 too: its
// clients look there for the key set of any issuer. The service is no OpenID provider: no
// response type means that nobody can sign in.
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint         string   `json:"token_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	KeySet                string   `json:"jwks_uri"`
	Scopes                []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported"` // required, even if empty
	Grants                []string `json:"grant_types_supported,omitempty"`
	CodeChallenges        []string `json:"code_challenge_methods_supported,omitempty"`

	TokenAuth         []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuth    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAuth []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	SubjectTypes      []string `json:"subject_types_supported"`               // required of OpenID providers
	TokenSigning      []string `json:"id_token_signing_alg_values_supported"` // likewise; clients verify any token by it
}

// metadataOf returns what all documents have.
func metadataOf(issuer string, algorithms []string) metadata {
	return metadata{
		Issuer: issuer, KeySet: issuer + "/.well-known/jwks.json",
		ResponseTypes: []string{}, SubjectTypes: []string{"public"}, TokenSigning: algorithms,
	}
}

// publicAlgorithms are those of all public keys.
var publicAlgorithms = key.NewAlgorithms(
	key.RS256, key.RS384, key.RS512, key.PS256, key.PS384, key.PS512, key.ES256, key.ES384, key.ES512, key.EdDSA,
)

// metadata returns the service's document: only what its config can do. All URLs are made
// of the configured issuer, as a client could choose any Host.
func (s *Service) metadata(algorithms []string) metadata {
	m := metadataOf(s.config.Issuer, algorithms)
	m.TokenEndpoint = s.config.Issuer + "/oauth2/token"
	// The SDKs of MCP refuse a document without the endpoint where users sign in
	// (TypeScript) and its code challenges (Go), also for clients that ask for a token with
	// their own credentials alone. That there is no response type says that nobody signs in.
	m.AuthorizationEndpoint, m.CodeChallenges = s.config.Issuer+"/oauth2/authorize", []string{"S256"}
	m.Scopes = s.config.Scopes

	var methods, algs []string
	if len(s.config.APIKeys) > 0 {
		methods = append(methods, "client_secret_basic", "client_secret_post")
	}
	var assertions key.Algorithms
	for i := range s.config.Clients {
		switch c := &s.config.Clients[i]; {
		case c.Keys == nil:
		case c.Algorithms.Empty(): // what the keys are for, which may change
			assertions |= publicAlgorithms
		default:
			assertions |= c.Algorithms
		}
	}
	if !assertions.Empty() {
		methods, algs = append(methods, "private_key_jwt"), assertions.Names()
	}
	m.TokenAuth, m.TokenAlgs = methods, algs
	if len(methods) > 0 {
		m.Grants = append(m.Grants, grantClientCredentials)
		m.RevocationEndpoint, m.RevocationAuth, m.RevocationAlgs = s.config.Issuer+"/oauth2/revoke", methods, algs
		m.IntrospectionEndpoint, m.IntrospectionAuth, m.IntrospectionAlgs = s.config.Issuer+"/oauth2/introspect", methods, algs
	}
	if len(s.config.Federates) > 0 {
		m.Grants = append(m.Grants, grantJWTBearer)
		m.TokenAuth = append(slices.Clone(methods), "none") // the assertion alone says who
	}
	return m
}

// serveAuthorize answers at the endpoint where users would sign in, which clients send
// browsers to that take the service for an OpenID provider. It never redirects (RFC 6749
// section 4.1.2.1): no client has registered where to.
func (s *Service) serveAuthorize(w http.ResponseWriter, _ *http.Request, _ Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`{"error":"unsupported_response_type","error_description":"nobody can sign in here; programs ask the token endpoint, with their own credentials"}`)) // the client is gone
}

func (s *Service) serveMetadata(w http.ResponseWriter, r *http.Request, from Request) {
	s.servePublic(w, r, from, s.config.Keys, func(keySet []byte) ([]byte, error) {
		return json.Marshal(s.metadata(algorithmsOf(keySet)))
	})
}

func (s *Service) serveForwardMetadata(w http.ResponseWriter, r *http.Request, from Request) {
	s.servePublic(w, r, from, s.forwardKeys(), func(keySet []byte) ([]byte, error) {
		return json.Marshal(metadataOf(s.config.Issuer+"/forward", algorithmsOf(keySet)))
	})
}

func (s *Service) serveKeySet(w http.ResponseWriter, r *http.Request, from Request) {
	s.servePublic(w, r, from, s.config.Keys, asItIs)
}

func (s *Service) serveForwardKeySet(w http.ResponseWriter, r *http.Request, from Request) {
	s.servePublic(w, r, from, s.forwardKeys(), asItIs)
}

func asItIs(keySet []byte) ([]byte, error) { return keySet, nil }

// forwardKeys returns the keys of forwarded tokens, nil if nobody forwards any.
func (s *Service) forwardKeys() Keys {
	if s.config.Forward == nil {
		return nil
	}
	return s.config.Forward()
}

// servePublic answers with a document that is made of a key set, to anyone and to the pages
// of any site. The key set is application/json, as not all clients know the type of its own
// (RFC 7517 section 8.5.2).
func (s *Service) servePublic(w http.ResponseWriter, r *http.Request, from Request, keys Keys, document func(keySet []byte) ([]byte, error)) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		refusePublic(w, http.StatusMethodNotAllowed, "only GET and HEAD are allowed")
		return
	case !from.Secure:
		refusePublic(w, http.StatusBadRequest, "the request must come over https")
		return
	}
	keySet, err := keys.Published(r.Context(), s.config.Clock.Now())
	var body []byte
	if err == nil {
		body, err = document(keySet)
	}
	if err != nil {
		// Without algorithms the metadata would mislead for as long as a client runs.
		h.Set("Retry-After", "5")
		refusePublic(w, http.StatusServiceUnavailable, "the signing keys are not available; try again")
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age="+publicMaxAge)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the client is gone
	}
}

// refusePublic answers with an error in the form of RFC 6749 section 5.2.
func refusePublic(w http.ResponseWriter, status int, description string) {
	code := "invalid_request"
	if status == http.StatusServiceUnavailable {
		code = "temporarily_unavailable"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"error":"` + code + `","error_description":"` + description + `"}`)) // the client is gone
}

// algorithmsOf returns the algorithms of the keys of a key set: those of tokens that there
// are, and of those that there will be.
func algorithmsOf(keySet []byte) []string {
	names := []string{}
	document, err := claims.ParseObject(keySet)
	if err != nil {
		return names
	}
	list, _ := document.Member("keys")
	if list.Kind() != claims.Array {
		return names
	}
	for i := range list.Len() {
		alg, _ := list.At(i).Member("alg")
		if name, ok := alg.Text(); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
