package tokenservice

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

var clientCredentials = url.Values{"grant_type": {"client_credentials"}}

// with returns a copy of a form with further parameters, in pairs.
func with(form url.Values, more ...string) url.Values {
	c := url.Values{}
	for name, values := range form {
		c[name] = values
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = append(c[more[i]], more[i+1])
	}
	return c
}

func TestAnAPIKeyGetsAToken(t *testing.T) {
	t.Parallel()
	header := tokenRequest(clientCredentials)
	header.Header.Set("X-API-Key", partnerKey)
	for name, r := range map[string]*http.Request{
		"basic":             basic(tokenRequest(clientCredentials), "partner001", partnerKey),
		"basic, client_id":  basic(tokenRequest(with(clientCredentials, "client_id", "partner001")), "partner001", partnerKey),
		"form":              tokenRequest(with(clientCredentials, "client_id", "partner001", "client_secret", partnerKey)),
		"header of the key": header,
	} {
		w := newWorld(t, nil)
		a, body := w.token(w.ask(r))
		if a.TokenType != "Bearer" || a.ExpiresIn != 900 || a.Scope == nil || *a.Scope != "read write" {
			t.Errorf("%s: %+v", name, a)
		}
		if text(body, "sub") != "partner001" || text(body, "client_id") != "partner001" || text(body, "aud") != testAPI || text(body, "scope") != "read write" {
			t.Errorf("%s: %s", name, payloadOf(a.AccessToken))
		}
		if e := w.event(); e.Client != "partner001" || e.Grant != "client_credentials" || e.Error != "" || e.Address != address {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestErrorsOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"no grant":            {url.Values{"client_id": {"partner001"}, "client_secret": {partnerKey}}, 400, "invalid_request"},
		"empty grant":         {with(url.Values{"grant_type": {""}}, "client_id", "partner001", "client_secret", partnerKey), 400, "invalid_request"},
		"code":                {url.Values{"grant_type": {"authorization_code"}, "client_id": {"partner001"}, "client_secret": {partnerKey}}, 400, "unsupported_grant_type"},
		"password":            {url.Values{"grant_type": {"password"}, "username": {"x"}, "password": {"y"}}, 400, "unsupported_grant_type"},
		"refresh token":       {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, 400, "unsupported_grant_type"},
		"case of the grant":   {with(url.Values{"grant_type": {"Client_Credentials"}}, "client_id", "partner001", "client_secret", partnerKey), 400, "unsupported_grant_type"},
		"text as a grant":     {url.Values{"grant_type": {partnerKey}}, 400, "unsupported_grant_type"},
		"token exchange":      {url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}}, 400, "unsupported_grant_type"},
		"client without keys": {with(clientCredentials, "client_id", "ci"), 401, "invalid_client"},
		"scope":               {with(ofKey("partner001", partnerKey), "scope", "admin"), 400, "invalid_scope"},
		"resource":            {with(ofKey("partner001", partnerKey), "resource", testOther), 400, "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.refused(w.ask(tokenRequest(c.form)), c.status, c.code, partnerKey)
			if e := w.event(); e.Grant != "" && e.Grant != "client_credentials" {
				t.Errorf("the event has the grant %q", e.Grant)
			}
		})
	}
}

// keysFor returns a change of a config by which its API keys may ask for resources.
func keysFor(audience ...string) func(*Config) {
	return func(c *Config) {
		c.Audience = append(c.Audience, "plain-name", "https://api.example.com/v1")
		c.APIKeys[0].Audience = audience
	}
}

