package validator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// issuerAnswers answers about tokens as an issuer does, and counts who asks.
type issuerAnswers struct {
	answers map[string]string // by token; "" for an issuer that can't be asked
	asked   int
	known   bool // whether the answers are remembered
}

func (a *issuerAnswers) Introspect(_ context.Context, token string) (claims.Value, bool, error) {
	a.asked++
	return a.about(token)
}

func (a *issuerAnswers) about(token string) (claims.Value, bool, error) {
	text, ok := a.answers[token]
	if ok && text == "" {
		return claims.Value{}, false, errors.New("down")
	}
	if !ok {
		return claims.Value{}, false, nil
	}
	v, err := claims.ParseObject([]byte(text))
	return v, err == nil, err
}

func (a *issuerAnswers) Remembered(token string) (claims.Value, bool, bool) {
	v, active, err := a.about(token)
	return v, active, a.known && err == nil
}

// An opaque token and a good answer about it.
const (
	opaqueToken = "ory_at_0123456789abcdef"
	goodAnswer  = `{"active":true,"sub":"alice","aud":"https://api.example","exp":1800000600,"iat":1800000000,"scope":"read write","token_type":"Bearer","client_id":"app","iss":"https://issuer.example/"}`
)

func opaquePolicy(a *issuerAnswers) Policy {
	p := basePolicy()
	p.Keys, p.Introspector = nil, a
	return p
}

func instead(t *testing.T, old, new string) string {
	t.Helper()
	if !strings.Contains(goodAnswer, old) {
		t.Fatalf("no %s", old)
	}
	return strings.Replace(goodAnswer, old, new, 1)
}

func TestAnAnswerBecomesAToken(t *testing.T) {
	t.Parallel()
	a := &issuerAnswers{answers: map[string]string{opaqueToken: goodAnswer}}
	v := newValidator(t, opaquePolicy(a)).Cached(newMemory())
	for range 2 {
		token, err := v.Validate(t.Context(), opaqueToken)
		if err != nil {
			t.Fatal(err)
		}
		if token.User() != "alice" || token.Issuer() != testIssuer || strings.Join(token.Scopes(), " ") != "read write" || token.KeyID()+token.SignedBy() != "" ||
			token.Expires().Unix() != 1800000600 || token.Issued().Unix() != 1800000000 || token.Policy() != 0 {
			t.Errorf("%+v", token)
		}
		if v, _ := token.Claims().Lookup("client_id"); v.Render() != "app" {
			t.Errorf("client_id is %s", v.Render())
		}
		first, ok := token.Digest()
		a.answers[opaqueToken] = instead(t, "read write", "read")
		other, err := v.Validate(t.Context(), opaqueToken)
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := other.Digest(); !ok || first == second {
			t.Error("another answer has the same digest")
		}
		a.answers[opaqueToken] = goodAnswer
	}
	if a.asked != 4 {
		t.Errorf("asked %d times: only the Introspector may keep answers", a.asked)
	}
	delete(a.answers, opaqueToken)
	var into Token
	if err := v.ValidateInto(t.Context(), opaqueToken, &into); !errors.Is(err, reason.InactiveToken) || into.Policy() != 0 {
		t.Errorf("it was revoked: %v, policy %d", err, into.Policy())
	}
	a.answers[opaqueToken] = ""
	if err := v.ValidateInto(t.Context(), opaqueToken, &into); !errors.Is(err, reason.IntrospectionUnavailable) {
		t.Errorf("the issuer is down: %v", err)
	}
	if issuer, user := into.Sender(); issuer+user != "" {
		t.Errorf("nothing is known of the sender, and it is %s %s", issuer, user)
	}
}

