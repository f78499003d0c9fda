package keystore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func token() (string, error) { return "s3cret", nil }

// bearers lists the requests of a host: each URL, and "+" where it carried
// the token.
func bearers(h *host) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, r := range h.requests {
		s := r.URL.String()
		switch r.Header.Get("Authorization") {
		case "":
		case "Bearer s3cret":
			s += "+"
		default:
			s += "?"
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

func TestThreat35_RedirectsNeverCarryTheTokenElsewhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hops map[string]string // from, to
		want string            // the requests, + with the token
		good bool
	}{
		"no redirect": {nil, "https://idp.example/jwks+", true},
		"the same host": {
			map[string]string{"https://idp.example/jwks": "/keys"},
			"https://idp.example/jwks+ https://idp.example/keys+", true,
		},
		"the same host, its port written": {
			map[string]string{"https://idp.example/jwks": "https://IDP.example:443/keys"},
			"https://idp.example/jwks+ https://IDP.example:443/keys+", true,
		},
		"another host": {
			map[string]string{"https://idp.example/jwks": "https://evil.example/keys"},
			"https://idp.example/jwks+ https://evil.example/keys", true,
		},
		"a subdomain": {
			map[string]string{"https://idp.example/jwks": "https://sub.idp.example/keys"},
			"https://idp.example/jwks+ https://sub.idp.example/keys", true,
		},
		"another port": {
			map[string]string{"https://idp.example/jwks": "https://idp.example:8443/keys"},
			"https://idp.example/jwks+ https://idp.example:8443/keys", true,
		},
		"away and back": {
			map[string]string{"https://idp.example/jwks": "https://evil.example/", "https://evil.example/": "https://idp.example/keys"},
			"https://idp.example/jwks+ https://evil.example/ https://idp.example/keys", true,
		},
		"away by a URL without scheme": {
			map[string]string{"https://idp.example/jwks": "//evil.example/keys#frag"},
			"https://idp.example/jwks+ https://evil.example/keys", true,
		},
		"to http": {
			map[string]string{"https://idp.example/jwks": "http://idp.example/keys"},
			"https://idp.example/jwks+", false,
		},
		"to http on loopback": {
			map[string]string{"https://idp.example/jwks": "http://localhost/keys"},
			"https://idp.example/jwks+", false,
		},
		"to one with a password": {
			map[string]string{"https://idp.example/jwks": "https://u:p@idp.example/keys"},
			"https://idp.example/jwks+", false,
		},
		"five": {
			map[string]string{
				"https://idp.example/jwks": "/1", "https://idp.example/1": "/2", "https://idp.example/2": "/3",
				"https://idp.example/3": "/4", "https://idp.example/4": "/5",
			},
			"https://idp.example/jwks+ https://idp.example/1+ https://idp.example/2+ https://idp.example/3+ https://idp.example/4+ https://idp.example/5+", true,
		},
		"six": {
			map[string]string{
				"https://idp.example/jwks": "/1", "https://idp.example/1": "/2", "https://idp.example/2": "/3",
				"https://idp.example/3": "/4", "https://idp.example/4": "/5", "https://idp.example/5": "/6",
			},
			"https://idp.example/jwks+ https://idp.example/1+ https://idp.example/2+ https://idp.example/3+ https://idp.example/4+ https://idp.example/5+", false,
		},
	} {
		h := &host{}
		h.set(func(r *http.Request) (*http.Response, error) {
			if to, ok := c.hops[r.URL.String()]; ok {
				return response(302, []byte("moved"), "Location", to), nil
			}
			return response(200, ec("a")), nil
		})
		r := remote(t, h, func(c *RemoteConfig) { c.BearerToken = token })
		err := r.Refresh(context.Background())
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if got := bearers(h); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the token shows: %v", name, err)
		}
	}
}

func TestFetchOverPlainHTTPIsNeverRedirectedToPlainHTTP(t *testing.T) {
	t.Parallel()
	h := &host{}
	h.set(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/jwks" {
			return response(307, nil, "Location", "/keys"), nil
		}
		return response(200, ec("a")), nil
	})
	r := remote(t, h, func(c *RemoteConfig) { c.JWKSURL = "http://localhost:8080/jwks" })
	if err := r.Refresh(context.Background()); err == nil || h.count() != 1 {
		t.Errorf("%v after %d requests", err, h.count())
	}
}

