package keystore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// clientSecret has the characters that a form and HTTP Basic write in other ways.
const clientSecret = "s:e&c=r e+t/%ü"

// desk is an issuer's introspection endpoint on a fake network.
type desk struct {
	host
	mu     sync.Mutex
	says   map[string]string // the answer about a token; {"active":false} by default
	forms  []url.Values
	hold   chan struct{} // calls wait until it is closed; nil for not at all
	atOnce int
	most   int // calls at once
}

func newDesk() *desk {
	d := &desk{says: map[string]string{}}
	d.answer = d.serve
	return d
}

func (d *desk) serve(r *http.Request) (*http.Response, error) {
	form, err := url.ParseQuery(readAll(r))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.forms = append(d.forms, form)
	d.atOnce++
	d.most = max(d.most, d.atOnce)
	hold := d.hold
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.atOnce--
	}()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	said, ok := d.says[form.Get("token")]
	if !ok {
		said = `{"active":false}`
	}
	return response(200, []byte(said), "Content-Type", "application/json"), nil
}

func readAll(r *http.Request) string {
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		return ""
	}
	return b.String()
}

// say sets the answer about a token: members besides active and the kind.
func (d *desk) say(token string, members object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.says[token] = string(must(json.Marshal(object{"active": true, "token_type": "Bearer"}.with(members))))
}

func (d *desk) revoke(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.says, token)
}

// holds makes calls wait until the function is called.
func (d *desk) holds() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.hold = hold
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hold = nil
		close(hold)
	}
}

func (d *desk) mostAtOnce() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.most
}

// asks makes an Introspection over a fake network and closes it after the test.
func asks(t testing.TB, transport http.RoundTripper, change func(*IntrospectionConfig)) *Introspection {
	t.Helper()
	c := IntrospectionConfig{
		Issuer: "https://idp.example", URL: "https://idp.example/introspect", Transport: transport,
		ClientID: "api", ClientSecret: func() (string, error) { return clientSecret, nil },
	}
	if change != nil {
		change(&c)
	}
	i, err := NewIntrospection(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// about asks about a token and names the outcome.
func about(i *Introspection, token string) string {
	return aboutFrom(context.Background(), i, token)
}

func aboutFrom(ctx context.Context, i *Introspection, token string) string {
	answer, active, err := i.Introspect(ctx, token)
	switch {
	case err != nil && !errors.Is(err, key.ErrUnavailable):
		return "another error: " + err.Error()
	case err != nil:
		return "unavailable"
	case active && answer.Kind() != claims.Object:
		return "active without an answer"
	case active:
		return "active"
	case answer.Kind() == claims.Null:
		return "inactive"
	default:
		return "refused " + string(answer.AppendJSON(nil))
	}
}

// opaque is the nth token of some that look as issuers make them.
func opaque(n int) string { return fmt.Sprintf("ory_at_%032d", n) }

func from(address string) context.Context {
	return WithClient(context.Background(), netip.MustParseAddr(address))
}

func TestIntrospectionKeepsAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cache  time.Duration
		claims object
		active bool
		kept   time.Duration // how long no call is made for the token; 0 for not at all
	}{
		"by default for 30 s":        {0, nil, true, 30 * time.Second},
		"as long as is written":      {2 * time.Minute, nil, true, 2 * time.Minute},
		"not at all":                 {-1, nil, true, 0},
		"until exp, if that is soon": {0, object{"exp": 946684800 + 7}, true, 7 * time.Second},
		"not beyond cache":           {0, object{"exp": 946684800 + 7000}, true, 30 * time.Second},
		"not after exp":              {0, object{"exp": 946684800 - 1}, true, 0},
		"not with an exp of text":    {0, object{"exp": "946694800"}, true, 0},
		"not with an endless exp":    {0, object{"exp": 1e300}, true, 0},
		"not with a negative exp":    {0, object{"exp": -5}, true, 0},
		"inactive for 5 s":           {time.Hour, nil, false, 5 * time.Second},
		"inactive without a cache":   {-1, nil, false, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // it is 2000-01-01 in the bubble
				d, want := newDesk(), "inactive"
				if c.active {
					d.say(opaque(1), c.claims)
					want = "active"
				}
				i := asks(t, d, func(i *IntrospectionConfig) { i.Cache = c.cache })
				expect(t, "the first", about(i, opaque(1)), want)
				if c.kept == 0 {
					expect(t, "the second", about(i, opaque(1)), want)
					if d.count() != 2 {
						t.Errorf("%d calls for two requests", d.count())
					}
					return
				}
				time.Sleep(c.kept - 1)
				expect(t, "just before the end", about(i, opaque(1)), want)
				if d.count() != 1 {
					t.Errorf("%d calls while it is kept", d.count())
				}
				time.Sleep(time.Millisecond)
				expect(t, "at the end", about(i, opaque(1)), want)
				if d.count() != 2 {
					t.Errorf("%d calls once it is no longer kept", d.count())
				}
			})
		})
	}
}

func TestIntrospectionCountsFromTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.say(opaque(1), nil)
		i := asks(t, d, nil)
		release := d.holds()
		time.AfterFunc(4*time.Second, release)
		expect(t, "a slow answer", about(i, opaque(1)), "active")
		d.revoke(opaque(1))
		time.Sleep(26 * time.Second)
		expect(t, "30 s after it was asked", about(i, opaque(1)), "inactive")
	})
}

func TestIntrospectionAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	d, c := newDesk(), newTestClock()
	d.say(opaque(1), nil)
	i := asks(t, d, func(i *IntrospectionConfig) { i.Clock = c })
	expect(t, "active", about(i, opaque(1)), "active")
	d.revoke(opaque(1))
	c.Set(c.Now().Add(-24 * time.Hour))
	expect(t, "revoked, with the clock set back", about(i, opaque(1)), "inactive")
}

func TestIntrospectionOneCallForOneToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.say(opaque(1), nil)
		release := d.holds()
		i := asks(t, d, nil)
		impatient, leaves := context.WithCancel(context.Background())
		gone := make(chan string, 1)
		// The one that begins the call goes away, and the others have the answer.
		go func() { gone <- aboutFrom(impatient, i, opaque(1)) }()
		synctest.Wait()
		outcomes := make(chan string, 500)
		for range 500 {
			go func() { outcomes <- about(i, opaque(1)) }()
		}
		synctest.Wait()
		leaves()
		expect(t, "the one that left", <-gone, "unavailable")
		release()
		for range 500 {
			expect(t, "one that stayed", <-outcomes, "active")
		}
		if d.count() != 1 {
			t.Errorf("%d calls", d.count())
		}
		if s := i.Status(); s.Active != 1 || s.Calls != 1 || s.Running != 0 || s.Waiting != 0 || s.Kept != 1 || s.TurnedAway != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestIntrospectionAnAnswerThatNobodyWaitsForIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.say(opaque(1), nil)
		release := d.holds()
		i := asks(t, d, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		expect(t, "the only one leaves", aboutFrom(ctx, i, opaque(1)), "unavailable")
		release()
		synctest.Wait()
		expect(t, "the next", about(i, opaque(1)), "active")
		if d.count() != 1 {
			t.Errorf("%d calls", d.count())
		}
	})
}

func TestIntrospectionAsksAboutTokensAlone(t *testing.T) {
	t.Parallel()
	d := newDesk()
	i := asks(t, d, nil)
	long, signed := strings.Repeat("a", 4096), strings.Repeat("a", 8000)
	for text, asked := range map[string]bool{
		"0123456789abcde":                 false, // 15 bytes
		"0123456789abcdef":                true,
		"AZaz09-._~+/AZaz09==":            true,
		"================":                false,
		"0123456789ab=def":                false, // "=" but at the end
		"0123456789abcde ":                false,
		"0123456789abcdef\r\nHost: a":     false,
		"0123456789abcdef&token=x":        false,
		"0123456789abcdef%00":             false,
		"0123456789abcdefü":               false,
		"0123456789abcdef,0123":           false,
		long:                              true,
		long + "a":                        false,
		signed + "." + signed + ".sig":    true, // a JWT
		signed + "." + signed + "..sig":   false,
		signed + "..." + signed + ".sig":  false, // five segments
		signed + signed + "." + "aaa.sig": true,
		signed + signed + "." + strings.Repeat("a", 400) + ".sig": false,
		"": false,
	} {
		before := d.count()
		expect(t, cut(text, 30), about(i, text), "inactive")
		if got := d.count() > before; got != asked {
			t.Errorf("%s (%d bytes): asked %v, want %v", cut(text, 30), len(text), got, asked)
		}
	}
}

