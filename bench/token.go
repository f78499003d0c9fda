package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// tokens is what a token service costs.
type tokens struct {
	// Rows are the token endpoint beside servers that answer a text, and a site that trusts the
	// service beside one that trusts another issuer.
	Rows    []row `json:"rows"`
	Rounds  int   `json:"rounds"`
	Seconds int   `json:"seconds"`
	// PerSecond is how many tokens a server on two processors issues, which share these with
	// what asks for them.
	PerSecond float64 `json:"tokens_per_second"`
	// Floods are a client beside as many failures as one processor sends.
	Floods []tokenFlood `json:"floods"`
	// Steps are the Go benchmarks.
	Steps *goBenches `json:"steps"`
}

// tokenFlood is how long a client waits for its token meanwhile.
type tokenFlood struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"requests_per_second"` // of the flood
	Tokens    int     `json:"tokens"`              // of the client, none of which failed
	P50Millis float64 `json:"p50_millis"`
	P99Millis float64 `json:"p99_millis"`
}

// The rows that have a budget.
const (
	besideText      = "token endpoint, beside a static text"
	besideSignature = "token endpoint, beside a static text and a bare signature"
	ownToken        = "token of the Caddy's own service seen before, beside one of another issuer"
)

// grantForm asks for a token.
const grantForm = "grant_type=client_credentials"

// tokenBenches are the Go benchmarks, by package.
var tokenBenches = map[string][]string{".": {"ForwardJWT"}, "./tokenservice": {"Token", "CheckClient"}}

// tokenServer is a Caddy with a token service, a site of its own and a client of each kind.
type tokenServer struct {
	*server
	issuer         string
	client, secret string // by API key
	right, wrong   credential
	forged         credential // an assertion of the client that signs, with another key
}

func (b *bench) startTokens(name string) (*tokenServer, error) {
	t := &tokenServer{client: "bench"}
	t.secret, _ = apikey.New(apikey.DefaultPrefix)
	var err error
	t.server, err = b.startCaddy(name, "https", "", fmt.Sprintf(`authorization_server https://127.0.0.1:{PORT} {
	api_key %s %s {
		scopes orders:read orders:write
	}
	client signer {
		public_key %q
		scopes orders:read
	}
	audience %s
}
jwt /own {
	issuer https://127.0.0.1:{PORT}
	audience %s
	forward user X-User
}
jwt /other {
	issuer %s {
		public_key %q
	}
	audience %s
	forward user X-User
}
respond ok`, t.client, apikey.DigestOf(t.secret), b.keys.ecFile, audience, audience, issuer, b.keys.ecFile, audience))
	if err != nil {
		return nil, err
	}
	t.issuer = strings.TrimSuffix(t.url, "/")
	basic := func(secret, name string) (credential, error) {
		c := credential{file: b.file(name + ".txt"), header: "Authorization", prefix: "Basic ", form: grantForm}
		return c, os.WriteFile(c.file, []byte(base64.StdEncoding.EncodeToString([]byte(t.client+":"+secret))+"\n"), 0o600)
	}
	if t.right, err = basic(t.secret, name+"-right"); err != nil {
		return nil, err
	}
	if t.wrong, err = basic(t.secret[:len(t.secret)-4]+"aaaa", name+"-wrong"); err != nil {
		return nil, err
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "signer", "sub": "signer", "aud": t.issuer, "exp": time.Now().Add(4 * time.Minute).Unix(), "jti": "forged",
	}).SignedString(stranger)
	if err != nil {
		return nil, err
	}
	t.forged = credential{file: b.file(name + "-forged.txt"), header: "Accept", form: grantForm + "&client_assertion_type=" +
		url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") + "&client_assertion=" + assertion}
	if err := os.WriteFile(t.forged.file, []byte("*/*\n"), 0o600); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, _, err = t.ask(client); err == nil {
			return t, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w\n%s", name, err, t.log)
		}
	}
}

// endpoint is the URL of the token endpoint.
func (t *tokenServer) endpoint() string { return t.issuer + "/oauth2/token" }

// ask returns a token for the API key, and how long it took.
func (t *tokenServer) ask(by *http.Client) (string, time.Duration, error) {
	r, err := http.NewRequest(http.MethodPost, t.endpoint(), strings.NewReader(grantForm))
	if err != nil {
		return "", 0, err
	}
	r.SetBasicAuth(t.client, t.secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	began := time.Now()
	res, err := by.Do(r)
	if err != nil {
		return "", 0, err
	}
	text, err := io.ReadAll(res.Body)
	took := time.Since(began)
	_ = res.Body.Close()
	if err != nil {
		return "", took, err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		return "", took, fmt.Errorf("the token endpoint answers %s: %s", res.Status, text)
	}
	return answer.Token, took, nil
}

func (b *bench) token() (*tokens, error) {
	t := &tokens{Rounds: b.rounds, Seconds: b.seconds}
	list, err := b.tokenRows()
	if err != nil {
		return nil, err
	}
	if t.Rows, err = b.rows(list); err != nil {
		return nil, err
	}
	if t.PerSecond, err = b.tokensPerSecond(); err != nil {
		return nil, err
	}
	if t.Floods, err = b.tokenFloods(); err != nil {
		return nil, err
	}
	if err := b.stopServers(); err != nil {
		return nil, err
	}
	t.Steps = &goBenches{Values: map[string]map[string][]float64{}}
	for _, name := range slices.Sorted(maps.Keys(tokenBenches)) {
		g, err := b.goBench(b.root, pattern(tokenBenches[name]), b.benchTime, name)
		if err != nil {
			return nil, err
		}
		maps.Copy(t.Steps.Values, g.Values)
	}
	return t, nil
}

// tokenRows starts the servers and says what is sent to them.
func (b *bench) tokenRows() ([]*comparison, error) {
	service, err := b.startTokens("token-service")
	if err != nil {
		return nil, err
	}
	text, err := b.startCaddy("token-text", "https", "", "respond ok")
	if err != nil {
		return nil, err
	}
	signature, err := b.startCaddy("token-signature", "https", "", "signature_made\nrespond ok")
	if err != nil {
		return nil, err
	}
	endpoint := service.at(service.endpoint())
	own, _, err := service.ask(client)
	if err != nil {
		return nil, err
	}
	// The same claims, of an issuer that is none of the Caddy's services.
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(own, claims); err != nil {
		return nil, err
	}
	claims["iss"], claims["exp"] = issuer, time.Now().Add(12*time.Hour).Unix()
	other, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(b.keys.ec)
	if err != nil {
		return nil, err
	}
	// Both servers are alike, but for the path that is asked for.
	twin, err := b.startTokens("token-twin")
	if err != nil {
		return nil, err
	}
	bearer := func(name, text string) (credential, error) {
		c := credential{file: b.file(name), header: "Authorization", prefix: "Bearer "}
		return c, os.WriteFile(c.file, []byte(text+"\n"), 0o600)
	}
	ownCredential, err := bearer("token-own.txt", own)
	if err != nil {
		return nil, err
	}
	otherCredential, err := bearer("token-elsewhere.txt", other)
	if err != nil {
		return nil, err
	}
	return []*comparison{
		{name: besideText, bare: text, with: endpoint, credential: service.right},
		{name: besideSignature, bare: signature, with: endpoint, credential: service.right},
		{name: ownToken, bare: twin.at(twin.issuer + "/other"), with: service.at(service.issuer + "/own"), credential: ownCredential, bareCredential: &otherCredential},
	}, nil
}

// at is the server with another URL.
func (s *server) at(url string) *server {
	other := *s
	other.url = url
	return &other
}

// tokensPerSecond is how many tokens a Caddy issues that has two processors, and shares them with
// wrk.
func (b *bench) tokensPerSecond() (float64, error) {
	wide := *b
	wide.pinned, wide.processors = false, 2
	t, err := wide.startTokens("token-wide")
	b.servers = wide.servers
	if err != nil {
		return 0, err
	}
	var each []float64
	for range b.rounds {
		came, err := wide.send(t.endpoint(), t.right, time.Duration(b.seconds)*time.Second)
		if err != nil {
			return 0, err
		}
		if came.refused > 0 {
			return 0, fmt.Errorf("%d of %d requests for a token were refused", came.refused, came.requests)
		}
		each = append(each, float64(came.requests)/came.took.Seconds())
	}
	return median(each), b.stopServers()
}

// tokenFloods has one client ask for tokens while wrk sends what a server refuses, or a text that
// it answers, by turns.
func (b *bench) tokenFloods() ([]tokenFlood, error) {
	t, err := b.startTokens("token-flooded")
	if err != nil {
		return nil, err
	}
	static := t.right
	floods := []struct {
		tokenFlood
		url    string
		sent   credential
		denied bool

		took []time.Duration
		rate []float64
	}{
		{tokenFlood: tokenFlood{Name: "a static text"}, url: t.url, sent: static},
		{tokenFlood: tokenFlood{Name: "wrong secrets for its id"}, url: t.endpoint(), sent: t.wrong, denied: true},
		{tokenFlood: tokenFlood{Name: "forged assertions for another client's id"}, url: t.endpoint(), sent: t.forged, denied: true},
	}
	for range b.rounds {
		for i := range floods {
			f := &floods[i]
			took, came, err := b.besideFlood(t, f.url, f.sent)
			if err != nil {
				return nil, fmt.Errorf("beside %s: %w", f.Name, err)
			}
			if f.denied && came.refused != came.requests || !f.denied && came.refused > 0 {
				return nil, fmt.Errorf("beside %s: %d of %d were refused", f.Name, came.refused, came.requests)
			}
			f.took, f.rate = append(f.took, took...), append(f.rate, float64(came.requests)/came.took.Seconds())
		}
	}
	var all []tokenFlood
	for _, f := range floods {
		slices.Sort(f.took)
		f.PerSecond, f.Tokens = median(f.rate), len(f.took)
		f.P50Millis, f.P99Millis = f.took[len(f.took)/2].Seconds()*1000, f.took[len(f.took)*99/100].Seconds()*1000
		all = append(all, f.tokenFlood)
	}
	return all, nil
}

// besideFlood returns how long each token of a client took that asks for one a hundred times a
// second.
func (b *bench) besideFlood(t *tokenServer, url string, flood credential) ([]time.Duration, traffic, error) {
	type result struct {
		traffic
		err error
	}
	done := make(chan result, 1)
	go func() {
		came, err := b.send(url, flood, time.Duration(b.seconds)*time.Second)
		done <- result{came, err}
	}()
	var (
		took []time.Duration
		errs []error
	)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case r := <-done:
			return took, r.traffic, errors.Join(append(errs, r.err)...)
		case <-ticker.C:
			_, d, err := t.ask(client)
			if took = append(took, d); err != nil && len(errs) < 3 {
				errs = append(errs, err)
			}
		}
	}
}

// rows measures pairs in all rounds, each in turn, and stops their servers.
func (b *bench) rows(list []*comparison) (rows []row, err error) {
	for round := range b.rounds {
		for _, c := range list {
			if err := b.compare(c); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		b.say("round %d of %d done", round+1, b.rounds)
	}
	for _, c := range list {
		r, err := c.row()
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, b.stopServers()
}
