package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// flood is a server that is sent very many valid tokens, each once, and garbage
// then, while one token is in steady use.
type flood struct {
	Tokens int `json:"tokens"`
	// The most resident memory of the process in MiB: before, while valid tokens
	// came, and while garbage came behind them.
	BeforeMiB  float64 `json:"before_mib"`
	TokensMiB  float64 `json:"tokens_mib"`
	GarbageMiB float64 `json:"garbage_mib"`
	// CacheMiB and CacheTokens are what the cache says of itself at the end.
	CacheMiB    float64 `json:"cache_mib"`
	CacheTokens int     `json:"cache_tokens"`
	// BoundMiB is the cache's setting.
	BoundMiB int `json:"bound_mib"`
	// SteadySent is how often the token in steady use was sent, SteadyFound how
	// often it was in the cache.
	SteadySent  int `json:"steady_sent"`
	SteadyFound int `json:"steady_found"`
}

const (
	floodBoundMiB  = 64
	steadyInterval = 100 * time.Millisecond
	sliceSeconds   = 5
)

// floodFor sends tokens that are all different for a while, and says how many were
// accepted.
func (b *bench) floodFor(s *server, seconds int) (int, error) {
	c := credential{file: b.file("flood.txt"), header: "Authorization", prefix: "Bearer "}
	n := freshTokensPerSecond * seconds
	if err := b.keys.tokenFile(c.file, b.signed, n); err != nil {
		return 0, err
	}
	b.signed += n
	t, err := b.send(s.url, c, time.Duration(seconds)*time.Second)
	if err == nil && t.refused > 32 {
		err = fmt.Errorf("%d of %d tokens were refused", t.refused, t.requests)
	}
	return t.requests - t.refused, err
}

func (b *bench) flood() (*flood, error) {
	f := &flood{Tokens: b.tokens, BoundMiB: floodBoundMiB}
	garbage := b.file("flood-garbage.txt")
	if err := os.WriteFile(garbage, []byte("garbage\n"), 0o600); err != nil {
		return nil, err
	}
	s, err := b.startCaddy("flood", "http", fmt.Sprintf("jwt {\ncache %dMiB\n}\nmetrics", floodBoundMiB),
		fmt.Sprintf("jwt {\nissuer %s {\npublic_key %q\n}\naudience %s\nforward user X-User\n}\nrespond ok", issuer, b.keys.ecFile, audience))
	if err != nil {
		return nil, err
	}
	bearer := func(file string) credential {
		return credential{file: file, header: "Authorization", prefix: "Bearer "}
	}
	if _, err := b.send(s.url, bearer(garbage), 3*time.Second); err != nil {
		return nil, err
	}
	if f.BeforeMiB, err = s.memory("VmHWM"); err != nil {
		return nil, err
	}

	steady := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		var err error
		f.SteadySent, err = b.steady(s.url, stop)
		steady <- err
	}()
	hits, _, err := s.cacheLookups()
	f.Tokens = 0
	for err == nil && f.Tokens < b.tokens {
		var n int
		n, err = b.floodFor(s, sliceSeconds)
		f.Tokens += n
	}
	close(stop)
	if e := <-steady; err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	found, _, err := s.cacheLookups()
	if err != nil {
		return nil, err
	}
	f.SteadyFound = found - hits // nothing else comes twice
	if f.TokensMiB, err = s.memory("VmHWM"); err != nil {
		return nil, err
	}
	t, err := b.send(s.url, bearer(garbage), 10*time.Second)
	if err != nil {
		return nil, err
	}
	if t.refused != t.requests {
		return nil, fmt.Errorf("%d of %d requests with garbage were refused", t.refused, t.requests)
	}
	if f.GarbageMiB, err = s.memory("VmHWM"); err != nil {
		return nil, err
	}
	bytes, err := s.metric(`caddy_jwt_cache_bytes`)
	if err != nil {
		return nil, err
	}
	tokens, err := s.metric(`caddy_jwt_cache_tokens`)
	f.CacheMiB, f.CacheTokens = bytes/(1<<20), int(tokens)
	return f, err
}

// steady sends one token again and again until it is stopped, and says how often.
func (b *bench) steady(url string, stop <-chan struct{}) (int, error) {
	text, err := token(jwt.SigningMethodES256, b.keys.ec, -1)
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(steadyInterval)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-stop:
			return n, nil
		case <-tick.C:
		}
		r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, url, nil)
		if err != nil {
			return n, err
		}
		r.Header.Set("Authorization", "Bearer "+text)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return n, err
		}
		if err := res.Body.Close(); err != nil {
			return n, err
		}
		if res.StatusCode != http.StatusOK {
			return n, fmt.Errorf("the token in steady use was answered with %s", res.Status)
		}
		n++
	}
}

func (s *server) cacheLookups() (hits, misses int, err error) {
	h, err := s.metric(`caddy_jwt_cache_lookups_total{result="hit"}`)
	if err != nil {
		return 0, 0, err
	}
	m, err := s.metric(`caddy_jwt_cache_lookups_total{result="miss"}`)
	return int(h), int(m), err
}

// metric reads one series of Caddy's metrics.
func (s *server) metric(series string) (float64, error) {
	res, err := http.Get(s.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("there is no metric %s", series)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
