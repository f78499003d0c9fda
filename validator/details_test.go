package validator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TestDetails checks that an operator reads which member of a token is wrong, and nothing
// that a stranger wrote.
func TestDetails(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	good := es256(t, goodHeader, goodClaims)
	parts := strings.Split(good, ".")
	claim := func(old, new string) string {
		return es256(t, goodHeader, strings.Replace(goodClaims, old, new, 1))
	}
	for name, c := range map[string]struct{ token, want string }{
		"opaque":          {"s3cr3t-opaque-value", "not a JWT: it does not consist of three parts separated by dots"},
		"two parts":       {"a.b", "not a JWT: it does not consist of three parts separated by dots"},
		"four parts":      {good + ".x", "it has four parts or more than five, and a JWT has three"},
		"encrypted":       {good + ".x.y", "it has five parts, as encrypted tokens (JWE) have"},
		"padded header":   {parts[0] + "=." + parts[1] + "." + parts[2], "the header is not base64url without padding"},
		"padded claims":   {parts[0] + "." + parts[1] + "==." + parts[2], "the claims are not base64url without padding"},
		"no signature":    {parts[0] + "." + parts[1] + ".", "the signature is empty or not base64url without padding"},
		"too large":       {good + strings.Repeat("A", MaxLength), "larger than 16384 bytes; max_token_size raises the limit"},
		"a kid of 7":      {es256(t, `{"alg":"ES256","kid":7}`, goodClaims), "kid is not a text"},
		"an empty typ":    {es256(t, `{"alg":"ES256","typ":""}`, goodClaims), "typ is empty"},
		"no alg":          {es256(t, `{"kid":"p256"}`, goodClaims), "the header has no alg"},
		"alg none":        {es256(t, `{"alg":"none"}`, goodClaims), "alg is none or not supported"},
		"alg HS256":       {es256(t, `{"alg":"HS256"}`, goodClaims), "the issuer's algorithms do not have the token's alg"},
		"crit":            {es256(t, `{"alg":"ES256","crit":["x"]}`, goodClaims), "crit names extensions, and none is supported"},
		"b64":             {es256(t, `{"alg":"ES256","b64":false}`, goodClaims), "b64 is not true"},
		"nested":          {es256(t, `{"alg":"ES256","cty":"JWT"}`, goodClaims), "cty says that another token is inside"},
		"a header twice":  {es256(t, `{"alg":"ES256","alg":"none"}`, goodClaims), "the header: an object has two members of one name"},
		"Latin-1":         {claim("alice", "M\xfcller"), "the claims: not UTF-8"},
		"a name twice":    {claim(`"sub"`, `"sub":"bob","sub"`), "the claims: an object has two members of one name"},
		"no JSON":         {es256(t, goodHeader, `{"iss":}`), "the claims: not a strict JSON object"},
		"too deep":        {claim(`"alice"`, strings.Repeat("[", 40)+strings.Repeat("]", 40)), "the claims: nested too deeply"},
		"too many":        {claim(`"alice"`, "["+strings.Repeat("0,", 2100)+"0]"), "the claims: too many values"},
		"exp a text":      {claim(`1800000600`, `"1800000600.5"`), "exp is not a number of seconds from 1970 to 9999"},
		"nbf null":        {claim(`"iat"`, `"nbf":null,"iat"`), "nbf is not a number of seconds from 1970 to 9999"},
		"iss a list":      {claim(`"https://issuer.example/"`, `["https://issuer.example/"]`), "iss is not a text"},
		"no iss":          {claim(`"iss":"https://issuer.example/",`, ``), "the token has no iss"},
		"another iss":     {claim(`https://issuer.example/`, `https://other.example/`), ""},
		"no exp":          {claim(`"exp":1800000600,`, ``), "no exp; allow_no_expiry accepts it"},
		"no aud":          {claim(`"aud":"https://api.example",`, ``), "the token has no audience"},
		"aud null":        {claim(`"https://api.example"`, `null`), "the audience is empty or not a text or list of texts"},
		"aud empty":       {claim(`"https://api.example"`, `[]`), "the audience is empty or not a text or list of texts"},
		"another aud":     {claim(`https://api.example`, `https://other.example`), ""},
		"no sub":          {claim(`"sub":"alice",`, ``), "no user: sub missing or empty; user_claim names the claim"},
		"bound":           {claim(`"iat"`, `"cnf":{"jkt":"x"},"iat"`), "cnf binds the token to its holder's key; allow_bound_tokens accepts it as a bearer token"},
		"an unknown kid":  {es256(t, `{"alg":"ES256","kid":"s3cr3t"}`, goodClaims), "the issuer has no key with the token's kid; if its kids never match, ignore_kid tries every key"},
		"alg of this kid": {es256(t, `{"alg":"ES384","kid":"p256"}`, goodClaims), "the issuer's keys for this kid are not for the token's alg"},
	} {
		_, err := v.Validate(t.Context(), c.token)
		got := ""
		if d, ok := errors.AsType[*reason.Detailed](err); ok {
			got = d.Detail()
		}
		if err == nil || got != c.want {
			t.Errorf("%s: %v with detail %q, want %q", name, err, got, c.want)
		}
	}
	many := basePolicy()
	many.UserClaims = []string{"email", "upn"}
	if _, err := newValidator(t, many).Validate(t.Context(), good); err == nil || !strings.Contains(err.Error(), "no user: email, upn missing or empty") {
		t.Error(err)
	}
	five := basePolicy()
	five.Keys, _ = pairs(t, 5, func(i int) key.Options { return key.Options{ID: string(rune('a' + i))} })
	if _, err := newValidator(t, five).Validate(t.Context(), es256(t, `{"alg":"ES256"}`, goodClaims)); err == nil || !strings.Contains(err.Error(), "the token has no kid or the keys have none, and too many keys fit it; kidless_keys raises their number") {
		t.Error(err)
	}
}

