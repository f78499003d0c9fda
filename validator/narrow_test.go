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

// An audience counts wherever it is in the list, and a value that is no text spoils the list
// wherever that is.
func TestTheAudienceIsAnywhereInTheList(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for aud, want := range map[string]reason.Code{
		`["https://api.example"]`:                       "",
		`["https://api.example","other"]`:               "",
		`["other","https://api.example"]`:               "",
		`["a","https://api.example","b"]`:               "",
		`["other","another"]`:                           reason.WrongAudience,
		`["https://api.example",7]`:                     reason.WrongAudience,
		`[null,"https://api.example"]`:                  reason.WrongAudience,
		`[["https://api.example"]]`:                     reason.WrongAudience,
		`{"https://api.example":"https://api.example"}`: reason.WrongAudience,
		`["https://api.example/"]`:                      reason.WrongAudience,
		`"https://api.example https://api.example"`:     reason.WrongAudience,
	} {
		t.Run(aud, func(t *testing.T) {
			t.Parallel()
			check(t, v, es256(t, goodHeader, strings.Replace(goodClaims, `"https://api.example"`, aud, 1)), want)
		})
	}
}

// Nothing but application/ may be in front of a type.
func TestTypesWithAPrefix(t *testing.T) {
	t.Parallel()
	for _, alsoNone := range []bool{false, true} {
		p := basePolicy()
		p.Types, p.AllowNoType = []string{"at+jwt"}, alsoNone
		v := newValidator(t, p)
		none := reason.WrongType
		if alsoNone {
			none = ""
		}
		for typ, want := range map[string]reason.Code{
			`,"typ":"at+jwt"`:                         "",
			`,"typ":"AT+JWT"`:                         "",
			`,"typ":"application/at+jwt"`:             "",
			`,"typ":"Application/At+Jwt"`:             "",
			`,"typ":"xxxxxxxxxxxxat+jwt"`:             reason.WrongType,
			`,"typ":"application:at+jwt"`:             reason.WrongType,
			`,"typ":"application/application/at+jwt"`: reason.WrongType,
			`,"typ":"application/"`:                   reason.WrongType,
			`,"typ":"application/logout+jwt"`:         reason.WrongType,
			`,"typ":"JWT"`:                            reason.WrongType,
			``:                                        none,
		} {
			check(t, v, es256(t, `{"alg":"ES256","kid":"p256"`+typ+`}`, goodClaims), want)
		}
	}
}

// An Introspector that breaks its promise must not make a token of anything but an object.
func TestAnAnswerIsAnObject(t *testing.T) {
	t.Parallel()
	detailed := reason.AnswerMember.With("exp")
	for name, c := range map[string]struct {
		answer claims.Value
		err    error
		want   error
	}{
		"null":           {claims.Value{}, nil, reason.IntrospectionUnavailable},
		"a text":         {claims.TextValue("alice"), nil, reason.IntrospectionUnavailable},
		"another error":  {claims.Value{}, errors.New("down"), reason.IntrospectionUnavailable},
		"another reason": {claims.Value{}, reason.AudienceType, reason.IntrospectionUnavailable},
		"a detail":       {claims.Value{}, detailed, detailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := basePolicy()
			p.Keys, p.Introspector = nil, says{c.answer, c.err}
			token, err := newValidator(t, p).Validate(t.Context(), opaqueToken)
			if token != nil || err != c.want { //nolint:errorlint // it must be that very detail
				t.Errorf("%+v, %v", token, err)
			}
		})
	}
}

// says is an Introspector that says the same of each token.
type says struct {
	answer claims.Value
	err    error
}

func (s says) Introspect(context.Context, string) (claims.Value, bool, error) {
	return s.answer, true, s.err
}

