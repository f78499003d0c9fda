package validator

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

func TestThreat04_KeysNamedByTheToken(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for _, member := range []string{
		`"jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, `"jku":"https://attacker.example/jwks.json"`,
		`"x5u":"https://attacker.example/cert.pem"`, `"x5c":["MIIB"]`, `"x5t":"AAAA"`, `"x5t#S256":"AAAA"`,
	} {
		for _, kid := range []string{"", `"kid":"p256",`} {
			header := `{"alg":"ES256",` + kid + member + `}`
			t.Run(header+" signed by the attacker", func(t *testing.T) {
				check(t, v, sign(t, jwt.SigningMethodEdDSA, keys()["ed25519"].private, header, goodClaims), reason.BadSignature)
			})
			t.Run(header+" signed by the issuer", func(t *testing.T) { check(t, v, es256(t, header, goodClaims), "") })
		}
	}
}

func TestThreat05_HostileKeyIDs(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for name, kid := range map[string]string{
		"path": `../../../../dev/null`, "SQL": `' UNION SELECT 'secret`, "shell": `; rm -rf /`, "URL": `https://attacker.example/key`,
		"8 KiB": strings.Repeat("k", 8<<10), "control characters": `\u0000\u0001\r\n`, "another case": "P256", "a space behind": "p256 ",
	} {
		t.Run(name, func(t *testing.T) {
			check(t, v, es256(t, `{"alg":"ES256","kid":"`+kid+`"}`, goodClaims), reason.UnknownKey)
		})
	}
	t.Run("an empty kid is none", func(t *testing.T) {
		check(t, v, es256(t, `{"alg":"ES256","kid":""}`, goodClaims), "")
		check(t, v, sign(t, jwt.SigningMethodEdDSA, keys()["ed25519"].private, `{"alg":"ES256","kid":""}`, goodClaims), reason.BadSignature)
	})
	t.Run("a kid that is no text", func(t *testing.T) {
		for _, kid := range []string{"1", "null", "true", `["p256"]`, `{"a":1}`} {
			check(t, v, es256(t, `{"alg":"ES256","kid":`+kid+`}`, goodClaims), reason.MalformedToken)
		}
	})
}

func TestThreat06_AKeyOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	// Both issuers have a key with the same kid.
	a, b := basePolicy(), basePolicy()
	shared := func(name string) key.Key {
		k, err := key.NewPublic(keys()[name].private.Public(), key.Options{ID: "shared"})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a.Keys = keySet{shared("rsa")}
	b.Issuer, b.Keys = "https://other.example/", keySet{shared("rsa2")}
	v := newValidator(t, a, b)
	header := `{"alg":"RS256","kid":"shared"}`
	ofB := strings.Replace(goodClaims, testIssuer, b.Issuer, 1)
	check(t, v, sign(t, jwt.SigningMethodRS256, keys()["rsa"].private, header, goodClaims), "")
	check(t, v, sign(t, jwt.SigningMethodRS256, keys()["rsa2"].private, header, ofB), "")
	check(t, v, sign(t, jwt.SigningMethodRS256, keys()["rsa2"].private, header, goodClaims), reason.BadSignature)
	check(t, v, sign(t, jwt.SigningMethodRS256, keys()["rsa"].private, header, ofB), reason.BadSignature)
}

func TestThreat07_ExtensionsAndNesting(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for _, member := range []string{
		`"crit":["exp"]`, `"crit":["b64"],"b64":true`, `"crit":["unknown"],"unknown":1`, `"crit":[]`, `"crit":"exp"`, `"crit":null`, `"crit":{}`,
		`"b64":false`, `"b64":null`, `"b64":"false"`, `"crit":["b64"],"b64":false`, `"enc":"A256GCM"`,
		`"cty":"JWT"`, `"cty":"jwt"`, `"cty":"application/jwt"`, `"cty":"Application/JWT"`,
	} {
		t.Run(member, func(t *testing.T) {
			check(t, v, es256(t, `{"alg":"ES256",`+member+`}`, goodClaims), reason.UnsupportedToken)
		})
	}
	for _, member := range []string{`"cty":5`, `"cty":null`} {
		t.Run(member, func(t *testing.T) {
			check(t, v, es256(t, `{"alg":"ES256",`+member+`}`, goodClaims), reason.MalformedToken)
		})
	}
	t.Run("what changes nothing passes", func(t *testing.T) {
		check(t, v, es256(t, `{"alg":"ES256","b64":true,"cty":"json","unknown":{"a":[1]}}`, goodClaims), "")
	})
}

