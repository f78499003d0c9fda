package shared

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/key"
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

// introspections are those in use, by the id of their settings. They outlive configs: a reload
// that names one again finds it with its answers, and in its pause if the issuer fails.
var introspections = caddy.NewUsagePool()

// Introspection is an Introspection in the pool, as a handler uses it. It implements
// validator.Introspector. It keeps nothing of one config; what it needs of the configs in
// force is bound to it while they last.
type Introspection struct {
	*keystore.Introspection
	ID string

	look   *Look // nil for a server's
	issuer string

	mu     sync.Mutex
	owners []introspectionBinding // of the configs that use it, the newest last
}

// introspectionBinding is what a config lends to an Introspection.
type introspectionBinding struct {
	owner   *Sources
	observe func(keystore.IntrospectionEvent)
}

// UsedIntrospection is an Introspection of this config.
type UsedIntrospection struct {
	*Introspection
	Issuers []string // the iss of all that use it
}

// Introspection returns what asks an issuer about its tokens, with these settings.
func (s *Sources) Introspection(iss string, settings IntrospectionSettings) (*Introspection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := settings.id()
	if used := s.introspections[id]; used != nil {
		if !slices.Contains(used.Issuers, iss) {
			used.Issuers = append(used.Issuers, iss)
		}
		return used.Introspection, nil
	}
	i, err := s.introspection(id, iss, settings)
	if err != nil {
		return nil, err
	}
	if s.introspections == nil {
		s.introspections = map[string]*UsedIntrospection{}
	}
	s.introspections[id] = &UsedIntrospection{Introspection: i, Issuers: []string{iss}}
	return i, nil
}

// introspection takes an Introspection out of the pool, and makes it if there is none. Each
// call must be followed by one of release.
func (s *Sources) introspection(id, iss string, settings IntrospectionSettings) (*Introspection, error) {
	if s.look != nil {
		i, err := keystore.NewIntrospection(settings.Config())
		return &Introspection{Introspection: i, ID: id, look: s.look, issuer: iss}, err
	}
	v, _, err := introspections.LoadOrNew(id, func() (caddy.Destructor, error) {
		made, err := keystore.NewIntrospection(settings.Config())
		if err != nil {
			return nil, err
		}
		i := &Introspection{Introspection: made, ID: id}
		made.Observe(i.tell)
		return i, nil
	})
	if err != nil {
		return nil, err
	}
	i := v.(*Introspection)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.owners = append(i.owners, introspectionBinding{s, func(e keystore.IntrospectionEvent) { s.observeIntrospection(id, e) }})
	return i, nil
}

// Introspections returns what asks issuers, in a stable order.
func (s *Sources) Introspections() []UsedIntrospection {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]UsedIntrospection, 0, len(s.introspections))
	for _, used := range s.introspections {
		list = append(list, UsedIntrospection{used.Introspection, slices.Sorted(slices.Values(used.Issuers))})
	}
	slices.SortFunc(list, func(x, y UsedIntrospection) int {
		return cmp.Or(cmp.Compare(x.Issuers[0], y.Issuers[0]), cmp.Compare(x.ID, y.ID))
	})
	return list
}

// Introspect implements validator.Introspector. For a config that is looked at it asks nobody,
// unless the Look says so.
func (i *Introspection) Introspect(ctx context.Context, token string) (answer claims.Value, active bool, err error) {
	if i.look == nil || i.look.Introspect || !keystore.Introspectable(token) {
		return i.Introspection.Introspect(ctx, token)
	}
	i.look.note("a server would ask %s whether the token is active, which was not done: tokens and the client's secret would leave this machine; --introspect asks", i.issuer)
	return claims.Value{}, false, errNotAsked
}

// errNotAsked is the error for a config that is looked at.
var errNotAsked = fmt.Errorf("the issuer was not asked: %w", key.ErrUnavailable)

// tell passes an event on to the newest config.
func (i *Introspection) tell(e keystore.IntrospectionEvent) {
	i.mu.Lock()
	observe := func(keystore.IntrospectionEvent) {}
	if n := len(i.owners); n > 0 {
		observe = i.owners[n-1].observe
	}
	i.mu.Unlock()
	observe(e)
}

// release gives an Introspection back and takes back what its config had lent.
func (i *Introspection) release(owner *Sources) error {
	if i.look != nil {
		return i.Destruct()
	}
	i.mu.Lock()
	i.owners = slices.DeleteFunc(i.owners, func(b introspectionBinding) bool { return b.owner == owner })
	i.mu.Unlock()
	_, err := introspections.Delete(i.ID)
	return err
}

// Destruct ends what runs when no config uses the Introspection any more.
func (i *Introspection) Destruct() error {
	i.Introspection.Close()
	return nil
}

// Close does nothing: an Introspection is given back by Sources.Close.
func (i *Introspection) Close() {}

// observeIntrospection logs a change of state and emits it as an event.
func (s *Sources) observeIntrospection(id string, e keystore.IntrospectionEvent) {
	s.mu.Lock()
	issuer := ""
	if used := s.introspections[id]; used != nil {
		issuer = strings.Join(used.Issuers, " ")
	}
	s.mu.Unlock()
	logIntrospection(s.logger.With(zap.String("issuer", issuer), zap.String("id", id)), e)
	if e.Kind != keystore.IntrospectionFailing || s.emit == nil {
		return
	}
	s.emit(e.Kind.String(), func() map[string]any {
		return map[string]any{"issuer": issuer, "id": id, "source": e.Source, "error": e.Err.Error()}
	})
}
