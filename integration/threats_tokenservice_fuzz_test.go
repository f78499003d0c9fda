package integration

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// fuzzTime is how long requests are made up: TOKEN_FUZZ_TIME, or 3 s.
func fuzzTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TOKEN_FUZZ_TIME")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TOKEN_FUZZ_TIME: %v", err)
	}
	return d
}

// fuzzer makes requests up that have one thing in common: no credential in them is a good one.
type fuzzer struct {
	*rand.Rand
	n        *node
	key      changeAnswer // whose secret it does not know
	access   string       // of that key, which is no credential at the endpoints
	good     string       // an assertion with a good signature that was used
	platform string       // a good token of the platform, for another service
	thief    *peers.Key
}

// oddities are values that parsers have stumbled over.
var oddities = []string{
	"", " ", "\x00", "\n", "null", "true", "0", "-1", "1e999", "[]", "{}", `"`, `\`, "%", "%00", "%zz", "+", "&", "=", ";", "é", "\xff", "\u202e", "../../etc/passwd", "{env.HOME}", "{http.request.host}",
	"client_credentials", typeAssertion, grantBearer, "refresh_token", "deployer", "console", "ci", "caddy-jwt:keys", audience, reports, authIssuer, authIssuer + tokenPath, authIssuer + "/forward",
	"a.b.c", "..", "eyJ.eyJ.x", strings.Repeat("a", 300), strings.Repeat(".", 300), strings.Repeat("{\"a\":", 60), strings.Repeat("[", 300), "urn:ietf:params:oauth:grant-type:token-exchange",
}

func (f *fuzzer) odd() string { return oddities[f.IntN(len(oddities))] }

// mangle changes a text at a few places.
func (f *fuzzer) mangle(text string) string {
	b := []byte(text)
	for range 1 + f.IntN(4) {
		if len(b) == 0 {
			return f.odd()
		}
		at := f.IntN(len(b))
		switch f.IntN(5) {
		case 0:
			b[at] ^= 1 << f.IntN(8)
		case 1:
			b = slices.Delete(b, at, min(len(b), at+1+f.IntN(8)))
		case 2:
			b = slices.Insert(b, at, []byte(f.odd())...)
		case 3:
			b = append(b[:at:at], append(slices.Clone(b[at:min(len(b), at+20)]), b[at:]...)...)
		case 4:
			b[at] = byte(f.IntN(256))
		}
	}
	return string(b)
}

// value is any value of JSON.
func (f *fuzzer) value() any {
	return []any{nil, true, 0, -1, 1e300, time.Now().Unix(), f.odd(), []string{}, []string{f.odd(), authIssuer}, object{}, object{f.odd(): f.odd()}, []any{[]any{nil}}}[f.IntN(12)]
}

// assertion is one that is signed by somebody else, or by the client and about something else.
func (f *fuzzer) assertion(t *testing.T) string {
	now := time.Now()
	claims := object{"iss": "deployer", "sub": "deployer", "aud": authIssuer, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": fmt.Sprint(f.Uint64())}
	names := []string{"iss", "sub", "aud", "iat", "exp", "nbf", "jti", "cnf", "client_id", "scope", f.odd()}
	for range f.IntN(4) {
		claims[names[f.IntN(len(names))]] = f.value()
	}
	headers := object{}
	for range f.IntN(3) {
		headers[[]string{"typ", "alg", "kid", "jwk", "jku", "x5c", "crit", "b64", "zip", f.odd()}[f.IntN(10)]] = f.value()
	}
	signer := f.thief
	if f.IntN(2) == 0 {
		signer = keys(t).ES256.Named("")
		claims["aud"] = "https://another.example.test"
		delete(headers, "alg")
	}
	return signer.Token(t, claims, headers)
}

// credential is a bad one, as fields and headers.
func (f *fuzzer) credential(t *testing.T) (fields []string, changes []change) {
	secret := f.key.Key[:len(f.key.Key)-6] + "zzzzzz"
	switch f.IntN(9) {
	case 0:
		return nil, []change{clientBasic(f.key.ID, secret)}
	case 1:
		return []string{"client_id", f.key.ID, "client_secret", secret}, nil
	case 2:
		return nil, []change{apiKey(secret)}
	case 3:
		text := base64.StdEncoding.EncodeToString([]byte(f.mangle(f.key.ID + ":" + secret)))
		return nil, []change{header("Authorization", "Basic "+f.printable(f.mangle(text)))}
	case 4:
		return []string{"client_assertion_type", typeAssertion, "client_assertion", f.assertion(t)}, nil
	case 5:
		return []string{"client_assertion_type", typeAssertion, "client_assertion", f.good}, nil
	case 6:
		return []string{"client_assertion_type", typeAssertion, "client_assertion", f.mangle(f.assertion(t))}, nil
	case 7:
		return nil, []change{header("Authorization", f.printable(f.mangle("Bearer "+f.access)))}
	}
	return []string{"client_id", f.odd(), "client_secret", f.odd()}, nil
}

// printable is a text that Go's client sends in a header.
func (f *fuzzer) printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '~'
		}
		return c
	}, text)
}

// send makes a request up and returns what it was and what came of it.
func (f *fuzzer) send(t *testing.T) (what string, a answer, err error) {
	path := []string{tokenPath, tokenPath, tokenPath, introspectPath, revokePath}[f.IntN(5)]
	fields, changes := f.credential(t)
	switch {
	case path != tokenPath:
		fields = append(fields, "token", []string{f.access, f.odd(), f.mangle(f.access), f.good, f.assertion(t)}[f.IntN(5)])
	case f.IntN(3) == 0:
		fields = append(fields, "grant_type", grantBearer, "assertion", []string{f.assertion(t), f.platform, f.mangle(f.platform), f.access, f.odd()}[f.IntN(5)])
	default:
		fields = append(fields, "grant_type", "client_credentials")
	}
	for range f.IntN(4) {
		name := []string{"grant_type", "scope", "resource", "audience", "client_id", "token_type_hint", "assertion", "client_assertion_type", f.odd()}[f.IntN(9)]
		fields = append(fields, name, f.odd())
	}
	body, method := encode(fields), http.MethodPost
	switch f.IntN(6) {
	case 0:
		body = f.mangle(body)
	case 1:
		method = []string{"GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PURGE"}[f.IntN(8)]
	case 2:
		path += "?" + encode([]string{f.odd(), f.odd()})
	case 3:
		changes = append(changes, header("Content-Type", f.printable(f.mangle("application/x-www-form-urlencoded; charset=utf-8"))))
	}
	address := fmt.Sprintf("%d.%d.%d.%d", 1+f.IntN(200), f.IntN(256), f.IntN(256), 7)
	a, err = f.n.tryRequest(method, authHost, path, body, append(changes, formType, from(address))...)
	return fmt.Sprintf("%s %s\n%s", method, path, body), a, err
}

// Whatever is sent to the endpoints without a good credential gets a clear refusal: no token, no
// word of one, and nothing that the server has to be sorry for.
func TestThreat42_TheTokenEndpointIsFuzzed(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{global: serviceOptions(t, ""), level: "INFO"})
	n.sites = attackedSites(t)
	n.begin()
	n.waitUntilItRuns()
	n.untilIssuing(t)
	key := n.newClientKey(t, nil)
	used := assertion(t, "deployer", nil, nil)
	n.form(t, tokenPath, asserted(used)).token(t)
	access, thief := n.minted(t, key), peers.NewKey(t, "ES256", "")
	platform := platformToken(t, object{"aud": "https://another.example.test"}, nil)
	n.logs.forbid(key.Key)
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		statuses = map[int]int{}
		seed     = uint64(time.Now().UnixNano())
		end      = time.Now().Add(fuzzTime(t))
	)
	for worker := range 4 {
		group.Go(func() {
			f := &fuzzer{Rand: rand.New(rand.NewPCG(seed, uint64(worker))), n: n, key: key, access: access, good: used, platform: platform, thief: thief}
			for time.Now().Before(end) && !t.Failed() {
				what, a, err := f.send(t)
				if err != nil {
					// The client itself refuses some, and large ones are not read to the end.
					continue
				}
				mu.Lock()
				statuses[a.status]++
				mu.Unlock()
				inactive := strings.TrimSpace(a.body) == `{"active":false}`
				if a.status >= 500 || a.status < 400 || strings.Contains(a.body, "access_token") || strings.Contains(a.body, "eyJ") || inactive {
					t.Errorf("seed %d: status %d, %s, for\n%s", seed, a.status, a.body, what)
				}
			}
		})
	}
	group.Wait()
	t.Logf("answers by status: %v", statuses)
	if statuses[400] < 50 || statuses[401] < 50 {
		t.Errorf("%v: this test tries little", statuses)
	}
	n.is(t, "after all", n.at(site, n.minted(t, key)), accepted)
	n.is(t, "the token that was sent to be revoked", n.at(site, access), accepted)
	for kind, rules := range n.shared(t).Rules {
		if rules > 0 {
			t.Errorf("there are %d rules of the kind %s", rules, kind)
		}
	}
}