// TestThreat88_AnAnswerIsJudgedAsClaimsAre: what a JWT is refused for, an answer is too, and
// for what an issuer says of tokens that are none for an API.
func TestThreat88_AnAnswerIsJudgedAsClaimsAre(t *testing.T) {
	t.Parallel()
	const noKind = `,"token_type":"Bearer"`
	for name, c := range map[string]struct {
		answer string
		change func(*Policy)
		want   error // nil is accepted
	}{
		"as it should be": {answer: goodAnswer},
		"no iss":          {answer: instead(t, `,"iss":"https://issuer.example/"`, "")},
		"null kinds":      {answer: instead(t, `"token_type":"Bearer"`, `"token_type":"bearer","typ":null`)},
		"keycloak":        {answer: instead(t, `"token_type":"Bearer"`, `"typ":"Bearer"`)},
		"hydra":           {answer: instead(t, `"token_type":"Bearer"`, `"token_type":"Bearer","token_use":"access_token"`)},
		"a kind of form":  {answer: instead(t, `"token_type":"Bearer"`, `"token_type":"Bearer","typ":"JWT"`)},
		"leeway":          {answer: instead(t, "1800000600", "1799999950")},

		"another iss":             {answer: instead(t, "issuer.example/", "other.example/"), want: reason.AnswerIssuer},
		"iss is no text":          {answer: instead(t, `"https://issuer.example/"`, "7"), want: answerTypes["iss"]},
		"exp is text":             {answer: instead(t, "1800000600", `"1800000600"`), want: answerTypes["exp"]},
		"nbf is null":             {answer: instead(t, `"iat"`, `"nbf":null,"iat"`), want: answerTypes["nbf"]},
		"iat is far away":         {answer: instead(t, "1800000000", `1e30`), want: answerTypes["iat"]},
		"expired":                 {answer: instead(t, "1800000600", "1799999900"), want: reason.Expired},
		"not yet valid":           {answer: instead(t, `"iat"`, `"nbf":1800000100,"iat"`), want: reason.NotYetValid},
		"issued in the future":    {answer: instead(t, "1800000000", "1800000100"), want: reason.IssuedInFuture},
		"too long":                {answer: goodAnswer, change: func(p *Policy) { p.MaxLifetime = time.Minute }, want: reason.LifetimeTooLong},
		"no exp":                  {answer: instead(t, `"exp"`, `"e"`), want: reason.AnswerNoExpiry},
		"no exp, which is fine":   {answer: instead(t, `"exp"`, `"e"`), change: func(p *Policy) { p.AllowNoExpiry = true }},
		"another aud":             {answer: instead(t, "api.example", "other.example"), want: reason.WrongAudience},
		"no aud":                  {answer: instead(t, `"aud"`, `"a"`), want: reason.AnswerNoAudience},
		"no aud, which is fine":   {answer: instead(t, `"aud"`, `"a"`), change: func(p *Policy) { p.Audience, p.AnyAudience = nil, true }},
		"the client is the aud":   {answer: instead(t, `"aud"`, `"a"`), change: func(p *Policy) { p.Audience, p.AudienceClaims = []string{"app"}, []string{"client_id"} }},
		"an aud of another type":  {answer: instead(t, `"https://api.example"`, `[7]`), want: reason.AudienceType},
		"no user":                 {answer: instead(t, `"sub"`, `"s"`), want: reason.MissingClaim},
		"another user":            {answer: instead(t, `"sub"`, `"s"`), change: func(p *Policy) { p.UserClaims = []string{"username", "client_id"} }},
		"typ is for JWTs":         {answer: goodAnswer, change: func(p *Policy) { p.Types = []string{"at+jwt"} }},
		"a refresh token":         {answer: instead(t, `"Bearer"`, `"refresh_token"`), want: reason.AnswerKind},
		"hydra's refresh token":   {answer: instead(t, `"Bearer"`, `"Bearer","token_use":"refresh_token"`), want: reason.AnswerKind},
		"keycloak's refresh":      {answer: instead(t, `"Bearer"`, `"Bearer","typ":"Refresh"`), want: reason.AnswerKind},
		"openiddict's refresh":    {answer: instead(t, `"Bearer"`, `"Bearer","token_usage":"refresh_token"`), want: reason.AnswerKind},
		"an ID token":             {answer: instead(t, `"token_type":"Bearer"`, `"typ":"ID"`), want: reason.AnswerKind},
		"Cognito's ID token":      {answer: instead(t, `"token_type":"Bearer"`, `"token_use":"id"`), want: reason.AnswerKind},
		"an empty kind":           {answer: instead(t, `"Bearer"`, `""`), want: reason.AnswerKind},
		"a kind that is no text":  {answer: instead(t, `"Bearer"`, `["Bearer"]`), want: reason.AnswerKind},
		"no kind":                 {answer: instead(t, noKind, ""), want: reason.AnswerNoKind},
		"only the form":           {answer: instead(t, `"Bearer"`, `"urn:ietf:params:oauth:token-type:jwt"`), want: reason.AnswerNoKind},
		"no kind, which is fine":  {answer: instead(t, noKind, ""), change: func(p *Policy) { p.Untyped = true }},
		"a refresh token, though": {answer: instead(t, `"Bearer"`, `"refresh_token"`), change: func(p *Policy) { p.Untyped = true }, want: reason.AnswerKind},
		"bound":                   {answer: instead(t, `"iat"`, `"cnf":{"jkt":"x"},"iat"`), want: reason.Bound},
		"bound to nothing":        {answer: instead(t, `"iat"`, `"cnf":null,"iat"`), want: reason.Bound},
		"DPoP":                    {answer: instead(t, `"Bearer"`, `"DPoP","cnf":{"jkt":"x"}`), want: reason.Bound},
		"DPoP without cnf":        {answer: instead(t, `"Bearer"`, `"DPoP"`), change: func(p *Policy) { p.AllowBound = true }, want: reason.AnswerKind},
		"bound, which is fine":    {answer: instead(t, `"Bearer"`, `"DPoP","cnf":{"jkt":"x"}`), change: func(p *Policy) { p.AllowBound = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &issuerAnswers{answers: map[string]string{opaqueToken: c.answer}}
			p := opaquePolicy(a)
			if c.change != nil {
				c.change(&p)
			}
			v := newValidator(t, p)
			_, err := v.Validate(t.Context(), opaqueToken)
			if c.want == nil && err != nil || !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			agreesWithExplain(t, v.Asking(), opaqueToken, err)
		})
	}
}

