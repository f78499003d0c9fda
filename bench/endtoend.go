package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// endToEnd is what whole servers cost, request by request.
type endToEnd struct {
	Rows    []row `json:"rows"`
	Rounds  int   `json:"rounds"`
	Seconds int   `json:"seconds"`
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
	// Checks tells that the bare server checks signatures, and nothing else.
	Checks bool `json:"checks,omitempty"`
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
	credential credential
	refused    bool // whether the answers of with must be refusals
	different  bool // whether each request has another token, whose signature bare checks
	// bareCredential is sent to bare, if it is not the same.
	bareCredential *credential

	bareSamples, withSamples []sample
}

type sample struct {
	micros float64
	traffic
}

// A round of tokens that are all different has so many for each second of load:
// more than a Caddy on one processor verifies.
const freshTokensPerSecond = 12_000

// The rows that have a budget.
const (
	tokenSeen    = "HTTPS, RS256 token seen before"
	allDifferent = "HTTPS, ES256 tokens all different"
)

func (b *bench) endToEnd() (*endToEnd, error) {
	all, err := b.comparisons()
	if err != nil {
		return nil, err
	}
	result := &endToEnd{Rounds: b.rounds, Seconds: b.seconds}
	for round := range b.rounds {
		for _, c := range all {
			if err := b.compare(c); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		b.say("round %d of %d done", round+1, b.rounds)
	}
	for _, c := range all {
		r, err := c.row()
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
		return credential{file: path, header: "Authorization", prefix: "Bearer "}, os.WriteFile(path, []byte(text+"\n"), 0o600)
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
	apiKey, _ := apikey.New(apikey.DefaultPrefix)
	withKey, err := write("apikey.txt", apiKey)
	if err != nil {
		return nil, err
	}
	withKey.header, withKey.prefix = "X-API-Key", ""

	const ok = "respond ok"
	upstream, err := b.startCaddy("upstream", "http", "", ok)
	if err != nil {
		return nil, err
	}
	proxy := "reverse_proxy " + strings.Trim(strings.TrimPrefix(upstream.url, "http://"), "/")
	issuerOf := func(file string) string {
		return fmt.Sprintf("issuer %s {\npublic_key %q\n}\naudience %s\n", issuer, file, audience)
	}
	var list []*comparison
	for _, c := range []struct {
		comparison
		scheme, jwt, rest string
	}{
		{comparison{name: tokenSeen, credential: seen}, "https", issuerOf(b.keys.rsaFile), ok},
		{comparison{name: allDifferent, credential: seen, different: true}, "https", issuerOf(b.keys.ecFile), fmt.Sprintf("signature_check * %q\n", b.keys.ecFile) + ok},
		{comparison{name: "HTTPS, API key", credential: withKey}, "https", "api_key partner " + apikey.DigestOf(apiKey).String() + "\n", ok},
		{comparison{name: "HTTPS, garbage, refused", credential: garbage, refused: true}, "https", issuerOf(b.keys.rsaFile), ok},
		{comparison{name: tokenSeen + ", reverse_proxy", credential: seen}, "https", issuerOf(b.keys.rsaFile), proxy},
		{comparison{name: "HTTP, RS256 token seen before", credential: seen}, "http", issuerOf(b.keys.rsaFile), ok},
	} {
		one := c.comparison
		if one.bare, err = b.startCaddy(fmt.Sprintf("bare-%d", len(list)), c.scheme, "", c.rest); err != nil {
			return nil, err
		}
		// Behind jwt the site does what all others do.
		rest := c.rest
		if c.different {
			rest = ok
		}
		if one.with, err = b.startCaddy(fmt.Sprintf("jwt-%d", len(list)), c.scheme, "", "jwt {\n"+c.jwt+"forward user X-User\n}\n"+rest); err != nil {
			return nil, err
		}
		list = append(list, &one)
	}
	if !b.haproxy {
		return list, nil
	}
	rules := fmt.Sprintf("\thttp-request set-var(txn.bearer) http_auth_bearer\n\thttp-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(\"RS256\",%q) 1 }\n", b.keys.rsaFile)
	haproxy := &comparison{name: "HTTP, HAProxy, RS256", credential: seen}
	if haproxy.bare, err = b.startHAProxy("haproxy-bare", ""); err != nil {
		return nil, err
	}
	haproxy.with, err = b.startHAProxy("haproxy-jwt", rules)
	return append(list, haproxy), err
}

// compare measures both servers: in turns, which says what a request costs, as
// whatever else the machine does disturbs both alike; and then one after the other,
// which says what each achieves.
func (b *bench) compare(c *comparison) error {
	if len(c.bareSamples) == 0 && !c.different {
		// Not counted: connections, pages of memory and the cache are new.
		if _, err := b.send(c.bare.url, c.toBare(c.credential), time.Second); err != nil {
			return err
		}
		if _, err := b.send(c.with.url, c.credential, time.Second); err != nil {
			return err
		}
	}
	tokens := func(seconds int) (credential, error) {
		if !c.different {
			return c.credential, nil
		}
		fresh := c.credential
		fresh.file = b.file("fresh.txt")
		n := freshTokensPerSecond * seconds
		b.signed += n
		return fresh, b.keys.tokenFile(fresh.file, b.signed-n, n)
	}
	credentials, err := tokens(b.seconds)
	if err != nil {
		return err
	}
	bare, with, err := b.inTurns(c, credentials)
	if err != nil {
		return err
	}
	alone := max(1, b.seconds/2)
	if credentials, err = tokens(alone); err != nil {
		return err
	}
	if bare.traffic, err = b.send(c.bare.url, c.toBare(credentials), time.Duration(alone)*time.Second); err != nil {
		return err
	}
	if with.traffic, err = b.send(c.with.url, credentials, time.Duration(alone)*time.Second); err != nil {
		return err
	}
	if err := c.judge(with.traffic); err != nil {
		return err
	}
	c.bareSamples, c.withSamples = append(c.bareSamples, bare), append(c.withSamples, with)
	return nil
}

// toBare is what bare gets while with gets a credential.
func (c *comparison) toBare(sent credential) credential {
	if c.bareCredential != nil {
		return *c.bareCredential
	}
	return sent
}

// inTurns sends to both servers in turns, and takes the time that their processes
// run.
func (b *bench) inTurns(c *comparison, tokens credential) (bare, with sample, err error) {
	servers, samples := [2]*server{c.bare, c.with}, [2]*sample{&bare, &with}
	var loads [2]*exec.Cmd
	var before [2]time.Duration
	for i, s := range servers {
		sent := tokens
		if i == 0 {
			sent = c.toBare(tokens)
		}
		if loads[i], err = b.load(s.url, sent, 2*time.Duration(b.seconds)*time.Second); err != nil {
			return bare, with, err
		}
		if before[i], err = s.processorTime(); err != nil {
			return bare, with, err
		}
	}
	came, err := inTurns(loads)
	if err != nil {
		return bare, with, err
	}
	for i, s := range servers {
		after, err := s.processorTime()
		if err != nil {
			return bare, with, err
		}
		samples[i].traffic = came[i]
		samples[i].micros = float64((after - before[i]).Nanoseconds()) / 1000 / float64(came[i].requests)
	}
	return bare, with, c.judge(with.traffic)
}

// judge requires that requests were answered as they must be. At the end of a file
// wrk may send a request that is no token.
func (c *comparison) judge(t traffic) error {
	want := 0
	if c.refused {
		want = t.requests
	}
	if off := max(t.refused-want, want-t.refused); off > 32 {
		return fmt.Errorf("%d of %d requests were refused", t.refused, t.requests)
	}
	return nil
}

func (c *comparison) row() (r row, err error) {
	r = row{Name: c.name, Checks: c.different}
	if r.Bare, err = summary(c.bareSamples, c.bare); err != nil {
		return r, err
	}
	if r.With, err = summary(c.withSamples, c.with); err != nil {
		return r, err
	}
	var ratios []float64
	for i := range c.withSamples {
		ratios = append(ratios, c.withSamples[i].micros/c.bareSamples[i].micros)
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
