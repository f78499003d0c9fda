package validator

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

const (
	entra   = "https://login.microsoftonline.com/{tid}/v2.0"
	entraV1 = "https://sts.windows.net/{tid}/"

	tenantA = "aaaaaaaa-1111-4222-8333-00000000000a"
	tenantB = "bbbbbbbb-1111-4222-8333-00000000000b"
	tenantC = "cccccccc-1111-4222-8333-00000000000c"
)

// forTenant returns a template's iss for a tenant.
func forTenant(template, tenant string) string {
	return strings.Replace(template, TenantMark, tenant, 1)
}

// tenantPolicy trusts tenants of a template with the P-256 key.
func tenantPolicy(template string, tenants ...string) Policy {
	p := basePolicy()
	p.Issuer = template
	for _, t := range tenants {
		if t == "*" {
			p.AnyTenant = true
		} else {
			p.Tenants = append(p.Tenants, t)
		}
	}
	return p
}

// tenantToken signs a token with an iss and what else is in it.
func tenantToken(t testing.TB, iss, more string) string {
	t.Helper()
	return es256(t, goodHeader, fmt.Sprintf(`{"iss":%q,"sub":"pairwise","oid":"user","aud":"https://api.example","exp":1800000600%s}`, iss, more))
}

// tid is a member.
func tid(tenant string) string { return `,"tid":"` + tenant + `"` }

// TestTokensOfTenants: iss must be the template with the token's own tid, of a tenant in the
// list.
func TestTokensOfTenants(t *testing.T) {
	t.Parallel()
	one, two, all := []string{tenantA}, []string{tenantA, tenantB}, []string{"*"}
	for name, c := range map[string]struct {
		tenants   []string
		iss, more string
		want      error
		user      string
	}{
		"the only tenant":                    {one, forTenant(entra, tenantA), tid(tenantA), nil, "pairwise"},
		"the first of two":                   {two, forTenant(entra, tenantA), tid(tenantA), nil, tenantA + "/user"},
		"the second of two":                  {two, forTenant(entra, tenantB), tid(tenantB), nil, tenantB + "/user"},
		"any of all":                         {all, forTenant(entra, tenantC), tid(tenantC), nil, tenantC + "/user"},
		"personal accounts, listed":          {[]string{"*", ConsumerTenant}, forTenant(entra, ConsumerTenant), tid(ConsumerTenant), nil, ConsumerTenant + "/user"},
		"personal accounts, listed alone":    {[]string{ConsumerTenant}, forTenant(entra, ConsumerTenant), tid(ConsumerTenant), nil, "pairwise"},
		"personal accounts are not in *":     {all, forTenant(entra, ConsumerTenant), tid(ConsumerTenant), reason.TenantNotListed, ""},
		"a tenant that is not listed":        {two, forTenant(entra, tenantC), tid(tenantC), reason.TenantNotListed, ""},
		"no tid":                             {two, forTenant(entra, tenantA), "", reason.NoTenant, ""},
		"no tid, with *":                     {all, forTenant(entra, tenantA), "", reason.NoTenant, ""},
		"a tid that is a number":             {two, forTenant(entra, tenantA), `,"tid":7`, reason.NoTenant, ""},
		"a tid that is null":                 {two, forTenant(entra, tenantA), `,"tid":null`, reason.NoTenant, ""},
		"a tid that is a list":               {two, forTenant(entra, tenantA), `,"tid":["` + tenantA + `"]`, reason.NoTenant, ""},
		"a tid that is no UUID":              {all, forTenant(entra, "contoso.example"), tid("contoso.example"), reason.NoTenant, ""},
		"an empty tid":                       {all, forTenant(entra, ""), tid(""), reason.NoTenant, ""},
		"a tid in upper case":                {two, forTenant(entra, strings.ToUpper(tenantA)), tid(strings.ToUpper(tenantA)), reason.NoTenant, ""},
		"a tid in upper case alone":          {two, forTenant(entra, tenantA), tid(strings.ToUpper(tenantA)), reason.NoTenant, ""},
		"a tid in braces":                    {all, forTenant(entra, "{"+tenantA+"}"), tid("{" + tenantA + "}"), reason.UnknownIssuer, ""},
		"a tid with a space":                 {all, forTenant(entra, tenantA+" "), tid(tenantA + " "), reason.UnknownIssuer, ""},
		"a tid without hyphens":              {all, forTenant(entra, strings.ReplaceAll(tenantA, "-", "")), tid(strings.ReplaceAll(tenantA, "-", "")), reason.NoTenant, ""},
		"a tid with a hyphen elsewhere":      {all, forTenant(entra, "aaaaaaa-a1111-4222-8333-00000000000a"), tid("aaaaaaa-a1111-4222-8333-00000000000a"), reason.NoTenant, ""},
		"two tid":                            {two, forTenant(entra, tenantA), tid(tenantC) + tid(tenantA), reason.MalformedToken, ""},
		"another's tid":                      {two, forTenant(entra, tenantC), tid(tenantA), reason.OtherTenant, ""},
		"another's iss":                      {two, forTenant(entra, tenantA), tid(tenantB), reason.OtherTenant, ""},
		"the template as iss":                {all, entra, tid(tenantA), reason.OtherTenant, ""},
		"Entra's mark as iss":                {all, forTenant(entra, key.TenantMark), tid(tenantA), reason.OtherTenant, ""},
		"the marks as iss and tid":           {all, entra, tid(TenantMark), reason.NoTenant, ""},
		"Entra's marks as iss and tid":       {all, forTenant(entra, key.TenantMark), tid(key.TenantMark), reason.NoTenant, ""},
		"organizations as iss":               {all, forTenant(entra, "organizations"), tid(tenantA), reason.OtherTenant, ""},
		"the other version":                  {two, forTenant(entraV1, tenantA), tid(tenantA), reason.UnknownIssuer, ""},
		"another host":                       {all, "https://login.microsoftonline.example/" + tenantA + "/v2.0", tid(tenantA), reason.UnknownIssuer, ""},
		"a slash more":                       {all, forTenant(entra, tenantA) + "/", tid(tenantA), reason.UnknownIssuer, ""},
		"the tenant twice":                   {all, forTenant(entra, tenantA+"/"+tenantA), tid(tenantA), reason.UnknownIssuer, ""},
		"a path before the tenant":           {all, forTenant(entra, "x/"+tenantA), tid(tenantA), reason.UnknownIssuer, ""},
		"the tenant alone":                   {all, tenantA, tid(tenantA), reason.UnknownIssuer, ""},
		"several tenants and no oid":         {two, forTenant(entra, tenantA), tid(tenantA) + `,"oid2":"x"`, nil, tenantA + "/user"},
		"a long iss with the tenant in each": {all, strings.Repeat(tenantA, 300), tid(tenantA), reason.UnknownIssuer, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newValidator(t, tenantPolicy(entra, c.tenants...))
			token := tenantToken(t, c.iss, c.more)
			for n, v := range []*Validator{v, v.Cached(newMemory())} {
				for range 2 + n {
					got, err := v.Validate(context.Background(), token)
					if c.want != nil {
						if err != c.want && !isCode(err, c.want) {
							t.Fatalf("refused with %v, want %v", err, c.want)
						}
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if got.User() != c.user || got.Issuer() != c.iss {
						t.Fatalf("user %q of %q", got.User(), got.Issuer())
					}
				}
			}
		})
	}
}