// What an Introspector does not take for an active access token is refused for what its answer
// says.
func TestWhatAnAnswerIsRefusedFor(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{
		`{"active":false}`:                                               reason.InactiveToken,
		`{"active":true}`:                                                reason.AnswerNoKind,
		`{"active":true,"token_type":"DPoP"}`:                            reason.AnswerKind,
		`{"active":true,"token_type":"DPoP","cnf":{"jkt":"x"}}`:          reason.Bound,
		`{"active":true,"cnf":{"jkt":"x"}}`:                              reason.Bound,
		`{"active":true,"typ":"Refresh"}`:                                reason.AnswerKind,
		`{"active":true,"iss":"https://other.example"}`:                  reason.AnswerIssuer,
		`{"active":true,"typ":"Bearer","iss":"https://issuer.example/"}`: reason.InactiveToken,
	} {
		v, err := claims.ParseObject([]byte(answer))
		if err != nil {
			t.Fatal(err)
		}
		p := newValidator(t, opaquePolicy(&issuerAnswers{})).opaque
		if _, err := p.judged(v, false, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", answer, err, want)
		}
	}
}

// agreesWithExplain compares the first check that failed with the error of Validate.
func agreesWithExplain(t *testing.T, v *Validator, token string, err error) {
	t.Helper()
	first := ""
	for _, c := range v.Explain(t.Context(), token) {
		if c.Outcome == reason.Failed {
			first = string(c.Reason)
			if c.Detail != "" {
				first += ": " + c.Detail
			}
			break
		}
	}
	want := ""
	if err != nil {
		want = err.Error()
	}
	if first != want {
		t.Errorf("explained as %q, and it is %q", first, want)
	}
}

