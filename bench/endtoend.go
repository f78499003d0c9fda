package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// endToEnd is what whole servers cost, request by request.
type endToEnd struct {
	Rows []row `json:"rows"`
	// SignatureCheckMicros is Go's own check of an ES256 signature.
	SignatureCheckMicros float64 `json:"signature_check_micros"`
	Rounds               int     `json:"rounds"`
	Seconds              int     `json:"seconds"`
}

// row is a server that checks credentials beside one that does not, with the same
// requests.
type row struct {
	Name string  `json:"name"`
	Bare figures `json:"bare"`
	With figures `json:"with"`
	// Ratio is that of the processor's time, by rounds.
	Ratio      float64 `json:"ratio"`
	RatioLeast float64 `json:"ratio_least"`
	RatioMost  float64 `json:"ratio_most"`
	// PlusCheck tells that the ratio is to the bare server and Go's own check of
	// the signature.
	PlusCheck bool `json:"plus_check,omitempty"`
}

// figures are medians of all rounds, but for the memory.
type figures struct {
	Micros    float64 `json:"cpu_micros"` // of the server's process, for each request
	PerSecond float64 `json:"requests_per_second"`
	P50Micros float64 `json:"p50_micros"`
	P99Micros float64 `json:"p99_micros"`
	PeakMiB   float64 `json:"peak_mib"`
}

// comparison is a row to be measured.
type comparison struct {
	name       string
	bare, with *server
	credential func(round int) credential
	refused    bool // whether the answers of with must be refusals
	plusCheck  bool

	bareSamples, withSamples []sample
}

type sample struct {
	micros float64
	traffic
}

// A round of tokens that are all different has so many a second: more than a
// Caddy on one processor answers.
const freshTokensPerSecond = 25_000

// The rows that have a budget.
const (
	tokenSeen    = "RS256 token seen before"
	allDifferent = "ES256 tokens all different"
)

