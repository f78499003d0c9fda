package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// entraAudience is the client id of the API.
const entraAudience = "11111111-0000-4000-8000-000000000000"

// entraSite is a site that accepts tokens of tenants.
func entraSite(host, tenants, more string) string {
	return fmt.Sprintf(`https://%s {
	jwt {
		issuer {$ENTRA}/{tid}/v2.0 {
			tenants %s
			audience %s
			scope_claim scp roles
			ca {$ENTRA_CA}
		}
		forward user X-User
		forward issuer X-Issuer
		%s
	}
	reverse_proxy {$UPSTREAM}
	import reasons
}
`, host, tenants, entraAudience, more)
}

const (
	oneTenant, twoTenants  = "one.example.test", "two.example.test"
	allTenants, everybody  = "all.example.test", "everybody.example.test"
	guarded                = "guarded.example.test"
	scopesOrRoles          = "require any_scope orders.read Orders.Read.All"
	entraUser, entraSecond = "pairwise-subject", "00000000-0000-4000-8000-0000000000aa"
)

func newEntraFixture(t *testing.T) (*fixture, *peers.Entra) {
	t.Helper()
	e := peers.NewEntra(t)
	s := newFixture(t, entraSite(oneTenant, peers.TenantA, "")+entraSite(twoTenants, peers.TenantA+" "+peers.TenantB, "")+
		entraSite(allTenants, "*", "")+entraSite(everybody, "* "+peers.ConsumerTenant, "")+
		entraSite(guarded, "*", scopesOrRoles), options{env: map[string]string{"ENTRA": e.URL, "ENTRA_CA": e.CA.File}})
	return s, e
}

// TestThreat89_OnlyTenantsThatAreListed: iss is the template with the token's own tid, which
// is one UUID in lower case, of a tenant that is accepted.
func TestThreat89_OnlyTenantsThatAreListed(t *testing.T) {
	t.Parallel()
	s, e := newEntraFixture(t)
	token := func(tenant string, changes map[string]any) string {
		return e.All.Token(t, e.Claims(tenant, entraAudience, changes), nil)
	}
	for _, c := range []struct{ host, tenant, user string }{
		{oneTenant, peers.TenantA, entraUser},
		{twoTenants, peers.TenantA, peers.TenantA + "/" + entraSecond},
		{twoTenants, peers.TenantB, peers.TenantB + "/" + entraSecond},
		{allTenants, peers.TenantC, peers.TenantC + "/" + entraSecond},
		{everybody, peers.ConsumerTenant, peers.ConsumerTenant + "/" + entraSecond},
	} {
		good := token(c.tenant, nil)
		for range 2 { // the second comes from the cache
			seen := s.accepts(t, c.host, good)
			if got := seen.Header.Get("X-User"); got != c.user {
				t.Errorf("%s: the user is %q, want %q", c.host, got, c.user)
			}
			if got := seen.Header.Get("X-Issuer"); got != e.Iss(c.tenant) {
				t.Errorf("%s: the issuer is %q, want that of the tenant", c.host, got)
			}
		}
	}
	unknown, malformed := because("unknown_issuer"), because("malformed_token")
	claims := func(tenant, from, to string) string {
		text := strings.Replace(toJSON(t, e.Claims(tenant, entraAudience, nil)), from, to, 1)
		return e.All.Raw(t, `{"alg":"RS256","typ":"JWT","kid":"all-tenants"}`, text)
	}
	tid := `"tid":"` + peers.TenantA + `"`
	for _, host := range []string{oneTenant, twoTenants, allTenants} {
		table := []forgery{
			{"no tid", token(peers.TenantA, map[string]any{"tid": nil}), unknown},
			{"a tid that is null", claims(peers.TenantA, tid, `"tid":null`), unknown},
			{"a tid that is a number", token(peers.TenantA, map[string]any{"tid": 7}), unknown},
			{"a tid in a list", token(peers.TenantA, map[string]any{"tid": []string{peers.TenantA}}), unknown},
			{"a tid that is no UUID", token("contoso.example", nil), unknown},
			{"a tid twice, another's first", claims(peers.TenantA, tid, `"tid":"`+peers.TenantC+`",`+tid), malformed},
			{"a tid twice, another's last", claims(peers.TenantA, tid, tid+`,"tid":"`+peers.TenantC+`"`), malformed},
			{"a tid twice, the same", claims(peers.TenantA, tid, tid+","+tid), malformed},
			{"a tid twice, escaped", claims(peers.TenantA, tid, tid+`,"\u0074id":"`+peers.TenantC+`"`), malformed},
			{"upper case", token(strings.ToUpper(peers.TenantA), nil), unknown},
			{"tid in upper case", token(peers.TenantA, map[string]any{"tid": strings.ToUpper(peers.TenantA)}), unknown},
			{"iss in upper case", token(peers.TenantA, map[string]any{"iss": e.Iss(strings.ToUpper(peers.TenantA))}), unknown},
			{"another's iss", token(peers.TenantA, map[string]any{"iss": e.Iss(peers.TenantC)}), unknown},
			{"another's tid", token(peers.TenantC, map[string]any{"iss": e.Iss(peers.TenantA)}), unknown},
			{"Entra's mark in iss", token(peers.TenantA, map[string]any{"iss": e.Iss("{tenantid}")}), unknown},
			{"Entra's mark in both", token("{tenantid}", nil), unknown},
			{"our mark in iss", token(peers.TenantA, map[string]any{"iss": e.Iss("{tid}")}), unknown},
			{"our mark in both", token("{tid}", nil), unknown},
			{"organizations in iss", token(peers.TenantA, map[string]any{"iss": e.Iss("organizations")}), unknown},
			{"personal accounts", e.Consumers.Token(t, e.Claims(peers.ConsumerTenant, entraAudience, nil), nil), unknown},
			{"another audience", token(peers.TenantA, map[string]any{"aud": "00000003-0000-0000-c000-000000000000"}), because("wrong_audience")},
			{"another's key", keys(t).Stranger.Token(t, e.Claims(peers.TenantA, entraAudience, nil), nil), because("unknown_key", "bad_signature", "algorithm_not_allowed")},
		}
		if host != allTenants {
			table = append(table, forgery{"a tenant that is not listed", token(peers.TenantC, nil), unknown})
		}
		t.Run(host, func(t *testing.T) { s.refusesEach(t, host, table) })
	}
	s.refuses(t, oneTenant, token(peers.TenantB, nil), "unknown_issuer")
}

