package validator

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// firstFailed returns the first check that failed, and whether one did.
func firstFailed(checks []reason.Check) (reason.Check, bool) {
	for _, c := range checks {
		if c.Outcome == reason.Failed {
			return c, true
		}
	}
	return reason.Check{}, false
}

// outcomes writes the checks that did not pass, as in "expires:failed signature:skipped".
func outcomes(checks []reason.Check) string {
	var list []string
	for _, c := range checks {
		if c.Outcome != reason.Passed {
			list = append(list, string(c.Name)+":"+string(c.Outcome))
		}
	}
	return strings.Join(list, " ")
}

// agrees compares Explain with Validate.
func agrees(t testing.TB, v *Validator, token string) {
	t.Helper()
	_, err := v.Validate(context.Background(), token)
	checks := v.Explain(context.Background(), token)
	c, failed := firstFailed(checks)
	var code reason.Code
	detail := ""
	switch e := err.(type) { //nolint:errorlint // as the validator returns it
	case *reason.Detailed:
		code, detail = e.Code(), e.Detail()
	case reason.Code:
		code = e
	}
	if failed != (err != nil) || c.Reason != code || c.Detail != detail {
		t.Fatalf("Validate: %v; the first check that failed: %+v\nall: %s\ntoken: %s", err, c, outcomes(checks), token)
	}
	names := map[reason.CheckName]bool{}
	for _, c := range checks {
		if names[c.Name] {
			t.Fatalf("%s twice", c.Name)
		}
		names[c.Name] = true
		if (c.Reason != "") != (c.Outcome == reason.Failed) {
			t.Fatalf("%+v", c)
		}
		for _, text := range []string{c.Seen, c.Wanted, c.Option} {
			if len(text) > 4000 {
				t.Fatalf("%s: %d bytes", c.Name, len(text))
			}
		}
	}
	if len(checks) != 14 {
		t.Fatalf("%d checks: %s", len(checks), outcomes(checks))
	}
}

// explainValidators are validators with different policies.
func explainValidators(t testing.TB) map[string]*Validator {
	strict := basePolicy()
	strict.MaxLifetime, strict.Types, strict.UserClaims, strict.Algorithms = time.Hour, []string{"at+jwt"}, []string{"email", "sub"}, key.NewAlgorithms(key.ES256)
	lax := basePolicy()
	lax.AllowNoExpiry, lax.AllowBound, lax.IgnoreKid, lax.Audience, lax.AnyAudience = true, true, true, nil, true
	other := basePolicy()
	other.Issuer, other.Keys = "https://other.example/", keySet{keys()["rsa"].public, keys()["p384"].public}
	secret, err := key.NewSecret(secretBytes(), key.Options{ID: "shared"}, key.NewAlgorithms(key.HS256))
	if err != nil {
		t.Fatal(err)
	}
	shared := basePolicy()
	shared.Symmetric, shared.Keys = true, keySet{secret}
	away := basePolicy()
	away.Keys = unavailableKeys{}
	anyone := basePolicy()
	anyone.Issuer, anyone.AnyIssuer = "", true
	return map[string]*Validator{
		"one":         newValidator(t, basePolicy()),
		"strict":      newValidator(t, strict),
		"lax":         newValidator(t, lax),
		"several":     newValidator(t, basePolicy(), other, shared),
		"unavailable": newValidator(t, away),
		"any":         newValidator(t, anyone),
		"small":       newValidator(t, basePolicy()).Limited(1 << 10),
		"revoking":    newValidator(t, basePolicy()).Revoking(revokedUser("bob")),
	}
}

// unavailableKeys are keys that can't be had.
type unavailableKeys struct{}

func (unavailableKeys) Keys(context.Context, string) ([]key.Key, error) {
	return nil, key.ErrUnavailable
}
func (unavailableKeys) Version(string, time.Time) uint64 { return 0 }

// revokedUser is the user whose tokens are revoked.
type revokedUser string

func (r revokedUser) Check(_ context.Context, _ *Verified, _, user string, _ time.Time) reason.Code {
	if user == string(r) {
		return reason.Revoked
	}
	return ""
}