func TestThreat11_Times(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	without := `{"iss":"https://issuer.example/","sub":"alice","aud":"https://api.example"`
	type row struct {
		value string
		want  reason.Code
	}
	bad := []row{}
	for _, value := range []string{"-1", "-0", "-1.5", "1e300", "1e16", "253402300800", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e999", `"1800000600"`, "null", "true", "[1800000600]", "{}", `""`} {
		bad = append(bad, row{value, reason.MalformedToken})
	}
	for claim, rows := range map[string][]row{
		"exp": append([]row{{"0", reason.Expired}, {"0.5", reason.Expired}, {"1", reason.Expired}, {"1799999940", reason.Expired}, {"1799999941", ""}, {"1799999940.5", ""}, {"1800000600.25", ""}, {"1800000600." + strings.Repeat("0", 89), ""}, {"1800000600." + strings.Repeat("0", 90), reason.MalformedToken}, {"1800000600e-" + strings.Repeat("0", 90), reason.MalformedToken}, {"18e8", ""}, {"253402300799", ""}}, bad...),
		"nbf": append([]row{{"0", ""}, {"1800000060", ""}, {"1800000060.5", reason.NotYetValid}, {"1800000061", reason.NotYetValid}, {"253402300799", reason.NotYetValid}}, bad...),
		"iat": append([]row{{"0", ""}, {"1800000060", ""}, {"1800000061", reason.IssuedInFuture}, {"253402300799", reason.IssuedInFuture}}, bad...),
	} {
		for _, r := range rows {
			t.Run(claim+" "+r.value, func(t *testing.T) {
				body := without + `,"` + claim + `":` + r.value
				if claim != "exp" {
					body += `,"exp":1800000600`
				}
				check(t, v, es256(t, goodHeader, body+"}"), r.want)
			})
		}
	}
	t.Run("absent exp is refused, absent nbf and iat pass", func(t *testing.T) {
		check(t, v, es256(t, goodHeader, without+"}"), reason.MissingClaim)
		check(t, v, es256(t, goodHeader, without+`,"exp":1800000600}`), "")
	})
	t.Run("an old exp is refused before its signature costs anything", func(t *testing.T) {
		check(t, v, sign(t, jwt.SigningMethodEdDSA, keys()["ed25519"].private, goodHeader, without+`,"exp":1}`), reason.Expired)
	})
	t.Run("leeway 0", func(t *testing.T) {
		p := basePolicy()
		p.Leeway = 0
		v := newValidator(t, p)
		check(t, v, es256(t, goodHeader, without+`,"exp":1800000000}`), reason.Expired)
		check(t, v, es256(t, goodHeader, without+`,"exp":1800000001,"nbf":1800000000,"iat":1800000000}`), "")
		check(t, v, es256(t, goodHeader, without+`,"exp":1800000001,"nbf":1800000001}`), reason.NotYetValid)
	})
	t.Run("allow_no_expiry lets exp be absent, not past or malformed", func(t *testing.T) {
		p := basePolicy()
		p.AllowNoExpiry = true
		v := newValidator(t, p)
		check(t, v, es256(t, goodHeader, without+"}"), "")
		check(t, v, es256(t, goodHeader, without+`,"exp":0}`), reason.Expired)
		check(t, v, es256(t, goodHeader, without+`,"exp":null}`), reason.MalformedToken)
	})
	t.Run("max_lifetime", func(t *testing.T) {
		p := basePolicy()
		p.MaxLifetime = time.Hour
		v := newValidator(t, p)
		check(t, v, es256(t, goodHeader, without+`,"exp":1800003660}`), "")
		check(t, v, es256(t, goodHeader, without+`,"exp":1800003661}`), reason.LifetimeTooLong)
		p.AllowNoExpiry = true
		check(t, newValidator(t, p), es256(t, goodHeader, without+"}"), reason.LifetimeTooLong)
	})
}