// Another tenant's text elsewhere in the template's issuer opens nothing, and Accepts agrees
// with what tokens get.
func TestWhichIssuersAPolicyAccepts(t *testing.T) {
	t.Parallel()
	const (
		listed, other = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"
		template      = "https://login.example/" + TenantMark + "/v2.0"
	)
	tenants, every, plain, all := basePolicy(), basePolicy(), basePolicy(), basePolicy()
	tenants.Issuer, tenants.Tenants = template, []string{listed}
	every.Issuer, every.AnyTenant = template, true
	all.Issuer, all.AnyIssuer = "", true
	of := func(tenant string) string { return strings.Replace(template, TenantMark, tenant, 1) }
	for _, c := range []struct {
		what string
		p    Policy
		iss  string
		want bool
	}{
		{"the issuer", plain, testIssuer, true},
		{"another issuer", plain, testIssuer + "x", false},
		{"the beginning of it", plain, strings.TrimSuffix(testIssuer, "/"), false},
		{"any issuer", all, "https://whatever.example/", true},
		{"a tenant that is listed", tenants, of(listed), true},
		{"another tenant", tenants, of(other), false},
		{"the consumers, who are not listed", tenants, of(ConsumerTenant), false},
		{"any tenant", every, of(other), true},
		{"the consumers, who are no tenant", every, of(ConsumerTenant), false},
		{"the template", every, template, false},
		{"no tenant", every, of(""), false},
		{"a tenant in capitals", every, of(strings.ToUpper("abcdefab-2222-3333-4444-555555555555")), false},
		{"a path for a tenant", every, of(other + "/" + other), false},
		{"more behind it", every, of(other) + "/", false},
		{"another beginning", every, "https://evil.example/?" + of(other), false},
		{"only the beginning", every, "https://login.example/" + other, false},
		{"only the end", every, other + "/v2.0", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			if got := c.p.Accepts(c.iss); got != c.want {
				t.Errorf("%s: %t", c.iss, got)
			}
		})
	}
}

func TestPoliciesWithoutSense(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Policy){
		"negative leeway":   func(p *Policy) { p.Leeway = -time.Second },
		"negative lifetime": func(p *Policy) { p.MaxLifetime = -time.Second },
		"tenants of a secret": func(p *Policy) {
			p.Issuer, p.AnyTenant, p.Symmetric = "https://login.example/"+TenantMark, true, true
		},
		"two tenants in one issuer": func(p *Policy) { p.Issuer, p.AnyTenant = "https://"+TenantMark+".example/"+TenantMark, true },
		"a mark without tenants":    func(p *Policy) { p.Issuer = "https://login.example/" + TenantMark },
		"tenants without a mark":    func(p *Policy) { p.AnyTenant = true },
		"a tenant in capitals": func(p *Policy) {
			p.Issuer, p.Tenants = "https://login.example/"+TenantMark, []string{"ABCDEFAB-2222-3333-4444-555555555555"}
		},
	} {
		p := basePolicy()
		change(&p)
		if _, err := New([]Policy{p}, nil); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// The claims in which scopes are count for answers too, and what an answer about a JWT leaves
// out is no contradiction.
func TestWhatIsReadOfAnAnswer(t *testing.T) {
	t.Parallel()
	object := func(text string) claims.Value {
		v, err := claims.ParseObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	p := basePolicy()
	p.Keys, p.Introspector, p.ScopeClaims = nil, says{object(`{"active":true,"token_type":"Bearer","sub":"alice","aud":"https://api.example","exp":1800000600,"scope":"admin","roles":["read","write"]}`), nil}, []string{"roles"}
	token, err := newValidator(t, p).Validate(t.Context(), opaqueToken)
	if err != nil || strings.Join(token.Scopes(), " ") != "read write" {
		t.Errorf("scopes in roles: %v, %v", token, err)
	}
	for answer, want := range map[string]error{
		`{"active":true,"token_type":"Bearer"}`:                                   nil,
		`{"active":true,"token_type":"Bearer","iss":"https://issuer.example/"}`:   nil,
		`{"active":true,"token_type":"Bearer","iss":"https://other.example/"}`:    reason.AnswerIssuer,
		`{"active":true,"token_type":"Bearer","iss":null}`:                        reason.AnswerIssuer,
		`{"active":true,"token_type":"Bearer","iss":["https://issuer.example/"]}`: reason.AnswerIssuer,
	} {
		p := basePolicy()
		p.Introspector, p.IntrospectJWTs = says{object(answer), nil}, true
		_, err := newValidator(t, p).Validate(t.Context(), es256(t, goodHeader, goodClaims))
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", answer, err, want)
		}
	}
}
