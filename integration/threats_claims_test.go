package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func TestThreat06_AnIssuersKeyVouchesForThatIssuerOnly(t *testing.T) {
	t.Parallel()
	k := keys(t)
	ca := peers.NewCA(t)
	other := peers.NewKey(t, "RS256", "rs256") // the same kid as the first issuer's
	second := peers.NewKeyServer(t, ca, other)
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		issuer {$SECOND} {
			ca {$SECOND_CA}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{env: map[string]string{"SECOND": second.URL, "SECOND_CA": ca.File}}, k.RS256)
	ofSecond := map[string]any{"iss": second.URL}
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	s.accepts(t, site, other.Token(t, s.claims(ofSecond), nil))

	s.refusesEach(t, site, []forgery{
		{"the second issuer's key under the first's name", other.Token(t, s.claims(nil), nil), because("bad_signature")},
		{"the first issuer's key under the second's name", k.RS256.Token(t, s.claims(ofSecond), nil), because("bad_signature")},
		{"the same without kid", other.Named("").Token(t, s.claims(nil), nil), because("bad_signature")},
		{"both names at once", other.Token(t, s.claims(map[string]any{"iss": []string{s.issuer.URL, second.URL}}), nil), because("malformed_token", "unknown_issuer")},
	})
}

func TestThreat11_TimesAreNumbersInRange(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	now := time.Now().Unix()
	// The value is written as it stands: an encoder would tidy it up.
	token := func(claim, value string) string {
		claims := strings.TrimSuffix(toJSON(t, s.claims(map[string]any{claim: nil})), "}")
		if value != "" {
			claims += fmt.Sprintf(",%q:%s", claim, value)
		}
		return k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256"}`, claims+"}")
	}
	for _, good := range []struct{ claim, value string }{
		{"exp", fmt.Sprint(now + 60)},
		{"exp", fmt.Sprintf("%d.5", now+60)},
		{"exp", fmt.Sprintf("%d.25e3", (now+3600)/1000+1)},
		{"exp", fmt.Sprint(now - 30)}, // within the leeway
		{"exp", "253402300799"},
		{"nbf", ""},
		{"nbf", "0"},
		{"nbf", fmt.Sprint(now + 30)},
		{"iat", ""},
		{"iat", "0"},
		{"iat", fmt.Sprint(now + 30)},
	} {
		t.Run(good.claim+" "+good.value+" passes", func(t *testing.T) {
			s.accepts(t, site, token(good.claim, good.value))
		})
	}

	table := []forgery{
		{"exp 0", token("exp", "0"), because("expired")},
		{"exp -0", token("exp", "-0"), because("expired", "malformed_token")},
		{"exp of a minute and a half ago", token("exp", fmt.Sprint(now-90)), because("expired")},
		{"exp absent", token("exp", ""), because("missing_claim")},
		{"nbf in a minute and a half", token("nbf", fmt.Sprint(now+90)), because("not_yet_valid")},
		{"nbf in the year 9999", token("nbf", "253402300799"), because("not_yet_valid")},
		{"iat in a minute and a half", token("iat", fmt.Sprint(now+90)), because("issued_in_future")},
		{"iat in the year 9999", token("iat", "253402300799"), because("issued_in_future")},
	}
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, value := range []string{
			"-1", "-1e300", "1e300", "1e400", "253402300800", "9223372036854775807", "9223372036854775808",
			"18446744073709551616", strings.Repeat("9", 400), `"` + fmt.Sprint(now+60) + `"`, "null", "true", "[]", "{}",
		} {
			name := value
			if len(name) > 40 {
				name = "of 400 digits"
			}
			table = append(table, forgery{claim + " " + name, token(claim, value), because("malformed_token")})
		}
	}
	s.refusesEach(t, site, table)
}

// tokenWithClaim is a good token but for one claim, which is there even if it is nil.
func (s *fixture) tokenWithClaim(t *testing.T, name string, value any) string {
	t.Helper()
	claims := s.claims(nil)
	claims[name] = value
	return keys(t).RS256.Token(t, claims, nil)
}

