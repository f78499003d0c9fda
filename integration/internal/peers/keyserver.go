package peers

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
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
	Hang   bool // no answer until the client goes away
}

// KeyServer is an issuer that publishes metadata and keys over TLS, and fails in
// whatever way it is told to.
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
	listener, err := net.Listen("tcp", s.addr)
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
	if answer.Hang {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	if answer.Status != 0 {
		w.WriteHeader(answer.Status)
	}
	_, _ = io.WriteString(w, answer.Body)
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