// isCode reports whether an error has a code, for reasons whose detail does not matter.
func isCode(err, want error) bool {
	d, ok := err.(*reason.Detailed)
	return ok && d.Code() == want
}

func TestUsersOfSeveralTenants(t *testing.T) {
	t.Parallel()
	token := func(oid string) string {
		return es256(t, goodHeader, `{"iss":"`+forTenant(entra, tenantA)+`","aud":"https://api.example","sub":"s","exp":1800000600,"tid":"`+tenantA+`"`+oid+`}`)
	}
	prefixed, named := tenantPolicy(entra, "*"), tenantPolicy(entra, "*")
	prefixed.UserPrefix = "entra:"
	named.UserClaims = []string{"sub"}
	if got := check(t, newValidator(t, prefixed), token(`,"oid":"o"`), ""); got.User() != "entra:"+tenantA+"/o" {
		t.Errorf("%q", got.User())
	}
	if got := check(t, newValidator(t, named), token(`,"oid":"o"`), ""); got.User() != "s" {
		t.Errorf("%q", got.User())
	}
	for _, oid := range []string{"", `,"oid":""`, `,"oid":7`, `,"oid":["o"]`} {
		check(t, newValidator(t, prefixed), token(oid), reason.MissingClaim)
	}
}

// TestIssuersBesideTemplates: an issuer that is written out is asked before a template, and
// each template has its own keys and audience.
func TestIssuersBesideTemplates(t *testing.T) {
	t.Parallel()
	own := basePolicy()
	own.Issuer, own.Keys = forTenant(entra, tenantC), keySet{keys()["p384"].public}
	first := tenantPolicy(entraV1, tenantB)
	first.AnyAudience, first.Audience = true, nil
	odd := tenantPolicy("https://id.example/"+tenantA+"/{tid}/", "*")
	v := newValidator(t, basePolicy(), own, tenantPolicy(entra, "*"), first, odd)
	for _, c := range []struct {
		iss, tenant string
		want        reason.Code
		policy      int
	}{
		{testIssuer, tenantA, "", 0},
		{forTenant(entra, tenantC), tenantC, reason.UnknownKey, 1}, // signed by another key than its own
		{forTenant(entra, tenantA), tenantA, "", 2},
		{forTenant(entraV1, tenantB), tenantB, "", 3},
		{forTenant(entraV1, tenantA), tenantA, reason.UnknownIssuer, 3},
		{"https://id.example/" + tenantA + "/" + tenantA + "/", tenantA, "", 4},
		{"https://id.example/" + tenantA + "/" + tenantB + "/", tenantB, "", 4},
		{"https://id.example/" + tenantB + "/" + tenantA + "/", tenantA, reason.UnknownIssuer, -1},
		{"https://other.example/" + tenantA + "/v2.0", tenantA, reason.UnknownIssuer, -1},
	} {
		token := tenantToken(t, c.iss, tid(c.tenant))
		check(t, v, token, c.want)
		got := new(Token)
		_ = v.ValidateInto(context.Background(), token, got)
		if got.Policy() != c.policy {
			t.Errorf("%s: policy %d, want %d", c.iss, got.Policy(), c.policy)
		}
	}
}

