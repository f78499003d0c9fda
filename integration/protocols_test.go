package integration

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestThreat29_EveryProtocolIsChecked(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.published()...)
	good := bearer(k.RS256.Token(t, s.claims(nil), nil))
	bad := bearer(k.Stranger.Token(t, s.claims(nil), nil))
	for _, version := range []protocol{http1, http2, h3} {
		t.Run(string(version), func(t *testing.T) {
			client := s.client(version)
			a := s.send(t, client, http.MethodGet, site, "/x?y", good)
			if a.proto != string(version) {
				t.Fatalf("the answer came over %s", a.proto)
			}
			if seen := a.upstream(t); a.status != http.StatusOK || seen.Header.Get("X-User") != "user-1" || seen.URI != "/x?y" {
				t.Errorf("status %d, %+v", a.status, seen)
			}
			s.upstream.Take()
			s.refused(t, s.send(t, client, http.MethodGet, site, "/", bad), http.StatusUnauthorized, "bad_signature")
			s.refused(t, s.send(t, client, http.MethodGet, site, "/"), http.StatusUnauthorized, "missing_credentials")
			s.refused(t, s.send(t, client, http.MethodGet, site, "/", good, bad), http.StatusBadRequest, "multiple_credentials")
			for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodTrace, "PROPFIND"} {
				s.refused(t, s.send(t, client, method, site, "/"), http.StatusUnauthorized, "missing_credentials")
			}
		})
	}
	t.Run("CONNECT", func(t *testing.T) {
		a := s.raw(t, site, "CONNECT "+site+":443 HTTP/1.1\r\nHost: "+site+"\r\nConnection: close\r\n\r\n")
		if a.status < 400 || a.status >= 500 {
			t.Errorf("status %d; want a refusal", a.status)
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		a := s.raw(t, site, "GET / HTTP/1.0\r\nHost: "+site+"\r\n\r\n")
		s.refused(t, a, http.StatusUnauthorized, "missing_credentials")
	})
}

func TestThreat29_BodiesArriveUntouched(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	payload := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	want := digest(payload)

	for _, version := range []protocol{http1, http2, h3} {
		client := s.client(version)
		t.Run("a body of known length over "+string(version), func(t *testing.T) {
			a := s.send(t, client, http.MethodPost, site, "/", bearer(token), body(payload))
			if got := digest(a.upstream(t).Body); got != want {
				t.Errorf("the body's digest is %s; want %s", got, want)
			}
		})
		t.Run("a streamed body over "+string(version), func(t *testing.T) {
			stream := func(r *http.Request) {
				r.Body = io.NopCloser(inPieces(payload, 64))
				r.ContentLength = -1
			}
			a := s.send(t, client, http.MethodPost, site, "/", bearer(token), stream)
			if got := digest(a.upstream(t).Body); got != want {
				t.Errorf("the body's digest is %s; want %s", got, want)
			}
		})
		t.Run("a streamed body of a refused request over "+string(version), func(t *testing.T) {
			s.upstream.Take()
			stream := func(r *http.Request) {
				r.Body = io.NopCloser(inPieces("0123456789", 2))
				r.ContentLength = -1
			}
			s.refused(t, s.send(t, client, http.MethodPost, site, "/", stream), http.StatusUnauthorized, "missing_credentials")
		})
	}

	t.Run("Expect: 100-continue with a good token", func(t *testing.T) {
		for _, version := range []protocol{http1, http2} {
			a := s.send(t, s.client(version), http.MethodPost, site, "/", bearer(token), header("Expect", "100-continue"), body(payload))
			if got := digest(a.upstream(t).Body); got != want {
				t.Errorf("%s: the body's digest is %s; want %s", version, got, want)
			}
		}
	})
	// Over HTTP/1.1 Caddy answers such a request when its client stops waiting
	// and sends the body, whatever handler refused it.
	t.Run("Expect: 100-continue without a token", func(t *testing.T) {
		s.upstream.Take()
		for _, version := range []protocol{http1, http2} {
			a := s.send(t, s.client(version), http.MethodPost, site, "/", header("Expect", "100-continue"), body("hello"))
			s.refused(t, a, http.StatusUnauthorized, "missing_credentials")
		}
	})
	t.Run("trailers of the client reach the upstream", func(t *testing.T) {
		s.upstream.Take()
		a := s.raw(t, site, "POST / HTTP/1.1\r\nHost: "+site+"\r\nAuthorization: Bearer "+token+
			"\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-Checksum: 123\r\n\r\n")
		if seen := a.upstream(t); seen.Body != "hello" || seen.Trailer.Get("X-Checksum") != "123" {
			t.Errorf("the upstream saw %+v", seen)
		}
	})
}

// inPieces gives a text in pieces with a breath between them, so that it
// can't leave in one frame.
func inPieces(text string, pieces int) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		size := (len(text) + pieces - 1) / pieces
		for len(text) > 0 {
			n := min(size, len(text))
			if _, err := io.WriteString(writer, text[:n]); err != nil {
				return // the server wants no more of it
			}
			text = text[n:]
			time.Sleep(time.Millisecond)
		}
		_ = writer.Close()
	}()
	return reader
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func TestThreat29_WebSocketUpgrades(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, allTokenPlaces, options{shownByCaddy: true}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	handshake := func(path string, lines ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + fmt.Sprintf("%s:%d", site, s.port) +
			"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
			strings.Join(append(lines, "", ""), "\r\n")
	}
	for name, request := range map[string]string{
		"a token in the header":                     handshake("/ws", "Authorization: Bearer "+token),
		"a token in the query, all a browser can":   handshake("/ws?access_token=" + token),
		"a token in a cookie of the site's own":     handshake("/ws", "Cookie: session="+token, "Origin: "+s.origin(site)),
		"a token in a cookie, and no browser at it": handshake("/ws", "Cookie: session="+token),
	} {
		t.Run(name, func(t *testing.T) {
			s.upstream.Take()
			conn := s.dial(t, site)
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			res, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Fatalf("status %d, reason %q, %v", res.StatusCode, res.Header.Get("X-Reason"), res.Header)
			}
			message := []byte{0x81, 0x85, 1, 2, 3, 4, 'h' ^ 1, 'e' ^ 2, 'l' ^ 3, 'l' ^ 4, 'o' ^ 1}
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
			echo := make([]byte, len(message))
			if _, err := io.ReadFull(reader, echo); err != nil || !bytes.Equal(echo, message) {
				t.Errorf("the echo is %x, %v", echo, err)
			}
			seen := s.upstream.Take()
			if len(seen) != 1 || seen[0].Header.Get("X-User") != "user-1" || seen[0].URI != "/ws" {
				t.Errorf("the upstream saw %+v", seen)
			}
		})
	}
	for name, request := range map[string]string{
		"no token":     handshake("/ws"),
		"a bad token":  handshake("/ws", "Authorization: Bearer "+k.Stranger.Token(t, s.claims(nil), nil)),
		"a bad cookie": handshake("/ws", "Cookie: session="+k.Stranger.Token(t, s.claims(nil), nil)),
	} {
		t.Run(name, func(t *testing.T) {
			s.refused(t, s.raw(t, site, request), http.StatusUnauthorized, "missing_credentials", "bad_signature")
		})
	}
	s.checkNotSent(t, s.upstream, token)
}
