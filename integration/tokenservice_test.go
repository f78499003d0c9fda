package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ownServiceSites are an API that trusts the token service of the same Caddy, in front of it
// in the file, and the service.
const ownServiceSites = `
api.localhost {
	jwt https://auth.localhost https://api.example.com {
		require scope orders:read
	}
	respond "hello {http.auth.user.id}"
}
auth.localhost {
	jwt https://auth.localhost https://api.example.com
	respond "the service's own site"
	authorization_server https://auth.localhost {
		api_key partner {env.PARTNER_KEY} {
			scopes orders:read orders:write
		}
		audience https://api.example.com
		lifetime 5m
	}
}
`

// partnerKey is the secret of the client partner.
const partnerKey = "ck_partner_Zq3vT8yB1nM5kR7wX2cL9dF4gH6jS0aP"

// tokenService is a Caddy with ownServiceSites.
type tokenService struct {
	*caddy
	http *http.Client
}

func startTokenService(t *testing.T, sites string) *tokenService {
	t.Helper()
	s := &tokenService{caddy: startCaddy(t, sites, options{env: map[string]string{"PARTNER_KEY": partnerKey}})}
	s.logs.forbid(partnerKey)
	s.renew()
	return s
}

// renew makes new connections, as a restart ends those that there are.
func (s *tokenService) renew() { s.http = s.client(http2) }

// hostHeader is the name of a site without the port, which a test's Caddy can't choose.
func hostHeader(host string) change { return func(r *http.Request) { r.Host = host } }

// form sends a form to an endpoint, with the client's id and secret as Basic.
func (s *tokenService) form(t *testing.T, path string, form url.Values) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodPost, "auth.localhost", path, hostHeader("auth.localhost"),
		header("Content-Type", "application/x-www-form-urlencoded"), body(form.Encode()),
		func(r *http.Request) { r.SetBasicAuth("partner", partnerKey) })
}

// token asks for a token.
func (s *tokenService) token(t *testing.T) string {
	t.Helper()
	a := s.form(t, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
		Scope   string `json:"scope"`
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || a.status != http.StatusOK || answer.Type != "Bearer" || answer.Expires != 300 || answer.Scope != "orders:read orders:write" {
		t.Fatalf("the answer is %d %s", a.status, a.body)
	}
	s.logs.forbid(answer.Token)
	return answer.Token
}

// document reads one of the service's documents.
func (s *tokenService) document(t *testing.T, path string) (d struct {
	Issuer        string `json:"issuer"`
	TokenEndpoint string `json:"token_endpoint"`
	JWKSURI       string `json:"jwks_uri"`
	Keys          []struct {
		KID string `json:"kid"`
		D   string `json:"d"`
	} `json:"keys"`
}) {
	t.Helper()
	a := s.send(t, s.http, http.MethodGet, "auth.localhost", path, hostHeader("auth.localhost"))
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return d
}

// kids are the ids of the published keys.
func (s *tokenService) kids(t *testing.T) (kids []string) {
	t.Helper()
	for _, k := range s.document(t, "/.well-known/jwks.json").Keys {
		if k.D != "" {
			t.Error("the key set has a private key")
		}
		kids = append(kids, k.KID)
	}
	if len(kids) == 0 {
		t.Fatal("the key set is empty")
	}
	slices.Sort(kids)
	return kids
}

// get asks the API for something.
func (s *tokenService) get(t *testing.T, token string) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, "api.localhost", "/", bearer(token))
}

// accepted requires that the API takes a token.
func (s *tokenService) accepted(t *testing.T, token string) {
	t.Helper()
	if a := s.get(t, token); a.status != http.StatusOK || a.body != "hello partner" {
		t.Fatalf("the answer is %d %s", a.status, a.body)
	}
}