func TestThreat12_AudienceAndIssuer(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	body := func(iss, aud string) string {
		return `{"sub":"alice","exp":1800000600` + iss + aud + `}`
	}
	const iss = `,"iss":"https://issuer.example/"`
	for _, c := range []struct {
		aud  string
		want reason.Code
	}{
		{``, reason.WrongAudience}, {`,"aud":null`, reason.WrongAudience}, {`,"aud":""`, reason.WrongAudience}, {`,"aud":[]`, reason.WrongAudience},
		{`,"aud":"https://other.example"`, reason.WrongAudience}, {`,"aud":true`, reason.WrongAudience}, {`,"aud":5`, reason.WrongAudience},
		{`,"aud":{"https://api.example":1}`, reason.WrongAudience}, {`,"aud":"https://api.exampl"`, reason.WrongAudience},
		{`,"aud":"https://api.example.attacker"`, reason.WrongAudience}, {`,"aud":"HTTPS://API.EXAMPLE"`, reason.WrongAudience},
		{`,"aud":"https://api.example/"`, reason.WrongAudience}, {`,"aud":" https://api.example"`, reason.WrongAudience},
		{`,"aud":"https://api.example https://b"`, reason.WrongAudience}, {`,"aud":["https://b","https://api.exampl"]`, reason.WrongAudience},
		{`,"aud":["https://api.example",5]`, reason.WrongAudience}, {`,"aud":["https://api.example",null]`, reason.WrongAudience},
		{`,"aud":[["https://api.example"]]`, reason.WrongAudience}, {`,"AUD":"https://api.example"`, reason.WrongAudience},
		{`,"aud":"https://api.example"`, ""}, {`,"aud":["https://b","https://api.example"]`, ""},
	} {
		t.Run("aud"+c.aud, func(t *testing.T) { check(t, v, es256(t, goodHeader, body(iss, c.aud)), c.want) })
	}
	for _, c := range []struct {
		iss  string
		want reason.Code
	}{
		{``, reason.UnknownIssuer}, {`,"iss":""`, reason.UnknownIssuer}, {`,"iss":"https://issuer.example"`, reason.UnknownIssuer},
		{`,"iss":"https://Issuer.example/"`, reason.UnknownIssuer}, {`,"iss":"https://issuer.example/ "`, reason.UnknownIssuer},
		{`,"iss":"https://issuer.example//"`, reason.UnknownIssuer}, {`,"ISS":"https://issuer.example/"`, reason.UnknownIssuer},
		{`,"iss":null`, reason.MalformedToken}, {`,"iss":5`, reason.MalformedToken}, {`,"iss":["https://issuer.example/"]`, reason.MalformedToken},
		{`,"iss":"https:\/\/issuer.example\/"`, ""},
	} {
		t.Run("iss"+c.iss, func(t *testing.T) {
			check(t, v, es256(t, goodHeader, body(c.iss, `,"aud":"https://api.example"`)), c.want)
		})
	}
	t.Run("the first audience claim that is present decides", func(t *testing.T) {
		p := basePolicy()
		p.AudienceClaims = []string{"aud", "client_id"}
		v := newValidator(t, p)
		check(t, v, es256(t, goodHeader, body(iss, `,"client_id":"https://api.example"`)), "")
		check(t, v, es256(t, goodHeader, body(iss, `,"aud":null,"client_id":"https://api.example"`)), reason.WrongAudience)
		check(t, v, es256(t, goodHeader, body(iss, `,"aud":"other","client_id":"https://api.example"`)), reason.WrongAudience)
	})
	t.Run("a waived audience", func(t *testing.T) {
		p := basePolicy()
		p.Audience, p.AnyAudience = nil, true
		check(t, newValidator(t, p), es256(t, goodHeader, body(iss, ``)), "")
	})
	t.Run("any issuer", func(t *testing.T) {
		p := basePolicy()
		p.Issuer, p.AnyIssuer = "", true
		v := newValidator(t, p)
		check(t, v, es256(t, goodHeader, body(``, `,"aud":"https://api.example"`)), "")
		check(t, v, es256(t, goodHeader, body(`,"iss":"x"`, `,"aud":"https://api.example"`)), "")
		check(t, v, es256(t, goodHeader, body(`,"iss":5`, `,"aud":"https://api.example"`)), reason.MalformedToken)
	})
}

