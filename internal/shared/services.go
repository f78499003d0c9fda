package shared

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Services are the token services of a config, and who depends on them. Handlers are
// provisioned in any order, so services and what depends on them are added while the config
// is provisioned, and settled once, when all are: at the Start, or by the first request.
type Services struct {
	sources   *Sources
	audiences audiences

	mu        sync.Mutex
	list      []*service
	forwards  []*ForwardKeys
	federated []federated
	trusted   []*Trusted
	accepted  []acceptance
	asked     []string // issuers that are asked about opaque tokens

	once    sync.Once
	settled atomic.Bool
	err     error
	byIss   map[string]*service // made by Settle, and not changed
}

// service is a service of the config.
type service struct {
	issuer   string
	service  *tokenservice.Service
	settings tokenservice.SigningSettings
	keys     *Signing
	forward  *Signing // of the tokens for upstreams; nil for none
}

// federated is a platform whose tokens a service takes.
type federated struct{ service, name, issuer string }

// MaxForwardLifetime is the longest life of a token for an upstream.
const MaxForwardLifetime = 10 * time.Minute

// ForwardIssuer returns the "iss" of the tokens for upstreams of a service.
func ForwardIssuer(issuer string) string { return issuer + "/forward" }

// Services returns the token services of the config.
func (s *Sources) Services() *Services { return s.services }

// Add adds a service, with the keys that sign its tokens. The same issuer again is an error.
func (v *Services) Add(issuer string, s *tokenservice.Service, settings tokenservice.SigningSettings, keys *Signing) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.ContainsFunc(v.list, func(o *service) bool { return o.issuer == issuer }) {
		return fmt.Errorf("duplicate authorization_server %s; put all into one block", issuer)
	}
	v.list = append(v.list, &service{issuer: issuer, service: s, settings: settings, keys: keys})
	return nil
}

// Federates notes that a service takes the tokens of a platform.
func (v *Services) Federates(service, name, issuer string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.federated = append(v.federated, federated{service, name, issuer})
}

// Asks notes that an issuer is asked about tokens that are no JWT. That it is a service of the
// config is an error of Settle.
func (v *Services) Asks(issuer string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = append(v.asked, issuer)
}

// Find returns the service with an issuer, or nil.
func (v *Services) Find(issuer string) *tokenservice.Service {
	if s := v.find(issuer); s != nil {
		return s.service
	}
	return nil
}

func (v *Services) find(issuer string) *service {
	if v.settled.Load() {
		return v.byIss[issuer]
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.added(issuer)
}

// added is find among the services so far. Call with the lock.
func (v *Services) added(issuer string) *service {
	for _, s := range v.list {
		if s.issuer == issuer {
			return s
		}
	}
	return nil
}

// Issuers returns the issuers of the services, sorted.
func (v *Services) Issuers() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []string
	for _, s := range v.list {
		list = append(list, s.issuer)
	}
	slices.Sort(list)
	return list
}

// OfStore returns the issuers of the services of which the API keys of a store are clients,
// sorted.
func (v *Services) OfStore(name string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []string
	for _, s := range v.list {
		if s.service.HasStore(name) {
			list = append(list, s.issuer)
		}
	}
	slices.Sort(list)
	return list
}

// Published returns what tells the keys of the tokens for upstreams of a service, for its
// key set; nil while there are none.
func (v *Services) Published(issuer string) func() tokenservice.Keys {
	return func() tokenservice.Keys {
		if s := v.find(issuer); s != nil && v.settled.Load() && s.forward != nil {
			return s.forward
		}
		return nil
	}
}

// Forward returns the keys with which a handler signs tokens for an upstream: those of the
// service with this issuer, or of the only one if it is empty. That there is none is an
// error of Settle.
func (v *Services) Forward(issuer string) *ForwardKeys {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := &ForwardKeys{services: v, wanted: issuer}
	v.forwards = append(v.forwards, f)
	return f
}