// TestTokenService: a key becomes a token, the token a request, and after its life 401.
func TestTokenService(t *testing.T) {
	t.Parallel()
	s := startTokenService(t, ownServiceSites)
	token := s.token(t)
	s.accepted(t, token)

	t.Run("everything else of the service's site goes on", func(t *testing.T) {
		if a := s.send(t, s.http, http.MethodGet, "auth.localhost", "/", hostHeader("auth.localhost")); a.status != http.StatusUnauthorized || a.code() != "missing_credentials" {
			t.Errorf("without a token: %d %s", a.status, a.body)
		}
		if a := s.send(t, s.http, http.MethodGet, "auth.localhost", "/", hostHeader("auth.localhost"), bearer(token)); a.body != "the service's own site" {
			t.Errorf("with a token: %d %s", a.status, a.body)
		}
	})
	t.Run("metadata", func(t *testing.T) {
		for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			d := s.document(t, path)
			if d.Issuer != "https://auth.localhost" || d.TokenEndpoint != "https://auth.localhost/oauth2/token" || d.JWKSURI != "https://auth.localhost/.well-known/jwks.json" {
				t.Errorf("%s: %+v", path, d)
			}
		}
	})
	t.Run("another host has no endpoints", func(t *testing.T) {
		if a := s.send(t, s.http, http.MethodPost, "auth.localhost", "/oauth2/token", hostHeader("auth.localhost:1"), body("grant_type=client_credentials")); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("the status shows the keys without a fetch", func(t *testing.T) {
		status := s.statusOf(t, "https://auth.localhost")
		if status.State != "fresh" || status.Fetches != 0 || len(status.Keys) == 0 {
			t.Errorf("%+v", status)
		}
	})
	t.Run("a reload keeps keys and tokens", func(t *testing.T) {
		before := s.kids(t)
		if err := s.reload(strings.Replace(ownServiceSites, "lifetime 5m", "lifetime 5m\n\t\talgorithm ES256", 1)); err != nil {
			t.Fatal(err)
		}
		s.http.CloseIdleConnections()
		if after := s.kids(t); !slices.Equal(before, after) {
			t.Errorf("the keys were %q and are %q", before, after)
		}
		s.accepted(t, token)
		s.accepted(t, s.token(t))
	})
	t.Run("a restart keeps keys and tokens", func(t *testing.T) {
		before := s.kids(t)
		s.http.CloseIdleConnections()
		s.restart(nil)
		s.renew()
		s.accepted(t, token)
		if after := s.kids(t); !slices.Equal(before, after) {
			t.Errorf("the keys were %q and are %q", before, after)
		}
	})
	t.Run("private keys are for Caddy alone", func(t *testing.T) {
		files, err := filepath.Glob(s.dataFile("jwt", "default", "private-*", "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%q: %v", files, err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
		}
	})
	t.Run("a token expires", func(t *testing.T) {
		s.http.CloseIdleConnections()
		s.opts.env["TEST_CLOCK_AHEAD"] = "7m" // its life and the leeway
		s.restart(nil)
		s.renew()
		if !issuedAhead(t, s.token(t), 5*time.Minute) {
			return
		}
		if a := s.get(t, token); a.status != http.StatusUnauthorized || a.code() != "invalid_token" || !strings.Contains(a.body, "expired") {
			t.Errorf("the answer is %d %s", a.status, a.body)
		}
		s.accepted(t, s.token(t))
	})
}

// TestTokenServiceInPlainHTTP: what is not encrypted gets a clear answer and no token,
// whatever it says of itself. The two addresses of the site have one service.
func TestTokenServiceInPlainHTTP(t *testing.T) {
	t.Parallel()
	s := startTokenService(t, strings.Replace(ownServiceSites, "\nauth.localhost {", "\nauth.localhost, http://auth.localhost {", 1))
	s.accepted(t, s.token(t))
	r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/oauth2/token", s.plain), strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "auth.localhost"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-Proto", "https")
	r.SetBasicAuth("partner", partnerKey)
	res, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "invalid_request") {
		t.Errorf("the answer is %d %s", res.StatusCode, text)
	}
}
