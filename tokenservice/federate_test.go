package tokenservice

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

const (
	testPlatform = "https://platform.example"
	testDomain   = "spiffe://cluster.example"
)

// federation returns a form with a platform's token.
func federation(assertion string, more ...string) url.Values {
	return with(url.Values{"grant_type": {grantJWTBearer}, "assertion": {assertion}}, more...)
}

// pin returns a rule on a claim.
func pin(name, value string) func(context.Context, claims.Value) bool {
	return func(_ context.Context, body claims.Value) bool { return text(body, name) == value }
}

// federates makes a config with platforms: two federates of one issuer, and a trust domain.
func federates(c *Config) {
	platform := validator.Policy{Issuer: testPlatform, Keys: signingKeys{signer: signers()[key.RS256]}, Leeway: time.Minute}
	domain := validator.Policy{Issuer: testDomain, Keys: signingKeys{signer: signers()[key.ES256]}, Leeway: time.Minute}
	c.Clients = append(c.Clients, Client{ID: "other-ci", Scopes: []string{"pull"}}, Client{ID: "mesh", Audience: []string{testOther}})
	c.Lifetime = 2 * time.Hour
	c.Federates = []Federate{
		{Name: "main", Policy: platform, Pins: pin("repository_id", "1"), Client: "ci"},
		{Name: "second", Policy: platform, Pins: pin("owner_id", "7"), Client: "other-ci"},
		{Name: "mesh", Policy: domain, SubjectPrefix: testDomain + "/", Pins: pin("sub", testDomain+"/build"), Client: "mesh"},
	}
}

func platformBody() object {
	return object{
		"iss": testPlatform, "sub": "repo:1", "aud": testIssuer, "repository_id": "1", "owner_id": "7",
		"iat": noon.Unix(), "exp": noon.Unix() + 600,
	}
}

func platformToken(t testing.TB, header, body object) string {
	t.Helper()
	return signed(t, signers()[key.RS256], object{"alg": "RS256", "kid": signers()[key.RS256].ID()}.but(header), platformBody().but(body))
}

func svid(t testing.TB, body object) string {
	t.Helper()
	return signed(t, signers()[key.ES256], object{"alg": "ES256", "typ": "JWT", "kid": signers()[key.ES256].ID()},
		object{"sub": testDomain + "/build", "aud": []string{testIssuer}, "exp": noon.Unix() + 300}.but(body))
}

