package peers

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// The paths that a KeyServer answers.
const (
	MetadataPath = "/.well-known/openid-configuration"
	KeySetPath   = "/jwks.json"
)

// Answer takes the place of a KeyServer's own answer at a path.
type Answer struct {
	Status int // 200 if zero
	Header map[string]string
	Body   string
	// Delay is how long the server thinks first.
	Delay time.Duration
	// Hang gives no answer until the client goes away.
	Hang bool
	// Reset breaks the connection off (TCP RST) in the place of an answer.
	Reset bool
	// Drip sends the body a byte at a time, and slowly.
	Drip bool
	// More is how many bytes of white space follow the body; Endless if there
	// is no end to them. Their number is in no header.
	More int64
}

// Endless is an Answer's More without end.
const Endless = -1

// KeyServer is an issuer that publishes metadata and keys over TLS, and fails in
// whatever way a test asks for.
type KeyServer struct {
	// URL is the issuer, without a trailing slash.
	URL string
	CA  *CA

	t    testing.TB
	addr string
	leaf tls.Certificate

	mu      sync.Mutex
	keySet  string
	answers map[string]Answer
	hits    map[string]int
	bearers map[string][]string
	written int64
	dials   int
	server  *http.Server
}

// NewKeyServer starts one that publishes the keys.
func NewKeyServer(t testing.TB, ca *CA, keys ...any) *KeyServer {
	t.Helper()
	s := &KeyServer{
		CA:      ca,
		t:       t,
		leaf:    ca.Leaf(t),
		keySet:  JWKS(t, keys...),
		answers: map[string]Answer{},
		hits:    map[string]int{},
		bearers: map[string][]string{},
	}
	port := FreePort(t)
	s.addr = fmt.Sprintf("127.0.0.1:%d", port)
	s.URL = fmt.Sprintf("https://localhost:%d", port)
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// Publish replaces the key set.
func (s *KeyServer) Publish(keys ...any) {
	s.t.Helper()
	text := JWKS(s.t, keys...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keySet = text
}

// KeySet is the key set in force.
func (s *KeyServer) KeySet() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keySet
}

// Answer replaces what a path answers; nil brings its own answer back.
func (s *KeyServer) Answer(path string, answer *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer == nil {
		delete(s.answers, path)
		return
	}
	s.answers[path] = *answer
}

// Hits counts the requests for a path.
func (s *KeyServer) Hits(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[path]
}

// Paths are those of all requests so far, each once.
func (s *KeyServer) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.hits))
}

// Authorizations are the Authorization headers that came with the requests for
// a path, empty where there was none.
func (s *KeyServer) Authorizations(path string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bearers[path]...)
}

// Written is how many bytes of long bodies (More) clients took.
func (s *KeyServer) Written() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// Dials counts the connections opened, whatever became of them.
func (s *KeyServer) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Down makes the host refuse connections, and drops those that are open.
func (s *KeyServer) Down() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// Up makes the host reachable at the same address again.
func (s *KeyServer) Up() {
	s.t.Helper()
	// A child that another test is just starting holds a copy of the socket
	// that found the port free, or of the one before, until it runs.
	var listener net.Listener
	var err error
	for range 100 {
		if listener, err = net.Listen("tcp", s.addr); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		s.t.Fatalf("starting the key server: %v", err)
	}
	server := &http.Server{
		Handler: s,
		// Handshakes that fail are part of the tests.
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.leaf}},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.mu.Lock()
				s.dials++
				s.mu.Unlock()
			}
		},
	}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() { _ = server.ServeTLS(listener, "", "") }()
}

// ServeHTTP answers as an issuer does.
func (s *KeyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.hits[r.URL.Path]++
	s.bearers[r.URL.Path] = append(s.bearers[r.URL.Path], r.Header.Get("Authorization"))
	answer, replaced := s.answers[r.URL.Path]
	keySet := s.keySet
	s.mu.Unlock()

	if !replaced {
		switch r.URL.Path {
		case MetadataPath:
			answer.Body = s.metadata()
		case KeySetPath:
			answer.Body = keySet
		default:
			answer.Status = http.StatusNotFound
		}
	}
	select {
	case <-time.After(answer.Delay):
	case <-r.Context().Done():
		return
	}
	if answer.Hang {
		<-r.Context().Done()
		return
	}
	if answer.Reset {
		reset(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	// As any server does with a validator that still holds (RFC 9110 §13.1.2).
	if etag := w.Header().Get("ETag"); etag != "" && r.Header.Get("If-None-Match") == etag && answer.Status == 0 {
		answer.Status, answer.Body = http.StatusNotModified, ""
	}
	if answer.Status != 0 {
		w.WriteHeader(answer.Status)
	}
	if answer.Drip {
		drip(w, r, answer.Body)
		return
	}
	if _, err := io.WriteString(w, answer.Body); err == nil && answer.More != 0 {
		s.pad(w, answer.More)
	}
}

// reset ends the connection so that the client sees a reset and no end of file.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 resets the stream then
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if plain, ok := conn.(*net.TCPConn); ok {
		_ = plain.SetLinger(0)
	}
	_ = conn.Close()
}

func drip(w http.ResponseWriter, r *http.Request, body string) {
	for i := range len(body) {
		if _, err := io.WriteString(w, body[i:i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

// pad writes white space, which no JSON parser minds, until the client has had
// enough.
func (s *KeyServer) pad(w io.Writer, more int64) {
	block := bytes.Repeat([]byte{' '}, 32<<10)
	for more != 0 {
		if more > 0 {
			block = block[:min(int64(len(block)), more)]
			more -= int64(len(block))
		}
		n, err := w.Write(block)
		s.mu.Lock()
		s.written += int64(n)
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *KeyServer) metadata() string {
	text, err := json.Marshal(map[string]any{
		"issuer":   s.URL,
		"jwks_uri": s.URL + KeySetPath,
	})
	if err != nil {
		s.t.Errorf("encoding metadata: %v", err)
	}
	return string(text)
}
