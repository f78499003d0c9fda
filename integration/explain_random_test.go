package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// TestExplainAgreesWithTheServer makes up tokens and requests, and compares what explain
// says of each with what the server does. EXPLAIN_RANDOM is their number, and EXPLAIN_SEED
// makes the same ones again.
func TestExplainAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	total, seed := randomQuestions(t)
	d := newExplainFixture(t)
	maker := newRequestMaker(t, d)
	verdicts, reasons := d.agrees(t, total, seed, maker.make)
	if accepted := verdicts["accepted"]; accepted < total/10 || accepted > total*8/10 || len(reasons) < 20 {
		t.Errorf("of %d requests %d are accepted, for %d reasons others are not: they are not varied", total, accepted, len(reasons)-1)
	}
}

// randomQuestions is how many questions are made up, and from what.
func randomQuestions(t *testing.T) (total int, seed uint64) {
	t.Helper()
	total = 10_000
	if raceEnabled {
		total = 1_000
	}
	seed = 1 // others when there is time to look for more
	if more, err := strconv.Atoi(os.Getenv("EXPLAIN_RANDOM")); err == nil {
		total, seed = more, rand.Uint64()
	}
	if again, err := strconv.ParseUint(os.Getenv("EXPLAIN_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("EXPLAIN_SEED=%d", seed)
	return total, seed
}

// agrees makes up requests, and compares what explain says of each with what the server does.
// It returns how many there were of each verdict and for each reason.
func (d *explainer) agrees(t *testing.T, total int, seed uint64, make func(*testing.T, *rand.Rand) asked) (verdicts, reasons map[string]int) {
	t.Helper()
	var (
		next, differ atomic.Int64
		mu           sync.Mutex
		workers      sync.WaitGroup
	)
	verdicts, reasons = map[string]int{}, map[string]int{}
	for range 6 {
		workers.Go(func() {
			for differ.Load() < 10 {
				n := next.Add(1)
				if n > int64(total) {
					return
				}
				q := make(t, rand.New(rand.NewPCG(seed, uint64(n))))
				s, e, err := d.both(q, n)
				if err != nil {
					differ.Add(1)
					t.Errorf("request %d: %v\n%s", n, err, q)
					continue
				}
				if difference := differs(s, e); difference != "" {
					differ.Add(1)
					t.Errorf("request %d: %s\n%s\nthe server: %+v\n%s", n, difference, q, s, e)
				}
				mu.Lock()
				verdicts[e.Verdict]++
				reasons[e.last().Reason]++
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("verdicts %v, reasons %v", verdicts, reasons)
	return verdicts, reasons
}

// both sends a request and asks about it, in turns what comes first. A machine that is too busy
// for an issuer to answer in time is given more time; an answer that has a fault has a detail.
func (d *explainer) both(q asked, n int64) (s served, e *explained, err error) {
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		s, e, err = d.once(q, n)
		const unavailable = "introspection_unavailable"
		if err != nil || !q.introspect || time.Since(begun) > patience ||
			(s.reason != unavailable || s.detail != "") && (e.last().Reason != unavailable || e.last().Detail != "") {
			return s, e, err
		}
	}
}

func (d *explainer) once(q asked, n int64) (s served, e *explained, err error) {
	inHeaders := n%3 == 0 || !q.onlyInItsPlace()
	question := q.question(inHeaders)
	if n%5 == 0 { // the host in the URI
		delete(question, "site")
		question["uri"] = d.origin(q.host) + question["uri"].(string)
	}
	if n%2 == 0 {
		if e, err = d.explain(question); err != nil {
			return s, e, err
		}
	}
	if s, err = d.serve(q); err != nil {
		return s, e, err
	}
	if e == nil {
		e, err = d.explain(question)
	}
	return s, e, err
}

// differs says in what a report and the server's answer differ.
func differs(s served, e *explained) string {
	verdict := "refused"
	switch s.status {
	case http.StatusOK, http.StatusNoContent, http.StatusNotFound: // the last by an error of the site's own
		if verdict = "anonymous"; s.user != "" {
			verdict = "accepted"
		} else if e.Verdict == "unprotected" && s.reason == "" && (s.method == "" || s.status != http.StatusOK) {
			verdict = "unprotected"
		}
	}
	h := e.last()
	for n := len(e.Handlers) - 1; verdict != "refused" && n >= 0 && h.Reason == "" && h.Verdict != "accepted"; n-- {
		h = &e.Handlers[n] // what report mode says stays until a handler accepts the request
	}
	switch {
	case e.Verdict != verdict:
		return "verdict " + e.Verdict + ", not " + verdict
	case h.Reason != s.reason:
		return fmt.Sprintf("reason %q, not %q", h.Reason, s.reason)
	case h.Detail != s.detail:
		return fmt.Sprintf("detail %q, not %q", h.Detail, s.detail)
	case h.Requirement != s.requirement && verdict == "refused":
		return fmt.Sprintf("requirement %q, not %q", h.Requirement, s.requirement)
	case verdict == "refused" && (e.Status != s.status || e.Reason != s.reason):
		return fmt.Sprintf("status %d, reason %q, not %d, %q", e.Status, e.Reason, s.status, s.reason)
	}
	var user, method string // of the handlers that accept it the last one's
	for _, handler := range e.Handlers {
		if handler.Verdict == "accepted" {
			user, method = handler.User, handler.AuthMethod
		}
	}
	if verdict == "accepted" && (user != s.user || method != s.method) {
		return fmt.Sprintf("user %q by %q, not %q by %q", user, method, s.user, s.method)
	}
	decisive := h.decisive()
	if string(decisive.Reason) != h.Reason {
		return fmt.Sprintf("the first check that failed is %q with the reason %q", decisive.Check, decisive.Reason)
	}
	return ""
}

// onlyInItsPlace reports whether the credential is the only one of the request, and of a form
// that is not mistaken: explain puts it where the site looks for one, unless the request has
// one already.
func (q asked) onlyInItsPlace() bool {
	takesKeys := q.host == site || q.host == "places.example.test"
	return q.host != "chain.example.test" && (q.key == "" || takesKeys) && len(q.headers["Authorization"])+len(q.headers["X-Api-Key"])+len(q.headers["Cookie"]) == 0 && !strings.ContainsAny(q.uri, "?") &&
		(q.token == "" || strings.Count(q.token, ".") == 2) && (q.key == "" || strings.Count(q.key, ".") != 2)
}

func (q asked) String() string {
	text, err := json.Marshal(q.question(true))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// requestMaker makes up requests.
type requestMaker struct {
	d       *explainFixture
	hosts   []string
	signers []*peers.Key
	apiKeys []string
}

func newRequestMaker(t *testing.T, d *explainFixture) *requestMaker {
	t.Helper()
	k := keys(t)
	m := &requestMaker{
		d: d,
		hosts: []string{
			site, site, "strict.example.test", "rules.example.test", "rules.example.test", "chain.example.test", "invoked.example.test",
			"places.example.test", "places.example.test", "optional.example.test", "report.example.test", "forward.example.test",
			"down.example.test", "secret.example.test", "open.example.test",
		},
		signers: []*peers.Key{k.ES256, k.ES256, k.EdDSA, k.EdDSA, k.EdDSA, k.ES384, k.RS256, k.PS256, k.Plain},
	}
	for _, key := range []*peers.APIKey{d.held, d.held, d.held, d.disabled, d.expired, d.written, d.nobody} {
		m.apiKeys = append(m.apiKeys, key.Text)
	}
	for _, key := range []storedKey{d.stored, d.stored, d.storedOff, d.storedRevoked} {
		m.apiKeys = append(m.apiKeys, key.Key)
	}
	return m
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// make makes up a request. Every second one has a token that is good, but for the site's
// rules.
func (m *requestMaker) make(t *testing.T, r *rand.Rand) asked {
	t.Helper()
	q := asked{
		host:    pick(r, m.hosts...),
		method:  pick(r, "GET", "GET", "GET", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH"),
		uri:     pick(r, "/", "/", "/orders/1", "/orders", "/v1/x", "/v1/../orders", "/r/x", "/admin/x", "/%61dmin/x", "/else?a=b", "/ADMIN/x", "//admin/x"),
		headers: http.Header{},
	}
	if q.method == "HEAD" { // its answer shows no identity
		q.method = "GET"
	}
	if r.IntN(2) == 0 {
		q.headers.Set("X-Tenant", pick(r, "a", "b", "acme", "é"))
	}
	if r.IntN(4) == 0 {
		q.headers.Set("Origin", pick(r, m.d.origin(q.host), "https://evil.example.test", "null"))
	}
	if r.IntN(8) == 0 {
		q.headers.Set("Sec-Fetch-Site", pick(r, "same-origin", "cross-site", "none", "same-site"))
	}
	if r.IntN(8) == 0 {
		q.headers.Set("Access-Control-Request-Method", "PUT")
	}
	what := r.IntN(10)
	if what < 8 {
		m.place(&q, r, m.token(t, q.host, r), "token")
	}
	if what == 7 || what == 8 || q.host == "chain.example.test" && r.IntN(2) == 0 {
		m.place(&q, r, m.key(r), "key")
	}
	if what < 8 && r.IntN(20) == 0 { // another one, or the same once more
		m.place(&q, r, m.token(t, q.host, r), "token")
	}
	return q
}

// place puts a credential into the request.
func (m *requestMaker) place(q *asked, r *rand.Rand, text, what string) {
	places := 1
	if q.host == "places.example.test" || r.IntN(12) == 0 {
		places = 5
	}
	separator := "?"
	if strings.Contains(q.uri, "?") {
		separator = pick(r, "&", "&", ";")
	}
	switch r.IntN(places) {
	case 0:
		if what == "token" && q.token == "" {
			q.token = text
		} else if what == "key" && q.key == "" {
			q.key = text
		}
	case 1:
		scheme := pick(r, "Bearer ", "bearer  ", "Bearer ", "Basic ", "Token ", "")
		if scheme == "Basic " {
			text = base64.StdEncoding.EncodeToString([]byte(pick(r, "u:"+text, text+":", text, ":")))
		}
		q.headers.Add("Authorization", strings.TrimSpace(scheme+text))
	case 2:
		q.uri += separator + pick(r, "access_token", "api_key", "access%5Ftoken", "x") + "=" + asQueryValue(text)
	case 3:
		q.headers.Add("Cookie", pick(r, "a=b; ", "", "x;; ")+"session="+asCookieValue(text))
	case 4:
		q.headers.Add(pick(r, "X-API-Key", "X-Api-Key", "X-Token"), text)
	}
}

// asQueryValue and asCookieValue leave out what no URI and no cookie could have.
func asQueryValue(text string) string {
	return strings.NewReplacer("%", "%25", "#", "%23", " ", "+", "\"", "%22", "é", "%C3%A9").Replace(text)
}

func asCookieValue(text string) string {
	return strings.NewReplacer(";", "", ",", "", "\"", "", " ", "", "\\", "", "é", "").Replace(text)
}

func (m *requestMaker) key(r *rand.Rand) string {
	text := pick(r, m.apiKeys...)
	if r.IntN(6) == 0 {
		text = broken(r, text)
	}
	return text
}

// token is one for a site: half of them good, others with one to three things wrong.
func (m *requestMaker) token(t *testing.T, host string, r *rand.Rand) string {
	t.Helper()
	now := time.Now()
	claims := m.d.claims(map[string]any{"scope": pick(r, "read", "read write", "orders:read read", "admin", "admin write read", "")})
	head := map[string]any{}
	key := pick(r, m.signers...)
	switch host {
	case "strict.example.test":
		claims["email"], head["typ"] = "a@example.test", "at+jwt"
		key = pick(r, m.signers[0], m.signers[6], m.signers[0], key)
	case "secret.example.test":
		claims["iss"], key = "https://hmac.example.test", m.d.secret
	case "down.example.test":
		claims["iss"] = "https://down.example.test"
	case "forward.example.test":
		claims["email"] = pick[any](r, "a@b", "a\nb", " a", "é", 7, []string{"a", "b,c"}, nil)
	default:
		claims["tenant"] = pick[any](r, "acme", "a", "b", "é", []string{"acme"}, 1)
		claims["level"] = pick[any](r, 1, 3, 3.5, "3")
	}
	if r.IntN(2) == 0 {
		return key.Token(t, claims, head)
	}
	for range 1 + r.IntN(3) {
		switch r.IntN(4) {
		case 0, 1:
			m.changeClaims(claims, now, r)
		case 2:
			key = m.changeHeader(head, key, r)
		case 3:
			if r.IntN(2) == 0 {
				return m.rawToken(t, key, claims, r)
			}
			token := key.Token(t, claims, head)
			return broken(r, token)
		}
	}
	return key.Token(t, claims, head)
}

// changeClaims changes one claim. No time is near the border at which it decides.
func (m *requestMaker) changeClaims(claims map[string]any, now time.Time, r *rand.Rand) {
	in := func(by ...time.Duration) any { return now.Add(pick(r, by...)).Unix() }
	name := pick(r, "exp", "exp", "nbf", "iat", "iss", "aud", "sub", "jti", "azp", "cnf", "email", "tenant", "scope", "other")
	var value any
	switch name {
	case "exp":
		value = pick(r, in(-time.Hour, -10*time.Minute, -3*time.Minute, time.Minute*10, 90*time.Minute, 4*time.Hour), any("x"), any(-1), any(1e300), nil)
	case "nbf":
		value = pick(r, in(-time.Hour, time.Hour, 5*time.Minute), any("x"), any(0), nil, any(1.5))
	case "iat":
		value = pick(r, in(-2*time.Hour, -45*time.Minute, -15*time.Minute, time.Hour, 5*time.Minute), any("x"), any(true), nil)
	case "iss":
		value = pick[any](r, m.d.issuer.URL+"/", "https://hmac.example.test", "https://down.example.test", "https://evil.example.test", "", 7, nil, []string{m.d.issuer.URL})
	case "aud":
		value = pick[any](r, audience+"/", []string{"a", audience}, []string{}, []any{1}, "", 7, nil, "*")
	case "sub":
		value = pick[any](r, "revoked-sub", "", nil, 7, "é", "a\x00b", []string{"a"})
	case "jti":
		value = pick[any](r, "revoked-jti", "other", 7, nil)
	case "azp":
		value = pick[any](r, "revoked-client", "other", 7)
	case "cnf":
		value = pick[any](r, map[string]any{"jkt": "x"}, "x", nil, map[string]any{})
	case "email":
		value = pick[any](r, nil, 7, "x@y", "", "a\tb")
	case "tenant":
		value = pick[any](r, "acme", nil, []any{"acme", 1}, map[string]any{"a": "b"})
	case "scope":
		value = pick[any](r, "admin", []string{"admin", "write"}, 7, nil, "a  b")
	case "other":
		value = pick[any](r, strings.Repeat("x", 3000), json.RawMessage(strings.Repeat("[", 40)+strings.Repeat("]", 40)), map[string]any{"": nil}, "\u202e")
	}
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
}

// changeHeader changes one member of the header, or the key.
func (m *requestMaker) changeHeader(head map[string]any, key *peers.Key, r *rand.Rand) *peers.Key {
	switch r.IntN(9) {
	case 0:
		head["alg"] = pick[any](r, "none", "HS256", "RS256", "ES256", "EdDSA", "", 7, nil, "Ed25519", "rs256")
	case 1:
		head["kid"] = pick[any](r, "unknown", "", "rs256", "es256", 7, nil, "../../etc/passwd", strings.Repeat("k", 300))
	case 2:
		head["typ"] = pick[any](r, "JWT", "at+jwt", "application/at+JWT", "id", "", nil, 7)
	case 3:
		head["crit"] = pick[any](r, []string{"exp"}, []string{}, "x")
	case 4:
		head["cty"] = pick[any](r, "JWT", "jwt", "json", 7)
	case 5:
		head["b64"] = pick[any](r, false, true, "x")
	case 6:
		head[pick(r, "enc", "zip", "jku", "x5u", "jwk", "x5c")] = pick[any](r, "DEF", "https://localhost:1/", map[string]any{})
	case 7:
		return m.signers[r.IntN(len(m.signers))].Named(key.KID)
	case 8:
		return &peers.Key{Alg: "HS256", KID: key.KID, Secret: []byte(strings.Repeat("s", 32))}
	}
	return key
}

// rawToken has a header or claims that were changed as texts before they were signed.
func (m *requestMaker) rawToken(t *testing.T, key *peers.Key, claims map[string]any, r *rand.Rand) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Error(err)
	}
	head := fmt.Sprintf(`{"alg":%q,"kid":%q}`, key.Alg, key.KID)
	if r.IntN(3) == 0 {
		return key.Raw(t, broken(r, head), string(text))
	}
	return key.Raw(t, head, broken(r, string(text)))
}

// broken is a text with a few bytes changed, removed, added or moved.
func broken(r *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + r.IntN(3) {
		if len(b) < 2 {
			break
		}
		at := r.IntN(len(b))
		switch r.IntN(6) {
		case 0:
			b[at] = byte('!' + r.IntN('~'-'!'))
		case 1:
			b = slices.Delete(b, at, at+1)
		case 2:
			b = slices.Insert(b, at, byte('!'+r.IntN('~'-'!')))
		case 3:
			b = b[:at+1]
		case 4:
			other := r.IntN(len(b))
			b[at], b[other] = b[other], b[at]
		case 5:
			b = slices.Insert(b, at, ".=\"},\\"[r.IntN(6)])
		}
	}
	return strings.TrimSpace(string(b))
}