func TestAPlatformsTokenGetsAToken(t *testing.T) {
	t.Parallel()
	implied, err := claims.NewImplications(map[string][]string{"push": {"fetch"}, "admin": {"push"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		assertion        string
		more             []string
		federate, client string
		audience, scope  string
	}{
		"the first whose rules hold": {assertion: platformToken(t, nil, nil), federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"the second":                 {assertion: platformToken(t, nil, object{"repository_id": "2"}), federate: "second", client: "other-ci", audience: testAPI, scope: "pull"},
		"typ JWT":                    {assertion: platformToken(t, object{"typ": "JWT"}, nil), federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"audience as an array":       {assertion: platformToken(t, nil, object{"aud": []string{testIssuer}}), federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"a day":                      {assertion: platformToken(t, nil, object{"exp": noon.Unix() + 86400}), federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"without jti and iat":        {assertion: platformToken(t, nil, object{"iat": nil}), federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"client_id":                  {assertion: platformToken(t, nil, nil), more: []string{"client_id", "ci"}, federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"scope":                      {assertion: platformToken(t, nil, nil), more: []string{"scope", "push admin"}, federate: "main", client: "ci", audience: testAPI, scope: "push"},
		"implied scope":              {assertion: platformToken(t, nil, nil), more: []string{"scope", "fetch admin caddy-jwt:revoke"}, federate: "main", client: "ci", audience: testAPI, scope: "fetch"},
		"SVID without iss":           {assertion: svid(t, nil), federate: "mesh", client: "mesh", audience: testOther},
		"SVID with iss":              {assertion: svid(t, object{"iss": testDomain}), federate: "mesh", client: "mesh", audience: testOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *Config) { federates(c); c.Implied = implied })
			// Platforms' tokens are presented again and again.
			for range 2 {
				out := w.ask(tokenRequest(federation(c.assertion, c.more...)))
				if out.Code != http.StatusOK {
					t.Fatalf("%d %s %+v", out.Code, out.Body, w.event())
				}
				a, body := w.token(out)
				if text(body, "sub") != c.client || text(body, "client_id") != c.client || text(body, "aud") != c.audience || text(body, "scope") != c.scope || a.ExpiresIn != 3600 {
					t.Errorf("%d s: %s", a.ExpiresIn, body.AppendJSON(nil))
				}
				if team := text(body, "team"); (team == `in"fra`) != (c.client == "ci") {
					t.Errorf("the client's claim is %q", team)
				}
				if e := w.event(); e.Federate != c.federate || e.Client != c.client || e.Grant != grantJWTBearer || e.Error != "" {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestThreat71PlatformsTokens(t *testing.T) {
	t.Parallel()
	other, err := key.NewSigner(key.RS256)
	if err != nil {
		t.Fatal(err)
	}
	rs := object{"alg": "RS256", "kid": signers()[key.RS256].ID()}
	for name, c := range map[string]struct {
		assertion string
		more      []string
		federate  string
	}{
		"no rule holds":        {platformToken(t, nil, object{"repository_id": "2", "owner_id": "8"}), nil, "main"},
		"rule's claim missing": {platformToken(t, nil, object{"repository_id": nil, "owner_id": nil}), nil, "main"},
		"other audience":       {platformToken(t, nil, object{"aud": "sts.amazonaws.com"}), nil, "main"},
		"audience of two":      {platformToken(t, nil, object{"aud": []string{testIssuer, "sts.amazonaws.com"}}), nil, "main"},
		"audience star":        {platformToken(t, nil, object{"aud": "*"}), nil, "main"},
		"audience endpoint":    {platformToken(t, nil, object{"aud": testIssuer + "/oauth2/token"}), nil, "main"},
		"no audience":          {platformToken(t, nil, object{"aud": nil}), nil, "main"},
		"more than a day":      {platformToken(t, nil, object{"exp": noon.Unix() + 86400 + 61}), nil, "main"},
		"no expiry":            {platformToken(t, nil, object{"exp": nil}), nil, "main"},
		"expired":              {platformToken(t, nil, object{"exp": noon.Unix() - 61}), nil, "main"},
		"not yet valid":        {platformToken(t, nil, object{"nbf": noon.Unix() + 61}), nil, "main"},
		"typ at+jwt":           {platformToken(t, object{"typ": "at+jwt"}, nil), nil, "main"},
		"typ forward+jwt":      {platformToken(t, object{"typ": "forward+jwt"}, nil), nil, "main"},
		"typ dpop+jwt":         {platformToken(t, object{"typ": "dpop+jwt"}, nil), nil, "main"},
		"typ of a client":      {platformToken(t, object{"typ": "client-authentication+jwt"}, nil), nil, "main"},
		"bound":                {platformToken(t, nil, object{"cnf": object{"jkt": "x"}}), nil, "main"},
		"no sub":               {platformToken(t, nil, object{"sub": nil}), nil, "main"},
		"another key":          {signed(t, other, rs, platformBody()), nil, "main"},
		"alg none":             {segment(object{"alg": "none"}) + "." + segment(platformBody()) + ".AAAA", nil, "main"},
		"the domain's key":     {signed(t, signers()[key.ES256], object{"alg": "ES256"}, platformBody()), nil, "main"},
		"unknown issuer":       {platformToken(t, nil, object{"iss": "https://x.example"}), nil, ""},
		"issuer with a slash":  {platformToken(t, nil, object{"iss": testPlatform + "/"}), nil, ""},
		"issuer missing":       {platformToken(t, nil, object{"iss": nil}), nil, ""},
		"issuer empty":         {platformToken(t, nil, object{"iss": ""}), nil, ""},
		"ourselves":            {platformToken(t, nil, object{"iss": testIssuer}), nil, ""},
		"our forward":          {platformToken(t, nil, object{"iss": testIssuer + "/forward"}), nil, ""},
		"a client":             {signed(t, signers()[key.ES256], assertionHeader(), assertionBody()), nil, ""},
		"other client_id":      {platformToken(t, nil, nil), []string{"client_id", "other-ci"}, "main"},
		"unknown client_id":    {platformToken(t, nil, nil), []string{"client_id", "nobody"}, "main"},
		"text":                 {"x", nil, ""},
		"API key":              {partnerKey, nil, ""},
		"SVID, other domain":   {svid(t, object{"sub": "spiffe://other.example/build"}), nil, ""},
		"SVID, longer domain":  {svid(t, object{"sub": testDomain + ".evil.example/build"}), nil, ""},
		"SVID, the domain":     {svid(t, object{"sub": testDomain}), nil, ""},
		"SVID, case":           {svid(t, object{"sub": "SPIFFE://cluster.example/build"}), nil, ""},
		"SVID, other workload": {svid(t, object{"sub": testDomain + "/deploy"}), nil, "mesh"},
		"SVID, iss, no domain": {svid(t, object{"iss": testDomain, "sub": "build"}), nil, "mesh"},
		"SVID, other iss":      {svid(t, object{"iss": "https://oidc.example"}), nil, ""},
		"SVID, no sub":         {svid(t, object{"sub": nil}), nil, ""},
		"SVID, other audience": {svid(t, object{"aud": []string{"spiffe://x"}}), nil, "mesh"},
		"SVID of the platform": {signed(t, signers()[key.RS256], rs, object{"sub": testDomain + "/build", "aud": testIssuer, "exp": noon.Unix() + 300}), nil, "mesh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, federates)
			w.refused(w.ask(tokenRequest(federation(c.assertion, c.more...))), 400, "invalid_grant", c.assertion)
			if e := w.event(); e.Federate != c.federate || e.Grant != grantJWTBearer {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestThreat71OtherAuthenticationBesides(t *testing.T) {
	t.Parallel()
	token := platformToken(t, nil, nil)
	header := tokenRequest(federation(token))
	header.Header.Set("X-API-Key", partnerKey)
	for name, r := range map[string]*http.Request{
		"Basic":              basic(tokenRequest(federation(token)), "partner001", partnerKey),
		"header":             header,
		"secret":             tokenRequest(federation(token, "client_id", "partner001", "client_secret", partnerKey)),
		"client_assertion":   tokenRequest(federation(token, "client_assertion_type", assertionType, "client_assertion", "a.b.c")),
		"an assertion alone": tokenRequest(federation(token, "client_assertion", "a.b.c")),
		"a type alone":       tokenRequest(federation(token, "client_assertion_type", assertionType)),
		"no assertion":       tokenRequest(url.Values{"grant_type": {grantJWTBearer}}),
		"empty assertion":    tokenRequest(federation("")),
	} {
		w := newWorld(t, federates)
		t.Log(name)
		w.refused(w.ask(r), 400, "invalid_request", partnerKey, token)
	}
}

// TestThreat71LaxPolicies: what a policy allows for requests is not allowed for exchange.
func TestThreat71LaxPolicies(t *testing.T) {
	t.Parallel()
	for _, longest := range []time.Duration{0, 7 * 24 * time.Hour} {
		laxPolicies(t, longest)
	}
}

func laxPolicies(t *testing.T, longest time.Duration) {
	w := newWorld(t, func(c *Config) {
		federates(c)
		for i := range c.Federates {
			p := &c.Federates[i].Policy
			p.AllowNoExpiry, p.AllowBound, p.AnyAudience, p.MaxLifetime = true, true, true, longest
			p.Audience, p.AudienceClaims, p.Types = nil, []string{"sub"}, []string{"at+jwt", "JWT"}
		}
	})
	for name, changes := range map[string][2]object{
		"no expiry":      {nil, {"exp": nil}},
		"bound":          {nil, {"cnf": object{"jkt": "x"}}},
		"other audience": {nil, {"aud": "x"}},
		"two days":       {nil, {"exp": noon.Unix() + 2*86400}},
		"type":           {{"typ": "at+jwt"}, nil},
	} {
		t.Log(name)
		w.refused(w.ask(tokenRequest(federation(platformToken(t, changes[0], changes[1])))), 400, "invalid_grant")
	}
	w.token(w.ask(tokenRequest(federation(platformToken(t, nil, nil)))))
}

// TestOneOfTwoFederatesIsAway: with keys from two places, either may have the token's.
func TestOneOfTwoFederatesIsAway(t *testing.T) {
	t.Parallel()
	for away := range 2 {
		w := newWorld(t, func(c *Config) {
			federates(c)
			c.Federates[away].Policy.Keys = awayKeys{}
		})
		present := []object{{"repository_id": "2"}, {"owner_id": "8"}}[away]
		if out := w.ask(tokenRequest(federation(platformToken(t, nil, present)))); out.Code != 200 {
			t.Errorf("%d is away: %d %s", away, out.Code, out.Body)
		}
		w.refused(w.ask(tokenRequest(federation(platformToken(t, nil, object{"repository_id": "2", "owner_id": "8"})))), 503, "temporarily_unavailable")
	}
}

// TestATrustDomainMayNameAnyIssuer: where its policy takes any, the keys and the subject say
// who it is.
func TestATrustDomainMayNameAnyIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		federates(c)
		c.Federates[2].Policy.Issuer, c.Federates[2].Policy.AnyIssuer = "", true
	})
	for _, changes := range []object{nil, {"iss": "https://oidc.example"}, {"iss": testDomain}} {
		if out := w.ask(tokenRequest(federation(svid(t, changes)))); out.Code != 200 {
			t.Errorf("%v: %d %s", changes, out.Code, out.Body)
		}
	}
	for _, changes := range []object{
		{"iss": testIssuer}, {"iss": testIssuer + "/forward"}, {"iss": testPlatform},
		{"iss": "https://oidc.example", "sub": "spiffe://other.example/build"}, {"iss": 1, "sub": "build"},
	} {
		w.refused(w.ask(tokenRequest(federation(svid(t, changes)))), 400, "invalid_grant")
	}
}

// TestThreat71OnlyTheTrustDomain: the subject must be in the domain, whatever else the rules
// allow, with an iss and without one.
func TestThreat71OnlyTheTrustDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		federates(c)
		c.Federates[2].Pins = func(context.Context, claims.Value) bool { return true }
	})
	for _, subject := range []any{"spiffe://other.example/build", testDomain, testDomain + ".evil.example/build", "build", "/build", "x" + testDomain + "/build", []string{testDomain + "/build"}, nil} {
		for _, iss := range []any{testDomain, nil} {
			w.refused(w.ask(tokenRequest(federation(svid(t, object{"iss": iss, "sub": subject})))), 400, "invalid_grant")
		}
	}
	w.token(w.ask(tokenRequest(federation(svid(t, object{"iss": testDomain, "sub": testDomain + "/deploy"})))))
}

// TestThreat71ScopesOfTheServiceItself: a platform never gets them, not even by a client
// that the config gives them to.
func TestThreat71ScopesOfTheServiceItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, federates)
	w.refused(w.ask(tokenRequest(federation(platformToken(t, nil, nil), "scope", "caddy-jwt:revoke"))), 400, "invalid_scope")
	w.refused(w.ask(tokenRequest(federation(platformToken(t, nil, nil), "resource", testOther))), 400, "invalid_target")
}

func TestThreat71Revoked(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]revocation.Rule{
		"the platform's subject": {Kind: revocation.KindSub, Value: "repo:1", Issuer: testPlatform},
		"the platform":           {Kind: revocation.KindIssuer, Value: testPlatform},
		"the platform's key":     {Kind: revocation.KindKid, Value: signers()[key.RS256].ID(), Issuer: testPlatform},
		"the token":              {Kind: revocation.KindToken, Value: revocation.TokenValue(platformToken(t, nil, nil))},
		"before now":             {Kind: revocation.KindIssuer, Value: testPlatform, NotBefore: noon.Add(time.Second)},
		"the client":             {Kind: revocation.KindClient, Value: "ci", Issuer: testIssuer},
		"the client, before":     {Kind: revocation.KindClient, Value: "ci", NotBefore: noon.Add(time.Hour)},
		"the client's subject":   {Kind: revocation.KindSub, Value: "ci"},
	} {
		w := newWorld(t, federates)
		w.rules.rules = []revocation.Rule{rule}
		t.Log(name)
		w.refused(w.ask(tokenRequest(federation(platformToken(t, nil, nil)))), 400, "invalid_grant")
	}
	w := newWorld(t, federates)
	w.rules.unknown = true
	w.refused(w.ask(tokenRequest(federation(platformToken(t, nil, nil)))), 503, "temporarily_unavailable")
}

func TestAPlatformWhoseKeysAreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		federates(c)
		for i := range c.Federates {
			c.Federates[i].Policy.Keys = awayKeys{}
		}
	})
	for range 2 * maxFailures {
		w.refused(w.ask(tokenRequest(federation(platformToken(t, nil, nil)))), 503, "temporarily_unavailable")
	}
}