func TestPoliciesOfTenantsThatContradict(t *testing.T) {
	t.Parallel()
	symmetric := tenantPolicy(entra, tenantA)
	symmetric.Symmetric = true
	exact := basePolicy()
	exact.Issuer = forTenant(entra, tenantA)
	for name, policies := range map[string][]Policy{
		"no mark":                    {tenantPolicy(testIssuer, tenantA)},
		"two marks":                  {tenantPolicy(entra+TenantMark, tenantA)},
		"a mark without tenants":     {tenantPolicy(entra)},
		"two marks without tenants":  {tenantPolicy(entra + TenantMark)},
		"a tenant in capitals":       {tenantPolicy(entra, strings.ToUpper(tenantA))},
		"a tenant that is no UUID":   {tenantPolicy(entra, "contoso.example")},
		"secrets":                    {symmetric},
		"the same template twice":    {tenantPolicy(entra, tenantA), tenantPolicy(entra, tenantB)},
		"a tenant with an own iss":   {tenantPolicy(entra, tenantA), exact},
		"an own iss before":          {exact, tenantPolicy(entra, tenantB, tenantA)},
		"a template and any issuer":  {{AnyIssuer: true, Keys: basePolicy().Keys, AnyAudience: true}, tenantPolicy(entra, tenantA)},
		"any issuer that has tenant": {{AnyIssuer: true, Keys: basePolicy().Keys, AnyAudience: true, AnyTenant: true}},
	} {
		if _, err := New(policies, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New([]Policy{exact, tenantPolicy(entra, "*")}, nil); err != nil {
		t.Errorf("an issuer beside all tenants: %v", err)
	}
}

// TestKeysOfTenants: a key verifies only tokens of whom the key set says it is.
func TestKeysOfTenants(t *testing.T) {
	t.Parallel()
	keyFor := func(kid, issuer string) key.Key {
		k, err := key.NewPublic(keys()["p256"].private.Public(), key.Options{ID: kid, Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	set := keySet{
		keyFor("all", forTenant(entra, key.TenantMark)), keyFor("c", forTenant(entra, tenantC)), keyFor("any", ""),
		keyFor("consumers", forTenant(entra, ConsumerTenant)), keyFor("literal", entra), keyFor("other", "https://other.example/"+key.TenantMark),
	}
	p, v1 := tenantPolicy(entra, "*", ConsumerTenant), tenantPolicy(entraV1, "*")
	exact := basePolicy()
	exact.Issuer = testIssuer
	p.Keys, v1.Keys, exact.Keys = set, set, set
	v := newValidator(t, p, v1, exact)
	for _, c := range []struct {
		kid, iss, tenant string
		want             error
	}{
		{"all", forTenant(entra, tenantA), tenantA, nil},
		{"all", forTenant(entra, ConsumerTenant), ConsumerTenant, nil},
		{"any", forTenant(entra, tenantA), tenantA, nil},
		{"c", forTenant(entra, tenantC), tenantC, nil},
		{"c", forTenant(entra, tenantA), tenantA, reason.KeyOfOther},
		{"consumers", forTenant(entra, tenantA), tenantA, reason.KeyOfOther},
		{"consumers", forTenant(entra, ConsumerTenant), ConsumerTenant, nil},
		{"literal", forTenant(entra, tenantA), tenantA, reason.KeyOfOther},
		{"other", forTenant(entra, tenantA), tenantA, reason.KeyOfOther},
		{"all", forTenant(entraV1, tenantA), tenantA, nil},
		{"consumers", forTenant(entraV1, tenantA), tenantA, reason.KeyOfOther},
		{"any", testIssuer, tenantA, nil},
		{"all", testIssuer, tenantA, reason.KeyOfOther},
	} {
		token := sign(t, jwt.SigningMethodES256, keys()["p256"].private, `{"alg":"ES256","kid":"`+c.kid+`"}`,
			fmt.Sprintf(`{"iss":%q,"sub":"s","oid":"o","tid":%q,"aud":"https://api.example","exp":1800000600}`, c.iss, c.tenant))
		if _, err := v.Validate(context.Background(), token); err != c.want {
			t.Errorf("%s for %s: %v, want %v", c.kid, c.iss, err, c.want)
		}
		list := v.Explain(context.Background(), token)
		for _, found := range list {
			if found.Outcome == reason.Failed {
				if d := c.want.(*reason.Detailed); found.Name != reason.CheckKey || found.Detail != d.Detail() {
					t.Errorf("%s for %s: explained as %+v", c.kid, c.iss, found)
				}
				break
			}
		}
	}
	// Without a kid, keys of others are not among those that are tried.
	p.KidlessKeys = 2
	token := sign(t, jwt.SigningMethodES256, keys()["p256"].private, `{"alg":"ES256"}`,
		fmt.Sprintf(`{"iss":%q,"sub":"s","oid":"o","tid":%q,"aud":"https://api.example","exp":1800000600}`, forTenant(entra, tenantA), tenantA))
	check(t, newValidator(t, p), token, "")
}

// TestAKeyThatIsNoLongerForATenant: a token in the cache is refused once the key set says that
// its key is another's.
func TestAKeyThatIsNoLongerForATenant(t *testing.T) {
	t.Parallel()
	make := func(issuer string) key.Key {
		k, err := key.NewPublic(keys()["p256"].private.Public(), key.Options{ID: "p256", Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	set := &changing{set: keySet{make("")}}
	p := tenantPolicy(entra, tenantA)
	p.Keys = set
	v := newValidator(t, p).Cached(newMemory())
	token := tenantToken(t, forTenant(entra, tenantA), tid(tenantA))
	if _, err := v.Validate(context.Background(), token); err != nil {
		t.Fatal(err)
	}
	set.become(keySet{make(forTenant(entra, tenantB))})
	if _, err := v.Validate(context.Background(), token); err != reason.KeyOfOther {
		t.Errorf("%v", err)
	}
}

// TestTenantsAreExplained: what was seen and what is wanted, and which policy another library
// is asked about.
func TestTenantsAreExplained(t *testing.T) {
	t.Parallel()
	v := newValidator(t, tenantPolicy(entra, tenantA, tenantB))
	for _, c := range []struct {
		iss, more string
		want      *reason.Detailed
	}{
		{forTenant(entra, tenantA), tid(tenantA), nil},
		{forTenant(entra, tenantC), tid(tenantC), reason.TenantNotListed},
		{forTenant(entra, tenantA), "", reason.NoTenant},
	} {
		token := tenantToken(t, c.iss, c.more)
		list := v.Explain(context.Background(), token)
		found := list[1]
		if found.Name != reason.CheckIssuer || found.Option != "tenants "+tenantA+" "+tenantB || !strings.Contains(found.Wanted, entra) || !strings.Contains(found.Seen, c.iss) || !strings.Contains(found.Seen, "tid ") {
			t.Errorf("%+v", found)
		}
		if c.want == nil && found.Outcome != reason.Passed || c.want != nil && (found.Outcome != reason.Failed || found.Detail != c.want.Detail()) {
			t.Errorf("%+v", found)
		}
		policy, ok := v.PolicyFor(token)
		if c.want == nil && (!ok || policy.Issuer != c.iss || policy.Template()) {
			t.Errorf("another library is asked about %+v, %v", policy, ok)
		}
	}
}

// TestChoosingATenantCostsNothing: no memory, and no search among the others.
//
//nolint:paralleltest // it counts allocations
func TestChoosingATenantCostsNothing(t *testing.T) {
	var policies []Policy
	for n := range 1000 {
		policies = append(policies, tenantPolicy(fmt.Sprintf("https://id%d.example/{tid}/", n), tenantA))
	}
	v := newValidator(t, policies...)
	iss := "https://id999.example/" + tenantA + "/"
	p := &parsed{issuer: iss, hasIssuer: true, tenant: tenantA}
	if n := testing.AllocsPerRun(100, func() {
		if of, err := v.ofIssuer(p); err != nil || of.public.index != 999 {
			t.Error(of, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