func TestThreat14_Types(t *testing.T) {
	t.Parallel()
	strict := basePolicy()
	strict.Types = []string{"at+jwt"}
	for _, c := range []struct {
		typ        string // as JSON, "" for none
		usual, own reason.Code
	}{
		{``, "", reason.WrongType}, {`"JWT"`, "", reason.WrongType}, {`"jwt"`, "", reason.WrongType}, {`"JOSE"`, "", reason.WrongType},
		{`"at+jwt"`, "", ""}, {`"AT+JWT"`, "", ""}, {`"application/at+jwt"`, "", ""}, {`"Application/AT+JWT"`, "", ""},
		{`"application/jwt"`, "", reason.WrongType},
		{`"dpop+jwt"`, reason.WrongType, reason.WrongType}, {`"logout+jwt"`, reason.WrongType, reason.WrongType}, {`"secevent+jwt"`, reason.WrongType, reason.WrongType},
		{`"at+jwt "`, reason.WrongType, reason.WrongType}, {`"application/"`, reason.WrongType, reason.WrongType}, {`"application/application/jwt"`, reason.WrongType, reason.WrongType},
		{`"x/jwt"`, reason.WrongType, reason.WrongType}, {`""`, reason.MalformedToken, reason.MalformedToken}, {`5`, reason.MalformedToken, reason.MalformedToken}, {`null`, reason.MalformedToken, reason.MalformedToken},
	} {
		t.Run(c.typ, func(t *testing.T) {
			header := `{"alg":"ES256"}`
			if c.typ != "" {
				header = `{"alg":"ES256","typ":` + c.typ + `}`
			}
			token := es256(t, header, goodClaims)
			check(t, newValidator(t, basePolicy()), token, c.usual)
			check(t, newValidator(t, strict), token, c.own)
		})
	}
}

func TestThreat20_WrongJSONTypes(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	base := `{"iss":"https://issuer.example/","aud":"https://api.example","exp":1800000600`
	for _, c := range []struct {
		claims string
		want   reason.Code
		user   string
		scopes []string
	}{
		{`,"sub":"alice"`, "", "alice", nil},
		{`,"sub":12345678901234567890`, "", "12345678901234567890", nil},
		{`,"sub":1.50`, "", "1.50", nil},
		{``, reason.MissingClaim, "", nil}, {`,"sub":""`, reason.MissingClaim, "", nil}, {`,"sub":null`, reason.MissingClaim, "", nil},
		{`,"sub":{"a":1}`, reason.MissingClaim, "", nil}, {`,"sub":["alice"]`, reason.MissingClaim, "", nil}, {`,"sub":true`, reason.MissingClaim, "", nil},
		{`,"sub":"a","scope":"read  write\" ok"`, reason.MalformedToken, "", nil},
		{`,"sub":"a","scope":"read  write\t ok"`, reason.MalformedToken, "", nil},
	} {
		t.Run(c.claims, func(t *testing.T) {
			claims := strings.ReplaceAll(c.claims, "\\\"", "\"")
			token := check(t, v, es256(t, goodHeader, base+strings.ReplaceAll(claims, `\t`, "\t")+"}"), c.want)
			if token != nil && token.User() != c.user {
				t.Errorf("user %q, want %q", token.User(), c.user)
			}
		})
	}
	for scope, want := range map[string][]string{
		`"read write"`: {"read", "write"}, `" read  write "`: {"read", "write"}, `["read","write"]`: {"read", "write"},
		`["read write","x"]`: {"x"}, `["a\"b","c\\d","e","\u00e9",""]`: {"e"}, `"a\"b c"`: {"c"},
		`{"read":true}`: nil, `5`: nil, `true`: nil, `null`: nil, `""`: nil, `[]`: nil, `[1,null,["read"]]`: nil,
	} {
		t.Run("scope "+scope, func(t *testing.T) {
			token := check(t, v, es256(t, goodHeader, base+`,"sub":"a","scope":`+scope+"}"), "")
			if fmt.Sprint(token.Scopes()) != fmt.Sprint(want) {
				t.Errorf("scopes %q, want %q", token.Scopes(), want)
			}
		})
	}
	t.Run("scp where there is no scope", func(t *testing.T) {
		token := check(t, v, es256(t, goodHeader, base+`,"sub":"a","scp":["x"]}`), "")
		if fmt.Sprint(token.Scopes()) != "[x]" {
			t.Error(token.Scopes())
		}
		token = check(t, v, es256(t, goodHeader, base+`,"sub":"a","scp":["x"],"scope":""}`), "")
		if len(token.Scopes()) != 0 {
			t.Error(token.Scopes())
		}
	})
	for _, header := range []string{`{"alg":5}`, `{"alg":null}`, `{"alg":["ES256"]}`, `{"alg":{}}`, `{"alg":true}`} {
		t.Run(header, func(t *testing.T) { check(t, v, es256(t, header, goodClaims), reason.MalformedToken) })
	}
}

func TestThreat44_BoundTokens(t *testing.T) {
	t.Parallel()
	allowed := basePolicy()
	allowed.AllowBound = true
	for _, cnf := range []string{`{"jkt":"x"}`, `{"x5t#S256":"x"}`, `null`, `5`} {
		token := es256(t, goodHeader, strings.TrimSuffix(goodClaims, "}")+`,"cnf":`+cnf+`}`)
		check(t, newValidator(t, basePolicy()), token, reason.UnsupportedToken)
		check(t, newValidator(t, allowed), token, "")
	}
}

