package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// clientRequest is what a client is asked to do. It knows the issuer's URL alone.
type clientRequest struct {
	Do        string `json:"do"` // token, introspect or revoke
	Issuer    string `json:"issuer"`
	ID        string `json:"client_id"`
	Secret    string `json:"client_secret,omitempty"`
	Key       string `json:"key,omitempty"` // PEM
	Algorithm string `json:"alg,omitempty"`
	Scope     string `json:"scope,omitempty"`
	Resource  string `json:"resource,omitempty"`
	Token     string `json:"token,omitempty"`
}

// clientAnswer is what came of it.
type clientAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`

	Active   *bool  `json:"active"`
	ClientID string `json:"client_id"`

	// Error is an error of the server, as the library knows it.
	Error *struct {
		Type   string `json:"type"`
		Code   string `json:"code"`
		Status int    `json:"status"`
		Text   string `json:"text"`
	} `json:"error"`
}

// oauthClient is a client in some language.
type oauthClient struct {
	name string
	part dependency
	// can are what its library knows: token, introspect, revoke, and sign.
	can []string
	// signs as this client of the example.
	signer string
	// failure is the library's own error for a refusal by the server.
	failure string
	ask     func(t *testing.T, e *tokenExample, r clientRequest) clientAnswer
}

func (c *oauthClient) knows(what string) bool {
	for _, w := range c.can {
		if w == what {
			return true
		}
	}
	return false
}

var oauthClients = []oauthClient{
	{"oauth4webapi", nodeModules, []string{"introspect", "revoke", "sign"}, "deploy-bot", "WWWAuthenticateChallengeError",
		askScript("node", filepath.Join("npm", "oauth-client.mjs"), "oauth4webapi")},
	{"openid-client", nodeModules, []string{"introspect", "revoke", "sign"}, "deploy-bot", "WWWAuthenticateChallengeError",
		askScript("node", filepath.Join("npm", "oauth-client.mjs"), "openid-client")},
	{"Authlib", authlib, []string{"introspect", "revoke", "sign"}, "nightly", "OAuthError",
		askScript(debianPython, filepath.Join("python", "authlib_client.py"))},
	{"clientcredentials", curl, []string{"sign"}, "deploy-bot", "*oauth2.RetrieveError", askGo},
}

// askScript runs a program that reads one request and writes one answer, both JSON.
func askScript(command ...string) func(*testing.T, *tokenExample, clientRequest) clientAnswer {
	return func(t *testing.T, e *tokenExample, r clientRequest) (answer clientAnswer) {
		t.Helper()
		r.Issuer = e.issuer
		askJSON(t, nil, r, &answer, command...)
		return answer
	}
}

// askJSON runs a program with one JSON text on its standard input, and reads one from its output.
func askJSON(t *testing.T, env []string, request, answer any, command ...string) {
	t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	p := exec.CommandContext(ctx, command[0], command[1:]...)
	// AUTHLIB_INSECURE_TRANSPORT is Authlib's leave for plain http.
	p.Env = append(append(os.Environ(), "AUTHLIB_INSECURE_TRANSPORT=1", "NO_PROXY=*", "no_proxy=*"), env...)
	p.Stdin = bytes.NewReader(text)
	var complaint strings.Builder
	p.Stderr = &complaint
	out, err := p.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, out, &complaint)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

// askGo asks for a token with golang.org/x/oauth2/clientcredentials, which knows tokens
// alone, and no signatures: those it sends as parameters.
func askGo(t *testing.T, e *tokenExample, r clientRequest) (answer clientAnswer) {
	t.Helper()
	config := clientcredentials.Config{
		ClientID: r.ID, ClientSecret: r.Secret, TokenURL: e.metadata(t).Token,
		EndpointParams: url.Values{}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	if r.Scope != "" {
		config.Scopes = strings.Fields(r.Scope)
	}
	if r.Resource != "" {
		config.EndpointParams.Set("resource", r.Resource)
	}
	if r.Key != "" {
		config.AuthStyle = oauth2.AuthStyleInParams
		config.EndpointParams.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		config.EndpointParams.Set("client_assertion", signedAssertion(t, e.issuer, r))
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, e.http)
	token, err := config.Token(ctx)
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		text, err := json.Marshal(map[string]any{"error": map[string]any{
			"type": "*oauth2.RetrieveError", "code": refused.ErrorCode, "status": refused.Response.StatusCode, "text": refused.ErrorDescription,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		scope, _ := token.Extra("scope").(string)
		answer = clientAnswer{AccessToken: token.AccessToken, TokenType: token.TokenType, ExpiresIn: int(time.Until(token.Expiry).Round(10 * time.Second).Seconds()), Scope: scope}
	}
	return answer
}

// signedAssertion is a client's signature as RFC 7523 section 2.2 has it.
func signedAssertion(t *testing.T, issuer string, r clientRequest) string {
	t.Helper()
	block, _ := pem.Decode([]byte(r.Key))
	if block == nil {
		t.Fatal("the key is no PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	text, err := jwt.NewWithClaims(jwt.GetSigningMethod(r.Algorithm), jwt.MapClaims{
		"iss": r.ID, "sub": r.ID, "aud": issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each client, from the issuer's URL alone: a token, a request with it, what the service
// says of it, its end; by secret and by signature.
func TestTokenService_Clients(t *testing.T) {
	t.Parallel()
	e := startTokenExample(t, nil)
	reports, gateway := e.file("reports.key"), e.file("gateway.key")
	for _, c := range oauthClients {
		t.Run(c.name, func(t *testing.T) {
			need(t, c.part)
			ways := map[string]clientRequest{"secret": {ID: "reports", Secret: reports}}
			if c.knows("sign") {
				ways["signature"] = clientRequest{ID: c.signer, Key: e.file(c.signer + ".key"), Algorithm: "RS256"}
			}
			for name, as := range ways {
				t.Run(name, func(t *testing.T) { c.whole(t, e, as, gateway) })
			}
			t.Run("errors", func(t *testing.T) { c.errors(t, e, reports, gateway) })
		})
	}
}

// whole is the life of a token.
func (c *oauthClient) whole(t *testing.T, e *tokenExample, as clientRequest, gateway string) {
	ask := func(r clientRequest, do, token string) clientAnswer {
		t.Helper()
		r.Do, r.Token = do, token
		a := c.ask(t, e, r)
		if a.Error != nil {
			t.Fatalf("%s: %+v", do, *a.Error)
		}
		return a
	}
	as.Scope, as.Resource = "orders:read", "https://api.example.com"
	a := ask(as, "token", "")
	e.logs.forbid(a.AccessToken)
	if !strings.EqualFold(a.TokenType, "Bearer") || a.ExpiresIn != 900 || a.Scope != "orders:read" && a.Scope != "" {
		t.Errorf("a token %q for %d s with the scope %q", a.TokenType, a.ExpiresIn, a.Scope)
	}
	e.accepts(t, a.AccessToken, as.ID)
	is := func(who clientRequest, active bool) {
		t.Helper()
		if got := ask(who, "introspect", a.AccessToken); got.Active == nil || *got.Active != active || active && got.ClientID != as.ID {
			t.Errorf("%s learns %+v; want active: %v", who.ID, got, active)
		}
	}
	if c.knows("introspect") {
		is(as, true)
		is(clientRequest{ID: "gateway", Secret: gateway}, true)
	}
	if c.knows("revoke") {
		ask(as, "revoke", a.AccessToken)
		e.refuses(t, a.AccessToken, "the token is revoked")
		ask(as, "revoke", a.AccessToken) // again is no error (RFC 7009 section 2.2)
	}
	if c.knows("introspect") {
		is(as, false)
		is(clientRequest{ID: "gateway", Secret: gateway}, false)
	}
}

// errors are answers that must reach a program as its library's own errors.
func (c *oauthClient) errors(t *testing.T, e *tokenExample, reports, gateway string) {
	for name, row := range map[string]struct {
		r      clientRequest
		code   string
		status int
	}{
		"a wrong secret":           {clientRequest{ID: "reports", Secret: gateway}, "invalid_client", http.StatusUnauthorized},
		"an unknown client":        {clientRequest{ID: "nobody", Secret: reports}, "invalid_client", http.StatusUnauthorized},
		"another client's name":    {clientRequest{ID: "deploy-bot", Secret: reports}, "invalid_client", http.StatusUnauthorized},
		"a scope it does not have": {clientRequest{ID: "reports", Secret: reports, Scope: "orders:write"}, "invalid_scope", http.StatusBadRequest},
		"an unknown resource":      {clientRequest{ID: "reports", Secret: reports, Resource: "https://other.example.com"}, "invalid_target", http.StatusBadRequest},
	} {
		row.r.Do = "token"
		a := c.ask(t, e, row.r)
		if a.AccessToken != "" || a.Error == nil {
			t.Errorf("%s: it gets %+v; want an error", name, a)
			continue
		}
		kind := c.failure
		if kind == "WWWAuthenticateChallengeError" && row.status == http.StatusBadRequest {
			kind = "ResponseBodyError" // where there is no challenge
		}
		if a.Error.Code != row.code || a.Error.Type != kind || a.Error.Status != row.status && a.Error.Status != 0 {
			t.Errorf("%s: %+v; want %s as %s, %d", name, *a.Error, row.code, kind, row.status)
		}
		if text := a.Error.Text; strings.Contains(text, reports) || strings.Contains(text, gateway) {
			t.Errorf("%s: the error has the secret", name)
		}
	}
}