func (b *bench) endToEnd() (*endToEnd, error) {
	all, err := b.comparisons()
	if err != nil {
		return nil, err
	}
	result := &endToEnd{Rounds: b.rounds, Seconds: b.seconds}
	var checks []float64
	for round := range b.rounds {
		fresh := b.file(fmt.Sprintf("fresh-%d.txt", round))
		if err := b.keys.tokenFile(fresh, 1_000_000*(round+1), freshTokensPerSecond*b.seconds); err != nil {
			return nil, err
		}
		for _, c := range all {
			if c.plusCheck {
				check, err := b.keys.signatureCheck()
				if err != nil {
					return nil, err
				}
				checks = append(checks, float64(check.Nanoseconds())/1000)
			}
			if err := b.compare(c, round); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		if err := os.Remove(fresh); err != nil {
			return nil, err
		}
		b.say("round %d of %d done", round+1, b.rounds)
	}
	result.SignatureCheckMicros = median(checks)
	for _, c := range all {
		r, err := c.row(checks)
		if err != nil {
			return nil, err
		}
		result.Rows = append(result.Rows, r)
	}
	return result, nil
}

// comparisons starts the servers and says what is sent to them.
func (b *bench) comparisons() ([]*comparison, error) {
	write := func(name, text string) (credential, error) {
		path := b.file(name)
		return credential{path, "Authorization", "Bearer "}, os.WriteFile(path, []byte(text+"\n"), 0o600)
	}
	text, err := token(jwt.SigningMethodRS256, b.keys.rsa, 0)
	if err != nil {
		return nil, err
	}
	seen, err := write("seen.txt", text)
	if err != nil {
		return nil, err
	}
	garbage, err := write("garbage.txt", "garbage")
	if err != nil {
		return nil, err
	}
	apiKey, _ := keystore.NewAPIKey(keystore.DefaultAPIKeyPrefix)
	withKey, err := write("apikey.txt", apiKey)
	if err != nil {
		return nil, err
	}
	withKey.header, withKey.prefix = "X-API-Key", ""

	const ok = "respond ok"
	upstream, err := b.startCaddy("upstream", "", ok)
	if err != nil {
		return nil, err
	}
	proxy := "reverse_proxy " + strings.Trim(strings.TrimPrefix(upstream.url, "http://"), "/")
	issuerOf := func(file string) string {
		return fmt.Sprintf("issuer %s {\npublic_key %q\n}\naudience %s\n", issuer, file, audience)
	}
	constant := func(c credential) func(int) credential { return func(int) credential { return c } }
	fresh := func(round int) credential {
		return credential{b.file(fmt.Sprintf("fresh-%d.txt", round)), "Authorization", "Bearer "}
	}
	var list []*comparison
	for _, c := range []struct {
		comparison
		jwt, rest string
	}{
		{comparison{name: tokenSeen, credential: constant(seen)}, issuerOf(b.keys.rsaFile), ok},
		{comparison{name: allDifferent, credential: fresh, plusCheck: true}, issuerOf(b.keys.ecFile), ok},
		{comparison{name: "API key", credential: constant(withKey)}, "api_key partner " + keystore.DigestOf(apiKey).String() + "\n", ok},
		{comparison{name: "garbage, refused", credential: constant(garbage), refused: true}, issuerOf(b.keys.rsaFile), ok},
		{comparison{name: tokenSeen + ", with reverse_proxy", credential: constant(seen)}, issuerOf(b.keys.rsaFile), proxy},
	} {
		one := c.comparison
		if one.bare, err = b.startCaddy(fmt.Sprintf("bare-%d", len(list)), "", c.rest); err != nil {
			return nil, err
		}
		if one.with, err = b.startCaddy(fmt.Sprintf("jwt-%d", len(list)), "", "jwt {\n"+c.jwt+"forward user X-User\n}\n"+c.rest); err != nil {
			return nil, err
		}
		list = append(list, &one)
	}
	if !b.haproxy {
		return list, nil
	}
	rules := fmt.Sprintf("\thttp-request set-var(txn.bearer) http_auth_bearer\n\thttp-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(\"RS256\",%q) 1 }\n", b.keys.rsaFile)
	haproxy := &comparison{name: "HAProxy: " + tokenSeen, credential: constant(seen)}
	if haproxy.bare, err = b.startHAProxy("haproxy-bare", ""); err != nil {
		return nil, err
	}
	haproxy.with, err = b.startHAProxy("haproxy-jwt", rules)
	return append(list, haproxy), err
}

// compare measures both servers, each first in every other round.
func (b *bench) compare(c *comparison, round int) error {
	order := []func() error{
		func() (err error) {
			c.bareSamples, err = b.measure(c.bareSamples, c.bare, c.credential(round), false)
			return err
		},
		func() (err error) {
			c.withSamples, err = b.measure(c.withSamples, c.with, c.credential(round), c.refused)
			return err
		},
	}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, f := range order {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// measure sends for a while and takes the time that the server's process ran.
func (b *bench) measure(samples []sample, s *server, c credential, refused bool) ([]sample, error) {
	if len(samples) == 0 && !strings.HasPrefix(filepath.Base(c.file), "fresh") {
		// Not counted: connections, pages of memory and the cache are new.
		if _, err := b.send(s.url, c, time.Second); err != nil {
			return nil, err
		}
	}
	before, err := s.processorTime()
	if err != nil {
		return nil, err
	}
	t, err := b.send(s.url, c, time.Duration(b.seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	after, err := s.processorTime()
	if err != nil {
		return nil, err
	}
	want := 0
	if refused {
		want = t.requests
	}
	// At the end of a file wrk may send a request that is no token.
	if off := max(t.refused-want, want-t.refused); off > 32 {
		return nil, fmt.Errorf("%d of %d requests were refused", t.refused, t.requests)
	}
	return append(samples, sample{float64((after - before).Nanoseconds()) / 1000 / float64(t.requests), t}), nil
}

func (c *comparison) row(checks []float64) (r row, err error) {
	r = row{Name: c.name, PlusCheck: c.plusCheck}
	if r.Bare, err = summary(c.bareSamples, c.bare); err != nil {
		return r, err
	}
	if r.With, err = summary(c.withSamples, c.with); err != nil {
		return r, err
	}
	var ratios []float64
	for i := range c.withSamples {
		base := c.bareSamples[i].micros
		if c.plusCheck {
			base += checks[i]
		}
		ratios = append(ratios, c.withSamples[i].micros/base)
	}
	r.Ratio, r.RatioLeast, r.RatioMost = median(ratios), slices.Min(ratios), slices.Max(ratios)
	return r, nil
}

func summary(samples []sample, s *server) (f figures, err error) {
	each := func(of func(sample) float64) float64 {
		list := make([]float64, len(samples))
		for i := range samples {
			list[i] = of(samples[i])
		}
		return median(list)
	}
	f = figures{
		Micros:    each(func(x sample) float64 { return x.micros }),
		PerSecond: each(func(x sample) float64 { return float64(x.requests) / x.took.Seconds() }),
		P50Micros: each(func(x sample) float64 { return float64(x.p50.Microseconds()) }),
		P99Micros: each(func(x sample) float64 { return float64(x.p99.Microseconds()) }),
	}
	f.PeakMiB, err = s.memory("VmHWM")
	return f, err
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