func TestUserClaimsAndPrefix(t *testing.T) {
	t.Parallel()
	p := basePolicy()
	p.UserClaims, p.UserPrefix = []string{"email", "profile.name", "sub"}, "corp:"
	v := newValidator(t, p)
	base := strings.TrimSuffix(goodClaims, "}")
	for claims, want := range map[string]string{
		`,"email":"a@b"`: "corp:a@b", `,"email":"","profile":{"name":"n"}`: "corp:n", `,"email":{},"profile":[]`: "corp:alice", ``: "corp:alice",
	} {
		if token := check(t, v, es256(t, goodHeader, base+claims+"}"), ""); token.User() != want {
			t.Errorf("%s: user %q, want %q", claims, token.User(), want)
		}
	}
}

func TestOneIssuerWithSecretsAndPublicKeys(t *testing.T) {
	t.Parallel()
	secret, err := key.NewSecret(secretBytes(), key.Options{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	symmetric := basePolicy()
	symmetric.Keys, symmetric.Symmetric, symmetric.Audience = keySet{secret}, true, []string{"internal"}
	v := newValidator(t, basePolicy(), symmetric)
	internal := strings.Replace(goodClaims, testAudience, "internal", 1)
	check(t, v, es256(t, goodHeader, goodClaims), "")
	check(t, v, sign(t, jwt.SigningMethodHS256, secretBytes(), `{"alg":"HS256"}`, internal), "")
	check(t, v, es256(t, goodHeader, internal), reason.WrongAudience)
	check(t, v, sign(t, jwt.SigningMethodHS256, secretBytes(), `{"alg":"HS256"}`, goodClaims), reason.WrongAudience)

	for name, policies := range map[string][]Policy{
		"two with public keys": {basePolicy(), basePolicy()}, "two with secrets": {symmetric, symmetric}, "none": {},
	} {
		if _, err := New(policies, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAPolicyThatForgetsAFieldIsAnError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Policy){
		"keys": func(p *Policy) { p.Keys = nil }, "issuer": func(p *Policy) { p.Issuer = "" }, "audience": func(p *Policy) { p.Audience = nil },
		"an empty audience": func(p *Policy) { p.Audience = []string{""} }, "both an issuer and any": func(p *Policy) { p.AnyIssuer = true },
		"both an audience and any": func(p *Policy) { p.AnyAudience = true }, "an empty typ": func(p *Policy) { p.Types = []string{""} },
		"a negative leeway": func(p *Policy) { p.Leeway = -1 }, "an empty path": func(p *Policy) { p.UserClaims = []string{""} },
	} {
		p := basePolicy()
		change(&p)
		if _, err := New([]Policy{p}, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMoreThanFourKeysThatFitNeedAKid(t *testing.T) {
	t.Parallel()
	p := basePolicy()
	set := keySet{}
	for i := range 4 {
		k, err := key.NewPublic(keys()["p256"].private.Public(), key.Options{ID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, k)
	}
	p.Keys = append(set, keys()["rsa"].public, keys()["p384"].public)
	check(t, newValidator(t, p), es256(t, `{"alg":"ES256"}`, goodClaims), "")
	p.Keys = append(set, keys()["p256"].public)
	check(t, newValidator(t, p), es256(t, `{"alg":"ES256"}`, goodClaims), reason.UnknownKey)
	check(t, newValidator(t, p), es256(t, `{"alg":"ES256","kid":"2"}`, goodClaims), "")
}

type brokenKeys struct{ err error }

func (b brokenKeys) Keys(context.Context, string) ([]key.Key, error) { return nil, b.err }

func (brokenKeys) Version(string, time.Time) uint64 { return 0 }

func TestKeysThatCantBeHad(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]reason.Code{
		key.ErrUnknown: reason.UnknownKey, key.ErrUnavailable: reason.KeysUnavailable,
		fmt.Errorf("x: %w", key.ErrUnknown): reason.UnknownKey, context.Canceled: reason.KeysUnavailable,
	} {
		p := basePolicy()
		p.Keys = brokenKeys{err}
		check(t, newValidator(t, p), es256(t, goodHeader, goodClaims), want)
	}
	t.Run("no keys at all", func(t *testing.T) {
		p := basePolicy()
		p.Keys = brokenKeys{}
		check(t, newValidator(t, p), es256(t, goodHeader, goodClaims), reason.AlgorithmNotAllowed)
	})
}
