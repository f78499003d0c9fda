package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestThreat08_OtherSerializationsAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	part := strings.Split(good, ".")

	encrypted := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..AAAA.BBBB.CCCC"
	flattened, err := json.Marshal(map[string]string{"protected": part[0], "payload": part[1], "signature": part[2]})
	if err != nil {
		t.Fatal(err)
	}
	s.refusesEach(t, site, []forgery{
		{"five segments", encrypted, because("unsupported_token")},
		{"JSON serialization", string(flattened), because("malformed_token")},
		{"two segments", part[0] + "." + part[1], because("malformed_token")},
		{"four segments", good + "." + part[2], because("malformed_token")},
		{"a dot before", "." + good, because("malformed_token")},
		{"a dot behind", good + ".", because("malformed_token")},
		{"six segments", good + "..." + part[0], because("malformed_token")},
		{"an empty header", "." + part[1] + "." + part[2], because("malformed_token")},
		{"empty claims", part[0] + ".." + part[2], because("malformed_token")},
		{"an empty signature", part[0] + "." + part[1] + ".", because("malformed_token")},
		{"two dots", "..", because("malformed_token")},
		{"one segment", "abcdef", because("malformed_token")},
		{"ten thousand dots", strings.Repeat(".", 10_000), because("malformed_token")},
		{"segments exchanged", part[1] + "." + part[0] + "." + part[2], because("malformed_token", "algorithm_not_allowed")},
	})
}

// Caddy's own limit on headers stands in front: it answers before any handler.
func TestThreat08_GiantTokensAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(map[string]any{"pad": strings.Repeat("x", 4<<10)}), nil))

	for name, token := range map[string]string{
		"64 KiB of dots":     strings.Repeat(".", 64<<10),
		"a token of 100 KiB": k.RS256.Token(t, s.claims(map[string]any{"pad": strings.Repeat("x", 75<<10)}), nil),
	} {
		t.Run(name, func(t *testing.T) {
			a := s.raw(t, site, "GET / HTTP/1.1\r\nHost: "+site+"\r\nAuthorization: Bearer "+token+"\r\n\r\n")
			checkStatus(t, a, http.StatusRequestHeaderFieldsTooLarge)
		})
	}
	if seen := s.upstream.Take(); len(seen) != 0 {
		t.Errorf("the upstream got %d requests; want none", len(seen))
	}
}