func TestIntrospectionKeepsNothingOfATokenInPlainText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		i := asks(t, d, nil)
		d.say(opaque(1), nil)
		about(i, opaque(1))
		about(i, opaque(2))
		release := d.holds()
		for n := range 10 {
			go about(i, opaque(10+n))
		}
		synctest.Wait()
		i.mu.Lock()
		for _, q := range i.asking {
			if (q.token != "") == q.begun {
				t.Errorf("%d bytes of a token, begun: %v", len(q.token), q.begun)
			}
		}
		if len(i.asking) != 10 {
			t.Errorf("%d inquiries", len(i.asking))
		}
		i.mu.Unlock()
		release()
		synctest.Wait()
		if text := fmt.Sprintf("%+v", &i.kept); strings.Contains(text, opaque(1)) || strings.Contains(text, opaque(2)) {
			t.Error("a token is in memory")
		}
	})
}

func TestIntrospectionNothingRunsAfterClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine stays
		d := newDesk()
		d.say(opaque(1), nil)
		d.holds() // for ever
		i := asks(t, d, nil)
		ctx, leaves := context.WithCancel(context.Background())
		waits := make(chan string, 2)
		go func() { waits <- aboutFrom(ctx, i, opaque(1)) }()
		go func() { waits <- about(i, opaque(2)) }()
		synctest.Wait()
		leaves()
		expect(t, "the one that left", <-waits, "unavailable")
		begun := time.Now()
		i.Close()
		i.Close()
		synctest.Wait()
		if got := i.Status(); got.Running != 1 || got.Failed != 0 {
			t.Errorf("%+v: the call that nobody waits for goes on, or is counted as failed", got)
		}
		expect(t, "the one that stayed", <-waits, "unavailable")
		if took := time.Since(begun); took != callTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// idleNoter notes when idle connections are closed.
type idleNoter struct {
	*desk
	closed int
}

func (n *idleNoter) CloseIdleConnections() { n.closed++ }

func TestIntrospectionClosesConnectionsWhenTheLastCallEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &idleNoter{desk: newDesk()}
		i := asks(t, n, nil)
		release := n.holds()
		done := make(chan string)
		go func() { done <- about(i, opaque(1)) }()
		synctest.Wait()
		i.Close()
		before := n.closed
		release()
		expect(t, "the one in flight", <-done, "inactive")
		synctest.Wait()
		if before != 1 || n.closed != 2 {
			t.Errorf("closed %d times, and %d after the last call", before, n.closed-before)
		}
	})
}

func TestIntrospectionOverTheNetworkLeavesNoGoroutine(t *testing.T) {
	server := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) { sayJSON(w, `{"active":true,"token_type":"Bearer"}`) })
	before := runtime.NumGoroutine()
	i := asks(t, nil, func(c *IntrospectionConfig) { c.URL, c.Transport = server.URL+"/introspect", nil })
	for n := range 5 {
		expect(t, "a token", about(i, opaque(n)), "active")
	}
	i.Close()
	server.CloseClientConnections()
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines more", now-before)
	}
}

func TestIntrospectionRemembered(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.say(opaque(1), nil)
	i := asks(t, d, nil)
	remembered := func(token string) string {
		_, active, known := i.Remembered(token)
		return fmt.Sprint(active, known)
	}
	expect(t, "before", remembered(opaque(1)), "false false")
	_, _ = about(i, opaque(1)), about(i, opaque(2))
	expect(t, "active", remembered(opaque(1)), "true true")
	expect(t, "inactive", remembered(opaque(2)), "false true")
	expect(t, "not asked about", remembered(opaque(3)), "false false")
	expect(t, "no token", remembered("short"), "false true")
	if s := i.Status(); d.count() != 2 || s.Cached != 0 {
		t.Errorf("%d calls, %d counted", d.count(), s.Cached)
	}
}
