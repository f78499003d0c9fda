package validator

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// FuzzValidate checks that no token causes a panic, that each error is a reason, and that
// golang-jwt accepts the signature of each accepted token too.
func FuzzValidate(f *testing.F) {
	good := es256(f, goodHeader, goodClaims)
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, parts[0] + "." + parts[1] + ".", parts[0] + "." + b64(`{"iss":"https://issuer.example/"}`) + "." + parts[2],
		b64(`{"alg":"none"}`) + "." + parts[1] + ".", b64(`{"alg":"HS256","kid":"p256"}`) + "." + parts[1] + "." + parts[2],
		es256(f, `{"alg":"ES256","crit":["exp"]}`, goodClaims), es256(f, goodHeader, strings.Replace(goodClaims, `1800000600`, `1e300`, 1)),
		es256(f, goodHeader, `{"iss":"https://issuer.example/","exp":1800000600,"aud":["https://api.example",null]}`),
		"a.b.c.d.e", "..", "", strings.Repeat(".", 100), `{"payload":""}`,
	} {
		f.Add(seed)
	}
	v := newValidator(f, basePolicy())
	public := keys()["p256"].public.Material()
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Validate(context.Background(), token)
		if err != nil {
			if _, ok := errors.AsType[reason.Code](err); !ok || got != nil {
				t.Fatalf("error %v, token %v", err, got)
			}
			return
		}
		cut := strings.LastIndexByte(token, '.')
		parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatalf("golang-jwt can't parse what was accepted: %v", err)
		}
		if err := jwt.SigningMethodES256.Verify(token[:cut], parsed.Signature, public); err != nil {
			t.Fatalf("accepted with a bad signature: %v", err)
		}
	})
}

// FuzzSignedParts signs any header and claims with the trusted key, so that the fuzzer
// gets past the signature. Accepted tokens must meet the policy as golang-jwt reads them.
func FuzzSignedParts(f *testing.F) {
	f.Add(goodHeader, goodClaims)
	f.Add(`{"alg":"ES256"}`, `{"iss":"https://issuer.example/","sub":5,"aud":["https://api.example"],"exp":1.8e9,"scope":["a"]}`)
	f.Add(`{"alg":"ES256","alg":"none"}`, `{"exp":1,"exp":1800000600}`)
	f.Add(`{"alg":"ES256","typ":"application/at+jwt"}`, goodClaims)
	ofTenant := `{"iss":"` + forTenant(entra, tenantA) + `","tid":"` + tenantA + `","oid":"o","sub":"s","aud":"https://api.example","exp":1800000600}`
	f.Add(goodHeader, ofTenant)
	f.Add(goodHeader, strings.Replace(ofTenant, `"tid":"`+tenantA, `"tid":"`+tenantB, 1))
	f.Add(goodHeader, strings.Replace(ofTenant, `"oid"`, `"tid":"`+tenantA+`","oid"`, 1))
	f.Add(goodHeader, strings.ReplaceAll(ofTenant, tenantA, ConsumerTenant))
	v, tenants := newValidator(f, basePolicy()), newValidator(f, tenantPolicy(entra, "*"))
	f.Fuzz(func(t *testing.T, header, body string) {
		token := es256(t, header, body)
		if got, err := tenants.Validate(context.Background(), token); err == nil {
			text, _ := got.Claims().Member("tid")
			tenant, ok := text.Text()
			if !ok || len(tenant) != 36 || tenant == ConsumerTenant || got.Issuer() != forTenant(entra, tenant) || !strings.HasPrefix(got.User(), tenant+"/") {
				t.Fatalf("accepted for the tenant %q: %q of %q", tenant, got.User(), got.Issuer())
			}
		}
		got, err := v.Validate(context.Background(), token)
		if err != nil {
			return
		}
		parsed, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatalf("golang-jwt can't parse what was accepted: %v", err)
		}
		m := parsed.Claims.(jwt.MapClaims)
		iss, _ := m.GetIssuer()
		aud, _ := m.GetAudience()
		exp, err := m.GetExpirationTime()
		switch {
		case iss != testIssuer || got.Issuer() != testIssuer:
			t.Fatalf("accepted with iss %q", iss)
		case !strings.Contains("\x00"+strings.Join(aud, "\x00")+"\x00", "\x00"+testAudience+"\x00"):
			t.Fatalf("accepted with aud %q", aud)
		case err != nil || exp == nil || exp.Add(DefaultLeeway).Before(now):
			t.Fatalf("accepted with exp %v %v", exp, err)
		case parsed.Header["alg"] != "ES256" || parsed.Header["crit"] != nil || m["cnf"] != nil:
			t.Fatalf("accepted with header %v", parsed.Header)
		case got.User() == "":
			t.Fatal("accepted without a user")
		}
		for _, s := range got.Scopes() {
			if !claims.ScopeToken(s) {
				t.Fatalf("scope %q", s)
			}
		}
	})
}
