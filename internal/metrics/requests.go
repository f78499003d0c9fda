// Package metrics are the Prometheus metrics of requests, key sources and the cache.
package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Requests count what becomes of requests. They outlive configs, as
// counters must not begin anew with each. All labels are words of this plugin, so
// that nobody outside can make new ones.
type Requests struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram

	byToken  prometheus.Counter
	byAPIKey prometheus.Counter
	noBody   prometheus.Counter
	byReason map[reason.Code]prometheus.Counter
	wouldBy  map[reason.Code]prometheus.Counter
}

// The values of the label method, besides none.
const (
	methodJWT    = "jwt"
	methodAPIKey = "api_key"
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
	m := &Requests{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_jwt_requests_total",
			Help: "Requests by result (allowed, anonymous, refused, would_refuse), by the method of authentication (jwt, api_key, none) and by the reason of the refusal.",
		}, []string{"result", "method", "reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "caddy_jwt_verification_seconds",
			Help:    "Time that it takes to verify the signature of a token that is not in the cache, good or bad, waiting for keys included.",
			Buckets: []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 2.5},
		}),
		byReason: map[reason.Code]prometheus.Counter{}, wouldBy: map[reason.Code]prometheus.Counter{},
	}
	m.byToken = m.requests.WithLabelValues(ResultAllowed, methodJWT, "")
	m.byAPIKey = m.requests.WithLabelValues(ResultAllowed, methodAPIKey, "")
	m.noBody = m.requests.WithLabelValues(ResultAnonymous, "none", "")
	for _, code := range reason.All {
		m.byReason[code] = m.requests.WithLabelValues(ResultRefused, "none", string(code))
		m.wouldBy[code] = m.requests.WithLabelValues(ResultReported, "none", string(code))
	}
	return m
}

// Register adds the metrics to the registry of a config.
func (m *Requests) Register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
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

// Allowed counts a request that passed with a credential of this method.
func (m *Requests) Allowed(method string) {
	if method == methodJWT {
		m.byToken.Inc()
	} else {
		m.byAPIKey.Inc()
	}
}

// Anonymous counts a request that passed without a credential.
func (m *Requests) Anonymous() { m.noBody.Inc() }

// Refused counts a request that was refused.
func (m *Requests) Refused(code reason.Code) { m.byReason[code].Inc() }

// Reported counts a request that report mode let pass.
func (m *Requests) Reported(code reason.Code) { m.wouldBy[code].Inc() }