func TestThreat09_OneSpellingOfBase64(t *testing.T) {
	t.Parallel()
	k := keys(t)
	// In a query a token can hold what no header carries.
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
		token_from query access_token
	}
	import upstream
	import reasons
}
`, options{}, k.ES256)
	inQuery := func(t *testing.T, token string) answer {
		t.Helper()
		return s.send(t, s.http, http.MethodGet, site, "/?access_token="+url.QueryEscape(token))
	}
	// The claims' length makes their last character carry unused bits; an ES256
	// signature always does.
	padded := k.ES256.Token(t, s.claims(map[string]any{"pad": claimsPadding(t, s.claims(nil))}), nil)
	part := strings.Split(padded, ".")
	if a := inQuery(t, padded); a.status != http.StatusOK {
		t.Fatalf("status %d for the good token, reason %q", a.status, a.header.Get("X-Reason"))
	}
	s.upstream.Take()

	join := func(segments ...string) string { return strings.Join(segments, ".") }
	header, claims, signature := part[0], part[1], part[2]
	for name, token := range map[string]string{
		"padding behind the signature":          padded + "==",
		"padding behind the claims":             join(header, claims+"=", signature),
		"padding behind the header":             join(header+"=", claims, signature),
		"another last character, signature":     join(header, claims, changeUnusedBits(t, signature)),
		"a CR in the signature":                 join(header, claims, signature[:9]+"\r"+signature[9:]),
		"a LF in the signature":                 join(header, claims, signature[:9]+"\n"+signature[9:]),
		"a LF behind":                           padded + "\n",
		"a LF in the claims":                    join(header, claims[:9]+"\n"+claims[9:], signature),
		"a CR LF in the header":                 join(header[:9]+"\r\n"+header[9:], claims, signature),
		"a space in the claims":                 join(header, claims[:9]+" "+claims[9:], signature),
		"a space before":                        " " + padded,
		"a tab behind":                          padded + "\t",
		"a NUL behind":                          padded + "\x00",
		"a plus":                                join(header, claims, "+"+signature[1:]),
		"a slash":                               join(header, claims, "/"+signature[1:]),
		"a character of another alphabet":       join(header, claims, "é"+signature[2:]),
		"one character too few":                 join(header, claims, signature[:len(signature)-1]),
		"a segment of impossible length (4n+1)": join(header, claims, signature+"AAA"),
	} {
		t.Run(name, func(t *testing.T) {
			s.refused(t, inQuery(t, token), http.StatusUnauthorized, "malformed_token")
		})
	}
	t.Run("another last character, claims signed so", func(t *testing.T) {
		input := header + "." + changeUnusedBits(t, claims)
		s.refused(t, inQuery(t, k.ES256.Sign(t, "ES256", input)), http.StatusUnauthorized, "malformed_token")
	})
	t.Run("padding that is signed too", func(t *testing.T) {
		for _, input := range []string{header + "." + claims + "=", header + "=." + claims} {
			s.refused(t, inQuery(t, k.ES256.Sign(t, "ES256", input)), http.StatusUnauthorized, "malformed_token")
		}
	})
}

// claimsPadding fills the claims up to a length whose base64 has unused bits.
func claimsPadding(t *testing.T, claims map[string]any) string {
	t.Helper()
	for n := range 3 {
		pad := strings.Repeat("x", n)
		claims["pad"] = pad
		if len(toJSON(t, claims))%3 == 2 {
			return pad
		}
	}
	t.Fatal("no padding leaves unused bits")
	return ""
}

// changeUnusedBits changes the unused bits of a segment's last character: it decodes to
// the same bytes for a lenient decoder.
func changeUnusedBits(t *testing.T, segment string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(segment)%4 == 0 || len(segment)%4 == 1 {
		t.Fatalf("a segment of %d characters has no unused bits", len(segment))
	}
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + alphabet[last^1:last^1+1]
}

func TestThreat10_DuplicateAndMiscasedMembers(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	header := `{"alg":"RS256","kid":"rs256","typ":"JWT"}`
	with := func(members string) string {
		return strings.TrimSuffix(toJSON(t, s.claims(nil)), "}") + "," + members + "}"
	}
	without := func(name, members string) string {
		return strings.TrimSuffix(toJSON(t, s.claims(map[string]any{name: nil})), "}") + "," + members + "}"
	}
	sign := func(header, claims string) string { return k.RS256.Raw(t, header, claims) }
	s.accepts(t, site, sign(header, with(`"nested":{"a":1,"A":2},"SUB":"x","Exp":1`)))

	s.refusesEach(t, site, []forgery{
		{"exp twice", sign(header, with(`"exp":99999999999`)), because("malformed_token")},
		{"sub twice, the same", sign(header, with(`"sub":"user-1"`)), because("malformed_token")},
		{"aud twice", sign(header, with(`"aud":"other"`)), because("malformed_token")},
		{"a name twice, once escaped", sign(header, with(`"\u0073ub":"admin"`)), because("malformed_token")},
		{"a nested member twice", sign(header, with(`"nested":{"a":1,"a":2}`)), because("malformed_token")},
		{"a member deep in an array twice", sign(header, with(`"nested":[[{"b":{"a":1,"a":2}}]]`)), because("malformed_token")},
		{"alg twice", sign(`{"alg":"RS256","kid":"rs256","alg":"RS256"}`, with(`"x":1`)), because("malformed_token")},
		{"kid twice", sign(`{"alg":"RS256","kid":"other","kid":"rs256"}`, with(`"x":1`)), because("malformed_token")},
		{"a jwk member twice", sign(`{"alg":"RS256","kid":"rs256","jwk":{"a":1,"a":1}}`, with(`"x":1`)), because("malformed_token")},
		{"EXP instead of exp", sign(header, without("exp", `"EXP":99999999999`)), because("missing_claim")},
		{"Iss instead of iss", sign(header, without("iss", fmt.Sprintf(`"Iss":%q`, s.issuer.URL))), because("unknown_issuer")},
		{"Aud instead of aud", sign(header, without("aud", `"Aud":"`+audience+`"`)), because("wrong_audience", "missing_claim")},
		{"Sub instead of sub", sign(header, without("sub", `"Sub":"user-1"`)), because("missing_claim")},
		{"ALG instead of alg", sign(`{"ALG":"RS256","kid":"rs256"}`, with(`"x":1`)), because("malformed_token", "algorithm_not_allowed")},
		{"Kid instead of kid, of a stranger", k.Stranger.Raw(t, `{"alg":"RS256","Kid":"rs256"}`, with(`"x":1`)), because("bad_signature")},
	})
}

func TestThreat13_ClaimsAreOneStrictObject(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	good := toJSON(t, s.claims(nil))
	header := `{"alg":"RS256","kid":"rs256"}`
	with := func(members string) string { return strings.TrimSuffix(good, "}") + "," + members + "}" }
	s.accepts(t, site, k.RS256.Raw(t, header, with(`"deep":`+nested(30))))
	s.accepts(t, site, k.RS256.Raw(t, header, " \n"+good+"\t"))

	var table []forgery
	for name, claims := range map[string]string{
		"null":                       `null`,
		"an array":                   `[` + good + `]`,
		"text":                       `"claims"`,
		"a number":                   `1`,
		"nothing but space":          ` `,
		"two objects":                good + good,
		"trailing text":              good + "x",
		"half an object":             good[:len(good)-1],
		"invalid UTF-8 in a value":   with("\"x\":\"\xff\xfe\""),
		"invalid UTF-8 in a name":    with("\"\xc3\x28\":1"),
		"an overlong form":           with("\"x\":\"\xc0\xaf\""),
		"half a surrogate pair":      with(`"x":"\ud800"`),
		"a NUL byte":                 with("\"x\":\"a\x00b\""),
		"a NUL byte behind":          good + "\x00",
		"a byte order mark":          "\ufeff" + good,
		"a control character":        with("\"x\":\"a\nb\""),
		"a comment":                  with(`"x":/* */1`),
		"a comma too many":           strings.TrimSuffix(good, "}") + ",}",
		"single quotes":              `{'sub':'admin'}`,
		"NaN":                        with(`"x":NaN`),
		"a number with leading zero": with(`"x":01`),
		"arrays 33 deep":             with(`"x":` + nested(33)),
		"arrays 4,000 deep":          with(`"x":` + nested(4_000)),
		"objects 1,000 deep":         with(`"x":` + strings.Repeat(`{"a":`, 1_000) + "1" + strings.Repeat("}", 1_000)),
	} {
		table = append(table, forgery{"claims: " + name, k.RS256.Raw(t, header, claims), because("malformed_token")})
	}
	for name, header := range map[string]string{
		"null":          `null`,
		"an array":      `["RS256"]`,
		"invalid UTF-8": "{\"alg\":\"RS256\",\"kid\":\"rs256\",\"x\":\"\xff\"}",
		"trailing text": header + "x",
		"1,000 deep":    `{"alg":"RS256","kid":"rs256","x":` + nested(1_000) + `}`,
	} {
		table = append(table, forgery{"header: " + name, k.RS256.Raw(t, header, good), because("malformed_token")})
	}
	s.refusesEach(t, site, table)
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