// What can be no token is not sent anywhere.
func TestThreat88_OnlyTokensAreAskedAbout(t *testing.T) {
	t.Parallel()
	a := &issuerAnswers{}
	v := newValidator(t, opaquePolicy(a)).Sparing(func(text string) bool { return text == "a-key-and-no-token" })
	for name, c := range map[string]struct {
		token string
		asked bool
		want  error
	}{
		"another secret": {"a-key-and-no-token", false, reason.KeyAsToken},
		"15 bytes":       {strings.Repeat("a", 15), false, reason.OpaqueForm},
		"16 bytes":       {strings.Repeat("a", 16), true, reason.InactiveToken},
		"4096 bytes":     {strings.Repeat("a", 4096), true, reason.InactiveToken},
		"4097 bytes":     {strings.Repeat("a", 4097), false, reason.OpaqueForm},
		"all of it":      {"aA0-._~+/bbbbbbbbbbb==", true, reason.InactiveToken},
		"= inside":       {"aaaaaaaa=aaaaaaaa", false, reason.OpaqueForm},
		"only =":         {strings.Repeat("=", 20), false, reason.OpaqueForm},
		"a space":        {"aaaaaaaa aaaaaaaa", false, reason.OpaqueForm},
		"a line end":     {"aaaaaaaa\naaaaaaaa", false, reason.OpaqueForm},
		"a letter":       {"aaaaaaaaäaaaaaaaa", false, reason.OpaqueForm},
		"an ampersand":   {"aaaaaaaa&active=true", false, reason.OpaqueForm},
		"five parts":     {"eyJhbGciOiJkaXIifQ..a.b.c", true, reason.InactiveToken},
		"four parts":     {"aaaaaaaaaaaaaaaaaa.a.b.c", true, reason.InactiveToken},
		"a JWT":          {es256(t, goodHeader, goodClaims), false, reason.OnlyOpaque},
		"of others":      {es256(t, goodHeader, strings.Replace(goodClaims, "issuer.", "other.", 1)), false, reason.UnknownIssuer},
		"three parts":    {"aaaaaaaa.bbbbbbbb.cccccccc", false, reason.MalformedToken},
		"17,000 bytes":   {strings.Repeat("a", 17000), false, reason.MalformedToken},
		"HS256, forged":  {b64(`{"alg":"HS256"}`) + "." + b64(goodClaims) + ".AAAA", false, reason.AlgRefused},
	} {
		before := a.asked
		_, err := v.Validate(t.Context(), c.token)
		if !errors.Is(err, c.want) || (a.asked > before) != c.asked {
			t.Errorf("%s: %v, asked %v; want %v, %v", name, err, a.asked > before, c.want, c.asked)
		}
		agreesWithExplain(t, v.Asking(), c.token, err)
	}
	// Without introspection they are refused as ever.
	plain := newValidator(t, basePolicy())
	check(t, plain, opaqueToken, reason.MalformedToken)
	check(t, plain, "a.b.c.d.e", reason.UnsupportedToken)
}

// The JWTs of an issuer are asked about after their own checks, also those that were seen
// before.
func TestJWTsAreAskedAboutEachTime(t *testing.T) {
	t.Parallel()
	good := es256(t, goodHeader, goodClaims)
	a := &issuerAnswers{answers: map[string]string{good: goodAnswer}}
	p := basePolicy()
	p.Introspector, p.IntrospectJWTs = a, true
	v := newValidator(t, p).Cached(newMemory())
	for range 3 {
		token, err := v.Validate(t.Context(), good)
		if err != nil || token.KeyID() != "p256" {
			t.Fatal(err)
		}
		agreesWithExplain(t, v.Asking(), good, err)
	}
	if a.asked != 6 {
		t.Errorf("asked %d times", a.asked)
	}
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"down":            {"", reason.IntrospectionUnavailable},
		"another iss":     {instead(t, "issuer.example/", "other.example/"), reason.AnswerIssuer},
		"a refresh token": {instead(t, `"Bearer"`, `"refresh_token"`), reason.AnswerKind},
		"bound":           {instead(t, `"iat"`, `"cnf":{"jkt":"x"},"iat"`), reason.Bound},
		"DPoP":            {instead(t, `"Bearer"`, `"DPoP"`), reason.AnswerKind},
		"its own times":   {instead(t, "1800000600", "1"), nil}, // the token's count
	} {
		a.answers[good] = c.answer
		if _, err := v.Validate(t.Context(), good); c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else {
			agreesWithExplain(t, v.Asking(), good, err)
		}
	}
	delete(a.answers, good)
	var into Token
	if err := v.ValidateInto(t.Context(), good, &into); !errors.Is(err, reason.InactiveToken) {
		t.Errorf("it was revoked: %v", err)
	}
	if issuer, user := into.Sender(); issuer != testIssuer || user != "alice" {
		t.Errorf("the sender is %s %s", issuer, user)
	}
	before := a.asked
	bad := good[:len(good)-8] + "AAAAAAAA"
	if _, err := v.Validate(t.Context(), bad); !errors.Is(err, reason.BadSignature) || a.asked != before {
		t.Errorf("a bad signature: %v, asked %d times", err, a.asked-before)
	}
	agreesWithExplain(t, v.Asking(), bad, reason.BadSignature)
}

