package keystore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// The limits on asking an issuer.
const (
	// callTimeout bounds a call: looking for the endpoint, DNS, the whole answer.
	callTimeout = 5 * time.Second
	// slotWait is the longest that a request waits for a call to begin.
	slotWait = 2 * time.Second
	// maxJoined is how many requests wait for one call that has begun, which is that of a
	// token that all of them have. Each holds a goroutine for callTimeout at most.
	maxJoined = 4096
)

// Introspection asks one issuer about its tokens (RFC 7662), and keeps the answers for a
// while. It is safe for concurrent use. The way of a token:
//
//	Introspect ── is no token ──▶ not active
//	    │ answer kept (introspectcache.go) ──▶ that answer
//	    ▼
//	   join ── somebody asks about it already ──▶ waits for that call
//	    │ pause after failures (introspectcircuit.go) ──▶ unavailable
//	    │ no slot (introspectslots.go) ──▶ queue ── 2 s ──▶ unavailable
//	    ▼                                   │
//	   call (introspectcall.go) ◀── slot ───┘
//	    │
//	   finish: the only place where answers, circuit and counts change
//
// A call runs in a goroutine of its own, so that it does not end with the request that began
// it. Nothing of a token is kept but its digest.
type Introspection struct {
	config IntrospectionConfig
	client *client
	place  place
	kept   keptAnswers

	mu      sync.Mutex
	asking  map[tokenDigest]*inquiry
	slots   slots
	known   knownTokens
	circuit circuit
	counts  IntrospectionStatus // the counts of it, and its times
	lastErr error
	closed  bool
	events  introspectionEvents
}

// tokenDigest stands for a token: its SHA-256.
type tokenDigest [sha256.Size]byte

// inquiry is a question to the issuer, and all requests that wait for the answer.
type inquiry struct {
	digest  tokenDigest
	token   string // empty once it was sent
	network netip.Prefix
	known   bool
	begun   bool
	epoch   uint64 // of the circuit, when it began
	at      time.Time
	waiters int
	stop    func() bool // of the timer that ends its waiting for a slot
	cancel  func()

	done   chan struct{} // closed when what follows is set
	answer judged
	err    error
}

// NewIntrospection makes an Introspection. It neither touches the network nor starts a
// goroutine. The errors are those of IntrospectionConfig.Check.
func NewIntrospection(c IntrospectionConfig) (*Introspection, error) {
	s, err := c.source()
	if err != nil {
		return nil, err
	}
	if c.Cache == 0 {
		c.Cache = DefaultIntrospectionCache
	}
	if s.Transport == nil {
		s.Transport = newCallTransport(&s)
	}
	i := &Introspection{config: c, client: newClient(s), asking: map[tokenDigest]*inquiry{}}
	i.place.turn = make(chan struct{}, 1)
	i.events.observe = c.Observe
	if c.URL != "" {
		i.place.found = &endpoint{url: s.start}
	}
	return i, nil
}

// Introspect returns what the issuer says about a token, and whether it is an active access
// token. It implements validator.Introspector.
//
// A token that the issuer calls active is not if the answer is about another kind of token (a
// refresh token, say, or one bound to a key that the answer does not name), or from another
// issuer. Then answer is an object with the members that say so, besides active, which is true.
// It is null for a token that is simply not active. A token with cnf is active: the caller
// decides whether it may be used without the proof of its key.
//
// Text that can be no token (RFC 6750 section 2.1) or has less than 16 bytes or too many is
// not active, without a call. The errors wrap key.ErrUnavailable.
func (i *Introspection) Introspect(ctx context.Context, token string) (answer claims.Value, active bool, err error) {
	if !Introspectable(token) {
		return claims.Value{}, false, nil
	}
	d := digestOf(token)
	now := i.client.Clock.Now()
	if answer, active, ok := i.kept.get(d, now); ok {
		return answer, active, nil
	}
	q, err := i.join(ctx, token, d, now)
	if q == nil {
		return claims.Value{}, false, err
	}
	select {
	case <-q.done:
		i.leave(q)
		if q.err != nil {
			return claims.Value{}, false, &unavailableError{q.err}
		}
		return q.answer.value, q.answer.active, nil
	case <-ctx.Done():
		i.leave(q)
		return claims.Value{}, false, &unavailableError{context.Cause(ctx)}
	}
}

// Remembered returns the answer about a token that Introspect would return without asking,
// and leaves no trace. known is false if there is none.
func (i *Introspection) Remembered(token string) (answer claims.Value, active, known bool) {
	if !Introspectable(token) {
		return claims.Value{}, false, true
	}
	return i.kept.look(digestOf(token), i.client.Clock.Now())
}

func digestOf(token string) tokenDigest {
	// The conversion saves a copy; Sum256 does not keep it.
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

// The lengths of tokens that an issuer is asked about. JWTs, whose claims are in the text, may
// be longer.
const (
	minTokenBytes  = 16
	maxTokenBytes  = 4 << 10
	maxSignedBytes = 16 << 10
)

// Introspectable reports whether an issuer is asked about a text: it is a b64token (RFC 6750
// section 2.1) that is neither too short to be a secret nor too long. Anything else could mean
// something else to the endpoint, and no issuer gives it out.
func Introspectable(token string) bool {
	if len(token) < minTokenBytes || len(token) > maxTokenBytes && (len(token) > maxSignedBytes || strings.Count(token, ".") != 2) {
		return false
	}
	n := len(token)
	for n > 0 && token[n-1] == '=' {
		n--
	}
	for _, c := range []byte(token[:n]) {
		if !inToken[c] {
			return false
		}
	}
	return n > 0
}

// inToken are the characters of a b64token, without the "=" at its end.
var inToken = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		set[c] = true
	}
	return set
}()

// turnAway counts a request that gets no answer. The caller holds the lock.
func (i *Introspection) turnAway(err error) error {
	i.counts.TurnedAway++
	return &unavailableError{err}
}

// paused returns the error for a request that comes in a pause after failures. The caller
// holds the lock.
func (i *Introspection) paused() error {
	if i.lastErr == nil {
		return errPaused
	}
	return fmt.Errorf("%w: %w", errPaused, i.lastErr)
}

// Close ends what runs in the background. Requests in flight may still ask; nothing is left
// running 5 s later.
func (i *Introspection) Close() {
	i.mu.Lock()
	i.closed = true
	i.events.observe = nil
	for _, q := range i.asking {
		if q.begun && q.waiters == 0 {
			q.cancel()
		}
	}
	i.mu.Unlock()
	i.client.closeIdle()
}

var (
	errCallTimeout = fmt.Errorf("there is no complete answer within %s", callTimeout)
	errBusy        = errors.New("the issuer is asked about too many tokens at once")
	errPaused      = errors.New("the issuer is not asked at the moment, as it failed several times in a row")
)

// unavailableError is why nothing is known about a token.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }

// Unwrap returns the cause, and key.ErrUnavailable.
func (e *unavailableError) Unwrap() []error { return []error{e.err, key.ErrUnavailable} }

type clientKey struct{}

// WithClient returns a context that says which client sends a token to Introspect. Of the calls
// for tokens that are not known, those for one network (IPv4 /24, IPv6 /56) are limited.
// Without it, all clients are one network.
func WithClient(ctx context.Context, client netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// networkOf returns the network of the client of a request.
func networkOf(ctx context.Context) netip.Prefix {
	client, _ := ctx.Value(clientKey{}).(netip.Addr)
	client = client.Unmap().WithZone("")
	bits := 56
	if client.Is4() {
		bits = 24
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
