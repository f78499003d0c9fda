package shared

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// IntrospectionSettings are everything that decides how an issuer is asked about its tokens.
// Two handlers with the same ones share calls and answers.
type IntrospectionSettings struct {
	Issuer       string        `json:"issuer,omitempty"`
	URL          string        `json:"url,omitempty"`
	Discovery    string        `json:"discovery,omitempty"`
	CA           string        `json:"ca,omitempty"` // digest of the certificates
	InsecureHTTP bool          `json:"insecure_http,omitempty"`
	ClientID     string        `json:"client_id,omitempty"`
	ClientSecret string        `json:"client_secret,omitempty"` // its {env.NAME} or {file.PATH}
	Cache        time.Duration `json:"cache,omitempty"`         // as keystore.IntrospectionConfig
	AllowUntyped bool          `json:"allow_untyped,omitempty"`

	Roots *x509.CertPool `json:"-"`
}

// id identifies the settings by a digest. They hold no secret, only its place.
func (s IntrospectionSettings) id() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Config returns the config of an Introspection with these settings. The secret is read for
// each call, so that a file that is replaced needs no reload.
func (s IntrospectionSettings) Config() keystore.IntrospectionConfig {
	c := keystore.IntrospectionConfig{
		Issuer: s.Issuer, URL: s.URL, Discovery: s.Discovery, ClientID: s.ClientID, Cache: s.Cache,
		AllowUntyped: s.AllowUntyped, RootCAs: s.Roots, InsecureHTTP: s.InsecureHTTP,
	}
	if place := s.ClientSecret; place != "" {
		c.ClientSecret = func() (string, error) { return setting.ResolveSecret(place) }
	}
	return c
}

// Introspection is an Introspection in the pool, as a handler uses it. It implements
// validator.Introspector.
type Introspection struct {
	*keystore.Introspection
	ID string
}

// Introspection returns what asks an issuer, with these settings.
func (s *Sources) Introspection(iss string, settings IntrospectionSettings) (*Introspection, error) {
	i, err := keystore.NewIntrospection(settings.Config())
	if err != nil {
		return nil, err
	}
	return &Introspection{Introspection: i, ID: settings.id()}, nil
}