func TestFetchReadsTheTokenEachTime(t *testing.T) {
	t.Parallel()
	h := &host{answer: answers(200, ec("a"))}
	n := 0
	r := remote(t, h, func(c *RemoteConfig) {
		c.BearerToken = func() (string, error) {
			if n++; n == 3 {
				return "", errors.New("open /var/run/token: no such file")
			}
			return fmt.Sprint("token-", n, "\n"), nil
		}
	})
	for range 2 {
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	if got := h.requests[1].Header.Get("Authorization"); got != "Bearer token-2" || h.count() != 2 {
		t.Errorf("got %q, %d requests", got, h.count())
	}
}

func TestFetchEndsAfterTenSecondsInAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		h.set(func(r *http.Request) (*http.Response, error) { // each hop in time, the whole not
			select {
			case <-time.After(3 * time.Second):
				return response(302, nil, "Location", "/next"), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		r := remote(t, h, nil)
		begun := time.Now()
		err := r.Refresh(context.Background())
		if took := time.Since(begun); took != fetchTimeout || !errors.Is(err, errTimeout) {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestFetchReadsNoMoreThanAMebibyte(t *testing.T) {
	t.Parallel()
	body := &endless{}
	h := &host{}
	h.set(func(*http.Request) (*http.Response, error) { return stream(body), nil })
	if err := remote(t, h, nil).Refresh(context.Background()); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
	if body.read > 2*maxDocumentBytes {
		t.Errorf("%d bytes were read", body.read)
	}
}

func TestFetchSendsAValidatorOnlyToWhereItCameFrom(t *testing.T) {
	t.Parallel()
	h := &host{}
	var mu sync.Mutex
	to := "https://a.example/jwks"
	h.set(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Host == "idp.example" {
			return response(302, nil, "Location", to), nil
		}
		return response(200, ec("a"), "ETag", `W/"1"`), nil
	})
	r := remote(t, h, nil)
	for i := range 3 {
		if i == 2 {
			mu.Lock()
			to = "https://b.example/jwks"
			mu.Unlock()
		}
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for _, r := range h.requests {
		got += r.URL.Host + r.Header.Get("If-None-Match") + " "
	}
	expect(t, "requests", got, `idp.example a.example idp.example a.exampleW/"1" idp.example b.example `)
}

func TestFetchKeepsNoValidatorThatCouldNotBeSent(t *testing.T) {
	t.Parallel()
	for _, value := range []string{strings.Repeat("x", maxETag+1), "a\x01b", "é"} {
		h := &host{answer: answers(200, ec("a"), "ETag", value)}
		r := remote(t, h, nil)
		_, _ = r.Refresh(context.Background()), r.Refresh(context.Background())
		if got := h.requests[1].Header.Get("If-None-Match"); got != "" {
			t.Errorf("sent %q", got)
		}
	}
}

// server starts an HTTPS server and returns a config that trusts it.
func server(t *testing.T, handler http.HandlerFunc) (*httptest.Server, RemoteConfig) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, RemoteConfig{JWKSURL: s.URL + "/jwks", RootCAs: roots}
}

func TestFetchOverTLS(t *testing.T) {
	t.Parallel()
	serve := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("asks for %s", r.Header.Get("Accept-Encoding"))
			}
			_, _ = w.Write(body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		change  func(*httptest.Server, *RemoteConfig)
		err     string
	}{
		"a good server": {serve(ec("a")), nil, ""},
		"a certificate nobody vouches for": {
			serve(ec("a")), func(_ *httptest.Server, c *RemoteConfig) { c.RootCAs = x509.NewCertPool() }, "certificate",
		},
		"a certificate for another name": {
			serve(ec("a")), func(s *httptest.Server, c *RemoteConfig) {
				c.JWKSURL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/jwks"
			}, "certificate is valid for",
		},
		"TLS 1.1": {
			serve(ec("a")), func(s *httptest.Server, c *RemoteConfig) {
				old := httptest.NewUnstartedServer(serve(ec("a")))
				old.Config.ErrorLog = log.New(io.Discard, "", 0)
				old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // it must be refused
				old.StartTLS()
				t.Cleanup(old.Close)
				c.JWKSURL = old.URL
			}, "protocol version",
		},
		"nobody there": {
			serve(ec("a")), func(s *httptest.Server, _ *RemoteConfig) { s.Close() }, "refused",
		},
		"100 MB": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(100<<20))
			for part := make([]byte, 1<<16); ; {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}, nil, "larger than"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for part := make([]byte, 1<<16); ; {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}, nil, "larger than"},
		"an endless header": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
			}
		}, nil, "header"},
		"a reset": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "jwks: "},
		"a body cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(ec("a"))
		}, nil, "is cut off"},
		"a redirect to itself": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
		}, nil, "more than 5 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := server(t, c.handler)
			if c.change != nil {
				c.change(s, &config)
			}
			r, err := NewRemote(config)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			switch err := r.Refresh(context.Background()); {
			case c.err == "" && err != nil:
				t.Error(err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

func TestFetchLeavesNoConnectionOpen(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ec("a")) }))
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if open[c] = true; state == http.StateClosed {
			delete(open, c)
		}
	}
	s.Start()
	defer s.Close()
	r, err := NewRemote(RemoteConfig{JWKSURL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 3 {
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for range 30_000 { // a moment, until the server has noticed
		mu.Lock()
		n := len(open)
		mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("connections stay open between fetches")
}