func TestThreat68Resources(t *testing.T) {
	t.Parallel()
	both := []string{testOther, testAPI}
	for name, c := range map[string]struct {
		may  []string
		asks []string
		aud  string // empty: invalid_target
	}{
		"none":                       {nil, nil, testAPI},
		"empty":                      {nil, []string{""}, testAPI},
		"the first":                  {nil, []string{testAPI}, testAPI},
		"the second":                 {nil, []string{testOther}, ""},
		"may both, none":             {both, nil, testAPI},
		"may both, the second":       {both, []string{testOther}, testOther},
		"may the second, none":       {[]string{testOther}, nil, testOther},
		"may the second, the first":  {[]string{testOther}, []string{testAPI}, ""},
		"a path below":               {both, []string{testAPI + "/v1"}, ""},
		"a prefix":                   {[]string{"https://api.example.com/v1"}, []string{testAPI}, ""},
		"a slash":                    {both, []string{testAPI + "/"}, ""},
		"case of the host":           {both, []string{"https://API.example.com"}, ""},
		"case of the scheme":         {both, []string{"HTTPS://api.example.com"}, ""},
		"default port":               {both, []string{testAPI + ":443"}, ""},
		"escaped":                    {both, []string{"https://%61pi.example.com"}, ""},
		"fragment":                   {both, []string{testAPI + "#x"}, ""},
		"empty fragment":             {both, []string{testAPI + "#"}, ""},
		"query":                      {both, []string{testAPI + "?x"}, ""},
		"space behind":               {both, []string{testAPI + " "}, ""},
		"not absolute":               {[]string{"plain-name"}, []string{"plain-name"}, ""},
		"not absolute, as the usual": {[]string{"plain-name"}, nil, "plain-name"},
		"two":                        {both, []string{testAPI, testOther}, ""},
		"the same twice":             {both, []string{testAPI, testAPI}, ""},
		"one and an empty one":       {both, []string{testAPI, ""}, ""},
		"all":                        {both, []string{"*"}, ""},
		"two in one":                 {both, []string{testAPI + " " + testOther}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, keysFor(c.may...))
			f := ofKey("partner001", partnerKey)
			f["resource"] = c.asks
			out := w.ask(tokenRequest(f))
			if c.aud == "" {
				w.refused(out, 400, "invalid_target", testOther)
				return
			}
			if _, body := w.token(out); text(body, "aud") != c.aud {
				t.Errorf("aud is %q, want %q", text(body, "aud"), c.aud)
			}
		})
	}
}

