package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// askedIssuer is an introspection endpoint that answers as a test wants.
type askedIssuer struct {
	URL    string
	client string // "<id>:<secret>", which it asks for; empty if it asks for none

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by token
	asked   map[string]int
	refused int              // requests that are no question of the client's
	other   http.HandlerFunc // the answer about tokens without one
}

// newAskedIssuer starts one. Its connection is to the own machine, where http is allowed.
func newAskedIssuer(t *testing.T, client string) *askedIssuer {
	t.Helper()
	i := &askedIssuer{client: client, answers: map[string]http.HandlerFunc{}, asked: map[string]int{}, other: saying(`{"active":false}`)}
	server := httptest.NewServer(i)
	t.Cleanup(func() {
		server.CloseClientConnections() // some answers have no end
		server.Close()
	})
	i.URL = server.URL + "/introspect"
	return i
}

func (i *askedIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("token")
	id, secret, basic := r.BasicAuth()
	i.mu.Lock()
	good := r.Method == http.MethodPost && r.URL.Path == "/introspect" && r.URL.RawQuery == "" && token != "" &&
		(i.client == "" && !basic || i.client != "" && id+":"+secret == i.client)
	if !good {
		i.refused++
	}
	i.asked[token]++
	answer := i.answers[token]
	if answer == nil {
		answer = i.other
	}
	i.mu.Unlock()
	if !good {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	answer(w, r)
}

// say sets the answer about a token.
func (i *askedIssuer) say(token string, answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers[token] = answer
}

// times is how often it was asked about a token.
func (i *askedIssuer) times(token string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[token]
}

// strangers is how many requests were no question of the client's.
func (i *askedIssuer) strangers() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.refused
}

// saying answers with JSON.
func saying(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, text)
	}
}

// aboutToken is the answer about a good token, with changes; nil takes a member out.
func aboutToken(t *testing.T, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	all := map[string]any{
		"active": true, "token_type": "Bearer", "sub": "alice", "client_id": "app", "scope": "read write", "aud": audience,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// judged requires the answer to a token about which the issuer was asked, and returns it. A
// machine that is too busy for the issuer to answer in time is given more time.
func (i *askedIssuer) judged(t *testing.T, c *caddy, client *http.Client, host, token string, status int, reason string) answer {
	t.Helper()
	before := i.times(token)
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a := c.send(t, client, http.MethodGet, host, "/", bearer(token))
		for _, secret := range strings.Split(i.client, ":")[1:] {
			if strings.Contains(fmt.Sprint(a), secret) {
				t.Error("the answer has the client secret")
			}
		}
		got := a.header.Get("X-Reason")
		if a.status == status && got == reason && i.times(token) > before {
			return a
		}
		if a.status != http.StatusServiceUnavailable || got != "introspection_unavailable" || time.Since(begun) > patience {
			t.Fatalf("status %d, reason %q, asked %d times; want %d, %q", a.status, got, i.times(token)-before, status, reason)
		}
	}
}