// TestThreat89_AKeyIsOfWhomItNames: a key of the set that is another tenant's, or of personal
// accounts, verifies no token of this tenant, with and without kid.
func TestThreat89_AKeyIsOfWhomItNames(t *testing.T) {
	t.Parallel()
	s, e := newEntraFixture(t)
	for _, c := range []struct {
		key    *peers.Key
		tenant string
		good   bool
	}{
		{e.All, peers.TenantA, true}, {e.All, peers.ConsumerTenant, true},
		{e.Unnamed, peers.TenantA, true},
		{e.OfC, peers.TenantC, true}, {e.OfC, peers.TenantA, false}, {e.OfC, peers.ConsumerTenant, false},
		{e.Consumers, peers.ConsumerTenant, true}, {e.Consumers, peers.TenantA, false}, {e.Consumers, peers.TenantC, false},
		{e.Elsewhere, peers.TenantA, false},
	} {
		token := c.key.Token(t, e.Claims(c.tenant, entraAudience, nil), nil)
		kidless := c.key.Token(t, e.Claims(c.tenant, entraAudience, nil), map[string]any{"kid": nil})
		if c.good {
			s.accepts(t, everybody, token)
			s.accepts(t, everybody, kidless)
			continue
		}
		s.refuses(t, everybody, token, "unknown_key")
		s.refuses(t, everybody, kidless, "bad_signature")
	}
	// Restarted while Entra is down, the stored key set still says whose the keys are.
	e.Down()
	s.restart(nil)
	s.accepts(t, everybody, e.OfC.Token(t, e.Claims(peers.TenantC, entraAudience, nil), nil))
	s.refuses(t, everybody, e.OfC.Token(t, e.Claims(peers.TenantA, entraAudience, nil), nil), "unknown_key")
	s.refuses(t, everybody, e.Consumers.Token(t, e.Claims(peers.TenantA, entraAudience, nil), nil), "unknown_key")
}