func TestThreat12_AudienceAndIssuerAreExact(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	claim := func(name string, value any) string { return s.tokenWithClaim(t, name, value) }
	s.accepts(t, site, claim("aud", audience))
	s.accepts(t, site, claim("aud", []string{"https://other.example.test", audience}))

	table := []forgery{
		{"aud absent", k.RS256.Token(t, s.claims(map[string]any{"aud": nil}), nil), because("wrong_audience", "missing_claim")},
	}
	for name, value := range map[string]any{
		"null":               nil,
		"empty":              "",
		"an empty array":     []string{},
		"another":            "https://other.example.test",
		"a prefix":           audience[:len(audience)-1],
		"a longer one":       audience + "x",
		"with a slash":       audience + "/",
		"in capitals":        strings.ToUpper(audience),
		"with a space":       audience + " ",
		"two in one text":    audience + " https://other.example.test",
		"an array of others": []string{"https://other.example.test", ""},
		"an array of null":   []any{nil},
		"a nested array":     []any{[]string{audience}},
		"mixed types":        []any{1, audience},
		"a number":           1,
		"false":              false,
		"an object":          map[string]any{audience: true},
		"a star":             "*",
	} {
		table = append(table, forgery{"aud " + name, claim("aud", value), because("wrong_audience", "malformed_token")})
	}
	for name, value := range map[string]any{
		"in capitals":     strings.ToUpper(s.issuer.URL),
		"with a slash":    s.issuer.URL + "/",
		"with a space":    s.issuer.URL + " ",
		"a space before":  " " + s.issuer.URL,
		"a prefix":        s.issuer.URL[:len(s.issuer.URL)-1],
		"longer":          s.issuer.URL + "0",
		"http":            strings.Replace(s.issuer.URL, "https", "http", 1),
		"empty":           "",
		"a path":          s.issuer.URL + "/../",
		"a NUL behind":    s.issuer.URL + "\x00",
		"another host":    "https://mallory.example",
		"a star":          "*",
		"null":            nil,
		"an array of one": []string{s.issuer.URL},
	} {
		table = append(table, forgery{"iss " + name, claim("iss", value), because("unknown_issuer", "malformed_token")})
	}
	s.refusesEach(t, site, table)
}

func TestThreat20_WrongTypesOfClaims(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	claim := func(name string, value any) string { return s.tokenWithClaim(t, name, value) }
	t.Run("a numeric sub is rendered digit for digit", func(t *testing.T) {
		claims := strings.TrimSuffix(toJSON(t, s.claims(map[string]any{"sub": nil})), "}") + `,"sub":12345678901234567890}`
		seen := s.accepts(t, site, k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256"}`, claims))
		if got := seen.Header.Get("X-User"); got != "12345678901234567890" {
			t.Errorf("the user is %q", got)
		}
	})
	for name, value := range map[string]any{
		"object": map[string]any{"id": "admin"}, "array": []string{"admin"}, "null": nil, "empty": "", "boolean": true,
	} {
		t.Run(name+" sub", func(t *testing.T) { s.refuses(t, site, claim("sub", value), "missing_claim") })
	}
	table := []forgery{
		{"boolean aud", claim("aud", true), because("wrong_audience", "malformed_token")},
		{"numeric iss", claim("iss", 1), because("malformed_token", "unknown_issuer")},
		{"object iss", claim("iss", map[string]any{}), because("malformed_token", "unknown_issuer")},
	}
	for _, member := range []string{"typ", "kid", "alg"} {
		for name, value := range map[string]string{"numeric": "1", "object": "{}", "array": "[]", "null": "null", "boolean": "true"} {
			header := map[string]any{"alg": "RS256", "kid": "rs256", "typ": "JWT"}
			delete(header, member)
			raw := strings.TrimSuffix(toJSON(t, header), "}") + fmt.Sprintf(",%q:%s}", member, value)
			table = append(table, forgery{name + " " + member, k.RS256.Raw(t, raw, toJSON(t, s.claims(nil))),
				because("malformed_token", "algorithm_not_allowed", "wrong_type")})
		}
	}
	s.refusesEach(t, site, table)
}

func TestThreat44_BoundTokensAreNoBearerTokens(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer+`
https://bound.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			allow_bound_tokens
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{}, k.RS256)
	for name, confirmation := range map[string]any{
		"DPoP":      map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
		"mTLS":      map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
		"an empty":  map[string]any{},
		"a textual": "jkt",
	} {
		t.Run(name+" cnf", func(t *testing.T) {
			token := k.RS256.Token(t, s.claims(map[string]any{"cnf": confirmation}), nil)
			s.refuses(t, site, token, "unsupported_token")
			s.accepts(t, "bound.example.test", token)
		})
	}
	t.Run("null cnf", func(t *testing.T) {
		s.refuses(t, site, s.tokenWithClaim(t, "cnf", nil), "unsupported_token")
	})
}