// randomToken makes a token of random parts, most of them good.
func randomToken(t testing.TB, random *rand.Rand) string {
	pick := func(list ...string) string {
		if random.IntN(4) > 0 {
			return list[0]
		}
		return list[random.IntN(len(list))]
	}
	var header, body []string
	add := func(to *[]string, name, value string) {
		if value != "" {
			*to = append(*to, `"`+name+`":`+value)
		}
	}
	add(&header, "alg", pick(`"ES256"`, `"ES256"`, `"RS256"`, `"ES384"`, `"HS256"`, `"none"`, `5`, ``))
	add(&header, "kid", pick(`"p256"`, ``, `"nobody"`, `"rsa"`, `"p384"`, `"shared"`, `""`, `null`))
	add(&header, "typ", pick(`"JWT"`, ``, `"at+jwt"`, `"application/at+jwt"`, `"logout+jwt"`, `""`, `[]`))
	if random.IntN(12) == 0 {
		add(&header, pick("crit", "b64", "enc", "cty", "alg", "x5t"), pick(`["exp"]`, `false`, `"JWT"`, `true`))
	}
	add(&body, "iss", pick(`"https://issuer.example/"`, `"https://issuer.example"`, `"https://other.example/"`, ``, `7`, `"\u0000"`))
	add(&body, "sub", pick(`"alice"`, `"bob"`, ``, `""`, `17`, `{"a":1}`))
	add(&body, "email", pick(``, `"a@example.com"`, `[]`))
	add(&body, "aud", pick(`"https://api.example"`, `["x","https://api.example"]`, `["x"]`, `"y"`, ``, `""`, `[]`, `[1,"https://api.example"]`, `null`))
	add(&body, "exp", pick(`1800000600`, `1799999990`, `1799999940`, `1799999939`, `1800003661`, `1900000000`, ``, `"x"`, `1e99`, `1799999940.5`))
	add(&body, "nbf", pick(``, `1800000000`, `1800000060`, `1800000061`, `-1`))
	add(&body, "iat", pick(`1800000000`, ``, `1800000060`, `1800000100`, `null`))
	if random.IntN(10) == 0 {
		add(&body, "cnf", `{"jkt":"x"}`)
	}
	if random.IntN(20) == 0 {
		add(&body, "pad", `"`+strings.Repeat("x", 2000)+`"`)
	}
	if random.IntN(40) == 0 {
		add(&body, "sub", `"twice"`)
	}
	head, claims := "{"+strings.Join(header, ",")+"}", "{"+strings.Join(body, ",")+"}"
	var token string
	switch random.IntN(6) {
	case 0:
		token = sign(t, jwt.SigningMethodRS256, keys()["rsa"].private, head, claims)
	case 1:
		token = sign(t, jwt.SigningMethodHS256, secretBytes(), head, claims)
	default:
		token = es256(t, head, claims)
	}
	if random.IntN(8) > 0 {
		return token
	}
	at := random.IntN(len(token))
	switch random.IntN(4) {
	case 0:
		return token[:at] + string(rune(33+random.IntN(90))) + token[at+1:]
	case 1:
		return token[:at]
	case 2:
		return token[:at] + "." + token[at:]
	default:
		return token[:len(token)-1] + "A"
	}
}

// TestExplainAgreesWithValidate: the first check that failed is the reason of the refusal.
func TestExplainAgreesWithValidate(t *testing.T) {
	t.Parallel()
	validators := explainValidators(t)
	random := rand.New(rand.NewPCG(1, 2))
	reasons := map[reason.CheckName]int{}
	for range 800 {
		token := randomToken(t, random)
		for name, v := range validators {
			agrees(t, v, token)
			if name == "revoking" || name == "unavailable" || name == "strict" {
				c, _ := firstFailed(v.Explain(context.Background(), token))
				reasons[c.Name]++
			}
		}
	}
	for _, name := range []reason.CheckName{
		"", reason.CheckForm, reason.CheckIssuer, reason.CheckAlgorithm, reason.CheckExpires, reason.CheckLifetime, reason.CheckNotBefore, reason.CheckIssuedAt,
		reason.CheckKey, reason.CheckSignature, reason.CheckAudience, reason.CheckType, reason.CheckBinding, reason.CheckUser, reason.CheckRevocations,
	} {
		if reasons[name] == 0 {
			t.Errorf("no token was refused by the check %q: %v", name, reasons)
		}
	}
}

// FuzzExplain: as TestExplainAgreesWithValidate, for any header and claims, and any text.
func FuzzExplain(f *testing.F) {
	f.Add(goodHeader, goodClaims, 0)
	f.Add(`{"alg":"none"}`, `{}`, 1)
	f.Add(`{"alg":"HS256","kid":"shared"}`, goodClaims, 2)
	f.Add(strings.Repeat(".", 9), "x", 3)
	validators := explainValidators(f)
	f.Fuzz(func(t *testing.T, header, body string, how int) {
		token := header + "." + body
		if how%4 != 3 {
			token = es256(t, header, body)
		}
		for _, v := range validators {
			agrees(t, v, token)
		}
	})
}