// A quiet Validator asks nobody: it uses what is remembered, and says else that it is not known.
func TestAQuietValidatorAsksNobody(t *testing.T) {
	t.Parallel()
	a := &issuerAnswers{answers: map[string]string{opaqueToken: goodAnswer}}
	v := newValidator(t, opaquePolicy(a))
	if _, err := v.Quiet().Validate(t.Context(), opaqueToken); !errors.Is(err, reason.IntrospectionUnavailable) {
		t.Error(err)
	}
	for _, c := range v.Explain(t.Context(), opaqueToken) {
		if c.Name == reason.CheckForm && c.Outcome != reason.Passed || c.Name != reason.CheckForm && c.Outcome != reason.Unknown {
			t.Errorf("%+v", c)
		}
	}
	a.known = true
	if _, err := v.Quiet().Validate(t.Context(), opaqueToken); err != nil {
		t.Error(err)
	}
	agreesWithExplain(t, v, opaqueToken, nil)
	if a.asked != 0 {
		t.Errorf("asked %d times", a.asked)
	}
	if _, err := v.Quiet().Asking().Validate(t.Context(), opaqueToken); err != nil || a.asked != 1 {
		t.Errorf("%v, asked %d times", err, a.asked)
	}
}

// revokeAll revokes the token of one text.
type revokeAll string

func (r revokeAll) Check(_ context.Context, _ *Verified, text, _ string, _ time.Time) reason.Code {
	if text == string(r) {
		return reason.Revoked
	}
	return ""
}

func TestOpaqueTokensCanBeRevokedHere(t *testing.T) {
	t.Parallel()
	a := &issuerAnswers{answers: map[string]string{opaqueToken: goodAnswer}}
	v := newValidator(t, opaquePolicy(a)).Revoking(revokeAll(opaqueToken))
	_, err := v.Validate(t.Context(), opaqueToken)
	if !errors.Is(err, reason.Revoked) {
		t.Error(err)
	}
	agreesWithExplain(t, v.Asking(), opaqueToken, err)
	if _, err := newValidator(t, opaquePolicy(a)).Revoking(revokeAll("other")).Validate(t.Context(), opaqueToken); err != nil {
		t.Error(err)
	}
}

func TestPoliciesThatCantIntrospect(t *testing.T) {
	t.Parallel()
	a := &issuerAnswers{}
	for name, change := range map[string]func(p *Policy) []Policy{
		"JWTs without keys":         func(p *Policy) []Policy { p.IntrospectJWTs = true; return []Policy{*p} },
		"JWTs without introspector": func(p *Policy) []Policy { *p = basePolicy(); p.IntrospectJWTs = true; return []Policy{*p} },
		"any issuer":                func(p *Policy) []Policy { p.Issuer, p.AnyIssuer = "", true; return []Policy{*p} },
		"two":                       func(p *Policy) []Policy { q := *p; q.Issuer = "https://b.example"; return []Policy{*p, q} },
	} {
		p := opaquePolicy(a)
		if _, err := New(change(&p), nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A JWT on a site that also introspects costs what it does elsewhere.
func TestJWTsCostTheSameBesideIntrospection(t *testing.T) { // not parallel, for AllocsPerRun
	p := basePolicy()
	p.Introspector = &issuerAnswers{}
	token := es256(t, goodHeader, goodClaims)
	allocations := func(p Policy) float64 {
		v := newValidator(t, p).Cached(newMemory())
		var into Token
		validate := func() {
			if err := v.ValidateInto(t.Context(), token, &into); err != nil {
				t.Fatal(err)
			}
		}
		validate()
		return testing.AllocsPerRun(100, validate)
	}
	if with, without := allocations(p), allocations(basePolicy()); with != without {
		t.Errorf("%v allocations, and %v without introspection", with, without)
	}
}
