package command_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// tokenService is an authorization server that gives everybody a token, and keeps what it was
// asked.
type tokenService struct {
	*httptest.Server
	metadata func(issuer string) map[string]any
	status   int
	answer   string

	mu    sync.Mutex
	paths []string
	forms []url.Values
	basic []string // user and password of each form
}

const aToken = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"

func newTokenService(t *testing.T, tls bool) *tokenService {
	t.Helper()
	s := &tokenService{status: http.StatusOK, answer: `{"access_token":"` + aToken + `","token_type":"Bearer","expires_in":900,"scope":"a b","other":1}`}
	s.metadata = func(issuer string) map[string]any {
		return map[string]any{"issuer": issuer, "token_endpoint": issuer + "/oauth2/token", "token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}}
	}
	if tls {
		s.Server = httptest.NewTLSServer(s)
	} else {
		s.Server = httptest.NewServer(s)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths = append(s.paths, r.Method+" "+r.URL.Path)
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/.well-known/oauth-authorization-server":
		_ = json.NewEncoder(w).Encode(s.metadata(s.URL))
	case r.Method == http.MethodGet && r.URL.Path == "/path/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(s.metadata(s.URL + "/path"))
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/oauth2/token"):
		if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.forms = append(s.forms, r.PostForm)
		user, password, _ := r.BasicAuth()
		s.basic = append(s.basic, user+":"+password)
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.answer)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// last returns the newest form without what is checked apart, and Basic.
func (s *tokenService) last(t *testing.T) (form url.Values, basic string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.forms) == 0 {
		t.Fatal("it was not asked")
	}
	return s.forms[len(s.forms)-1], s.basic[len(s.basic)-1]
}

func TestTokenWithASecret(t *testing.T) {
	s := newTokenService(t, false)
	key, id := apikey.New("cj")
	t.Setenv("TEST_CLIENT_SECRET", "s3cret: ä+/%")
	for name, c := range map[string]struct {
		stdin string
		args  []string
		form  url.Values
		basic string
	}{
		"an API key in a file": {"", []string{"--secret-file", write(t, key+"\n")}, url.Values{}, id + ":" + key},
		"on standard input":    {key, []string{"--secret-file", "-"}, url.Values{}, id + ":" + key},
		"in the environment":   {"", []string{"--client-id", "a b", "--secret-env", "TEST_CLIENT_SECRET"}, url.Values{}, url.QueryEscape("a b") + ":" + url.QueryEscape("s3cret: ä+/%")},
		"another id":           {key, []string{"--secret-file", "-", "--client-id", "other"}, url.Values{}, "other:" + key},
		"scopes and resource": {key, []string{"--secret-file", "-", "--scope", "orders:read", "--scope", "a b", "--resource", "https://api.example"},
			url.Values{"scope": {"orders:read a b"}, "resource": {"https://api.example"}}, id + ":" + key},
	} {
		r := runJWT(t, c.stdin, append([]string{"token", "--issuer", s.URL}, c.args...)...).want(t, 0)
		if r.out != aToken+"\n" || r.err != "" {
			t.Errorf("%s: %+v", name, r)
		}
		form, basic := s.last(t)
		c.form.Set("grant_type", "client_credentials")
		if form.Encode() != c.form.Encode() || basic != c.basic {
			t.Errorf("%s: the service got %v, %q", name, form, basic)
		}
	}
	answer := parseJSON[map[string]any](t, runJWT(t, key, "token", "--issuer", s.URL, "--secret-file", "-", "--json").want(t, 0).out)
	if want := map[string]any{"access_token": aToken, "token_type": "Bearer", "expires_in": 900.0, "scope": "a b"}; fmt.Sprint(answer) != fmt.Sprint(want) {
		t.Errorf("--json: %v", answer)
	}
	metadata := s.metadata
	s.metadata = func(issuer string) map[string]any {
		m := metadata(issuer)
		m["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
		return m
	}
	runJWT(t, key, "token", "--issuer", s.URL+"/path", "--secret-file", "-").want(t, 0)
	if form, basic := s.last(t); form.Get("client_id") != id || form.Get("client_secret") != key || basic != ":" {
		t.Errorf("the service got %v, %q", form, basic)
	}
}

func privatePEM(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return "a comment\n" + string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestTokenWithAPrivateKey(t *testing.T) {
	t.Parallel()
	s := newTokenService(t, false)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(private any) string {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		return privatePEM(t, "PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	parameters := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}))
	for name, c := range map[string]struct {
		pem, alg string
		public   any
	}{
		"P-256":                 {pkcs8(p256), "ES256", &p256.PublicKey},
		"Ed25519":               {pkcs8(ed), "EdDSA", edPublic},
		"RSA":                   {pkcs8(rsaKey), "RS256", &rsaKey.PublicKey},
		"P-256 as OpenSSL's ec": {parameters + privatePEM(t, "EC PRIVATE KEY", sec1, err), "ES256", &p256.PublicKey},
		"RSA as PKCS #1":        {privatePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "RS256", &rsaKey.PublicKey},
	} {
		for _, kid := range []string{"", "k 1"} {
			args := []string{"token", "--issuer", s.URL, "--client-id", "deploy", "--key-file", write(t, c.pem)}
			if kid != "" {
				args = append(args, "--kid", kid)
			}
			runJWT(t, "", args...).want(t, 0)
			form, basic := s.last(t)
			if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Get("client_id") != "deploy" || form.Get("grant_type") != "client_credentials" || form.Has("client_secret") || basic != ":" {
				t.Errorf("%s: the service got %v", name, form)
			}
			parsed, err := jwt.Parse(form.Get("client_assertion"), func(*jwt.Token) (any, error) { return c.public, nil },
				jwt.WithValidMethods([]string{c.alg}), jwt.WithAudience(s.URL), jwt.WithIssuer("deploy"), jwt.WithSubject("deploy"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body := parsed.Claims.(jwt.MapClaims)
			exp, _ := body.GetExpirationTime()
			iat, _ := body.GetIssuedAt()
			if got, _ := parsed.Header["kid"].(string); got != kid || exp.Sub(iat.Time).Seconds() != 60 || len(body["jti"].(string)) < 20 {
				t.Errorf("%s: %v %v", name, parsed.Header, body)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, form := range s.forms {
		seen[form.Get("client_assertion")] = true
	}
	if len(seen) != len(s.forms) {
		t.Error("an assertion was used twice")
	}
}

func TestTokenForAPlatformsToken(t *testing.T) {
	t.Parallel()
	s := newTokenService(t, false)
	runJWT(t, aToken+"\n", "token", "--issuer", s.URL, "--assertion-file", "-").want(t, 0)
	form, basic := s.last(t)
	if want := (url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {aToken}}); form.Encode() != want.Encode() || basic != ":" {
		t.Errorf("the service got %v, %q", form, basic)
	}
}

func TestTokenOverTLS(t *testing.T) {
	t.Parallel()
	s := newTokenService(t, true)
	key, _ := apikey.New("cj")
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	runJWT(t, key, "token", "--issuer", s.URL, "--secret-file", "-", "--ca", ca).want(t, 0)
	runJWT(t, key, "token", "--issuer", s.URL, "--secret-file", "-").want(t, 1, "certificate")
	runJWT(t, key, "token", "--issuer", s.URL, "--secret-file", "-", "--ca", write(t, "none")).want(t, 1, "it has no certificate in PEM")
	runJWT(t, key, "token", "--issuer", s.URL, "--secret-file", "-", "--ca", "/nowhere/ca.pem").want(t, 1, "/nowhere/ca.pem")
}

func TestTokenMisuse(t *testing.T) {
	t.Parallel()
	s := newTokenService(t, false)
	key, _ := apikey.New("cj")
	file := write(t, key)
	for name, c := range map[string]struct {
		args []string
		part string
	}{
		"no issuer":           {[]string{"--secret-file", file}, "name it with --issuer"},
		"an empty issuer":     {[]string{"--issuer", "", "--secret-file", file}, "--issuer is empty"},
		"no way":              {[]string{"--issuer", s.URL}, "it is not said who asks"},
		"two ways":            {[]string{"--issuer", s.URL, "--secret-file", file, "--key-file", file}, "--secret-file and --key-file exclude each other"},
		"plain http":          {[]string{"--issuer", "http://auth.example.com", "--secret-file", file}, "it is plain http, where others can read the credential"},
		"a host like it":      {[]string{"--issuer", "http://localhost.example.com", "--secret-file", file}, "it is plain http"},
		"no URL":              {[]string{"--issuer", "auth.example.com", "--secret-file", file}, "it is no URL of a service"},
		"another scheme":      {[]string{"--issuer", "ftp://auth.example.com", "--secret-file", file}, "it is no URL of a service"},
		"a password":          {[]string{"--issuer", "https://a:b@auth.example.com", "--secret-file", file}, "there is a user or password in it"},
		"a query":             {[]string{"--issuer", "https://auth.example.com?x", "--secret-file", file}, "there is a query"},
		"a key without an id": {[]string{"--issuer", s.URL, "--key-file", file}, "--key-file needs the client's id"},
		"a kid without a key": {[]string{"--issuer", s.URL, "--secret-file", file, "--kid", "a"}, "--kid goes with --key-file"},
		"an id too many":      {[]string{"--issuer", s.URL, "--assertion-file", file, "--client-id", "a"}, "--client-id does not go with --assertion-file"},
		"a key as the id":     {[]string{"--issuer", s.URL, "--secret-file", file, "--client-id", key}, "--client-id is an API key"},
		"an empty scope":      {[]string{"--issuer", s.URL, "--secret-file", file, "--scope", " "}, "--scope is empty"},
		"a secret as a flag":  {[]string{"--issuer", s.URL, "--secret", key}, "unknown flag: --secret;"},
		"an argument":         {[]string{s.URL}, "usage: caddy jwt token"},
		"no id":               {[]string{"--issuer", s.URL, "--secret-file", write(t, "a secret")}, "the client's id is missing"},
	} {
		r := runJWT(t, "", append([]string{"token"}, c.args...)...).want(t, 2, c.part)
		if strings.Contains(r.err, key) {
			t.Errorf("%s: the key is in %s", name, r.err)
		}
	}
	if len(s.paths) != 0 {
		t.Errorf("the service was asked: %v", s.paths)
	}
}

func TestTokenCredentialsThatCantBeRead(t *testing.T) {
	t.Parallel()
	s := newTokenService(t, false)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(p384)
	for name, c := range map[string]struct {
		stdin string
		args  []string
		part  string
	}{
		"no file":             {"", []string{"--secret-file", "/nowhere/secret"}, "reading secret: open /nowhere/secret"},
		"an empty file":       {"\n", []string{"--secret-file", "-"}, "there is no secret; the file, or standard input, is empty"},
		"an unset variable":   {"", []string{"--secret-env", "TEST_IS_NOT_SET"}, `the environment variable "TEST_IS_NOT_SET" is not set, or empty`},
		"no PEM":              {"s3cret", []string{"--client-id", "a", "--key-file", "-"}, "the file has no private key"},
		"a public key":        {privatePEM(t, "PUBLIC KEY", []byte("x"), nil), []string{"--client-id", "a", "--key-file", "-"}, "the file has no private key"},
		"an encrypted key":    {privatePEM(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil), []string{"--client-id", "a", "--key-file", "-"}, "the private key is encrypted"},
		"a broken key":        {privatePEM(t, "PRIVATE KEY", []byte("s3cret"), nil), []string{"--client-id", "a", "--key-file", "-"}, "the private key can't be read"},
		"a curve too many":    {privatePEM(t, "PRIVATE KEY", other, err), []string{"--client-id", "a", "--key-file", "-"}, "no algorithm fits the private key"},
		"an empty assertion ": {"", []string{"--assertion-file", "-"}, "there is no token"},
	} {
		r := runJWT(t, c.stdin, append([]string{"token", "--issuer", s.URL}, c.args...)...).want(t, 1, c.part)
		if strings.Contains(r.err, "s3cret") {
			t.Errorf("%s: the credential is in %s", name, r.err)
		}
	}
	if len(s.paths) != 0 {
		t.Errorf("the service was asked: %v", s.paths)
	}
}

func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	key, _ := apikey.New("cj")
	for name, c := range map[string]struct {
		status int
		answer string
		parts  []string
	}{
		"the client":   {401, `{"error":"invalid_client","error_description":"the client can't be authenticated"}`, []string{"the token service refuses with invalid_client: the client can't be authenticated", "name it with --client-id if", "was it disabled?"}},
		"a scope":      {400, `{"error":"invalid_scope"}`, []string{"refuses with invalid_scope", "leave --scope out"}},
		"a resource":   {400, `{"error":"invalid_target"}`, []string{"leave --resource out"}},
		"for now":      {429, `{"error":"temporarily_unavailable"}`, []string{"try again later"}},
		"unknown":      {400, `{"error":"mark\u001b[2J"}`, []string{`mark\u001b[2J`}},
		"without why":  {502, `<html>`, []string{"/oauth2/token answered 502 Bad Gateway without saying why"}},
		"a redirect":   {307, ``, []string{"answered 307 Temporary Redirect", "a credential is not sent elsewhere"}},
		"no token":     {200, `{"token_type":"Bearer"}`, []string{"has no token"}},
		"another type": {200, `[]`, []string{"has no token"}},
	} {
		s := newTokenService(t, false)
		s.status, s.answer = c.status, c.answer
		r := runJWT(t, key, "token", "--issuer", s.URL, "--secret-file", "-").want(t, 1, c.parts...)
		if strings.Contains(r.err, key) || strings.Contains(r.err, "\x1b") {
			t.Errorf("%s: %s", name, r.err)
		}
	}
}

func TestTokenDiscovery(t *testing.T) {
	t.Parallel()
	key, _ := apikey.New("cj")
	token := func(issuer string) ran { return runJWT(t, key, "token", "--issuer", issuer, "--secret-file", "-") }
	s := newTokenService(t, false)
	token(s.URL+"/path").want(t, 0)
	if got := strings.Join(s.paths, ", "); got != "GET /.well-known/oauth-authorization-server/path, GET /path/.well-known/openid-configuration, POST /path/oauth2/token" {
		t.Error(got)
	}
	token(s.URL+"/nowhere").want(t, 1, "there is no token service "+s.URL+"/nowhere", "openid-configuration answered 404")
	token(s.URL+"/").want(t, 1, `the service's issuer is "`+s.URL+`"; write it like this; the slash at the end counts`)
	for name, c := range map[string]struct {
		member, value, part string
	}{
		"another issuer": {"issuer", "https://evil.example", `the service there is another: its issuer is "https://evil.example"`},
		"no endpoint":    {"token_endpoint", "", "the service has no token endpoint"},
		"plain http":     {"token_endpoint", "http://auth.example.com/token", "token endpoint: it is plain http"},
		"a password":     {"token_endpoint", "https://a:b@auth.example.com/token", "token endpoint: there is a user or password in it"},
	} {
		s := newTokenService(t, false)
		metadata := s.metadata
		s.metadata = func(issuer string) map[string]any {
			m := metadata(issuer)
			m[c.member] = c.value
			return m
		}
		token(s.URL).want(t, 1, c.part)
		if len(s.forms) != 0 {
			t.Errorf("%s: the service got a credential", name)
		}
	}
	token("http://"+closedAddress(t)).want(t, 1, "asking the token service", "does it run at this address")
}