// TestZipIsIgnored checks that zip, which is for encrypted tokens and must be ignored in
// others, does not matter.
func TestZipIsIgnored(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for _, zip := range []string{`"RS256"`, `"DEF"`, `null`, `7`} {
		check(t, v, es256(t, `{"alg":"ES256","kid":"p256","zip":`+zip+`}`, goodClaims), "")
	}
}

// TestSender checks whom a refusal's log line names: the sender of a token with a valid
// signature, and nobody else.
func TestSender(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for name, c := range map[string]struct{ token, issuer, user string }{
		"another audience":  {es256(t, goodHeader, strings.Replace(goodClaims, `https://api.example`, `https://other.example`, 1)), testIssuer, "alice"},
		"another type":      {es256(t, `{"alg":"ES256","typ":"logout+jwt","kid":"p256"}`, goodClaims), testIssuer, "alice"},
		"no user":           {es256(t, goodHeader, strings.Replace(goodClaims, `"sub":"alice",`, ``, 1)), testIssuer, ""},
		"expired":           {es256(t, goodHeader, strings.Replace(goodClaims, `1800000600`, `1700000600`, 1)), "", ""},
		"a forged one":      {es256(t, goodHeader, goodClaims)[:300] + "AAAA", "", ""},
		"an unknown issuer": {es256(t, goodHeader, strings.Replace(goodClaims, testIssuer, "https://other.example/", 1)), "", ""},
	} {
		for _, v := range []*Validator{v, v.Cached(newMemory())} {
			for range 2 {
				var token Token
				if err := v.ValidateInto(context.Background(), c.token, &token); err == nil {
					t.Fatalf("%s: accepted", name)
				}
				if issuer, user := token.Sender(); issuer != c.issuer || user != c.user {
					t.Errorf("%s: %q %q", name, issuer, user)
				}
			}
		}
	}
	var token Token
	if err := v.ValidateInto(context.Background(), es256(t, goodHeader, goodClaims), &token); err != nil {
		t.Fatal(err)
	}
	if issuer, user := token.Sender(); issuer+user != "" {
		t.Errorf("an accepted token has the sender %q %q", issuer, user)
	}
}

// pairs are EC keys with a kid and an x5t for each.
func pairs(t *testing.T, n int, options func(i int) key.Options) (public keySet, private []*ecdsa.PrivateKey) {
	t.Helper()
	for i := range n {
		p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, err := key.NewPublic(&p.PublicKey, options(i))
		if err != nil {
			t.Fatal(err)
		}
		public, private = append(public, k), append(private, p)
	}
	return public, private
}

