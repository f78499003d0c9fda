package integration

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// statusCommand runs `caddy jwt status` on this server, requires an exit code, and
// returns what the command printed.
func (c *caddy) statusCommand(t *testing.T, code int, args ...string) string {
	t.Helper()
	return checkStatusCommand(t, code, append(args, "--address", c.adminAddress())...)
}

func checkStatusCommand(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, text := caddyCommandIn(t, t.TempDir(), nil, append([]string{"jwt", "status"}, args...)...)
	if got != code {
		t.Errorf("caddy jwt status %q: exit code %d; want %d\n%s", args, got, code, text)
	}
	return text
}

// The command shows what the endpoint answers, for people and for scripts.
func TestStatusCommand(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	t.Run("a table", func(t *testing.T) {
		text := s.statusCommand(t, 0)
		for _, part := range []string{s.issuer.URL, s.statusOf(t, s.issuer.URL).ID, "fresh", k.RS256.KID} {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in it:\n%s", part, text)
			}
		}
		if strings.Contains(text, "{") {
			t.Errorf("there is JSON in it:\n%s", text)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		text := s.statusCommand(t, 0, "--json")
		served, err := s.adminGet("/jwt/status")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := withoutAges(t, text), withoutAges(t, served); got != want {
			t.Errorf("the command says %s\nthe endpoint says %s", got, want)
		}
	})
	t.Run("an issuer that is not well", func(t *testing.T) {
		s.issuer.Down()
		s.refresh(t, s.issuer.URL)
		for _, args := range [][]string{nil, {"--json"}} {
			if text := s.statusCommand(t, 1, args...); !strings.Contains(text, "refused") {
				t.Errorf("the last error is not in it:\n%s", text)
			}
		}
	})
	t.Run("a server without a jwt handler", func(t *testing.T) {
		s.mustReload(t, noIssuer)
		s.statusCommand(t, 1)
	})
	t.Run("no server", func(t *testing.T) {
		checkStatusCommand(t, 1, "--address", fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)))
	})
	t.Run("misuse", func(t *testing.T) {
		checkStatusCommand(t, 2, "--no-such-flag")
		checkStatusCommand(t, 2, "argument")
		checkStatusCommand(t, 2, "--config", "no-such-file.json")
	})
}

// The certificate of an issuer, or of anyone who sits between it and Caddy, says which names
// it is for, and the last error repeats them. What a terminal would obey is escaped.
func TestStatusCommandEscapesWhatACertificateSays(t *testing.T) {
	t.Parallel()
	ca := peers.NewCA(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{ca.LeafFor(t, []string{"other.example\x1b[2J\x1b]0;owned\a\r\nfresh"})},
	}}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	issuer := "https://localhost:" + port
	s := newFixture(t, oneIssuer, options{env: map[string]string{"ISSUER": issuer, "CA": ca.File}})
	s.eventually("the source fails", 5*time.Second, func() bool { return s.statusOf(t, issuer).LastError != "" }, func() string { return "" })
	mark := `other.example\u001b[2J`
	check := func(what, text string) {
		t.Helper()
		if !strings.Contains(text, mark) {
			t.Errorf("%s: the certificate's name is not in it: %q", what, text)
		}
		for _, c := range text {
			if c < ' ' && c != '\n' && c != '\t' {
				t.Errorf("%s: %U is in it: %q", what, c, text)
				return
			}
		}
	}
	check("the table", s.statusCommand(t, 1))
	check("JSON", s.statusCommand(t, 1, "--json"))
	page, err := s.adminGet("/jwt/status")
	if err != nil {
		t.Fatal(err)
	}
	check("the endpoint", page)
}

// withoutAges is a status page without what changes with the time of day.
func withoutAges(t *testing.T, text string) string {
	t.Helper()
	var page struct{ Issuers []map[string]any }
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	for _, issuer := range page.Issuers {
		delete(issuer, "age_seconds")
	}
	again, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(again)
}
