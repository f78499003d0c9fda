package command

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// tokenClient asks a token service.
type tokenClient struct{ http *http.Client }

// tokenHTTP makes the HTTP client. It follows no redirects, which could lead a secret
// elsewhere. pool is nil for the authorities of the system.
func tokenHTTP(pool *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			ForceAttemptHTTP2: true, DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// certPool reads certificates in PEM.
func certPool(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("it has no certificate in PEM")
	}
	return pool, nil
}

func contextWithTimeout(cmd *cobra.Command, d time.Duration) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, d)
}

// tokenRequest is what a service is asked: with a secret, a signer or an assertion.
type tokenRequest struct {
	client, secret, assertion string
	signer                    *key.Signer
	kid                       string
	scope, resource           string
}

// tokenAnswer is the answer of a token service (RFC 6749 section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in,omitempty"` // seconds
	Scope       string `json:"scope,omitempty"`
}

// jwtBearer is the grant by which a platform's token is exchanged (RFC 7523 section 2.1), and
// assertionType says that a client signs (section 2.2).
const (
	jwtBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// assertionLife is how long an assertion that is made here may be used.
const assertionLife = time.Minute

// form returns the form of a request, and the value of its header Authorization, if any.
func (r *tokenRequest) form(s tokenService, now time.Time) (form url.Values, authorization string, err error) {
	form = url.Values{"grant_type": {"client_credentials"}}
	if r.scope != "" {
		form.Set("scope", r.scope)
	}
	if r.resource != "" {
		form.Set("resource", r.resource)
	}
	switch {
	case r.assertion != "":
		form.Set("grant_type", jwtBearer)
		form.Set("assertion", r.assertion)
	case r.signer != nil:
		assertion, err := r.sign(s.Issuer, now)
		if err != nil {
			return nil, "", err
		}
		form.Set("client_id", r.client)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	case slices.Contains(s.AuthMethods, "client_secret_post") && !slices.Contains(s.AuthMethods, "client_secret_basic"):
		form.Set("client_id", r.client)
		form.Set("client_secret", r.secret)
	default: // what a service supports that doesn't say (RFC 8414 section 2)
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(r.client)+":"+url.QueryEscape(r.secret)))
	}
	return form, authorization, nil
}

// sign makes an assertion that the client asks (RFC 7523 section 3).
func (r *tokenRequest) sign(issuer string, now time.Time) (string, error) {
	header := map[string]string{"alg": r.signer.Algorithm().String(), "typ": "JWT"}
	if r.kid != "" {
		header["kid"] = r.kid
	}
	body := map[string]any{
		"iss": r.client, "sub": r.client, "aud": issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	parts := make([]string, 2, 3)
	for n, part := range []any{header, body} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts[n] = base64.RawURLEncoding.EncodeToString(text)
	}
	signature, err := r.signer.Sign([]byte(strings.Join(parts, ".")))
	if err != nil {
		return "", err
	}
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), "."), nil
}

// parseSigner reads a private key in PEM. The error never shows what was read.
func parseSigner(text []byte) (*key.Signer, error) {
	const pemKey = "write a private key in PEM, as openssl genpkey makes it: -----BEGIN PRIVATE KEY-----"
	var block *pem.Block
	for rest := text; ; {
		if block, rest = pem.Decode(rest); block == nil {
			return nil, withHint(errors.New("the file has no private key"), pemKey)
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			break
		}
	}
	der := block.Bytes
	var private any
	var err error
	switch block.Type {
	case "ENCRYPTED PRIVATE KEY":
		return nil, withHint(errors.New("the private key is encrypted"), "openssl pkey -in FILE decrypts it, to standard output")
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(der)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(der)
	default:
		private, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, withHint(errors.New("the private key can't be read"), pemKey)
	}
	if der, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		return nil, withHint(errors.New("the private key can't be used"), pemKey)
	}
	for _, alg := range []key.Algorithm{key.ES256, key.EdDSA, key.RS256} {
		if signer, err := key.ParseSigner(der, alg); err == nil {
			return signer, nil
		}
	}
	return nil, withHint(errors.New("no algorithm fits the private key"), "it must be P-256 (ES256), Ed25519 (EdDSA) or RSA with at least 2048 bits (RS256)")
}

// maxTokenAnswer is how much of an answer is read, in bytes.
const maxTokenAnswer = 1 << 20

// token fetches a token.
func (c *tokenClient) token(ctx context.Context, s tokenService, ask tokenRequest) (answer tokenAnswer, err error) {
	form, authorization, err := ask.form(s, time.Now())
	if err != nil {
		return answer, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return answer, fmt.Errorf("the service's token endpoint: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	status, body, err := c.do(r)
	if err != nil {
		return answer, err
	}
	if status != http.StatusOK {
		return answer, tokenFailure(s.TokenEndpoint, status, body)
	}
	if json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
		return tokenAnswer{}, fmt.Errorf("the answer of %s has no token", s.TokenEndpoint)
	}
	return answer, nil
}

// do sends a request.
func (c *tokenClient) do(r *http.Request) (status int, body []byte, err error) {
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return 0, nil, withHint(fmt.Errorf("asking the token service: %w", err), "does it run at this address, and can this machine reach it?")
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", r.URL, err)
	}
	return response.StatusCode, body, nil
}

// tokenHints are what to do about the errors of a token service.
var tokenHints = map[string]string{
	"invalid_client":          "is the client's id right (name it with --client-id if the API key was made with --id), and its secret or key the one that the service knows? has the key expired, or was it disabled?",
	"invalid_grant":           "does the service exchange tokens of this platform, for this repository or account? is the token's audience the issuer of the service, and has it not expired?",
	"invalid_scope":           "ask for scopes that the client has, or leave --scope out",
	"invalid_target":          "name a resource that the client may ask for, or leave --resource out",
	"unsupported_grant_type":  "the service does not issue tokens to machines in this way",
	"temporarily_unavailable": "try again later",
}

// tokenFailure is the error for an answer without a token (RFC 6749 section 5.2).
func tokenFailure(from string, status int, body []byte) error {
	var failure struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if status >= 300 && status < 400 {
		return withHint(fmt.Errorf("%s answered %d %s, and a credential is not sent elsewhere", from, status, http.StatusText(status)), "is it the issuer that the service has in its config?")
	}
	if json.Unmarshal(body, &failure) != nil || failure.Error == "" {
		return fmt.Errorf("%s answered %d %s without saying why", from, status, http.StatusText(status))
	}
	text := failure.Error
	if failure.Description != "" {
		text += ": " + failure.Description
	}
	err := fmt.Errorf("the token service refuses with %s", terminal.Text(text))
	if hint := tokenHints[failure.Error]; hint != "" {
		return withHint(err, "%s", hint)
	}
	return err
}
