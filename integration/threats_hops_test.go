package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A header named in Connection is one for the next hop alone: a proxy drops it.
func TestThreat21_ConnectionDoesNotDropTheIdentity(t *testing.T) {
	t.Parallel()
	s, responder := newForwardingFixture(t, "")
	for name, lines := range map[string][]string{
		"one name":        {"Connection: X-User"},
		"all names":       {"Connection: X-User, X-Roles, X-Claims, X-Internal"},
		"in another case": {"Connection: x-user,X-ROLES", "connection: keep-alive, x-claims"},
		"other marks":     {"Connection: X_User, X.Roles"},
		"among others":    {"Connection: close, X-User", "Connection: X-Roles, keep-alive"},
		"and forged":      {"Connection: X-User, X-Internal", "X-User: " + forged, "X-Internal: " + forged},
		"by other tokens": {"Connection:  \t X-User \t,, ,X-Roles"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range s.forwardCases(t) {
				if f.method == http.MethodPost || f.path == "/nowhere" {
					continue
				}
				for host, upstream := range map[string]*peers.Upstream{site: s.upstream, "cgi.example.test": responder} {
					upstream.Take()
					s.raw(t, host, f.rawRequest(host, lines...)+"\r\n")
					if seen := upstream.Take(); f.asked(t, seen) {
						s.checkIdentityHeaders(t, f, seen[0])
					}
				}
			}
		})
	}
	t.Run("what is nobody's business stays", func(t *testing.T) {
		f := s.forwardCases(t)[0]
		a := s.raw(t, site, f.rawRequest(site, "Connection: X-User, X-Hop", "X-Hop: one", "X-User: "+forged, "X-End: two")+"\r\n")
		if got := a.upstream(t).Header; got.Get("X-Hop") != "" || got.Get("X-End") != "two" {
			t.Errorf("X-Hop is %q and X-End %q; want the first dropped and the second kept", got.Get("X-Hop"), got.Get("X-End"))
		}
	})
	checkNothingForged(t, s.upstream, responder)
}

// rawRequest is the request as HTTP/1.1 writes it, up to its last header line.
func (f forwardCase) rawRequest(host string, lines ...string) string {
	method := f.method
	if method == "" {
		method = http.MethodGet
	}
	text := method + " " + f.path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if f.token != "" {
		text += "Authorization: Bearer " + f.token + "\r\n"
	}
	if f.preflight {
		text += "Origin: https://app.example.test\r\nAccess-Control-Request-Method: PUT\r\n"
	}
	for _, line := range lines {
		text += line + "\r\n"
	}
	return text
}

// forgedTrailers are forged trailers, in spellings that upstreams fold.
var forgedTrailers = []string{"X-User", "X-Roles", "X-Claims", "X-Internal", "X_User", "X.Roles", "x-iNTERNAL"}

// A trailer comes after the handler has looked at the headers.
func TestThreat21_ForgedTrailersDoNotArrive(t *testing.T) {
	t.Parallel()
	s, responder := newForwardingFixture(t, "")
	clients := map[protocol]*http.Client{http2: s.client(http2), h3: s.client(h3)}
	for _, declared := range []string{"", "X-Checksum", "X-Checksum, " + strings.Join(forgedTrailers, ", "), "x-checksum, x-user"} {
		t.Run(fmt.Sprintf("declared as %q", declared), func(t *testing.T) {
			for _, f := range s.forwardCases(t) {
				if f.path == "/nowhere" {
					continue
				}
				if !f.preflight {
					f.method = http.MethodPost
				}
				for host, upstream := range map[string]*peers.Upstream{site: s.upstream, "cgi.example.test": responder} {
					upstream.Take()
					s.raw(t, host, f.chunkedRequest(host, declared))
					s.checkTrailers(t, f, upstream, host == site && declared != "")
				}
				if declared == "" {
					continue // these clients declare what they send
				}
				for version, client := range clients {
					s.upstream.Take()
					s.sendStreamed(t, client, f, declared)
					// Over HTTP/3 no trailer comes to Caddy's handlers.
					s.checkTrailers(t, f, s.upstream, version == http2)
				}
			}
		})
	}
	t.Run("of a credential", func(t *testing.T) {
		f := s.forwardCases(t)[1]
		a := s.raw(t, site, f.rawRequest(site, "Transfer-Encoding: chunked", "Trailer: X-Checksum")+"\r\n5\r\nhello\r\n0\r\nAuthorization: Bearer "+forged+"\r\nX-Checksum: 123\r\n\r\n")
		if seen := a.upstream(t); len(seen.Trailer) != 1 || seen.Trailer.Get("X-Checksum") != "123" {
			t.Errorf("the trailers are %v; want X-Checksum alone", seen.Trailer)
		}
	})
	checkNothingForged(t, s.upstream, responder)
}

// chunkedRequest is the request with a body in chunks and the forged trailers.
func (f forwardCase) chunkedRequest(host, declared string) string {
	lines := []string{"Transfer-Encoding: chunked", "Connection: close"}
	if declared != "" {
		lines = append(lines, "Trailer: "+declared)
	}
	text := f.rawRequest(host, lines...) + "\r\n5\r\nhello\r\n0\r\n"
	for _, name := range forgedTrailers {
		text += name + ": " + forged + "\r\n"
	}
	return text + "X-Checksum: 123\r\n\r\n"
}

// sendStreamed sends the request over a client with the trailers that are declared.
func (s *fixture) sendStreamed(t *testing.T, client *http.Client, f forwardCase, declared string) {
	t.Helper()
	changes := []change{func(r *http.Request) {
		r.Body = io.NopCloser(inPieces("hello", 2))
		r.ContentLength = -1
		r.Trailer = http.Header{}
		for name := range strings.SplitSeq(declared, ", ") {
			r.Trailer[name] = []string{forged}
		}
		r.Trailer.Del("X-Checksum")
		delete(r.Trailer, "x-checksum")
		r.Trailer.Set("X-Checksum", "123")
	}}
	if f.token != "" {
		changes = append(changes, bearer(f.token))
	}
	if f.preflight {
		changes = append(changes, header("Origin", "https://app.example.test"), header("Access-Control-Request-Method", "PUT"))
	}
	s.send(t, client, f.method, site, f.path, changes...)
}

// checkTrailers checks what the upstream gets, and that other trailers arrive.
func (s *fixture) checkTrailers(t *testing.T, f forwardCase, upstream *peers.Upstream, arrive bool) {
	t.Helper()
	seen := upstream.Take()
	if !f.asked(t, seen) {
		return
	}
	s.checkIdentityHeaders(t, f, seen[0])
	want := ""
	if arrive && !strings.HasPrefix(f.path, "/later/") { // no trailers come to error routes
		want = "123"
	}
	if got := seen[0].Trailer.Get("X-Checksum"); arrive && got != want {
		t.Errorf("%s: the trailer X-Checksum is %q; want %q", f.name, got, want)
	}
}

// A body that its client never ends is not waited for, and what a client forges
// after an answer comes too late.
func TestThreat21_ABodyThatIsCutOff(t *testing.T) {
	t.Parallel()
	s, _ := newForwardingFixture(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(site, "/valid/x.php"), reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"X-User": {forged}}
	bearer(s.forwardCases(t)[0].token)(r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := s.client(http2).Do(r); err == nil {
			_ = res.Body.Close()
		}
	}()
	if _, err := writer.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	s.eventually("the upstream is asked", longWait, func() bool { return strings.Contains(s.upstream.Wire(), "half") }, s.upstream.Wire)
	cancel()
	<-done
	_ = writer.Close()
	checkNothingForged(t, s.upstream)
}