func TestThreat68Scopes(t *testing.T) {
	t.Parallel()
	all := func(c *Config) {}
	const none = "-" // no scope in the token
	implied := func(c *Config) {
		var err error
		if c.Implied, err = claims.NewImplications(map[string][]string{"read": {"read:all"}, "read:all": {"list"}, "admin": {"drop", "read"}}); err != nil {
			t.Fatal(err)
		}
	}
	implying := func(usual ...string) func(*Config) {
		return func(c *Config) { implied(c); c.DefaultScopes = usual }
	}
	thereAre := func(scopes ...string) func(*Config) {
		return func(c *Config) { implied(c); c.Scopes = scopes }
	}
	for name, c := range map[string]struct {
		change func(*Config)
		id     string
		asks   string
		scope  string // empty: invalid_scope
	}{
		"none asked":              {all, "partner001", "", "read write"},
		"one":                     {all, "partner001", "write", "write"},
		"in the order asked":      {all, "partner001", "write read", "write read"},
		"one of two":              {all, "partner001", "admin read", "read"},
		"not owned":               {all, "partner001", "admin", ""},
		"a part of one":           {all, "partner001", "rea", ""},
		"one with more":           {all, "partner001", "read:all", ""},
		"case":                    {all, "partner001", "READ", ""},
		"everything":              {all, "partner001", "*", ""},
		"duplicates":              {all, "partner001", "read read write read", "read write"},
		"two spaces":              {all, "partner001", "read  write", ""},
		"space in front":          {all, "partner001", " read", ""},
		"space behind":            {all, "partner001", "read ", ""},
		"tab":                     {all, "partner001", "read\twrite", ""},
		"line end":                {all, "partner001", "read\nwrite", ""},
		"quote":                   {all, "partner001", `read "write"`, ""},
		"backslash":               {all, "partner001", `read\`, ""},
		"not ASCII":               {all, "partner001", "read wríte", ""},
		"NUL":                     {all, "partner001", "read\x00", ""},
		"comma":                   {all, "partner001", "read,write", ""},
		"own API, by a key":       {all, "partner001", "caddy-jwt:revoke", ""},
		"own API, beside":         {all, "partner001", "caddy-jwt:revoke read", "read"},
		"no scopes, none asked":   {all, "wordy", "", none},
		"no scopes, asked":        {all, "wordy", "read", ""},
		"thousand":                {all, "partner001", "read" + strings.Repeat(" x", 999), "read"},
		"more than a thousand":    {all, "partner001", "read" + strings.Repeat(" x", 1000), ""},
		"thousands of duplicates": {all, "partner001", "read" + strings.Repeat(" read", 1500), ""},
		"there are":               {func(c *Config) { c.Scopes = []string{"write"} }, "partner001", "", "write"},
		"there are not":           {func(c *Config) { c.Scopes = []string{"write"} }, "partner001", "read", ""},
		"usual":                   {func(c *Config) { c.DefaultScopes = []string{"read", "admin"} }, "partner001", "", "read"},
		"more than usual":         {func(c *Config) { c.DefaultScopes = []string{"read"} }, "partner001", "write", "write"},

		"implied":                        {implying(), "partner001", "read:all", "read:all"},
		"implied by what is implied":     {implying(), "partner001", "list", "list"},
		"implied, and owned":             {implying(), "partner001", "list write read:all read", "list write read:all read"},
		"implied, twice":                 {implying(), "partner001", "list list", "list"},
		"what implies it":                {implying(), "partner001", "admin list", "list"},
		"implied by one that it has not": {implying(), "partner001", "drop", ""},
		"not all that is implied":        {implying(), "partner001", "", "read write"},
		"implied, case":                  {implying(), "partner001", "LIST", ""},
		"own API, beside implied":        {implying(), "partner001", "caddy-jwt:revoke list", "list"},
		"more than a thousand implied":   {implying(), "partner001", "list" + strings.Repeat(" list", 1000), ""},
		"thousand implied":               {implying(), "partner001", "list" + strings.Repeat(" list", 999), "list"},
		"implied, of a federate alone":   {implying(), "wordy", "list", ""},
		"implied, as usual":              {implying("list", "admin", "drop"), "partner001", "", "list"},
		"implied and owned, as usual":    {implying("list", "write", "list"), "partner001", "", "write list"},
		"implied and there is":           {thereAre("read", "list"), "partner001", "list read:all", "list"},
		"implied and there is not":       {thereAre("read"), "partner001", "list", ""},
		"implied by what there is not":   {thereAre("list"), "partner001", "list", ""},

		"own API as usual": {func(c *Config) { c.DefaultScopes = []string{"caddy-jwt:revoke"} }, "partner001", "", none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.change)
			secret := partnerKey
			if c.id == "wordy" {
				secret = wordyText
			}
			out := w.ask(tokenRequest(with(ofKey(c.id, secret), "scope", c.asks)))
			if c.scope == "" {
				w.refused(out, 400, "invalid_scope", "rea")
				return
			}
			a, body := w.token(out)
			_, there := body.Member("scope")
			switch {
			case c.scope == none && (there || a.Scope != nil):
				t.Errorf("%s has a scope", payloadOf(a.AccessToken))
			case c.scope != none && (text(body, "scope") != c.scope || a.Scope == nil || *a.Scope != c.scope):
				t.Errorf("%s has another scope", out.Body)
			}
		})
	}
}

// TestThreat69Claims: neither a config nor a key's meta makes a claim that is the service's.
func TestThreat69Claims(t *testing.T) {
	t.Parallel()
	wanted := []MetaClaim{{"plan", "tier"}, {"limits", "limits"}, {"nothing", "nothing"}, {"missing", "missing"}}
	w := newWorld(t, func(c *Config) { c.APIKeys[0].Claims = wanted })
	a, body := w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
	if got := body.AppendJSON(nil); !strings.HasSuffix(string(got), `"scope":"read write","tier":"gold","limits":{"rps":[1,2.50]}}`) {
		t.Errorf("the claims are %s", got)
	}
	if len(a.AccessToken) == 0 || text(body, "scope") != "read write" {
		t.Error("the meta's scope is in the token")
	}
	// One that nobody mapped never is.
	if _, body := newWorld(t, nil).token(w.ask(tokenRequest(ofKey("partner001", partnerKey)))); text(body, "plan") != "" {
		t.Error("meta that is not named is in the token")
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "azp", "acr", "auth_time", "scp", "appid", "cid", ""} {
		for how, change := range map[string]func(*Config){
			"key":    func(c *Config) { c.APIKeys[0].Claims = []MetaClaim{{"plan", name}} },
			"client": func(c *Config) { c.Clients[0].Claims = []Claim{{name, "x"}} },
		} {
			if _, err := New(configOf(change)); err == nil || !strings.Contains(err.Error(), "claim") {
				t.Errorf("%s, %q: %v", how, name, err)
			}
		}
	}
}

// TestTokens compares a token with what RFC 9068 wants, for each algorithm.
func TestTokens(t *testing.T) {
	t.Parallel()
	for alg, signer := range signers() {
		w := newWorld(t, func(c *Config) { c.Keys = signingKeys{signer: signer} })
		var ids []string
		for range 3 {
			a, body := w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
			segment, _, _ := strings.Cut(a.AccessToken, ".")
			header, err := base64.RawURLEncoding.DecodeString(segment)
			if want := `{"typ":"at+jwt","alg":"` + alg.String() + `","kid":"` + signer.ID() + `"}`; err != nil || string(header) != want {
				t.Errorf("the header is %s, want %s", header, want)
			}
			id := text(body, "jti")
			if random, err := base64.RawURLEncoding.DecodeString(id); err != nil || len(random) != 16 || slices.Contains(ids, id) {
				t.Errorf("the id is %q", id)
			}
			ids = append(ids, id)
			want := fmt.Sprintf(`{"iss":%q,"sub":"partner001","aud":%q,"client_id":"partner001","iat":%d,"exp":%d,"jti":%q,"scope":"read write"}`,
				testIssuer, testAPI, noon.Unix(), noon.Unix()+900, id)
			if got := payloadOf(a.AccessToken); got != want {
				t.Errorf("the claims are %s, want %s", got, want)
			}
		}
	}
}

// TestAnswersOfTheTokenEndpoint: RFC 6749 section 5.1.
func TestAnswersOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	out := w.ask(tokenRequest(ofKey("partner001", partnerKey)))
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache",
		"X-Content-Type-Options": "nosniff", "Content-Length": strconv.Itoa(out.Body.Len()),
		"Access-Control-Allow-Origin": "", "Set-Cookie": "", "WWW-Authenticate": "",
	} {
		if got := out.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// Handlers in front may change values in place.
	out.Header()["Cache-Control"][0] = "public"
	again := w.ask(tokenRequest(ofKey("partner001", partnerKey)))
	if got := again.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("one answer changes another: %q", got)
	}
}

func TestOtherHostsAndPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Issuer = "https://Auth.Example.com:443/tenant" })
	for _, c := range []struct {
		host, path string
		served     bool
	}{
		{"auth.example.com", "/tenant/oauth2/token", true},
		{"AUTH.example.com", "/tenant/oauth2/token", true},
		{"auth.example.com", "/oauth2/token", false},
		{"auth.example.com", "/tenant/oauth2/token/", false},
		{"auth.example.com", "/tenant/oauth2", false},
		{"auth.example.com", "/TENANT/oauth2/token", false},
		{"auth.example.com:8443", "/tenant/oauth2/token", false},
		{"other.example.com", "/tenant/oauth2/token", false},
		{"", "/tenant/oauth2/token", false},
	} {
		out := httptest.NewRecorder()
		if served := w.service.Serve(out, tokenRequest(ofKey("partner001", partnerKey)), Request{Path: c.path, Host: c.host, Secure: true}); served != c.served || !served && out.Body.Len() > 0 {
			t.Errorf("%s%s: served %t, %s", c.host, c.path, served, out.Body)
		}
	}
	paths := w.service.Paths()
	if !slices.IsSorted(paths) || !slices.Contains(paths, "/tenant/oauth2/token") || !slices.Contains(paths, "/.well-known/openid-configuration/tenant") {
		t.Errorf("the paths are %v", paths)
	}
}