// TestExplain shows what is checked behind a failure, and the texts.
func TestExplain(t *testing.T) {
	t.Parallel()
	all := explainValidators(t)
	bad := func(token string) string { return token[:len(token)-8] + "AAAAAAAA" }
	claims := func(pairs ...string) string {
		text := goodClaims
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("%s is not in the claims", pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		return text
	}
	for name, c := range map[string]struct {
		in    *Validator
		token string
		want  string   // the checks that did not pass
		texts []string // "name seen", "name wanted", "name option" with an = and a text
	}{
		"good": {all["one"], es256(t, goodHeader, goodClaims), "lifetime:skipped revocations:skipped", []string{
			`form seen=in 3 parts`, `issuer seen="https://issuer.example/"`, `issuer wanted="https://issuer.example/"`, `issuer option=issuer https://issuer.example/`,
			`algorithm seen="ES256"`, `expires seen=2027-01-15T08:10:00Z, in 10m`, `expires wanted=leeway 60s`, `expires option=`, `not_before seen=none`,
			`issued_at seen=2027-01-15T08:00:00Z, now`, `key seen=kid "p256"`, `key wanted=kid "p256" (P-256)`, `signature seen=verified`,
			`audience seen="https://api.example"`, `audience option=audience https://api.example`, `type seen="JWT"`, `user seen=sub "alice"`,
		}},
		"three faults": {all["one"], bad(es256(t, goodHeader, claims("1800000600", "1799990000", "https://api.example", "https://other.example"))),
			"expires:failed lifetime:skipped signature:failed audience:failed revocations:skipped", []string{
				`expires seen=2027-01-15T05:13:20Z, 2h46m40s ago`, `signature seen=not verified`, `audience seen="https://other.example"`,
			}},
		"no strict JSON": {all["one"], es256(t, goodHeader, `{"iss":"a","iss":"b"}`),
			"form:failed issuer:skipped algorithm:skipped expires:skipped lifetime:skipped not_before:skipped issued_at:skipped key:skipped signature:skipped audience:skipped type:skipped binding:skipped user:skipped revocations:skipped",
			[]string{`issuer seen=`, `algorithm seen="ES256"`}},
		"a time that is none": {all["one"], es256(t, goodHeader, claims("1800000600", `"soon"`)),
			"form:failed issuer:skipped algorithm:skipped expires:skipped lifetime:skipped not_before:skipped issued_at:skipped key:skipped signature:skipped audience:skipped type:skipped binding:skipped user:skipped revocations:skipped",
			[]string{`expires seen="soon"`, `issuer seen="https://issuer.example/"`}},
		"another issuer, one is trusted": {all["one"], es256(t, goodHeader, claims("https://issuer.example/", "https://issuer.example", "1800000600", "1")),
			"issuer:failed expires:failed lifetime:skipped key:skipped signature:skipped revocations:skipped", []string{
				`issuer seen="https://issuer.example"`, `issuer wanted="https://issuer.example/"`,
			}},
		"another issuer, several are trusted": {all["several"], es256(t, goodHeader, claims("https://issuer.example/", "https://a.example")),
			"issuer:failed algorithm:skipped expires:skipped lifetime:skipped not_before:skipped issued_at:skipped key:skipped signature:skipped audience:skipped type:skipped binding:skipped user:skipped revocations:skipped", []string{
				`issuer wanted="https://issuer.example/" or "https://other.example/"`, `audience seen="https://api.example"`,
			}},
		"alg none": {all["strict"], es256(t, `{"alg":"none","typ":"at+jwt"}`, goodClaims),
			"algorithm:failed key:skipped signature:skipped revocations:skipped", []string{`algorithm seen="none"`, `algorithm wanted=ES256`, `algorithm option=algorithms ES256`}},
		"too long a life": {all["strict"], es256(t, `{"alg":"ES256","typ":"at+jwt"}`, claims("1800000600", "1900000000")),
			"lifetime:failed revocations:skipped", []string{`lifetime wanted=at most 1h from now, leeway 60s`, `lifetime option=max_lifetime 1h`, `user wanted=email or sub`, `user option=user_claim email sub`, `type option=typ at+jwt`}},
		"no keys": {all["unavailable"], es256(t, goodHeader, claims("https://api.example", "x", `"sub":"alice"`, `"sub":""`)),
			"lifetime:skipped key:failed signature:unknown audience:failed user:failed revocations:skipped", []string{`user seen=sub ""`}},
		"an unknown kid": {all["several"], es256(t, `{"alg":"ES256","kid":"x"}`, goodClaims),
			"lifetime:skipped key:failed signature:skipped revocations:skipped", []string{`key seen=kid "x"`, `key wanted=kid "p256" (P-256)`}},
		"all is allowed": {all["lax"], es256(t, goodHeader, `{"iss":"https://issuer.example/","sub":"a","cnf":{}}`), "lifetime:skipped audience:skipped revocations:skipped", []string{
			`audience wanted=any`, `audience option=audience *`, `binding option=allow_bound_tokens`, `expires option=allow_no_expiry`, `key option=ignore_kid`,
		}},
		"too large": {all["small"], es256(t, goodHeader, claims(`"alice"`, `"`+strings.Repeat("x", 1000)+`"`)),
			"form:failed issuer:skipped algorithm:skipped expires:skipped lifetime:skipped not_before:skipped issued_at:skipped key:skipped signature:skipped audience:skipped type:skipped binding:skipped user:skipped revocations:skipped",
			[]string{`form wanted=at most 1KiB`, `form option=max_token_size 1KiB`}},
		"long values": {all["one"], es256(t, goodHeader, claims(`"alice"`, `"`+strings.Repeat("ü", 1000)+`"`)), "lifetime:skipped revocations:skipped", []string{`user seen=… (2002 bytes)`}},
		"revoked":     {all["revoking"], es256(t, goodHeader, claims("alice", "bob")), "lifetime:skipped revocations:failed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agrees(t, c.in, c.token)
			checks := c.in.Explain(context.Background(), c.token)
			if got := outcomes(checks); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			texts := map[string]string{}
			for _, c := range checks {
				texts[string(c.Name)+" seen"], texts[string(c.Name)+" wanted"], texts[string(c.Name)+" option"] = c.Seen, c.Wanted, c.Option
			}
			for _, text := range c.texts {
				name, want, _ := strings.Cut(text, "=")
				if got, ok := texts[name]; !ok || !strings.Contains(got, want) || want == "" && got != "" {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// traces is a KeySet and a Cache that note what happens to them.
type traces struct {
	keySet
	happened []string
}

func (s *traces) Distrust() { s.happened = append(s.happened, "distrust") }
func (s *traces) Get([32]byte) (*Verified, bool) {
	s.happened = append(s.happened, "get")
	return nil, false
}
func (s *traces) Put([32]byte, *Verified) { s.happened = append(s.happened, "put") }

// TestExplainLeavesNoTrace: neither does a quiet validator.
func TestExplainLeavesNoTrace(t *testing.T) {
	t.Parallel()
	good := es256(t, goodHeader, goodClaims)
	ahead := es256(t, goodHeader, strings.Replace(goodClaims, `"iat":1800000000`, `"iat":1800000030`, 1))
	bad := good[:len(good)-8] + "AAAAAAAA"
	otherAlg := sign(t, jwt.SigningMethodES384, keys()["p384"].private, `{"alg":"ES384","kid":"p256"}`, goodClaims)
	set := &traces{keySet: keySet{keys()["p256"].public}}
	policy := basePolicy()
	policy.Keys = set
	loud := newValidator(t, policy).Cached(set).
		Observed(func(time.Duration) { set.happened = append(set.happened, "observed") }).
		Ahead(func(int, time.Duration) { set.happened = append(set.happened, "ahead") })
	for _, token := range []string{good, ahead, bad, otherAlg} {
		loud.Explain(context.Background(), token)
		_, quiet := loud.Quiet().Validate(context.Background(), token)
		if len(set.happened) > 0 {
			t.Fatalf("%v by looking", set.happened)
		}
		if _, err := loud.Validate(context.Background(), token); err != quiet { //nolint:errorlint // the same
			t.Errorf("%v, quietly %v", err, quiet)
		}
		if len(set.happened) == 0 {
			t.Error("a validator does nothing of what is looked for")
		}
		set.happened = nil
	}
}

// TestAt judges a token at another time.
func TestAt(t *testing.T) {
	t.Parallel()
	later := newValidator(t, basePolicy()).At(func() time.Time { return now.Add(24 * time.Hour) })
	wantErr(t, later, es256(t, goodHeader, goodClaims), reason.Expired)
	agrees(t, later, es256(t, goodHeader, goodClaims))
	if c, _ := firstFailed(later.Explain(context.Background(), es256(t, goodHeader, goodClaims))); !strings.Contains(c.Seen, "23h49m") && !strings.Contains(c.Seen, "23h50m") {
		t.Errorf("%+v", c)
	}
}
