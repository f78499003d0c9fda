package metrics

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

var (
	mintedDesc = prometheus.NewDesc("caddy_jwt_tokens_minted_total",
		"Tokens that a token service has issued, by grant (client_credentials, jwt-bearer).", []string{"service", "grant"}, nil)
	tokenFailuresDesc = prometheus.NewDesc("caddy_jwt_token_failures_total",
		"Requests to the endpoints of a token service that it refused, by the error code that the client got; too_many_failures for temporarily_unavailable with the status 429.", []string{"service", "error"}, nil)
	signingAgeDesc = prometheus.NewDesc("caddy_jwt_signing_key_age_seconds",
		"How long the signing key of a token service has been signing.", signingLabels, nil)
	nextRotationDesc = prometheus.NewDesc("caddy_jwt_signing_key_next_rotation_seconds",
		"Time until the next signing key of a token service signs; negative if it is overdue.", signingLabels, nil)
	rotateDesc = prometheus.NewDesc("caddy_jwt_signing_key_rotate_seconds",
		"How long a signing key of a token service signs, by the config.", signingLabels, nil)
)

var signingLabels = []string{"service", "use"}

var serviceDescs = []*prometheus.Desc{mintedDesc, tokenFailuresDesc, signingAgeDesc, nextRotationDesc, rotateDesc}

// grants are the grants, and their labels.
var grants = []struct{ grant, label string }{
	{"client_credentials", "client_credentials"},
	{"urn:ietf:params:oauth:grant-type:jwt-bearer", "jwt-bearer"},
}

// tokenErrors are the error codes that are counted apart: those of RFC 6749 section 5.2, RFC
// 7009 section 2.2.1, RFC 8707 section 2, RFC 9449 section 5, and those of section 4.1.2.1
// of RFC 6749 that a service answers with. The last one stands for all others.
var tokenErrors = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"unsupported_token_type", "invalid_target", "invalid_dpop_proof", "use_dpop_nonce", "temporarily_unavailable", "server_error", limitedErrors, otherErrors,
}

// limitedErrors is the label of refusals for failures before, which have the error code
// temporarily_unavailable too, but say nothing of the service.
const limitedErrors = "too_many_failures"

// otherErrors is the label of error codes that are not in the list.
const otherErrors = "other"

// serviceCounts count the answers of a token service. They are found when the config loads,
// and no request makes a new one.
type serviceCounts struct {
	minted [2]atomic.Uint64 // by the index in grants
	failed []atomic.Uint64  // by the index in tokenErrors
}

// services are the counts by issuer. They outlive configs, as counters must not start over
// with each; a config shows those of its own services.
type services struct {
	mu       sync.Mutex
	byIssuer map[string]*serviceCounts
}

// find returns the counts of a service, and makes them if they are missing.
func (s *services) find(issuer string) *serviceCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byIssuer[issuer]
	if c == nil {
		c = &serviceCounts{failed: make([]atomic.Uint64, len(tokenErrors))}
		if s.byIssuer == nil {
			s.byIssuer = map[string]*serviceCounts{}
		}
		s.byIssuer[issuer] = c
	}
	return c
}

// Service returns the observer that counts what the service with an issuer answers, for
// tokenservice.Config. Those of one issuer count together. The series are shown while the
// config in force has the service.
func (m *Requests) Service(issuer string) func(tokenservice.Event) {
	return m.services.find(issuer).observe
}

// observe counts an answer.
func (c *serviceCounts) observe(e tokenservice.Event) {
	if e.Error != "" {
		label := e.Error
		if e.Limited {
			label = limitedErrors
		}
		n := slices.Index(tokenErrors, label)
		if n < 0 {
			n = len(tokenErrors) - 1
		}
		c.failed[n].Add(1)
		return
	}
	if e.Endpoint != "token" {
		return
	}
	for n := range grants {
		if grants[n].grant == e.Grant {
			c.minted[n].Add(1)
		}
	}
}

// collect adds the series of a service.
func (s *services) collect(ch chan<- prometheus.Metric, issuer string) {
	counts, label := s.find(issuer), strings.ToValidUTF8(issuer, "?")
	for n := range grants {
		ch <- prometheus.MustNewConstMetric(mintedDesc, prometheus.CounterValue, float64(counts.minted[n].Load()), label, grants[n].label)
	}
	for n, code := range tokenErrors {
		ch <- prometheus.MustNewConstMetric(tokenFailuresDesc, prometheus.CounterValue, float64(counts.failed[n].Load()), label, code)
	}
}

// collectServices adds the figures of the token services of a config.
func (m Sources) collectServices(ch chan<- prometheus.Metric, now time.Time) {
	st := m.sources.State()
	if st == nil {
		return
	}
	for _, s := range st.SigningUses() {
		if s.Use == shared.UseService {
			Process.services.collect(ch, s.Service)
		}
		var keys []tokenservice.SigningKey
		if set := s.SigningKeys(); set != nil {
			keys = set.List(now)
		}
		collectKeys(ch, s, keys, now)
	}
}

// collectKeys adds the figures of signing keys.
func collectKeys(ch chan<- prometheus.Metric, s shared.SigningUse, keys []tokenservice.SigningKey, now time.Time) {
	gauge := func(d *prometheus.Desc, v time.Duration) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v.Seconds(), strings.ToValidUTF8(s.Service, "?"), s.Use)
	}
	gauge(rotateDesc, s.Settings().Rotate)
	for _, k := range keys {
		if k.State != "signing" {
			continue
		}
		if !k.SignsFrom.IsZero() {
			gauge(signingAgeDesc, now.Sub(k.SignsFrom))
		}
		if next := tokenservice.NextRotation(keys); !next.IsZero() {
			gauge(nextRotationDesc, next.Sub(now))
		}
		return // one signs
	}
}