// Settle finds out who depends on which service. The error names what to write. It takes
// effect once, and each further call returns the same.
func (v *Services) Settle() error {
	v.once.Do(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.err = v.settle()
		v.settled.Store(true)
	})
	return v.err
}

// settle settles what was added. Call with the lock.
func (v *Services) settle() error {
	v.byIss = map[string]*service{}
	for _, s := range v.list {
		v.byIss[s.issuer] = s
	}
	// Whom handlers trust is settled even if something else is wrong: until then they
	// refuse.
	for _, t := range v.trusted {
		t.settle(v.byIss[t.issuer])
	}
	for _, f := range v.federated {
		for _, s := range v.list {
			if iss := strings.TrimSuffix(f.issuer, "/"); iss == s.issuer || iss == ForwardIssuer(s.issuer) {
				return fmt.Errorf("authorization_server %s: federate %s: its issuer %s is a token service of this config, so that a token could be exchanged for a new one for ever; write the issuer of a platform", f.service, f.name, f.issuer)
			}
		}
	}
	for _, iss := range v.asked {
		if v.byIss[iss] != nil {
			return fmt.Errorf("issuer %s: introspection: it is a token service of this config, whose tokens are JWTs, and what became of a token and its client is known here at each request without asking; remove introspection", iss)
		}
	}
	for _, f := range v.forwards {
		if err := v.settleForward(f); err != nil {
			return err
		}
	}
	minted := map[string][]string{}
	for _, s := range v.list {
		minted[s.issuer] = s.service.Audience()
	}
	return v.audiences.check(minted)
}

func (v *Services) settleForward(f *ForwardKeys) error {
	s := v.byIss[f.wanted]
	switch {
	case f.wanted == "" && len(v.list) == 1:
		s = v.list[0]
	case f.wanted == "" && len(v.list) > 1:
		return fmt.Errorf("forward_jwt: there is more than one token service, and the option does not say whose keys sign; write issuer %s, or another of them, into its block", v.list[0].issuer)
	case s == nil && len(v.list) == 0:
		return errors.New("forward_jwt: there is no token service, whose keys sign; write authorization_server https://auth.example.com { … } into a site")
	case s == nil:
		return fmt.Errorf("forward_jwt: there is no token service %s; write issuer %s, or authorization_server %s { … } into a site", f.wanted, v.list[0].issuer, f.wanted)
	}
	if s.forward == nil {
		settings := s.settings
		settings.Issuer, settings.Lifetime = ForwardIssuer(s.issuer), MaxForwardLifetime
		keys, err := v.sources.State().AddSigning(settings)
		if err != nil {
			return fmt.Errorf("forward_jwt: %w", err)
		}
		s.forward = keys
	}
	f.service = s
	return nil
}

// ForwardKeys sign the tokens for upstreams of one service.
type ForwardKeys struct {
	services *Services
	wanted   string   // the issuer of the service; empty for the only one
	service  *service // set by Settle
}

// settled returns the service, or nil if there is none.
func (f *ForwardKeys) settled() *service {
	if f.services.Settle() != nil {
		return nil
	}
	return f.service
}

// Issuer returns the "iss" of the tokens, <issuer of the service>/forward.
func (f *ForwardKeys) Issuer() string {
	if s := f.settled(); s != nil {
		return ForwardIssuer(s.issuer)
	}
	return ""
}

// Signer returns the key that signs now. The error is tokenservice.ErrKeysUnavailable.
func (f *ForwardKeys) Signer(ctx context.Context, now time.Time) (*key.Signer, error) {
	if s := f.settled(); s != nil {
		return s.forward.Signer(ctx, now)
	}
	return nil, tokenservice.ErrKeysUnavailable
}

// Version changes when the key that signs may be another one, so that what an older one has
// signed is signed again. 0 is for not known.
func (f *ForwardKeys) Version(now time.Time) uint64 {
	if s := f.settled(); s != nil {
		return s.forward.Version("", now)
	}
	return 0
}