// TestThreat89_GuestsAndApplicationsByRule: a guest's token has the tid of the tenant that
// they are a guest of, and any application of any tenant gets tokens for the API. What lets
// them in is a rule.
func TestThreat89_GuestsAndApplicationsByRule(t *testing.T) {
	t.Parallel()
	s, e := newEntraFixture(t)
	token := func(claims map[string]any) string { return e.All.Token(t, claims, nil) }
	guest := func(changes map[string]any) string {
		all := map[string]any{"idp": e.Iss(peers.TenantC), "acct": 1, "oid": "00000000-0000-4000-8000-0000000000ff"}
		for name, v := range changes {
			all[name] = v
		}
		return token(e.Claims(peers.TenantA, entraAudience, all))
	}
	seen := s.accepts(t, guarded, guest(nil))
	if got, want := seen.Header.Get("X-User"), peers.TenantA+"/00000000-0000-4000-8000-0000000000ff"; got != want {
		t.Errorf("the guest is %q, want %q: of the tenant that they are a guest of", got, want)
	}
	s.accepts(t, guarded, token(e.AppClaims(peers.TenantA, entraAudience, "Orders.Read.All")))
	for name, stranger := range map[string]string{
		"an application without a role":              token(e.AppClaims(peers.TenantA, entraAudience)),
		"an application of a stranger's tenant":      token(e.AppClaims(peers.TenantC, entraAudience)),
		"a user without a scope":                     token(e.Claims(peers.TenantC, entraAudience, map[string]any{"scp": nil})),
		"a guest without a scope":                    guest(map[string]any{"scp": nil}),
		"a user with a scope that is called alike":   token(e.Claims(peers.TenantA, entraAudience, map[string]any{"scp": "orders.readwrite"})),
		"an application with a role of another name": token(e.AppClaims(peers.TenantA, entraAudience, "orders.read.all")),
	} {
		t.Run(name, func(t *testing.T) {
			s.upstream.Take()
			s.refused(t, s.get(t, guarded, stranger), http.StatusForbidden, "insufficient_scope")
		})
	}
	s.refuses(t, twoTenants, token(e.AppClaims(peers.TenantC, entraAudience, "Orders.Read.All")), "unknown_issuer")
	// Without any rule the server says at its start what that means.
	for _, host := range []string{twoTenants, allTenants, everybody} {
		if !slices.ContainsFunc(strings.Split(s.logs.String(), "\n"), func(line string) bool {
			return strings.Contains(line, host) && strings.Contains(line, "an issuer has several tenants, and nothing is required")
		}) {
			t.Errorf("no warning about %s", host)
		}
	}
}

// TestThreat89_NothingIsFetchedForAToken: whatever a token says of its tenant, the server asks
// for the metadata and the keys of all tenants alone.
func TestThreat89_NothingIsFetchedForAToken(t *testing.T) {
	t.Parallel()
	s, e := newEntraFixture(t)
	var tokens []string
	for _, tenant := range []string{peers.TenantA, peers.TenantB, peers.TenantC, peers.ConsumerTenant, "..", "evil.example", "{tid}", "x/../y", "%2e%2e", ""} {
		for _, k := range []*peers.Key{e.All, e.Consumers, keys(t).RS256, keys(t).RS256.Named("unknown")} {
			tokens = append(tokens, k.Token(t, e.Claims(tenant, entraAudience, nil), nil),
				k.Token(t, e.Claims(tenant, entraAudience, map[string]any{"iss": e.Iss(peers.TenantA)}), nil))
		}
	}
	for _, host := range []string{oneTenant, twoTenants, allTenants, everybody} {
		for _, token := range tokens {
			s.get(t, host, token)
		}
	}
	want := []string{commonKeys, peers.CommonPath, organizationsKeys, peers.OrganizationsPath}
	slices.Sort(want)
	if got := e.Paths(); !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

// Where the keys of all tenants are.
const (
	commonKeys        = "/common/discovery/v2.0/keys"
	organizationsKeys = "/organizations/discovery/v2.0/keys"
)