// TestWhichKeysAreTried checks how many keys a token is tried with.
func TestWhichKeysAreTried(t *testing.T) {
	t.Parallel()
	named := func(i int) key.Options { return key.Options{ID: string(rune('a' + i))} }
	same := func(int) key.Options { return key.Options{ID: "a"} }
	thumbprints := func(i int) key.Options {
		return key.Options{X5T: string(rune('a' + i)), X5TS256: string(rune('A' + i))}
	}
	for name, c := range map[string]struct {
		keys    int
		options func(int) key.Options
		change  func(*Policy)
		header  string
		signer  int
		want    reason.Code
	}{
		"four fit":                              {4, named, nil, `{"alg":"ES256"}`, 3, ""},
		"five fit":                              {5, named, nil, `{"alg":"ES256"}`, 0, reason.UnknownKey},
		"five fit and may":                      {5, named, func(p *Policy) { p.KidlessKeys = 5 }, `{"alg":"ES256"}`, 4, ""},
		"two fit, and one may":                  {2, named, func(p *Policy) { p.KidlessKeys = 1 }, `{"alg":"ES256"}`, 0, reason.UnknownKey},
		"sixteen":                               {16, named, func(p *Policy) { p.KidlessKeys = 16 }, `{"alg":"ES256"}`, 15, ""},
		"seventeen":                             {17, named, func(p *Policy) { p.KidlessKeys = 16 }, `{"alg":"ES256"}`, 0, reason.UnknownKey},
		"a kid that is not there":               {3, named, nil, `{"alg":"ES256","kid":"z"}`, 0, reason.UnknownKey},
		"a kid that is ignored":                 {3, named, func(p *Policy) { p.IgnoreKid = true }, `{"alg":"ES256","kid":"z"}`, 2, ""},
		"another key's kid":                     {3, named, nil, `{"alg":"ES256","kid":"b"}`, 0, reason.BadSignature},
		"another key's kid, ignored":            {3, named, func(p *Policy) { p.IgnoreKid = true }, `{"alg":"ES256","kid":"b"}`, 0, ""},
		"too many to ignore kids":               {5, named, func(p *Policy) { p.IgnoreKid = true }, `{"alg":"ES256","kid":"b"}`, 0, reason.UnknownKey},
		"the second of one kid":                 {2, same, nil, `{"alg":"ES256","kid":"a"}`, 1, ""},
		"the fourth of one kid":                 {6, same, nil, `{"alg":"ES256","kid":"a"}`, 3, ""},
		"the fifth of one kid":                  {6, same, nil, `{"alg":"ES256","kid":"a"}`, 4, reason.BadSignature},
		"a thumbprint chooses among many":       {9, thumbprints, nil, `{"alg":"ES256","x5t":"h"}`, 7, ""},
		"the longer thumbprint chooses":         {9, thumbprints, nil, `{"alg":"ES256","x5t#S256":"H"}`, 7, ""},
		"another key's thumbprint":              {9, thumbprints, nil, `{"alg":"ES256","x5t":"h"}`, 0, reason.BadSignature},
		"a thumbprint of no key":                {9, thumbprints, nil, `{"alg":"ES256","x5t":"z"}`, 0, reason.AlgorithmNotAllowed},
		"a thumbprint that contradicts another": {9, thumbprints, nil, `{"alg":"ES256","x5t":"h","x5t#S256":"A"}`, 7, reason.AlgorithmNotAllowed},
		"keys without a thumbprint are tried":   {3, named, nil, `{"alg":"ES256","x5t":"h"}`, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public, private := pairs(t, c.keys, c.options)
			p := basePolicy()
			p.Keys = public
			if c.change != nil {
				c.change(&p)
			}
			check(t, newValidator(t, p), sign(t, jwt.SigningMethodES256, private[c.signer], c.header, goodClaims), c.want)
		})
	}
	for _, n := range []int{-1, 17} {
		p := basePolicy()
		p.KidlessKeys = n
		if _, err := New([]Policy{p}, nil); err == nil {
			t.Errorf("%d keys for tokens without kid", n)
		}
	}
}

// TestLargerTokens checks the limit on the length, and that on JSON values in proportion.
func TestLargerTokens(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	roles := func(n int) string {
		return es256(t, goodHeader, strings.Replace(goodClaims, `"iat"`, `"roles":["r-0123456789abcdefghi"`+strings.Repeat(`,"r-0123456789abcdefghi"`, n-1)+`],"iat"`, 1))
	}
	numbers := es256(t, goodHeader, strings.Replace(goodClaims, `"iat"`, `"n":[1`+strings.Repeat(`,1000`, 2099)+`],"iat"`, 1))
	large := roles(560)
	if len(large) < 17_000 || len(numbers) > MaxLength {
		t.Fatalf("%d and %d bytes", len(large), len(numbers))
	}
	check(t, v, large, reason.MalformedToken)
	check(t, v, numbers, reason.MalformedToken)
	check(t, v.Limited(32<<10), large, "")
	check(t, v.Limited(32<<10), numbers, "")
	check(t, v.Limited(1<<10), roles(2), "")
	check(t, v.Limited(1<<10), roles(100), reason.MalformedToken)
	check(t, v.Limited(1<<30), roles(1400), "")
	check(t, v.Limited(1<<30), roles(2500), reason.MalformedToken) // more than 64 KiB
}

// doubter counts how often it is told of invalid signatures.
type doubter struct {
	keySet
	told int
}

func (d *doubter) Distrust() { d.told++ }

// TestInvalidSignaturesAreTold checks that the keys hear of an invalid signature under a
// known kid, and of nothing else.
func TestInvalidSignaturesAreTold(t *testing.T) {
	t.Parallel()
	d := &doubter{keySet: keySet{keys()["p256"].public}}
	p := basePolicy()
	p.Keys = d
	v := newValidator(t, p)
	good := es256(t, goodHeader, goodClaims)
	for _, token := range []string{good, "x", es256(t, `{"alg":"ES256","kid":"z"}`, goodClaims), es256(t, goodHeader, strings.Replace(goodClaims, `1800000600`, `1700000600`, 1))} {
		_, _ = v.Validate(t.Context(), token)
	}
	if d.told != 0 {
		t.Errorf("told %d times of nothing", d.told)
	}
	if _, err := v.Validate(t.Context(), good[:len(good)-4]+"AAAA"); !errors.Is(err, reason.BadSignature) || d.told != 1 {
		t.Errorf("%v, told %d times", err, d.told)
	}
}
