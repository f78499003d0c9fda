// Package metrics are the Prometheus metrics of requests, key sources and the cache.
//
//	requests.go   the counters of the process
//	handler.go    those of one handler, found when the config loads
//	sources.go    the state of key sources, key files and the cache
//	state.go      that of the shared state
//	services.go   what token services answer, and their signing keys
package metrics

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests count what becomes of requests. They outlive configs, as counters must not
// start over with each. All labels are words of this plugin and of the config, so that
// nobody outside can make new ones.
type Requests struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	ahead    *prometheus.GaugeVec

	services services

	mu        sync.RWMutex
	consumers map[consumerSeries]prometheus.Counter
	furthest  map[string]time.Duration // what ahead shows
}

// The values of the label method.
const (
	methodJWT    = "jwt"
	methodAPIKey = "api_key"
	methodNone   = "none"
)

// The values of the label result.
const (
	ResultAllowed   = "allowed"
	ResultAnonymous = "anonymous"
	ResultRefused   = "refused"
	ResultReported  = "would_refuse"
)

// Process are the metrics of this process.
var Process = NewRequests()

// NewRequests makes metrics that start at zero.
func NewRequests() *Requests {
	return &Requests{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_jwt_requests_total",
			Help: "Requests by result (allowed, anonymous, refused, would_refuse), by the method of authentication (jwt, api_key, none), by the reason of the refusal, and by site, issuer and consumer as the config names them.",
		}, []string{"result", "method", "reason", "site", "issuer", "consumer"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "caddy_jwt_verification_seconds",
			Help:    "Time that it takes to verify the signature of a token that is not in the cache, good or bad, waiting for keys included.",
			Buckets: []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 2.5},
		}),
		ahead: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "caddy_jwt_issuer_clock_ahead_seconds",
			Help: "The furthest that the iat of an issuer's good token was in the future when it came: how far its clock is ahead at least.",
		}, []string{"issuer"}),
		consumers: map[consumerSeries]prometheus.Counter{},
		furthest:  map[string]time.Duration{},
	}
}

// Register adds the metrics to the registry of a config.
func (m *Requests) Register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.ahead} {
		if err := registry.Register(c); err != nil {
			if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); !twice {
				return err
			}
		}
	}
	return nil
}

// Verified notes how long a signature took.
func (m *Requests) Verified(took time.Duration) { m.seconds.Observe(took.Seconds()) }

// issuedAhead notes that a good token of an issuer of the config was issued in the future.
func (m *Requests) issuedAhead(issuer string, ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ahead > m.furthest[issuer] {
		m.furthest[issuer] = ahead
		m.ahead.WithLabelValues(issuer).Set(ahead.Seconds())
	}
}

// series is a counter without a consumer, and what distinguishes it.
type series struct {
	prometheus.Counter
	result, method, reason, site, issuer string
}

// series returns the counter with these labels.
func (m *Requests) series(result, method, reason, site, issuer string) *series {
	return &series{m.requests.WithLabelValues(result, method, reason, site, issuer, ""), result, method, reason, site, issuer}
}

// consumerSeries is one consumer's share of a series.
type consumerSeries struct {
	of       prometheus.Counter // of all consumers; handlers and configs share it
	consumer string
}

// maxConsumers bounds the series of consumers: a key file may have a million.
const maxConsumers = 10_000

// otherConsumers stands for the consumers beyond maxConsumers.
const otherConsumers = "other"

// ofConsumer returns the counter of a consumer's share of a series. It is made at the
// first request: only who holds a key can cause one.
func (m *Requests) ofConsumer(s *series, consumer string) prometheus.Counter {
	m.mu.RLock()
	c := m.consumers[consumerSeries{s.Counter, consumer}]
	full := len(m.consumers) >= maxConsumers
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	label := otherConsumers
	if !full {
		// Copied, as the text is part of the memory of a whole key file.
		consumer = strings.Clone(consumer)
		label = consumer
	}
	c = m.requests.WithLabelValues(s.result, s.method, s.reason, s.site, s.issuer, label)
	if !full {
		m.mu.Lock()
		m.consumers[consumerSeries{s.Counter, consumer}] = c
		m.mu.Unlock()
	}
	return c
}
