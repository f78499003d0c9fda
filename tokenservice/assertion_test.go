package tokenservice

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// object is a JSON object.
type object map[string]any

// but returns a copy with changes; a nil value takes a member out.
func (o object) but(changes object) object {
	c := maps.Clone(o)
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func segment(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// signed returns a token with any header and claims.
func signed(t testing.TB, s *key.Signer, header, body object) string {
	t.Helper()
	return signedText(t, s, segment(header)+"."+segment(body))
}

func signedText(t testing.TB, s *key.Signer, input string) string {
	t.Helper()
	signature, err := s.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// The parts of a good assertion of deploy-bot.
func assertionHeader() object {
	return object{"alg": "ES256", "kid": signers()[key.ES256].ID()}
}

func assertionBody() object {
	return object{
		"iss": "deploy-bot", "sub": "deploy-bot", "aud": testIssuer, "jti": "1",
		"iat": noon.Unix(), "exp": noon.Unix() + 60,
	}
}

// ofAssertion returns a form with an assertion.
func ofAssertion(assertion string, more ...string) url.Values {
	return with(with(clientCredentials, "client_assertion_type", assertionType, "client_assertion", assertion), more...)
}

func TestAClientThatSignsGetsAToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header, body object
		more         []string
		change       func(*Config)
	}{
		"plain":                     {},
		"client_id":                 {more: []string{"client_id", "deploy-bot"}},
		"no kid":                    {header: object{"kid": nil}},
		"typ JWT":                   {header: object{"typ": "JWT"}},
		"typ in small letters":      {header: object{"typ": "jwt"}},
		"typ of RFC 7523":           {header: object{"typ": "client-authentication+jwt"}},
		"typ with application":      {header: object{"typ": "application/client-authentication+jwt"}},
		"audience as an array":      {body: object{"aud": []string{testIssuer}}},
		"without iat":               {body: object{"iat": nil}},
		"five minutes":              {body: object{"exp": noon.Unix() + 300}},
		"a clock that is ahead":     {body: object{"iat": noon.Unix() + 59, "exp": noon.Unix() + 359}},
		"a clock that is behind":    {body: object{"exp": noon.Unix() - 59}},
		"endpoint, where it may be": {body: object{"aud": testIssuer + "/oauth2/token"}, change: func(c *Config) { c.Clients[0].EndpointAudience = true }},
		"issuer, where both may be": {change: func(c *Config) { c.Clients[0].EndpointAudience = true }},
	} {
		w := newWorld(t, c.change)
		out := w.ask(tokenRequest(ofAssertion(signed(t, signers()[key.ES256], assertionHeader().but(c.header), assertionBody().but(c.body)), c.more...)))
		if out.Code != 200 {
			t.Errorf("%s: %d %s %+v", name, out.Code, out.Body, w.event())
			continue
		}
		_, body := w.token(out)
		if text(body, "sub") != "deploy-bot" || text(body, "client_id") != "deploy-bot" || text(body, "aud") != testAPI || text(body, "scope") != "deploy read caddy-jwt:revoke" {
			t.Errorf("%s: %s", name, body.AppendJSON(nil))
		}
		if e := w.event(); e.Client != "deploy-bot" || e.Error != "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestThreat70Assertions(t *testing.T) {
	t.Parallel()
	own := signers()[key.ES256]
	other, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	header, body := assertionHeader(), assertionBody()
	make := func(h, b object) string { return signed(t, own, header.but(h), body.but(b)) }
	hmac := func(secret []byte) string {
		input := segment(object{"alg": "HS256", "kid": own.ID()}) + "." + segment(body)
		signature, err := jwt.SigningMethodHS256.Sign(input, secret)
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	good := make(nil, nil)
	for name, c := range map[string]struct {
		assertion string
		more      []string
	}{
		"alg none":                {assertion: segment(object{"alg": "none"}) + "." + segment(body) + "."},
		"alg none with signature": {assertion: segment(object{"alg": "none"}) + "." + segment(body) + ".AAAA"},
		"HS256 with the JWK":      {assertion: hmac(own.Public().AppendJWK(nil))},
		"HS256 with the id":       {assertion: hmac([]byte(own.ID()))},
		"another key":             {assertion: signed(t, other, header, body)},
		"another key, its kid":    {assertion: signed(t, other, header.but(object{"kid": other.ID()}), body)},
		"another algorithm":       {assertion: signed(t, signers()[key.EdDSA], header.but(object{"alg": "EdDSA"}), body)},
		"embedded key":            {assertion: signed(t, other, object{"alg": "ES256", "jwk": json.RawMessage(other.Public().AppendJWK(nil))}, body)},
		"changed claims":          {assertion: segment(header) + "." + segment(body.but(object{"jti": "2"})) + good[len(segment(header))+1+len(segment(body)):]},
		"aud endpoint":            {assertion: make(nil, object{"aud": testIssuer + "/oauth2/token"})},
		"aud of two":              {assertion: make(nil, object{"aud": []string{testIssuer, testIssuer + "/oauth2/token"}})},
		"aud twice the same":      {assertion: make(nil, object{"aud": []string{testIssuer, testIssuer}})},
		"aud with another":        {assertion: make(nil, object{"aud": []string{testIssuer, "https://x.example"}})},
		"aud empty array":         {assertion: make(nil, object{"aud": []string{}})},
		"aud nested":              {assertion: make(nil, object{"aud": []any{[]string{testIssuer}}})},
		"aud other issuer":        {assertion: make(nil, object{"aud": "https://x.example"})},
		"aud with slash":          {assertion: make(nil, object{"aud": testIssuer + "/"})},
		"aud forward":             {assertion: make(nil, object{"aud": testIssuer + "/forward"})},
		"aud resource":            {assertion: make(nil, object{"aud": testAPI})},
		"aud star":                {assertion: make(nil, object{"aud": "*"})},
		"aud missing":             {assertion: make(nil, object{"aud": nil})},
		"typ at+jwt":              {assertion: make(object{"typ": "at+jwt"}, nil)},
		"typ dpop+jwt":            {assertion: make(object{"typ": "dpop+jwt"}, nil)},
		"typ forward+jwt":         {assertion: make(object{"typ": "forward+jwt"}, nil)},
		"typ JOSE":                {assertion: make(object{"typ": "JOSE"}, nil)},
		"typ empty":               {assertion: make(object{"typ": ""}, nil)},
		"crit":                    {assertion: make(object{"crit": []string{"x"}, "x": 1}, nil)},
		"iss other":               {assertion: make(nil, object{"iss": "ci"}), more: []string{"client_id", "deploy-bot"}},
		"iss missing":             {assertion: make(nil, object{"iss": nil})},
		"iss missing, client_id":  {assertion: make(nil, object{"iss": nil}), more: []string{"client_id", "deploy-bot"}},
		"iss as an array":         {assertion: make(nil, object{"iss": []string{"deploy-bot"}})},
		"client_id other":         {assertion: good, more: []string{"client_id", "ci"}},
		"client_id of a key":      {assertion: good, more: []string{"client_id", "partner001"}},
		"client_id unknown":       {assertion: good, more: []string{"client_id", "nobody"}},
		"sub other":               {assertion: make(nil, object{"sub": "ci"})},
		"sub missing":             {assertion: make(nil, object{"sub": nil})},
		"sub empty":               {assertion: make(nil, object{"sub": ""})},
		"exp missing":             {assertion: make(nil, object{"exp": nil})},
		"exp far ahead":           {assertion: make(nil, object{"exp": noon.Unix() + 361})},
		"exp past":                {assertion: make(nil, object{"exp": noon.Unix() - 60})},
		"exp text":                {assertion: make(nil, object{"exp": "1772625660"})},
		"nbf ahead":               {assertion: make(nil, object{"nbf": noon.Unix() + 61})},
		"iat ahead":               {assertion: make(nil, object{"iat": noon.Unix() + 61})},
		"jti missing":             {assertion: make(nil, object{"jti": nil})},
		"jti empty":               {assertion: make(nil, object{"jti": ""})},
		"jti number":              {assertion: make(nil, object{"jti": 1})},
		"cnf":                     {assertion: make(nil, object{"cnf": object{"jkt": "x"}})},
		"duplicate member":        {assertion: signedText(t, own, segment(header)+"."+base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"deploy-bot","iss":"deploy-bot","sub":"deploy-bot","aud":"`+testIssuer+`","jti":"1","exp":1772625660}`)))},
		"line end in the claims":  {assertion: signedText(t, own, segment(header)+"."+segment(body)[:8]+"\n"+segment(body)[8:])},
		"two parts":               {assertion: "a.b"},
		"five parts":              {assertion: "a.b.c.d.e"},
		"dots":                    {assertion: "...."},
		"text":                    {assertion: "deploy-bot"},
		"API key":                 {assertion: partnerKey},
		"ID token":                {assertion: make(nil, object{"iss": "https://idp.example", "aud": "deploy-bot"})},
		"proof of possession":     {assertion: signed(t, own, object{"alg": "ES256", "typ": "dpop+jwt", "jwk": json.RawMessage(own.Public().AppendJWK(nil))}, object{"jti": "1", "htm": "POST", "htu": testIssuer + "/oauth2/token", "iat": noon.Unix()})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			said := w.refused(w.ask(tokenRequest(ofAssertion(c.assertion, c.more...))), 401, "invalid_client", c.assertion, "nobody")
			if said != noSigner.description {
				t.Errorf("the text is %q", said)
			}
			// It has used nothing up.
			if out := w.ask(tokenRequest(ofAssertion(good))); out.Code != 200 {
				t.Errorf("then a good one: %d %s", out.Code, out.Body)
			}
		})
	}
}

// TestThreat70OurOwnTokens: what the service has signed is no assertion, even of a client
// that signs with the same key.
func TestThreat70OurOwnTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a, _ := w.token(w.ask(tokenRequest(ofAssertion(signed(t, signers()[key.ES256], assertionHeader(), assertionBody())))))
	w.refused(w.ask(tokenRequest(ofAssertion(a.AccessToken))), 401, "invalid_client")
	w.refused(w.ask(tokenRequest(ofAssertion(a.AccessToken, "client_id", "deploy-bot"))), 401, "invalid_client")
	w.refused(w.ask(tokenRequest(federation(a.AccessToken))), 400, "invalid_grant")
}

func TestThreat70Replay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	make := func(body object) string {
		return signed(t, signers()[key.ES256], assertionHeader(), assertionBody().but(body))
	}
	w.token(w.ask(tokenRequest(ofAssertion(make(nil)))))
	for name, again := range map[string]string{
		"the same": make(nil), "another audience form": make(object{"aud": []string{testIssuer}}), "another end": make(object{"exp": noon.Unix() + 90}),
	} {
		t.Log(name)
		w.refused(w.ask(tokenRequest(ofAssertion(again))), 401, "invalid_client")
	}
	// As long as it is accepted, which is for the leeway longer than it says.
	w.clock.Set(noon.Add(119 * time.Second))
	w.refused(w.ask(tokenRequest(ofAssertion(make(nil)))), 401, "invalid_client")
	// A reload makes another service with the same memory.
	config := w.service.config
	var err error
	if w.service, err = New(config); err != nil {
		t.Fatal(err)
	}
	w.refused(w.ask(tokenRequest(ofAssertion(make(nil)))), 401, "invalid_client")
	w.token(w.ask(tokenRequest(ofAssertion(make(object{"jti": "2", "exp": noon.Unix() + 200})))))
}

func TestThreat70ReplayAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	assertion := signed(t, signers()[key.ES256], assertionHeader(), assertionBody())
	answers := make(chan int, 20)
	var all sync.WaitGroup
	for range cap(answers) {
		all.Go(func() { answers <- w.ask(tokenRequest(ofAssertion(assertion))).Code })
	}
	all.Wait()
	close(answers)
	count := map[int]int{}
	for status := range answers {
		count[status]++
	}
	if count[200] != 1 {
		t.Errorf("the answers are %v", count)
	}
}

// awayKeys are keys of a client that can't be fetched.
type awayKeys struct{ nobodysKeys }

func TestAClientWhoseKeysAreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Clients[0].Keys = awayKeys{} })
	for range 2 * maxFailures {
		w.refused(w.ask(tokenRequest(ofAssertion(signed(t, signers()[key.ES256], assertionHeader(), assertionBody())))), 503, "temporarily_unavailable")
	}
}

// toldKeys want to know of invalid signatures.
type toldKeys struct {
	signingKeys
	told *int
}

func (k toldKeys) Distrust() { *k.told++ }

func TestKeysAreToldOfInvalidSignatures(t *testing.T) {
	t.Parallel()
	told := 0
	w := newWorld(t, func(c *Config) { c.Clients[0].Keys = toldKeys{signingKeys{signer: signers()[key.ES256]}, &told} })
	other, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	w.ask(tokenRequest(ofAssertion(signed(t, signers()[key.ES256], assertionHeader(), assertionBody()))))
	if told != 0 {
		t.Error("told of a good one")
	}
	w.ask(tokenRequest(ofAssertion(signed(t, other, assertionHeader(), assertionBody()))))
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// TestThreat73AssertionsOfOneClientAreBounded: a client that is not done with 10,000
// assertions waits; others do not.
func TestAssertionsOfOneClientAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Clients = append(c.Clients, Client{ID: "other-bot", Keys: signingKeys{signer: signers()[key.ES256]}})
	})
	memory := w.service.config.Memory
	for i := range maxUsed {
		if refused := memory.use(testIssuer, "deploy-bot", fmt.Sprint("used", i), noon.Add(time.Minute), noon); refused != nil {
			t.Fatalf("%d: %v", i, refused)
		}
	}
	ask := func(id, jti string, at time.Time) *httptest.ResponseRecorder {
		w.clock.Set(at)
		return w.ask(tokenRequest(ofAssertion(signed(t, signers()[key.ES256], assertionHeader(),
			assertionBody().but(object{"iss": id, "sub": id, "jti": jti, "exp": at.Unix() + 60})))))
	}
	w.refused(ask("deploy-bot", "new", noon), 429, "temporarily_unavailable")
	w.refused(ask("deploy-bot", "used1", noon), 401, "invalid_client")
	w.token(ask("other-bot", "used1", noon))
	w.token(ask("deploy-bot", "new", noon.Add(time.Minute)))
	if n := len(memory.used.clients[digestOf("used", testIssuer, "deploy-bot")].until); n != 1 {
		t.Errorf("%d are remembered", n)
	}
	// And what has expired is forgotten, even of a client that does not come back.
	w.token(ask("other-bot", "later", noon.Add(time.Hour)))
	if n := len(memory.used.clients); n != 1 {
		t.Errorf("%d clients are remembered", n)
	}
}

// TestThreat70OtherTypesOfAssertions: a good assertion counts for what it is alone.
func TestThreat70OtherTypesOfAssertions(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		assertionType + " ", "URN" + assertionType[3:], assertionType[:len(assertionType)-1],
	} {
		w := newWorld(t, nil)
		assertion := signed(t, signers()[key.ES256], assertionHeader(), assertionBody())
		form := with(clientCredentials, "client_assertion_type", kind, "client_assertion", assertion)
		w.refused(w.ask(tokenRequest(form)), 401, "invalid_client", assertion)
	}
}

// TestThreat70AClientWithoutKeys: its assertion is refused before anything of it is read.
func TestThreat70AClientWithoutKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	assertion := signed(t, signers()[key.ES256], assertionHeader(), assertionBody().but(object{"iss": "ci", "sub": "ci"}))
	w.refused(w.ask(tokenRequest(ofAssertion(assertion))), 401, "invalid_client", assertion)
	if got := w.event().Reason; got != noSigner.reason {
		t.Errorf("the reason is %q", got)
	}
}
